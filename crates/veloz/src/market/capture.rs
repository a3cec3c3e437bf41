//! The raw captures of Binance's streams: one `<local receive time, ns> <json>` a line.
//!
//! Contract: a line is a depth snapshot (as REST gives it), a `depthUpdate`, a `bookTicker` or a
//! `trade`, with or without the `{"stream":…,"data":…}` of a combined stream, and becomes one
//! [`MarketData`] with every number exact to the last digit. Well-formed events of other kinds are
//! [`Parsed::Other`]; everything else is a [`LineError`] that names what is wrong.
//!
//! A snapshot does not name its instrument. It is that of the stream it came from; else the only one
//! in the capture; else the one whose update numbers it clearly belongs to; else it is refused.
//!
//! Limits: a trade's time is the venue's `T`, in ms or (Binance's `timeUnit=MICROSECOND`) µs. Strings
//! with JSON escapes where a number or a name belongs are refused.

use std::fmt;

use rustc_hash::FxHashMap;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use veloz_core::input::{MarketBody, MarketData};
use veloz_core::limits::CAPTURE_SYMBOLS_COUNT;
use veloz_core::types::{DecimalError, NameError, Price, Qty, Side, Symbol, TsNs};

/// A line that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// Market data.
    Data(MarketData),
    /// An event that says nothing about trades or the book, and blank lines.
    Other,
}

