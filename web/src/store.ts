// What the page knows, and where it comes from: the state from the stream's snapshot, what happened before it
// from the log's pages, what is new from the stream, and settings, limits and health asked now and then.
// After a gap all of it is dropped and taken anew.

import { computed, effect, signal, type Signal } from '@preact/signals';
import { get, messageOf, Refusal, type Problem } from './api';
import { Past, recentEvents, recentOrders, wholeAccount, type Reader } from './history';
import { Live, PACE_MS, showAll } from './live';
import { State, type Slice } from './state';
import { Stream, type Kind, type Link } from './stream';
import type { Book, Config, Instrument, Risk, RiskUse } from './types';

const POLL_MS = 4_000;
/** After what the account did. */
const RISK_MS = 500;

export const link = signal<Link>({ phase: 'connecting', reconnects: 0, gaps: 0, holes: 0, told: '', lagMs: undefined });
export const live = computed(() => link.value.phase === 'live');
export const config = signal<Config | undefined>(undefined);
export const instruments = signal<ReadonlyMap<string, Instrument>>(new Map());
export const risk = signal<Risk | undefined>(undefined);
export const riskUse = signal<RiskUse | undefined>(undefined);
/** What the gateway says is wrong with itself; `undefined` while it has not answered. */
export const problems = signal<readonly Problem[] | undefined>(undefined);
/** What may not work for long. */
export const warnings = signal<readonly Problem[]>([]);
export const symbol = signal('');
/** Why the page shows another symbol than the one that was chosen; empty when it does not. */
export const moved = signal('');
export const instrument = computed(() => instruments.value.get(symbol.value));

const state = new State((slice: Slice) => slices[slice].touch(), (name) => instruments.peek().get(name));

/** What a busy market changes all the time is drawn at a pace; what the trader did, at once. */
const slices = {
  markets: new Live(state.markets, PACE_MS),
  balances: new Live(state.balances),
  open: new Live(state.open),
  closed: new Live(state.closed),
  fills: new Live(state.fills),
  positions: new Live(state.positions),
  trades: new Live(state.trades, PACE_MS),
  candles: new Live(undefined, PACE_MS),
  log: new Live(state.log, PACE_MS),
};
export const { markets, balances, open, closed, fills, positions, trades, log } = slices;
export const book = new Live<Book | undefined>(undefined, PACE_MS);
/** Grows when the candles were made anew or got a longer past, and not just by a trade. */
export const history = signal(0);

/** How far the past is read: all of what is shown of it at first, and why it is not when a request failed. */
export interface Reading {
  done: boolean;
  why: string;
}
const UNREAD: Reading = { done: false, why: '' };
/** `orders`: those that ended lately, and fills; also tells why positions are not counted yet. `trades`: the symbol's. */
export const readings = { orders: signal(UNREAD), events: signal(UNREAD), trades: signal(UNREAD) };
/** When the state shown was last known to be current, in milliseconds since the epoch. */
export const currentAt = signal(0);

export function candles() {
  slices.candles.read();
  return state.candles;
}

export function countedFrom(): number | undefined {
  slices.positions.read();
  return state.countedFrom;
}

/** Grows with each reset: an answer that was asked for before it is dropped. */
let epoch = 0;
let past: Past | undefined;

const count = new Live<undefined>(undefined, PACE_MS);

const stream = new Stream({
  reset() {
    epoch += 1;
    past = undefined;
    for (const reading of Object.values(readings)) reading.value = UNREAD;
    state.clear();
    book.now = undefined;
    book.touch();
    history.value += 1;
  },
  event(kind: Kind, data, id, text) {
    state.apply(kind, data, id, text);
    count.touch();
  },
  whole(id) {
    count.touch();
    const mine = epoch;
    const stale = () => mine !== epoch;
    // The live part is whole without it.
    void track(readings.events, stale, (reader) => recentEvents(state, id, reader));
    void track(readings.orders, stale, (reader) => recentOrders(state, id, reader))
      .then(() => track(readings.orders, stale, (reader) => wholeAccount(state, id, reader)));
    readPast(id);
  },
  book(data) {
    const next = data as Book;
    if (next.symbol !== symbol.value) return;
    book.now = next;
    book.touch();
  },
  link(next) {
    const before = link.peek().phase;
    // What is called live is on the screen.
    if (before !== 'live' && next.phase === 'live') showAll();
    link.value = next;
    if (before === 'live' && next.phase !== 'live') currentAt.value = Date.now();
    // It may have been started with other settings.
    if (before !== 'live' && next.phase === 'live') void poll().then(askInstruments).catch(() => undefined);
  },
});

