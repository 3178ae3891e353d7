// One session as the page knows it: its entries in order, and how far they reach. Knows no page and no socket.

export class Session {
  constructor(key) {
    this.key = key;
    this.entries = [];
    this.seq = 0;
    this.hasMore = false;
    this.loaded = false;
    this.draft = "";
    this.byId = new Map();
  }

  get running() {
    return this.entries.filter((entry) => entry.state === "running" || entry.state === "pending");
  }

  // Take a page of the history, the older ones in front. Returns the new entries.
  take(page, older) {
    const fresh = page.messages.filter((one) => !this.byId.has(one.message_id)).map((one) => this.#known(one));
    this.entries = older ? [...fresh, ...this.entries] : [...this.entries, ...fresh];
    this.hasMore = page.has_more;
    for (const one of page.messages) {
      this.seq = Math.max(this.seq, one.seq);
    }
    return fresh;
  }

  #known(one) {
    const entry = {
      id: one.message_id, role: one.role, text: one.text, state: one.state, at: one.timestamp, run: one.run_id,
      media: one.media,
    };
    this.byId.set(entry.id, entry);
    return entry;
  }

  // Something the user says now; it gets its id when the server has it.
  say(text, idempotency) {
    const entry = {id: "", role: "user", text, state: "pending", at: new Date().toISOString(), idempotency};
    this.entries.push(entry);
    return entry;
  }

  // The server has what was said. Returns the entries that are new and those that go.
  accepted(entry, result) {
    const double = this.byId.get(result.user_message_id);
    if (double && double !== entry) {
      this.entries = this.entries.filter((one) => one !== entry);
      return {gone: [entry], changed: [double]};
    }
    entry.state = "complete";
    entry.id = result.user_message_id;
    this.byId.set(entry.id, entry);
    return {changed: [entry]};
  }

  // Take an event. Returns {added, changed, gap}: gap says that events are missing before it.
  event(event) {
    if (event.seq !== undefined) {
      if (event.seq <= this.seq) {
        return {};
      }
      if (event.seq > this.seq + 1) {
        return {gap: true};
      }
      this.seq = event.seq;
    }
    return EVENTS[event.type]?.call(this, event) ?? {};
  }

  answer(event) {
    const found = this.byId.get(event.message_id);
    if (found) {
      return {entry: found, change: {changed: [found]}};
    }
    const entry = {
      id: event.message_id, role: "assistant", text: "", state: "running", run: event.run_id, points: 0,
      at: event.timestamp,
    };
    this.entries.push(entry);
    this.byId.set(entry.id, entry);
    return {entry, change: {added: [entry]}};
  }

  end(event, state, text) {
    const {entry, change} = this.answer(event);
    entry.state = state;
    entry.at = event.timestamp ?? entry.at;
    if (text !== undefined) {
      entry.text = text;
    }
    return change;
  }
}

function points(text) {
  let count = 0;
  for (const _ of text) { count += 1; }
  return count;
}

const EVENTS = {
  "chat.message"(event) {
    const change = {added: [], changed: []};
    let entry = this.byId.get(event.message_id);
    if (!entry) {
      entry = this.entries.find((one) => one.state === "pending" && one.text === event.text);
      if (entry) {
        entry.state = "complete";
        change.changed.push(entry);
      } else {
        entry = {role: "user", text: event.text, state: "complete", at: event.timestamp, media: event.media};
        this.entries.push(entry);
        change.added.push(entry);
      }
      entry.id = event.message_id;
      this.byId.set(entry.id, entry);
    }
    const answer = this.answer({message_id: event.answer_id, run_id: event.run_id, timestamp: event.timestamp}).change;
    return {added: [...change.added, ...(answer.added ?? [])], changed: change.changed};
  },
  "chat.delta"(event) {
    const {entry, change} = this.answer(event);
    if (event.offset === 0) {
      entry.text = "";
      entry.points = 0;
    } else if (event.offset !== entry.points) {
      return change; // a piece is missing: the end of the run brings the whole text
    }
    entry.text += event.delta;
    entry.points += points(event.delta);
    return change;
  },
  "chat.replace"(event) {
    const {entry, change} = this.answer(event);
    entry.text = event.text;
    entry.points = points(event.text);
    return change;
  },
  "chat.reasoning"(event) {
    const {entry, change} = this.answer(event);
    entry.reasoning = (entry.reasoning ?? "") + event.delta;
    return change;
  },
  "chat.tool"(event) {
    const {entry, change} = this.answer(event);
    entry.tools ??= new Map();
    const before = entry.tools.get(event.call_id);
    entry.tools.set(event.call_id, {
      name: event.name || before?.name, state: event.state, detail: [before?.detail, event.detail].filter(Boolean).join("\n"),
    });
    return change;
  },
  "chat.final"(event) {
    return this.end(event, "complete", event.text);
  },
  "chat.failed"(event) {
    const change = this.end(event, event.code === "cancelled" ? "cancelled" : "failed", event.text || undefined);
    this.byId.get(event.message_id).problem = event.code === "cancelled" ? "" : event.message;
    return change;
  },
  "chat.interrupted"(event) {
    return this.end(event, "interrupted");
  },
};
