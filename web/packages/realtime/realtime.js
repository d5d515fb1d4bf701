// Live orders in the browser: one ES module without dependencies, served by the shop at /realtime.js.
// What each part is for stands in realtime.d.ts; what the server does, in docs/realtime.md.
//
//   import { connect } from "/realtime.js";
//   const live = connect({ token, since: 12, onEvent: show, onGap: readAnew });
//
// The place in the stream is the number of the last event handed to the page: whatever happens to a connection, the
// next one asks for what came after it, and what comes twice is dropped. What cannot be had is told, never skipped.

/** Try 0 comes within this many milliseconds; the bound doubles with each further try. */
const FIRST_MS = 500;
const LONGEST_MS = 30_000;
/** After a restart of the server all its clients come back: spread over this. */
const SOON_MS = 1_000;
/** A connection that lived this long, or brought an event, starts the tries anew. */
const STEADY_MS = 10_000;
/** How long a connection may take to say hello. */
const HELLO_MS = 10_000;
/** After so many heartbeats without a word a connection is dead, whatever the browser says of it. */
const MISSED_BEATS = 2.5;
/** After so many WebSockets in a row without hello, server-sent events are tried. */
const SOCKET_TRIES = 2;
/** How often a socket is tried again while server-sent events work: every so many connections. */
const SOCKET_AGAIN = 5;

export function backoff(attempt, random) {
  return Math.round(random() * Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(attempt, 16)));
}

export function afterClose(code) {
  if (code === 4001) return "token";
  // Restarting, or too slow for what came: the server is well and waits for us.
  if (code === 1012 || code === 4008) return "soon";
  return "later";
}

export class Sequence {
  constructor(last) {
    this.last = last;
  }

  judge(id) {
    if (this.last === undefined || id === this.last + 1) {
      this.last = id;
      return "next";
    }
    return id <= this.last ? "repeat" : "gap";
  }
}

export class EventStreamReader {
  #text = "";

  read(piece) {
    this.#text += piece;
    const events = [];
    for (;;) {
      const end = /\r\n\r\n|\n\n|\r\r/.exec(this.#text);
      if (!end) return events;
      const block = this.#text.slice(0, end.index);
      this.#text = this.#text.slice(end.index + end[0].length);
      const event = { event: "message", data: "" };
      const data = [];
      for (const line of block.split(/\r\n|\n|\r/)) {
        const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line);
        if (name === "data") data.push(value);
        else if (name === "event") event.event = value;
        else if (name === "id") event.id = value;
      }
      // A block without data is a comment: a sign of life.
      if (data.length > 0) events.push({ ...event, data: data.join("\n") });
    }
  }
}

/** An answer that says: not like this. */
class Refused extends Error {
  constructor(response) {
    super(`the server answered ${response.status}`);
    this.status = response.status;
    this.retryAfter = Number(response.headers.get("retry-after")) || 0;
  }
}

class Client {
  state = "connecting";
  #options;
  #browser;
  #sequence;
  #end = () => {};
  #wake = () => {};
  #attempt = 0;
  #expired = false;
  #socketFailures = 0;
  #connections = 0;
  #lived = false;
  #greeted = false;
  #gapAt;

  constructor(options) {
    this.#options = options;
    this.#browser = {
      WebSocket: globalThis.WebSocket,
      fetch: (...call) => globalThis.fetch(...call),
      setTimeout: (run, delay) => globalThis.setTimeout(run, delay),
      clearTimeout: (timer) => globalThis.clearTimeout(timer),
      random: Math.random,
      now: () => Date.now(),
      events: globalThis.window,
      ...options.environment,
    };
    this.#sequence = new Sequence(options.since);
    this.#browser.events?.addEventListener("online", this.#online);
    this.#browser.events?.addEventListener("offline", this.#offline);
    // Not before the caller has the connection in hand.
    Promise.resolve().then(() => this.#run());
  }

  get lastEventId() {
    return this.#options.channel ? undefined : this.#sequence.last;
  }

  close() {
    this.#stop("closed");
  }

