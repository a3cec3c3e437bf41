//! What a client asks of the stream: the query and the headers of `GET /api/stream`.
//!
//! Contract: pure; what is wrong is said before any byte of the stream. The `Last-Event-ID` header
//! wins over `last_id`: a browser that reconnects sends a newer header with the old URL. A known parameter
//! given twice is refused, an unknown one is ignored.

use http::HeaderMap;
use veloz_core::event::EventKind;
use veloz_core::limits::STREAM_FILTER_SYMBOLS;
use veloz_core::types::{ClientOrderId, EventId, Symbol};

use super::filter::{Encoding, Filter, Kinds};
use crate::journal::{Lineage, LogId};

/// The largest number an event can have: a signed 64-bit integer for every client's sake.
const MAX_EVENT_ID: EventId = i64::MAX.unsigned_abs();

/// Where a stream starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Start {
    /// With the next event.
    #[default]
    Live,
    /// Behind the event of this number; 0: with the oldest retained.
    After(EventId),
    /// With the next event, after telling that the event named is another log's.
    OtherLog {
        /// The number of that event.
        after: EventId,
        /// The log that is here.
        this: LogId,
    },
}

/// A parsed request for the stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamRequest {
    /// Where it starts.
    pub start: Start,
    /// The log that it had its last event from.
    pub log: Option<LogId>,
    /// Which events it wants.
    pub filter: Filter,
    /// The form it wants them in.
    pub encoding: Encoding,
    /// Whether it wants the state at a live start and after each gap.
    pub snapshot: bool,
    /// Whether it wants a named `ping` with each keep-alive.
    pub ping: bool,
    /// Whose book it wants too.
    pub book: Option<Symbol>,
}

/// Why a request is refused: the text of a 400, for a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// A parameter's value is out of its domain.
    #[error("{name} must be {allowed}")]
    Value {
        /// The parameter or header.
        name: &'static str,
        /// What it may be.
        allowed: String,
    },
    /// A parameter that stands more than once.
    #[error("{0} is given more than once")]
    Repeated(&'static str),
}

fn bad(name: &'static str, allowed: impl Into<String>) -> RequestError {
    RequestError::Value { name, allowed: allowed.into() }
}

const PARAMETERS: [&str; 10] = [
    "last_id",
    "log",
    "types",
    "symbols",
    "client_order_id",
    "snapshot",
    "named",
    "ping",
    "format",
    "book",
];

impl StreamRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// When a value is out of its domain or given twice.
    pub fn parse(query: Option<&str>, headers: &HeaderMap) -> Result<StreamRequest, RequestError> {
        let mut seen = Vec::with_capacity(PARAMETERS.len());
        let mut request = StreamRequest::default();
        let (mut named, mut format) = (true, None);
        for (key, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let Some(name) = PARAMETERS.into_iter().find(|name| *name == key) else { continue };
            if seen.contains(&name) {
                return Err(RequestError::Repeated(name));
            }
            seen.push(name);
            match name {
                "last_id" => request.start = Start::After(parse_id(name, value.as_bytes())?),
                "log" => request.log = Some(parse_log(&value)?),
                "types" => request.filter.kinds = parse_kinds(&value)?,
                "symbols" => request.filter.symbols = parse_symbols(&value)?,
                "client_order_id" => request.filter.client_order_id = Some(parse_order(&value)?),
                "snapshot" => request.snapshot = parse_flag(name, &value)?,
                "named" => named = parse_flag(name, &value)?,
                "ping" => request.ping = parse_flag(name, &value)?,
                "format" => format = Some(parse_format(&value)?),
                _ => request.book = Some(parse_symbol(name, &value)?),
            }
        }
        if let Some(id) = last_event_id(headers)? {
            request.start = Start::After(id);
        }
        request.encoding = match (format.unwrap_or_else(|| accepted(headers)), named) {
            (Encoding::Sse, false) => Encoding::SseUnnamed,
            (encoding, _) => encoding,
        };
        Ok(request)
    }
}

