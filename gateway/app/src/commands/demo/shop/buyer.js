// The mini-program: logs in, orders, pays, and asks for a refund. It names a book, never an amount,
// and believes that something is paid when the gateway says so.
import { WORDS, ask, byId, element, listen, yuan } from "/shared.js";

const orders = new Map();
let session;
let paying;
let asking;
let sharing;
let douyin = "";

const tell = (text) => { byId("notice").textContent = text; };
const save = () => sessionStorage.setItem("orders", JSON.stringify([...orders.values()]));

/** wx.login, and what the gateway makes of its code. */
async function login() {
  const { code } = await ask("/wx/login", { method: "POST" });
  session = await ask("/gateway/sessions", { method: "POST", body: { provider: "wechat", code } });
  sessionStorage.setItem("session", JSON.stringify(session));
  greet();
}

function greet() {
  byId("who").textContent = `微信用户 ${session.openid.slice(0, 6)}…${session.openid.slice(-4)}`;
}

/** Calls the gateway as this user; a session that is over is opened anew, once. */
async function call(path, options = {}) {
  try {
    return await ask(`/gateway${path}`, { ...options, token: session.session_token });
  } catch (error) {
    if (error.status !== 401) throw error;
    await login();
    return ask(`/gateway${path}`, { ...options, token: session.session_token });
  }
}

function keep(payment, more = {}) {
  const number = payment.out_trade_no;
  const known = orders.get(number) || { number };
  const { description: title, amount, status, refunded_amount: refunded } = payment;
  const asked = status === "refunded" ? "" : known.asked;
  orders.set(number, { ...known, title, amount, status, refunded, asked, ...more });
  save();
  show();
}

function show() {
  const lines = [...orders.values()].reverse().map((order) => {
    const line = element("li", "", `order ${order.status} ${order.asked || ""}`);
    line.dataset.number = order.number;
    const words = order.asked ? { waiting: "退款申请中", rejected: "商家未同意退款" }[order.asked] : WORDS[order.status];
    line.append(element("b", order.title.replace(/^渡口书店-/, "")), element("span", words || order.status, "state"));
    line.append(element("span", yuan(order.amount), "price"));
    const button = element("button");
    if (["created", "pending"].includes(order.status)) {
      button.textContent = "去支付";
      button.className = "green small";
      button.addEventListener("click", () => pay(order.number));
      line.append(button);
    } else if (order.status === "succeeded" && order.asked !== "waiting") {
      button.textContent = "申请退款";
      button.className = "plain small";
      button.addEventListener("click", () => openAsking(order.number));
      line.append(button);
    }
    return line;
  });
  byId("orders").replaceChildren(...lines);
  byId("no-orders").hidden = lines.length > 0;
}

async function guarded(button, work) {
  if (button) button.disabled = true;
  tell("");
  try {
    await work();
  } catch (error) {
    tell(error.message);
  } finally {
    if (button) button.disabled = false;
  }
}

const buy = (book, button) => guarded(button, async () => {
  const payment = await ask(`/orders/${book}`, { method: "POST" });
  keep(payment);
  await openCashier(payment.out_trade_no);
});

const pay = (number) => guarded(null, () => openCashier(number));

/** The gateway signs the arguments of wx.requestPayment; the phone then asks its owner. */
async function openCashier(number) {
  const payment = await call(`/payments/${number}/invoke`, { method: "POST" });
  keep(payment);
  if (!payment.invoke) return;
  paying = { number, invoke: payment.invoke };
  byId("cashier-for").textContent = payment.description;
  byId("cashier-amount").textContent = yuan(payment.amount);
  byId("cashier-note").textContent = "";
  byId("cashier-pay").disabled = false;
  open("cashier");
  byId("cashier-pay").focus({ preventScroll: true });
}

/** What the phone does after its owner agreed: the platform checks the signature and takes the money. */
async function confirm() {
  // The cashier may be another order's when the answer comes.
  const mine = paying;
  byId("cashier-pay").disabled = true;
  try {
    await ask("/wx/pay", { method: "POST", body: mine.invoke });
    await refresh(mine.number);
    settle(mine.number);
  } catch (error) {
    // That the answer was lost, or that it was paid before, does not say that it is unpaid: the gateway knows.
    await refresh(mine.number).catch(() => {});
    if (isPaid(mine.number)) settle(mine.number);
    else if (paying === mine) {
      byId("cashier-note").textContent = error.message;
      byId("cashier-pay").disabled = false;
    }
  }
}

