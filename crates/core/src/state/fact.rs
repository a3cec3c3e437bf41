//! The private facts of a step: what the state needs besides its public events.

use serde::{Deserialize, Serialize};

use super::{AtVenue, DayStart, VenueMail};
use crate::event::Object;
use crate::fields::{Fields, exact, int, parsed};
use crate::input::{NewOrder, RiskSettings};
use crate::types::{Asset, ClientOrderId, EventId, Money, Price, Qty, Symbol, Text, TsNs};
use crate::wire::key;

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
    /// Whether an external venue is to take an order back, and has not said yet what became of that.
    Cancel {
        /// Which.
        client_order_id: ClientOrderId,
        /// It is.
        wanted: bool,
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
    for (i, fact) in facts.iter().enumerate() {
        out.push(if i == 0 { b'[' } else { b',' });
        match fact {
            Fact::Intent { order, qty, lock, external, sent_ts_ns } => {
                out.extend_from_slice(b"{\"Intent\":{\"order\":");
                write_order(out, order);
                let mut json = Object { out };
                json.qty(key!("qty"), *qty);
                json.money(key!("lock"), Some(*lock));
                json.flag(key!("external"), *external);
                json.opt_int(key!("sent_ts_ns"), *sent_ts_ns);
                out.extend_from_slice(b"}}");
            }
            Fact::Position { symbol, position } => {
                out.extend_from_slice(b"{\"Position\":{\"symbol\":\"");
                out.extend_from_slice(symbol.as_bytes());
                out.push(b'"');
                Object { out }.opt_number(key!("position"), Some(*position));
                out.extend_from_slice(b"}}");
            }
            other => serde_json::to_writer(&mut *out, other)?,
        }
    }
    if !facts.is_empty() {
        out.push(b']');
    }
    Ok(())
}

/// By hand, as every order has one: the same bytes as the general serializer writes.
fn write_order(out: &mut Vec<u8>, order: &NewOrder) {
    out.extend_from_slice(b"{\"client_order_id\":\"");
    out.extend_from_slice(order.client_order_id.as_bytes());
    out.push(b'"');
    let mut json = Object { out };
    json.name(key!("symbol"), order.symbol.as_bytes());
    json.name(key!("side"), order.side.as_bytes());
    json.name(key!("order_type"), order.order_type.as_bytes());
    json.name(key!("time_in_force"), order.time_in_force.as_bytes());
    json.qty(key!("qty"), Some(order.qty));
    json.money(key!("quote_qty"), order.quote_qty);
    json.price(key!("price"), order.price);
    json.price(key!("stop_price"), order.stop_price);
    json.opt_int(key!("expire_ts_ns"), order.expire_ts_ns);
    json.flag(key!("reduce_only"), order.reduce_only);
    json.opt_name(key!("oco_with"), order.oco_with.as_ref().map(ClientOrderId::as_bytes));
    out.push(b'}');
}

/// Reads the facts of a record.
///
/// # Errors
/// When the bytes are not what [`facts_to_json`] writes.
pub fn facts_from_json(json: &[u8]) -> Result<Vec<Fact>, serde_json::Error> {
    if json.is_empty() {
        return Ok(Vec::new());
    }
    match read(json) {
        Some(fact) => Ok(vec![fact]),
        None => serde_json::from_slice(json),
    }
}

/// By hand what most steps have: one fact of these kinds alone, in exactly the form in which it is written.
fn read(json: &[u8]) -> Option<Fact> {
    let text = std::str::from_utf8(json).ok()?;
    if let Some(rest) = text.strip_prefix("[{\"Intent\":{\"order\":{\"client_order_id\":") {
        return read_intent(&mut Fields { rest });
    }
    let mut fields = Fields { rest: text.strip_prefix("[{\"Position\":{\"symbol\":")? };
    let symbol = parsed(fields.string()?)?;
    let position = fields.numbered("position", int)?;
    (fields.rest == "}}]").then_some(Fact::Position { symbol, position })
}

