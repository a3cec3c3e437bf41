import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { print } from '../src/decimal';
import { recentEvents, recentOrders, wholeAccount, type Reader } from '../src/history';
import { State } from '../src/state';

const FILL = { symbol: 'BTCUSDT', side: 'BUY', qty: 1, price: 10, ts_ns: 1 };
const fills = (...ids: number[]) => ids.map((id) => ({ id, type: 'fill', client_order_id: `o${id}`, ...FILL }));
const page = (next: number, ...ids: number[]) => ({
  items: fills(...ids).map(({ id, ...data }) => ({ id, event: 'fill', data })), oldest: 1, newest: 9, next_after: next,
});

let state: State;
let answers: (object | number)[];
let asked: number;
let told: string[];
let stale: boolean;
const reader: Reader = { stale: () => stale, told: (why) => told.push(why) };

beforeEach(() => {
  vi.useFakeTimers();
  state = new State(() => undefined, () => undefined);
  [answers, asked, told, stale] = [[], 0, [], false];
  vi.stubGlobal('fetch', async () => {
    asked += 1;
    const next = answers.shift() ?? 503;
    return typeof next === 'number' ? new Response('{"error":"overloaded","message":"busy"}', { status: next }) : new Response(JSON.stringify(next));
  });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe('what happened before the page came', () => {
  it('ends where the stream begins: a fill that both tell is there once', async () => {
    answers = [{ items: [...fills(4, 5, 6), { id: 6, type: 'order_state', client_order_id: 'o6', status: 'FILLED' }] }];
    await recentOrders(state, 5, reader);
    state.apply('fill', { ...FILL, client_order_id: 'o6' }, 6, '{}');
    expect(state.fills.items.map(({ id }) => id)).toEqual([4, 5, 6]);
    expect(state.closed.size).toBe(0);
  });
  it('is asked for until it is told, each fill counted once', async () => {
    answers = [page(4, 1, 4), 503, 504, 500, page(9, 5, 6, 7)];
    const read = wholeAccount(state, 6, reader);
    await vi.advanceTimersByTimeAsync(3_000);
    expect([state.countedFrom, told.at(-1)]).toEqual([undefined, 'busy; it is asked again']);
    await vi.runAllTimersAsync();
    await read;
    expect([state.countedFrom, told.at(-1), asked]).toEqual([1, '', 5]);
    expect(print(state.positions.get('BTCUSDT')?.qty ?? { units: 0n, scale: 0 })).toBe('4');
  });
  it('is counted anew from the oldest that is left, when a part of it is dropped meanwhile', async () => {
    const gap = { reason: 'trimmed', requested: 4, oldest: 7, newest: 9 };
    answers = [page(4, 1, 4), { ...page(8, 7, 8), oldest: 7, gap }, page(9, 9)];
    await wholeAccount(state, 9, reader);
    expect(state.countedFrom).toBe(7);
    expect(print(state.positions.get('BTCUSDT')?.qty ?? { units: 0n, scale: 0 })).toBe('3');
  });
  it('is asked for ever more seldom, and no longer once nobody wants it', async () => {
    const reads = [wholeAccount(state, 6, reader), recentOrders(state, 6, reader), recentEvents(state, 6, reader)];
    await vi.advanceTimersByTimeAsync(60_000);
    // After 0.5, 1, 2, 4 and 8 s, then every 15 s.
    expect(asked).toBe(3 * 8);
    stale = true;
    await vi.advanceTimersByTimeAsync(60_000);
    await Promise.all(reads);
    expect(asked).toBe(3 * 8);
  });
});
