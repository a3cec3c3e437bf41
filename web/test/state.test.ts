import { beforeEach, describe, expect, it } from 'vitest';
import { print } from '../src/decimal';
import { NONE } from '../src/pnl';
import { MOST_LOG_ENTRIES, MOST_ROWS, MOST_TRADES, State } from '../src/state';
import type { Instrument } from '../src/types';

const OF = { symbol: 'BTCUSDT', base: 'BTC', quote: 'USDT' } as Instrument;
const changed: string[] = [];
let state: State;
let id = 0;
const event = (kind: Parameters<State['apply']>[0], data: Record<string, unknown>) => state.apply(kind, data, (id += 1), '{}');
const order = (name: string, status: string) => event('order_state', { client_order_id: name, status, symbol: 'BTCUSDT', last_ts_ns: '1' });
const fill = (name: string, qty: string) => ({ client_order_id: name, symbol: 'BTCUSDT', side: 'BUY', qty, price: '10', ts_ns: '1' });

beforeEach(() => {
  id = 0;
  state = new State((slice) => changed.push(slice), (name) => (name === 'BTCUSDT' ? OF : undefined));
  state.choose('BTCUSDT');
  changed.length = 0;
});

describe('the state', () => {
  it('keeps open orders, then how they ended', () => {
    order('a', 'ACCEPTED');
    order('b', 'ACCEPTED');
    order('a', 'PARTIALLY_FILLED');
    expect([...state.open.values()].map((o) => `${o.client_order_id} ${o.status}`)).toEqual(['a PARTIALLY_FILLED', 'b ACCEPTED']);
    order('a', 'FILLED');
    order('c', 'REJECTED');
    expect([...state.open.keys()]).toEqual(['b']);
    expect([...state.closed.values()].map((o) => `${o.client_order_id} ${o.id}`)).toEqual(['a 4', 'c 5']);
  });
  it('counts positions when every earlier fill is known, whatever comes meanwhile', () => {
    event('fill', fill('live', '2'));
    expect(state.positions.size).toBe(0);
    state.countBefore({ ...fill('old', '1'), id: 0 } as never);
    state.counted(1);
    event('fill', fill('new', '4'));
    expect(print(state.positions.get('BTCUSDT')?.qty ?? { units: 0n, scale: 0 })).toBe('7');
    expect(state.countedFrom).toBe(1);
  });
  it('counts positions in what is not traded any more by what its fees tell', () => {
    state.counted(1);
    const gone = (side: string, qty: string, fee: string, asset: string) => event('fill', { ...fill('x', qty), symbol: 'OLDUSDT', side, fee, fee_asset: asset });
    gone('BUY', '2', '0.002', 'OLD');
    gone('SELL', '1', '0.01', 'USDT');
    gone('BUY', '1', '0.1', 'BNB');
    const { qty, quote } = state.positions.get('OLDUSDT') ?? NONE;
    expect([print(qty), quote]).toEqual(['1.998', 'USDT']);
  });
  it('puts what happened before behind what has come since, each once', () => {
    event('fill', fill('x', '1'));
    order('x', 'FILLED');
    const past = [{ ...fill('w', '1'), id: 0 }, { ...fill('x', '1'), id: 1 }] as never[];
    const ended = [{ client_order_id: 'w', status: 'FILLED', id: 0 }, { client_order_id: 'x', status: 'CANCELLED', id: 1 }, { client_order_id: 'y', status: 'ACCEPTED', id: 1 }] as never[];
    state.before(past, ended);
    state.before(past, ended);
    expect(state.fills.items.map((f) => f.id)).toEqual([0, 1]);
    expect([...state.closed.values()].map((o) => `${o.client_order_id} ${o.status}`)).toEqual(['w FILLED', 'x FILLED']);
  });
  it('takes balances as they come, and a snapshot’s events into no list', () => {
    state.apply('account', { balances: [{ asset: 'USDT', free: '123456789012345678.5', locked: '0.0' }] }, undefined, '{}');
    state.apply('market', { symbol: 'BTCUSDT', price: '0.00001234', ts_ns: '1000000000' }, undefined, '{}');
    expect(state.balances.get('USDT')?.free).toBe('123456789012345678.5');
    expect(state.markets.get('BTCUSDT')?.price).toBe('0.00001234');
    expect([state.log.items.length, state.trades.items.length]).toEqual([0, 0]);
  });
  it('is bounded, whatever comes', () => {
    for (let i = 0; i < 3 * MOST_LOG_ENTRIES; i += 1) {
      event('market', { symbol: i % 2 ? 'BTCUSDT' : 'ETHUSDT', price: '1.0', ts_ns: `${1_000_000_000 + i}` });
      if (i % 3 === 0) order(`o${i}`, 'CANCELLED');
      if (i % 3 === 1) event('fill', fill(`o${i}`, '1'));
    }
    expect(state.log.items.length).toBeLessThan(1.25 * MOST_LOG_ENTRIES);
    expect(state.trades.items.length).toBeLessThan(1.25 * MOST_TRADES);
    expect(state.fills.items.length).toBeLessThan(1.25 * MOST_ROWS);
    expect(state.closed.size).toBe(MOST_ROWS);
    expect(state.trades.items.every((trade) => trade.symbol === 'BTCUSDT')).toBe(true);
    expect(state.log.items.at(-1)?.id).toBe(id);
  });
  it('forgets all of it, and says so', () => {
    order('a', 'ACCEPTED');
    changed.length = 0;
    state.clear();
    expect([state.open.size, state.log.items.length, state.countedFrom]).toEqual([0, 0, undefined]);
    expect(new Set(changed).size).toBe(9);
  });
});
