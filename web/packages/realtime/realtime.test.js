// node --test: the pure parts, and whole connections against a server that is played.

import assert from "node:assert/strict";
import { test } from "node:test";

import { EventStreamReader, Sequence, afterClose, backoff, connect } from "./realtime.js";

test("pauses grow, are bounded, and are spread from nothing to their bound", () => {
  const longest = [0, 1, 2, 3, 4, 5, 6, 7, 50].map((attempt) => backoff(attempt, () => 1));
  assert.deepEqual(longest, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
  assert.equal(backoff(9, () => 0), 0);
  assert.equal(backoff(3, () => 0.5), 2000);
});

test("a token that has ended is renewed, a restart is met soon, the rest later", () => {
  const due = [4001, 1012, 4008, 1001, 1006, 1008, 1009, 1013, undefined].map(afterClose);
  assert.deepEqual(due, ["token", "soon", "soon", "later", "later", "later", "later", "later", "later"]);
});

test("of any order of numbers each is next once, and a hole is a gap", () => {
  const sequence = new Sequence(4);
  const judged = [5, 5, 4, 1, 7, 6, 7, 6].map((id) => sequence.judge(id));
  assert.deepEqual(judged, ["next", "repeat", "repeat", "repeat", "gap", "next", "next", "repeat"]);
  assert.equal(sequence.last, 7);
  assert.equal(new Sequence().judge(9), "next");
});

test("server-sent events are the same in whatever pieces they come", () => {
  const text =
    'retry: 2000\nid: 3\nevent: hello\ndata: {"a":1}\n\n: still here\n\nid: 4\nevent: order.created\ndata: x\ndata: y\n\n' +
    "data:z\r\n\r\n";
  const expected = [
    { event: "hello", data: '{"a":1}', id: "3" },
    { event: "order.created", data: "x\ny", id: "4" },
    { event: "message", data: "z" },
  ];
  for (let size = 1; size <= text.length; size += 1) {
    const reader = new EventStreamReader();
    const events = [];
    for (let at = 0; at < text.length; at += size) events.push(...reader.read(text.slice(at, at + size)));
    assert.deepEqual(events, expected, `pieces of ${size}`);
  }
});

/** A played server: it holds numbered events, and says how each connection goes. */
class Played {
  tickets = 0;
  sockets = [];
  asked = [];
  pauses = [];
  states = [];
  seen = [];
  gaps = [];
  faults = [];
  watches = new Set();
  answer = () => ({ status: 200 });
  random = () => 0.5;

  environment() {
    const played = this;
    class WebSocket {
      constructor(url) {
        this.url = new URL(url);
        played.sockets.push(this);
        played.arrived?.();
      }
      say(message) {
        this.onmessage?.({ data: JSON.stringify(message) });
      }
      hello(lastEventId) {
        this.say({ type: "hello", lastEventId, heartbeatSeconds: 15 });
      }
      event(id) {
        this.say({ id, type: "order.status_changed" });
      }
      drop(code) {
        this.onclose?.({ code });
      }
      close() {
        this.closed = true;
      }
    }
    return {
      WebSocket,
      fetch: async (url, init) => {
        if (String(url).endsWith("/ticket")) {
          played.tickets += 1;
          const { status, retryAfter } = played.answer(init.headers.authorization);
          const headers = new Headers(retryAfter ? { "retry-after": String(retryAfter) } : {});
          return { ok: status === 200, status, headers, json: async () => ({ ticket: `t${played.tickets}` }) };
        }
        return played.events(new URL(url), init);
      },
      // Time stands still while a connection lasts; pauses pass at once and are kept.
      setTimeout: (run, delay) => {
        if (delay === 10_000 || delay === 37_500) {
          const watch = { run, delay };
          played.watches.add(watch);
          return watch;
        }
        played.pauses.push(delay);
        return setImmediate(() => {
          try {
            run();
          } catch (fault) {
            played.faults.push(fault.message);
          }
        });
      },
      clearTimeout: (timer) => (timer?.delay ? played.watches.delete(timer) : clearImmediate(timer)),
      random: () => played.random(),
      now: () => 0,
      events: undefined,
    };
  }

  connect(options = {}) {
    this.live = connect({
      url: "https://shop.example",
      token: ({ expired }) => {
        this.asked.push(expired);
        return "token";
      },
      onEvent: (event) => this.seen.push(event.id ?? event.type),
      onGap: (gap) => this.gaps.push(gap),
      onState: (state, info) => this.states.push([state, info]),
      ...options,
      environment: this.environment(),
    });
    return this.live;
  }

  /** Nothing is heard for as long as the client waits; how long that was. */
  silence() {
    const [watch, ...others] = this.watches;
    assert.deepEqual(others, [], "one watch a connection");
    this.watches.clear();
    watch.run();
    return watch.delay;
  }

  /** The socket of connection number `count`, once it is there. */
  async socket(count) {
    for (;;) {
      if (this.sockets.length >= count) return this.sockets[count - 1];
      await new Promise((resolve) => (this.arrived = resolve));
    }
  }

  async until(ready) {
    for (let turn = 0; turn < 1_000; turn += 1) {
      if (ready()) return;
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.fail(`never: ${ready}`);
  }
}

test("each connection asks for what came after the last event, and drops what comes twice", async () => {
  const played = new Played();
  const live = played.connect({ since: 2 });
  const first = await played.socket(1);
  assert.equal(first.url.href, "wss://shop.example/api/realtime/ws?ticket=t1&heartbeat=true&since=2");
  first.hello(4);
  first.event(3);
  first.event(4);
  first.drop(1012);
  const second = await played.socket(2);
  assert.equal(second.url.searchParams.get("since"), "4");
  assert.equal(second.url.searchParams.get("ticket"), "t2", "a ticket is good for one connection");
  second.hello(5);
  second.event(4);
  second.event(5);
  assert.deepEqual(played.seen, [3, 4, 5]);
  assert.deepEqual(played.gaps, [{ reason: "cart" }], "the cart has no numbers");
  assert.equal(live.lastEventId, 5);
  live.close();
  assert.ok(second.closed);
  assert.equal(live.state, "stopped");
  second.event(6);
  assert.deepEqual(played.seen, [3, 4, 5], "nothing after the end");
});

test("without since a stream begins at hello, and resumes there even when nothing came", async () => {
  const played = new Played();
  const live = played.connect();
  const first = await played.socket(1);
  assert.equal(first.url.searchParams.has("since"), false);
  first.hello(7);
  first.drop(1006);
  assert.equal((await played.socket(2)).url.searchParams.get("since"), "7");
  live.close();
});

test("a gap is asked for again; what does not come then is told as lost", async () => {
  const played = new Played();
  const live = played.connect({ since: 1 });
  const first = await played.socket(1);
  first.hello(4);
  first.event(4);
  assert.ok(first.closed);
  const second = await played.socket(2);
  assert.equal(second.url.searchParams.get("since"), "1");
  second.hello(4);
  second.event(4);
  second.event(5);
  assert.deepEqual(played.seen, [4, 5]);
  const told = played.gaps.filter(({ reason }) => reason === "events");
  assert.deepEqual(told, [
    { reason: "events", after: 1, before: 4, lost: false },
    { reason: "events", after: 1, before: 4, lost: true },
  ]);
  live.close();
});

test("a server that knows less than the page is told of, and followed", async () => {
  const played = new Played();
  const live = played.connect({ since: 9 });
  const first = await played.socket(1);
  first.hello(3);
  first.event(4);
  assert.deepEqual(played.gaps, [{ reason: "reset", after: 9, before: 3 }]);
  assert.deepEqual(played.seen, [4]);
  live.close();
});

test("4001 asks for a new token at once, 1012 and 4008 come back within a second, others back off", async () => {
  const played = new Played();
  const live = played.connect({ since: 0 });
  for (const [count, code] of [4001, 1012, 4008, 1013, 1013].entries()) {
    const socket = await played.socket(count + 1);
    socket.hello(count);
    // An event starts the tries anew; the last two connections bring none.
    if (count < 4) socket.event(count + 1);
    socket.drop(code);
  }
  await played.socket(6);
  assert.deepEqual(played.pauses, [0, 500, 500, 250, 500]);
  assert.deepEqual(played.asked, [false, true, false, false, false, false]);
  live.close();
});

test("a refused ticket: 401 renews the token, 503 waits as long as it says, 403 ends it", async () => {
  const played = new Played();
  const answers = [{ status: 401 }, { status: 503, retryAfter: 7 }, { status: 429 }, { status: 403 }];
  played.answer = () => answers[played.tickets - 1];
  played.connect();
  await played.until(() => played.live.state === "stopped");
  assert.deepEqual(played.asked, [false, true, false, false]);
  assert.deepEqual(played.pauses, [0, 7_000, 1_000]);
  assert.deepEqual(played.states.at(-1), ["stopped", { why: "refused", status: 403 }]);
  assert.equal(played.sockets.length, 0);
});

test("nobody signed in: it stops and says so", async () => {
  const played = new Played();
  played.connect({ token: async () => null });
  await played.until(() => played.live.state === "stopped");
  assert.deepEqual(played.states.at(-1), ["stopped", { why: "signed-out", status: undefined }]);
  assert.equal(played.tickets, 0);
});

test("where sockets do not come through, server-sent events do", async () => {
  const played = new Played();
  let asked;
  let send;
  played.events = async (url, init) => {
    asked = { url, authorization: init.headers.authorization };
    const body = new ReadableStream({ start: (controller) => (send = controller) });
    init.signal.addEventListener("abort", () => send.error(init.signal.reason));
    return { ok: true, status: 200, body };
  };
  const live = played.connect({ since: 1 });
  (await played.socket(1)).drop(1006);
  (await played.socket(2)).drop(1006);
  await played.until(() => send);
  assert.equal(asked.url.href, "https://shop.example/api/realtime/events?since=1");
  assert.equal(asked.authorization, "Bearer token");
  const say = (event, message) =>
    send.enqueue(new TextEncoder().encode(`event: ${event}\ndata: ${JSON.stringify(message)}\n\n`));
  say("hello", { type: "hello", lastEventId: 2, heartbeatSeconds: 15 });
  say("order.created", { id: 2, type: "order.created" });
  say("close", { type: "close", code: 4001, reason: "the token has ended" });
  await played.until(() => played.seen.length === 1);
  send.close();
  await played.until(() => played.asked.at(-1));
  assert.deepEqual(played.seen, [2]);
  assert.ok(played.states.some(([state, info]) => state === "live" && info.transport === "sse"));
  live.close();
});

test("the staff channel: filters in the address, and each return is told as a gap", async () => {
  const played = new Played();
  const live = played.connect({ channel: "orders", status: ["Pending", "Shipped"], type: ["order.created"] });
  const first = await played.socket(1);
  const query = "?ticket=t1&heartbeat=true&channel=orders&status=Pending&status=Shipped&type=order.created";
  assert.equal(first.url.search, query);
  first.hello(0);
  first.say({ type: "order.created", orderId: "a" });
  first.drop(1012);
  (await played.socket(2)).hello(0);
  assert.deepEqual(played.seen, ["order.created"]);
  assert.deepEqual(played.gaps, [{ reason: "channel" }]);
  assert.equal(live.lastEventId, undefined);
  live.close();
});

test("a socket that falls silent is given up and resumed, whatever the browser says of it", async () => {
  const played = new Played();
  const live = played.connect({ since: 0 });
  const first = await played.socket(1);
  assert.equal(played.silence(), 10_000, "no hello");
  assert.ok(first.closed);
  const second = await played.socket(2);
  second.hello(1);
  second.event(1);
  const [before] = played.watches;
  second.say({ type: "heartbeat" });
  assert.ok(!played.watches.has(before), "each word begins the wait anew");
  assert.equal(played.silence(), 37_500, "two and a half heartbeats");
  assert.ok(second.closed);
  const third = await played.socket(3);
  assert.equal(third.url.searchParams.get("since"), "1");
  third.hello(1);
  assert.equal(live.state, "live");
  assert.deepEqual(played.seen, [1], "a heartbeat is nothing to the page");
  live.close();
  assert.equal(played.watches.size, 0);
});

test("a fault in the page does not end the stream", async () => {
  const played = new Played();
  const live = played.connect({
    since: 0,
    onEvent: (event) => {
      played.seen.push(event.id);
      if (event.id === 1) throw new Error("a fault in the page");
    },
  });
  const first = await played.socket(1);
  first.hello(2);
  first.event(1);
  first.event(2);
  await played.until(() => played.faults.length === 1);
  assert.deepEqual([played.seen, played.faults], [[1, 2], ["a fault in the page"]]);
  live.close();
});
