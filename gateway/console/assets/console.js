// What changed is exchanged without reloading. Without this script every page is whole all the same.

const main = document.querySelector("#main");
const mark = document.querySelector("#live");
let waiting = false;
let asking = false;

// Whoever is choosing, typing or about to press something is not disturbed.
const busy = () => {
  const at = document.activeElement;
  return main.contains(at) && at !== main && at.matches("input, select, textarea, button, a, summary");
};

const exchange = async () => {
  if (asking || busy() || document.hidden) {
    waiting = true;
    return;
  }
  waiting = false;
  asking = true;
  try {
    const answer = await fetch(location.href, { credentials: "same-origin", redirect: "error" });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector("#main");
    if (!fresh || busy() || fresh.innerHTML === main.innerHTML) return;
    const open = new Set([...main.querySelectorAll("details[open]")].map((one) => one.parentElement.textContent));
    main.replaceChildren(...fresh.childNodes);
    for (const one of main.querySelectorAll("details")) one.open = open.has(one.parentElement.textContent);
  } catch {
    // Logged out, or the gateway is away: the page stays as it is.
  } finally {
    asking = false;
  }
};

// A form that was sent is answered by a page; only what is looked at stays current.
const isLooking = !document.querySelector(".asking, .note");
if (isLooking) {
  const stream = new EventSource("/console/live");
  stream.addEventListener("open", () => { mark.hidden = false; });
  stream.addEventListener("error", () => { mark.hidden = true; });
  stream.addEventListener("changed", exchange);
  for (const event of ["focusout", "visibilitychange"]) {
    document.addEventListener(event, () => setTimeout(() => waiting && exchange(), 0));
  }
}
