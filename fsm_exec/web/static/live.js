// Keeps a page as the engine is: events bring fragments, and only what differs is put in its place.
//
// <main data-events="/events/desk" data-place="..."> says where the events are and which version the page was made of.
// An event is {now_ms, changes}; a change is {id, html, into}: the element `id` becomes `html`, or is put first into the
// element `into` if there is none; without `html` it is removed. {slot, text} sets the text of every element of the
// class `slot`. What lies in a [data-held] stands still. [data-until] counts down to that time of the engine's, in milliseconds. Without this script the page is
// whole all the same; it stands still.
"use strict";
(() => {
  const place = document.querySelector("[data-events]");
  const badge = document.getElementById("stream");
  const texts = new Map();
  for (const element of document.querySelectorAll("[data-slot]")) texts.set(element.dataset.slot, element.textContent);
  let source = null;
  let after = place ? place.dataset.place : "";
  let ahead_ms = place ? Number(place.dataset.now) - Date.now() : 0; // of the engine's clock before this one

  const say = (text, kind) => {
    if (!badge || badge.textContent === text) return;
    badge.hidden = false;
    badge.textContent = text;
    badge.className = `badge ${kind}`;
  };

  const describe = (seconds) => {
    const two = (number) => String(number).padStart(2, "0");
    const minutes = Math.floor(seconds / 60);
    if (minutes >= 60) return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
    return minutes ? `${minutes} min ${two(seconds % 60)} s` : `${seconds} s`;
  };

  const setText = (element, text) => { if (element.textContent !== text) element.textContent = text; };

  const countDown = (root) => {
    const now_ms = Date.now() + ahead_ms;
    for (const element of root.querySelectorAll("[data-until]")) {
      setText(element, describe(Math.max(0, Math.floor((Number(element.dataset.until) - now_ms) / 1000))));
    }
  };

  const fill = (root) => {
    countDown(root);
    for (const element of root.querySelectorAll("[data-slot]")) {
      const text = texts.get(element.dataset.slot);
      if (text !== undefined) setText(element, text);
    }
  };

  const swap = ({ id, html, into }, is_asked = false) => {
    const old = document.getElementById(id);
    if (old && !is_asked && old.closest("[data-held]")) return; // it shows the past, by somebody's wish
    if (!html) { if (old) old.remove(); return; }
    const box = document.createElement("template");
    box.innerHTML = html;
    fill(box.content);
    document.dispatchEvent(new CustomEvent("fsm-exec:made", { detail: box.content })); // before it is compared
    const made = box.content.firstElementChild;
    if (!old) {
      const parent = into && document.getElementById(into);
      if (parent) parent.prepend(made);
    } else if (!old.isEqualNode(made)) {
      replace(old, made);
    }
  };

  // What has the focus keeps it, and what was opened stays open.
  const replace = (old, made) => {
    const held = old.contains(document.activeElement) ? document.activeElement : null;
    const nth = held ? [...old.querySelectorAll(held.tagName)].indexOf(held) : -1;
    const open = [...old.querySelectorAll("details")].map((one) => one.open);
    const scrolled = [...old.querySelectorAll(".scroll")].map((one) => [one.scrollLeft, one.scrollTop]);
    [...made.querySelectorAll("details")].forEach((one, i) => { if (open[i]) one.open = true; });
    old.replaceWith(made);
    [...made.querySelectorAll(".scroll")].forEach((one, i) => { if (scrolled[i]) [one.scrollLeft, one.scrollTop] = scrolled[i]; });
    if (held) lost.push(() => made.querySelectorAll(held.tagName)[nth]);
  };
  let lost = []; // what had the focus, to be found again once other scripts have put their buttons in

  const apply = (event) => {
    const { now_ms, changes } = JSON.parse(event.data);
    ahead_ms = now_ms - Date.now();
    after = event.lastEventId || after;
    for (const change of changes) if (change.slot) texts.set(change.slot, change.text || "");
    for (const change of changes) if (!change.slot) swap(change);
    for (const { slot, text } of changes) {
      if (slot) for (const element of document.getElementsByClassName(slot)) setText(element, text || "");
    }
    document.dispatchEvent(new CustomEvent("fsm-exec:changed"));
    for (const find of lost) { const again = find(); if (again) again.focus({ preventScroll: true }); }
    lost = [];
  };

  const begin = () => {
    if (source) return;
    source = new EventSource(`${place.dataset.events}?after=${encodeURIComponent(after)}`);
    source.onopen = () => say("live", "good");
    source.onmessage = apply;
    source.addEventListener("reload", () => { stop(); window.location.reload(); });
    source.onerror = () => {
      say("not connected", "bad");
      if (source && source.readyState === EventSource.CLOSED) { stop(); setTimeout(begin, 3000); }
    };
  };
  const stop = () => { if (source) source.close(); source = null; };

  document.addEventListener("fsm-exec:swap", (event) => { for (const change of event.detail) swap(change, true); });
  setInterval(() => countDown(document), 1000);
  if (!place) return;
  // A page that nobody sees asks for nothing: a browser has six connections for all its pages of one daemon.
  document.addEventListener("visibilitychange", () => { if (document.hidden) stop(); else begin(); });
  if (!document.hidden) begin();
})();
