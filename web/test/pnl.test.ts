import { describe, expect, it } from 'vitest';
import { add, decimal, multiply, negate, print, subtract, ZERO, type Decimal } from '../src/decimal';
import { after, assetsOf, averageCost, NONE, unrealized, type Position } from '../src/pnl';
import type { Fill, Side } from '../src/types';

const of = (text: string): Decimal => decimal(text) ?? ZERO;
const fill = (side: Side, qty: string, price: string, fee = '0', asset = 'USDT'): Fill => ({
  ts_ns: '1', client_order_id: 'a', symbol: 'BTCUSDT', side, qty, price, fee, fee_asset: asset,
});
const run = (...fills: Fill[]): Position => fills.reduce((at, next) => after(at, next, 'BTC', 'USDT'), NONE);
const told = (p: Position) => [print(p.qty), print(p.cost), print(p.realized)];

describe('positions', () => {
  it('grow at their cost, and realize the difference to the average', () => {
    const bought = run(fill('BUY', '1', '100'), fill('BUY', '1', '110'));
    expect(told(bought)).toEqual(['2', '210', '0']);
    expect(print(averageCost(bought, 2) ?? ZERO)).toBe('105');
    expect(print(unrealized(bought, of('120')))).toBe('30');
    const sold = after(bought, fill('SELL', '0.5', '125'), 'BTC', 'USDT');
    expect(told(sold)).toEqual(['1.5', '157.5', '10']);
  });
  it('count fees where they were taken', () => {
    const bought = run(fill('BUY', '1', '100', '0.001', 'BTC'));
    expect(told(bought)).toEqual(['0.999', '100', '0']);
    const sold = after(bought, fill('SELL', '0.999', '101', '0.1', 'USDT'), 'BTC', 'USDT');
    expect(told(sold)).toEqual(['0', '0', '0.799']);
    expect([...sold.fees].map(([asset, fee]) => `${asset} ${print(fee)}`)).toEqual(['BTC 0.001', 'USDT 0.1']);
    expect(told(run(fill('BUY', '1', '100', '0.01', 'BNB')))).toEqual(['1', '100', '0']);
  });
  it('know what they are in when an instrument or a fee tells', () => {
    const assets = (symbol: string, asset: string, side: Side = 'BUY') => assetsOf({ ...fill(side, '1', '1', '1', asset), symbol });
    expect([assets('OLDUSDT', 'OLD'), assets('OLDUSDT', 'USDT', 'SELL')]).toEqual([['OLD', 'USDT'], ['OLD', 'USDT']]);
    expect([assets('OLDUSDT', 'BNB'), assets('OLDUSDT', '')]).toEqual([['', ''], ['', '']]);
    expect([assets('USDTUSD', 'USD', 'SELL'), assets('BTCWBTC', 'BTC')]).toEqual([['USDT', 'USD'], ['BTC', 'WBTC']]);
    expect(run(fill('BUY', '1', '100')).quote).toBe('USDT');
    expect(after(run(fill('BUY', '1', '100')), fill('BUY', '1', '100', '1', 'BNB'), '', '').quote).toBe('USDT');
  });
  it('turn over when more is sold than was bought', () => {
    const short = run(fill('BUY', '1', '100'), fill('SELL', '3', '110'));
    expect(told(short)).toEqual(['-2', '-220', '10']);
    expect(print(averageCost(short, 2) ?? ZERO)).toBe('110');
    expect(print(unrealized(short, of('100')))).toBe('20');
    expect(told(after(short, fill('BUY', '2', '100'), 'BTC', 'USDT'))).toEqual(['0', '0', '30']);
  });
  it('stay as they were when a fill cannot be read', () => {
    expect(run({ ...fill('BUY', 'x', '1') }, { ...fill('BUY', '1', '1e3') })).toBe(NONE);
  });
  it('lose no unit: realized less cost is what was paid and received', () => {
    let seed = 20_231;
    const random = (most: number) => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      return seed % most;
    };
    let position = NONE;
    let cash = ZERO;
    for (let i = 0; i < 2_000; i += 1) {
      const next = fill(random(2) === 0 ? 'BUY' : 'SELL', `${random(3)}.${random(99_999) + 1}`, `${random(50_000) + 1}.${random(100)}`, `0.${random(999)}`);
      const worth = multiply(of(next.qty), of(next.price));
      cash = subtract(add(cash, next.side === 'BUY' ? negate(worth) : worth), of(next.fee ?? ''));
      position = after(position, next, 'BTC', 'USDT');
      expect(print(subtract(position.realized, position.cost)), `seed 20231, fill ${i}`).toBe(print(cash));
    }
    expect(position.fills).toBe(2_000);
  });
});
