// Candles or a line of the chosen symbol, from the event history and live, with the account's own orders
// and fills on it.

import { effect, signal } from '@preact/signals';
import {
  CandlestickSeries, createChart, createSeriesMarkers, LineSeries, LineStyle,
  type AutoscaleInfo, type IChartApi, type IPriceLine, type ISeriesApi, type ISeriesMarkersPluginApi, type SeriesMarker, type Time as ChartTime, type UTCTimestamp,
} from 'lightweight-charts';
import { useEffect, useRef } from 'preact/hooks';
import type { Candle } from '../candles';
import { decimal, places, print, shown, subtract, toNumber } from '../decimal';
import { chartKind, colours, interval } from '../settings';
import { secondOf } from '../state';
import { candles, choose, fills, history, instrument, instruments, markets, morePast, open, readings, symbol, trades } from '../store';
import { priceOf, qtyOf, signClass } from '../text';
import type { OrderState } from '../types';
import { Missing, Stale } from './Banner';

export const INTERVALS: [string, number][] = [['1s', 1], ['5s', 5], ['15s', 15], ['1m', 60], ['5m', 300], ['15m', 900], ['1h', 3600]];
const MOST_MARKS = 200;
/** Bars before the oldest one in view at which more of the past is read. */
const NEAR_BARS = 20;
/** Of the price: how far own orders are shown when prices hardly move. */
const LEAST_REACH = 0.0001;
type Series = ISeriesApi<'Candlestick'> | ISeriesApi<'Line'>;

/** The chart draws times as UTC; moved by the offset it shows local time. */
function local(second: number): UTCTimestamp {
  return (second - new Date(second * 1000).getTimezoneOffset() * 60) as UTCTimestamp;
}

