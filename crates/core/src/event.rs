//! What did happen: the events of the log, in exactly the wire form of the contract, and the facts
//! that the state needs besides them.
//!
//! Contract: [`Event::encode`] writes the keys in the order of the user's document, `type` first, with
//! no space, numbers as exact decimals; [`Event::decode`] reads that back to the same event. What is
//! written here is what is stored and what is sent: there is no second form.

mod read;

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::digits::write_number;
use crate::order::{OrderStatus, OrderType, TimeInForce};
use crate::types::{
    Asset, AvgPrice, ClientOrderId, Money, Price, Qty, Side, Symbol, Text, TsNs, VenueOrderId,
};
use crate::wire::{Key, key, wire_enum};

/// The type of an event: the `event:` line of its frame and the `type` of its JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventKind {
    /// `market`
    Market,
    /// `order_update`
    OrderUpdate,
    /// `fill`
    Fill,
    /// `order_state`
    OrderState,
    /// `account`
    Account,
    /// `error`
    Error,
}

impl EventKind {
    /// Every kind, in the order of the user's document.
    pub const ALL: [EventKind; 6] = [
        EventKind::Market,
        EventKind::OrderUpdate,
        EventKind::Fill,
        EventKind::OrderState,
        EventKind::Account,
        EventKind::Error,
    ];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            EventKind::Market => "market",
            EventKind::OrderUpdate => "order_update",
            EventKind::Fill => "fill",
            EventKind::OrderState => "order_state",
            EventKind::Account => "account",
            EventKind::Error => "error",
        }
    }

    /// The kind of that name.
    pub fn parse(name: &str) -> Option<EventKind> {
        EventKind::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// A trade of a market source, or a changed price of one that has no trades.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Market {
    /// The instrument.
    pub symbol: Symbol,
    /// The venue's own time, untouched: it may go back.
    pub ts_ns: TsNs,
    /// The price.
    pub price: Price,
    /// The venue's number of the trade.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trade_id: Option<u64>,
    /// The quantity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qty: Option<Qty>,
    /// The taker's side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<Side>,
    /// The best bid of the book, when it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bid: Option<Price>,
    /// The best ask of the book, when it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<Price>,
}

/// A change of an order's status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderUpdate {
    /// When, in nanoseconds since the epoch.
    pub ts_ns: TsNs,
    /// The client's name for the order.
    pub client_order_id: ClientOrderId,
    /// The venue's name for it, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub venue_order_id: Option<VenueOrderId>,
    /// The status it has now.
    pub status: OrderStatus,
    /// The instrument.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbol: Option<Symbol>,
    /// Which way it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<Side>,
    /// The quantity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qty: Option<Qty>,
    /// Left out on a MARKET order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// Empty on an order that was not refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text>,
}

wire_enum! {
    /// Whether a fill made or took liquidity.
    Liquidity {
        /// The order rested.
        Maker = "MAKER",
        /// The order took what rested.
        Taker = "TAKER",
    }
}

/// One execution, partial or full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    /// When, in nanoseconds since the epoch.
    pub ts_ns: TsNs,
    /// The client's name for the order.
    pub client_order_id: ClientOrderId,
    /// The instrument.
    pub symbol: Symbol,
    /// The quantity.
    pub qty: Qty,
    /// The price.
    pub price: Price,
    /// The venue's number of the trade.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trade_id: Option<u64>,
    /// What the venue took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee: Option<Money>,
    /// In which asset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee_asset: Option<Asset>,
    /// Whether it made or took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liquidity: Option<Liquidity>,
    /// Which way it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<Side>,
    /// Known from the sum that the venue told when it was asked: the number is made up from the order
    /// and that sum, and the price is the average.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reconciled: bool,
}

/// The state of an order after a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderState {
    /// The client's name for the order.
    pub client_order_id: ClientOrderId,
    /// The status it has now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<OrderStatus>,
    /// The instrument.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbol: Option<Symbol>,
    /// Which way it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<Side>,
    /// What was ordered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_qty: Option<Qty>,
    /// Left out on a MARKET order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_price: Option<Price>,
    /// The venue's name for it, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub venue_order_id: Option<VenueOrderId>,
    /// Executed so far.
    pub executed_qty: Qty,
    /// Rounded; `cum_quote` is exact.
    pub avg_price: AvgPrice,
    /// Empty on an order that was not refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text>,
    /// When it last changed.
    pub last_ts_ns: TsNs,
    /// Quote asset paid or received so far.
    pub cum_quote: Money,
    /// What it asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_type: Option<OrderType>,
    /// How long it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_in_force: Option<TimeInForce>,
    /// The price that wakes it; only of orders that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_price: Option<Price>,
    /// Whether the price has reached the stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub triggered: Option<bool>,
    /// When what remains of it expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire_ts_ns: Option<TsNs>,
    /// The other order of its pair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oco_with: Option<ClientOrderId>,
    /// Placed elsewhere, and found on the venue.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopted: bool,
}