  #stop(why, status) {
    if (this.state === "stopped") return;
    this.#browser.events?.removeEventListener("online", this.#online);
    this.#browser.events?.removeEventListener("offline", this.#offline);
    this.#say("stopped", { why, status });
    this.#end();
    this.#wake();
  }

  // A network that comes back is no reason to wait on; one that is gone leaves sockets that never say so.
  #online = () => this.#wake();
  #offline = () => this.#end();

  #say(state, info = {}) {
    this.state = state;
    this.#call(this.#options.onState, state, info);
  }

  /** A fault in the page must not end the stream: it is told as browsers tell of faults. */
  #call(callback, ...told) {
    try {
      callback?.(...told);
    } catch (error) {
      this.#browser.setTimeout(() => {
        throw error;
      }, 0);
    }
  }

  async #run() {
    while (this.state !== "stopped") {
      this.#say("connecting");
      const began = this.#browser.now();
      this.#lived = false;
      const end = await this.#connection();
      if (this.state === "stopped") return;
      if (this.#lived || (end.hello && this.#browser.now() - began >= STEADY_MS)) this.#attempt = 0;
      await this.#pause(end);
    }
  }

  async #pause({ code, retryAfter = 0 }) {
    const due = afterClose(code);
    if (due === "token") this.#expired = true;
    // At once with a new token, soon after a restart; but not again and again.
    const first = this.#attempt === 0;
    this.#attempt += 1;
    let delay = backoff(this.#attempt - 1, this.#browser.random);
    if (first && due === "token") delay = 0;
    if (first && due === "soon") delay = Math.round(this.#browser.random() * SOON_MS);
    delay = Math.max(delay, retryAfter * 1_000);
    this.#say("waiting", { code, delay });
    await new Promise((resolve) => {
      const timer = this.#browser.setTimeout(resolve, delay);
      this.#wake = () => {
        this.#browser.clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = () => {};
  }

  /** One connection from its token to its end; how it ended. */
  async #connection() {
    try {
      const token = await this.#token();
      if (this.state === "stopped") return {};
      this.#connections += 1;
      if (!this.#usesSocket()) return await this.#overEvents(token);
      const ticket = await this.#ticket(token);
      if (this.state === "stopped") return {};
      const end = await this.#overSocket(ticket);
      this.#socketFailures = end.hello ? 0 : this.#socketFailures + 1;
      return end;
    } catch (error) {
      // The page's token function, or the network: tried again.
      if (!(error instanceof Refused)) return {};
      if (error.status === 401) return { code: 4001 };
      if (error.status === 429 || error.status >= 500) return { retryAfter: error.retryAfter };
      // Anything else would be refused again.
      this.#stop("refused", error.status);
      return {};
    }
  }

  async #token() {
    const token = await this.#options.token({ expired: this.#expired });
    this.#expired = false;
    if (!token) this.#stop("signed-out");
    return token;
  }

  #usesSocket() {
    const wish = this.#options.transport ?? "auto";
    if (wish !== "auto") return wish === "websocket";
    if (!this.#browser.WebSocket) return false;
    return this.#socketFailures < SOCKET_TRIES || this.#connections % SOCKET_AGAIN === 0;
  }

  #url(path, query = []) {
    const root = this.#options.url ?? globalThis.location?.origin;
    const url = new URL(path, root);
    for (const [name, value] of query) url.searchParams.append(name, value);
    const { channel, status = [], type = [] } = this.#options;
    if (channel) url.searchParams.set("channel", channel);
    else if (this.#sequence.last !== undefined) url.searchParams.set("since", this.#sequence.last);
    for (const one of status) url.searchParams.append("status", one);
    for (const one of type) url.searchParams.append("type", one);
    return url;
  }

  async #ticket(token) {
    const root = this.#options.url ?? globalThis.location?.origin;
    const stop = new AbortController();
    const late = this.#browser.setTimeout(() => stop.abort(), HELLO_MS);
    this.#end = () => stop.abort();
    try {
      const response = await this.#browser.fetch(new URL("/api/realtime/ticket", root), {
        method: "POST",
        headers: { authorization: `Bearer ${token}` },
        cache: "no-store",
        signal: stop.signal,
      });
      if (!response.ok) throw new Refused(response);
      return (await response.json()).ticket;
    } finally {
      this.#browser.clearTimeout(late);
      this.#end = () => {};
    }
  }

  #overSocket(ticket) {
    const url = this.#url("/api/realtime/ws", [
      ["ticket", ticket],
      // Pages are not shown pings.
      ["heartbeat", "true"],
    ]);
    url.protocol = url.protocol.replace("http", "ws");
    return new Promise((resolve) => {
      const socket = new this.#browser.WebSocket(url);
      let hello = false;
      let silence;
      let patience = HELLO_MS;
      const finish = (code) => {
        this.#browser.clearTimeout(silence);
        this.#end = () => {};
        socket.onmessage = socket.onclose = socket.onerror = null;
        resolve({ hello, code });
      };
      const giveUp = () => {
        // A dead connection answers no goodbye: its end is not waited for.
        finish();
        socket.close();
      };
      const listen = () => {
        this.#browser.clearTimeout(silence);
        silence = this.#browser.setTimeout(giveUp, patience);
      };
      listen();
      this.#end = giveUp;
      socket.onclose = (event) => finish(event.code);
      socket.onerror = () => {}; // what it means comes with close
      socket.onmessage = (event) => {
        const message = JSON.parse(event.data);
        hello = true;
        if (message.type === "hello") patience = message.heartbeatSeconds * 1_000 * MISSED_BEATS;
        listen();
        if (!this.#hear(message, "websocket")) giveUp();
      };
    });
  }

  async #overEvents(token) {
    const stop = new AbortController();
    let hello = false;
    let code;
    let silence;
    let patience = HELLO_MS;
    const listen = () => {
      this.#browser.clearTimeout(silence);
      silence = this.#browser.setTimeout(() => stop.abort(), patience);
    };
    this.#end = () => stop.abort();
    try {
      listen();
      const response = await this.#browser.fetch(this.#url("/api/realtime/events"), {
        headers: { accept: "text/event-stream", authorization: `Bearer ${token}` },
        cache: "no-store",
        signal: stop.signal,
      });
      if (!response.ok) throw new Refused(response);
      const reader = new EventStreamReader();
      const text = new TextDecoder();
      const body = response.body.getReader();
      for (;;) {
        const { done, value } = await body.read();
        if (done) return { hello, code };
        listen();
        for (const { event, data } of reader.read(text.decode(value, { stream: true }))) {
          const message = JSON.parse(data);
          if (event === "close") {
            code = message.code;
            continue;
          }
          hello = true;
          // The server shows at each heartbeat that it is there.
          if (message.type === "hello") patience = message.heartbeatSeconds * 1_000 * MISSED_BEATS;
          if (!this.#hear(message, "sse")) return { hello };
        }
      }
    } catch (error) {
      if (error instanceof Refused) throw error;
      return { hello, code };
    } finally {
      this.#browser.clearTimeout(silence);
      this.#end = () => {};
      stop.abort();
    }
  }

  /** Takes a message; false where the connection has to begin anew. */
  #hear(message, transport) {
    if (message.type === "hello") {
      this.#greet(message, transport);
      return true;
    }
    // It has been heard; there is nothing to tell.
    if (message.type === "heartbeat") return true;
    if (typeof message.id === "number" && !this.#options.channel) {
      const after = this.#sequence.last;
      switch (this.#sequence.judge(message.id)) {
        case "repeat":
          return true;
        case "gap": {
          // Asked for again, once; what does not come then is lost, and said to be.
          const lost = this.#gapAt === after;
          this.#gapAt = after;
          this.#call(this.#options.onGap, { reason: "events", after, before: message.id, lost });
          if (!lost) return false;
          this.#sequence.last = message.id;
          break;
        }
        case "next":
      }
    }
    this.#lived = true;
    this.#call(this.#options.onEvent, message);
    return this.state !== "stopped";
  }

  #greet({ lastEventId }, transport) {
    const again = this.#greeted;
    this.#greeted = true;
    const { last } = this.#sequence;
    const { channel, onGap } = this.#options;
    this.#say("live", { transport });
    if (channel) {
      if (again) this.#call(onGap, { reason: "channel" });
      return;
    }
    if (last === undefined) {
      this.#sequence.last = lastEventId;
    } else if (last > lastEventId) {
      this.#sequence.last = lastEventId;
      this.#call(onGap, { reason: "reset", after: last, before: lastEventId });
    }
    if (again) this.#call(onGap, { reason: "cart" });
  }
}

export function connect(options) {
  const client = new Client(options);
  return {
    get state() {
      return client.state;
    },
    get lastEventId() {
      return client.lastEventId;
    },
    close: () => client.close(),
  };
}
