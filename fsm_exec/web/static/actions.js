// Sends forms that act. The server answers each with a fragment for the dialog: what would happen, and after the
// confirmation what was done. Nothing is decided here.
"use strict";
(() => {
  const meta = document.querySelector('meta[name="fsm-exec-action"]');
  if (!meta) return;
  const ESTIMATE_AFTER_MS = 350;
  const UNANSWERED = "The daemon did not answer, and may have done it. Look before you ask again: fsm-exec status";
  const UNASKED = "The daemon does not answer. Nothing was done: fsm-exec status";
  class Told extends Error {} // what a server said without a fragment of ours
  let dialog = null;
  let busy = false;
  let opener = null;

  const send = async (url, form, signal) => {
    const fields = Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== ""));
    const answer = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json", "Fsm-Exec-Action": meta.content },
      body: JSON.stringify(fields),
      signal,
    });
    const text = await answer.text();
    if (answer.status === 401) throw new Told("This session is over. Open another one: fsm-exec open");
    if (!(answer.headers.get("Content-Type") || "").startsWith("text/html")) throw new Told(text);
    return text;
  };

  // A fragment of our own, for what no server answered; made of text, never of HTML.
  const say = (text) => {
    const box = document.createElement("div");
    const title = document.createElement("h2");
    title.id = "act-title";
    title.textContent = "Not done";
    const line = document.createElement("p");
    line.className = "notice bad";
    line.setAttribute("role", "alert");
    line.textContent = text;
    const close = document.createElement("p");
    close.className = "buttons";
    const back = document.createElement("button");
    back.type = "button";
    back.textContent = "Back";
    back.autofocus = true;
    back.dataset.actClose = "";
    close.append(back);
    box.className = "confirmation";
    box.append(title, line, close);
    return box.outerHTML;
  };

  const show = (html) => {
    if (!dialog) {
      dialog = document.createElement("dialog");
      dialog.id = "act-dialog";
      dialog.setAttribute("aria-labelledby", "act-title");
      dialog.addEventListener("cancel", (event) => { if (busy) event.preventDefault(); });
      dialog.addEventListener("close", closed);
      document.body.append(dialog);
    }
    dialog.innerHTML = html;
    if (!dialog.open) dialog.showModal();
    const first = dialog.querySelector("[autofocus]");
    if (first) first.focus();
  };

  const closed = () => {
    const next = dialog.querySelector("[data-next]");
    dialog.replaceChildren();
    if (next) { location.assign(next.dataset.next); return; }
    if (opener && opener.isConnected) opener.focus();
  };

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (!(form instanceof HTMLFormElement) || !("act" in form.dataset)) return;
    event.preventDefault();
    if (busy) return; // the second click of two
    busy = true;
    if (!dialog || !dialog.contains(form)) opener = event.submitter;
    const buttons = [...form.querySelectorAll("button")].filter((one) => !one.disabled);
    buttons.forEach((one) => { one.disabled = true; });
    form.setAttribute("aria-busy", "true");
    let html;
    try {
      html = await send(form.getAttribute("action"), form);
    } catch (error) {
      html = say(error instanceof Told ? error.message : form.getAttribute("action").endsWith("/review") ? UNASKED : UNANSWERED);
    }
    buttons.forEach((one) => { one.disabled = false; });
    form.removeAttribute("aria-busy");
    busy = false;
    show(html);
  });

  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element && event.target.closest("button");
    if (!button) return;
    if ("actClose" in button.dataset && !busy) dialog.close();
    if ("takeLimit" in button.dataset) {
      const form = document.getElementById("submit-form");
      form.elements.price.value = button.dataset.takeLimit;
      form.elements.price_is.value = "limit";
      form.elements.price.focus();
      form.elements.price.dispatchEvent(new Event("input", { bubbles: true }));
    }
  });

  // Fragments of a stream are the same for all who watch; the buttons in them are made here, by who may press them.
  const addCloses = (root) => {
    for (const cell of root.querySelectorAll("[data-close]")) {
      if (cell.firstChild) continue;
      const made = document.createElement("form");
      made.className = "act";
      made.method = "post";
      made.setAttribute("action", "/actions/close/review");
      made.dataset.act = "";
      const ticker = document.createElement("input");
      ticker.type = "hidden";
      ticker.name = "ticker";
      ticker.value = cell.dataset.close;
      const button = document.createElement("button");
      button.type = "submit";
      button.textContent = "Close\u2026";
      button.setAttribute("aria-label", `Close the position in ${cell.dataset.close}`);
      button.setAttribute("aria-haspopup", "dialog");
      made.append(ticker, button);
      cell.append(made);
    }
  };
  addCloses(document);
  document.addEventListener("fsm-exec:made", (event) => addCloses(event.detail));

  // What the form as it stands would cost; of two answers the newer one counts.
  const form = document.querySelector("form[data-estimate]");
  if (!form) return;
  const place = document.getElementById("estimate");
  let timer = null;
  let asked = null;
  const estimate = async () => {
    if (asked) asked.abort();
    if (!form.checkValidity()) return;
    const mine = asked = new AbortController();
    try {
      const html = await send(form.dataset.estimate, form, mine.signal);
      if (asked === mine) place.innerHTML = html;
    } catch (error) {
      if (asked === mine && error instanceof Told) place.textContent = error.message;
      // else it was overtaken by a newer one, or the daemon is gone: the form says so when it is sent
    }
  };
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(estimate, ESTIMATE_AFTER_MS);
    const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== ""));
    history.replaceState(null, "", `${location.pathname}?${query}`);
  });
  estimate();
})();
