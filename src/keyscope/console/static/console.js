// What makes the console nicer. Every page works whole without it; nothing here decides anything.
"use strict";

const said = document.getElementById("said");

function say(text) {
  said.textContent = text;
}

// Buttons that copy the text of another element.
function prepareCopying(root) {
  for (const button of root.querySelectorAll("[data-copy]")) {
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", async () => {
      const before = button.textContent;
      try {
        await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent.trim());
        button.textContent = "Copied";
        say("Copied");
      } catch {
        button.textContent = "Select and copy by hand";
      }
      setTimeout(() => { button.textContent = before; }, 2000);
    });
  }
}

// Fields that only matter for one choice of another field.
function prepareChoices(root) {
  for (const part of root.querySelectorAll("[data-when]")) {
    const field = document.getElementById(part.dataset.whenField);
    const show = () => { part.hidden = field.value !== part.dataset.when; };
    field.addEventListener("change", show);
    show();
  }
}

// The element of this id in another page of ours. A parsed page runs no script.
async function fetchPart(id, url, options) {
  const answer = await fetch(url, { credentials: "same-origin", ...options });
  if (answer.redirected && new URL(answer.url).pathname.endsWith("/sign-in")) {
    location.reload();
    return null;
  }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  return page.getElementById(id);
}

function put(part, id) {
  const old = document.getElementById(id);
  if (part === null || part.innerHTML === old.innerHTML) return false;
  old.replaceWith(part);
  prepareCopying(part);
  hideScriptless(part);
  return true;
}

function hideScriptless(root) {
  for (const part of root.querySelectorAll("[data-no-script]")) part.hidden = true;
}

// A search form whose results follow what is typed.
function prepareLive(form) {
  const id = form.dataset.live;
  let timer = 0;
  let latest = 0;
  const search = async () => {
    const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== ""));
    const url = `${form.action}?${query}`;
    const mine = ++latest;
    try {
      const part = await fetchPart(id, url);
      if (mine === latest && put(part, id)) history.replaceState(null, "", url);
    } catch {
      // The button still works.
    }
  };
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(search, 180);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(timer);
    search();
  });
}

// A form with the grid: what the choice comes to follows the choice.
function prepareAdvice(form) {
  const id = form.dataset.advice;
  if (document.getElementById(id) === null) return;
  let latest = 0;
  form.addEventListener("change", async (event) => {
    if (event.target.type !== "radio" && event.target.type !== "textarea") return;
    const mine = ++latest;
    const body = new URLSearchParams(new FormData(form));
    body.set("do", "look");
    try {
      const part = await fetchPart(id, form.action, { method: "POST", body });
      if (mine === latest) put(part, id);
    } catch {
      // The page still says so after the button.
    }
  });
}

// A part that is fetched anew every few seconds while somebody looks at it.
function prepareRefresh(part) {
  const id = part.id;
  const pause = document.querySelector(`[data-pause="${id}"]`);
  let paused = false;
  if (pause !== null) {
    pause.hidden = false;
    pause.addEventListener("click", () => {
      paused = !paused;
      pause.textContent = paused ? "Go on" : "Pause";
      pause.setAttribute("aria-pressed", String(paused));
    });
  }
  setInterval(async () => {
    if (paused || document.hidden || document.getElementById(id).contains(document.activeElement)) return;
    try {
      if (put(await fetchPart(id, location.href), id)) say("New entries");
    } catch {
      // The next round may do better.
    }
  }, Number(part.dataset.refresh));
}

// After a form that takes something away, the page need not wait for every node: it follows them.
function prepareFollowing(form) {
  form.addEventListener("submit", () => {
    if (form.elements.wait) return; // the browser went back to a page that was sent before
    const field = document.createElement("input");
    Object.assign(field, { type: "hidden", name: "wait", value: "0" });
    form.append(field);
  });
}

// The receipt of what was taken away: each answer comes when another node has it, until none is pending.
async function followReceipt() {
  for (let part = document.getElementById("receipt"); part !== null && part.dataset.next; ) {
    try {
      part = await fetchPart("receipt", part.dataset.next);
      if (put(part, "receipt")) say(part.querySelector("p").textContent);
    } catch {
      return; // What stands there stays true: until when at most each node judges without it.
    }
  }
}

prepareCopying(document);
prepareChoices(document);
hideScriptless(document);
for (const form of document.querySelectorAll("[data-live]")) prepareLive(form);
for (const form of document.querySelectorAll("[data-advice]")) prepareAdvice(form);
for (const part of document.querySelectorAll("[data-refresh]")) prepareRefresh(part);
for (const form of document.querySelectorAll("[data-follows]")) prepareFollowing(form);
followReceipt();