/// Why a line was not understood.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// No time in front.
    #[error("does not start with a receive time in nanoseconds and a space")]
    Time,
    /// Not the JSON that its kind has.
    #[error("is not a message of Binance's streams: {0}")]
    Json(#[from] serde_json::Error),
    /// A number that cannot be held exactly.
    #[error("{field} {source}")]
    Number {
        /// Which.
        field: &'static str,
        /// Why.
        source: DecimalError,
    },
    /// A number that makes no sense there.
    #[error("{0}")]
    Domain(&'static str),
    /// A symbol that is none.
    #[error("symbol {0}")]
    Symbol(#[from] NameError),
    /// The stream's name and its data do not agree.
    #[error("stream {stream:?} has data of {symbol}")]
    Stream {
        /// The stream's name.
        stream: String,
        /// The data's instrument.
        symbol: Symbol,
    },
    /// A snapshot of nobody knows what.
    #[error("a depth snapshot without a symbol, in a capture of several symbols")]
    WhichSymbol,
}

/// Parses the lines of one capture; knows the instruments that it met.
#[derive(Debug, Clone)]
pub struct CaptureParser {
    default: Symbol,
    met: FxHashMap<Symbol, u64>,
}

/// The time in front of a line and the message behind it.
///
/// # Errors
/// When there is no time.
pub fn split_time(line: &[u8]) -> Result<(TsNs, &[u8]), LineError> {
    let at = memchr::memchr(b' ', line.get(..MAX_TIME_BYTES.min(line.len())).unwrap_or_default())
        .ok_or(LineError::Time)?;
    let (time, rest) = line.split_at_checked(at).ok_or(LineError::Time)?;
    let digits = std::str::from_utf8(time).map_err(|_| LineError::Time)?;
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(LineError::Time);
    }
    Ok((digits.parse().map_err(|_| LineError::Time)?, rest.trim_ascii()))
}

/// The digits of the largest time, and the space.
const MAX_TIME_BYTES: usize = 20;

impl CaptureParser {
    /// `default` is the instrument of a snapshot when the capture names none at all.
    pub fn new(default: Symbol) -> CaptureParser {
        CaptureParser { default, met: FxHashMap::default() }
    }

    /// The instruments met so far, in alphabetical order.
    pub fn symbols(&self) -> Vec<Symbol> {
        let mut symbols: Vec<_> = self.met.keys().copied().collect();
        symbols.sort_unstable();
        symbols
    }

    /// Parses the message of a line, without its time.
    ///
    /// # Errors
    /// When it cannot be understood. The parser is as it was.
    pub fn parse(&mut self, message: &[u8], position: u64) -> Result<Parsed, LineError> {
        let parsed = match combined(message).map(|(stream, data)| self.event(Some(stream), data)) {
            Some(Ok(parsed)) => parsed,
            // Not in the usual form, or wrong: read it with care, for a good account of what is wrong.
            _ => match serde_json::from_slice::<Combined<'_>>(message) {
                Ok(outer) => self.event(Some(outer.stream), outer.data.get().as_bytes())?,
                Err(_) => self.event(None, message)?,
            },
        };
        let Some((symbol, update_id, body)) = parsed else { return Ok(Parsed::Other) };
        self.meet(symbol, update_id);
        Ok(Parsed::Data(MarketData { symbol, position: Some(position), body }))
    }

    fn event(&self, stream: Option<&str>, data: &[u8]) -> Result<Option<Event>, LineError> {
        let Some(kind) = Kind::of(data)? else { return Ok(None) };
        let (symbol, update_id, body) = match kind {
            Kind::Trade => serde_json::from_slice::<Trade<'_>>(data)?.read()?,
            Kind::Quote => serde_json::from_slice::<Quote<'_>>(data)?.read()?,
            Kind::Depth => serde_json::from_slice::<Depth<'_>>(data)?.read()?,
            Kind::Snapshot => {
                let snapshot: Snapshot = serde_json::from_slice(data)?;
                let id = snapshot.last_update_id;
                let symbol = match stream.and_then(|s| s.split_once('@')) {
                    Some((symbol, _)) => Symbol::parse(&symbol.to_uppercase())?,
                    None => self.owner_of(id).ok_or(LineError::WhichSymbol)?,
                };
                return Ok(Some((symbol, Some(id), snapshot.body())));
            }
        };
        match stream {
            Some(stream) if !is_of(stream, symbol) => {
                Err(LineError::Stream { stream: stream.to_owned(), symbol })
            }
            _ => Ok(Some((symbol, update_id, body))),
        }
    }

    fn meet(&mut self, symbol: Symbol, update_id: Option<u64>) {
        if let Some(last) = self.met.get_mut(&symbol) {
            *last = update_id.unwrap_or(*last);
        } else if self.met.len() < CAPTURE_SYMBOLS_COUNT {
            self.met.insert(symbol, update_id.unwrap_or_default());
        }
    }

    /// Update numbers are an instrument's own: the snapshot is of the one whose numbers are near, if
    /// the next best are a hundred times as far.
    fn owner_of(&self, update_id: u64) -> Option<Symbol> {
        let mut by_distance: Vec<_> =
            self.met.iter().map(|(symbol, last)| (last.abs_diff(update_id), *symbol)).collect();
        by_distance.sort_unstable();
        match by_distance.as_slice() {
            [] => Some(self.default),
            [(_, only)] => Some(*only),
            [(near, symbol), (next, _), ..] => {
                (near.saturating_mul(100) < *next).then_some(*symbol)
            }
        }
    }
}

/// Instrument, its book's update number when told, what happened.
type Event = (Symbol, Option<u64>, MarketBody);

fn is_of(stream: &str, symbol: Symbol) -> bool {
    stream.split_once('@').is_some_and(|(name, _)| {
        name.eq_ignore_ascii_case(symbol.as_str()) || name.to_uppercase() == symbol.as_str()
    })
}

