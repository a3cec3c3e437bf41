import { describe, expect, it } from 'vitest';
import { Candles, MOST_MINUTES, MOST_SECONDS } from '../src/candles';

function made(trades: [number, number][]): Candles {
  const candles = new Candles();
  for (const [second, price] of trades) candles.add(second, price);
  return candles;
}

describe('candles', () => {
  it('are made of trades, by the interval', () => {
    const candles = made([[10, 5], [10, 7], [11, 4], [16, 6]]);
    expect(candles.at(5)).toEqual([
      { time: 10, open: 5, high: 7, low: 4, close: 4 },
      { time: 15, open: 6, high: 6, low: 6, close: 6 },
    ]);
    expect(candles.newestAt(5)).toEqual({ time: 15, open: 6, high: 6, low: 6, close: 6 });
  });
  it('are widened by a late trade, and close where they did', () => {
    const candles = made([[10, 5], [12, 6], [10, 9]]);
    expect(candles.at(1)[0]).toEqual({ time: 10, open: 5, high: 9, low: 5, close: 5 });
  });
  it('take the past in front of what came live', () => {
    const live = made([[10, 5], [11, 6]]);
    live.prepend(made([[9, 1], [10, 8]]));
    expect(live.at(1)).toEqual([
      { time: 9, open: 1, high: 1, low: 1, close: 1 },
      { time: 10, open: 8, high: 8, low: 5, close: 5 },
      { time: 11, open: 6, high: 6, low: 6, close: 6 },
    ]);
  });
  it('are bounded', () => {
    const candles = new Candles();
    for (let second = 0; second < 3 * MOST_SECONDS; second += 1) candles.add(second, 1);
    expect(candles.at(1).length).toBeLessThan(1.1 * MOST_SECONDS);
    expect(candles.at(1).at(-1)?.time).toBe(3 * MOST_SECONDS - 1);
  });
  it('of minutes and more reach further back than those of seconds', () => {
    const candles = new Candles();
    for (let second = 0; second < 3 * MOST_SECONDS; second += 1) candles.add(second, second);
    expect(candles.at(60)[0]).toEqual({ time: 0, open: 0, high: 59, low: 0, close: 59 });
    expect(candles.at(3600)).toHaveLength(17);
    expect(candles.newestAt(3600)).toEqual({ time: 57_600, open: 57_600, high: 59_999, low: 57_600, close: 59_999 });
    for (let minute = 0; minute < 2 * MOST_MINUTES; minute += 1) candles.add(60 * minute, 1);
    expect(candles.at(60).length).toBeLessThan(1.1 * MOST_MINUTES);
  });
});
