// The page: sessions at the side, one conversation, one line to write on.

import {LinkLost, Rpc, RpcError} from "./rpc.js";
import {Session} from "./session.js";
import {Log} from "./view.js";

const byId = (id) => document.getElementById(id);
const PAGE = 50;
const FOLLOWED = 8;
const STATES = {connecting: "connecting", open: "connected", waiting: "connection lost, trying again"};
const THEMES = {"": "as the system", light: "light", dark: "dark"};

const log = new Log();
const sessions = new Map();
let listed = [];
let current = new Session("");
let rpc = null;
let linked = false;

// --- the token ---------------------------------------------------------------------------------

function stored() {
  return sessionStorage.getItem("token") ?? localStorage.getItem("token");
}

function forget() {
  sessionStorage.removeItem("token");
  localStorage.removeItem("token");
}

function begin() {
  const link = new URLSearchParams(location.hash.slice(1)).get("link");
  if (location.hash) {
    history.replaceState(null, "", location.pathname);
  }
  if (link) {
    connect({link});
  } else if (stored()) {
    connect({token: stored()});
  } else {
    login("");
  }
}

function login(trouble) {
  byId("login-trouble").textContent = trouble;
  byId("app").hidden = true;
  byId("login").showModal();
  byId("token").focus();
}

byId("login").addEventListener("cancel", (event) => event.preventDefault());
byId("login").addEventListener("close", () => {
  const token = byId("token").value.trim();
  byId("token").value = "";
  if (!token) {
    login("");
    return;
  }
  (byId("keep").checked ? localStorage : sessionStorage).setItem("token", token);
  connect({token});
});

byId("leave").addEventListener("click", () => {
  forget();
  rpc?.end();
  location.reload();
});

// --- the connection ------------------------------------------------------------------------------

function connect(secret) {
  const url = new URL("ws", document.baseURI);
  url.protocol = url.protocol.replace("http", "ws");
  byId("app").hidden = false;
  rpc = new Rpc(url.href, secret, {
    state(name) {
      linked = name === "open";
      byId("link").dataset.state = name;
      byId("link").replaceChildren(Object.assign(document.createElement("span"), {textContent: STATES[name]}));
      byId("link").title = STATES[name];
      mind();
    },
    opened(connected) {
      if (connected.token) {
        sessionStorage.setItem("token", connected.token);
      }
      resume();
    },
    event: heard,
    refused(message) {
      forget();
      login(secret.link ? "This link was used before, or is too old. Enter your token." : `Not accepted: ${message}.`);
    },
  });
}

async function attempt(work) {
  try {
    await work();
  } catch (error) {
    if (error instanceof RpcError) {
      trouble(error.message);
    } else if (!(error instanceof LinkLost)) {
      throw error;
    }
  }
}

function resume() {
  trouble("");
  attempt(async () => {
    await listSessions();
    if (current.key) {
      await open(current.key, true);
    }
    for (const session of sessions.values()) {
      for (const entry of session.entries.filter((one) => one.state === "pending" && !one.id)) {
        deliver(session, entry);
      }
    }
  });
}

// --- events --------------------------------------------------------------------------------------

function heard(event) {
  const session = sessions.get(event.session_key);
  if (!session) {
    return;
  }
  if (event.type === "resync") {
    attempt(() => subscribe(session));
    return;
  }
  if (event.type === "session.deleted") {
    gone(session);
    return;
  }
  const change = session.event(event);
  if (change.gap) {
    attempt(() => subscribe(session));
  }
  if (session === current) {
    change.added?.forEach((entry) => log.add(entry));
    change.changed?.forEach((entry) => log.touch(entry));
    mind();
  }
  if (event.type === "chat.message" && listed[0]?.session_key !== session.key) {
    attempt(listSessions);
  }
}

async function subscribe(session) {
  try {
    const found = await rpc.call("session.subscribe", {session_key: session.key, after_seq: session.seq});
    if (session.id !== undefined && session.id !== found.session_id) {
      session.loaded = false; // it was deleted and made again: what is shown is another one's
      await open(session.key, true);
    }
    session.id = found.session_id;
  } catch (error) {
    if (error instanceof RpcError && error.word === "gap") {
      session.loaded = false;
      await open(session.key, true);
    } else if (!(error instanceof RpcError && error.word === "not_found")) {
      throw error;
    }
  }
}

