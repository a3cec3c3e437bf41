// The limits in front of every order: what each is called, how much of it is used, and how a change of them is
// read from a form. Exact, and without a page.

import { compare, decimal, divide, multiply, print, shown, toNumber, ZERO, type Decimal } from './decimal';
import type { Amounts, Risk, RiskUse } from './types';

type Kind = 'worth' | 'count' | 'percent' | 'assets';

interface Limit {
  key: Exclude<keyof Risk, 'state'>;
  name: string;
  kind: Kind;
  hint: string;
}

export const LIMITS: readonly Limit[] = [
  { key: 'max_order_notional', name: 'Worth of an order', kind: 'worth', hint: 'in its quote asset' },
  { key: 'max_symbol_notional', name: 'Open worth', kind: 'worth', hint: 'all open orders of a symbol, in its quote asset' },
  { key: 'max_open_orders', name: 'Orders open', kind: 'count', hint: 'how many at once' },
  { key: 'max_orders_per_second', name: 'Orders a second', kind: 'count', hint: 'amendments count, cancels do not' },
  { key: 'price_collar', name: 'Beyond the last price', kind: 'percent', hint: 'in percent: how far an order may trade from it' },
  { key: 'max_position', name: 'Position', kind: 'assets', hint: 'by asset: BTC=5 ETH=80' },
  { key: 'max_daily_loss', name: 'Loss of the day', kind: 'assets', hint: 'by asset, of a UTC day: USDT=2000' },
];

const MOST_PER_SECOND = 10_000n;
const HUNDRED: Decimal = { units: 100n, scale: 0 };
const FRACTION_DIGITS = 8;
const PAIR = /^([A-Z0-9]{1,24})=([\d.]+)$/;

const amountsOf = (amounts: Amounts | undefined) => Object.entries(amounts ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));

/** As the form shows it, and takes it back; empty: no limit. */
export function fieldOf({ key, kind }: Limit, risk: Risk): string {
  const value = risk[key];
  if (kind === 'assets') return amountsOf(value as Amounts | undefined).map(([asset, most]) => `${asset}=${plain(most)}`).join(' ');
  if (value === null || value === undefined) return '';
  return kind === 'percent' ? print(multiply(decimal(value as string) ?? ZERO, HUNDRED)) : plain(value as string);
}

const plain = (text: string) => print(decimal(text) ?? ZERO);

/** The same for a person. */
function said(limit: Limit, field: string): string {
  if (field === '') return 'none';
  if (limit.kind === 'assets') return field.split(' ').map((pair) => pair.split('=')).map(([asset, most]) => `${shown(most)} ${asset}`).join(', ');
  return limit.kind === 'percent' ? `${shown(field)} %` : shown(field);
}

type Read = { wrong: string } | { field: string; value: string | null | Record<string, string> };

/** What was typed, as the gateway wants it. `assets` are those that there are. */
function read(limit: Limit, text: string, assets: ReadonlySet<string>): Read {
  const field = text.trim();
  if (limit.kind === 'assets') return readAssets(field, assets);
  if (field === '') return { field, value: null };
  const value = decimal(field);
  if (!value || value.units < 0n) return { wrong: 'is not a number of zero or more; empty is no limit' };
  if (limit.kind === 'count') {
    if (!/^\d{1,9}$/.test(field)) return { wrong: 'is not a whole number' };
    if (limit.key === 'max_orders_per_second' && value.units > MOST_PER_SECOND) return { wrong: `can be ${shown(String(MOST_PER_SECOND))} at most` };
    // A count is a number on the wire.
    return { field: print(value), value: print(value) };
  }
  if (value.scale > FRACTION_DIGITS) return { wrong: `has more than ${FRACTION_DIGITS} digits behind the point` };
  if (limit.kind === 'worth') return { field: print(value), value: print(value) };
  const fraction = divide(value, HUNDRED, FRACTION_DIGITS);
  if (!fraction || compare(multiply(fraction, HUNDRED), value) !== 0) return { wrong: 'has too many digits behind the point' };
  return { field: print(value), value: print(fraction) };
}

function readAssets(text: string, assets: ReadonlySet<string>): Read {
  const value: Record<string, string> = {};
  for (const pair of text.split(/[\s,;]+/).filter((part) => part !== '')) {
    const [, asset = '', most = ''] = PAIR.exec(pair.toUpperCase()) ?? [];
    if (!decimal(most)) return { wrong: `: ${pair} is not of the form ASSET=AMOUNT` };
    if (!assets.has(asset)) return { wrong: `: ${asset} is not traded here` };
    if (value[asset] !== undefined) return { wrong: `: ${asset} is named twice` };
    value[asset] = plain(most);
  }
  return { field: amountsOf(value).map(([asset, most]) => `${asset}=${most}`).join(' '), value };
}

