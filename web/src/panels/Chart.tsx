// Candles of the chosen symbol, from the event history and live, with the account's own fills.

import { effect, signal } from '@preact/signals';
import {
  CandlestickSeries, createChart, createSeriesMarkers, LineSeries,
  type IChartApi, type ISeriesApi, type SeriesMarker, type Time as ChartTime, type UTCTimestamp,
} from 'lightweight-charts';
import { useEffect, useRef } from 'preact/hooks';
import { places, shown } from '../decimal';
import { candles, choose, fills, history, instrument, instruments, markets, secondOf, symbol } from '../store';
import type { Candle } from '../candles';

const INTERVALS: [string, number][] = [['1s', 1], ['5s', 5], ['15s', 15], ['1m', 60], ['5m', 300]];
const interval = signal(5);
const line = signal(false);
type Series = ISeriesApi<'Candlestick'> | ISeriesApi<'Line'>;

/** The chart draws times as UTC; moved by the offset it shows local time. */
function local(second: number): UTCTimestamp {
  return (second - new Date(second * 1000).getTimezoneOffset() * 60) as UTCTimestamp;
}

function css(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function point(candle: Candle) {
  const time = local(candle.time);
  return line.value ? { time, value: candle.close } : { ...candle, time };
}

function addSeries(chart: IChartApi): Series {
  const digits = places(instrument.value?.tick ?? '0.01');
  const priceFormat = { type: 'price', precision: digits, minMove: 1 / 10 ** digits } as const;
  if (line.value) return chart.addSeries(LineSeries, { color: css('--accent'), lineWidth: 2, priceFormat });
  const [up, down] = [css('--buy'), css('--sell')];
  return chart.addSeries(CandlestickSeries, {
    upColor: up, downColor: down, wickUpColor: up, wickDownColor: down, borderVisible: false, priceFormat,
  });
}

function theme(chart: IChartApi): void {
  const grid = { color: css('--line') };
  chart.applyOptions({
    layout: { background: { color: css('--panel') }, textColor: css('--muted'), fontSize: 11 },
    grid: { vertLines: grid, horzLines: grid },
  });
}

function ownFills(): SeriesMarker<ChartTime>[] {
  const step = interval.value;
  return fills.read().filter((fill) => fill.symbol === symbol.value).reverse().map((fill) => {
    const second = secondOf(fill.ts_ns);
    const buy = fill.side === 'BUY';
    return {
      time: local(second - (second % step)), position: buy ? 'belowBar' : 'aboveBar',
      shape: buy ? 'arrowUp' : 'arrowDown', color: css(buy ? '--buy' : '--sell'),
    };
  });
}

function draw(element: HTMLElement): () => void {
  const chart = createChart(element, {
    autoSize: true,
    // Its logo needs an inline style, which the page's policy forbids: the notice stands in the footer.
    layout: { attributionLogo: false },
    timeScale: { timeVisible: true, secondsVisible: true, rightOffset: 4 },
    rightPriceScale: { borderVisible: false },
  });
  let series: Series | undefined;
  let marks: { setMarkers(list: SeriesMarker<ChartTime>[]): void } | undefined;
  const whole = (): void => {
    theme(chart);
    if (series) chart.removeSeries(series);
    series = addSeries(chart);
    series.setData((candles.now.get(symbol.value)?.at(interval.value) ?? []).map(point) as never);
    marks = createSeriesMarkers<ChartTime>(series as never, ownFills());
  };
  const scheme = matchMedia('(prefers-color-scheme: dark)');
  scheme.addEventListener('change', whole);
  const stops = [
    effect(() => {
      void [history.value, instrument.value, line.value];
      whole();
    }),
    effect(() => {
      void [symbol.value, interval.value];
      whole();
      chart.timeScale().scrollToRealTime();
    }),
    effect(() => {
      const newest = candles.read().get(symbol.value)?.newestAt(interval.value);
      if (newest && series) series.update(point(newest) as never);
    }),
    effect(() => marks?.setMarkers(ownFills())),
  ];
  return () => {
    scheme.removeEventListener('change', whole);
    for (const stop of stops) stop();
    chart.remove();
  };
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
        <span class="space" />
        <div class="choices" role="group" aria-label="Interval">
          {INTERVALS.map(([name, seconds]) => <button key={name} aria-pressed={interval.value === seconds} onClick={() => { interval.value = seconds; }}>{name}</button>)}
          <button aria-pressed={line.value} onClick={() => { line.value = !line.value; }}>Line</button>
        </div>
      </div>
      <div class="canvas" ref={place} role="img" aria-label={`Price chart of ${symbol.value}; the numbers are in the book and the last trades`} />
    </section>
  );
}

function Price() {
  const market = markets.read().get(symbol.value);
  return <output id="last-price" class={`last ${market?.side === 'SELL' ? 'sell' : 'buy'}`}>{market ? shown(market.price, places(instrument.value?.tick ?? '1')) : 'no price yet'}</output>;
}