/// Takes `{"stream":"…","data":…}` apart when it is written exactly so.
fn combined(message: &[u8]) -> Option<(&str, &[u8])> {
    let rest = message.strip_prefix(br#"{"stream":""#)?;
    let (stream, rest) = rest.split_at_checked(memchr::memchr(b'"', rest)?)?;
    let data = rest.strip_prefix(br#"","data":"#)?.strip_suffix(b"}")?;
    let stream = std::str::from_utf8(stream).ok().filter(|s| !s.contains('\\'))?;
    Some((stream, data))
}

#[derive(Deserialize)]
struct Combined<'a> {
    stream: &'a str,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Clone, Copy)]
enum Kind {
    Trade,
    Quote,
    Depth,
    Snapshot,
}

/// The fields that tell the kinds apart.
#[derive(Deserialize)]
struct Probe<'a> {
    #[serde(borrow, default)]
    e: Option<&'a str>,
    #[serde(rename = "lastUpdateId")]
    last_update_id: Option<IgnoredAny>,
    u: Option<IgnoredAny>,
    #[serde(rename = "B")]
    bid_qty: Option<IgnoredAny>,
    id: Option<IgnoredAny>,
}

impl Kind {
    /// `None` for events of no interest: other kinds, answers to subscriptions, arrays of tickers.
    fn of(data: &[u8]) -> Result<Option<Kind>, LineError> {
        const USUAL: [(&[u8], Kind); 4] = [
            (br#"{"u":"#, Kind::Quote),
            (br#"{"e":"trade","#, Kind::Trade),
            (br#"{"e":"depthUpdate","#, Kind::Depth),
            (br#"{"lastUpdateId":"#, Kind::Snapshot),
        ];
        if let Some((_, kind)) = USUAL.iter().find(|(head, _)| data.starts_with(head)) {
            return Ok(Some(*kind));
        }
        if data.is_empty() {
            return Ok(None);
        }
        if data.starts_with(b"[") {
            let _: IgnoredAny = serde_json::from_slice(data)?;
            return Ok(None);
        }
        let probe: Probe<'_> = serde_json::from_slice(data)?;
        Ok(match probe.e {
            Some("trade") => Some(Kind::Trade),
            Some("depthUpdate") => Some(Kind::Depth),
            Some("bookTicker") => Some(Kind::Quote),
            Some(_) => None,
            None if probe.last_update_id.is_some() => Some(Kind::Snapshot),
            None if probe.u.is_some() && probe.bid_qty.is_some() => Some(Kind::Quote),
            None if probe.id.is_some() => None,
            None => return Err(LineError::Domain("is no kind of message that there is")),
        })
    }
}

#[derive(Deserialize)]
struct Trade<'a> {
    e: &'a str,
    s: &'a str,
    t: u64,
    p: &'a str,
    q: &'a str,
    #[serde(rename = "T")]
    time: i64,
    m: bool,
}

impl Trade<'_> {
    fn read(&self) -> Result<Event, LineError> {
        let body = MarketBody::Trade {
            ts_ns: venue_time(self.time)?,
            price: price(self.p, "p")?,
            qty: qty(self.q, "q")?,
            // `m`: the buyer made the liquidity, so that the seller took it.
            side: if self.m { Side::Sell } else { Side::Buy },
            trade_id: self.t,
        };
        match &body {
            _ if self.e != "trade" => Err(LineError::Domain("e is not trade")),
            MarketBody::Trade { price, qty, .. } if price.is_zero() || qty.is_zero() => {
                Err(LineError::Domain("a trade's p and q must be above 0"))
            }
            _ => Ok((Symbol::parse(self.s)?, None, body)),
        }
    }
}

#[derive(Deserialize)]
struct Quote<'a> {
    #[serde(default)]
    e: Option<&'a str>,
    u: u64,
    s: &'a str,
    b: &'a str,
    #[serde(rename = "B")]
    bid_qty: &'a str,
    a: &'a str,
    #[serde(rename = "A")]
    ask_qty: &'a str,
}

impl Quote<'_> {
    fn read(&self) -> Result<Event, LineError> {
        if self.e.is_some_and(|e| e != "bookTicker") {
            return Err(LineError::Domain("e is not bookTicker"));
        }
        let body = MarketBody::Quote {
            update_id: self.u,
            bid: (price(self.b, "b")?, qty(self.bid_qty, "B")?),
            ask: (price(self.a, "a")?, qty(self.ask_qty, "A")?),
        };
        Ok((Symbol::parse(self.s)?, Some(self.u), body))
    }
}

#[derive(Deserialize)]
struct Depth<'a> {
    e: &'a str,
    s: &'a str,
    #[serde(rename = "U")]
    first: u64,
    u: u64,
    b: Levels,
    a: Levels,
}