// --- sessions ------------------------------------------------------------------------------------

async function listSessions() {
  const found = [];
  let after = null;
  do {
    const page = await rpc.call("session.list", after ? {limit: 200, after} : {limit: 200});
    found.push(...page.sessions);
    after = page.next;
  } while (after && found.length < 1000);
  listed = found.sort((one, other) => other.updated_at.localeCompare(one.updated_at));
  drawSessions();
}

function drawSessions() {
  byId("sessions").replaceChildren(...listed.map((info) => {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-current", String(info.session_key === current.key));
    const name = Object.assign(document.createElement("span"), {className: "name", textContent: nameOf(info.session_key)});
    const when = Object.assign(document.createElement("span"), {className: "when", textContent: whenOf(info)});
    button.append(name, when);
    button.addEventListener("click", () => { drawer(false); attempt(() => open(info.session_key)); });
    const item = document.createElement("li");
    item.append(button);
    return item;
  }));
}

function whenOf(info) {
  const at = new Date(info.updated_at);
  const today = at.toDateString() === new Date().toDateString();
  const when = today ? at.toLocaleTimeString([], {hour: "2-digit", minute: "2-digit"}) : at.toLocaleDateString();
  return info.running?.length ? `${when} · answering` : when;
}

// The last part of a key is what its maker called it; our own names end with four random letters.
function nameOf(key) {
  const parts = key.split(":").filter(Boolean);
  const name = decode(parts.at(-1) ?? key);
  return name.replace(/-[a-z0-9]{4}$/, "").replaceAll("-", " ") || name;
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

// Of the sessions that were looked at only the latest are followed; the gateway bounds how many may be.
function rest() {
  const idle = [...sessions.values()].filter((session) => session !== current && session.running.length === 0);
  for (const session of idle.slice(0, Math.max(0, sessions.size - FOLLOWED))) {
    sessions.delete(session.key);
    rpc.call("session.unsubscribe", {session_key: session.key}).catch(() => {});
  }
}

async function open(key, again = false) {
  const session = sessions.get(key) ?? new Session(key);
  sessions.delete(key);
  sessions.set(key, session);
  keepDraft();
  if (session !== current || !session.loaded) {
    current = session;
    byId("text").value = session.draft;
    grow();
    log.show(session.entries);
  }
  title();
  rest();
  if (!session.loaded) {
    const page = await rpc.call("chat.history", {session_key: key, limit: PAGE});
    const unsent = session.entries.filter((entry) => !entry.id);
    session.entries = [];
    session.byId.clear();
    session.seq = 0;
    session.take(page, false);
    session.entries.push(...unsent);
    session.loaded = true;
    if (session === current) {
      log.show(session.entries);
    }
    await subscribe(session);
  } else if (again) {
    await subscribe(session);
  }
  title();
}

function gone(session) {
  sessions.delete(session.key);
  listed = listed.filter((info) => info.session_key !== session.key);
  drawSessions();
  if (session === current) {
    fresh();
  }
}

function fresh() {
  keepDraft();
  current = new Session("");
  byId("text").value = "";
  grow();
  log.show([]);
  title();
  drawSessions();
  byId("text").focus();
}

function title() {
  byId("title").textContent = current.key ? nameOf(current.key) : "New chat";
  byId("earlier").hidden = !current.hasMore;
  byId("delete").hidden = !current.key;
  drawSessions();
  mind();
}

byId("earlier").addEventListener("click", () => attempt(async () => {
  const session = current;
  const first = session.entries.find((entry) => entry.id);
  const page = await rpc.call("chat.history", {session_key: session.key, limit: PAGE, before: first.id});
  const entries = session.take(page, true);
  if (session === current) {
    log.before(entries);
    title();
  }
}));

byId("delete").addEventListener("click", () => {
  byId("ask-text").textContent = `Delete “${nameOf(current.key)}” with all that was said?`;
  byId("ask").returnValue = "";
  byId("ask").showModal();
});

byId("ask").addEventListener("close", () => {
  const session = current;
  if (byId("ask").returnValue === "yes" && session.key) {
    attempt(async () => {
      await rpc.call("session.delete", {session_key: session.key});
      gone(session);
    });
  }
});

byId("new").addEventListener("click", () => { drawer(false); fresh(); });

// --- writing -------------------------------------------------------------------------------------

function random(length) {
  const letters = "abcdefghijkmnpqrstuvwxyz23456789";
  return [...crypto.getRandomValues(new Uint8Array(length))].map((byte) => letters[byte % 32]).join("");
}

// A name made of the first words, short enough for any key in any script.
function invent(text) {
  const words = text.normalize("NFC").match(/[\p{L}\p{M}\p{N}]+/gu) ?? ["chat"];
  let name = "";
  for (const letter of words.slice(0, 6).join("-")) {
    if (new TextEncoder().encode(name + letter).length > 60) { break; }
    name += letter;
  }
  return `${name}-${random(4)}`;
}

async function say(text) {
  const session = current;
  if (!session.key) {
    const made = await rpc.call("session.create", {session_key: invent(text)});
    session.key = made.session_key;
    session.loaded = true;
    sessions.set(session.key, session);
    rest();
    await subscribe(session);
    attempt(listSessions);
    title();
  }
  const entry = session.say(text, random(24));
  log.add(entry);
  mind();
  deliver(session, entry);
}

// Under the same key a message is said once, however often it is sent.
function deliver(session, entry) {
  const params = {text: entry.text, session_key: session.key, idempotency_key: entry.idempotency};
  rpc.call("chat.send_stream", params).then((result) => {
    const change = session.accepted(entry, result);
    if (session === current) {
      change.gone?.forEach((one) => log.drop(one));
      change.changed?.forEach((one) => log.touch(one));
      mind();
    }
  }).catch((error) => {
    if (error instanceof RpcError) {
      entry.state = "unsent";
      entry.problem = error.message;
      if (session === current) { log.touch(entry); mind(); }
    } else if (!(error instanceof LinkLost)) {
      throw error;
    }
  });
}

byId("compose").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = byId("text").value.trim();
  if (!text || !linked) {
    return;
  }
  byId("text").value = "";
  grow();
  attempt(() => say(text)).then(() => byId("text").focus());
});

