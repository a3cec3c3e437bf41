// What the gateway sends, as `parseExact` reads it: every number is the string of its digits.

export type Side = 'BUY' | 'SELL';
export type Status = 'ACCEPTED' | 'PARTIALLY_FILLED' | 'FILLED' | 'CANCELLED' | 'REJECTED' | 'EXPIRED';

export interface Market {
  symbol: string;
  ts_ns: string;
  price: string;
  trade_id?: string;
  qty?: string;
  side?: Side;
  bid?: string;
  ask?: string;
}

export interface Fill {
  ts_ns: string;
  client_order_id: string;
  symbol: string;
  qty: string;
  price: string;
  trade_id?: string;
  fee?: string;
  fee_asset?: string;
  liquidity?: string;
  side?: Side;
}

export interface OrderState {
  client_order_id: string;
  status?: Status;
  symbol?: string;
  side?: Side;
  order_qty?: string;
  limit_price?: string;
  executed_qty: string;
  avg_price: string;
  reason?: string;
  last_ts_ns?: string;
  cum_quote?: string;
  order_type?: string;
  time_in_force?: string;
  stop_price?: string;
  triggered?: boolean;
  expire_ts_ns?: string;
  oco_with?: string;
}

export interface Balance {
  asset: string;
  free: string;
  locked: string;
}

export type Level = [price: string, qty: string];

export interface Book {
  symbol: string;
  ts_ns: string;
  bids: Level[];
  asks: Level[];
}

export interface Instrument {
  symbol: string;
  base: string;
  quote: string;
  tick: string;
  lot: string;
  min_qty: string;
  max_qty: string;
  min_notional: string;
  base_decimals: string;
  quote_decimals: string;
  maker_fee: string;
  taker_fee: string;
}

export interface Config {
  market_source: string;
  market_symbol: string;
  market_symbols: string[];
  execution_mode: string;
  market_source_state: string;
  version: string;
}

/** By asset or symbol. */
export type Amounts = Record<string, string>;

export interface Risk {
  state: 'ACTIVE' | 'REDUCE_ONLY' | 'HALTED';
  max_order_notional?: string | null;
  max_open_orders?: string | null;
  max_symbol_notional?: string | null;
  max_orders_per_second?: string | null;
  price_collar?: string | null;
  max_position?: Amounts;
  max_daily_loss?: Amounts;
}

export interface RiskUse {
  open_orders: string;
  orders_last_second: string;
  symbol_notional: Amounts;
  position: Amounts;
  daily_loss: Amounts;
}

/** What has an event id of the log. */
export type Numbered<T> = T & { id: number };
