// Asks the shop's own back end; the key of the gateway never comes here.
"use strict";

const WORDS = {
  created: "正在下单", pending: "等待付款，请在手机上支付", unknown: "正在确认", succeeded: "已付款",
  partially_refunded: "部分退款", refunded: "已退款", closed: "已关闭", failed: "下单失败",
};
const MOVING = new Set(["created", "pending", "unknown"]);
const orders = new Map();
let phone = "#";

const byId = (id) => document.getElementById(id);
const yuan = (fen) => `¥${Math.trunc(fen / 100)}.${String(fen % 100).padStart(2, "0")}`;

function element(name, text, className) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  if (className) made.className = className;
  return made;
}

async function ask(path, method = "GET") {
  const headers = method === "POST" ? { "X-Shop": "1" } : {};
  const response = await fetch(path, { method, headers });
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.message || "请稍后再试");
  return body;
}

function tell(text) {
  byId("notice").textContent = text;
}

function show(order) {
  const known = orders.get(order.number);
  const line = known ? known.line : element("li", "", "order");
  const refunding = known ? known.refunding && order.status === "succeeded" : false;
  orders.set(order.number, { ...order, line, refunding });
  const act = element("span", "", "act");
  if (order.status === "pending") {
    const link = element("a", "去手机付款");
    link.href = phone;
    link.target = "_blank";
    link.rel = "noopener";
    act.append(link);
  }
  if (order.status === "succeeded") {
    const button = element("button", refunding ? "退款中…" : "退款", "plain");
    button.disabled = refunding;
    button.addEventListener("click", () => refund(order.number));
    act.append(button);
  }
  const words = refunding ? "退款处理中" : WORDS[order.status] || order.status;
  line.className = ["succeeded", "refunded"].includes(order.status) ? "order good" : "order";
  line.replaceChildren(
    element("span", `${order.title} · ${yuan(order.amount)}`),
    element("span", words, "state"),
    element("code", order.number),
    act,
  );
  if (!known) byId("orders").prepend(line);
  byId("empty").hidden = true;
}

async function buy(book, button) {
  button.disabled = true;
  tell("");
  try {
    show(await ask(`/orders/${book}`, "POST"));
  } catch (error) {
    tell(error.message);
  } finally {
    button.disabled = false;
  }
}

async function refund(number) {
  tell("");
  orders.get(number).refunding = true;
  show(orders.get(number));
  try {
    show(await ask(`/orders/${number}/refund`, "POST"));
  } catch (error) {
    orders.get(number).refunding = false;
    show(orders.get(number));
    tell(error.message);
  }
}

async function look() {
  for (const order of orders.values()) {
    if (!MOVING.has(order.status) && !order.refunding) continue;
    try {
      const now = await ask(`/orders/${order.number}`);
      if (now.status !== order.status) show(now);
    } catch (error) {
      tell(error.message);
    }
  }
  setTimeout(look, 700);
}

async function start() {
  const shop = await ask("/books");
  phone = shop.phone;
  byId("phone").href = phone;
  for (const book of shop.books) {
    const line = element("li", "", "book");
    const row = element("div");
    const button = element("button", "购买");
    button.setAttribute("aria-label", `购买《${book.title}》`);
    button.addEventListener("click", () => buy(book.id, button));
    row.append(element("span", yuan(book.price), "price"), button);
    line.append(element("p", book.title, "cover"), row);
    byId("books").append(line);
  }
  look();
}

start().catch((error) => tell(error.message));
