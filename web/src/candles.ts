// Candles of one symbol out of its trades, kept by the second and drawn at any interval.
//
// Order: trades come in the order of events, whose own times may go back; a late trade widens its candle
// and leaves the close alone. Values are floats: they place pixels, nothing is computed from them.

export interface Candle {
  time: number;
  open: number;
  high: number;
  low: number;
  close: number;
}

export const MOST_SECONDS = 20_000;
const TRIM_SECONDS = 1_000;

export class Candles {
  #seconds = new Map<number, Candle>();
  #newest = 0;

  add(second: number, price: number): void {
    if (!Number.isFinite(price) || !Number.isFinite(second)) return;
    const candle = this.#seconds.get(second);
    if (candle) {
      candle.high = Math.max(candle.high, price);
      candle.low = Math.min(candle.low, price);
      if (second >= this.#newest) candle.close = price;
    } else {
      this.#seconds.set(second, { time: second, open: price, high: price, low: price, close: price });
      this.#trim();
    }
    this.#newest = Math.max(this.#newest, second);
  }

  /** Puts what happened before in front. */
  prepend(older: Candles): void {
    const merged = new Map(older.#seconds);
    for (const [second, candle] of this.#seconds) {
      const before = merged.get(second);
      merged.set(second, before ? join(before, candle) : candle);
    }
    this.#seconds = merged;
    this.#newest = Math.max(this.#newest, older.#newest);
    this.#trim();
  }

  /** By time, each of `interval` seconds. */
  at(interval: number): Candle[] {
    const seconds = [...this.#seconds.values()].sort((a, b) => a.time - b.time);
    const candles: Candle[] = [];
    for (const second of seconds) {
      const time = second.time - (second.time % interval);
      const last = candles.at(-1);
      if (last?.time === time) candles[candles.length - 1] = { ...join(last, second), time };
      else candles.push({ ...second, time });
    }
    return candles;
  }

  /** The candle that the newest trade is in. */
  newestAt(interval: number): Candle | undefined {
    const start = this.#newest - (this.#newest % interval);
    let candle: Candle | undefined;
    for (let time = start; time <= this.#newest; time += 1) {
      const second = this.#seconds.get(time);
      if (second) candle = candle ? join(candle, second) : { ...second, time: start };
    }
    return candle;
  }

  #trim(): void {
    if (this.#seconds.size <= MOST_SECONDS + TRIM_SECONDS) return;
    const kept = [...this.#seconds.entries()].sort(([a], [b]) => a - b).slice(-MOST_SECONDS);
    this.#seconds = new Map(kept);
  }
}

function join(first: Candle, next: Candle): Candle {
  return {
    time: first.time,
    open: first.open,
    high: Math.max(first.high, next.high),
    low: Math.min(first.low, next.low),
    close: next.close,
  };
}
