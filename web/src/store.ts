// What the page knows. Everything comes from the public API: the state from the stream's snapshot, what
// happened before it from `/api/fills`, `/api/orders` and `/api/events`, what is new from the stream.
// Every list is bounded. After a gap all of it is dropped and taken anew.

import { computed, signal } from '@preact/signals';
import { get } from './api';
import { Candles } from './candles';
import { toNumber } from './decimal';
import { Live, remember } from './live';
import { Stream, type Kind, type Link } from './stream';
import type {
  Balance, Book, Config, Fill, Instrument, Market, Numbered, OrderState, OrderUpdate, Risk,
} from './types';

const MOST_ROWS = 300;
const MOST_TRADES = 60;
const MOST_LOG_ENTRIES = 2_000;
const HISTORY_EVENTS = 20_000;
const HISTORY_PAGE = 1_000;
const POLL_MS = 4_000;

export interface LogEntry {
  id: number;
  kind: Kind;
  symbol: string;
  tsNs: string;
  text: string;
}

export const link = signal<Link>({
  phase: 'connecting', lastId: undefined, reconnects: 0, gaps: 0, holes: 0, told: '',
});
export const live = computed(() => link.value.phase === 'live');
export const config = signal<Config | undefined>(undefined);
export const instruments = signal<ReadonlyMap<string, Instrument>>(new Map());
export const risk = signal<Risk | undefined>(undefined);
/** What the gateway says is wrong with itself; empty when it is well. */
export const trouble = signal('');
export const symbol = signal('');
export const instrument = computed(() => instruments.value.get(symbol.value));

export const lastId = new Live<number | undefined>(undefined);
export const markets = new Live(new Map<string, Market>());
export const balances = new Live(new Map<string, Balance>());
export const openOrders = new Live(new Map<string, OrderState>());
export const updates = new Live<Numbered<OrderUpdate>[]>([]);
export const fills = new Live<Numbered<Fill>[]>([]);
export const trades = new Live(new Map<string, Numbered<Market>[]>());
export const book = new Live<Book | undefined>(undefined);
export const log = new Live<LogEntry[]>([]);
export const candles = new Live(new Map<string, Candles>());
/** Grows when the candles were made anew, and not just by a trade. */
export const history = signal(0);

/** Grows with each reset: an answer that was asked for before it is dropped. */
let epoch = 0;

const OPEN = new Set(['ACCEPTED', 'PARTIALLY_FILLED']);
const everything = [markets, balances, openOrders, updates, fills, trades, book, log, candles];

function reset(): void {
  epoch += 1;
  for (const map of [markets, balances, openOrders, trades, candles]) map.now.clear();
  for (const list of [updates, fills, log]) list.now.length = 0;
  book.now = undefined;
  for (const slice of everything) slice.touch();
  history.value += 1;
}

function onMarket(market: Market, id: number | undefined): void {
  markets.now.set(market.symbol, market);
  markets.touch();
  if (id === undefined) return;
  const list = trades.now.get(market.symbol) ?? [];
  remember(list, { ...market, id }, MOST_TRADES);
  trades.now.set(market.symbol, list);
  trades.touch();
  candlesOf(candles.now, market.symbol).add(secondOf(market.ts_ns), toNumber(market.price));
  candles.touch();
}

function candlesOf(all: Map<string, Candles>, name: string): Candles {
  const known = all.get(name) ?? new Candles();
  all.set(name, known);
  return known;
}

export function secondOf(tsNs: string): number {
  return Number(tsNs.slice(0, -9));
}

function onOrderState(order: OrderState): void {
  if (OPEN.has(order.status ?? '')) openOrders.now.set(order.client_order_id, order);
  else openOrders.now.delete(order.client_order_id);
  openOrders.touch();
}

function onEvent(kind: Kind, data: Record<string, unknown>, id: number | undefined, text: string): void {
  const is = <T>() => data as unknown as T;
  if (kind === 'market') onMarket(is<Market>(), id);
  else if (kind === 'order_state') onOrderState(is<OrderState>());
  else if (kind === 'account') {
    for (const balance of is<{ balances: Balance[] }>().balances) balances.now.set(balance.asset, balance);
    balances.touch();
  } else if (kind === 'fill' && id !== undefined) {
    remember(fills.now, { ...is<Fill>(), id }, MOST_ROWS);
    fills.touch();
  } else if (kind === 'order_update' && id !== undefined) {
    remember(updates.now, { ...is<OrderUpdate>(), id }, MOST_ROWS);
    updates.touch();
  }
  if (id === undefined) return;
  lastId.now = id;
  lastId.touch();
  const entry = { id, kind, symbol: String(data['symbol'] ?? ''), tsNs: String(data['ts_ns'] ?? data['last_ts_ns'] ?? ''), text };
  remember(log.now, entry, MOST_LOG_ENTRIES);
  log.touch();
}

