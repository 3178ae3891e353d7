// Markdown as DOM nodes. Text becomes text nodes and nothing else: no HTML is ever parsed, no image loaded,
// and a link leads to http, https or mailto only.

const DEEPEST = 6;
const LONGEST = 400_000;
const SAFE = /^(https?:|mailto:)/i;

export function render(text) {
  const out = document.createDocumentFragment();
  if (text.length > LONGEST) {
    out.append(element("p", text));
    return out;
  }
  blocks(text.replace(/\r\n?/g, "\n").split("\n"), out, 0);
  return out;
}

function element(name, ...children) {
  const made = document.createElement(name);
  made.append(...children);
  return made;
}

function blocks(lines, out, depth) {
  let at = 0;
  while (at < lines.length) {
    const line = lines[at];
    if (!line.trim()) {
      at += 1;
      continue;
    }
    const reader = depth < DEEPEST ? BLOCKS.find((one) => one.starts(line, lines[at + 1])) : undefined;
    at = reader ? reader.read(lines, at, out, depth) : paragraph(lines, at, out);
  }
}

const FENCE = /^ {0,3}(`{3,}|~{3,})([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})[ \t]+(.*)$/;
const RULE = /^ {0,3}(?:\*[ \t]*){3,}$|^ {0,3}(?:-[ \t]*){3,}$|^ {0,3}(?:_[ \t]*){3,}$/;
const ITEM = /^( {0,9})([-*+]|\d{1,9}[.)])( {1,4}|\t|$)(.*)$/;
const CELLS = /^ {0,3}\|?(?: *:?-+:? *\|)+(?: *:?-+:? *)?$/;

const BLOCKS = [
  {starts: (line) => FENCE.test(line), read: fence},
  {starts: (line) => HEADING.test(line), read: heading},
  {starts: (line) => RULE.test(line), read: rule},
  {starts: (line) => /^ {0,3}>/.test(line), read: quote},
  {starts: (line) => ITEM.test(line), read: list},
  {starts: (line, next) => line.includes("|") && next !== undefined && CELLS.test(next), read: table},
];

function fence(lines, at, out) {
  const [, mark, info] = FENCE.exec(lines[at]);
  const code = [];
  let end = at + 1;
  while (end < lines.length) {
    const close = FENCE.exec(lines[end]);
    if (close && close[1][0] === mark[0] && close[1].length >= mark.length && !close[2].trim()) {
      break;
    }
    code.push(lines[end]);
    end += 1;
  }
  const inner = element("code", code.join("\n"));
  const language = info.trim().split(/\s/)[0].slice(0, 30);
  if (language) {
    inner.dataset.language = language;
  }
  const copy = element("button", "Copy");
  copy.type = "button";
  copy.setAttribute("aria-label", language ? `Copy this ${language} code` : "Copy this code");
  copy.onclick = () => navigator.clipboard?.writeText(inner.textContent).then(() => { copy.textContent = "Copied"; });
  const head = element("div", element("span", language));
  head.className = "head";
  if (navigator.clipboard) { // only where the connection is safe from others
    head.append(copy);
  }
  const box = element("div", head, element("pre", inner));
  box.className = "code";
  out.append(box);
  return end + 1;
}

// The page has two levels of its own.
function heading(lines, at, out) {
  const [, marks, text] = HEADING.exec(lines[at]);
  const made = element(`h${Math.min(6, marks.length + 2)}`);
  inline(text.replace(/[ \t]+#+[ \t]*$/, ""), made, 0);
  out.append(made);
  return at + 1;
}

function rule(lines, at, out) {
  out.append(element("hr"));
  return at + 1;
}

function quote(lines, at, out, depth) {
  const inner = [];
  while (at < lines.length && /^ {0,3}>/.test(lines[at])) {
    inner.push(lines[at].replace(/^ {0,3}> ?/, ""));
    at += 1;
  }
  const made = element("blockquote");
  blocks(inner, made, depth + 1);
  out.append(made);
  return at;
}

function list(lines, at, out, depth) {
  const [, , first] = ITEM.exec(lines[at]);
  const ordered = /\d/.test(first);
  const made = element(ordered ? "ol" : "ul");
  if (ordered) {
    made.start = Number.parseInt(first, 10);
  }
  while (at < lines.length) {
    const found = RULE.test(lines[at]) ? null : ITEM.exec(lines[at]);
    if (!found || /\d/.test(found[2]) !== ordered) {
      break;
    }
    const width = found[1].length + found[2].length + Math.max(1, found[3].length);
    const inner = [found[4]];
    at += 1;
    while (at < lines.length && belongs(lines, at, width)) {
      inner.push(lines[at].slice(Math.min(width, indent(lines[at]))));
      at += 1;
    }
    made.append(item(inner, depth));
  }
  out.append(made);
  return at;
}

function indent(line) {
  return line.length - line.trimStart().length;
}

// A line is part of an item when it is indented, an empty one when more of the item follows.
function belongs(lines, at, width) {
  if (lines[at].trim()) {
    const lazy = !ITEM.test(lines[at]) && lines[at - 1].trim() && !BLOCKS.some((one) => one.starts(lines[at], ""));
    return indent(lines[at]) >= Math.min(width, 2) || lazy;
  }
  return lines[at + 1] !== undefined && lines[at + 1].trim() !== "" && indent(lines[at + 1]) >= Math.min(width, 2);
}

function item(inner, depth) {
  const made = element("li");
  const task = /^\[([ xX])\] (.*)$/.exec(inner[0]);
  if (task) {
    made.append(task[1] === " " ? "☐ " : "☑ ");
    inner[0] = task[2];
  }
  const inside = document.createDocumentFragment();
  blocks(inner, inside, depth + 1);
  const only = inside.firstElementChild;
  if (only?.tagName === "P" && (inside.childElementCount === 1 || /^[UO]L$/.test(only.nextElementSibling?.tagName ?? ""))) {
    only.replaceWith(...only.childNodes);
  }
  made.append(inside);
  return made;
}

function cells(line) {
  const found = [""];
  for (let at = 0; at < line.length; at += 1) {
    if (line[at] === "\\" && line[at + 1] === "|") {
      found[found.length - 1] += "|";
      at += 1;
    } else if (line[at] === "|") {
      found.push("");
    } else {
      found[found.length - 1] += line[at];
    }
  }
  if (!found[0].trim()) { found.shift(); }
  if (found.length && !found.at(-1).trim()) { found.pop(); }
  return found.slice(0, 50).map((one) => one.trim());
}

function table(lines, at, out) {
  const head = cells(lines[at]);
  const made = element("table");
  const row = (texts, name) => {
    const tr = element("tr");
    for (let column = 0; column < head.length; column += 1) {
      const cell = element(name);
      inline(texts[column] ?? "", cell, 0);
      tr.append(cell);
    }
    return tr;
  };
  made.append(element("thead", row(head, "th")));
  const body = element("tbody");
  at += 2;
  while (at < lines.length && lines[at].trim() && lines[at].includes("|")) {
    body.append(row(cells(lines[at]), "td"));
    at += 1;
  }
  made.append(body);
  const box = element("div", made);
  box.className = "table";
  box.tabIndex = 0;
  out.append(box);
  return at;
}

function paragraph(lines, at, out) {
  const text = [lines[at]];
  at += 1;
  while (at < lines.length && lines[at].trim() && !BLOCKS.some((one) => one.starts(lines[at], lines[at + 1]))) {
    text.push(lines[at]);
    at += 1;
  }
  const made = element("p");
  inline(text.map((line) => line.trimStart()).join("\n"), made, 0);
  out.append(made);
  return at;
}

const SPECIAL = /[\\`*_~[!<\n]|https?:\/\//g;

// One pass from left to right; what does not close is text. Each search for a closing mark is remembered when it
// fails, so that a text of nothing but opening marks costs no more than its length.
function inline(text, out, depth) {
  let plain = "";
  let at = 0;
  const missing = new Set();
  const flush = () => {
    if (plain) {
      out.append(plain);
      plain = "";
    }
  };
  while (at < text.length) {
    SPECIAL.lastIndex = at;
    const found = SPECIAL.exec(text);
    if (!found) {
      plain += text.slice(at);
      break;
    }
    plain += text.slice(at, found.index);
    at = found.index;
    const made = depth < DEEPEST ? span(text, at, depth, missing) : null;
    if (made) {
      flush();
      out.append(...made.nodes);
      at = made.end;
    } else {
      const length = text[at] === "h" ? 4 : 1;
      plain += text.slice(at, at + length);
      at += length;
    }
  }
  flush();
}

function span(text, at, depth, missing) {
  switch (text[at]) {
    case "\\":
      if (text[at + 1] === "\n") { return {nodes: [element("br")], end: at + 2}; }
      return /[!-/:-@[-`{-~]/.test(text[at + 1] ?? "") ? {nodes: [text[at + 1]], end: at + 2} : null;
    case "\n":
      return {nodes: [element("br")], end: at + 1};
    case "`":
      return code(text, at, missing);
    case "*":
    case "_":
    case "~":
      return emphasis(text, at, depth, missing);
    case "<":
      return angle(text, at, missing);
    case "h":
      return address(text, at);
    default:
      return link(text, at, depth, missing);
  }
}

function closing(text, mark, from, missing) {
  if (missing.has(mark)) {
    return -1;
  }
  const end = text.indexOf(mark, from);
  if (end < 0) {
    missing.add(mark);
  }
  return end;
}

function code(text, at, missing) {
  let ticks = 1;
  while (text[at + ticks] === "`" && ticks < 5) { ticks += 1; }
  const mark = "`".repeat(ticks);
  const end = closing(text, mark, at + ticks, missing);
  if (end < 0) {
    return null;
  }
  const inner = text.slice(at + ticks, end);
  return {nodes: [element("code", inner.trim() ? inner.replace(/^ (.*) $/s, "$1") : inner)], end: end + ticks};
}

const MARKS = {"**": "strong", "__": "strong", "~~": "del", "*": "em", "_": "em"};

function emphasis(text, at, depth, missing) {
  for (const mark of [text.slice(at, at + 2), text[at]]) {
    const from = at + mark.length;
    const inWord = mark[0] === "_" && /[\p{L}\p{N}]/u.test(text[at - 1] ?? "");
    if (!(mark in MARKS) || inWord || /\s|^$/.test(text[from] ?? "")) {
      continue;
    }
    const end = emphasisEnd(text, mark, from, missing);
    if (end > from) {
      const made = element(MARKS[mark]);
      inline(text.slice(from, end), made, depth + 1);
      return {nodes: [made], end: end + mark.length};
    }
  }
  return null;
}

function emphasisEnd(text, mark, from, missing) {
  for (let tries = 0, end = from; tries < 20; tries += 1) {
    end = closing(text, mark, end, missing);
    if (end < 0) {
      return -1;
    }
    const double = mark.length === 1 && (text[end + 1] === mark || text[end - 1] === mark);
    const inWord = mark[0] === "_" && /[\p{L}\p{N}]/u.test(text[end + mark.length] ?? "");
    if (end > from && !/\s/.test(text[end - 1]) && !double && !inWord && text[end - 1] !== "\\") {
      return end;
    }
    end += mark.length;
  }
  return -1;
}

function anchor(href, ...children) {
  const made = element("a", ...children);
  made.href = href;
  made.target = "_blank";
  made.rel = "noopener noreferrer nofollow";
  return made;
}

function angle(text, at, missing) {
  const end = closing(text, ">", at, missing);
  const inner = end > 0 && end - at < 2000 ? text.slice(at + 1, end) : "";
  return SAFE.test(inner) && !/\s/.test(inner) ? {nodes: [anchor(inner, inner)], end: end + 1} : null;
}

function address(text, at) {
  const rest = text.slice(at, at + 2000);
  const found = /^https?:\/\/[^\s<>"`\\^{}|]+/.exec(rest)?.[0].replace(/[.,:;!?'*_~)\]]+$/, (end) => {
    return end.startsWith(")") && rest.includes("(") ? ")" : "";
  });
  return found && found.length > 8 ? {nodes: [anchor(found, found)], end: at + found.length} : null;
}

// An image is a link to it: what a message shows must not tell anybody who reads it.
function link(text, at, depth, missing) {
  const start = text[at] === "!" ? at + 1 : at;
  if (text[start] !== "[") {
    return null;
  }
  const middle = closing(text, "](", start, missing);
  const end = middle < 0 || middle - start > 2000 ? -1 : closing(text, ")", middle, missing);
  if (end < 0 || text.slice(start + 1, middle).includes("[")) {
    return null;
  }
  const href = text.slice(middle + 2, end).trim().replace(/\s+["'(].*$/s, "");
  const label = text.slice(start + 1, middle);
  if (!SAFE.test(href)) {
    return null;
  }
  const made = anchor(href);
  inline(label || href, made, DEEPEST - 1);
  for (const inner of made.querySelectorAll("a")) {
    inner.replaceWith(...inner.childNodes);
  }
  return {nodes: [made], end: end + 1};
}
