// Opens the app by the user's own tap, says what to do when nothing happens, and copies the link.
const byId = (id) => document.getElementById(id);
const born = Date.now();
const PATIENCE = 2500;

const open = byId("open");
if (open) {
  open.addEventListener("click", (event) => {
    // The signature ends; a page that lay open for longer is asked for anew.
    if (Date.now() - born > Number(open.dataset.life)) {
      event.preventDefault();
      location.reload();
      return;
    }
    const waiting = setTimeout(() => {
      if (document.visibilityState === "visible") byId("help").hidden = false;
    }, PATIENCE);
    document.addEventListener("visibilitychange", () => clearTimeout(waiting), { once: true });
  });
}

const copy = byId("copy");
if (copy) {
  copy.addEventListener("click", async () => {
    const link = byId("link");
    link.select();
    link.setSelectionRange(0, link.value.length);
    let copied = false;
    try {
      await navigator.clipboard.writeText(link.value);
      copied = true;
    } catch {
      copied = document.execCommand("copy");
    }
    copy.textContent = copied ? "已复制" : "请长按上面的链接复制";
  });
}
