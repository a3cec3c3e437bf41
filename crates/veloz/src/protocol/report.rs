//! What an engine says: a line of JSON, read.
//!
//! Contract: fields that are not known are ignored, and so are types. A number that cannot be held exactly
//! is not rounded: the line cannot be read, and that is told, as a price is that is not above zero. Texts are cut
//! at [`ENGINE_TEXT_MAX_BYTES`].

use serde::Deserialize;
use serde::de::Error as _;
use veloz_core::event::Liquidity;
use veloz_core::input::{MarketBody, MarketData, NewOrder, ReportBody, VenueOrder, VenueReport};
use veloz_core::limits::ENGINE_TEXT_MAX_BYTES;
use veloz_core::order::{OrderStatus, OrderType, TimeInForce};
use veloz_core::risk::Reason;
use veloz_core::types::{
    Asset, AvgPrice, ClientOrderId, Money, Price, Qty, Side, Symbol, Text, TsNs, VenueOrderId,
};

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// What became of an order, or how it stands.
    Report(VenueReport),
    /// A trade, or a price.
    Market(MarketData),
    /// The engine works.
    Started {
        /// Its version.
        version: String,
    },
    /// It ends by itself.
    Stopped,
    /// The answer to a question is complete.
    QueryDone {
        /// How many events it had.
        n: Option<u64>,
    },
    /// A command was not obeyed, or something failed.
    Error(String),
    /// An event that says nothing to a gateway: balances (it keeps its own), types that are not known.
    Other,
}

/// Why a line says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unread {
    /// It is no JSON object with a `type`.
    Garbage,
    /// It is an event, and a field of it is wrong.
    Event {
        /// Its type and what is wrong.
        problem: String,
    },
}

#[derive(Deserialize)]
struct Typed<'a> {
    #[serde(rename = "type", borrow)]
    kind: std::borrow::Cow<'a, str>,
}

#[derive(Deserialize)]
struct Market {
    symbol: Symbol,
    #[serde(default)]
    ts_ns: TsNs,
    price: Price,
    trade_id: Option<u64>,
    qty: Option<Qty>,
    side: Option<Side>,
}

#[derive(Deserialize)]
struct OrderUpdate {
    client_order_id: ClientOrderId,
    venue_order_id: Option<VenueOrderId>,
    status: OrderStatus,
    reason: Option<String>,
}

#[derive(Deserialize)]
struct Fill {
    client_order_id: ClientOrderId,
    symbol: Option<Symbol>,
    side: Option<Side>,
    qty: Qty,
    price: Price,
    trade_id: Option<u64>,
    fee: Option<Money>,
    fee_asset: Option<Asset>,
    liquidity: Option<Liquidity>,
}

#[derive(Deserialize)]
struct OrderState {
    client_order_id: ClientOrderId,
    status: Option<OrderStatus>,
    symbol: Option<Symbol>,
    side: Option<Side>,
    order_qty: Option<Qty>,
    limit_price: Option<Price>,
    venue_order_id: Option<VenueOrderId>,
    #[serde(default)]
    executed_qty: Qty,
    avg_price: Option<AvgPrice>,
    cum_quote: Option<Money>,
    reason: Option<String>,
    order_type: Option<OrderType>,
    time_in_force: Option<TimeInForce>,
}

#[derive(Deserialize)]
struct Started {
    #[serde(default)]
    version: String,
}

#[derive(Deserialize)]
struct Done {
    n: Option<u64>,
}

#[derive(Deserialize)]
struct ErrorEvent {
    #[serde(default)]
    message: String,
    detail: Option<String>,
}