const isPaid = (number) => orders.get(number)?.status === "succeeded";

/** Ends the cashier of an order that was paid, if it is still that order's. */
function settle(number) {
  if (paying?.number !== number || byId("cashier").hidden) return;
  close();
  tell("支付成功");
}

function openAsking(number) {
  asking = number;
  const order = orders.get(number);
  byId("asking-for").textContent = `${order.title.replace(/^渡口书店-/, "")} · ${yuan(order.amount)}`;
  open("asking");
  byId("reason").focus({ preventScroll: true });
}

async function submit(event) {
  event.preventDefault();
  const number = asking;
  const order = orders.get(number);
  close();
  await guarded(null, async () => {
    const body = { amount: order.amount, reason: byId("reason").value };
    await call(`/payments/${number}/refund-requests`, { method: "POST", body });
    orders.set(number, { ...orders.get(number), asked: "waiting" });
    save();
    show();
  });
}

/** What the mini-program's share sends; the gateway answers with a page to pass on. */
const share = (book, button) => guarded(button, async () => {
  const shared = await call("/shares/douyin", { method: "POST", body: book.share });
  sharing = shared.share_id;
  byId("sharing-for").textContent = shared.title;
  byId("sharing-page").href = shared.landing_url;
  byId("sharing-douyin").href = douyin + encodeURIComponent(shared.schema);
  byId("sharing-note").textContent = "等待发布…";
  open("sharing");
});

function open(sheet) {
  byId("shade").hidden = false;
  byId(sheet).hidden = false;
}

function close() {
  for (const id of ["shade", "cashier", "asking", "sharing"]) byId(id).hidden = true;
}

/** Reads one order anew; one that nobody has begun to pay is not this user's yet. */
async function refresh(number) {
  const order = orders.get(number);
  if (!order || order.status === "created") return;
  const payment = await call(`/payments/${number}`);
  // A decision may have been made while nobody listened here.
  const decided = order.asked === "waiting" && await ask(`/orders/${number}/asked`, { token: session.session_token });
  keep(payment, decided && payment.status === "succeeded" ? decided : {});
}

async function happened({ type, number, share: published, title }) {
  if (type === "share.published") {
    if (published === sharing) byId("sharing-note").textContent = "已发布到抖音";
    tell(`已发布到抖音：${title || ""}`);
    return;
  }
  if (!orders.has(number)) return;
  try {
    await refresh(number);
  } catch (error) {
    tell(error.message);
  }
  // The answer to the phone may have been lost.
  if (isPaid(number)) settle(number);
}

function shelve(book) {
  const line = element("li", "", `book ${book.id}`);
  const cover = element("div", "", "cover");
  cover.append(element("b", book.title), element("small", book.author));
  const button = element("button", "购买", "green small");
  button.setAttribute("aria-label", `购买《${book.title}》`);
  button.addEventListener("click", () => buy(book.id, button));
  const pass = element("button", "分享", "share");
  pass.setAttribute("aria-label", `分享《${book.title}》到抖音`);
  pass.addEventListener("click", () => share(book, pass));
  const actions = element("div", "", "actions");
  actions.append(pass, button);
  const row = element("div", "", "row");
  row.append(element("span", yuan(book.price), "price"), actions);
  line.append(cover, row);
  return line;
}

function tick() {
  const now = new Date();
  byId("clock").textContent = `${now.getHours()}:${String(now.getMinutes()).padStart(2, "0")}`;
}

async function start() {
  tick();
  setInterval(tick, 10_000);
  byId("cashier-pay").addEventListener("click", confirm);
  byId("asking").addEventListener("submit", submit);
  for (const id of ["shade", "cashier-close", "asking-close", "sharing-close"]) byId(id).addEventListener("click", close);
  document.addEventListener("keydown", ({ key }) => { if (key === "Escape") close(); });
  for (const order of JSON.parse(sessionStorage.getItem("orders") || "[]")) orders.set(order.number, order);
  show();
  const { books, douyin: opens } = await ask("/books");
  douyin = opens;
  byId("books").replaceChildren(...books.map(shelve));
  session = JSON.parse(sessionStorage.getItem("session") || "null");
  if (session) greet();
  else await login();
  const again = (isOpen) => isOpen && orders.forEach(({ number }) => refresh(number).catch(({ message }) => tell(message)));
  listen({ event: happened, state: again });
}

start().catch((error) => tell(error.message));
