// Open orders with what can be done to them, positions, what became of orders, and fills: sorted, filtered,
// and downloaded as they are shown.

import { computed, signal, type Signal } from '@preact/signals';
import { outcome, post } from '../api';
import { download } from '../csv';
import { add, decimal, gain, magnitude, multiply, places, print, round, shown, ZERO, type Decimal } from '../decimal';
import { averageCost, unrealized, type Position } from '../pnl';
import { once } from '../presses';
import { inWords } from '../reasons';
import { closed, countedFrom, fills, instruments, live, markets, open, positions, readings, symbol } from '../store';
import { arrange, tableCsv, type Sort } from '../table';
import { priceOf, qtyOf, sideClass, signClass, Time, utc } from '../text';
import { TIFS, TYPES } from '../ticket';
import type { Fill, Numbered, OrderState } from '../types';
import { held as assets, WHOLE_BALANCES } from './Account';
import { amending, Amend } from './Amend';
import { Missing, Stale } from './Banner';
import { Ask } from './Dialog';
import { jump, searchLog } from './Log';
import { sorting, Table, type Shown } from './Table';
import { closePosition } from './Ticket';

export const TABS = ['open', 'positions', 'history', 'fills', 'balances'] as const;
export type Tab = (typeof TABS)[number];
export const tab = signal<Tab>('open');
const filter = signal('');
const onlyChosen = signal(false);
const told = signal('');
const leaving = signal<ReadonlySet<string>>(new Set());
/** Cancel all waits for a yes. */
export const askingAll = signal(false);

const sorts: Record<Tab, Signal<Sort | undefined>> = { open: sorting(), positions: sorting(), history: sorting(), fills: sorting(), balances: sorting() };
const of = (name: string | undefined) => instruments.value.get(name ?? '');

async function cancel(id: string): Promise<void> {
  leaving.value = new Set(leaving.value).add(id);
  try {
    await post('/api/cancel', { client_order_id: id });
    told.value = `${id} is cancelled.`;
  } catch (error) {
    told.value = outcome(error, `${id} was not cancelled`, `Not known whether ${id} was cancelled`);
  } finally {
    const left = new Set(leaving.value);
    left.delete(id);
    leaving.value = left;
    keepFocus();
  }
}

/** A row that goes takes the focus with it: the table has it then, and the Tab key goes on from there. */
function keepFocus(): void {
  requestAnimationFrame(() => {
    if (document.activeElement === document.body) document.querySelector<HTMLElement>('.orders .scroll')?.focus();
  });
}

async function cancelAll(): Promise<void> {
  try {
    const { cancelled } = await post<{ cancelled: string[] }>('/api/cancel_all', {});
    told.value = `${cancelled.length} cancelled.`;
  } catch (error) {
    told.value = outcome(error, 'Not cancelled', 'Not known which orders were cancelled');
  }
}

const typeName = (order: OrderState) => (order.order_type && Object.hasOwn(TYPES, order.order_type) ? TYPES[order.order_type as keyof typeof TYPES] : (order.order_type ?? ''));

function pairTitle(order: OrderState): string {
  return order.oco_with ? `One of a pair with ${order.oco_with}: the first that is executed ends the other` : '';
}

function tifTitle(order: OrderState): string {
  const words = TIFS[(order.time_in_force ?? '') as keyof typeof TIFS] ?? order.time_in_force ?? '';
  return order.expire_ts_ns ? `${words}, to ${utc(order.expire_ts_ns)}` : words;
}