/// Reads a line of an engine.
///
/// # Errors
/// Why it says nothing.
pub fn read_said(line: &[u8]) -> Result<Said, Unread> {
    let typed: Typed<'_> = serde_json::from_slice(line).map_err(|_| Unread::Garbage)?;
    let kind = typed.kind.as_ref();
    let said = match kind {
        "market" => serde_json::from_slice(line).and_then(market),
        "order_update" => serde_json::from_slice(line).map(order_update),
        "fill" => serde_json::from_slice(line).map(fill),
        "order_state" => serde_json::from_slice(line).map(order_state),
        "engine_started" => {
            serde_json::from_slice(line).map(|Started { version }| Said::Started { version })
        }
        "error" => serde_json::from_slice(line).map(|ErrorEvent { message, detail }| {
            Said::Error(short(match detail {
                Some(detail) => format!("{message}: {detail}"),
                None => message,
            }))
        }),
        "engine_stopped" => Ok(Said::Stopped),
        "query_done" => serde_json::from_slice(line).map(|Done { n }| Said::QueryDone { n }),
        _ => Ok(Said::Other),
    };
    said.map_err(|error| Unread::Event { problem: format!("{kind}: {error}") })
}

fn market(event: Market) -> Result<Said, serde_json::Error> {
    let Market { symbol, ts_ns, price, .. } = event;
    if price <= Price::ZERO || event.qty.is_some_and(|qty| qty <= Qty::ZERO) {
        return Err(serde_json::Error::custom("price and qty must be above zero"));
    }
    let body = match (event.trade_id, event.qty, event.side) {
        (Some(trade_id), Some(qty), Some(side)) => {
            MarketBody::Trade { ts_ns, price, qty, side, trade_id }
        }
        _ => MarketBody::Price { ts_ns, price },
    };
    Ok(Said::Market(MarketData { symbol, position: None, body }))
}

/// The start of a text that would be kept for as long as its order.
fn short(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(ENGINE_TEXT_MAX_BYTES));
    text
}

/// Why an order is in that status: one that the engine has refused or ended has a reason, whatever it says.
fn why(status: OrderStatus, reason: Option<String>) -> Text {
    let reason = reason.unwrap_or_default();
    let is_told = !matches!(status, OrderStatus::Rejected | OrderStatus::Expired)
        || !reason.trim().is_empty();
    if is_told { short(reason).into() } else { Reason::NotTold.as_str().into() }
}

fn report(
    client_order_id: ClientOrderId,
    venue_order_id: Option<VenueOrderId>,
    body: ReportBody,
) -> Said {
    Said::Report(VenueReport { client_order_id, venue_order_id, body })
}

fn order_update(event: OrderUpdate) -> Said {
    let reason = why(event.status, event.reason);
    let body = match event.status {
        // How much is executed, its fills say.
        OrderStatus::Accepted | OrderStatus::PartiallyFilled => ReportBody::Accepted,
        OrderStatus::Filled => ReportBody::Filled,
        OrderStatus::Cancelled => ReportBody::Cancelled,
        OrderStatus::Rejected => ReportBody::Rejected { reason },
        OrderStatus::Expired => ReportBody::Expired { reason },
    };
    report(event.client_order_id, event.venue_order_id, body)
}

fn fill(event: Fill) -> Said {
    let body = ReportBody::Fill {
        trade_id: event.trade_id,
        qty: event.qty,
        price: event.price,
        symbol: event.symbol.map(Box::new),
        side: event.side,
        fee: event.fee.zip(event.fee_asset),
        liquidity: event.liquidity,
    };
    report(event.client_order_id, None, body)
}

fn order_state(event: OrderState) -> Said {
    let Some(status) = event.status else { return Said::Other };
    let request = request(&event);
    let average = || event.avg_price.and_then(|avg| avg.times(event.executed_qty));
    let body = ReportBody::State(Box::new(VenueOrder {
        status,
        executed_qty: event.executed_qty,
        cum_quote: event.cum_quote.or_else(average).unwrap_or_default(),
        reason: why(status, event.reason),
        request,
    }));
    report(event.client_order_id, event.venue_order_id, body)
}

