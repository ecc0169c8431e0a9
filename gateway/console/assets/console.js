// What changed is exchanged without reloading. Without this script every page is whole all the same.

const main = document.querySelector("#main");
const mark = document.querySelector("#live");
let shown = main.innerHTML;
let connected = false;
let waiting = false;
let asking = false;
let pressing = false;

// The page is not called live while it is behind.
const tell = () => { mark.hidden = !connected || waiting; };

// Whether a field holds something else than it came with.
const isFilled = (field) => {
  if (!(field instanceof HTMLSelectElement)) return field.value !== field.defaultValue;
  const first = [...field.options].findIndex((option) => option.defaultSelected);
  return field.selectedIndex !== Math.max(first, Math.min(0, field.options.length - 1));
};

// Whoever is choosing, typing or pressing something is not disturbed, nor is what was filled in and not sent.
const busy = () => {
  const fields = [...main.querySelectorAll("input, select, textarea")];
  return pressing || fields.some((field) => field === document.activeElement || isFilled(field));
};

// What can be opened or have the focus, by what stays the same while the page around it changes.
const parts = () => {
  const found = new Map();
  for (const one of main.querySelectorAll("a, button, details, summary")) {
    const place = one.href ?? one.form?.action ?? one.closest("li")?.textContent;
    const name = `${one.localName}\n${place}\n${one.textContent}`;
    let nth = 0;
    while (found.has(`${name}\n${nth}`)) nth += 1;
    found.set(`${name}\n${nth}`, one);
  }
  return found;
};

// What was open stays open, and the focus where it was.
const replace = (fresh) => {
  const at = document.activeElement;
  const kept = [...parts()].filter(([, one]) => one.open || one === at);
  main.replaceChildren(...fresh.childNodes);
  const now = parts();
  for (const [name, one] of kept) {
    if (one.open && now.has(name)) now.get(name).open = true;
    if (one === at) (now.get(name) ?? main).focus({ preventScroll: true });
  }
};

const exchange = async () => {
  if (asking || busy() || document.hidden) {
    waiting = true;
    tell();
    return;
  }
  waiting = false;
  asking = true;
  try {
    const answer = await fetch(location.href, { credentials: "same-origin", redirect: "error" });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector("#main");
    if (!fresh || fresh.innerHTML === shown) return;
    if (busy()) {
      waiting = true;
      return;
    }
    shown = fresh.innerHTML;
    replace(fresh);
  } catch {
    // Logged out, or the gateway is away: the page stays as it is.
  } finally {
    asking = false;
    tell();
  }
};

// A form that was sent is answered by a page; only what is looked at stays current.
const isLooking = !document.querySelector(".asking, .note");
if (isLooking) {
  const stream = new EventSource("/console/live");
  stream.addEventListener("open", () => { connected = true; tell(); });
  stream.addEventListener("error", () => { connected = false; tell(); });
  stream.addEventListener("changed", exchange);
  document.addEventListener("pointerdown", () => { pressing = true; });
  for (const event of ["pointerup", "pointercancel"]) document.addEventListener(event, () => { pressing = false; });
  for (const event of ["focusout", "pointerup", "pointercancel", "visibilitychange"]) {
    document.addEventListener(event, () => setTimeout(() => waiting && exchange(), 0));
  }
}
