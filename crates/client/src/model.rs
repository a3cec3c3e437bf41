//! What the gateway answers. Fields that a later gateway adds are passed over.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use veloz_core::event::{Event, EventKind, OrderState};
use veloz_core::input::{AssetLimits, TradingState};
use veloz_core::order::OrderStatus;
use veloz_core::types::{ClientOrderId, EventId, Money, Price, Qty, Symbol, TsNs, VenueOrderId};

use crate::error::Error;

/// `GET /health` of a gateway that works; one that does not answers 503.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Health {
    /// Always true.
    #[serde(deserialize_with = "true_only")]
    pub ok: bool,
}

/// The answer to a command that has nothing else to say.
#[derive(Debug, Deserialize)]
pub(crate) struct Done {
    #[serde(rename = "ok", deserialize_with = "true_only")]
    _ok: bool,
}

/// What answers otherwise is no gateway, and has done nothing.
fn true_only<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    match bool::deserialize(from)? {
        true => Ok(true),
        false => Err(serde::de::Error::custom("ok is not true")),
    }
}

/// `GET /api/config`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Config {
    /// Where market data comes from.
    pub market_source: String,
    /// The default symbol.
    pub market_symbol: Symbol,
    /// All symbols.
    pub market_symbols: Vec<Symbol>,
    /// Where orders go.
    pub execution_mode: String,
    /// `running`, `finished` or `failed`.
    pub market_source_state: String,
    /// The gateway's version.
    pub version: String,
    /// Which log its events are of; earlier gateways did not tell.
    #[serde(default)]
    pub log_id: Option<String>,
}

/// `GET /api/market`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct MarketPrice {
    /// The instrument.
    pub symbol: Symbol,
    /// Its last price; none before the first.
    #[serde(default)]
    pub price: Option<Price>,
    /// The venue's time of it.
    #[serde(default)]
    pub ts_ns: Option<TsNs>,
}

/// `GET /api/book`, best levels first.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Book {
    /// The instrument.
    pub symbol: Symbol,
    /// When it last changed.
    #[serde(default)]
    pub ts_ns: Option<TsNs>,
    /// Price and quantity of the bids.
    pub bids: Vec<(Price, Qty)>,
    /// Price and quantity of the asks.
    pub asks: Vec<(Price, Qty)>,
}

/// `POST /api/order` of an order that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderReply {
    /// The client's name for the order.
    pub client_order_id: ClientOrderId,
    /// The venue's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub venue_order_id: Option<VenueOrderId>,
    /// How it stood when it was first answered for.
    pub status: OrderStatus,
    /// Executed by then.
    pub executed_qty: Qty,
    /// Why what remained of it expired; empty otherwise.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// `POST /api/oco` of a pair that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairReply {
    /// The limit order, and the stop.
    pub orders: [OrderReply; 2],
}

/// `POST /api/amend`: the order as it stands now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AmendReply {
    /// The client's name for the order.
    pub client_order_id: ClientOrderId,
    /// Its status.
    pub status: OrderStatus,
    /// Executed by now.
    pub executed_qty: Qty,
    /// Its whole quantity.
    pub qty: Qty,
    /// Its limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
}

/// `POST /api/cancel_all`: what was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelledAll {
    /// The orders' ids.
    pub cancelled: Vec<ClientOrderId>,
}

/// Which orders are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrdersQuery {
    /// Only those that are not final.
    pub open: bool,
    /// At most so many.
    pub limit: Option<usize>,
    /// Where the page before this one ended: its `next_after`.
    pub after: Option<u64>,
}

/// `GET /api/orders_state`: a page of orders, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct OrdersPage {
    /// How each order stands.
    pub items: Vec<OrderState>,
    /// The `after` of the next page.
    pub next_after: u64,
}

/// `POST /api/risk`: what is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RiskUpdate {
    /// The kill switch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<TradingState>,
    /// The largest notional of one order; `Some(None)` lifts the limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_order_notional: Option<Option<Money>>,
    /// The most open orders; `Some(None)` lifts the limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_open_orders: Option<Option<u32>>,
    /// What the open orders of one symbol may be worth; `Some(None)` lifts the limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_symbol_notional: Option<Option<Money>>,
    /// The most orders sent within a second; `Some(None)` lifts the limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_orders_per_second: Option<Option<u32>>,
    /// How far beyond the last price an order may trade, as a fraction; `Some(None)` lifts the limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_collar: Option<Option<Qty>>,
    /// The most of each asset; `Some(None)` lifts all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_position: Option<Option<AssetLimits>>,
    /// The most that a day may lose; `Some(None)` lifts all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_daily_loss: Option<Option<AssetLimits>>,
    /// Take back every open order too.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cancel_all: bool,
}