/** What both kinds of orders show. */
const ORDER: Record<string, Shown<OrderState>> = {
  side: { key: 'side', name: 'Side', kind: 'text', value: (row) => row.side ?? '', class: (row) => sideClass(row.side) },
  symbol: { key: 'symbol', name: 'Symbol', kind: 'text', value: (row) => row.symbol ?? '' },
  type: { key: 'type', name: 'Type', kind: 'text', value: (row) => row.order_type ?? '', show: (row) => `${typeName(row)}${row.oco_with ? ', OCO' : ''}`, title: pairTitle },
  tif: { key: 'tif', name: 'TIF', kind: 'text', value: (row) => row.time_in_force ?? '', title: tifTitle },
  price: { key: 'price', name: 'Price', kind: 'number', value: (row) => row.limit_price ?? '', show: (row) => priceOf(row.limit_price, of(row.symbol)) || 'market' },
  stop: { key: 'stop', name: 'Stop', kind: 'number', value: (row) => row.stop_price ?? '', show: (row) => `${priceOf(row.stop_price, of(row.symbol))}${row.triggered ? ' ✓' : ''}`, title: (row) => (row.stop_price ? (row.triggered ? 'The price has reached it' : 'Waits for the price') : '') },
  qty: { key: 'qty', name: 'Quantity', kind: 'number', value: (row) => row.order_qty ?? '', show: (row) => qtyOf(row.order_qty, of(row.symbol)) },
  done: { key: 'done', name: 'Executed', kind: 'number', value: (row) => row.executed_qty, show: (row) => qtyOf(row.executed_qty, of(row.symbol)) },
  average: { key: 'average', name: 'Average', kind: 'number', value: (row) => row.avg_price, show: (row) => (decimal(row.avg_price)?.units === 0n ? '' : averageOf(row)), title: (row) => row.avg_price },
  status: { key: 'status', name: 'Status', kind: 'text', value: (row) => row.status ?? '' },
  reason: { key: 'reason', name: 'Reason', kind: 'text', value: (row) => row.reason ?? '', show: (row) => inWords(row.reason, of(row.symbol)), title: (row) => row.reason ?? '' },
  changed: { key: 'changed', name: 'Changed', kind: 'time', value: (row) => row.last_ts_ns ?? '', show: (row) => <Time ns={row.last_ts_ns} /> },
  id: { key: 'id', name: 'Id', kind: 'text', value: (row) => row.client_order_id, title: (row) => `${row.client_order_id}: its events`, show: (row) => <button class="link" onClick={() => searchLog(row.client_order_id)}>{row.client_order_id}</button> },
};

function columns<T>(...keys: string[]): Shown<T>[] {
  return keys.flatMap((key) => (ORDER[key] ? [ORDER[key] as unknown as Shown<T>] : []));
}

/** The average is rounded already; two digits more than the price has are enough to see. */
function averageOf(row: OrderState): string {
  const value = decimal(row.avg_price);
  const digits = places(of(row.symbol)?.tick ?? '1');
  return value ? shown(print(round(value, digits + 2)), digits) : '';
}

const EVENT: Shown<{ id: number }> = { key: 'event', name: 'Event', kind: 'number', value: (row) => String(row.id), show: (row) => <button class="link" aria-label={`Event ${row.id} in the log`} onClick={() => void jump(row.id)}>{row.id}</button> };

const OPEN_COLUMNS = columns<OrderState>('side', 'symbol', 'type', 'qty', 'price', 'stop', 'done', 'status', 'tif', 'changed', 'id');
const CLOSED_COLUMNS: Shown<Numbered<OrderState>>[] = [
  ...columns<Numbered<OrderState>>('changed', 'side', 'symbol', 'type', 'price', 'qty', 'done', 'average', 'status', 'reason', 'id'), EVENT,
];
const FILL_COLUMNS: Shown<Numbered<Fill>>[] = [
  { key: 'changed', name: 'Time', kind: 'time', value: (row) => row.ts_ns, show: (row) => <Time ns={row.ts_ns} /> },
  { key: 'side', name: 'Side', kind: 'text', value: (row) => row.side ?? '', class: (row) => sideClass(row.side) },
  { key: 'symbol', name: 'Symbol', kind: 'text', value: (row) => row.symbol },
  { key: 'price', name: 'Price', kind: 'number', value: (row) => row.price, show: (row) => priceOf(row.price, of(row.symbol)) },
  { key: 'qty', name: 'Quantity', kind: 'number', value: (row) => row.qty, show: (row) => qtyOf(row.qty, of(row.symbol)) },
  { key: 'worth', name: 'Worth', kind: 'number', value: worthOf, show: (row) => shown(worthOf(row), places(of(row.symbol)?.tick ?? '1')) },
  { key: 'fee', name: 'Fee', kind: 'number', value: (row) => row.fee ?? '', show: (row) => shown(row.fee) },
  { key: 'asset', name: 'In', kind: 'text', value: (row) => row.fee_asset ?? '' },
  { key: 'liquidity', name: 'Liquidity', kind: 'text', value: (row) => row.liquidity ?? '' },
  { key: 'trade', name: 'Trade', kind: 'number', value: (row) => row.trade_id ?? '' },
  { key: 'id', name: 'Order', kind: 'text', value: (row) => row.client_order_id, title: (row) => row.client_order_id, show: (row) => <button class="link" onClick={() => searchLog(row.client_order_id)}>{row.client_order_id}</button> },
  EVENT,
];

