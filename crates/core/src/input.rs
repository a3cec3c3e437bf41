//! What may happen: everything that the engine is told, and what it answers.
//!
//! Contract: an [`Input`] is complete. The engine asks nobody for anything else: time comes with the
//! call, market data from its source, an external venue's reports as they arrive.

mod pair;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use pair::NewPair;

use crate::event::{Liquidity, OrderState};
use crate::order::{OrderStatus, OrderType, TimeInForce};
use crate::risk::Reason;
use crate::types::{
    Asset, ClientOrderId, Money, Price, Qty, Side, Symbol, Text, TsNs, VenueOrderId,
};

/// One thing that happened outside the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A client wants an order placed.
    NewOrder(NewOrder),
    /// A client wants two orders placed of which one at most is executed.
    NewPair(Box<NewPair>),
    /// A client wants an order taken back.
    Cancel(CancelOrder),
    /// A client wants another quantity or limit of an order that stands.
    Amend(AmendOrder),
    /// A client wants every open order taken back, of one symbol or of all.
    CancelAll {
        /// Only this symbol's.
        symbol: Option<Symbol>,
    },
    /// The operator changes the trading state or the limits.
    Risk(RiskChange),
    /// A market source said something.
    Market(MarketData),
    /// An external venue said what became of an order.
    Report(VenueReport),
    /// Something failed or came back: becomes an `error` event.
    Fault {
        /// The stable code.
        code: Text,
        /// For a person.
        detail: Text,
    },
    /// Time has passed: what stood until now expires.
    Tick,
}

/// An order as it was asked for, every default filled in: two requests are the same when these are equal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewOrder {
    /// The client's own name for it, unique for ever.
    pub client_order_id: ClientOrderId,
    /// The instrument.
    pub symbol: Symbol,
    /// Which way.
    pub side: Side,
    /// What it asks for.
    pub order_type: OrderType,
    /// How long it stands. One without a limit is always IOC.
    pub time_in_force: TimeInForce,
    /// Base quantity, above zero; zero when `quote_qty` is given.
    pub qty: Qty,
    /// MARKET: what a BUY spends and a SELL receives at most, in place of `qty`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote_qty: Option<Money>,
    /// The limit, of the types that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// The price that wakes it, of the types that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_price: Option<Price>,
    /// GTD: when what remains of it expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire_ts_ns: Option<TsNs>,
    /// Sell what is free of the base asset, and no more: `qty` is cut to it. A BUY is refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reduce_only: bool,
    /// The other order of its pair (see [`NewPair`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oco_with: Option<ClientOrderId>,
}

impl NewOrder {
    /// An order at what the book offers.
    pub const fn market(
        client_order_id: ClientOrderId,
        symbol: Symbol,
        side: Side,
        qty: Qty,
    ) -> NewOrder {
        NewOrder {
            client_order_id,
            symbol,
            side,
            order_type: OrderType::Market,
            time_in_force: TimeInForce::Ioc,
            qty,
            quote_qty: None,
            price: None,
            stop_price: None,
            expire_ts_ns: None,
            reduce_only: false,
            oco_with: None,
        }
    }

    /// An order at `price` or better, until it is cancelled.
    pub const fn limit(
        client_order_id: ClientOrderId,
        symbol: Symbol,
        side: Side,
        qty: Qty,
        price: Price,
    ) -> NewOrder {
        NewOrder {
            order_type: OrderType::Limit,
            time_in_force: TimeInForce::Gtc,
            price: Some(price),
            ..NewOrder::market(client_order_id, symbol, side, qty)
        }
    }

    /// Checks what an order of its type must and must not have.
    ///
    /// # Errors
    /// The first field that is out of its domain, its value and the rule.
    pub fn check_domain(&self) -> Result<(), Refusal> {
        self.check_amount()?;
        let kind = self.order_type;
        let of_kind = [
            ("price", self.price, kind.has_limit()),
            ("stop_price", self.stop_price, kind.has_stop()),
        ];
        for (field, value, wanted) in of_kind {
            let kind = kind.as_str();
            match value {
                None if wanted => return Err(bad(field, format!("is required for {kind}"))),
                Some(value) if !wanted => {
                    return Err(bad(field, format!("{value} must be left out of a {kind} order")));
                }
                Some(value) if value <= Price::ZERO => {
                    return Err(bad(field, format!("{value} must be above zero")));
                }
                _ => {}
            }
        }
        self.check_time_in_force()
    }

    fn check_amount(&self) -> Result<(), Refusal> {
        match self.quote_qty {
            None if self.qty > Qty::ZERO => Ok(()),
            None => Err(bad("qty", format!("{} must be above zero", self.qty))),
            Some(_) if !self.qty.is_zero() => {
                Err(bad("quote_qty", "must be left out when qty is given".into()))
            }
            Some(quote_qty) if quote_qty <= Money::ZERO => {
                Err(bad("quote_qty", format!("{quote_qty} must be above zero")))
            }
            Some(_) if self.order_type != OrderType::Market => Err(bad(
                "quote_qty",
                format!("is for MARKET only, not {}", self.order_type.as_str()),
            )),
            Some(_) => Ok(()),
        }
    }

