"use strict";
// Draws the figures of a page, each from the block of data beside it, in the colours of the reader's scheme: again when
// the scheme changes, light on paper. What is folded away is drawn when it is unfolded.
(() => {
  const dark = JSON.parse(document.getElementById("dark-colours").textContent);
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  const config = { displayModeBar: false, responsive: true };  // its buttons would lie over the legend: dragging zooms
  let onPaper = false;

  function recoloured(value, isColour) {
    if (typeof value === "string") return isColour ? dark[value.toLowerCase()] ?? value : value;
    if (Array.isArray(value)) return value.map((one) => recoloured(one, isColour));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, one]) => [name, recoloured(one, isColour || /color/.test(name))]),
    );
  }

  function draw(block) {
    const place = document.getElementById(block.dataset.figure);
    if (place.closest("details:not([open])") !== null) return;
    const figure = JSON.parse(block.textContent);
    const seen = scheme.matches && !onPaper ? recoloured(figure, false) : figure;
    Plotly.react(place, seen.data, seen.layout, config);
  }

  function drawAll(inside) {
    inside.querySelectorAll("script[data-figure]").forEach(draw);
  }

  function unfoldTarget() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target !== null && target.tagName === "DETAILS") {
      target.open = true;
      target.scrollIntoView();
    }
  }

  document.addEventListener("toggle", (event) => event.target.open && drawAll(event.target), true);
  scheme.addEventListener("change", () => drawAll(document));
  addEventListener("hashchange", unfoldTarget);
  for (const [name, paper] of [["beforeprint", true], ["afterprint", false]]) {
    addEventListener(name, () => {
      onPaper = paper;
      if (scheme.matches) drawAll(document);
    });
  }
  drawAll(document);
  unfoldTarget();
})();