function worthOf(fill: Fill): string {
  const [qty, price] = [decimal(fill.qty), decimal(fill.price)];
  return qty && price ? print(multiply(qty, price)) : '';
}

interface Held extends Position {
  symbol: string;
  /** None of what is not traded any more: what is still known would pass for live. */
  last: Decimal | undefined;
}

/** The digits that gains are shown with: those of the coarsest price in that quote asset; on hover, all. */
function moneyDigits(quote: string): number {
  const ticks = [...instruments.value.values()].filter((other) => other.quote === quote).map((other) => places(other.tick));
  return Math.max(2, Math.min(8, ...ticks));
}

const priceDigits = (row: Held) => places(of(row.symbol)?.tick ?? '0.00000001');
const open_ = (row: Held) => (row.last ? unrealized(row, row.last) : undefined);
const openText = (row: Held) => {
  const value = open_(row);
  return value ? print(value) : '';
};
const money = (value: Decimal | undefined, row: Held) => (value ? `${gain(value, moneyDigits(row.quote))}` : '—');

const POSITION_COLUMNS: Shown<Held>[] = [
  { key: 'symbol', name: 'Symbol', kind: 'text', value: (row) => row.symbol },
  { key: 'qty', name: 'Quantity', kind: 'number', value: (row) => print(row.qty), show: (row) => qtyOf(print(row.qty), of(row.symbol)), class: (row) => signClass(row.qty.units) },
  { key: 'average', name: 'Average cost', kind: 'number', value: (row) => print(averageCost(row, 8) ?? ZERO), show: (row) => (row.qty.units === 0n ? '' : shown(print(averageCost(row, priceDigits(row)) ?? ZERO), priceDigits(row))), title: (row) => print(averageCost(row, 12) ?? ZERO) },
  { key: 'price', name: 'Last', kind: 'number', value: (row) => (row.last ? print(row.last) : ''), show: (row) => (row.last ? priceOf(print(row.last), of(row.symbol)) : '—') },
  { key: 'unrealized', name: 'Unrealized', kind: 'number', value: openText, show: (row) => money(open_(row), row), class: (row) => signClass(open_(row)?.units ?? 0n), title: openText },
  { key: 'realized', name: 'Realized', kind: 'number', value: (row) => print(row.realized), show: (row) => money(row.realized, row), class: (row) => signClass(row.realized.units), title: (row) => print(row.realized) },
  { key: 'quote', name: 'In', kind: 'text', value: (row) => row.quote },
  { key: 'fees', name: 'Fees paid', kind: 'text', value: (row) => [...row.fees].map(([asset, fee]) => `${print(fee)} ${asset}`).join(' + ') },
  { key: 'fills', name: 'Fills', kind: 'number', value: (row) => String(row.fills) },
];

const held = computed<Held[]>(() => {
  if (countedFrom() === undefined) return [];
  const prices = markets.read();
  return [...positions.read()].map(([name, position]) => ({ ...position, symbol: name, last: of(name) && decimal(prices.get(name)?.price) }));
});

/** The rows of the tab that is shown, and their columns, as a file would have them. */
function chosenRows<T extends { symbol?: string }>(name: Tab, rows: readonly T[], all: readonly Shown<T>[]): T[] {
  const own = onlyChosen.value ? rows.filter((row) => row.symbol === symbol.value) : rows;
  return arrange(own, all, sorts[name].value, filter.value);
}

