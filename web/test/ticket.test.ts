import { describe, expect, it } from 'vitest';
import { decimal, print } from '../src/decimal';
import { amended, body, changed, doubts, estimate, pathOf, portion, problem, through, type Around, type Draft } from '../src/ticket';
import type { OrderState } from '../src/types';

const OF = {
  symbol: 'BTCUSDT', base: 'BTC', quote: 'USDT', tick: '0.01', lot: '0.001', min_qty: '0.001', max_qty: '9000.0', min_notional: '5.0',
  base_decimals: '8', quote_decimals: '8', maker_fee: '0.001', taker_fee: '0.001',
};
const AROUND: Around = {
  of: OF, free: decimal('1000'), last: decimal('100'),
  book: { symbol: 'BTCUSDT', ts_ns: '1', bids: [['99.0', '1.0'], ['98.0', '2.0']], asks: [['101.0', '1.0'], ['102.0', '4.0']] },
};
const LIMIT: Draft = { side: 'BUY', type: 'LIMIT', tif: 'GTC', qty: '1', inQuote: false, price: '100', stop: '', stopLimit: '', minutes: '5', reduceOnly: false };
const wrong = (part: Partial<Draft>, around: Partial<Around> = {}) => problem({ ...LIMIT, ...part }, { ...AROUND, ...around })?.text ?? '';

describe('the ticket checks as one types', () => {
  for (const [part, text] of [
    [{}, ''],
    [{ qty: '' }, 'Enter a quantity.'],
    [{ qty: '-1' }, 'not a number above zero'],
    [{ qty: '0.0005' }, 'multiple of 0.001'],
    [{ qty: '9001' }, 'largest quantity is 9000.0'],
    [{ price: '' }, 'Enter a price.'],
    [{ price: '100.005' }, 'multiple of 0.01'],
    [{ qty: '0.001' }, 'worth 5.0 USDT'],
    [{ qty: '10.001' }, 'not enough USDT free'],
    [{ type: 'STOP_LOSS_LIMIT', stop: '' }, 'Enter a stop price.'],
    [{ type: 'STOP_LOSS_LIMIT', stop: '99' }, 'must be above 100'],
    [{ type: 'STOP_LOSS_LIMIT', stop: '101' }, ''],
    [{ type: 'TAKE_PROFIT_LIMIT', stop: '101' }, 'must be below 100'],
    [{ side: 'SELL', type: 'STOP_LOSS', stop: '101' }, 'must be below 100'],
    [{ side: 'SELL', type: 'TAKE_PROFIT', stop: '101' }, ''],
    [{ type: 'OCO', price: '99', stop: '101' }, ''],
    [{ type: 'OCO', price: '101', stop: '102' }, 'must be below 100'],
    [{ side: 'SELL', type: 'OCO', price: '101', stop: '101' }, 'must be below 100'],
    [{ type: 'OCO', price: '99', stop: '101', stopLimit: '101.5' }, ''],
    [{ type: 'OCO', price: '99', stop: '101', stopLimit: '101.005' }, 'The limit of the stop must be a multiple of 0.01'],
    [{ type: 'OCO', price: '99', stop: '101', stopLimit: 'x' }, 'The limit of the stop is not a number'],
    [{ type: 'OCO', qty: '9.9', price: '99', stop: '101', stopLimit: '102' }, 'not enough USDT free'],
    [{ tif: 'GTD', minutes: '0' }, 'how many minutes'],
    [{ tif: 'GTD', minutes: '0.5' }, ''],
    [{ tif: 'GTD', minutes: '1e20' }, 'how many minutes'],
    [{ tif: 'GTD', minutes: 'Infinity' }, 'how many minutes'],
    [{ tif: 'GTD', minutes: '5256000' }, ''],
    [{ tif: 'GTD', minutes: '5256001' }, '5,256,000 minutes at most'],
    [{ type: 'MARKET', price: '', qty: '500', inQuote: true }, ''],
    [{ type: 'MARKET', price: '', qty: '1000.1', inQuote: true }, 'not enough USDT free'],
    [{ side: 'SELL', qty: '1001' }, 'not enough BTC free'],
    [{ type: 'MARKET', price: '', side: 'SELL', qty: '1001' }, 'not enough BTC free'],
    [{ side: 'SELL', qty: '1001', reduceOnly: true }, ''],
  ] as [Partial<Draft>, string][]) {
    it(`${JSON.stringify(part)}: ${text}`, () => (text === '' ? expect(wrong(part)).toBe('') : expect(wrong(part)).toContain(text)));
  }
});

