// What happened before the page came, read from the log in pages, up to the event from which on the stream
// tells. A request that fails is made again until it is answered, or until nobody wants its answer.

import { ask, get, messageOf } from './api';
import { parseExact, rawEvents } from './json';
import { entryOf, type LogEntry, type State } from './state';
import type { Kind } from './stream';
import type { Fill, Market, Numbered, OrderState } from './types';

const PAGE_EVENTS = 1_000;
/** Events that a first look into the past covers, and each further one. */
const FIRST_SPAN = 4_000;
const MOST_PAGES_AT_ONCE = 24;

const RETRY_FIRST_MS = 500;
const RETRY_MOST_MS = 15_000;

/** Who reads, and how long. */
export interface Reader {
  /** The answers are no longer wanted. */
  stale(): boolean;
  /** Why there is no answer yet; empty once there is one. */
  told(why: string): void;
}

/** The answer, however often it takes, each time later than before; `undefined` once it is not wanted. */
async function answered<T>(asks: () => Promise<T>, reader: Reader): Promise<T | undefined> {
  for (let waitMs = RETRY_FIRST_MS; ; waitMs = Math.min(2 * waitMs, RETRY_MOST_MS)) {
    try {
      const answer = await asks();
      if (reader.stale()) return undefined;
      reader.told('');
      return answer;
    } catch (error) {
      if (reader.stale()) return undefined;
      reader.told(`${messageOf(error)}; it is asked again`);
    }
    await new Promise((next) => { setTimeout(next, waitMs); });
    if (reader.stale()) return undefined;
  }
}

type Recent = { id: string; type: string } & Record<string, unknown>;

interface Page {
  items: { id: string; event: string; data: unknown }[];
  oldest: string;
  next_after: string;
  gap?: unknown;
}

/** What befell orders lately, up to this event: at once. */
export async function recentOrders(state: State, upTo: number, reader: Reader): Promise<void> {
  const page = await answered(() => get<{ items: Recent[] }>('/api/orders?limit=1000'), reader);
  if (!page) return;
  // What came since comes from the stream too.
  const items = page.items.filter((item) => Number(item.id) <= upTo);
  const of = <T>(type: string) => items.filter((item) => item.type === type).map((item) => ({ ...item, id: Number(item.id) }) as unknown as Numbered<T>);
  state.before(of<Fill>('fill'), of<OrderState>('order_state'));
}

/** The newest events of a page of the log, each with its own text. */
export function entriesOf(page: string): LogEntry[] {
  return rawEvents(page).map(({ id, kind, text }) => entryOf(kind as Kind, parseExact(text) as Record<string, unknown>, id, text));
}

const NO_MARKET = 'order_update,fill,order_state,account,error';
const FEW_ORDER_EVENTS = 200;

/** The last events up to this one, and what befell orders last: the log before anything new has come. */
export async function recentEvents(state: State, upTo: number, reader: Reader): Promise<void> {
  const orders = await answered(() => get<{ items: Recent[] }>(`/api/orders?limit=${FEW_ORDER_EVENTS}`), reader);
  if (!orders) return;
  const from = Math.min(upTo, ...orders.items.map((item) => Number(item.id))) - 1;
  const page = (types: string, after: number) => ask(`/api/events?limit=${PAGE_EVENTS}&after=${Math.max(0, after)}${types}`);
  const pages = await answered(() => Promise.all([page(`&types=${NO_MARKET}`, from), page('', upTo - PAGE_EVENTS)]), reader);
  if (!pages) return;
  const known = new Map(pages.flatMap(entriesOf).map((entry) => [entry.id, entry]));
  state.logBefore([...known.values()].filter((entry) => entry.id <= upTo).sort((a, b) => a.id - b.id));
}

/** Every fill and closed order that the log keeps up to this event. */
export async function wholeAccount(state: State, upTo: number, reader: Reader): Promise<void> {
  let after = 0;
  let from = 1;
  while (after < upTo) {
    const path = `/api/events?types=fill,order_state&limit=${PAGE_EVENTS}&after=${after}`;
    const page = await answered(() => get<Page>(path), reader);
    if (!page) return;
    if (after === 0 || page.gap) {
      // Of what is dropped meanwhile a part was counted, perhaps: the rest is counted anew.
      state.countAnew();
      from = Math.max(1, Number(page.oldest));
    }
    const items = page.items.map(({ id, event, data }) => ({ ...(data as object), id: Number(id), event }));
    const due = items.filter((item) => item.id <= upTo);
    const fills = due.filter((item) => item.event === 'fill') as unknown as Numbered<Fill>[];
    for (const fill of fills) state.countBefore(fill);
    state.before(fills, due.filter((item) => item.event === 'order_state') as unknown as Numbered<OrderState>[]);
    const next = Number(page.next_after);
    if (next <= after) break;
    after = next;
  }
  state.counted(from);
}

/** The past of one symbol's trades, read backwards, some of it at a time. */
export class Past {
  #span = FIRST_SPAN;
  busy = false;
  done = false;

  /** Everything up to this event is still to be read. */
  constructor(
    readonly symbol: string,
    public upTo: number,
  ) {}

  /** Reads on until there are some hundred trades more, or no past is left. */
  async more(state: State, reader: Reader): Promise<boolean> {
    this.busy = true;
    try {
      let found = 0;
      for (let pages = 0; pages < MOST_PAGES_AT_ONCE && found < PAGE_EVENTS && !this.done; pages += 1) {
        const from = Math.max(0, this.upTo - this.#span);
        const read = await this.#read(from, reader);
        if (!read) return false;
        const { trades, oldest } = read;
        state.tradesBefore(trades);
        found += trades.length;
        this.upTo = from;
        this.done = from === 0 || oldest > from;
        this.#span = Math.min(trades.length < PAGE_EVENTS / 2 ? this.#span * 2 : this.#span, 64 * FIRST_SPAN);
      }
      return found > 0;
    } finally {
      this.busy = false;
    }
  }

  async #read(from: number, reader: Reader): Promise<{ trades: Numbered<Market>[]; oldest: number } | undefined> {
    const trades: Numbered<Market>[] = [];
    let [after, oldest] = [from, 0];
    while (after < this.upTo) {
      const query = new URLSearchParams({ types: 'market', symbols: this.symbol, limit: String(PAGE_EVENTS), after: String(after) });
      const page = await answered(() => get<Page>(`/api/events?${query}`), reader);
      if (!page) return undefined;
      oldest = Number(page.oldest);
      for (const { id, data } of page.items) {
        if (Number(id) <= this.upTo) trades.push({ ...(data as Market), id: Number(id) });
      }
      const next = Number(page.next_after);
      if (next <= after) break;
      after = next;
    }
    return { trades, oldest };
  }
}