function balanceRows() {
  // Worth moves with the market.
  markets.read();
  const now = instruments.value.get(symbol.value);
  const own = onlyChosen.value ? assets.value.filter(({ asset }) => asset === now?.base || asset === now?.quote) : assets.value;
  return arrange(own, WHOLE_BALANCES, sorts.balances.value, filter.value);
}

const rowsOf = {
  open: () => chosenRows('open', [...open.read().values()].reverse(), OPEN_COLUMNS),
  positions: () => chosenRows('positions', held.value, POSITION_COLUMNS),
  history: () => chosenRows('history', [...closed.read().values()].reverse(), CLOSED_COLUMNS),
  fills: () => chosenRows('fills', fills.read().items.toReversed(), FILL_COLUMNS),
  balances: balanceRows,
};

const textOf: Record<Tab, () => string> = {
  open: () => tableCsv(rowsOf.open(), OPEN_COLUMNS),
  positions: () => tableCsv(rowsOf.positions(), POSITION_COLUMNS),
  history: () => tableCsv(rowsOf.history(), CLOSED_COLUMNS),
  fills: () => tableCsv(rowsOf.fills(), FILL_COLUMNS),
  balances: () => tableCsv(rowsOf.balances(), WHOLE_BALANCES),
};

function save(): void {
  const now = tab.value;
  const text = textOf[now]();
  download(`veloz-${now}-${new Date().toISOString().slice(0, 19).replaceAll(':', '')}.csv`, text);
}

export function Orders() {
  return (
    <section class="panel orders" aria-labelledby="orders-title">
      <h2 id="orders-title" class="hidden">Orders</h2>
      <div class="bar">
        <div class="tabs" role="tablist" aria-label="Orders">
          {TABS.map((name) => <TabButton key={name} name={name} />)}
        </div>
        <Stale />
        <Missing of={readings.orders} />
        <Earned />
        <span class="space" />
        <span class="told" role="status">{told.value}</span>
        <label class="check"><input type="checkbox" checked={onlyChosen.value} onChange={(e) => { onlyChosen.value = e.currentTarget.checked; }} />{symbol.value} only</label>
        <input id="orders-filter" type="search" placeholder="Filter" aria-label="Filter the rows" value={filter.value} onInput={(e) => { filter.value = e.currentTarget.value; }} />
        <button id="csv" onClick={save} title="The rows shown, with every digit">CSV</button>
        <CancelAll />
      </div>
      <div class="tabpanel" role="tabpanel" id="orders-panel" aria-labelledby={`tab-${tab.value}`}>
        {tab.value === 'open' ? <Open /> : tab.value === 'positions' ? <Positions /> : tab.value === 'history' ? <History /> : tab.value === 'fills' ? <Fills /> : <WholeAccount />}
      </div>
      {amending.value ? <Amend order={amending.value} /> : null}
      {askingAll.value ? <AskAll /> : null}
    </section>
  );
}

const NAMES: Record<Tab, string> = { open: 'Open', positions: 'Positions', history: 'History', fills: 'Fills', balances: 'Balances' };

function onTabKey(event: KeyboardEvent): void {
  const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
  if (step === 0) return;
  const next = TABS[(TABS.indexOf(tab.value) + step + TABS.length) % TABS.length] ?? 'open';
  tab.value = next;
  document.getElementById(`tab-${next}`)?.focus();
}

function TabButton({ name }: { name: Tab }) {
  const chosen = tab.value === name;
  return (
    <button id={`tab-${name}`} role="tab" aria-selected={chosen} aria-controls="orders-panel" tabIndex={chosen ? 0 : -1}
      onClick={() => { tab.value = name; }} onKeyDown={onTabKey}>{NAMES[name]}{name === 'open' ? <OpenCount /> : null}</button>
  );
}

function OpenCount() {
  return <> <span class="count">{open.read().size}</span></>;
}

function CancelAll() {
  return <button class="danger" disabled={open.read().size === 0} onClick={() => { askingAll.value = true; }} title="Asks first (Shift+C)">Cancel all</button>;
}