    fn check_time_in_force(&self) -> Result<(), Refusal> {
        let (kind, tif) = (self.order_type, self.time_in_force);
        let only = match kind {
            _ if !kind.has_limit() => Some(TimeInForce::Ioc),
            OrderType::LimitMaker => Some(TimeInForce::Gtc),
            _ => None,
        };
        if let Some(only) = only.filter(|only| *only != tif) {
            let (tif, kind, only) = (tif.as_str(), kind.as_str(), only.as_str());
            return Err(bad("time_in_force", format!("{tif}: a {kind} order is {only}")));
        }
        match (tif, self.expire_ts_ns) {
            (TimeInForce::Gtd, None) => Err(bad("expire_ts_ns", "is required for GTD".into())),
            (TimeInForce::Gtd, Some(at)) if at <= 0 => {
                Err(bad("expire_ts_ns", format!("{at} must be above zero")))
            }
            (TimeInForce::Gtd, Some(_)) | (_, None) => Ok(()),
            (_, Some(at)) => {
                Err(bad("expire_ts_ns", format!("{at} is for time_in_force GTD only")))
            }
        }
    }
}

/// A value out of its domain.
#[cold]
pub(crate) fn bad(field: &'static str, message: String) -> Refusal {
    Refusal::BadParams { field, message }
}

/// A request for another quantity or limit of an order that stands. What is `None` stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AmendOrder {
    /// Which one.
    pub client_order_id: ClientOrderId,
    /// The whole quantity, what is executed of it included.
    pub qty: Option<Qty>,
    /// The limit.
    pub price: Option<Price>,
}

/// A request to take an order back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelOrder {
    /// Which one.
    pub client_order_id: ClientOrderId,
    /// When given, must be the order's own.
    pub symbol: Option<Symbol>,
}

/// Whether orders are taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TradingState {
    /// Orders are taken.
    #[default]
    Active,
    /// Only SELL orders of what the account holds are taken, and cancels.
    ReduceOnly,
    /// No order is taken; cancels are.
    Halted,
}

/// The limits in front of every venue, and the kill switch. `None` is no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RiskSettings {
    /// The kill switch.
    pub state: TradingState,
    /// The largest notional of one order, in its quote asset.
    #[serde(default)]
    pub max_order_notional: Option<Money>,
    /// The most open orders at once.
    #[serde(default)]
    pub max_open_orders: Option<u32>,
    /// What the open orders of one symbol may be worth at most, in its quote asset: each at its limit, or
    /// at its stop if it has no limit.
    #[serde(default)]
    pub max_symbol_notional: Option<Money>,
    /// The most orders sent within any second; amendments count, cancels do not.
    #[serde(default)]
    pub max_orders_per_second: Option<u32>,
    /// How far beyond the last price an order may trade, as a fraction: 0.05 is five per cent.
    #[serde(default)]
    pub price_collar: Option<Qty>,
    /// The most of an asset that BUY orders may bring the account to hold.
    #[serde(default)]
    pub max_position: BTreeMap<Asset, Money>,
    /// How much less than at the start of the UTC day the account may be worth, by the asset that it is
    /// measured in, until BUY orders are refused for the rest of the day.
    #[serde(default)]
    pub max_daily_loss: BTreeMap<Asset, Money>,
}

/// Limits by asset: those that are `None` are lifted, those that are not named stay.
pub type AssetLimits = BTreeMap<Asset, Option<Money>>;

/// A change of the risk settings: what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RiskChange {
    /// The kill switch.
    pub state: Option<TradingState>,
    /// The largest notional of one order; `Some(None)` lifts the limit.
    pub max_order_notional: Option<Option<Money>>,
    /// The most open orders; `Some(None)` lifts the limit.
    pub max_open_orders: Option<Option<u32>>,
    /// What the open orders of one symbol may be worth; `Some(None)` lifts the limit.
    pub max_symbol_notional: Option<Option<Money>>,
    /// The most orders within a second; `Some(None)` lifts the limit.
    pub max_orders_per_second: Option<Option<u32>>,
    /// How far beyond the last price; `Some(None)` lifts the limit.
    pub price_collar: Option<Option<Qty>>,
    /// The most of each asset; `Some(None)` lifts all of them.
    pub max_position: Option<Option<AssetLimits>>,
    /// The most that a day may lose; `Some(None)` lifts all of them.
    pub max_daily_loss: Option<Option<AssetLimits>>,
    /// Take back every open order too.
    pub cancel_all: bool,
}

/// One message of a market source about one instrument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarketData {
    /// The instrument.
    pub symbol: Symbol,
    /// Where the source was when it said this (a replay: its line, from 1), to go on from there.
    pub position: Option<u64>,
    /// What it said.
    pub body: MarketBody,
}

