//! Commands: a line of words, read and written.

use std::fmt;

use veloz_core::engine::VenueCommand;
use veloz_core::input::NewOrder;
use veloz_core::order::{OrderType, TimeInForce};
use veloz_core::types::{ClientOrderId, Price, Qty, Side, Symbol};

/// How much of a wrong word an error shows.
const SHOWN_CHARS: usize = 40;

/// What an engine is told to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Place this order.
    Order(NewOrder),
    /// Take this order back.
    Cancel(ClientOrderId),
    /// Say how something stands.
    Query(Query),
}

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Query {
    /// One order, open or closed.
    Order(ClientOrderId),
    /// Every open order.
    Orders,
    /// The balances.
    Account,
    /// The last price of a symbol, or of each.
    Market(Option<Symbol>),
}

/// Why a line is no command: for a person, with the word that was wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ProtocolError(pub String);

fn wrong<T>(message: impl fmt::Display) -> Result<T, ProtocolError> {
    Err(ProtocolError(message.to_string()))
}

/// A word as an error shows it: cut, and without control characters.
fn shown(word: &str) -> String {
    let mut start: String = word.chars().take(SHOWN_CHARS).collect();
    if start.len() < word.len() {
        start.push('…');
    }
    format!("{start:?}")
}

/// Reads a line; `None` for a blank one and for a comment.
///
/// # Errors
/// What was wrong with it.
pub fn parse(line: &[u8]) -> Result<Option<Command>, ProtocolError> {
    if line.contains(&0) {
        return wrong("the line holds a NUL byte");
    }
    let Ok(line) = std::str::from_utf8(line) else { return wrong("the line is not UTF-8") };
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    if let Some(control) = line.chars().find(|c| c.is_control() && *c != '\t') {
        return wrong(format_args!("the line holds the control character {control:?}"));
    }
    let mut words = line.split_whitespace();
    let verb = words.next().unwrap_or_default();
    let command = match verb.to_ascii_uppercase().as_str() {
        "ORDER" => order(words.next(), &mut words).map(Command::Order)?,
        "BUY" | "SELL" | "B" | "S" => order(Some(verb), &mut words).map(Command::Order)?,
        "CANCEL" | "C" => Command::Cancel(client_order_id(words.next())?),
        "QUERY" | "Q" => Command::Query(query(&mut words)?),
        _ => {
            return wrong(format_args!(
                "{} is no command: ORDER, BUY, SELL, CANCEL and QUERY are",
                shown(verb)
            ));
        }
    };
    match words.next() {
        None => Ok(Some(command)),
        Some(word) => wrong(format_args!("{} is one word too many", shown(word))),
    }
}

/// One word, parsed, or what it should have been.
fn word<T, E: fmt::Display>(
    name: &str,
    word: Option<&str>,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, ProtocolError> {
    let Some(word) = word else { return wrong(format_args!("{name} is missing")) };
    parse(word).map_err(|error| ProtocolError(format!("{name} {} {error}", shown(word))))
}

fn client_order_id(text: Option<&str>) -> Result<ClientOrderId, ProtocolError> {
    word("client_order_id", text, ClientOrderId::parse)
}

fn symbol(text: &str) -> Result<Symbol, String> {
    Symbol::parse(&text.to_uppercase()).map_err(|error| error.to_string())
}

fn query<'a>(words: &mut impl Iterator<Item = &'a str>) -> Result<Query, ProtocolError> {
    let Some(what) = words.next() else {
        return wrong("QUERY what? order, orders, account or market");
    };
    Ok(match what.to_ascii_lowercase().as_str() {
        "order" => Query::Order(client_order_id(words.next())?),
        "orders" => Query::Orders,
        "account" => Query::Account,
        "market" => {
            Query::Market(words.next().map(|text| word("symbol", Some(text), symbol)).transpose()?)
        }
        _ => {
            let rule = "cannot be asked for: order, orders, account and market can";
            return wrong(format_args!("{} {rule}", shown(what)));
        }
    })
}

fn order<'a>(
    side: Option<&str>,
    words: &mut impl Iterator<Item = &'a str>,
) -> Result<NewOrder, ProtocolError> {
    let side = word("side", side, |text| match text.to_ascii_uppercase().as_str() {
        "B" => Ok(Side::Buy),
        "S" => Ok(Side::Sell),
        _ => Side::parse(text).ok_or("must be BUY or SELL"),
    })?;
    let symbol = word("symbol", words.next(), symbol)?;
    let qty = word("qty", words.next(), Qty::parse)?;
    let price = word("price", words.next(), Price::parse)?;
    let client_order_id = client_order_id(words.next())?;
    let (order_type, time_in_force) = kind(words.next(), words.next())?;
    let order = NewOrder {
        order_type,
        time_in_force,
        // A price cannot be left out of a line: 0 is none.
        price: Some(price).filter(|price| order_type.has_limit() || !price.is_zero()),
        ..NewOrder::market(client_order_id, symbol, side, qty)
    };
    order.check_domain().map_err(|refusal| ProtocolError(refusal.to_string()))?;
    Ok(order)
}