function AskAll() {
  return (
    <Ask title="Cancel all orders?" yes={`Cancel ${open.read().size}`} danger onYes={() => void cancelAll()} close={() => { askingAll.value = false; }}>
      <p>Every open order of every symbol is cancelled.</p>
    </Ask>
  );
}

/** What all positions in what is traded earn, by quote asset. */
function Earned() {
  const sums = new Map<string, Decimal>();
  for (const row of held.value) {
    const quote = of(row.symbol)?.quote;
    if (quote === undefined) continue;
    sums.set(quote, add(sums.get(quote) ?? ZERO, add(row.realized, open_(row) ?? ZERO)));
  }
  if (sums.size === 0) return null;
  return <span class="earned" title="Realized and unrealized, fees included, of what is traded here">PnL {[...sums].map(([quote, sum]) => <span key={quote} class={signClass(sum.units)}>{gain(sum, moneyDigits(quote))} {quote} </span>)}</span>;
}

const nothing = (none: string) => (filter.value !== '' || onlyChosen.value ? 'No row passes the filter.' : live.value ? none : 'Not known yet.');
/** The same of what began before the page did. */
const nothingBefore = (none: string) => nothing(readings.orders.value.done ? none : 'The log is being read.');

function Open() {
  const actions = (order: OrderState) => (
    <>
      <button class="small" aria-label={`Amend ${order.client_order_id}`} onClick={once(() => { amending.value = order; })}><Short long="Amend" short="✎" /></button>
      <button class="small" disabled={leaving.value.has(order.client_order_id)} aria-label={`Cancel ${order.client_order_id}`} onClick={once(() => void cancel(order.client_order_id))}><Short long="Cancel" short="✕" /></button>
    </>
  );
  return <Table id="open-orders" label="Open orders" columns={OPEN_COLUMNS} rows={rowsOf.open()} keyOf={(row) => row.client_order_id} sort={sorts.open} actions={actions} empty={nothing('No open orders. Place one with the ticket: B to buy, S to sell.')} />;
}

/** A phone has room for a sign only; the button's label says it in full. */
function Short({ long, short }: { long: string; short: string }) {
  return <><span class="long">{long}</span><span class="short" aria-hidden="true">{short}</span></>;
}

function Positions() {
  const from = countedFrom();
  const { why } = readings.orders.value;
  const empty = from === undefined ? `Counting the fills in the log.${why === '' ? '' : ` Not done yet: ${why}.`}` : 'No position: nothing has been filled yet.';
  const actions = (row: Held) => (row.qty.units > 0n && of(row.symbol) ? <button class="small" title="Fills in the ticket; nothing is sent" aria-label={`Close ${row.symbol}`} onClick={() => closePosition(row.symbol, print(magnitude(row.qty)))}>Close…</button> : null);
  return (
    <>
      <Table id="positions" label="Positions" columns={POSITION_COLUMNS} rows={rowsOf.positions()} keyOf={(row) => row.symbol} sort={sorts.positions} actions={actions} empty={nothing(empty)} />
      <p class="how">Average cost, fees included, valued at the last price. Counted from your fills{from !== undefined && from > 1 ? ` since event ${from}, the oldest that is kept` : ''}; what the account held before is not in it.</p>
    </>
  );
}

const byStatus = (row: OrderState) => ({ 'data-status': row.status });

function History() {
  return <Table id="order-history" label="Order history" columns={CLOSED_COLUMNS} rows={rowsOf.history()} keyOf={(row) => row.client_order_id} sort={sorts.history} rowProps={byStatus} empty={nothingBefore('No order has ended yet.')} />;
}

function Fills() {
  return <Table id="fills" label="Fills" columns={FILL_COLUMNS} rows={rowsOf.fills()} keyOf={(row) => row.id} sort={sorts.fills} empty={nothingBefore('No fills yet.')} />;
}

function WholeAccount() {
  return <Table id="whole-account" label="Balances" columns={WHOLE_BALANCES} rows={rowsOf.balances()} keyOf={(row) => row.asset} sort={sorts.balances} empty={nothing('No balances.')} />;
}
