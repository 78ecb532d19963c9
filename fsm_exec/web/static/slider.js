// The slider of an execution's page: any row of its journal, with everything as it was then.
//
// It asks for a row and puts the parts of the page in their places (`fsm-exec:swap`, done by live.js). While a row of the
// past is looked at, #x-then is held: what the engine tells meanwhile changes nothing in it. Without this script the
// same is done by links and by the form.
"use strict";
(() => {
  const then = document.getElementById("x-then");
  const at = document.getElementById("x-at");
  if (!then || !at) return;
  const base = document.getElementById("x-steps").dataset.base;
  const play = document.getElementById("x-play");
  const show = document.getElementById("x-show");
  const rows = () => Number(at.max);
  let shown = Number(at.value);
  let wanted = null; // the newest row that was asked for while another one is on its way
  let playing = null;

  const name = () => {
    const { state } = document.getElementById("x-row").dataset;
    at.setAttribute("aria-valuetext", `row ${shown} of ${rows()}, ${state}`);
  };

  const settle = (seq, last) => {
    shown = seq;
    at.max = last;
    at.disabled = last === 1;
    at.value = seq;
    name();
    const url = seq === last ? base : `${base}?at=${seq}`;
    window.history.replaceState(null, "", url);
  };

  const ask = async (seq) => {
    if (wanted !== null) { wanted = seq; return; }
    wanted = seq;
    try {
      while (wanted !== null) {
        const now = wanted;
        const is_last = now >= rows();
        if (!is_last) then.dataset.held = "";
        const answer = await fetch(`${base}/at/${is_last ? "last" : now}`, { headers: { Accept: "application/json" } });
        if (!answer.ok) { window.location.assign(`${base}?at=${now}`); return; }
        const found = await answer.json();
        document.dispatchEvent(new CustomEvent("fsm-exec:swap", { detail: found.changes }));
        if (found.seq === found.rows) delete then.dataset.held; else then.dataset.held = "";
        if (wanted === now) { wanted = null; settle(found.seq, found.rows); keepRowInSight(); }
      }
    } finally { wanted = null; }
  };

  // The row in its table, and on a narrow screen the lit state and the moment in their drawings.
  const keepRowInSight = () => {
    const box = document.getElementById("x-journal-box");
    const row = box && box.querySelector(".here");
    if (row) box.scrollTop = row.offsetTop - box.clientHeight / 3;
    for (const drawing of document.querySelectorAll(".x-drawing")) {
      if (drawing.scrollWidth <= drawing.clientWidth) continue;
      const mark = drawing.querySelector(".current, .moment.here");
      if (!mark) { drawing.scrollLeft = drawing.scrollWidth; continue; }
      const there = mark.getBoundingClientRect(), seen = drawing.getBoundingClientRect();
      if (there.left < seen.left || there.right > seen.right) {
        drawing.scrollLeft += (there.left + there.right - seen.left - seen.right) / 2;
      }
    }
  };

  const stop = () => {
    if (playing !== null) clearInterval(playing);
    playing = null;
    play.textContent = "Play";
    play.setAttribute("aria-pressed", "false");
  };
  const start = () => {
    if (shown >= rows()) ask(1);
    play.textContent = "Stop";
    play.setAttribute("aria-pressed", "true");
    const pause_ms = Math.max(80, Math.min(700, 20000 / rows()));
    playing = setInterval(() => {
      if (wanted !== null) return;
      if (shown >= rows()) stop(); else ask(shown + 1);
    }, pause_ms);
  };

  at.addEventListener("input", () => { stop(); ask(Number(at.value)); });
  play.addEventListener("click", () => { if (playing === null) start(); else stop(); });
  document.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    const link = event.target.closest("[data-step], [data-row]");
    if (!link) return;
    event.preventDefault();
    stop();
    const { step, row } = link.dataset;
    const to = row ? Number(row) : step === "first" ? 1 : step === "last" ? rows() : shown + Number(step);
    ask(Math.max(1, Math.min(rows(), to)));
  });
  // What the engine tells: the newest row is followed, a row of the past stays and only the slider gets longer.
  document.addEventListener("fsm-exec:changed", () => {
    const last = Number((document.getElementById("x-head").dataset.rows));
    if (!last || last === rows()) return;
    if (then.dataset.held === undefined && wanted === null) settle(last, last); else at.max = last;
  });
  play.hidden = false;
  show.hidden = true;
  name();
  keepRowInSight();
})();