export interface Change {
  key: Limit['key'];
  name: string;
  from: string;
  to: string;
}

export interface Changes {
  /** The first field that cannot be read. */
  wrong: { key: Limit['key']; text: string } | undefined;
  list: Change[];
  /** The body of `POST /api/risk`. */
  body: Record<string, unknown>;
}

/** What the fields change of the limits that are set. */
export function changes(risk: Risk, fields: Readonly<Record<string, string>>, traded: Iterable<string>): Changes {
  const made: Changes = { wrong: undefined, list: [], body: {} };
  for (const limit of LIMITS) {
    const before = fieldOf(limit, risk);
    const set = limit.kind === 'assets' ? (risk[limit.key] as Amounts | undefined) ?? {} : {};
    const now = read(limit, fields[limit.key] ?? before, new Set([...traded, ...Object.keys(set)]));
    if ('wrong' in now) {
      made.wrong ??= { key: limit.key, text: `${limit.name}${now.wrong.startsWith(':') ? '' : ' '}${now.wrong}.` };
    } else if (now.field !== before) {
      made.list.push({ key: limit.key, name: limit.name, from: said(limit, before), to: said(limit, now.field) });
      made.body[limit.key] = limit.kind === 'assets' ? { ...lifted(set), ...(now.value as object) } : limit.kind === 'count' && now.value !== null ? Number(now.value) : now.value;
    }
  }
  return made;
}

const lifted = (amounts: Amounts) => Object.fromEntries(Object.keys(amounts).map((asset) => [asset, null]));

export interface Used {
  key: Limit['key'];
  name: string;
  hint: string;
  /** `undefined`: no limit is set. */
  limit: string | undefined;
  /** How much of it is used; `undefined` where that is asked of each order alone, or not known. */
  used: string | undefined;
  /** 0 to 1, for a bar. */
  share: number | undefined;
}

/** How one of them is used, in words; empty where nothing counts. */
export function inUse({ used, limit }: Used): string {
  return used === undefined ? '' : limit === undefined ? used : `${used} of ${limit}`;
}

/** Each limit with its use, the one of several assets or symbols that is used the most. */
export function uses(risk: Risk, now: RiskUse | undefined): Used[] {
  return LIMITS.flatMap((limit): Used[] => {
    const { key, name, hint, kind } = limit;
    const one = (most: string | undefined, used: string | undefined, unit = ''): Used => {
      const share = most !== undefined && used !== undefined ? part(used, most) : undefined;
      const bounded = kind === 'percent' && most !== undefined ? `${shown(fieldOf(limit, risk))} %` : most && shown(most);
      return { key, name: unit === '' ? name : `${name}, ${unit}`, hint, limit: bounded, used: used === undefined ? undefined : shown(used), share };
    };
    if (kind === 'assets') {
      const spent = (key === 'max_position' ? now?.position : now?.daily_loss) ?? {};
      const set = amountsOf(risk[key] as Amounts | undefined);
      return set.length === 0 ? [one(undefined, undefined)] : set.map(([asset, most]) => one(most, spent[asset], asset));
    }
    const most = (risk[key] as string | null | undefined) ?? undefined;
    if (key === 'max_open_orders') return [one(most, now?.open_orders)];
    if (key === 'max_orders_per_second') return [one(most, most === undefined ? undefined : now?.orders_last_second)];
    if (key !== 'max_symbol_notional') return [one(most, undefined)];
    const [symbol, worth] = Object.entries(now?.symbol_notional ?? {}).sort(([, a], [, b]) => toNumber(b) - toNumber(a))[0] ?? ['', '0'];
    return [one(most, now && worth, symbol)];
  });
}

function part(used: string, most: string): number {
  return Math.min(1, Math.max(0, toNumber(most) === 0 ? 1 : toNumber(used) / toNumber(most)));
}

/** The day has lost as much as is allowed. */
export function lossReached(risk: Risk, now: RiskUse | undefined): boolean {
  return amountsOf(risk.max_daily_loss).some(([asset, most]) => {
    const [lost, limit] = [decimal(now?.daily_loss[asset]), decimal(most)];
    return lost !== undefined && limit !== undefined && compare(lost, limit) >= 0;
  });
}