impl Depth<'_> {
    fn read(self) -> Result<Event, LineError> {
        if self.e != "depthUpdate" {
            return Err(LineError::Domain("e is not depthUpdate"));
        }
        if self.first > self.u {
            return Err(LineError::Domain("U is above u"));
        }
        let (first_id, last_id) = (self.first, self.u);
        let body = MarketBody::Depth { first_id, last_id, bids: self.b.0, asks: self.a.0 };
        Ok((Symbol::parse(self.s)?, Some(last_id), body))
    }
}

#[derive(Deserialize)]
struct Snapshot {
    #[serde(rename = "lastUpdateId")]
    last_update_id: u64,
    bids: Levels,
    asks: Levels,
}

impl Snapshot {
    fn body(self) -> MarketBody {
        MarketBody::Snapshot { last_id: self.last_update_id, bids: self.bids.0, asks: self.asks.0 }
    }
}

/// Milliseconds until the year 5138, else microseconds, as nanoseconds.
fn venue_time(time: i64) -> Result<TsNs, LineError> {
    let unit = if time < 100_000_000_000_000 { 1_000_000 } else { 1_000 };
    time.checked_mul(unit).filter(|ns| *ns >= 0).ok_or(LineError::Domain("T is out of range"))
}

fn price(text: &str, field: &'static str) -> Result<Price, LineError> {
    decimal(text).map(Price::from_raw).map_err(|source| LineError::Number { field, source })
}

fn qty(text: &str, field: &'static str) -> Result<Qty, LineError> {
    decimal(text).map(Qty::from_raw).map_err(|source| LineError::Number { field, source })
}

/// A price or quantity that is not below zero, in units of `10^-8`. Binance writes all of them with
/// eight decimals: that form has a short way, any other goes through the core's parser.
fn decimal(text: &str) -> Result<i64, DecimalError> {
    if let Some(raw) = eight_decimals(text.as_bytes()) {
        return Ok(raw);
    }
    match Price::parse(text)?.raw() {
        raw if raw < 0 => Err(DecimalError::Range),
        raw => Ok(raw),
    }
}

fn eight_decimals(text: &[u8]) -> Option<i64> {
    const FRACTION_DIGITS: usize = 8;
    // Ten digits before the point and eight behind it always fit.
    let point = text.len().checked_sub(FRACTION_DIGITS + 1).filter(|at| (1..=10).contains(at))?;
    let mut raw = 0_i64;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'0'..=b'9' if at != point => raw = raw * 10 + i64::from(byte - b'0'),
            b'.' if at == point => {}
            _ => return None,
        }
    }
    Some(raw)
}

/// `[["price","qty"],…]`; old captures have a third, empty element.
struct Levels(Vec<(Price, Qty)>);

impl<'de> Deserialize<'de> for Levels {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Levels, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Levels;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of levels")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Levels, A::Error> {
                let mut levels = Vec::new();
                while let Some(Level(price, qty)) = seq.next_element()? {
                    levels.push((price, qty));
                }
                Ok(Levels(levels))
            }
        }
        de.deserialize_seq(All)
    }
}

struct Level(Price, Qty);

impl<'de> Deserialize<'de> for Level {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Level, D::Error> {
        struct One;
        impl<'de> Visitor<'de> for One {
            type Value = Level;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a level: price and quantity")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Level, A::Error> {
                use serde::de::Error as _;
                let missing = || A::Error::custom("a level has a price and a quantity");
                let price_text: &str = seq.next_element()?.ok_or_else(missing)?;
                let qty_text: &str = seq.next_element()?.ok_or_else(missing)?;
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                let price = price(price_text, "level's price").map_err(A::Error::custom)?;
                if price.is_zero() {
                    return Err(A::Error::custom("a level's price must be above 0"));
                }
                Ok(Level(price, qty(qty_text, "level's quantity").map_err(A::Error::custom)?))
            }
        }
        de.deserialize_seq(One)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parser() -> CaptureParser {
        CaptureParser::new(Symbol::parse("BTCUSDT").unwrap())
    }

