// What the events add up to. Pure: no clock, no page, no requests.
//
// Contract: `apply` takes snapshots' events (without an id) and the log's, in their order; `before` takes what
// happened earlier, when it has been read from the log, and changes nothing that is newer. Every list is
// bounded. Positions are told only when every fill that the log keeps has been counted.

import { Candles } from './candles';
import { toNumber } from './decimal';
import { Recent } from './live';
import { after, assetsOf, NONE, type Position } from './pnl';
import type { Kind } from './stream';
import type { Balance, Fill, Instrument, Market, Numbered, OrderState } from './types';

export const MOST_ROWS = 1_000;
export const MOST_TRADES = 80;
export const MOST_LOG_ENTRIES = 4_000;

export interface LogEntry {
  id: number;
  kind: Kind;
  symbol: string;
  tsNs: string;
  text: string;
}

export type Slice = 'markets' | 'balances' | 'open' | 'closed' | 'fills' | 'positions' | 'trades' | 'candles' | 'log';

const OPEN = new Set(['ACCEPTED', 'PARTIALLY_FILLED']);

export class State {
  readonly markets = new Map<string, Market>();
  readonly balances = new Map<string, Balance>();
  readonly open = new Map<string, OrderState>();
  /** By order, the one that changed last at the end. */
  readonly closed = new Map<string, Numbered<OrderState>>();
  readonly fills = new Recent<Numbered<Fill>>(MOST_ROWS);
  readonly positions = new Map<string, Position>();
  readonly log = new Recent<LogEntry>(MOST_LOG_ENTRIES);
  /** Of the chosen symbol. */
  trades = new Recent<Numbered<Market>>(MOST_TRADES);
  candles = new Candles();
  symbol = '';
  /** The first event that positions count from; `undefined` while they are counted. */
  countedFrom: number | undefined;
  #uncounted: Fill[] = [];

  constructor(
    readonly changed: (slice: Slice) => void,
    readonly instrument: (symbol: string) => Instrument | undefined,
  ) {}

  clear(): void {
    for (const map of [this.markets, this.balances, this.open, this.closed, this.positions]) map.clear();
    for (const list of [this.fills, this.log, this.trades]) list.clear();
    this.candles = new Candles();
    this.countedFrom = undefined;
    this.#uncounted = [];
    const all: Slice[] = ['markets', 'balances', 'open', 'closed', 'fills', 'positions', 'trades', 'candles', 'log'];
    for (const slice of all) this.changed(slice);
  }

  /** Trades and candles are those of this symbol, from now on. */
  choose(symbol: string): void {
    this.symbol = symbol;
    this.trades.clear();
    this.candles = new Candles();
    this.changed('trades');
    this.changed('candles');
  }

  apply(kind: Kind, data: Record<string, unknown>, id: number | undefined, text: string): void {
    const is = <T>() => data as unknown as T;
    if (kind === 'market') this.#market(is<Market>(), id);
    else if (kind === 'order_state') this.#order(is<OrderState>(), id);
    else if (kind === 'account') {
      for (const balance of is<{ balances: Balance[] }>().balances) this.balances.set(balance.asset, balance);
      this.changed('balances');
    } else if (kind === 'fill' && id !== undefined) {
      this.fills.add({ ...is<Fill>(), id });
      this.changed('fills');
      if (this.countedFrom === undefined) this.#uncounted.push(is<Fill>());
      else this.#count(is<Fill>());
    }
    if (id === undefined) return;
    this.log.add(entryOf(kind, data, id, text));
    this.changed('log');
  }

  #market(market: Market, id: number | undefined): void {
    this.markets.set(market.symbol, market);
    this.changed('markets');
    if (id === undefined || market.symbol !== this.symbol) return;
    this.trades.add({ ...market, id });
    this.candles.add(secondOf(market.ts_ns), toNumber(market.price));
    this.changed('trades');
    this.changed('candles');
  }

  #order(order: OrderState, id: number | undefined): void {
    const name = order.client_order_id;
    if (OPEN.has(order.status ?? '')) {
      this.open.set(name, order);
      this.changed('open');
      return;
    }
    if (this.open.delete(name)) this.changed('open');
    if (id === undefined) return;
    this.closed.delete(name);
    this.closed.set(name, { ...order, id });
    this.changed('closed');
    if (this.closed.size > MOST_ROWS) this.closed.delete(this.closed.keys().next().value ?? '');
  }

  #count(fill: Fill): void {
    const of = this.instrument(fill.symbol);
    const position = this.positions.get(fill.symbol) ?? NONE;
    const [base, quote] = of ? [of.base, of.quote] : assetsOf(fill);
    this.positions.set(fill.symbol, after(position, fill, base, quote));
    this.changed('positions');
  }

  /** Earlier fills and closed orders, oldest first. */
  before(fills: Numbered<Fill>[], orders: Numbered<OrderState>[]): void {
    const known = new Set(this.fills.items.map((fill) => fill.id));
    const all = [...fills.filter((fill) => !known.has(fill.id)), ...this.fills.items];
    this.fills.items = all.sort((a, b) => a.id - b.id).slice(-MOST_ROWS);
    this.changed('fills');
    const closed = new Map<string, Numbered<OrderState>>();
    for (const order of orders) {
      if (!OPEN.has(order.status ?? '')) closed.set(order.client_order_id, order);
    }
    for (const order of this.closed.values()) {
      const other = closed.get(order.client_order_id);
      if (!other || other.id < order.id) closed.set(order.client_order_id, order);
    }
    this.closed.clear();
    const sorted = [...closed.values()].sort((a, b) => a.id - b.id).slice(-MOST_ROWS);
    for (const order of sorted) this.closed.set(order.client_order_id, order);
    this.changed('closed');
  }

  /** Earlier events, oldest first, so that the log is not empty at the start. */
  logBefore(entries: LogEntry[]): void {
    this.log.items = [...entries, ...this.log.items].slice(-MOST_LOG_ENTRIES);
    this.changed('log');
  }

  /** What was counted so far is no longer in the log. */
  countAnew(): void {
    this.positions.clear();
    this.changed('positions');
  }

  /** Every fill that the log kept before the snapshot, one after another; then `counted`. */
  countBefore(fill: Fill): void {
    this.#count(fill);
  }

  counted(from: number): void {
    this.countedFrom = from;
    for (const fill of this.#uncounted) this.#count(fill);
    this.#uncounted = [];
    this.changed('positions');
  }

  /** Earlier trades of the chosen symbol, oldest first. */
  tradesBefore(trades: Numbered<Market>[]): void {
    const candles = new Candles();
    for (const trade of trades) candles.add(secondOf(trade.ts_ns), toNumber(trade.price));
    this.candles.prepend(candles);
    this.trades.items = [...trades.slice(-MOST_TRADES), ...this.trades.items].slice(-MOST_TRADES);
    this.changed('trades');
  }
}

/** How the log shows an event. */
export function entryOf(kind: Kind, data: Record<string, unknown>, id: number, text: string): LogEntry {
  return { id, kind, symbol: String(data['symbol'] ?? ''), tsNs: String(data['ts_ns'] ?? data['last_ts_ns'] ?? ''), text };
}

export function secondOf(tsNs: string): number {
  return Number(tsNs.slice(0, -9));
}
