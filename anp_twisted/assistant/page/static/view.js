// What one conversation looks like: entries as list items, drawn at most once a frame.

import {render} from "./markdown.js";

const ENDS = {
  failed: "no answer",
  cancelled: "stopped",
  interrupted: "interrupted: the assistant was restarted while it answered",
  damaged: "this entry could not be read any more",
  unsent: "not sent",
};

export class Log {
  #list = document.getElementById("log");
  #scroll = document.getElementById("scroll");
  #down = document.getElementById("down");
  #empty = document.getElementById("empty");
  #items = new Map();
  #dirty = new Set();
  #frame = 0;

  constructor() {
    this.#scroll.addEventListener("scroll", () => this.#mind());
    this.#down.addEventListener("click", () => this.toEnd());
  }

  // Show entries in place of what was shown.
  show(entries) {
    this.#items.clear();
    this.#dirty.clear();
    this.#list.replaceChildren(...entries.map((entry) => this.#make(entry)));
    this.#mind();
    this.toEnd();
  }

  // Put entries above the first, and leave the reader where he is.
  before(entries) {
    const height = this.#scroll.scrollHeight - this.#scroll.scrollTop;
    this.#list.prepend(...entries.map((entry) => this.#make(entry)));
    this.#scroll.scrollTop = this.#scroll.scrollHeight - height;
  }

  add(entry) {
    const low = this.#atEnd();
    this.#list.append(this.#make(entry));
    this.#mind();
    if (low || entry.role === "user") {
      this.toEnd();
    }
  }

  drop(entry) {
    this.#items.get(entry)?.remove();
    this.#items.delete(entry);
  }

  // An entry has changed.
  touch(entry) {
    if (this.#items.has(entry)) {
      this.#dirty.add(entry);
      this.#frame ||= requestAnimationFrame(() => this.#draw());
    }
  }

  toEnd() {
    this.#scroll.scrollTop = this.#scroll.scrollHeight;
  }

  #draw() {
    this.#frame = 0;
    const low = this.#atEnd();
    for (const entry of this.#dirty) {
      this.#fill(this.#items.get(entry), entry);
    }
    this.#dirty.clear();
    if (low) {
      this.toEnd();
    }
  }

  #atEnd() {
    return this.#scroll.scrollHeight - this.#scroll.scrollTop - this.#scroll.clientHeight < 60;
  }

  #mind() {
    this.#empty.hidden = this.#list.childElementCount > 0;
    this.#down.hidden = this.#atEnd();
  }

  #make(entry) {
    const made = document.createElement("li");
    made.className = "message";
    made.dataset.role = entry.role;
    this.#items.set(entry, made);
    this.#fill(made, entry);
    return made;
  }

  #fill(made, entry) {
    made.dataset.state = entry.state;
    const parts = [hidden(entry.role === "user" ? "You said:" : "The assistant said:")];
    if (entry.reasoning) {
      parts.push(aside("Thoughts", entry.reasoning, made));
    }
    if (entry.tools?.size) {
      const lines = [...entry.tools.values()].map((tool) => `${tool.name || "tool"}: ${tool.state}\n${tool.detail}`.trim());
      parts.push(aside(`Tools: ${entry.tools.size}`, lines.join("\n\n"), made));
    }
    const text = document.createElement("div");
    text.className = "text";
    text.dir = "auto";
    text.append(render(entry.text));
    parts.push(text);
    for (const media of entry.media ?? []) {
      parts.push(note(`${media.kind}: ${media.name || media.url}`));
    }
    if (entry.state === "running" && !entry.text) {
      parts.push(note("thinking …"));
    }
    if (entry.state in ENDS) {
      const said = entry.problem ? `${ENDS[entry.state]}: ${entry.problem}` : ENDS[entry.state];
      parts.push(note(said, entry.state !== "cancelled"));
    }
    made.replaceChildren(...parts);
    if (entry.at) {
      made.title = new Date(entry.at).toLocaleString();
    }
  }
}

function hidden(text) {
  const made = document.createElement("span");
  made.className = "hidden";
  made.textContent = text;
  return made;
}

function note(text, bad = false) {
  const made = document.createElement("p");
  made.className = bad ? "note bad" : "note";
  made.textContent = text;
  return made;
}

// What was unfolded stays so when it grows.
function aside(title, text, before) {
  const made = document.createElement("details");
  made.className = "aside";
  made.dataset.of = title.split(":")[0];
  made.open = before.querySelector(`details[data-of="${made.dataset.of}"]`)?.open ?? false;
  const summary = document.createElement("summary");
  summary.textContent = title;
  const inner = document.createElement("pre");
  inner.textContent = text;
  made.append(summary, inner);
  return made;
}