byId("stop").addEventListener("click", abort);

function abort() {
  if (current.running.length && current.key) {
    attempt(() => rpc.call("chat.abort", {session_key: current.key}));
  }
}

byId("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.keyCode !== 229) {
    event.preventDefault();
    byId("compose").requestSubmit();
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !document.querySelector("dialog[open]")) {
    if (byId("side").classList.contains("open")) { drawer(false); } else { abort(); }
  } else if (event.altKey && event.code === "KeyN") {
    event.preventDefault();
    fresh();
  }
});

byId("text").addEventListener("input", grow);

function grow() {
  const field = byId("text");
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight + 2}px`;
  mind();
}

function keepDraft() {
  current.draft = byId("text").value;
}

// --- the rest of the page ---------------------------------------------------------------------------

function mind() {
  byId("stop").hidden = current.running.length === 0;
  byId("send").disabled = !linked || !byId("text").value.trim();
}

function trouble(text) {
  byId("trouble").textContent = text;
  byId("trouble").hidden = !text;
}

function drawer(open) {
  byId("side").classList.toggle("open", open);
  byId("shade").hidden = !open;
  byId("side-open").setAttribute("aria-expanded", String(open));
  if (open) { byId("side-close").focus(); }
}

byId("side-open").addEventListener("click", () => drawer(true));
byId("side-close").addEventListener("click", () => { drawer(false); byId("side-open").focus(); });
byId("shade").addEventListener("click", () => drawer(false));

function theme(name) {
  document.documentElement.dataset.theme = name;
  byId("theme").textContent = `Theme: ${THEMES[name]}`;
  localStorage.setItem("theme", name);
}

byId("theme").addEventListener("click", () => {
  const names = Object.keys(THEMES);
  theme(names[(names.indexOf(document.documentElement.dataset.theme) + 1) % names.length]);
});

const kept = localStorage.getItem("theme") ?? "";
theme(Object.hasOwn(THEMES, kept) ? kept : "");
begin();
