// The JSON-RPC client: one WebSocket that comes back by itself.

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15000;
const SILENCE = 40000;
const PATIENCE = 15000;

export class RpcError extends Error {
  constructor(error) {
    super(error.message);
    this.code = error.code;
    this.word = error.data?.code ?? "";
    this.retryAfter = error.data?.retry_after_ms ?? 0;
  }
}

// The call may or may not have arrived: whoever made it asks again under the same key, or looks.
export class LinkLost extends Error {}

export class Rpc {
  #url;
  #secret;
  #hears;
  #socket = null;
  #calls = new Map();
  #next = 1;
  #pause = FIRST_PAUSE;
  #timer = 0;
  #silence = 0;
  #ended = false;

  // hears: {state(name), event(params), opened(connected), refused(message)}; secret: {token} or {link}.
  constructor(url, secret, hears) {
    this.#url = url;
    this.#secret = secret;
    this.#hears = hears;
    this.nudge = () => { if (this.#timer) { this.#dial(); } };
    addEventListener("online", this.nudge);
    document.addEventListener("visibilitychange", this.nudge);
    this.#dial();
  }

  call(method, params = {}, patience = 0) {
    if (this.#socket?.readyState !== WebSocket.OPEN) {
      return Promise.reject(new LinkLost("not connected"));
    }
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      const timer = patience && setTimeout(() => this.#socket?.close(), patience);
      this.#calls.set(id, {resolve, reject, timer});
      this.#socket.send(JSON.stringify({jsonrpc: "2.0", id, method, params}));
    });
  }

  end() {
    this.#ended = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#silence);
    removeEventListener("online", this.nudge);
    document.removeEventListener("visibilitychange", this.nudge);
    this.#socket?.close();
  }

  #dial() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#hears.state("connecting");
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    socket.onopen = () => this.#greet();
    socket.onmessage = (message) => { if (socket === this.#socket) { this.#receive(message.data); } };
    socket.onclose = () => { if (socket === this.#socket) { this.#lost(); } };
    this.#listen();
  }

  async #greet() {
    let connected;
    try {
      connected = await this.call("connect", {...this.#secret, client: "web"}, PATIENCE);
    } catch (error) {
      if (error instanceof RpcError && !["rate_limited", "overloaded", "internal_error"].includes(error.word)) {
        this.end();
        this.#hears.refused(error.message);
      } else {
        this.#socket?.close();
      }
      return;
    }
    if (connected.token) {
      this.#secret = {token: connected.token};
    }
    this.#pause = FIRST_PAUSE;
    this.#hears.state("open");
    this.#hears.opened(connected);
  }

  // A browser does not tell when the other side has gone without a word: after some silence it is asked.
  #listen() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.call("health", {}, PATIENCE).catch(() => this.#socket?.close()), SILENCE);
  }

  #receive(data) {
    this.#listen();
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return;
    }
    if (message.method === "event" && message.params) {
      this.#hears.event(message.params);
      return;
    }
    const call = this.#calls.get(message.id);
    if (!call) {
      return;
    }
    this.#calls.delete(message.id);
    clearTimeout(call.timer);
    if (message.error) {
      call.reject(new RpcError(message.error));
    } else {
      call.resolve(message.result);
    }
  }

  #lost() {
    clearTimeout(this.#silence);
    this.#socket = null;
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const call of calls) {
      clearTimeout(call.timer);
      call.reject(new LinkLost("the connection was lost"));
    }
    if (this.#ended) {
      return;
    }
    this.#hears.state("waiting");
    this.#timer = setTimeout(() => this.#dial(), Math.random() * this.#pause + 100);
    this.#pause = Math.min(LONGEST_PAUSE, this.#pause * 2);
  }
}
