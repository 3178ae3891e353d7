// What every client is asked to do: send, stream, history, list, delete, abort, and meet two errors.
// `call(method, params)` resolves to a result or rejects with an error that has a code; `next(types)` resolves to the
// next event of one of these types.
export async function run(call, next) {
  const seen = {};
  seen.health = (await call("health", {})).status;
  seen.sent = (await call("chat.send", { session_key: "interop", text: "say Grüße 你好" })).text;

  await call("chat.send_stream", { session_key: "interop", text: "say one by one" });
  let streamed = "";
  for (;;) {
    const event = await next(["chat.delta", "chat.final"]);
    if (event.type === "chat.final") {
      seen.final = event.text;
      break;
    }
    streamed += event.delta;
  }
  seen.streamed = streamed;

  const history = await call("chat.history", { session_key: "interop", limit: 10 });
  seen.history = history.messages.map((message) => [message.role, message.text]);

  await call("chat.send_stream", { session_key: "endless", text: "hang", mode: "single" });
  await next(["chat.delta"]);
  const begun = Date.now();
  seen.aborted = (await call("chat.abort", { session_key: "endless" })).run_ids.length;
  seen.failed = (await next(["chat.failed"])).code;
  seen.abort_quick = Date.now() - begun < 2000;

  const listed = await call("session.list", { limit: 50 });
  seen.sessions = listed.sessions.length;
  for (const session of listed.sessions) {
    await call("session.delete", { session_key: session.session_key });
  }
  seen.left = (await call("session.list", {})).sessions.length;

  seen.errors = [];
  for (const [method, params] of [["no.such", {}], ["chat.send", { text: "no key" }], ["session.get", { session_key: "gone" }]]) {
    try {
      await call(method, params);
      seen.errors.push(null);
    } catch (error) {
      seen.errors.push(error.code);
    }
  }
  return seen;
}

// Events in the order in which they came, for whoever waits for the next of some types.
export class Events {
  #held = [];
  #waiting = [];

  put(event) {
    const place = this.#waiting.findIndex((one) => one.types.includes(event.type));
    if (place < 0) this.#held.push(event);
    else this.#waiting.splice(place, 1)[0].resolve(event);
  }

  next(types) {
    const place = this.#held.findIndex((event) => types.includes(event.type));
    if (place >= 0) return Promise.resolve(this.#held.splice(place, 1)[0]);
    return new Promise((resolve) => this.#waiting.push({ types, resolve }));
  }
}
