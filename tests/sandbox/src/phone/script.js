"use strict";
// Shows the orders and pays them. Text from orders only ever becomes text, never markup.

const LOOK_EVERY_MS = 1500;
const waiting = document.getElementById("waiting");
const done = document.getElementById("done");
const notice = document.getElementById("notice");
const count = document.getElementById("waiting-count");
let shown = "";

const STATES = {
  SUCCESS: ["已支付", "paid"],
  REFUND: ["有退款", "refunded"],
  CLOSED: ["已关闭", ""],
};

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// Whole fen to yuan without fractions of a number.
function yuan(fen) {
  const digits = String(fen).padStart(3, "0");
  return `${digits.slice(0, -2)}.${digits.slice(-2)}`;
}

function facts(order) {
  const lines = [
    `商户 ${order.mch_id} · ${order.trade_type} · ${order.api}`,
    `单号 ${order.out_trade_no}`,
    order.paid_at ? `支付于 ${order.paid_at}` : `下单于 ${order.created_at}`,
  ];
  if (order.refunded_fee > 0) lines.push(`已退款 ¥${yuan(order.refunded_fee)}`);
  return lines.join("\n");
}

async function pay(order, button) {
  button.disabled = true;
  button.textContent = "支付中…";
  notice.textContent = "";
  try {
    const path = [order.mch_id, order.out_trade_no].map(encodeURIComponent).join("/");
    const answer = await fetch(`/_sandbox/phone/pay/${path}`, { method: "POST" });
    if (!answer.ok) notice.textContent = (await answer.json()).error;
  } catch {
    notice.textContent = "无法连接沙箱";
  }
  shown = "";
  await look();
}

function card(order, payable) {
  const item = element("li", payable ? "" : "done");
  item.append(element("div", "body", order.body), element("div", "facts", facts(order)));
  const row = element("div", "row");
  row.append(element("span", "amount", yuan(order.total_fee)));
  if (payable) {
    const button = element("button", "", "支付");
    button.type = "button";
    button.setAttribute("aria-label", `支付 ${yuan(order.total_fee)} 元，${order.body}`);
    button.addEventListener("click", () => pay(order, button));
    row.append(button);
  } else {
    const [text, kind] = STATES[order.trade_state] ?? [order.expired ? "已过期" : order.trade_state, ""];
    const whole = order.refunded_fee > 0 && order.refunded_fee === order.total_fee;
    row.append(element("span", `badge ${kind}`, whole ? "已全额退款" : text));
  }
  item.append(row);
  return item;
}

function show(orders) {
  const payable = (order) => ["NOTPAY", "PAYERROR"].includes(order.trade_state) && !order.expired;
  const open = orders.filter(payable);
  const rest = orders.filter((order) => !payable(order));
  count.textContent = open.length;
  waiting.replaceChildren(...open.map((order) => card(order, true)));
  done.replaceChildren(...rest.map((order) => card(order, false)));
  if (open.length === 0) waiting.append(element("li", "empty", "没有待支付的订单"));
  if (rest.length === 0) done.append(element("li", "empty", "暂无记录"));
}

async function look() {
  try {
    const answer = await fetch("/_sandbox/phone/orders");
    const text = await answer.text();
    // Redrawing only what changed keeps the focus and the button under the finger.
    if (answer.ok && text !== shown) {
      shown = text;
      show(JSON.parse(text).orders);
    }
    if (notice.textContent === "无法连接沙箱") notice.textContent = "";
  } catch {
    notice.textContent = "无法连接沙箱";
  }
}

look();
setInterval(look, LOOK_EVERY_MS);