/// An event of the log, as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LogEvent {
    /// Its number.
    pub id: EventId,
    /// Its type's name; a later gateway may have more than [`EventKind`].
    #[serde(rename = "event")]
    pub name: String,
    /// Its JSON.
    #[serde(rename = "data", deserialize_with = "raw_text")]
    pub json: String,
}

/// Something to see that is not an event of the log: a line of a snapshot, a book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Its type's name.
    pub name: String,
    /// Its JSON.
    pub json: String,
}

/// Events that were asked for are not there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Gap {
    /// Why.
    pub reason: GapReason,
    /// The id asked for.
    pub requested: EventId,
    /// The oldest event retained.
    pub oldest: EventId,
    /// The newest event.
    pub newest: EventId,
    /// The gateway's log, when the event asked for is another log's: one restored, or begun anew.
    #[serde(default)]
    pub log: Option<String>,
}

/// Why events are not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// Retention took them: it goes on from the oldest.
    Trimmed,
    /// They were never issued here: it goes on live.
    Ahead,
    /// Retention took the market events among them.
    Compacted,
    /// A reason of a later gateway.
    #[serde(other)]
    Other,
}

/// `GET /api/events`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct EventsPage {
    /// The events, oldest first.
    pub items: Vec<LogEvent>,
    /// The oldest event retained.
    pub oldest: EventId,
    /// The newest event.
    pub newest: EventId,
    /// The `after` of the next page.
    pub next_after: EventId,
    /// What is missing in this page.
    #[serde(default)]
    pub gap: Option<Gap>,
}

impl OrdersQuery {
    /// The query of the request.
    pub fn pairs(&self) -> [(&'static str, Option<String>); 3] {
        [
            ("status", self.open.then(|| "open".to_owned())),
            ("limit", self.limit.map(|limit| limit.to_string())),
            ("after", self.after.map(|after| after.to_string())),
        ]
    }
}

impl LogEvent {
    /// Its type; none when this client does not know it.
    pub fn kind(&self) -> Option<EventKind> {
        EventKind::parse(&self.name)
    }

    /// Reads its JSON; `None` when its type is not known to this client.
    ///
    /// # Errors
    /// When the JSON is not of that type.
    pub fn decode(&self) -> Result<Option<Event>, Error> {
        decode_event(&self.name, &self.json)
    }
}

impl View {
    /// Reads its JSON as an event (a line of a snapshot); `None` when it is none.
    ///
    /// # Errors
    /// When the JSON is not of that type.
    pub fn decode(&self) -> Result<Option<Event>, Error> {
        decode_event(&self.name, &self.json)
    }
}

impl Gap {
    /// Where a stream goes on: the event before the first that follows.
    pub const fn id(&self) -> EventId {
        match self.reason {
            GapReason::Trimmed | GapReason::Other => self.oldest.saturating_sub(1),
            GapReason::Ahead => self.newest,
            GapReason::Compacted => self.requested,
        }
    }
}

impl GapReason {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            GapReason::Trimmed => "trimmed",
            GapReason::Ahead => "ahead",
            GapReason::Compacted => "compacted",
            GapReason::Other => "other",
        }
    }
}

/// `{"items":[...]}`.
#[derive(Debug, Deserialize)]
pub(crate) struct Items<T> {
    pub(crate) items: Vec<T>,
}

/// An order event of `GET /api/orders`: its JSON tells its type.
#[derive(Debug)]
pub(crate) struct TypedEvent(pub(crate) Event);

impl<'de> Deserialize<'de> for TypedEvent {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<TypedEvent, D::Error> {
        use serde::de::Error as _;
        #[derive(Deserialize)]
        struct Typed<'a> {
            #[serde(rename = "type", borrow)]
            name: std::borrow::Cow<'a, str>,
        }
        let raw = <&RawValue>::deserialize(de)?.get();
        let Typed { name } = serde_json::from_str(raw).map_err(D::Error::custom)?;
        let kind = EventKind::parse(&name)
            .ok_or_else(|| D::Error::custom(format_args!("{name:?} is no type of event")))?;
        Event::decode(kind, raw.as_bytes()).map(TypedEvent).map_err(D::Error::custom)
    }
}

fn decode_event(name: &str, json: &str) -> Result<Option<Event>, Error> {
    EventKind::parse(name)
        .map(|kind| Event::decode(kind, json.as_bytes()))
        .transpose()
        .map_err(|source| Error::Decode { request: format!("the event {name}"), source })
}

fn raw_text<'de, D: Deserializer<'de>>(de: D) -> Result<String, D::Error> {
    Ok(<&RawValue>::deserialize(de)?.get().to_owned())
}
