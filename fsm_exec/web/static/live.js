// Keeps a page as the server has it: events bring fragments, and only what differs is put in its place.
//
// An event is a list of {id, html, into}: the element of that id becomes `html`; without one it is put first into the
// element `into`; an empty `html` takes it away. The page is whole without this script; it only stands still then.
"use strict";
(() => {
  const place = document.querySelector("[data-events]");
  if (!place) return;
  const badge = document.getElementById("stream");
  let source = null;

  const say = (text, kind) => {
    if (!badge || badge.textContent === text) return;
    badge.hidden = false;
    badge.textContent = text;
    badge.className = `badge ${kind}`;
  };

  const swap = ({ id, html, into }) => {
    const old = document.getElementById(id);
    if (!html) { if (old) old.remove(); return; }
    const box = document.createElement("template");
    box.innerHTML = html;
    const made = box.content.firstElementChild;
    if (!made) return;
    if (!old) {
      const parent = into && document.getElementById(into);
      if (parent) parent.prepend(made);
      return;
    }
    if (old.isEqualNode(made)) return;
    if (old.contains(document.activeElement)) { keepFocus(old, made); return; }
    old.replaceWith(made);
  };

  // What has the focus stays the same element: around it everything is changed.
  const keepFocus = (old, made) => {
    const held = document.activeElement;
    const path = held.id || held.getAttribute("href") || held.getAttribute("name");
    old.replaceWith(made);
    const again = held.id ? document.getElementById(held.id)
      : [...made.querySelectorAll("a,button,input,select")].find((one) => (one.getAttribute("href") || one.getAttribute("name")) === path);
    if (again) again.focus({ preventScroll: true });
  };

  const begin = () => {
    if (source) return;
    source = new EventSource(place.dataset.events);
    source.onopen = () => say("live", "good");
    source.onmessage = (event) => {
      const at = [window.scrollX, window.scrollY];
      JSON.parse(event.data).forEach(swap);
      if (window.scrollX !== at[0] || window.scrollY !== at[1]) window.scrollTo(...at);
    };
    source.addEventListener("end", () => { stop(); say("ended", ""); });
    source.onerror = () => {
      say("not connected", "bad");
      if (source && source.readyState === EventSource.CLOSED) { stop(); setTimeout(begin, 3000); }
    };
  };
  const stop = () => { if (source) source.close(); source = null; };

  // A page that nobody sees asks for nothing; a browser has few connections to give.
  document.addEventListener("visibilitychange", () => { if (document.hidden) stop(); else begin(); });
  if (!document.hidden) begin();
})();