    fn shown(line: &str) -> String {
        let parsed =
            split_time(line.as_bytes()).and_then(|(_, message)| parser().parse(message, 7));
        match parsed {
            Ok(Parsed::Data(data)) => format!("{} {:?}", data.symbol, data.body),
            Ok(Parsed::Other) => "other".to_owned(),
            Err(e) => format!("! {e}"),
        }
    }

    const TRADE: &str = r#"{"e":"trade","E":5,"s":"BTCUSDT","t":9,"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}"#;
    const TRADE_READ: &str = "BTCUSDT Trade { ts_ns: 1723161255342000000, price: 61837.63, qty: 0.02, side: Sell, trade_id: 9 }";

    #[test]
    fn every_form_of_every_kind() {
        let check = |json: &str, want: &str| {
            assert_eq!(shown(&format!("17 {json}")), want, "{json}");
        };
        check(TRADE, TRADE_READ);
        check(&format!(r#"{{"stream":"btcusdt@trade","data":{TRADE}}}"#), TRADE_READ);
        check(&format!(r#" {{ "data": {TRADE}, "stream":"btcusdt@trade"}} "#), TRADE_READ);
        let micros =
            TRADE.replace("342,\"m\":true", "342007,\"m\":false").replace("61837.63000000", "1e3");
        check(
            &micros,
            "BTCUSDT Trade { ts_ns: 1723161255342007000, price: 1000.0, qty: 0.02, side: Buy, trade_id: 9 }",
        );
        let quote = r#"{"u":3,"s":"BTCUSDT","b":"1.5","B":"2.00000000","a":"1.6","A":"0"}"#;
        let read = "BTCUSDT Quote { update_id: 3, bid: (1.5, 2.0), ask: (1.6, 0.0) }";
        check(quote, read);
        check(&quote.replace("{\"u\"", "{\"e\":\"bookTicker\",\"u\""), read);
        check(&quote.replace("{\"u\":3,", "{\"T\":1,\"u\":3,"), read);
        let depth = r#"{"e":"depthUpdate","E":1,"s":"ETHBTC","U":4,"u":6,"b":[["0.05","1"]],"a":[["0.06","0.00000000",[]]]}"#;
        check(
            depth,
            "ETHBTC Depth { first_id: 4, last_id: 6, bids: [(0.05, 1.0)], asks: [(0.06, 0.0)] }",
        );
        let book = r#"{"lastUpdateId":8,"bids":[["1","2"]],"asks":[]}"#;
        check(book, "BTCUSDT Snapshot { last_id: 8, bids: [(1.0, 2.0)], asks: [] }");
        check(
            &format!(r#"{{"stream":"ethusdt@depth20@100ms","data":{book}}}"#),
            "ETHUSDT Snapshot { last_id: 8, bids: [(1.0, 2.0)], asks: [] }",
        );
        check(r#"{"e":"kline","s":"BTCUSDT"}"#, "other");
        check(r#"{"result":null,"id":1}"#, "other");
        check(r#"[{"e":"24hrTicker"}]"#, "other");
        check("", "other");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |line: &str, part: &str| {
            let shown = shown(line);
            assert!(shown.starts_with("! ") && shown.contains(part), "{line}: {shown}");
        };
        let trade = |from: &str, to: &str| format!("1 {}", TRADE.replace(from, to));
        check("", "receive time");
        check(TRADE, "receive time");
        check(&format!("-1 {TRADE}"), "receive time");
        check(&format!("99999999999999999999 {TRADE}"), "receive time");
        check("1 {}", "no kind of message");
        check("1 x", "expected value");
        check("1 {\"e\":\"trade\"", "EOF");
        check(&trade("61837.63000000", "61837.630000001"), "p has more than 8 decimals");
        check(&trade("61837.63000000", "NaN"), "p is not a decimal number");
        check(&trade("61837.63000000", "-1.00000000"), "p is out of range");
        check(&trade("0.02000000", "99999999999999"), "q is out of range");
        check(&trade("0.02000000", "0.00000000"), "above 0");
        check(&trade("\"61837.63000000\"", "61837.63"), "invalid type");
        check(&trade("true,\"M\"", "1,\"M\""), "invalid type");
        check(&trade("1723161255342", "9223372036854775807"), "T is out of range");
        check(&trade("BTCUSDT", "btcusdt"), "symbol must be");
        check(&trade("\"t\":9,", ""), "missing field `t`");
        check(&trade("\"t\":9,", "\"t\":9,\"t\":9,"), "duplicate field");
        check(&format!("1 {TRADE}}}"), "trailing characters");
        check(&format!(r#"1 {{"stream":"ethusdt@trade","data":{TRADE}}}"#), "has data of BTCUSDT");
        check(r#"1 {"lastUpdateId":8,"bids":[["1"]],"asks":[]}"#, "a price and a quantity");
        check(r#"1 {"lastUpdateId":8,"bids":[["0","1"]],"asks":[]}"#, "above 0");
        check(r#"1 {"e":"depthUpdate","s":"A","U":4,"u":3,"b":[],"a":[]}"#, "U is above u");
    }

    #[test]
    fn a_snapshot_finds_its_owner() {
        let depth = |symbol: &str, id: u64| {
            format!(r#"{{"e":"depthUpdate","s":"{symbol}","U":{id},"u":{id},"b":[],"a":[]}}"#)
        };
        let check = |met: &[(&str, u64)], snapshot: u64, want: Option<&str>| {
            let mut parser = parser();
            for (symbol, id) in met {
                parser.parse(depth(symbol, *id).as_bytes(), 1).unwrap();
            }
            let snapshot = format!(r#"{{"lastUpdateId":{snapshot},"bids":[],"asks":[]}}"#);
            let owner = match parser.parse(snapshot.as_bytes(), 2) {
                Ok(Parsed::Data(data)) => Some(data.symbol.to_string()),
                Err(LineError::WhichSymbol) => None,
                other => panic!("{other:?}"),
            };
            assert_eq!(owner.as_deref(), want, "{met:?}");
        };
        check(&[], 5, Some("BTCUSDT"));
        check(&[("ETHUSDT", 100)], 5_000, Some("ETHUSDT"));
        check(&[("ETHUSDT", 100), ("SOLUSDT", 90_000)], 110, Some("ETHUSDT"));
        check(&[("ETHUSDT", 100), ("SOLUSDT", 90_000)], 90_010, Some("SOLUSDT"));
        check(&[("ETHUSDT", 100), ("SOLUSDT", 200)], 150, None);
    }

    #[test]
    fn the_short_way_reads_what_the_core_reads() {
        let mut rng = fastrand::Rng::with_seed(3);
        for round in 0..20_000 {
            let mut text: Vec<u8> = (0..rng.usize(1..13)).map(|_| rng.u8(b'0'..=b'9')).collect();
            text.push(b'.');
            text.extend((0..8).map(|_| rng.u8(b'0'..=b'9')));
            if rng.u8(..4) == 0 {
                let at = rng.usize(..text.len());
                text[at] = rng.u8(b' '..127);
            }
            let text = String::from_utf8(text).unwrap();
            let core = Price::parse(&text).map(Price::raw).ok().filter(|raw| *raw >= 0);
            assert_eq!(decimal(&text).ok(), core, "round {round}: {text}");
        }
    }
}