/// The type and how long the order stands. Either may be left out, so that one word can be both.
fn kind(
    first: Option<&str>,
    second: Option<&str>,
) -> Result<(OrderType, TimeInForce), ProtocolError> {
    let order_type = match first {
        None => return Ok((OrderType::Limit, TimeInForce::Gtc)),
        Some(text) => OrderType::parse(text),
    };
    let (order_type, tif) = match (order_type, second) {
        (Some(order_type), tif) => (order_type, tif),
        (None, None) => (OrderType::Limit, first),
        (None, Some(_)) => {
            return word("type", first, |_| Err("must be LIMIT, MARKET or LIMIT_MAKER"));
        }
    };
    if order_type.has_stop() {
        let name = order_type.as_str();
        return wrong(format_args!("type {name}: a line has no place for its stop price"));
    }
    let default = if order_type.has_limit() { TimeInForce::Gtc } else { TimeInForce::Ioc };
    let Some(tif) = tif else { return Ok((order_type, default)) };
    match tif.to_ascii_uppercase().as_str() {
        "GTX" if order_type.has_limit() => Ok((OrderType::LimitMaker, TimeInForce::Gtc)),
        "GTC" => Ok((order_type, default)),
        "IOC" => Ok((order_type, TimeInForce::Ioc)),
        "FOK" => Ok((order_type, TimeInForce::Fok)),
        "GTD" => wrong("time in force GTD: a line has no place for its time"),
        "GTX" => wrong(format_args!("time in force GTX: a {} order takes", order_type.as_str())),
        _ => word(
            if second.is_some() { "time in force" } else { "type or time in force" },
            Some(tif),
            |_| Err("is neither a type (LIMIT, MARKET, LIMIT_MAKER) nor one of GTC, IOC, FOK, GTX"),
        ),
    }
}

