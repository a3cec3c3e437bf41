// The order book (a click on a level sets the ticket's price) and the last trades.

import { computed } from '@preact/signals';
import { add, decimal, divide, places, print, shown, subtract, toNumber } from '../decimal';
import { book, instrument, open, symbol, trades } from '../store';
import { priceOf, qtyOf, sideClass, Time } from '../text';
import type { Level, Market, Numbered } from '../types';
import { Stale } from './Banner';
import { Table, type Shown } from './Table';
import { usePrice } from './Ticket';

/** The panel's height decides how many of them are seen. */
const LEVELS = 20;
const SPREAD_DIGITS = 3;

/** Prices at which an own order rests. */
const own = computed(() => {
  const orders = [...open.read().values()].filter((order) => order.symbol === symbol.value);
  return new Set(orders.map((order) => order.limit_price));
});

export function Book() {
  const now = book.read();
  const of = instrument.value;
  const bids = now?.bids.slice(0, LEVELS) ?? [];
  const asks = now?.asks.slice(0, LEVELS) ?? [];
  const most = Math.max(...[...bids, ...asks].map(([, qty]) => toNumber(qty)), 0);
  const rows = (levels: Level[], side: 'bid' | 'ask') => levels.map(([price, qty]) => (
    <li key={price}>
      <button class={side} data-own={own.value.has(price)} style={{ '--depth': `${(100 * toNumber(qty)) / most}%` }} onClick={() => usePrice(price)} tabIndex={-1}
        title={own.value.has(price) ? 'An order of yours is here' : undefined}>
        <span class="price"><span class="hidden">{side} </span>{priceOf(price, of)}</span><span>{qtyOf(qty, of)}</span>
      </button>
    </li>
  ));
  return (
    <section class="panel book" aria-labelledby="book-title">
      <h2 id="book-title">Book <Stale /></h2>
      <p class="columns" aria-hidden="true"><span>Price {of?.quote}</span><span>Quantity {of?.base}</span></p>
      <ol class="levels asks" id="asks" aria-label="Asks, best first" onKeyDown={walk}>{rows(asks, 'ask')}</ol>
      <Spread bid={bids[0]?.[0]} ask={asks[0]?.[0]} digits={places(of?.tick ?? '1')} />
      <ol class="levels bids" id="bids" aria-label="Bids, best first" onKeyDown={walk}>{rows(bids, 'bid')}</ol>
    </section>
  );
}

/** Arrow keys go from level to level, of those that are seen: the book is one stop on the way of the Tab key. */
function walk(event: KeyboardEvent): void {
  const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
  if (step === 0) return;
  const all = (id: string) => [...document.querySelectorAll<HTMLButtonElement>(`#${id} button`)].filter((level) => inView(level) || level === document.activeElement);
  // As they stand on the screen: the best ask above the best bid.
  const levels = [...all('asks').toReversed(), ...all('bids')];
  const at = levels.indexOf(document.activeElement as HTMLButtonElement);
  levels[at + step]?.focus();
  event.preventDefault();
}

/** Levels that have no room stand beside their list. */
function inView(level: HTMLElement): boolean {
  const list = level.closest('.levels')?.getBoundingClientRect();
  const { left, right } = level.getBoundingClientRect();
  return list !== undefined && (left + right) / 2 < list.right;
}

export function focusBook(): void {
  document.querySelector<HTMLButtonElement>('#bids button')?.focus();
}

function Spread(props: { bid: string | undefined; ask: string | undefined; digits: number }) {
  const bid = decimal(props.bid);
  const ask = decimal(props.ask);
  if (!bid || !ask) return <p class="spread"><span>{props.bid ?? props.ask ? 'One side is empty' : 'No book yet'}</span></p>;
  const spread = subtract(ask, bid);
  // In basis points of the middle: 2 * 10,000 * spread / (bid + ask).
  const points = divide({ units: spread.units * 20_000n, scale: spread.scale }, add(bid, ask), SPREAD_DIGITS);
  return <p class="spread"><span>Spread</span><span id="spread">{shown(print(spread), props.digits)}</span><span>{points ? `${print(points)} bp` : ''}</span></p>;
}

const TRADES: Shown<Numbered<Market>>[] = [
  { key: 'price', name: 'Price', kind: 'number', value: (row) => row.price, show: (row) => priceOf(row.price, instrument.value), class: (row) => sideClass(row.side) },
  { key: 'qty', name: 'Quantity', kind: 'number', value: (row) => row.qty ?? '', show: (row) => qtyOf(row.qty, instrument.value) },
  { key: 'at', name: 'Time', kind: 'number', value: (row) => row.ts_ns, show: (row) => <Time ns={row.ts_ns} /> },
];

export function Trades() {
  const rows = trades.read().items.toReversed();
  return (
    <section class="panel trades" aria-labelledby="trades-title">
      <h2 id="trades-title">Last trades <Stale /></h2>
      <Table id="trades" label="Last trades" columns={TRADES} rows={rows} keyOf={(row) => row.id} empty="No trade is kept. They come with the market source." />
    </section>
  );
}
