//! The rule that a refused order broke, in words.
//!
//! Contract: a refusal names the field, its value and the rule, with the numbers that were in force.

use veloz_core::engine::Engine;
use veloz_core::input::{NewOrder, RiskSettings};
use veloz_core::instrument::{Instrument, PercentPrice, QtyRange};
use veloz_core::limits::OPEN_ORDERS_COUNT;
use veloz_core::order::TimeInForce;
use veloz_core::risk::Reason;
use veloz_core::types::{Price, Side};

/// What was asked for, and what the rules are made of.
#[derive(Debug)]
pub struct Rules {
    order: NewOrder,
    instrument: Instrument,
    settings: RiskSettings,
    last: Option<Price>,
}

impl Rules {
    /// The rules for an order of a symbol that is traded.
    pub(super) fn of(engine: &Engine, order: NewOrder) -> Option<Rules> {
        Some(Rules {
            instrument: engine.instrument(&order.symbol)?.clone(),
            settings: engine.state().risk().clone(),
            last: engine.state().market(&order.symbol).map(|market| market.price),
            order,
        })
    }

    /// The rule that it broke. `None` where there is no more to say than the reason's name.
    pub(super) fn broken(&self, reason: Reason) -> Option<String> {
        let order = &self.order;
        let Instrument { symbol, tick, base, quote, .. } = &self.instrument;
        let settings = &self.settings;
        Some(match reason {
            Reason::Halted => "trading is halted".to_owned(),
            Reason::ReduceOnly => format!("only what is free of {base} can be sold"),
            Reason::DailyLoss => "the day has lost as much as max_daily_loss allows".to_owned(),
            Reason::SymbolStatus => {
                format!("symbol {symbol} is {}, not TRADING", self.instrument.status.as_str())
            }
            Reason::PriceTick => format!("{} must be a multiple of {tick}", prices(order)),
            Reason::PriceRange => self.price_range(order),
            Reason::PercentPrice => self.percent(order)?,
            Reason::LotSize => self.quantity(order),
            Reason::MinNotional => {
                let least = self.instrument.min_notional;
                format!("price times qty, or quote_qty, must be {least} {quote} at least")
            }
            Reason::MaxNotional => {
                let most = self.instrument.max_notional?;
                format!("price times qty, or quote_qty, must be {most} {quote} at most")
            }
            Reason::MaxOrderNotional => {
                let most = settings.max_order_notional?;
                format!("price times qty must be {most} {quote} at most: max_order_notional")
            }
            Reason::MaxSymbolNotional => {
                let most = settings.max_symbol_notional?;
                format!(
                    "the open orders of {symbol} may be worth {most} {quote}: max_symbol_notional"
                )
            }
            Reason::MaxPosition => {
                let most = settings.max_position.get(base)?;
                format!("qty {}: BUY orders may bring {base} to {most}: max_position", order.qty)
            }
            Reason::PriceCollar => self.collar(order)?,
            Reason::MaxOpenOrders => self.open_orders(),
            Reason::OrderRate => {
                let most = settings.max_orders_per_second?;
                format!("{most} orders a second may be sent: max_orders_per_second")
            }
            Reason::InsufficientBalance => {
                let pays = if order.side == Side::Buy { quote } else { base };
                format!("there is not enough {pays} free")
            }
            Reason::WouldTake => {
                format!("{} would trade at once, as a post-only order must not", prices(order))
            }
            Reason::WouldTrigger => {
                format!("the last price has reached stop_price {} already", order.stop_price?)
            }
            Reason::OcoPrices => {
                format!("price must be beyond the last price {}", self.last?)
            }
            Reason::Gtd => "expire_ts_ns is not after the gateway's time".to_owned(),
            Reason::NoPrice => {
                "nobody has told a price yet: give it a price, or wait for one".to_owned()
            }
            Reason::NoLiquidity => "quote_qty: nobody knows a price".to_owned(),
            Reason::UnsupportedByEngine => unsupported(order),
            Reason::AmendQty => format!("qty {} must be above what is executed", order.qty),
            Reason::Oco => {
                "neither order of a pair can be amended while both stand: cancel it, and place another"
                    .to_owned()
            }
            _ => return None,
        })
    }