/// What a market source can say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MarketBody {
    /// A trade of others.
    Trade {
        /// The venue's time.
        ts_ns: TsNs,
        /// The price.
        price: Price,
        /// The quantity.
        qty: Qty,
        /// The taker's side.
        side: Side,
        /// The venue's number of it.
        trade_id: u64,
    },
    /// A price of a source that has no trades.
    Price {
        /// The time at which it was had.
        ts_ns: TsNs,
        /// The price.
        price: Price,
    },
    /// The best bid and ask with their quantities (Binance `bookTicker`).
    Quote {
        /// The book's update number.
        update_id: u64,
        /// Best bid: price, quantity.
        bid: (Price, Qty),
        /// Best ask: price, quantity.
        ask: (Price, Qty),
    },
    /// Changed levels, absolute quantities, zero removes (Binance `depthUpdate`).
    Depth {
        /// First update number in it (`U`).
        first_id: u64,
        /// Last update number in it (`u`).
        last_id: u64,
        /// Changed bids.
        bids: Vec<(Price, Qty)>,
        /// Changed asks.
        asks: Vec<(Price, Qty)>,
    },
    /// The whole book (Binance `GET depth`).
    Snapshot {
        /// The update number it stands at.
        last_id: u64,
        /// All bids, best first.
        bids: Vec<(Price, Qty)>,
        /// All asks, best first.
        asks: Vec<(Price, Qty)>,
    },
}

/// What a venue reports of one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VenueReport {
    /// Whose.
    pub client_order_id: ClientOrderId,
    /// The venue's name for it, when it told.
    pub venue_order_id: Option<VenueOrderId>,
    /// What became of it.
    pub body: ReportBody,
}

/// What can become of an order on a venue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReportBody {
    /// It is on the venue.
    Accepted,
    /// The venue refused it.
    Rejected {
        /// Why.
        reason: Text,
    },
    /// It was executed, in part or in full.
    Fill {
        /// The venue's number of the execution: the same number twice is one execution. `None`: the venue
        /// has no numbers, and each report is an execution of its own.
        trade_id: Option<u64>,
        /// How much.
        qty: Qty,
        /// At what price.
        price: Price,
        /// Of which instrument, if the venue said so: it must be the order's own. Boxed, because no other input
        /// is as large.
        symbol: Option<Box<Symbol>>,
        /// On which side, likewise.
        side: Option<Side>,
        /// What the venue took, and in which asset.
        fee: Option<(Money, Asset)>,
        /// Whether it made or took liquidity.
        liquidity: Option<Liquidity>,
    },
    /// It was taken back.
    Cancelled,
    /// What remained of it was ended by the venue.
    Expired {
        /// Why.
        reason: Text,
    },
    /// All of it was executed: the executions are told apart from this.
    Filled,
    /// How it stands as a whole: the answer to a question.
    State(Box<VenueOrder>),
    /// The venue knows no such order: the answer to a question.
    NotFound,
    /// The venue did not answer: it is not known what became of the order, or of its cancel.
    Unanswered,
}

/// How an order stands, as its venue says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VenueOrder {
    /// Its status.
    pub status: OrderStatus,
    /// Executed so far.
    pub executed_qty: Qty,
    /// Quote asset paid or received for that.
    pub cum_quote: Money,
    /// Why it was refused or expired.
    pub reason: Text,
    /// What was asked for, when the venue told all of it: an order of others can only be adopted so.
    pub request: Option<NewOrder>,
}

/// What the engine answers to an input that somebody waits on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Of a new order, accepted or refused; the same again for the same request.
    Order(OrderAnswer),
    /// Of a new pair: of the limit order and of the stop order; the same again for the same request.
    Pair(Box<[OrderAnswer; 2]>),
    /// Of a new order or a cancel that an external venue was told of and has not answered: what became of
    /// it comes with the order's next event.
    Pending(ClientOrderId),
    /// The cancelled order.
    Cancelled(ClientOrderId),
    /// The amended order as it stands now.
    Amended(Box<OrderState>),
    /// The orders that a cancel of all took back.
    CancelledAll(Vec<ClientOrderId>),
    /// The settings now.
    Risk(Box<RiskSettings>),
    /// Nothing to say.
    Done,
}

/// How an order stood when it was first answered for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderAnswer {
    /// The client's name for it.
    pub client_order_id: ClientOrderId,
    /// The venue's, if it came that far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub venue_order_id: Option<VenueOrderId>,
    /// REJECTED is the one that a client must not take for success.
    pub status: OrderStatus,
    /// Executed by then.
    pub executed_qty: Qty,
    /// Why it was refused or expired; empty otherwise.
    pub reason: Text,
}

/// Why an input changed nothing at all: no event, no order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A value out of its domain.
    #[error("{field}: {message}")]
    BadParams {
        /// The request's field.
        field: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// The id belongs to another order, for ever.
    #[error("client_order_id {0} belongs to another order with other fields")]
    DuplicateClientOrderId(ClientOrderId),
    /// No such order.
    #[error("no order {0}")]
    NotFound(ClientOrderId),
    /// It has ended otherwise than by a cancel.
    #[error("order {0} is {status} already", status = .1.as_str())]
    OrderClosed(ClientOrderId, OrderStatus),
    /// It cannot be changed so; it stands as it did.
    #[error("order {0} stays as it was: {reason}", reason = .1.as_str())]
    Rejected(ClientOrderId, Reason),
}
