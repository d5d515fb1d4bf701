/** Where an order stands. */
export type OrderStatus = "Pending" | "Processing" | "Shipped" | "Delivered" | "Cancelled" | "Refunded";

/** What an event of an order tells of. */
export type OrderEventType = "order.created" | "order.status_changed" | "order.payment_changed";

/** An order has changed. */
export interface OrderEvent {
  /** Counts the buyer's events, 1, 2, 3 …; not on the staff channel. */
  id?: number;
  type: OrderEventType;
  at: string;
  orderId: string;
  number: string;
  status: OrderStatus;
  previousStatus: OrderStatus | null;
  version: number;
  data: Record<string, unknown>;
}

/** The buyer's cart has changed, in this tab or elsewhere. */
export interface CartUpdated {
  type: "cart.updated";
  at: string;
  version: number;
}

export type LiveEvent = OrderEvent | CartUpdated;

/**
 * Something may be missing; read what you show anew.
 *
 * - `events`: numbers between `after` and `before` did not come. They are asked for again; where they still do not
 *   come, `lost` is true and the stream goes on without them.
 * - `reset`: the server's last event is `before`, lower than `after`, which the page had. It goes on from there.
 * - `channel`: the staff channel was away for a while; it cannot say what was missed.
 * - `cart`: the stream was away for a while; the cart may have changed.
 */
export interface Gap {
  reason: "events" | "reset" | "channel" | "cart";
  after?: number;
  before?: number;
  lost?: boolean;
}

/** `stopped`: it will not connect again by itself; `why` says the reason. */
export type State = "connecting" | "live" | "waiting" | "stopped";

export interface StateInfo {
  transport?: "websocket" | "sse";
  /** The close code of the connection before, if it had one. */
  code?: number;
  /** Milliseconds until the next try, while waiting. */
  delay?: number;
  why?: "closed" | "signed-out" | "refused";
  /** The status of the refusal. */
  status?: number;
}

export interface Options {
  /**
   * An access token; null when nobody is signed in, which stops the client. `expired` is true when the last one was
   * refused or has ended: refresh it.
   */
  token: (ask: { expired: boolean }) => string | null | Promise<string | null>;
  onEvent: (event: LiveEvent) => void;
  onGap: (gap: Gap) => void;
  onState?: (state: State, info: StateInfo) => void;
  /** The number of the last event that the page has; left out: from now on. */
  since?: number;
  /** `orders`: the events of all orders; staff only. */
  channel?: "orders";
  /** With `channel`: only these. */
  status?: OrderStatus[];
  /** With `channel`: only these. */
  type?: OrderEventType[];
  /** The shop's root; left out: the page's own. */
  url?: string;
  /** `auto`: WebSocket, and server-sent events where that does not come through. */
  transport?: "auto" | "websocket" | "sse";
  /** For tests: what is taken from the browser otherwise. */
  environment?: Partial<Environment>;
}

export interface Environment {
  WebSocket: typeof globalThis.WebSocket;
  fetch: typeof globalThis.fetch;
  setTimeout: (run: () => void, delay: number) => unknown;
  clearTimeout: (timer: unknown) => void;
  random: () => number;
  now: () => number;
  /** Tells when the network is back; undefined outside browsers. */
  events?: Pick<EventTarget, "addEventListener" | "removeEventListener">;
}

export interface Connection {
  readonly state: State;
  /** The number of the last event handed to the page; undefined before the first `hello`, and on the staff channel. */
  readonly lastEventId: number | undefined;
  /** Ends it for good. */
  close(): void;
}

/** Connects, and stays connected until it is closed, the person signs out, or the server refuses. */
export function connect(options: Options): Connection;

/** Milliseconds before try number `attempt` (0, 1, 2 …): between nothing and a bound that doubles up to 30 s. */
export function backoff(attempt: number, random: () => number): number;

/** What is due after a connection has ended with a code. */
export function afterClose(code: number | undefined): "token" | "soon" | "later";

/** Sorts numbered events: the next one, a repeat, or one after a gap. */
export class Sequence {
  last: number | undefined;
  constructor(last?: number);
  judge(id: number): "next" | "repeat" | "gap";
}

/** Reads server-sent events (HTML standard, 9.2.6) from pieces of text. */
export class EventStreamReader {
  read(piece: string): { event: string; data: string; id?: string }[];
}