    fn open_orders(&self) -> String {
        let Instrument { symbol, max_open_orders, .. } = &self.instrument;
        let of_symbol = max_open_orders.map(|most| format!("{most} of {symbol}"));
        let in_all = self.settings.max_open_orders;
        let in_all = in_all.map(|most| format!("{most} in all: max_open_orders"));
        let most = of_symbol.into_iter().chain(in_all).collect::<Vec<_>>().join(", ");
        let most = if most.is_empty() { OPEN_ORDERS_COUNT.to_string() } else { most };
        format!("the orders that may be open are {most}")
    }

    fn price_range(&self, order: &NewOrder) -> String {
        let least = self.instrument.min_price;
        let most = self.instrument.max_price.map(|most| format!(" and {most} at most"));
        format!("{} must be {least} at least{}", prices(order), most.unwrap_or_default())
    }

    fn percent(&self, order: &NewOrder) -> Option<String> {
        let PercentPrice { bid_up, bid_down, ask_up, ask_down } = self.instrument.percent_price?;
        let (price, last) = (order.price?, self.last?);
        let (down, up) = match order.side {
            Side::Buy => (bid_down, bid_up),
            Side::Sell => (ask_down, ask_up),
        };
        Some(format!("price {price} must be {down} to {up} times the last price {last}"))
    }

    fn quantity(&self, order: &NewOrder) -> String {
        let &Instrument { lot, min_qty, max_qty, market, .. } = &self.instrument;
        let rule = |range: QtyRange| {
            let QtyRange { lot, min_qty, max_qty } = range;
            format!("a multiple of {lot}, from {min_qty} to {max_qty}")
        };
        let all = rule(QtyRange { lot, min_qty, max_qty });
        let of_market = market.filter(|_| !order.order_type.has_limit()).map(rule);
        let of_market = of_market.map(|rule| format!("; as it has no limit also {rule}"));
        format!("qty {} must be {all}{}", order.qty, of_market.unwrap_or_default())
    }

    fn collar(&self, order: &NewOrder) -> Option<String> {
        let collar = self.settings.price_collar?;
        let basis = match (order.order_type.has_stop(), self.last) {
            (true, _) => format!("stop_price {}", order.stop_price?),
            (false, Some(last)) => format!("the last price {last}"),
            (false, None) => return Some("there is no last price to measure by".to_owned()),
        };
        let price = order.price.map_or("it".to_owned(), |price| format!("price {price}"));
        Some(format!("{price} could trade more than {collar} beyond {basis}: price_collar"))
    }
}

/// What an external engine cannot be told, and what to do in its place.
fn unsupported(order: &NewOrder) -> String {
    let (what, instead) = if order.oco_with.is_some() {
        ("a pair (OCO)".to_owned(), "watch the price, and send a MARKET order when it is there")
    } else if order.quote_qty.is_some() {
        ("quote_qty".to_owned(), "give a qty")
    } else if order.order_type.has_stop() {
        let kind = format!("type {}", order.order_type.as_str());
        (kind, "watch the price, and send the order when it is there")
    } else if order.time_in_force == TimeInForce::Gtd {
        ("time_in_force GTD".to_owned(), "cancel the order at its time")
    } else {
        ("an amendment".to_owned(), "cancel the order, and place another")
    };
    format!("{what}: an external engine's protocol has no words for it; {instead}")
}

/// The prices of an order and their fields.
fn prices(order: &NewOrder) -> String {
    let price = order.price.map(|price| format!("price {price}"));
    let stop = order.stop_price.map(|stop| format!("stop_price {stop}"));
    price.into_iter().chain(stop).collect::<Vec<_>>().join(", ")
}
