// The desk's filter: a row whose words do not hold all that is typed is hidden, also when the row is new or has changed.
"use strict";
(() => {
  const input = document.getElementById("filter");
  const rows = document.getElementById("working");
  if (!input || !rows) return;
  input.closest("label").hidden = false;

  const apply = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows.children) {
      const text = words.length ? row.textContent.toLowerCase() : "";
      row.hidden = !words.every((word) => text.includes(word));
    }
  };
  input.addEventListener("input", apply);
  document.addEventListener("fsm-exec:changed", () => { if (input.value) apply(); });
})();