/// What the account has of one asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// The asset.
    pub asset: Asset,
    /// Not locked.
    pub free: Money,
    /// Locked by open orders.
    pub locked: Money,
}

/// The balances that a step changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// When, in nanoseconds since the epoch.
    pub ts_ns: TsNs,
    /// What is changed, as it is now.
    pub balances: Vec<Balance>,
}

/// A source, a venue or the engine failed or came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorEvent {
    /// When, in nanoseconds since the epoch.
    pub ts_ns: TsNs,
    /// A code that a program can match: `market_source_error`.
    pub message: Text,
    /// What happened, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Text>,
}

/// An event of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A trade.
    Market(Market),
    /// A change of an order's status.
    OrderUpdate(OrderUpdate),
    /// An execution.
    Fill(Fill),
    /// An order as it stands.
    OrderState(OrderState),
    /// Changed balances.
    Account(Account),
    /// A failure or a recovery.
    Error(ErrorEvent),
}

impl Event {
    /// Which type this is.
    pub const fn kind(&self) -> EventKind {
        match self {
            Event::Market(_) => EventKind::Market,
            Event::OrderUpdate(_) => EventKind::OrderUpdate,
            Event::Fill(_) => EventKind::Fill,
            Event::OrderState(_) => EventKind::OrderState,
            Event::Account(_) => EventKind::Account,
            Event::Error(_) => EventKind::Error,
        }
    }

    /// The instrument it is about; none for `account` and `error`.
    pub const fn symbol(&self) -> Option<Symbol> {
        match self {
            Event::Market(e) => Some(e.symbol),
            Event::OrderUpdate(e) => e.symbol,
            Event::Fill(e) => Some(e.symbol),
            Event::OrderState(e) => e.symbol,
            Event::Account(_) | Event::Error(_) => None,
        }
    }

    /// The order it is about.
    pub const fn client_order_id(&self) -> Option<ClientOrderId> {
        match self {
            Event::OrderUpdate(e) => Some(e.client_order_id),
            Event::Fill(e) => Some(e.client_order_id),
            Event::OrderState(e) => Some(e.client_order_id),
            Event::Market(_) | Event::Account(_) | Event::Error(_) => None,
        }
    }

    /// Appends the JSON of the wire: one object without a line end.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut json = Object::start(out, self.kind());
        match self {
            Event::Market(e) => json.market(e),
            Event::OrderUpdate(e) => json.order_update(e),
            Event::Fill(e) => json.fill(e),
            Event::OrderState(e) => json.order_state(e),
            Event::Account(e) => json.account(e),
            Event::Error(e) => json.error(e),
        }
        out.push(b'}');
    }

    /// Appends the JSON of a snapshot's frame: the same with `"snapshot":true` at the end.
    pub fn encode_snapshot(&self, out: &mut Vec<u8>) {
        self.encode(out);
        out.pop();
        out.extend_from_slice(b",\"snapshot\":true}");
    }

    /// Reads the JSON of the wire.
    ///
    /// # Errors
    /// When the text is not JSON or not an event of that kind.
    pub fn decode(kind: EventKind, json: &[u8]) -> Result<Event, serde_json::Error> {
        read::read(kind, json).map_or_else(|| Event::decode_any(kind, json), Ok)
    }

    /// The same in whatever order, with keys that are not known.
    fn decode_any(kind: EventKind, json: &[u8]) -> Result<Event, serde_json::Error> {
        Ok(match kind {
            EventKind::Market => Event::Market(serde_json::from_slice(json)?),
            EventKind::OrderUpdate => Event::OrderUpdate(serde_json::from_slice(json)?),
            EventKind::Fill => Event::Fill(serde_json::from_slice(json)?),
            EventKind::OrderState => Event::OrderState(serde_json::from_slice(json)?),
            EventKind::Account => Event::Account(serde_json::from_slice(json)?),
            EventKind::Error => Event::Error(serde_json::from_slice(json)?),
        })
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, ser: S) -> Result<S::Ok, S::Error> {
        let mut json = Vec::with_capacity(256);
        self.encode(&mut json);
        serde_json::from_slice::<&RawValue>(&json).map_err(S::Error::custom)?.serialize(ser)
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Event, D::Error> {
        #[derive(Deserialize)]
        struct Typed<'a> {
            #[serde(rename = "type")]
            kind: &'a str,
        }
        let json = <&RawValue>::deserialize(de)?.get();
        let typed: Typed<'_> = serde_json::from_str(json).map_err(D::Error::custom)?;
        let kind = EventKind::parse(typed.kind).ok_or_else(|| D::Error::custom("unknown type"))?;
        Event::decode(kind, json.as_bytes()).map_err(D::Error::custom)
    }
}

