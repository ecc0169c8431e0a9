// The merchant's desk: what was sold, who wants money back, and what happens.
import { WORDS, ask, byId, element, listen, yuan } from "/shared.js";

const EVENTS = {
  "payment.created": "下单", "payment.pending": "等待付款", "payment.unknown": "确认中",
  "payment.succeeded": "付款成功", "payment.closed": "订单关闭", "payment.failed": "下单失败",
  "payment.attempt_closed": "换了渠道", "payment.order_missing": "平台无此订单",
  "payment.late": "关单后到账", "payment.duplicate": "重复付款",
  "payment.mismatch": "金额不符", "payment.unknown_order": "未知订单",
  "payment.partially_refunded": "部分退款", "payment.refunded": "全额退款",
  "refund.requested": "申请退款", "refund.request_rejected": "拒绝退款", "refund.created": "发起退款",
  "refund.processing": "退款处理中", "refund.unknown": "退款确认中", "refund.missing": "平台无此退款",
  "refund.succeeded": "退款到账",
  "refund.failed": "退款失败", "refund.abnormal": "退款异常",
  "share.created": "分享到抖音", "share.published": "抖音已发布", "share.expired": "分享过期",
  "message.received": "抖音消息",
};
/** Whose number is being decided, so that a second press does nothing. */
const deciding = new Set();
let looking = false;
let lookAgain = false;

/** Reads the desk anew; while that is under way, once more after it is enough. */
async function look() {
  if (looking) {
    lookAgain = true;
    return;
  }
  looking = true;
  try {
    show(await ask("/merchant/desk"));
  } catch (error) {
    byId("live").textContent = error.message;
  } finally {
    looking = false;
    if (lookAgain) {
      lookAgain = false;
      look();
    }
  }
}

function show({ orders, requests, events }) {
  const paid = orders.filter(({ status }) => ["succeeded", "partially_refunded", "refunded"].includes(status));
  const sum = (list, key) => list.reduce((total, entry) => total + entry[key], 0);
  const waiting = requests.filter(({ status }) => status === "pending");
  byId("taken").textContent = yuan(sum(paid, "amount"));
  byId("returned").textContent = yuan(sum(orders, "refunded"));
  byId("waiting").textContent = String(waiting.length);
  byId("requests").replaceChildren(...waiting.map((request) => asked(request, orders)));
  byId("no-requests").hidden = waiting.length > 0;
  byId("sales").replaceChildren(...orders.slice(0, 8).map(sold));
  byId("events").replaceChildren(...events.slice(0, 8).map(event));
}

function asked(request, orders) {
  const line = element("li", "", "request");
  const order = orders.find(({ number }) => number === request.number);
  const words = element("div");
  words.append(element("b", `${order ? order.title.replace(/^渡口书店-/, "") : ""} ${yuan(request.amount)}`));
  words.append(element("small", `${request.reason || "没有说明"} · ${request.number}`));
  const approve = element("button", "同意退款", "green");
  const reject = element("button", "拒绝", "plain");
  for (const [button, decision] of [[approve, "approve"], [reject, "reject"]]) {
    button.disabled = deciding.has(request.id);
    button.addEventListener("click", () => decide(request.id, decision));
  }
  line.append(words, approve, reject);
  return line;
}

async function decide(id, decision) {
  deciding.add(id);
  try {
    await ask(`/merchant/refund-requests/${id}/${decision}`, { method: "POST" });
  } catch (error) {
    byId("live").textContent = error.message;
  } finally {
    deciding.delete(id);
    look();
  }
}

function sold(order) {
  const line = element("li", "", `sale ${order.status}`);
  line.append(element("span", order.title.replace(/^渡口书店-/, "")), element("span", yuan(order.amount), "price"));
  line.append(element("span", WORDS[order.status] || order.status, "state"));
  return line;
}

function event({ type, at, amount }) {
  const line = element("li", "", `event ${type.replace(".", "-")}`);
  const time = element("time", new Date(at).toLocaleTimeString("zh-CN", { hour12: false }));
  time.dateTime = at;
  line.append(time, element("b", EVENTS[type] || type), element("code", type));
  if (Number.isInteger(amount)) line.append(element("span", yuan(amount), "price"));
  return line;
}

ask("/books").then(({ phone }) => { byId("phone").href = phone; });
look();
listen({
  event: look,
  state: (isOpen) => {
    byId("live").textContent = isOpen ? "实时" : "正在重新连接";
    byId("live").classList.toggle("on", isOpen);
    if (isOpen) look();
  },
});