function css(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

const step = () => Number(interval.value);

function point(candle: Candle) {
  const time = local(candle.time);
  return chartKind.value === 'line' ? { time, value: candle.close } : { ...candle, time };
}

/** Own orders that are no further away than the prices in view reach are in view too. */
function withOwn(original: () => AutoscaleInfo | null): AutoscaleInfo | null {
  const info = original();
  if (!info?.priceRange) return info;
  const { minValue, maxValue } = info.priceRange;
  const reach = Math.max(maxValue - minValue, maxValue * LEAST_REACH);
  const near = ownPrices().filter((price) => price > minValue - reach && price < maxValue + reach);
  // The chart would press the labels of all others together at its edge.
  if (near.join() !== inReach.peek()) queueMicrotask(() => { inReach.value = near.join(); });
  return { ...info, priceRange: { minValue: Math.min(minValue, ...near), maxValue: Math.max(maxValue, ...near) } };
}

/** The own prices that the chart shows, as a text that tells whether they are others. */
const inReach = signal('');

function ownPrices(): number[] {
  const orders = [...open.now.values()].filter((order) => order.symbol === symbol.peek());
  return orders.flatMap((order) => [order.limit_price, order.stop_price]).filter((text) => text !== undefined).map(toNumber);
}

function addSeries(chart: IChartApi): Series {
  const digits = places(instrument.value?.tick ?? '0.01');
  const priceFormat = { type: 'custom', minMove: 1 / 10 ** digits, formatter: (price: number) => shown(price.toFixed(digits), digits) } as const;
  if (chartKind.value === 'line') return chart.addSeries(LineSeries, { color: css('--accent'), lineWidth: 2, priceFormat, autoscaleInfoProvider: withOwn });
  const [up, down] = [css('--buy'), css('--sell')];
  return chart.addSeries(CandlestickSeries, {
    upColor: up, downColor: down, wickUpColor: up, wickDownColor: down, borderVisible: false, priceFormat, autoscaleInfoProvider: withOwn,
  });
}

function theme(chart: IChartApi): void {
  const grid = { color: css('--line') };
  chart.applyOptions({
    layout: { background: { color: css('--panel') }, textColor: css('--muted'), fontSize: 11, fontFamily: 'system-ui, sans-serif' },
    grid: { vertLines: grid, horzLines: grid },
  });
}

function ownFills(): SeriesMarker<ChartTime>[] {
  const mine = fills.read().items.filter((fill) => fill.symbol === symbol.value).slice(-MOST_MARKS);
  const marks = mine.map((fill) => {
    const second = secondOf(fill.ts_ns);
    const buy = fill.side === 'BUY';
    return {
      time: local(second - (second % step())), price: toNumber(fill.price), position: buy ? 'atPriceBottom' : 'atPriceTop',
      shape: buy ? 'arrowUp' : 'arrowDown', color: css(buy ? '--buy-mark' : '--sell-mark'), size: 1.2,
    } as SeriesMarker<ChartTime>;
  });
  return marks.sort((a, b) => Number(a.time) - Number(b.time));
}

/** A line at the price of each own open order, and of its stop. */
class OwnOrders {
  #lines = new Map<string, { line: IPriceLine; text: string }>();

  constructor(readonly series: Series) {}

  show(orders: OrderState[]): void {
    const wanted = new Map(orders.flatMap((order) => this.#of(order)));
    for (const [key, { line, text }] of this.#lines) {
      if (wanted.get(key)?.text === text) continue;
      this.series.removePriceLine(line);
      this.#lines.delete(key);
    }
    for (const [key, { text, options }] of wanted) {
      if (!this.#lines.has(key)) this.#lines.set(key, { text, line: this.series.createPriceLine(options) });
    }
  }

  #of(order: OrderState) {
    const color = css(order.side === 'BUY' ? '--buy-mark' : '--sell-mark');
    const [all, done] = [decimal(order.order_qty), decimal(order.executed_qty)];
    const rest = all && done ? qtyOf(print(subtract(all, done)), instrument.peek()) : '';
    const line = (price: string | undefined, name: string, lineStyle: LineStyle) => {
      if (price === undefined || !inReach.value.split(',').includes(String(toNumber(price)))) return [];
      const title = `${order.side} ${rest}${name}`;
      const options = { price: toNumber(price), color, lineWidth: 1 as const, lineStyle, axisLabelVisible: true, title };
      return [[order.client_order_id + name, { text: `${price} ${title} ${color}`, options }] as const];
    };
    const stop = order.triggered === true ? undefined : order.stop_price;
    return [...line(order.limit_price, '', LineStyle.Dashed), ...line(stop, ' stop', LineStyle.Dotted)];
  }
}

function draw(element: HTMLElement): () => void {
  const chart = createChart(element, {
    autoSize: true,
    // Its logo needs an inline style, which the page's policy forbids: the notice stands in the footer.
    layout: { attributionLogo: false },
    timeScale: { timeVisible: true, secondsVisible: true, rightOffset: 4, borderVisible: false },
    rightPriceScale: { borderVisible: false },
  });
  let series: Series | undefined;
  let marks: ISeriesMarkersPluginApi<ChartTime> | undefined;
  let orders: OwnOrders | undefined;
  const ownOpen = () => [...open.read().values()].filter((order) => order.symbol === symbol.value);
  const whole = (): void => {
    theme(chart);
    const data = candles().at(step()).map(point) as never[];
    if (series) chart.removeSeries(series);
    series = addSeries(chart);
    series.setData(data);
    marks = createSeriesMarkers<ChartTime>(series as never, ownFills());
    orders = new OwnOrders(series);
    orders.show(ownOpen());
  };
  const untracked = (read: () => unknown[], act: () => void) => effect(() => {
    read();
    // What `act` reads must not draw all of it anew.
    queueMicrotask(act);
  });
  const stops = [
    untracked(() => [history.value, instrument.value, chartKind.value, colours.value], whole),
    untracked(() => [symbol.value, interval.value], () => {
      whole();
      chart.timeScale().scrollToRealTime();
    }),
    effect(() => {
      const newest = candles().newestAt(step());
      try {
        if (newest && series) series.update(point(newest) as never);
      } catch {
        // Older than what is drawn: the trade is in the candles, and in the next whole drawing.
      }
    }),
    effect(() => {
      const list = ownFills();
      marks?.setMarkers(list);
    }),
    effect(() => {
      const list = ownOpen();
      orders?.show(list);
    }),
  ];
  chart.timeScale().subscribeVisibleLogicalRangeChange((range) => {
    if (range && range.from < NEAR_BARS) void morePast();
  });
  return () => {
    for (const stop of stops) stop();
    chart.remove();
  };
}

export function turnInterval(by: number): void {
  const at = INTERVALS.findIndex(([, seconds]) => seconds === step());
  interval.value = String(INTERVALS[(at + by + INTERVALS.length) % INTERVALS.length]?.[1] ?? 5);
}

export function turnSymbol(by: number): void {
  const names = [...instruments.value.keys()];
  choose(names[(names.indexOf(symbol.value) + by + names.length) % names.length] ?? symbol.value);
}

export function Chart() {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => (place.current ? draw(place.current) : undefined), []);
  return (
    <section class="panel chart" aria-labelledby="chart-title">
      <div class="bar">
        <h2 id="chart-title" class="hidden">Chart</h2>
        <label><span class="hidden">Symbol</span>
          <select id="symbol" value={symbol.value} onChange={(e) => choose(e.currentTarget.value)}>
            {[...instruments.value.keys()].map((name) => <option key={name} value={name}>{name}</option>)}
          </select>
        </label>
        <Price />
        <Stale />
        <Missing of={readings.trades} />
        <span class="space" />
        <div class="choices" role="group" aria-label="Interval">
          {INTERVALS.map(([name, seconds]) => <button key={name} aria-pressed={step() === seconds} onClick={() => { interval.value = String(seconds); }}>{name}</button>)}
        </div>
        <div class="choices" role="group" aria-label="Drawn as">
          <button aria-pressed={chartKind.value === 'candles'} onClick={() => { chartKind.value = 'candles'; }}>Candles</button>
          <button aria-pressed={chartKind.value === 'line'} onClick={() => { chartKind.value = 'line'; }}>Line</button>
        </div>
      </div>
      <div class="canvas" ref={place} role="img" aria-label={`Price chart of ${symbol.value}; the numbers are in the book, the trades and the orders`} />
      <Nothing />
    </section>
  );
}

function Nothing() {
  if (trades.read().items.length > 0) return null;
  return <p class="over">{readings.trades.value.done ? `No trade of ${symbol.value} is kept. The chart grows with the first one.` : 'Reading what happened before.'}</p>;
}

function Price() {
  const market = markets.read().get(symbol.value);
  const of = instrument.value;
  const list = trades.read().items;
  const [now, before] = [decimal(market?.price), decimal(list[0]?.price)];
  const change = now && before ? subtract(now, before).units : 0n;
  return (
    <>
      <output id="last-price" class={`last ${signClass(change)}`}>{market ? priceOf(market.price, of) : 'no price yet'}</output>
      {market?.bid && market.ask ? <span class="touch"><span class="buy">{shown(market.bid, places(of?.tick ?? '1'))}</span> / <span class="sell">{shown(market.ask, places(of?.tick ?? '1'))}</span></span> : null}
    </>
  );
}