/// Appends the line of a command.
pub fn write_command(command: &VenueCommand, out: &mut Vec<u8>) {
    let line = match command {
        VenueCommand::Place(order) => {
            let NewOrder { client_order_id, symbol, side, qty, order_type, .. } = &**order;
            let (order_type, tif) = match (order_type, order.time_in_force) {
                (OrderType::LimitMaker, _) => (OrderType::Limit.as_str(), "GTX"),
                (order_type, tif) => (order_type.as_str(), tif.as_str()),
            };
            let price = order.price.unwrap_or_default();
            let side = side.as_str();
            format!("ORDER {side} {symbol} {qty} {price} {client_order_id} {order_type} {tif}\n")
        }
        VenueCommand::Cancel { client_order_id, .. } => format!("CANCEL {client_order_id}\n"),
        VenueCommand::Query { client_order_id } => format!("QUERY order {client_order_id}\n"),
    };
    out.extend_from_slice(line.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(order_type: OrderType, time_in_force: TimeInForce) -> NewOrder {
        let id = ClientOrderId::parse("web-1").unwrap();
        let symbol = Symbol::parse("BTCUSDT").unwrap();
        let (qty, price) = (Qty::parse("0.001").unwrap(), Price::parse("50000").unwrap());
        let order = NewOrder::limit(id, symbol, Side::Buy, qty, price);
        let price = order.price.filter(|_| order_type.has_limit());
        NewOrder { order_type, time_in_force, price, ..order }
    }

    #[track_caller]
    fn check(line: &str, expected: &Command) {
        assert_eq!(parse(line.as_bytes()).as_ref(), Ok(&Some(expected.clone())), "{line:?}");
    }

    #[track_caller]
    fn refuse(line: &[u8], expected: &str) {
        let error = parse(line).expect_err("is wrong").to_string();
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
        assert!(error.len() < 300, "{} bytes", error.len());
    }

    #[test]
    fn orders_in_all_their_forms() {
        let gtc = Command::Order(limit(OrderType::Limit, TimeInForce::Gtc));
        for line in [
            "ORDER BUY BTCUSDT 0.001 50000.0 web-1",
            "order buy btcusdt 0.001 50000 web-1 limit gtc",
            "  BUY\tBTCUSDT 0.0010 5e4 web-1 GTC  ",
            "b BTCUSDT 0.001 50000 web-1 Limit",
            "ORDER b BTCUSDT 0.001 50000 web-1",
        ] {
            check(line, &gtc);
        }
        let kinds = [
            ("IOC", OrderType::Limit, TimeInForce::Ioc),
            ("LIMIT FOK", OrderType::Limit, TimeInForce::Fok),
            ("LIMIT GTX", OrderType::LimitMaker, TimeInForce::Gtc),
            ("LIMIT_MAKER", OrderType::LimitMaker, TimeInForce::Gtc),
        ];
        for (words, order_type, tif) in kinds {
            let expected = Command::Order(limit(order_type, tif));
            check(&format!("BUY BTCUSDT 0.001 50000 web-1 {words}"), &expected);
        }
        let market = Command::Order(limit(OrderType::Market, TimeInForce::Ioc));
        for words in ["MARKET", "market GTC", "MARKET IOC"] {
            check(&format!("BUY BTCUSDT 0.001 0 web-1 {words}"), &market);
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for (order_type, tif) in [
            (OrderType::Limit, TimeInForce::Gtc),
            (OrderType::Limit, TimeInForce::Ioc),
            (OrderType::Limit, TimeInForce::Fok),
            (OrderType::LimitMaker, TimeInForce::Gtc),
            (OrderType::Market, TimeInForce::Ioc),
        ] {
            let order = limit(order_type, tif);
            let mut line = Vec::new();
            write_command(&VenueCommand::Place(Box::new(order.clone())), &mut line);
            let line = line.strip_suffix(b"\n").expect("a whole line");
            assert_eq!(parse(line), Ok(Some(Command::Order(order))));
        }
    }

    #[test]
    fn cancels_and_questions() {
        let id = ClientOrderId::parse("web-1").unwrap();
        check("CANCEL web-1", &Command::Cancel(id));
        check("c web-1", &Command::Cancel(id));
        check("QUERY order web-1", &Command::Query(Query::Order(id)));
        check("q ORDERS", &Command::Query(Query::Orders));
        check("Query Account", &Command::Query(Query::Account));
        check("QUERY market", &Command::Query(Query::Market(None)));
        let symbol = Symbol::parse("BTCUSDT").ok();
        check("QUERY market btcusdt", &Command::Query(Query::Market(symbol)));
        for skipped in ["", "   ", "# a comment", "\t#x"] {
            assert_eq!(parse(skipped.as_bytes()), Ok(None), "{skipped:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |line: &str, expected: &str| refuse(line.as_bytes(), expected);
        check("PLACE x", "\"PLACE\" is no command");
        check("ORDER", "side is missing");
        check("ORDER HOLD BTCUSDT 1 1 a", "side \"HOLD\" must be BUY or SELL");
        check("BUY", "symbol is missing");
        check("BUY BTC/USDT 1 1 a", "symbol \"BTC/USDT\"");
        check("BUY BTCUSDT NaN 1 a", "qty \"NaN\" is not a decimal number");
        check("BUY BTCUSDT -1 1 a", "qty: -1.0 must be above zero");
        check("BUY BTCUSDT 0.000000001 1 a", "has more than 8 decimals");
        check("BUY BTCUSDT 1 1e99 a", "price \"1e99\" is out of range");
        check("BUY BTCUSDT 1 0 a", "price: 0.0 must be above zero");
        check("BUY BTCUSDT 1 1", "client_order_id is missing");
        check("BUY BTCUSDT 1 1 a!", "client_order_id \"a!\"");
        check("BUY BTCUSDT 1 1 a FAST", "type or time in force \"FAST\"");
        check("BUY BTCUSDT 1 1 a FAST GTC", "type \"FAST\"");
        check("BUY BTCUSDT 1 1 a LIMIT FAST", "time in force \"FAST\"");
        check("BUY BTCUSDT 1 1 a STOP_LOSS", "stop price");
        check("BUY BTCUSDT 1 1 a LIMIT GTD", "GTD");
        check("BUY BTCUSDT 1 0 a MARKET FOK", "time_in_force: FOK");
        check("BUY BTCUSDT 1 1 a MARKET", "price: 1.0 must be left out of a MARKET order");
        check("BUY BTCUSDT 1 1 a LIMIT GTC x", "\"x\" is one word too many");
        check("CANCEL", "client_order_id is missing");
        check("QUERY", "QUERY what?");
        check("QUERY time", "\"time\" cannot be asked for");
        check("CANCEL a\u{1b}[2J", "control character");
        check(&format!("CANCEL {}", "x".repeat(60_000)), "client_order_id");
        refuse(b"CANCEL a\0b", "NUL");
        refuse(b"CANCEL \xff", "not UTF-8");
    }
}