/// Writes one JSON object by hand: 2.9 times as fast as a general serializer on `market`.
pub(crate) struct Object<'a> {
    pub(crate) out: &'a mut Vec<u8>,
}

impl<'a> Object<'a> {
    fn start(out: &'a mut Vec<u8>, kind: EventKind) -> Object<'a> {
        out.extend_from_slice(b"{\"type\":\"");
        out.extend_from_slice(kind.as_str().as_bytes());
        out.push(b'"');
        Object { out }
    }

    #[inline(always)]
    fn key(&mut self, key: Key) {
        self.out.extend_from_slice(key.plain.as_bytes());
    }

    #[inline(always)]
    fn int(&mut self, key: Key, value: i64) {
        self.key(key);
        if value < 0 {
            self.out.push(b'-');
        }
        write_number(self.out, value.unsigned_abs());
    }

    #[inline(always)]
    pub(crate) fn opt_int(&mut self, key: Key, value: Option<i64>) {
        if let Some(value) = value {
            self.int(key, value);
        }
    }

    #[inline(always)]
    pub(crate) fn opt_number(&mut self, key: Key, value: Option<u64>) {
        if let Some(value) = value {
            self.key(key);
            write_number(self.out, value);
        }
    }

    #[inline(always)]
    fn text(&mut self, key: Key, value: &str) {
        self.key(key);
        write_json_string(self.out, value);
    }

    /// A text whose type or constant holds nothing that JSON escapes.
    #[inline(always)]
    pub(crate) fn name(&mut self, key: Key, value: &[u8]) {
        self.out.extend_from_slice(key.of_text.as_bytes());
        self.out.extend_from_slice(value);
        self.out.push(b'"');
    }

    #[inline(always)]
    pub(crate) fn opt_name(&mut self, key: Key, value: Option<&[u8]>) {
        if let Some(value) = value {
            self.name(key, value);
        }
    }

    /// Left out unless it is so.
    pub(crate) fn flag(&mut self, key: Key, value: bool) {
        if value {
            self.key(key);
            self.out.extend_from_slice(b"true");
        }
    }

    #[inline(always)]
    fn opt_text(&mut self, key: Key, value: Option<&str>) {
        if let Some(value) = value {
            self.text(key, value);
        }
    }

    fn venue_order_id(&mut self, id: Option<&VenueOrderId>) {
        let Some(id) = id else { return };
        self.key(key!("venue_order_id"));
        id.write_json(self.out);
    }

    #[inline(always)]
    pub(crate) fn price(&mut self, key: Key, value: Option<Price>) {
        if let Some(value) = value {
            self.key(key);
            value.write(self.out);
        }
    }

    #[inline(always)]
    pub(crate) fn qty(&mut self, key: Key, value: Option<Qty>) {
        if let Some(value) = value {
            self.key(key);
            value.write(self.out);
        }
    }

    #[inline(always)]
    pub(crate) fn money(&mut self, key: Key, value: Option<Money>) {
        if let Some(value) = value {
            self.key(key);
            value.write(self.out);
        }
    }

    fn market(&mut self, e: &Market) {
        self.name(key!("symbol"), e.symbol.as_bytes());
        self.int(key!("ts_ns"), e.ts_ns);
        self.price(key!("price"), Some(e.price));
        self.opt_number(key!("trade_id"), e.trade_id);
        self.qty(key!("qty"), e.qty);
        self.opt_name(key!("side"), e.side.map(Side::as_bytes));
        self.price(key!("bid"), e.bid);
        self.price(key!("ask"), e.ask);
    }

    fn order_update(&mut self, e: &OrderUpdate) {
        self.int(key!("ts_ns"), e.ts_ns);
        self.name(key!("client_order_id"), e.client_order_id.as_bytes());
        self.venue_order_id(e.venue_order_id.as_ref());
        self.name(key!("status"), e.status.as_bytes());
        self.opt_name(key!("symbol"), e.symbol.as_ref().map(Symbol::as_bytes));
        self.opt_name(key!("side"), e.side.map(Side::as_bytes));
        self.qty(key!("qty"), e.qty);
        self.price(key!("price"), e.price);
        self.opt_text(key!("reason"), e.reason.as_deref());
    }

    fn fill(&mut self, e: &Fill) {
        self.int(key!("ts_ns"), e.ts_ns);
        self.name(key!("client_order_id"), e.client_order_id.as_bytes());
        self.name(key!("symbol"), e.symbol.as_bytes());
        self.qty(key!("qty"), Some(e.qty));
        self.price(key!("price"), Some(e.price));
        self.opt_number(key!("trade_id"), e.trade_id);
        self.money(key!("fee"), e.fee);
        self.opt_name(key!("fee_asset"), e.fee_asset.as_ref().map(Asset::as_bytes));
        self.opt_name(key!("liquidity"), e.liquidity.map(Liquidity::as_bytes));
        self.opt_name(key!("side"), e.side.map(Side::as_bytes));
        self.flag(key!("reconciled"), e.reconciled);
    }

    fn order_state(&mut self, e: &OrderState) {
        self.name(key!("client_order_id"), e.client_order_id.as_bytes());
        self.opt_name(key!("status"), e.status.map(OrderStatus::as_bytes));
        self.opt_name(key!("symbol"), e.symbol.as_ref().map(Symbol::as_bytes));
        self.opt_name(key!("side"), e.side.map(Side::as_bytes));
        self.qty(key!("order_qty"), e.order_qty);
        self.price(key!("limit_price"), e.limit_price);
        self.venue_order_id(e.venue_order_id.as_ref());
        self.qty(key!("executed_qty"), Some(e.executed_qty));
        self.key(key!("avg_price"));
        e.avg_price.write(self.out);
        self.opt_text(key!("reason"), e.reason.as_deref());
        self.int(key!("last_ts_ns"), e.last_ts_ns);
        self.money(key!("cum_quote"), Some(e.cum_quote));
        self.opt_name(key!("order_type"), e.order_type.map(OrderType::as_bytes));
        self.opt_name(key!("time_in_force"), e.time_in_force.map(TimeInForce::as_bytes));
        self.price(key!("stop_price"), e.stop_price);
        if let Some(triggered) = e.triggered {
            self.key(key!("triggered"));
            self.out.extend_from_slice(if triggered { b"true" } else { b"false" });
        }
        self.opt_int(key!("expire_ts_ns"), e.expire_ts_ns);
        self.opt_text(key!("oco_with"), e.oco_with.as_ref().map(ClientOrderId::as_str));
        self.flag(key!("adopted"), e.adopted);
    }

    fn account(&mut self, e: &Account) {
        self.int(key!("ts_ns"), e.ts_ns);
        self.key(key!("balances"));
        self.out.push(b'[');
        for (i, balance) in e.balances.iter().enumerate() {
            self.out.extend_from_slice(if i == 0 { b"{\"asset\":\"" } else { b",{\"asset\":\"" });
            self.out.extend_from_slice(balance.asset.as_bytes());
            self.out.push(b'"');
            self.money(key!("free"), Some(balance.free));
            self.money(key!("locked"), Some(balance.locked));
            self.out.push(b'}');
        }
        self.out.push(b']');
    }

    fn error(&mut self, e: &ErrorEvent) {
        self.int(key!("ts_ns"), e.ts_ns);
        self.text(key!("message"), &e.message);
        self.opt_text(key!("detail"), e.detail.as_deref());
    }
}

/// Appends a JSON string, quoted and escaped: no control character, and so no line end, gets through.
pub fn write_json_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    if text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') {
        out.extend_from_slice(text.as_bytes());
    } else {
        for c in text.chars() {
            match c {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                c if u32::from(c) < 0x20 => {
                    out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes());
                }
                c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    }
    out.push(b'"');
}
