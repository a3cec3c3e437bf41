// What an order ticket knows without a page: which fields a type has, which rule an order breaks, what it
// costs. All arithmetic is exact.

import { add, compare, decimal, divide, floorTo, isMultiple, multiply, negate, print, roundUp, shown, subtract, ZERO, type Decimal } from './decimal';
import type { Book, Instrument, OrderState, Side } from './types';

export const TYPES = {
  LIMIT: 'Limit',
  MARKET: 'Market',
  LIMIT_MAKER: 'Post only',
  STOP_LOSS: 'Stop loss',
  STOP_LOSS_LIMIT: 'Stop loss limit',
  TAKE_PROFIT: 'Take profit',
  TAKE_PROFIT_LIMIT: 'Take profit limit',
  OCO: 'OCO pair',
} as const;
export type OrderType = keyof typeof TYPES;

export const TIFS = {
  GTC: 'Until cancelled',
  IOC: 'Immediate, rest ends',
  FOK: 'All or nothing',
  GTD: 'For a time',
} as const;
export type Tif = keyof typeof TIFS;

export interface Draft {
  side: Side;
  type: OrderType;
  tif: Tif;
  /** In base; of a MARKET order in quote when `inQuote`. */
  qty: string;
  inQuote: boolean;
  price: string;
  stop: string;
  /** OCO: the limit of its stop order; empty: it trades at any price. */
  stopLimit: string;
  /** GTD: how long from now. */
  minutes: string;
  reduceOnly: boolean;
}

export interface Around {
  of: Instrument;
  free: Decimal | undefined;
  book: Book | undefined;
  last: Decimal | undefined;
}

export type Field = 'qty' | 'price' | 'stop' | 'stopLimit' | 'minutes';
export interface Problem {
  field: Field;
  text: string;
}

export const hasLimit = (type: OrderType): boolean => type === 'LIMIT' || type === 'LIMIT_MAKER' || type === 'OCO' || type.endsWith('_LIMIT');
export const hasStop = (type: OrderType): boolean => type === 'OCO' || type.startsWith('STOP_') || type.startsWith('TAKE_');
/** LIMIT_MAKER and OCO orders always rest until they are cancelled; an order without a limit is always immediate. */
export const hasTif = (type: OrderType): boolean => hasLimit(type) && type !== 'LIMIT_MAKER' && type !== 'OCO';
export const inQuote = (draft: Draft): boolean => draft.inQuote && draft.type === 'MARKET';

/** An amount that was typed in one asset is not one in the other. */
export function changed(draft: Draft, part: Partial<Draft>): Draft {
  const next = { ...draft, ...part };
  return part.qty === undefined && inQuote(next) !== inQuote(draft) ? { ...next, qty: '' } : next;
}

/** The order as a new one with this quantity and price would be. */
export function amended({ side, order_type: type = '', limit_price: limit, stop_price: stop = '', triggered }: OrderState, qty: string, price: string): Draft {
  const known = Object.hasOwn(TYPES, type) ? (type as OrderType) : limit === undefined ? 'MARKET' : 'LIMIT';
  // One that its price has woken is an order without a stop.
  const now = triggered && hasStop(known) ? (hasLimit(known) ? 'LIMIT' : 'MARKET') : known;
  return { side: side ?? 'BUY', type: now, tif: 'GTC', qty, inQuote: false, price, stop, stopLimit: '', minutes: '', reduceOnly: false };
}

/** A limit so many percent through the market is asked about. */
const FAR_PERCENT = 5;
/** The gateway's clock has an end too. */
const MOST_MINUTES: Decimal = { units: 5_256_000n, scale: 0 };

const step = (text: string): Decimal => decimal(text) ?? { units: 1n, scale: 0 };

/** The first rule that the draft breaks; `undefined` while it can be sent. */
export function problem(draft: Draft, around: Around): Problem | undefined {
  return amountProblem(draft, around) ?? priceProblem(draft, around) ?? worthProblem(draft, around);
}

function amountProblem(draft: Draft, { of }: Around): Problem | undefined {
  const field = 'qty';
  const amount = decimal(draft.qty);
  if (!amount || amount.units <= 0n) {
    return { field, text: draft.qty === '' ? 'Enter a quantity.' : 'The quantity is not a number above zero.' };
  }
  if (inQuote(draft)) return undefined;
  if (!isMultiple(amount, step(of.lot))) return { field, text: `The quantity must be a multiple of ${of.lot}.` };
  if (compare(amount, step(of.min_qty)) < 0) return { field, text: `The least quantity is ${of.min_qty}.` };
  if (compare(amount, step(of.max_qty)) > 0) return { field, text: `The largest quantity is ${of.max_qty}.` };
  return undefined;
}