/** Puts what happened before the snapshot behind what has come since. */
function older<T>(slice: Live<Numbered<T>[]>, items: (T & { id: string })[]): void {
  const known = new Set(slice.now.map((item) => item.id));
  const numbered = items.map((item) => ({ ...item, id: Number(item.id) }));
  const merged = [...slice.now, ...numbered.filter((item) => !known.has(item.id))];
  merged.sort((a, b) => b.id - a.id);
  slice.now = merged.slice(0, MOST_ROWS);
  slice.touch();
}

async function loadHistory(upTo: number): Promise<void> {
  const mine = epoch;
  const past = await get<{ items: (Fill & { id: string })[] }>(`/api/fills?limit=${MOST_ROWS}`);
  const orders = await get<{ items: (OrderUpdate & { id: string; type: string })[] }>('/api/orders?limit=1000');
  if (mine !== epoch) return;
  older(fills, past.items);
  older(updates, orders.items.filter((item) => item.type === 'order_update'));
  await loadCandles(upTo, mine);
}

/** The newest first, so that the chart stands at once and grows into the past. */
async function loadCandles(upTo: number, mine: number): Promise<void> {
  for (let to = upTo; to > Math.max(0, upTo - HISTORY_EVENTS); to -= HISTORY_PAGE) {
    const after = Math.max(0, to - HISTORY_PAGE);
    const page = await get<{ items: { id: string; data: Market }[]; oldest: string }>(
      `/api/events?types=market&limit=${HISTORY_PAGE}&after=${after}`,
    );
    if (mine !== epoch) return;
    const before = new Map<string, Candles>();
    for (const { id, data } of page.items) {
      if (Number(id) > to) break;
      candlesOf(before, data.symbol).add(secondOf(data.ts_ns), toNumber(data.price));
    }
    for (const [name, past] of before) candlesOf(candles.now, name).prepend(past);
    history.value += 1;
    if (Number(page.oldest) > after) return;
  }
}

const stream = new Stream({
  reset,
  event: onEvent,
  whole(id) {
    lastId.now = id;
    lastId.touch();
    loadHistory(id).catch(() => {
      // The live part is whole without it; the next snapshot tries again.
    });
  },
  book(data) {
    const next = data as Book;
    if (next.symbol !== symbol.value) return;
    book.now = next;
    book.touch();
  },
  link(next) {
    const { lastId: _, ...rest } = next;
    const { lastId: __, ...before } = link.value;
    // The id alone changes with each event, and is shown once per frame.
    if (JSON.stringify(rest) !== JSON.stringify(before)) link.value = next;
  },
});

export function choose(name: string): void {
  if (name === symbol.value || !instruments.value.has(name)) return;
  symbol.value = name;
  globalThis.history.replaceState(null, '', `#${encodeURIComponent(name)}`);
  book.now = undefined;
  book.touch();
  stream.follow(name);
}

/** What the stream does not tell: settings, limits, health. */
export async function poll(): Promise<void> {
  try {
    await get('/health');
    trouble.value = '';
  } catch (error) {
    trouble.value = error instanceof Error ? error.message : String(error);
  }
  try {
    [config.value, risk.value] = await Promise.all([get<Config>('/api/config'), get<Risk>('/api/risk')]);
  } catch {
    // Said above already.
  }
}

export async function start(): Promise<void> {
  await poll();
  const { items } = await get<{ items: Instrument[] }>('/api/instruments');
  instruments.value = new Map(items.map((item) => [item.symbol, item]));
  const wanted = decodeURIComponent(location.hash.slice(1));
  choose(instruments.value.has(wanted) ? wanted : (config.value?.market_symbol ?? items[0]?.symbol ?? ''));
  setInterval(() => {
    if (!document.hidden) void poll();
  }, POLL_MS);
}