const costs = (part: Partial<Draft>) => {
  const { total, qty, fee, needed, thin } = estimate({ ...LIMIT, ...part }, AROUND);
  return [total, qty, fee, needed].map((value) => (value ? print(value) : '')).concat(String(thin)).join(' ');
};

describe('what an order costs', () => {
  it('is its limit, its stop, or what the book asks', () => {
    expect(costs({ qty: '2' })).toBe('200 2 0.002 200 false');
    expect(costs({ type: 'STOP_LOSS', stop: '110', qty: '2' })).toBe('220 2 0.002 220 false');
    expect(costs({ type: 'OCO', price: '99', stop: '110', qty: '2' })).toBe('220 2 0.002 220 false');
    expect(costs({ type: 'OCO', price: '99', stop: '110', stopLimit: '111', qty: '2' })).toBe('222 2 0.002 222 false');
    expect(costs({ type: 'OCO', side: 'SELL', price: '110', stop: '90', stopLimit: '89', qty: '2' })).toBe('220 2 0.22 2 false');
    expect(costs({ type: 'MARKET', qty: '2' })).toBe('203 2 0.002 203 false');
    expect(costs({ type: 'MARKET', qty: '6' })).toBe('509 5 0.005 509 true');
    expect(costs({ type: 'MARKET', qty: '203', inQuote: true })).toBe('203 2 0.002 203 false');
    expect(costs({ type: 'MARKET', side: 'SELL', qty: '2' })).toBe('197 2 0.197 2 false');
  });
  it('is a part of what is free, in whole lots', () => {
    expect(portion(50, LIMIT, AROUND)).toBe('5');
    expect(portion(33, { ...LIMIT, price: '99.99' }, AROUND)).toBe('3.3');
    expect(portion(100, { ...LIMIT, type: 'OCO', price: '99', stop: '125' }, AROUND)).toBe('8');
    expect(portion(25, { ...LIMIT, side: 'SELL' }, { ...AROUND, free: decimal('0.0099') })).toBe('0.002');
    expect(portion(100, { ...LIMIT, type: 'MARKET', inQuote: true }, { ...AROUND, free: decimal('10.129') })).toBe('10.12');
  });
  it('is the least of it, and asked about, where the order goes beyond the book that is shown', () => {
    const asks = (part: Partial<Draft>, from = '1000000') => doubts({ ...LIMIT, type: 'MARKET', price: '', ...part }, AROUND, from);
    expect([asks({ qty: '5' }), asks({ qty: '509', inQuote: true }), asks({ side: 'SELL', qty: '3' })]).toEqual(['', '', '']);
    for (const part of [{ qty: '5.001' }, { qty: '509.01', inQuote: true }, { side: 'SELL', qty: '3.001' }, { side: 'SELL', qty: '296', inQuote: true }] as Partial<Draft>[]) {
      expect(asks(part)).toContain('beyond the book that is shown');
    }
    expect(costs({ type: 'MARKET', side: 'SELL', qty: '6' })).toBe('295 3 0.295 6 true');
    expect(asks({ qty: '1' }, '101')).toBe('It is worth 101 USDT or more.');
    expect(doubts({ ...LIMIT, type: 'MARKET' }, { ...AROUND, book: undefined }, '1000000')).toContain('not known');
    // The rest may be worth what is missing here.
    const thin = { book: { symbol: 'BTCUSDT', ts_ns: '1', bids: [], asks: [['101.0', '0.001']] } } as Partial<Around>;
    expect(wrong({ type: 'MARKET', price: '', qty: '1' }, thin)).toBe('');
  });
  it('is told when its price is far through the market', () => {
    expect(through({ ...LIMIT, price: '110' }, decimal('100'))).toBe(10);
    expect(through({ ...LIMIT, price: '90' }, decimal('100'))).toBe(0);
    expect(through({ ...LIMIT, side: 'SELL', price: '90' }, decimal('100'))).toBe(10);
  });
  it('is told when the limit that a stop wakes is far through the stop', () => {
    const stop = (part: Partial<Draft>) => through({ ...LIMIT, type: 'STOP_LOSS_LIMIT', ...part }, decimal('100'));
    expect([stop({ stop: '200', price: '210' }), stop({ stop: '200', price: '200' }), stop({ stop: '200', price: '150' })]).toEqual([5, 0, 0]);
    expect(stop({ side: 'SELL', stop: '50', price: '5' })).toBe(90);
    expect(stop({ type: 'TAKE_PROFIT_LIMIT', stop: '80', price: '100' })).toBe(25);
    expect(stop({ type: 'OCO', price: '90', stop: '110', stopLimit: '121' })).toBe(10);
    expect([stop({ type: 'OCO', price: '90', stop: '110' }), stop({ type: 'STOP_LOSS', stop: '110', price: '900' })]).toEqual([0, 0]);
    expect(doubts({ ...LIMIT, side: 'SELL', type: 'STOP_LOSS_LIMIT', stop: '50', price: '5' }, AROUND, '1000000')).toBe('Its limit is 90 % through its stop.');
  });
  it('is asked about whatever it is, where that is wanted', () => {
    expect(doubts(LIMIT, AROUND, '0')).toBe('Every order in USDT is asked about.');
  });
});