fn read_intent(fields: &mut Fields<'_>) -> Option<Fact> {
    let order = NewOrder {
        client_order_id: parsed(fields.string()?)?,
        symbol: fields.named("symbol", parsed)?,
        side: fields.named("side", exact)?,
        order_type: fields.named("order_type", exact)?,
        time_in_force: fields.named("time_in_force", exact)?,
        qty: fields.numbered("qty", parsed)?,
        quote_qty: fields.opt_numbered("quote_qty", parsed)?,
        price: fields.opt_numbered("price", parsed)?,
        stop_price: fields.opt_numbered("stop_price", parsed)?,
        expire_ts_ns: fields.opt_numbered("expire_ts_ns", int)?,
        reduce_only: fields.opt_flag("reduce_only")?.unwrap_or_default(),
        oco_with: fields.opt_named("oco_with", parsed)?,
    };
    fields.past("}")?;
    let intent = Fact::Intent {
        order,
        qty: fields.opt_numbered("qty", parsed)?,
        lock: fields.numbered("lock", parsed)?,
        external: fields.opt_flag("external")?.unwrap_or_default(),
        sent_ts_ns: fields.opt_numbered("sent_ts_ns", int)?,
    };
    (fields.rest == "}}]").then_some(intent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::{OrderType, TimeInForce};
    use crate::types::Side;

    fn check(order: NewOrder, qty: Option<Qty>, external: bool, sent_ts_ns: Option<TsNs>) {
        let lock = Money::notional(order.price.unwrap_or_default(), order.qty);
        let (id, symbol) = (order.client_order_id, order.symbol);
        let intent = Fact::Intent { order, qty, lock, external, sent_ts_ns };
        let position = Fact::Position { symbol, position: u64::MAX };
        let sent = Fact::Sent { client_order_id: id, ts_ns: 7 };
        let facts = [sent, intent, position, Fact::Day(DayStart::default())];
        for facts in [&facts[..], &facts[1..2], &facts[2..3], &[]] {
            let mut json = Vec::new();
            facts_to_json(facts, &mut json).unwrap();
            let general =
                if facts.is_empty() { Vec::new() } else { serde_json::to_vec(facts).unwrap() };
            assert_eq!(String::from_utf8_lossy(&json), String::from_utf8_lossy(&general));
            assert_eq!(facts_from_json(&json).unwrap(), facts);
            let one =
                serde_json::from_slice(&json).ok().filter(|facts: &Vec<Fact>| facts.len() == 1);
            assert_eq!(read(&json), one.and_then(|mut facts| facts.pop()));
        }
    }

    #[test]
    fn a_position_is_read_by_hand_in_the_form_it_is_written_in() {
        let read = |json: &str| {
            (read(json.as_bytes()).is_some(), facts_from_json(json.as_bytes()).is_ok())
        };
        let position = |symbol: &str, position: &str| {
            format!("[{{\"Position\":{{\"symbol\":\"{symbol}\",\"position\":{position}}}}}]")
        };
        assert_eq!(read(&position("BTCUSDT", "0")), (true, true));
        assert_eq!(read(&position("BTCUSDT", "18446744073709551615")), (true, true));
        assert_eq!(read(&position("BTCUSDT", " 7")), (false, true));
        for number in ["07", "+7", "-7", "", "18446744073709551616", "7.5"] {
            assert_eq!(read(&position("BTCUSDT", number)), (false, false), "{number}");
        }
        assert_eq!(read(&position("btc usdt", "7")), (false, false));
    }

    #[test]
    fn an_intent_is_read_by_hand_alone_and_in_the_form_it_is_written_in() {
        let id = ClientOrderId::parse("a-1").unwrap();
        let symbol = Symbol::parse("BTCUSDT").unwrap();
        let order = NewOrder::market(id, symbol, Side::Sell, Qty::ZERO);
        let lock = Money::default();
        let intent = Fact::Intent { order, qty: None, lock, external: true, sent_ts_ns: None };
        let sent = Fact::Sent { client_order_id: id, ts_ns: 7 };
        let json = |facts: &[Fact]| {
            let mut json = Vec::new();
            facts_to_json(facts, &mut json).unwrap();
            String::from_utf8(json).unwrap()
        };
        let (alone, both) =
            (json(std::slice::from_ref(&intent)), json(&[intent.clone(), sent.clone()]));
        assert_eq!(read(alone.as_bytes()), Some(intent.clone()));
        assert_eq!(read(both.as_bytes()), None);
        assert_eq!(facts_from_json(both.as_bytes()).unwrap(), [intent.clone(), sent]);
        let other_order = alone.replace(
            "\"symbol\":\"BTCUSDT\",\"side\":\"SELL\"",
            "\"side\":\"SELL\",\"symbol\":\"BTCUSDT\"",
        );
        assert_eq!(read(other_order.as_bytes()), None);
        assert_eq!(facts_from_json(other_order.as_bytes()).unwrap(), [intent]);
        for end in 0..alone.len() {
            assert_eq!(facts_from_json(alone.as_bytes().get(..end).unwrap()).is_ok(), end == 0);
        }
    }

    #[test]
    fn facts_are_written_as_the_general_serializer_does() {
        let id = ClientOrderId::parse("a-1").unwrap();
        let symbol = Symbol::parse("BTCUSDT").unwrap();
        let (qty, price) = (Qty::parse("0.00100000").unwrap(), Price::parse("50000.5").unwrap());
        let limit = NewOrder::limit(id, symbol, Side::Buy, qty, price);
        check(limit.clone(), None, false, None);
        check(limit.clone(), Some(qty), true, Some(9));
        let full = NewOrder {
            order_type: OrderType::StopLossLimit,
            time_in_force: TimeInForce::Gtd,
            quote_qty: Some(Money::parse("12.5").unwrap()),
            stop_price: Some(price),
            expire_ts_ns: Some(TsNs::MAX),
            reduce_only: true,
            oco_with: Some(id),
            ..limit
        };
        check(full, Some(Qty::ZERO), false, Some(0));
        check(NewOrder::market(id, symbol, Side::Sell, qty), None, true, None);
    }
}
