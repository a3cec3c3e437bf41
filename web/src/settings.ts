// What this browser remembers: looks and habits, never state of the account. A browser that keeps nothing
// works too.

import { effect, signal, type Signal } from '@preact/signals';

const PREFIX = 'veloz.';

/** A signal whose text is kept; anything but what `valid` takes is the fallback. */
export function kept<T extends string>(name: string, fallback: T, valid: (text: string) => boolean): Signal<T> {
  let found: string | null = null;
  try {
    found = localStorage.getItem(PREFIX + name);
  } catch {
    // Storage is switched off.
  }
  const value = signal(found !== null && valid(found) ? (found as T) : fallback);
  effect(() => {
    const text = value.value;
    try {
      if (text === fallback) localStorage.removeItem(PREFIX + name);
      else localStorage.setItem(PREFIX + name, text);
    } catch {
      // As above: the choice lasts as long as the page.
    }
  });
  return value;
}

export type Theme = 'auto' | 'dark' | 'light';
export const theme = kept<Theme>('theme', 'auto', (text) => ['auto', 'dark', 'light'].includes(text));
export const interval = kept<string>('interval', '5', (text) => /^\d{1,5}$/.test(text));
export const chartKind = kept<'candles' | 'line'>('chart', 'candles', (text) => text === 'line');

/** What may be kept, and so what may be typed. */
export const isWorth = (text: string): boolean => /^\d{1,18}(\.\d{1,8})?$/.test(text);

const CONFIRM_FROM = 'confirm-from';
const DOLLARS = new Set(['USD', 'USDT', 'USDC', 'FDUSD', 'BUSD']);
const thresholds = new Map<string, Signal<string>>();

/**
 * An order worth as much in this quote asset, or more, is asked about before it is sent; 0: every order. What
 * ten thousand are worth is known of dollars alone.
 */
export function confirmFrom(quote: string): Signal<string> {
  const known = thresholds.get(quote) ?? kept<string>(`${CONFIRM_FROM}.${quote}`, DOLLARS.has(quote) ? '10000' : '0', isWorth);
  thresholds.set(quote, known);
  return known;
}

/** One value for every asset was kept once: that was meant in dollars. */
function takeOver(): void {
  try {
    const old = localStorage.getItem(PREFIX + CONFIRM_FROM);
    localStorage.removeItem(PREFIX + CONFIRM_FROM);
    if (old !== null && isWorth(old)) confirmFrom('USDT').value = old;
  } catch {
    // As above.
  }
}
takeOver();

const darkQuery = matchMedia('(prefers-color-scheme: dark)');
/** Grows when colours have changed. */
export const colours = signal(0);
const paint = (): void => {
  const dark = theme.value === 'dark' || (theme.value === 'auto' && darkQuery.matches);
  document.documentElement.dataset['theme'] = dark ? 'dark' : 'light';
  colours.value = colours.peek() + 1;
};
darkQuery.addEventListener('change', paint);
effect(paint);
