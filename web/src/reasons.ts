// What the gateway's codes mean, for a trader: the rule that was broken, and what to do.

import type { Instrument } from './types';

const WORDS: Record<string, (of: Instrument | undefined) => string> = {
  halted: () => 'Trading is stopped by the kill switch. Resume it first.',
  reduce_only: (of) => `Only what is free of ${of?.base ?? 'the base asset'} may be sold now; a purchase is refused.`,
  price_tick: (of) => `The price must be a multiple of ${of?.tick ?? 'the tick'}.`,
  lot_size: (of) => `The quantity must be a multiple of ${of?.lot ?? 'the lot'}${of ? `, from ${of.min_qty} to ${of.max_qty}` : ''}.`,
  min_notional: (of) => `The order must be worth ${of ? `${of.min_notional} ${of.quote}` : 'the minimum'} at least.`,
  max_order_notional: () => 'The order is worth more than the limit that is set for one order.',
  max_open_orders: () => 'As many orders are open as may be. Cancel one first.',
  insufficient_balance: () => 'The account does not have enough free for it.',
  daily_loss: () => 'The day has lost as much as is allowed: only sales are taken.',
  symbol_status: () => 'The exchange does not trade this symbol now.',
  price_range: () => 'The price is outside what the instrument allows.',
  percent_price: () => 'The limit is further from the last price than the instrument allows.',
  max_notional: () => 'The order is worth more than the instrument allows.',
  max_symbol_notional: () => 'With it, the open orders of this symbol would be worth more than the limit set for them.',
  max_position: (of) => `The account could come to hold more ${of?.base ?? 'of the asset'} than the limit set for it.`,
  price_collar: () => 'It could trade further beyond the last price than the limit set.',
  order_rate: () => 'As many orders were sent within the last second as may be. Wait a moment.',
  oco_prices: () => 'Of a pair, the limit must be beyond the last price: above it to sell, below it to buy.',
  oco: () => 'The other order of its pair was executed or woken; while both stand neither can be amended.',
  not_taken: () => 'It never reached its venue.',
  lost_by_venue: () => 'The venue knows nothing of it any more.',
  not_told: () => 'The engine did not say why.',
  storage_full: () => 'The disk is full. Cancels still work; orders again when there is space.',
  storage_unavailable: () => 'The data directory cannot be written. Cancels still work.',
  would_take: () => 'Post-only: it would have taken from the book at once.',
  would_trigger: () => 'The last price has reached its stop already.',
  amend_qty: () => 'The new quantity must be above what is executed already.',
  unsupported_by_engine: () => 'The venue does not know such an order.',
  no_price: () => 'Nobody knows a price yet, so what it would lock is unknown. Give it a limit, or wait for a price.',
  no_liquidity: () => 'The book offered nothing (more) to it.',
  ioc_remainder: () => 'Immediate: what it did not get at once has ended.',
  fok_unfilled: () => 'All or nothing: it could not be filled as a whole.',
  gtd: () => 'Its time has come.',
  self_trade: () => 'It would have traded with another order of this account.',
  unknown_outcome: () => 'The venue did not answer; it is being asked.',
  duplicate_client_order_id: () => 'Another order has this id already.',
  order_closed: () => 'The order is closed already.',
  overloaded: () => 'The gateway is busy. Nothing was changed: try again.',
  shutting_down: () => 'The gateway is stopping. Nothing was changed.',
  execution_unavailable: () => 'The engine or the journal does not work. See Health.',
  unauthorized: () => 'The gateway asks for a log-in.',
  not_found: () => 'The gateway does not know it.',
};

/** In words; a code without any is shown as it is. */
export function inWords(code: string | undefined, of?: Instrument): string {
  if (!code) return '';
  return Object.hasOwn(WORDS, code) ? (WORDS[code]?.(of) ?? code) : code;
}
