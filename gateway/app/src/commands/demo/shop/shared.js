// What both sides of the page use.

export const WORDS = {
  created: "待付款", pending: "待付款", unknown: "确认中", succeeded: "已付款",
  partially_refunded: "部分退款", refunded: "已退款", closed: "已关闭", failed: "下单失败",
};

export const byId = (id) => document.getElementById(id);

/** Fen as people write them. */
export const yuan = (fen) => `¥${Math.trunc(fen / 100)}.${String(fen % 100).padStart(2, "0")}`;

export function element(name, text = "", className = "") {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  if (className) made.className = className;
  return made;
}

/** Asks the shop's own server. The gateway's key never comes here; a session's token may go along. */
export async function ask(path, { method = "GET", body, token } = {}) {
  const headers = {};
  if (method === "POST") headers["X-Shop"] = "1";
  if (body) headers["Content-Type"] = "application/json";
  if (token) headers.Authorization = `Bearer ${token}`;
  const response = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw Object.assign(new Error(answer.detail || "请稍后再试"), { status: response.status });
  return answer;
}

const listeners = { event: [], state: [] };
let stream;

/** Hears of everything that happens, and of every change of the connection. One stream serves all. */
export function listen({ event, state }) {
  if (event) listeners.event.push(event);
  if (state) listeners.state.push(state);
  if (stream) {
    // Who comes late missed that it opened.
    if (state && stream.readyState === EventSource.OPEN) state(true);
    return;
  }
  stream = new EventSource("/live");
  stream.onopen = () => listeners.state.forEach((tell) => tell(true));
  stream.onerror = () => listeners.state.forEach((tell) => tell(false));
  stream.onmessage = ({ data }) => {
    const happened = JSON.parse(data);
    listeners.event.forEach((tell) => tell(happened));
  };
}
