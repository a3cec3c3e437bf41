// How times, prices and states are shown. Everything is a text node: what an order says can never become markup.

import { places, shown } from './decimal';
import type { Instrument } from './types';

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const DAY = new Intl.DateTimeFormat(undefined, { month: '2-digit', day: '2-digit' });
const NS_DIGITS = 6;
const SUBSECOND_DIGITS = 9;
const DAY_MS = 86_400_000;

function dateOf(ns: string | undefined): Date | undefined {
  const at = new Date(Number((ns ?? '').slice(0, -NS_DIGITS)));
  return ns === undefined || ns === '' || Number.isNaN(at.getTime()) ? undefined : at;
}

/** To the nanosecond: `2024-01-01T00:00:00.000000001Z`. */
export function utc(ns: string | undefined): string {
  const at = dateOf(ns);
  return at ? `${at.toISOString().slice(0, 19)}.${(ns ?? '').slice(-SUBSECOND_DIGITS).padStart(SUBSECOND_DIGITS, '0')}Z` : (ns ?? '');
}

/** Local time, with the day when it was another; UTC is told on hover. */
export function Time({ ns }: { ns: string | undefined }) {
  const at = dateOf(ns);
  if (!at) return <span>—</span>;
  const old = Math.abs(Date.now() - at.getTime()) > DAY_MS;
  return <time dateTime={at.toISOString()} title={`${utc(ns).replace('T', ' ').replace('Z', '')} UTC`}>{old ? `${DAY.format(at)} ` : ''}{CLOCK.format(at)}</time>;
}

export function clock(ms: number): string {
  return CLOCK.format(ms);
}

/** A price at its instrument's precision, and a quantity; more digits when more were sent. */
export function priceOf(text: string | undefined, of: Instrument | undefined): string {
  return shown(text, places(of?.tick ?? '1'));
}

export function qtyOf(text: string | undefined, of: Instrument | undefined): string {
  return shown(text, places(of?.lot ?? '1'));
}

export function sideClass(side: string | undefined): string {
  return side === 'BUY' ? 'buy' : side === 'SELL' ? 'sell' : '';
}

/** The sign of a gain or loss, as a class. */
export function signClass(units: bigint): string {
  return units > 0n ? 'buy' : units < 0n ? 'sell' : '';
}