export function counted() {
  count.read();
  return stream.count;
}

/** Tells how the reading goes while it is done. */
async function track(reading: Signal<Reading>, stale: () => boolean, read: (reader: Reader) => Promise<void>): Promise<void> {
  const told = (why: string) => { reading.value = { ...reading.peek(), why }; };
  try {
    await read({ stale, told });
    if (!stale()) reading.value = { done: true, why: '' };
  } catch (error) {
    // An answer that is not what was asked for: to ask again would not help.
    if (!stale()) told(messageOf(error));
  }
}

function readPast(upTo: number): void {
  past = new Past(symbol.peek(), upTo);
  readings.trades.value = UNREAD;
  void morePast();
}

/** Reads more of the past of the symbol's trades, if there is any. */
export async function morePast(): Promise<void> {
  const mine = past;
  if (!mine || mine.done || mine.busy) return;
  await track(readings.trades, () => past !== mine, async (reader) => {
    if (await mine.more(state, reader)) history.value += 1;
  });
}

export function choose(name: string): void {
  if (name === symbol.value || !instruments.value.has(name)) return;
  symbol.value = name;
  moved.value = '';
  globalThis.history.replaceState(null, '', `#${encodeURIComponent(name)}`);
  state.choose(name);
  book.now = undefined;
  book.touch();
  history.value += 1;
  const { lastId } = stream.count;
  past = undefined;
  // Live trades from the next event on; those before are read from the log.
  if (lastId !== undefined) readPast(lastId);
  stream.follow(name);
}

export async function askHealth(): Promise<void> {
  try {
    const { warnings: told = [] } = await get<{ warnings?: Problem[] }>('/health');
    problems.value = [];
    warnings.value = told;
  } catch (error) {
    const told = error instanceof Refusal ? error.problems : [];
    problems.value = told.length > 0 ? told : [{ code: 'no_answer', message: messageOf(error) }];
  }
}

/** What the stream does not tell: settings, limits, health. */
export async function poll(): Promise<void> {
  // What does not answer stays as it was; health tells.
  const askConfig = async () => { config.value = same(config.peek(), await get<Config>('/api/config')); };
  await Promise.allSettled([askConfig(), askRisk(), askHealth()]);
}

export async function askRisk(): Promise<void> {
  const [settings, now] = await Promise.all([get<Risk>('/api/risk'), get<RiskUse>('/api/risk/use')]);
  risk.value = same(risk.peek(), settings);
  riskUse.value = same(riskUse.peek(), now);
}

/** What the account does uses limits: seen soon after, and not with each fill. */
function watchRisk(): void {
  let due: ReturnType<typeof setTimeout> | undefined;
  effect(() => {
    open.read();
    balances.read();
    due ??= setTimeout(() => {
      due = undefined;
      if (!document.hidden) void askRisk().catch(() => undefined);
    }, RISK_MS);
  });
}

/** The old one when nothing has changed, so that nothing is drawn again. */
function same<T>(before: T | undefined, now: T): T {
  return before !== undefined && JSON.stringify(before) === JSON.stringify(now) ? before : now;
}

async function askInstruments(): Promise<void> {
  const { items } = await get<{ items: Instrument[] }>('/api/instruments');
  const now = new Map(items.map((item) => [item.symbol, item]));
  if (JSON.stringify([...now]) === JSON.stringify([...instruments.peek()])) return;
  instruments.value = now;
  moved.value = '';
  const gone = symbol.peek();
  if (gone === '' || now.size === 0 || now.has(gone)) return;
  choose(usualSymbol());
  moved.value = `${gone} is not traded here any more. The page shows ${symbol.peek()}.`;
}

/** What the gateway names first, of what it trades. */
function usualSymbol(): string {
  const named = config.peek()?.market_symbol ?? '';
  return instruments.peek().has(named) ? named : ([...instruments.peek().keys()][0] ?? '');
}

export async function start(): Promise<void> {
  await poll();
  await askInstruments();
  choose(wantedSymbol() ?? usualSymbol());
  globalThis.addEventListener('hashchange', () => choose(wantedSymbol() ?? symbol.value));
  watchRisk();
  setInterval(() => {
    if (!document.hidden) void poll();
  }, POLL_MS);
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) void poll();
  });
}

/** What the address names, if it is traded here. */
function wantedSymbol(): string | undefined {
  let name = '';
  try {
    name = decodeURIComponent(location.hash.slice(1));
  } catch {
    // No name then.
  }
  return instruments.value.has(name) ? name : undefined;
}