function priceProblem(draft: Draft, { of, last }: Around): Problem | undefined {
  const check = (field: 'price' | 'stop' | 'stopLimit', text: string, name: string): Problem | undefined => {
    const value = decimal(text);
    if (!value || value.units <= 0n) {
      return { field, text: text === '' ? `Enter a ${name}.` : `The ${name} is not a number above zero.` };
    }
    return isMultiple(value, step(of.tick)) ? undefined : { field, text: `The ${name} must be a multiple of ${of.tick}.` };
  };
  if (hasStop(draft.type)) {
    const wrong = check('stop', draft.stop, 'stop price') ?? triggerProblem(draft, last);
    if (wrong) return wrong;
  }
  if (hasLimit(draft.type)) {
    const wrong = check('price', draft.price, 'price') ?? pairProblem(draft, last);
    if (wrong) return wrong;
  }
  if (draft.type === 'OCO' && draft.stopLimit !== '') {
    const wrong = check('stopLimit', draft.stopLimit, 'limit of the stop');
    if (wrong) return wrong;
  }
  return hasTif(draft.type) && draft.tif === 'GTD' ? timeProblem(draft) : undefined;
}

function timeProblem({ minutes }: Draft): Problem | undefined {
  const time = decimal(minutes);
  if (!time || time.units <= 0n) return { field: 'minutes', text: 'Enter for how many minutes it stands.' };
  const most = print(MOST_MINUTES);
  return compare(time, MOST_MINUTES) > 0 ? { field: 'minutes', text: `It stands for ${shown(most)} minutes at most: ten years.` } : undefined;
}

/** A STOP_LOSS sells at or below its stop and buys at or above; a TAKE_PROFIT the other way. */
function triggerProblem(draft: Draft, last: Decimal | undefined): Problem | undefined {
  const stop = decimal(draft.stop);
  if (!stop || !last) return undefined;
  const below = (draft.side === 'SELL') === !draft.type.startsWith('TAKE_');
  const reached = below ? compare(last, stop) <= 0 : compare(last, stop) >= 0;
  return reached ? { field: 'stop', text: `The last price has reached it: it must be ${below ? 'below' : 'above'} ${print(last)}.` } : undefined;
}

/** The limit of a pair is on the other side of the last price than its stop. */
function pairProblem(draft: Draft, last: Decimal | undefined): Problem | undefined {
  const price = decimal(draft.price);
  if (draft.type !== 'OCO' || !price || !last) return undefined;
  const sell = draft.side === 'SELL';
  const beyond = sell ? compare(price, last) > 0 : compare(price, last) < 0;
  return beyond ? undefined : { field: 'price', text: `The price must be ${sell ? 'above' : 'below'} ${print(last)}, the last one.` };
}

function worthProblem(draft: Draft, around: Around): Problem | undefined {
  const { of } = around;
  const { total, needed, asset, thin } = estimate(draft, around);
  if (total && !thin && compare(total, step(of.min_notional)) < 0) {
    return { field: 'qty', text: `The order must be worth ${of.min_notional} ${of.quote} at least.` };
  }
  if (draft.reduceOnly && draft.side === 'BUY') return { field: 'qty', text: 'Reduce-only orders sell.' };
  // What a market order costs is a guess; the gateway decides.
  const sure = hasLimit(draft.type) || draft.side === 'SELL' || inQuote(draft);
  if (sure && !draft.reduceOnly && needed && around.free && compare(needed, around.free) > 0) {
    return { field: 'qty', text: `There is not enough ${asset} free.` };
  }
  return undefined;
}

export interface Estimate {
  /** In quote: paid or received, before the fee. */
  total: Decimal | undefined;
  /** In base. */
  qty: Decimal | undefined;
  /** What the order takes from the account, and of what. */
  needed: Decimal | undefined;
  asset: string;
  fee: Decimal | undefined;
  feeAsset: string;
  /** The book that is shown ends before the order does: total, quantity and fee are the least. */
  thin: boolean;
}

/** What the order costs or brings; a market order walks the book that is shown, which may be a part of it. */
export function estimate(draft: Draft, { of, book }: Around): Estimate {
  const buy = draft.side === 'BUY';
  const amount = decimal(draft.qty);
  const walked = amount && draft.type === 'MARKET' ? walk((buy ? book?.asks : book?.bids) ?? [], amount, inQuote(draft)) : undefined;
  const price = decimal(pricedAt(draft));
  const total = draft.type === 'MARKET' ? walked?.total : amount && price && multiply(amount, price);
  const qty = draft.type === 'MARKET' ? walked?.qty : amount;
  const rate = decimal(of.taker_fee);
  // The fee is taken from what is received.
  const received = buy ? qty : total;
  const fee = received && rate && roundUp(multiply(received, rate), Number(buy ? of.base_decimals : of.quote_decimals));
  const needed = inQuote(draft) ? (buy ? amount : qty) : buy ? total : amount;
  return { total, qty, needed, asset: buy ? of.quote : of.base, fee, feeAsset: buy ? of.base : of.quote, thin: walked?.thin ?? false };
}

