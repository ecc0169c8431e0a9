"use strict";
// Opens a share schema as the Douyin app does, and publishes. Text from a schema only ever becomes text, never markup.

const LOOK_EVERY_MS = 1500;
const by = (id) => document.getElementById(id);
const panels = ["paste", "refused", "editor", "published"];
let opening = null;
let hashtags = [];
let shown = "";

const TARGETS = { edit: "剪辑页", publish: "发布页", daily: "转发到日常" };
const KINDS = { video: "视频", image: "图片", images: "图集" };
const VISIBILITIES = { public: "公开", private: "仅自己可见", friends: "好友可见" };

const REASONS = {
  signature: "签名与应用持有的 ticket 都不相符：签名、nonce_str 或 timestamp 有误",
  ticket_expired: "签名所用的 ticket 已过期",
  timestamp: "timestamp 太旧或不正确",
  nonce: "nonce_str 已被用过",
  client_key: "没有这个 client_key",
  permission: "应用没有所需的权限",
  link: "短链接不存在或已过期",
  media: "素材地址不可用",
  parameter: "链接的参数不正确",
};

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function show(panel) {
  for (const id of panels) by(id).hidden = id !== panel;
  by("notice").textContent = "";
}

async function call(path, body) {
  const options = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  const answer = await fetch(`/_sandbox/douyin/${path}`, options);
  return { ok: answer.ok, value: await answer.json() };
}

function tile(url, kind, index, count) {
  const made = element("div", "tile");
  made.title = url;
  const name = kind === "images" ? `${KINDS.image} ${index + 1}/${count}` : KINDS[kind];
  const parsed = new URL(url);
  made.append(element("b", "", name), element("span", "", parsed.host + parsed.pathname));
  return made;
}

function showHashtags() {
  by("hashtags").replaceChildren(...hashtags.map((topic) => {
    const item = element("li", "", `#${topic}`);
    const remove = element("button", "", "✕");
    remove.type = "button";
    remove.setAttribute("aria-label", `去掉话题 ${topic}`);
    remove.addEventListener("click", () => {
      hashtags = hashtags.filter((other) => other !== topic);
      showHashtags();
    });
    item.append(remove);
    return item;
  }));
}

function showDetails() {
  const rows = [
    ["来源", opening.app_name],
    ["share_id", opening.share_id ?? "无"],
    ["发布后回调", opening.need_callback ? "是" : "否"],
    ["可见范围", VISIBILITIES[opening.visibility]],
    ["允许下载", opening.downloadable ? "是" : "否"],
  ];
  if (opening.short_title) rows.push(["短标题", opening.short_title]);
  if (opening.title_hashtags.length > 0) rows.push(["标题内话题", opening.title_hashtags.map((t) => `#${t.name}@${t.start}`).join(" ")]);
  if (opening.poi_id) rows.push(["地点", opening.poi_id]);
  if (opening.note) rows.push(["形式", "笔记"]);
  by("details").replaceChildren(...rows.flatMap(([name, value]) => [element("dt", "", name), element("dd", "", value)]));
  by("ignored").replaceChildren(...opening.ignored.map((text) => element("li", "", `未使用 ${text}`)));
}

function showEditor() {
  by("editor-title").textContent = `${TARGETS[opening.target]} · ${KINDS[opening.media.kind]}`;
  const { kind, urls } = opening.media;
  by("media").replaceChildren(...urls.map((url, index) => tile(url, kind, index, urls.length)));
  by("title").value = opening.title;
  hashtags = [...opening.hashtags];
  showHashtags();
  const program = opening.mini_program;
  by("mini-program").hidden = !program;
  if (program) {
    const lines = [element("span", "", `小程序 · ${program.appTitle || program.appId}`)];
    if (program.description) lines.push(element("span", "facts", program.description));
    lines.push(element("span", "facts", `${program.appId} ${program.appUrl}`));
    by("mini-program").replaceChildren(...lines);
  }
  showDetails();
  show("editor");
}

async function open(schema) {
  try {
    const { ok, value } = await call("open", { schema });
    if (ok) {
      opening = value;
      showEditor();
      return;
    }
    by("refused-title").textContent = value.error;
    by("refused-detail").textContent = [REASONS[value.reason], value.detail].filter(Boolean).join("\n");
    show("refused");
  } catch {
    by("notice").textContent = "无法连接沙箱";
  }
}

async function publish() {
  const button = by("publish");
  button.disabled = true;
  try {
    const body = { opening_id: opening.opening_id, user: by("user").value, title: by("title").value, hashtags };
    const { ok, value } = await call("publish", body);
    if (!ok) {
      by("notice").textContent = value.error;
      return;
    }
    by("published-facts").textContent = `${value.nickname}\nitem_id ${value.item_id}\nshare_id ${value.share_id ?? "无"}`;
    by("webhook").textContent = value.webhook_id === null ? "不回调" : "已安排回调 create_video";
    by("webhook").className = value.webhook_id === null ? "badge" : "badge paid";
    show("published");
    await look();
  } catch {
    by("notice").textContent = "无法连接沙箱";
  } finally {
    button.disabled = false;
  }
}

function card(work) {
  const item = element("li", "");
  item.append(element("div", "body", [work.title, ...work.hashtags.map((topic) => `#${topic}`)].join(" ") || "（无描述）"));
  item.append(element("div", "facts", `${work.nickname} · ${work.app_name} · ${KINDS[work.content.media.kind]}\nitem_id ${work.item_id}`));
  return item;
}

async function look() {
  try {
    const { ok, value } = await call("works");
    const text = JSON.stringify(value);
    // Redrawing only what changed keeps what somebody has selected.
    if (!ok || text === shown) return;
    shown = text;
    by("works-count").textContent = value.works.length;
    by("works").replaceChildren(...value.works.map(card));
    if (value.works.length === 0) by("works").append(element("li", "empty", "还没有作品"));
  } catch {
    by("notice").textContent = "无法连接沙箱";
  }
}

async function people() {
  const { value } = await call("state");
  by("user").replaceChildren(...value.people.map((person) => {
    const option = element("option", "", person.nickname);
    option.value = person.user;
    return option;
  }));
}

by("paste").addEventListener("submit", (event) => {
  event.preventDefault();
  open(by("schema").value);
});
by("publish").addEventListener("click", publish);
for (const back of document.querySelectorAll(".back")) back.addEventListener("click", () => show("paste"));

people();
look();
setInterval(look, LOOK_EVERY_MS);
const given = new URLSearchParams(location.search).get("schema");
if (given) {
  by("schema").value = given;
  open(given);
}
