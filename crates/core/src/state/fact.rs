//! The private facts of a step: what the state needs besides its public events.

use serde::{Deserialize, Serialize};

use super::{AtVenue, DayStart, VenueMail};
use crate::input::{NewOrder, RiskSettings};
use crate::types::{Asset, ClientOrderId, EventId, Money, Price, Qty, Symbol, Text, TsNs};

/// What the state needs besides the public events of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fact {
    /// The assets of an instrument, before its first order.
    Pair {
        /// The instrument.
        symbol: Symbol,
        /// What it buys and sells.
        base: Asset,
        /// What it is paid with.
        quote: Asset,
    },
    /// An order is about to be sent, or refused.
    Intent {
        /// As it was asked for.
        order: NewOrder,
        /// Its quantity, where it is not the one asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        qty: Option<Qty>,
        /// What it locks; nothing when it is refused.
        lock: Money,
        /// Its venue is not the built-in one.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        external: bool,
        /// When it is sent, while the orders of a second are limited; not when it is refused.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sent_ts_ns: Option<TsNs>,
    },
    /// An order leaves for an external venue.
    Sent {
        /// Which.
        client_order_id: ClientOrderId,
        /// When.
        ts_ns: TsNs,
    },
    /// The order whose intent is just before was placed elsewhere, and found on the venue.
    Adopted {
        /// Which.
        client_order_id: ClientOrderId,
    },
    /// Whether it is unknown what became of an order, or of its cancel.
    Doubt {
        /// Which.
        client_order_id: ClientOrderId,
        /// It is not known.
        unknown: bool,
    },
    /// An execution that counted already, in full or in part, when only the venue's sum was known.
    Presumed {
        /// Whose.
        client_order_id: ClientOrderId,
        /// The venue's number of it.
        trade_id: u64,
        /// All of it.
        qty: Qty,
        /// Its price.
        price: Price,
    },
    /// The price has reached the stop of an order.
    Triggered {
        /// Whose.
        client_order_id: ClientOrderId,
        /// When.
        ts_ns: TsNs,
        /// The newest event then.
        queued_at: EventId,
        /// What it locks, where that is another amount now: the other order of its pair has ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lock: Option<Money>,
    },
    /// An order is another from here on.
    Amended {
        /// Which.
        client_order_id: ClientOrderId,
        /// Its whole quantity.
        qty: Qty,
        /// Its limit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        price: Option<Price>,
        /// What it locks.
        lock: Money,
        /// When.
        ts_ns: TsNs,
        /// The newest event when it came to its venue, for this or before.
        queued_at: EventId,
    },
    /// The risk settings from here on.
    Risk(RiskSettings),
    /// A UTC day begins.
    Day(DayStart),
    /// The market source from here on: another one, or the same from its beginning. Positions of the one
    /// before mean nothing any more.
    Source(Text),
    /// How far the market source was.
    Position {
        /// Of this instrument.
        symbol: Symbol,
        /// The source's own count.
        position: u64,
    },
    /// The quantity of an order as its venue worked it out, where that is another one.
    Sized {
        /// Which.
        client_order_id: ClientOrderId,
        /// Its whole quantity.
        qty: Qty,
        /// What it locks.
        lock: Money,
    },
    /// The built-in venue is away from here on, with what is open.
    VenueAway,
    /// Something leaves for the venue that is away.
    Left {
        /// When.
        ts_ns: TsNs,
        /// When it is there.
        arrives_ns: TsNs,
        /// What.
        mail: VenueMail,
    },
    /// What happened at the venue that is away.
    AtVenue(Box<AtVenue>),
    /// The oldest report on its way from there is here.
    Reported,
}

/// Appends the facts of a record as JSON; nothing when there are none.
///
/// # Errors
/// Never in practice: facts hold nothing that JSON cannot.
pub fn facts_to_json(facts: &[Fact], out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    if facts.is_empty() { Ok(()) } else { serde_json::to_writer(out, facts) }
}

/// Reads the facts of a record.
///
/// # Errors
/// When the bytes are not what [`facts_to_json`] writes.
pub fn facts_from_json(json: &[u8]) -> Result<Vec<Fact>, serde_json::Error> {
    if json.is_empty() { Ok(Vec::new()) } else { serde_json::from_slice(json) }
}
