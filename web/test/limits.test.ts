import { describe, expect, it } from 'vitest';
import { changes, fieldOf, LIMITS, lossReached, uses } from '../src/limits';
import type { Risk, RiskUse } from '../src/types';

const NONE: Risk = {
  state: 'ACTIVE', max_order_notional: null, max_open_orders: null, max_symbol_notional: null, max_orders_per_second: null,
  price_collar: null, max_position: {}, max_daily_loss: {},
};
const SET: Risk = {
  ...NONE, max_order_notional: '5000.0', max_open_orders: '10', max_symbol_notional: '20000.0', max_orders_per_second: '50',
  price_collar: '0.05', max_position: { ETH: '80.0', BTC: '123456789012345678.000000001' }, max_daily_loss: { USDT: '2000.0' },
};
const USE: RiskUse = {
  open_orders: '8', orders_last_second: '3', symbol_notional: { BTCUSDT: '1000.5', ETHUSDT: '15000.0' },
  position: { BTC: '1.5', ETH: '90.0' }, daily_loss: { USDT: '-12.5' },
};
const change = (risk: Risk, fields: Record<string, string>) => changes(risk, fields, ['BTC', 'ETH', 'USDT']);

describe('a change of the limits', () => {
  it('is nothing while the fields are as they were', () => {
    for (const risk of [NONE, SET]) {
      const fields = Object.fromEntries(LIMITS.map((limit) => [limit.key, fieldOf(limit, risk)]));
      expect(change(risk, fields)).toEqual({ wrong: undefined, list: [], body: {} });
    }
  });
  for (const [risk, fields, body] of [
    [NONE, { max_order_notional: '5000.50' }, { max_order_notional: '5000.5' }],
    [NONE, { max_open_orders: '7', max_orders_per_second: '0' }, { max_open_orders: 7, max_orders_per_second: 0 }],
    [NONE, { price_collar: '2.5' }, { price_collar: '0.025' }],
    [NONE, { max_position: ' btc=5, ETH=80 ' }, { max_position: { BTC: '5', ETH: '80' } }],
    [SET, { max_order_notional: '', max_open_orders: ' ' }, { max_order_notional: null, max_open_orders: null }],
    [SET, { max_position: 'ETH=80' }, { max_position: { BTC: null, ETH: '80' } }],
    [SET, { max_daily_loss: '' }, { max_daily_loss: { USDT: null } }],
    [{ ...NONE, max_position: { XYZ: '1.0' } }, { max_position: 'XYZ=2' }, { max_position: { XYZ: '2' } }],
  ] as [Risk, Record<string, string>, object][]) {
    it(JSON.stringify(fields), () => {
      const made = change(risk, fields);
      expect(made.wrong).toBeUndefined();
      expect(made.body).toEqual(body);
      expect(made.list.map(({ key }) => key)).toEqual(Object.keys(body));
    });
  }
  it('is told in words before it is made', () => {
    expect(change(SET, { price_collar: '', max_position: 'BTC=1000 ETH=1' }).list).toEqual([
      { key: 'price_collar', name: 'Beyond the last price', from: '5 %', to: 'none' },
      { key: 'max_position', name: 'Position', from: '123,456,789,012,345,678.000000001 BTC, 80 ETH', to: '1,000 BTC, 1 ETH' },
    ]);
  });
  for (const [fields, text] of [
    [{ max_order_notional: '-1' }, 'Worth of an order is not a number of zero or more'],
    [{ max_order_notional: '1e3' }, 'is not a number'],
    [{ max_order_notional: '0.000000001' }, 'more than 8 digits'],
    [{ max_open_orders: '1.5' }, 'not a whole number'],
    [{ max_orders_per_second: '10001' }, '10,000 at most'],
    [{ price_collar: '0.0000001' }, 'too many digits'],
    [{ max_position: 'BTC 5' }, 'Position: BTC is not of the form ASSET=AMOUNT'],
    [{ max_position: 'BTC=5 DOGE=1' }, 'DOGE is not traded here'],
    [{ max_daily_loss: 'USDT=5 USDT=6' }, 'named twice'],
  ] as [Record<string, string>, string][]) {
    it(text, () => expect(change(NONE, fields).wrong?.text).toContain(text));
  }
});

describe('the use of the limits', () => {
  const rows = (risk: Risk, now: RiskUse | undefined) => uses(risk, now).map(({ name, used, limit }) => `${name}: ${used} of ${limit}`);
  it('is what the gateway counts', () => {
    expect(rows(SET, USE)).toEqual([
      'Worth of an order: undefined of 5,000', 'Open worth, ETHUSDT: 15,000 of 20,000', 'Orders open: 8 of 10',
      'Orders a second: 3 of 50', 'Beyond the last price: undefined of 5 %',
      'Position, BTC: 1.5 of 123,456,789,012,345,678.000000001', 'Position, ETH: 90 of 80', 'Loss of the day, USDT: -12.5 of 2,000',
    ]);
    expect(uses(SET, USE).map(({ share }) => share)).toEqual([undefined, 0.75, 0.8, 0.06, undefined, expect.closeTo(0), 1, 0]);
  });
  it('is told where nothing is limited or known', () => {
    expect(rows(NONE, USE)[2]).toBe('Orders open: 8 of undefined');
    expect(rows(SET, undefined)[1]).toBe('Open worth: undefined of 20,000');
  });
  it('says when the day has lost as much as is allowed', () => {
    expect(lossReached(SET, USE)).toBe(false);
    expect(lossReached(SET, { ...USE, daily_loss: { USDT: '2000.0' } })).toBe(true);
    expect(lossReached(NONE, USE)).toBe(false);
  });
});