describe('what is typed', () => {
  const MARKET: Draft = { ...LIMIT, type: 'MARKET', qty: '500', inQuote: true };
  it('is no quantity any more when it was an amount, and the other way', () => {
    expect(changed(MARKET, { type: 'LIMIT' })).toEqual({ ...MARKET, type: 'LIMIT', qty: '' });
    expect(changed(MARKET, { inQuote: false }).qty).toBe('');
    expect(changed({ ...MARKET, type: 'LIMIT' }, { type: 'MARKET' }).qty).toBe('');
    expect(changed(MARKET, { side: 'SELL' }).qty).toBe('500');
    expect(changed(LIMIT, { type: 'MARKET' }).qty).toBe('1');
    expect(changed(LIMIT, { inQuote: true }).qty).toBe('1');
    expect(changed(MARKET, { type: 'LIMIT', qty: '2' }).qty).toBe('2');
  });
});

describe('an amendment', () => {
  const ORDER: OrderState = { client_order_id: 'a', symbol: 'BTCUSDT', side: 'BUY', order_type: 'LIMIT', order_qty: '1.0', limit_price: '90.0', executed_qty: '0.5', avg_price: '90.0' };
  const asks = (qty: string, price: string, part: Partial<OrderState> = {}) => doubts(amended({ ...ORDER, ...part }, qty, price), AROUND, '1000');
  it('is asked what a new order of its size and price would be', () => {
    expect(asks('1', '90')).toBe('');
    expect(asks('20', '90')).toBe('It is worth 1,000 USDT or more.');
    expect(asks('1', '900')).toBe('Its price is 800 % through the market.');
    expect(asks('1', '9', { side: 'SELL' })).toBe('Its price is 91 % through the market.');
    expect(asks('20', '90', { order_type: 'nobody knows' })).toBe('It is worth 1,000 USDT or more.');
  });
  it('of a stop is asked by its stop, until that has woken it', () => {
    const stop = { order_type: 'STOP_LOSS_LIMIT', stop_price: '200.0' };
    expect(asks('1', '200', stop)).toBe('');
    expect(asks('1', '220', stop)).toBe('Its limit is 10 % through its stop.');
    expect(asks('1', '200', { ...stop, triggered: true })).toBe('Its price is 100 % through the market.');
    expect(asks('5', '', { order_type: 'STOP_LOSS', stop_price: '200.0' })).toBe('It is worth 1,000 USDT or more.');
  });
});

describe('what is sent', () => {
  const sent = (part: Partial<Draft>) => JSON.stringify(body({ ...LIMIT, ...part }, 'BTCUSDT', 'id', 1_704_067_200_123));
  it('has the fields of its type and no other', () => {
    expect(sent({})).toBe('{"side":"BUY","symbol":"BTCUSDT","client_order_id":"id","type":"LIMIT","qty":"1","price":"100","time_in_force":"GTC"}');
    expect(sent({ type: 'LIMIT_MAKER', tif: 'IOC' })).not.toContain('time_in_force');
    expect(sent({ type: 'MARKET', inQuote: true })).toBe('{"side":"BUY","symbol":"BTCUSDT","client_order_id":"id","type":"MARKET","quote_qty":"1"}');
    expect(sent({ type: 'STOP_LOSS', stop: '99' })).toContain('"stop_price":"99"');
    expect(sent({ side: 'SELL', reduceOnly: true })).toContain('"reduce_only":true');
    expect(sent({ type: 'OCO', stop: '110' })).toBe('{"side":"BUY","symbol":"BTCUSDT","client_order_id":"id","qty":"1","price":"100","stop_price":"110"}');
    expect(sent({ type: 'OCO', stop: '110', stopLimit: '111' })).toContain('"stop_price":"110","stop_limit_price":"111"');
    expect(sent({ stopLimit: '111' })).not.toContain('stop_limit');
    expect(pathOf({ type: 'LIMIT' }) + pathOf({})).toBe('/api/order/api/oco');
    expect(sent({ reduceOnly: true })).not.toContain('reduce_only');
  });
  it('ends at an exact nanosecond', () => {
    expect(sent({ tif: 'GTD' })).toContain('"expire_ts_ns":1704067500123000000');
  });
});