impl StreamRequest {
    /// Looks whether the event that it names is one of this log.
    pub fn check_log(&mut self, here: &Lineage) {
        if let Start::After(after) = self.start
            && let Some(this) = here.another_than(self.log, after)
        {
            self.start = Start::OtherLog { after, this };
        }
    }
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<EventId>, RequestError> {
    let mut values = headers.get_all("last-event-id").iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(RequestError::Repeated("Last-Event-ID"));
    }
    parse_id("Last-Event-ID", value.as_bytes()).map(Some)
}

/// Reads an event id as a client gives it: digits only.
///
/// # Errors
/// When it is no whole number in 0..2^63-1.
pub fn parse_id(name: &'static str, text: &[u8]) -> Result<EventId, RequestError> {
    Some(text)
        .filter(|text| !text.is_empty() && text.iter().all(u8::is_ascii_digit))
        .and_then(|text| std::str::from_utf8(text).ok()?.parse().ok())
        .filter(|id| *id <= MAX_EVENT_ID)
        .ok_or_else(|| bad(name, format!("a whole number from 0 to {MAX_EVENT_ID}")))
}

/// Reads a log's id.
///
/// # Errors
/// When it is none.
pub fn parse_log(text: &str) -> Result<LogId, RequestError> {
    LogId::parse(text)
        .ok_or_else(|| bad("log", "the `log_id` of GET /api/config: 16 hexadecimal digits"))
}

/// Reads a list of event types, `fill,order_update`.
///
/// # Errors
/// When one is unknown.
pub fn parse_kinds(text: &str) -> Result<Kinds, RequestError> {
    text.split(',').try_fold(Kinds::NONE, |kinds, name| {
        EventKind::parse(name).map(|kind| kinds.with(kind)).ok_or_else(|| {
            let known = EventKind::ALL.map(EventKind::as_str).join(", ");
            bad("types", format!("a comma-separated list of: {known}"))
        })
    })
}

fn parse_symbol(name: &'static str, text: &str) -> Result<Symbol, RequestError> {
    Symbol::parse(text).map_err(|error| bad(name, format!("a symbol, {}", error.allowed)))
}

/// Reads a list of symbols, `BTCUSDT,ETHUSDT`.
///
/// # Errors
/// When one is none, or there are too many.
pub fn parse_symbols(text: &str) -> Result<Vec<Symbol>, RequestError> {
    let names: Vec<&str> = text.split(',').collect();
    if names.len() > STREAM_FILTER_SYMBOLS {
        return Err(bad("symbols", format!("at most {STREAM_FILTER_SYMBOLS} symbols")));
    }
    names.into_iter().map(|name| parse_symbol("symbols", name)).collect()
}

fn parse_order(text: &str) -> Result<ClientOrderId, RequestError> {
    ClientOrderId::parse(text)
        .map_err(|error| bad("client_order_id", format!("1 to {} {}", error.max, error.allowed)))
}

fn parse_flag(name: &'static str, text: &str) -> Result<bool, RequestError> {
    match text {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(bad(name, "0 or 1")),
    }
}

fn parse_format(text: &str) -> Result<Encoding, RequestError> {
    match text {
        "sse" => Ok(Encoding::Sse),
        "ndjson" => Ok(Encoding::Ndjson),
        _ => Err(bad("format", "sse or ndjson")),
    }
}

