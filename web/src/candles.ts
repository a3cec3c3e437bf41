// Candles of one symbol out of its trades, kept by the second and by the minute, drawn at any interval.
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
export const MOST_MINUTES = 4_000;
const MINUTE = 60;

/** Candles of one length; the oldest are let go. */
class Row {
  candles = new Map<number, Candle>();
  newest = 0;

  constructor(
    readonly step: number,
    readonly most: number,
  ) {}

  add(second: number, price: number): void {
    const time = second - (second % this.step);
    const candle = this.candles.get(time);
    if (candle) {
      candle.high = Math.max(candle.high, price);
      candle.low = Math.min(candle.low, price);
      if (second >= this.newest) candle.close = price;
    } else {
      this.candles.set(time, { time, open: price, high: price, low: price, close: price });
      this.#trim();
    }
    this.newest = Math.max(this.newest, second);
  }

  prepend(older: Row): void {
    const merged = new Map(older.candles);
    for (const [time, candle] of this.candles) {
      const before = merged.get(time);
      merged.set(time, before ? join(before, candle) : candle);
    }
    this.candles = merged;
    this.newest = Math.max(this.newest, older.newest);
    this.#trim();
  }

  /** By time, each of `interval` seconds, which is a multiple of the step. */
  at(interval: number): Candle[] {
    const rows = [...this.candles.values()].sort((a, b) => a.time - b.time);
    const candles: Candle[] = [];
    for (const row of rows) {
      const time = row.time - (row.time % interval);
      const last = candles.at(-1);
      if (last?.time === time) candles[candles.length - 1] = { ...join(last, row), time };
      else candles.push({ ...row, time });
    }
    return candles;
  }

  newestAt(interval: number): Candle | undefined {
    const start = this.newest - (this.newest % interval);
    let candle: Candle | undefined;
    for (let time = start; time <= this.newest; time += this.step) {
      const row = this.candles.get(time);
      if (row) candle = candle ? join(candle, row) : { ...row, time: start };
    }
    return candle;
  }

  #trim(): void {
    if (this.candles.size <= this.most * 1.05) return;
    const kept = [...this.candles.entries()].sort(([a], [b]) => a - b).slice(-this.most);
    this.candles = new Map(kept);
  }
}

export class Candles {
  readonly #seconds = new Row(1, MOST_SECONDS);
  readonly #minutes = new Row(MINUTE, MOST_MINUTES);

  add(second: number, price: number): void {
    if (!Number.isFinite(price) || !Number.isFinite(second)) return;
    this.#seconds.add(second, price);
    this.#minutes.add(second, price);
  }

  /** Puts what happened before in front. */
  prepend(older: Candles): void {
    this.#seconds.prepend(older.#seconds);
    this.#minutes.prepend(older.#minutes);
  }

  /** By time, each of `interval` seconds. */
  at(interval: number): Candle[] {
    return this.#row(interval).at(interval);
  }

  /** The candle that the newest trade is in. */
  newestAt(interval: number): Candle | undefined {
    return this.#row(interval).newestAt(interval);
  }

  #row(interval: number): Row {
    return interval % MINUTE === 0 ? this.#minutes : this.#seconds;
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