/** What the order is worth is counted at this price; of a pair that buys, the stop is the dearer one. */
function pricedAt({ side, type, price, stop, stopLimit }: Draft): string {
  if (type === 'OCO' && side === 'BUY') return stopLimit === '' ? stop : stopLimit;
  return hasLimit(type) ? price : stop;
}

/** Takes so much, base or quote, from these levels. */
function walk(levels: readonly (readonly [string, string])[], amount: Decimal, quote: boolean) {
  let [left, total, qty, thin] = [amount, ZERO, ZERO, true];
  for (const [levelPrice, levelQty] of levels) {
    const [price, there] = [decimal(levelPrice), decimal(levelQty)];
    if (!price || !there) continue;
    const all = quote ? multiply(price, there) : there;
    const last = compare(all, left) >= 0;
    const taken = last ? (quote ? (divide(left, price, 8) ?? ZERO) : left) : there;
    qty = add(qty, taken);
    total = add(total, quote && last ? left : multiply(price, taken));
    left = add(left, negate(last ? left : all));
    if (last) {
      thin = false;
      break;
    }
  }
  return levels.length === 0 ? undefined : { total, qty, thin };
}

/** So many percent of what is free, in whole lots. */
export function portion(percent: number, draft: Draft, { of, free, book, last }: Around): string | undefined {
  if (!free) return undefined;
  const share = multiply(free, { units: BigInt(percent), scale: 2 });
  if (draft.side === 'SELL') return print(floorTo(share, step(of.lot)));
  if (inQuote(draft)) return print(floorTo(share, { units: 1n, scale: Math.min(Number(of.quote_decimals), 2) }));
  const typed = draft.type === 'MARKET' ? (book?.asks[0]?.[0] ?? '') : pricedAt(draft);
  const price = decimal(typed) ?? last;
  const qty = price && divide(share, price, 8);
  return qty && print(floorTo(qty, step(of.lot)));
}

/** How far the limit is through the market, or through the stop that it waits for, in whole percent; 0 when it is not. */
export function through({ side, type, price, stop, stopLimit }: Draft, last: Decimal | undefined): number {
  const limit = decimal(type === 'OCO' ? stopLimit : hasLimit(type) ? price : '');
  const market = hasStop(type) ? decimal(stop) : last;
  if (!limit || !market || market.units === 0n) return 0;
  const over = side === 'BUY' ? subtract(limit, market) : subtract(market, limit);
  const share = divide(multiply(over, { units: 100n, scale: 0 }), market, 0);
  return share && share.units > 0n ? Number(share.units) : 0;
}

/** Why it is asked about before it is sent; empty when it is not. It is from this worth on. */
export function doubts(draft: Draft, around: Around, askFrom: string): string {
  const { total, thin } = estimate(draft, around);
  const from = decimal(askFrom);
  const far = through(draft, around.last);
  const reasons = [];
  if (!total) reasons.push('What it costs is not known: the book does not tell.');
  else if (from?.units === 0n) reasons.push(`Every order in ${around.of.quote} is asked about.`);
  else if (from && compare(total, from) >= 0) reasons.push(`It is worth ${shown(askFrom)} ${around.of.quote} or more.`);
  if (thin) reasons.push('It goes beyond the book that is shown; the prices there are not known.');
  if (far >= FAR_PERCENT) reasons.push(hasStop(draft.type) ? `Its limit is ${far} % through its stop.` : `Its price is ${far} % through the market.`);
  return reasons.join(' ');
}

/** Where a body goes: pairs have an endpoint of their own. */
export const pathOf = (order: Record<string, unknown>): string => (order['type'] === undefined ? '/api/oco' : '/api/order');

/** The body of `POST /api/order` or `/api/oco`; `nowMs` is the gateway's time. */
export function body(draft: Draft, symbol: string, id: string, nowMs: number): Record<string, unknown> {
  const { side, type, tif } = draft;
  const order: Record<string, unknown> = { side, symbol, client_order_id: id };
  if (type !== 'OCO') order['type'] = type;
  order[inQuote(draft) ? 'quote_qty' : 'qty'] = draft.qty;
  if (hasLimit(type)) order['price'] = draft.price;
  if (hasStop(type)) order['stop_price'] = draft.stop;
  if (type === 'OCO' && draft.stopLimit !== '') order['stop_limit_price'] = draft.stopLimit;
  if (hasTif(type)) order['time_in_force'] = tif;
  // Whole milliseconds in nanoseconds: digits enough for a JSON number to stay exact.
  if (hasTif(type) && tif === 'GTD') order['expire_ts_ns'] = Math.round(nowMs + Number(draft.minutes) * 60_000) * 1e6;
  if (draft.reduceOnly && side === 'SELL' && type !== 'OCO') order['reduce_only'] = true;
  return order;
}