/// The form that `Accept` asks for: NDJSON only when it is named there.
fn accepted(headers: &HeaderMap) -> Encoding {
    let named =
        headers.get_all(http::header::ACCEPT).iter().filter_map(|v| v.to_str().ok()).any(|value| {
            value.split(',').filter_map(|range| range.split(';').next()).any(|media_type| {
                media_type.trim().eq_ignore_ascii_case(Encoding::Ndjson.content_type())
            })
        });
    if named { Encoding::Ndjson } else { Encoding::Sse }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn parse(query: &str, headers: &[(&'static str, &str)]) -> Result<StreamRequest, RequestError> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).expect("a header value"));
        }
        StreamRequest::parse(Some(query), &map)
    }

    #[test]
    fn where_it_starts() {
        let check = |query, headers: &[_], wanted: Option<Start>| {
            assert_eq!(parse(query, headers).ok().map(|r| r.start), wanted, "{query} {headers:?}");
        };
        let after = |id| Some(Start::After(id));
        check("", &[], Some(Start::Live));
        check("last_id=0", &[], after(0));
        check("last_id=007&unknown=x&unknown=y", &[], after(7));
        check("last_id=9223372036854775807", &[], after(MAX_EVENT_ID));
        check("last_id=123", &[("last-event-id", "456")], after(456));
        check("", &[("last-event-id", "0")], after(0));
        for bad in [
            "",
            "abc",
            "-1",
            "1e3",
            "+1",
            "%2B1",
            "1.0",
            " 1",
            "1 ",
            "0x10",
            "9223372036854775808",
            "18446744073709551616",
            "99999999999999999999999999",
            "%00",
            "%FF",
            "1%0A",
            "٣",
        ] {
            assert_eq!(parse(&format!("last_id={bad}"), &[]).ok(), None, "{bad}");
        }
        check("last_id=1&last_id=1", &[], None);
        check("last_id", &[], None);
        check("last_id=abc", &[("last-event-id", "4")], None);
        for bad in ["", "abc", "-1", "1e3", "+1", "9223372036854775808"] {
            check("last_id=1", &[("last-event-id", bad)], None);
        }
        check("", &[("last-event-id", "1"), ("last-event-id", "1")], None);
    }

    #[test]
    fn what_it_wants() {
        let check = |query, wanted: Option<StreamRequest>| {
            assert_eq!(parse(query, &[]).ok(), wanted, "{query}");
        };
        let filter = |filter| Some(StreamRequest { filter, ..StreamRequest::default() });
        let fills = Kinds::NONE.with(EventKind::Fill).with(EventKind::OrderUpdate);
        check("types=fill,order_update", filter(Filter { kinds: fills, ..Filter::default() }));
        check("types=fill%2Corder_update", filter(Filter { kinds: fills, ..Filter::default() }));
        let symbols = vec![Symbol::parse("BTCUSDT").expect("symbol"); 2];
        check("symbols=BTCUSDT,BTCUSDT", filter(Filter { symbols, ..Filter::default() }));
        let client_order_id = ClientOrderId::parse("web-1").ok();
        check("client_order_id=web-1", filter(Filter { client_order_id, ..Filter::default() }));
        let default = StreamRequest::default();
        check(
            "snapshot=1&ping=true",
            Some(StreamRequest { snapshot: true, ping: true, ..default }),
        );
        let book = Symbol::parse("BTCUSDT").ok();
        check("book=BTCUSDT", Some(StreamRequest { book, ..StreamRequest::default() }));
        let many = format!("symbols={}", vec!["A"; STREAM_FILTER_SYMBOLS + 1].join(","));
        for bad in [
            "types=",
            "types=fills",
            "types=fill,",
            "types=fill&types=fill",
            "symbols=",
            "symbols=btc",
            "symbols=A,,B",
            "client_order_id=",
            "client_order_id=a%20b",
            "snapshot=yes",
            "log=",
            "log=1",
            "log=00000000000000AB",
            "ping=",
            "named=2",
            "format=xml",
            "book=",
            "book=a",
            &many,
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn in_which_form() {
        let check = |query, accept: &str, wanted| {
            let request = parse(query, &[("accept", accept)]).expect("a good request");
            assert_eq!(request.encoding, wanted, "{query} {accept}");
        };
        check("", "*/*", Encoding::Sse);
        check("", "text/event-stream", Encoding::Sse);
        check("named=0", "text/event-stream", Encoding::SseUnnamed);
        check("", "application/x-ndjson", Encoding::Ndjson);
        check("named=0", "text/html, Application/X-NDJSON;q=0.9", Encoding::Ndjson);
        check("format=ndjson", "*/*", Encoding::Ndjson);
        check("format=sse", "application/x-ndjson", Encoding::Sse);
    }
}