/// What was asked for, if the engine tells enough of it.
fn request(event: &OrderState) -> Option<NewOrder> {
    let default = if event.limit_price.is_some() { OrderType::Limit } else { OrderType::Market };
    let order_type = event.order_type.unwrap_or(default);
    let tif = if order_type.has_limit() { TimeInForce::Gtc } else { TimeInForce::Ioc };
    Some(NewOrder {
        order_type,
        time_in_force: event.time_in_force.unwrap_or(tif),
        price: event.limit_price,
        ..NewOrder::market(event.client_order_id, event.symbol?, event.side?, event.order_qty?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> ClientOrderId {
        ClientOrderId::parse("a").unwrap()
    }

    #[track_caller]
    fn check(line: &str, expected: ReportBody) {
        match read_said(line.as_bytes()) {
            Ok(Said::Report(report)) => {
                assert_eq!((report.client_order_id, report.body), (id(), expected))
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_engines_say_of_orders() {
        check(
            r#"{"type":"order_update","ts_ns":1,"client_order_id":"a","status":"FILLED","qty":1}"#,
            ReportBody::Filled,
        );
        check(
            r#"{"status":"REJECTED","reason":"no","client_order_id":"a","type":"order_update"}"#,
            ReportBody::Rejected { reason: "no".into() },
        );
        check(
            r#"{"type":"fill","client_order_id":"a","symbol":"BTCUSDT","qty":0.001,"price":50000}"#,
            ReportBody::Fill {
                trade_id: None,
                qty: "0.001".parse().unwrap(),
                price: "50000".parse().unwrap(),
                symbol: Symbol::parse("BTCUSDT").ok().map(Box::new),
                side: None,
                fee: None,
                liquidity: None,
            },
        );
        check(
            r#"{"type":"order_state","client_order_id":"a","status":"CANCELLED","executed_qty":2,"avg_price":1.5}"#,
            ReportBody::State(Box::new(VenueOrder {
                status: OrderStatus::Cancelled,
                executed_qty: "2".parse().unwrap(),
                cum_quote: "3".parse().unwrap(),
                reason: "".into(),
                request: None,
            })),
        );
    }

    #[test]
    fn what_cannot_be_read_is_told_apart() {
        let garbage = ["", "hello", "{", "[1]", "{\"a\":1}", "\"type\"", "{\"type\":7}"];
        for line in garbage {
            assert_eq!(read_said(line.as_bytes()), Err(Unread::Garbage), "{line:?}");
        }
        assert_eq!(read_said(b"{\"type\":\"account\",\"balances\":7}"), Ok(Said::Other));
        let inexact =
            r#"{"type":"fill","client_order_id":"a","qty":0.30000000000000004,"price":1}"#;
        match read_said(inexact.as_bytes()) {
            Err(Unread::Event { problem }) => assert!(problem.contains("decimals"), "{problem}"),
            other => panic!("{other:?}"),
        }
        for market in ["-5", "0", "5,\"qty\":-1", "5,\"qty\":0"] {
            let line = format!(r#"{{"type":"market","symbol":"BTCUSDT","price":{market}}}"#);
            match read_said(line.as_bytes()) {
                Err(Unread::Event { problem }) => assert!(problem.contains("above"), "{problem}"),
                other => panic!("{market}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_is_refused_or_ended_has_a_reason() {
        let untold = || Reason::NotTold.as_str().into();
        for reason in ["", r#","reason":"""#, r#","reason":null"#, r#","reason":" ""#] {
            let line = |status| {
                format!(
                    r#"{{"type":"order_update","client_order_id":"a","status":"{status}"{reason}}}"#
                )
            };
            check(&line("REJECTED"), ReportBody::Rejected { reason: untold() });
            check(&line("EXPIRED"), ReportBody::Expired { reason: untold() });
        }
    }

    #[test]
    fn a_text_is_cut_between_its_letters() {
        let long = "é".repeat(1_000);
        let line = format!(
            r#"{{"type":"order_update","client_order_id":"a","status":"EXPIRED","reason":"x{long}"}}"#
        );
        let cut = format!("x{}", "é".repeat(511));
        check(&line, ReportBody::Expired { reason: cut.into() });
        let line = format!(r#"{{"type":"error","message":"x","detail":"{long}"}}"#);
        let Ok(Said::Error(said)) = read_said(line.as_bytes()) else { panic!("an error") };
        assert_eq!(said.len(), 1_023);
    }
}
