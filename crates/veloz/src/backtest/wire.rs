//! The lines between a replay and its strategy (docs/strategies.md has all of them).
//!
//! Contract: what the strategy is told has the form of the stream's NDJSON, and what the stream has too is
//! byte for byte the same. What it may say is one JSON object a line; the bodies of commands are those
//! of the HTTP API, read by the same code.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use veloz_core::event::{Event, EventKind};
use veloz_core::instrument::Instrument;
use veloz_core::limits::{STRATEGY_EVERY_MAX_MS, STRATEGY_REQUEST_ID_MAX_BYTES};
use veloz_core::types::{ClientOrderId, EventId, Symbol, TsNs};

use crate::http::bodies::{ApiError, Command};
use crate::stream::filter::{Encoding, Filter, Kinds};

/// The word in `wake` for the answers to its commands.
const ANSWER: &str = "answer";

/// What a strategy says.
#[derive(Debug)]
pub(super) enum Said {
    /// First: what it wants to hear.
    Hello(Hello),
    /// It wants something done.
    Command(Request),
    /// Its turn, of that number, is over.
    Done(u64),
}

/// What a strategy wants to hear, and when it wants its turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hello {
    /// The events that it hears.
    pub(super) filter: Filter,
    /// Those of them that give it a turn.
    pub(super) wake: Kinds,
    /// Whether answers to its commands do.
    pub(super) wake_by_answer: bool,
    /// It has a turn each time so much of the data's time has passed.
    pub(super) every_ns: Option<TsNs>,
    /// Whose books it sees.
    pub(super) books: Vec<Symbol>,
}

/// A command and the strategy's name for it.
#[derive(Debug)]
pub(super) struct Request {
    /// The JSON that the answer repeats.
    pub(super) id: Option<Box<str>>,
    /// The name of the command, as it was sent.
    pub(super) name: &'static str,
    /// The command, or the answer to what cannot be read.
    pub(super) command: Result<Command, ApiError>,
}

/// A line as it is written: one of these, and `id` with a command.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Spoken<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    hello: Option<Wishes>,
    done: Option<u64>,
    #[serde(borrow)]
    order: Option<&'a RawValue>,
    #[serde(borrow)]
    oco: Option<&'a RawValue>,
    #[serde(borrow)]
    cancel: Option<&'a RawValue>,
    #[serde(borrow)]
    cancel_all: Option<&'a RawValue>,
    #[serde(borrow)]
    amend: Option<&'a RawValue>,
    #[serde(borrow)]
    risk: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wishes {
    types: Option<Vec<String>>,
    wake: Option<Vec<String>>,
    symbols: Vec<Symbol>,
    every_ms: Option<u64>,
    book: Vec<Symbol>,
}

type Reader = fn(&[u8]) -> Result<Command, ApiError>;

/// Reads a line of a strategy; otherwise what is wrong with it, to be read behind the line. It may hold a
/// part of the line, but no control character of it.
pub(super) fn read_said(line: &[u8]) -> Result<Said, String> {
    let clean = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    read(line).map_err(|problem| problem.chars().map(clean).collect())
}

fn read(line: &[u8]) -> Result<Said, String> {
    let spoken: Spoken<'_> = serde_json::from_slice(line).map_err(|error| {
        format!("is no line of a strategy ({error}): what is for people goes to standard error")
    })?;
    let commands: [(&'static str, Option<&RawValue>, Reader); 6] = [
        ("order", spoken.order, Command::order),
        ("oco", spoken.oco, Command::pair),
        ("cancel", spoken.cancel, Command::cancel),
        ("cancel_all", spoken.cancel_all, Command::cancel_all),
        ("amend", spoken.amend, Command::amend),
        ("risk", spoken.risk, Command::risk),
    ];
    let mut given = commands.into_iter().filter_map(|(name, body, read)| Some((name, body?, read)));
    let said = match (spoken.hello, spoken.done, given.next()) {
        (Some(wishes), None, None) => Some(Said::Hello(wishes.read()?)),
        (None, Some(turn), None) => Some(Said::Done(turn)),
        (None, None, Some((name, body, read))) => {
            let id = spoken.id.map(request_id).transpose()?;
            Some(Said::Command(Request { id, name, command: read(body.get().as_bytes()) }))
        }
        _ => None,
    };
    let id_is_of_command = spoken.id.is_none() || matches!(said, Some(Said::Command(_)));
    said.filter(|_| given.next().is_none() && id_is_of_command).ok_or_else(|| {
        "must have exactly one of hello, done, order, oco, cancel, cancel_all, amend and risk \
         (and id with a command only)"
            .to_owned()
    })
}

fn request_id(id: &RawValue) -> Result<Box<str>, String> {
    let text = id.get();
    let is_simple = !text.starts_with(['{', '[']);
    if is_simple && text.len() <= STRATEGY_REQUEST_ID_MAX_BYTES {
        return Ok(text.into());
    }
    Err(format!(
        "has an id that is no text or number of {STRATEGY_REQUEST_ID_MAX_BYTES} bytes at most"
    ))
}

impl Wishes {
    fn read(self) -> Result<Hello, String> {
        let types = self.types.as_deref().map(|names| kinds("types", names)).transpose()?;
        let types = types.unwrap_or(Kinds::ALL);
        let (wake, wake_by_answer) = match self.wake {
            None => (types, false),
            Some(names) => {
                let (answers, names): (Vec<_>, Vec<_>) =
                    names.into_iter().partition(|name| name == ANSWER);
                (kinds("wake", &names)?, !answers.is_empty())
            }
        };
        let every = self.every_ms.map(|ms| match ms {
            1..=STRATEGY_EVERY_MAX_MS => Ok(i64::try_from(ms).unwrap_or_default() * 1_000_000),
            _ => Err(format!("has every_ms {ms}: it must be 1 to {STRATEGY_EVERY_MAX_MS}")),
        });
        Ok(Hello {
            filter: Filter { kinds: types, symbols: self.symbols, client_order_id: None },
            wake,
            wake_by_answer,
            every_ns: every.transpose()?,
            books: self.book,
        })
    }
}

fn kinds(field: &str, names: &[String]) -> Result<Kinds, String> {
    names.iter().try_fold(Kinds::NONE, |kinds, name| {
        EventKind::parse(name).map(|kind| kinds.with(kind)).ok_or_else(|| {
            let known = EventKind::ALL.map(EventKind::as_str).join(", ");
            format!("names {name:?} in {field}: there are {known}")
        })
    })
}

impl Hello {
    /// Whether an event is to be heard.
    pub(super) fn hears(&self, event: &Event) -> bool {
        let (symbol, order) = (event.symbol(), event.client_order_id());
        let symbol = symbol.as_ref().map(|name| name.as_str().as_bytes());
        let order = order.as_ref().map(|name| ClientOrderId::as_str(name).as_bytes());
        self.filter.passes(event.kind(), symbol, order)
    }

    /// A symbol that it names and nobody trades here.
    pub(super) fn unknown_symbol(&self, instruments: &[Instrument]) -> Option<Symbol> {
        let mut named = self.filter.symbols.iter().chain(&self.books);
        named.find(|name| !instruments.iter().any(|known| known.symbol == **name)).copied()
    }
}

/// What a replay says first.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "start")]
pub(super) struct Start<'a> {
    pub(super) version: &'static str,
    pub(super) ts_ns: TsNs,
    pub(super) seed: u64,
    /// What may be traded, as `GET /api/instruments` has it.
    pub(super) instruments: &'a [Instrument],
}

/// It is the strategy's turn.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "turn")]
pub(super) struct Turn {
    pub(super) turn: u64,
    pub(super) ts_ns: TsNs,
    /// Whether the time of `every_ms` has come.
    pub(super) timer: bool,
}

/// The replay is over.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "end")]
pub(super) struct End<'a> {
    pub(super) ts_ns: TsNs,
    pub(super) reason: &'a str,
}

/// Appends a line that is no event of the log.
pub(super) fn write_view(out: &mut Vec<u8>, name: &str, data: &impl Serialize) {
    // Structs of numbers and names always serialize.
    let data = serde_json::to_vec(data).unwrap_or_default();
    Encoding::Ndjson.write(out, None, name, &data);
}

/// Appends a book as the stream sends it.
pub(super) fn write_book(out: &mut Vec<u8>, data: &[u8]) {
    Encoding::Ndjson.write(out, None, "book", data);
}

/// Appends an event; `data` is room to write it in.
pub(super) fn write_event(out: &mut Vec<u8>, id: EventId, event: &Event, data: &mut Vec<u8>) {
    data.clear();
    event.encode(data);
    Encoding::Ndjson.write(out, Some(id), event.kind().as_str(), data);
}

/// Appends the answer to a request: what the HTTP API would have answered.
pub(super) fn write_answer(
    out: &mut Vec<u8>,
    request: &Request,
    answer: &Result<Vec<u8>, ApiError>,
) {
    let (status, body) = match answer {
        Ok(body) => (200, body.clone()),
        Err(error) => (error.status().as_u16(), error.body()),
    };
    let mut data = b"{\"type\":\"answer\"".to_vec();
    if let Some(id) = &request.id {
        data.extend_from_slice(b",\"id\":");
        data.extend_from_slice(id.as_bytes());
    }
    let head = format!(",\"command\":\"{}\",\"status\":{status},\"body\":", request.name);
    data.extend_from_slice(head.as_bytes());
    data.extend_from_slice(&body);
    data.push(b'}');
    Encoding::Ndjson.write(out, None, ANSWER, &data);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, wanted: &str) {
        let said = match read_said(line.as_bytes()) {
            Ok(Said::Hello(hello)) => format!(
                "hello {} {} {} {:?} {}",
                hello.filter.symbols.len(),
                hello.wake.has(EventKind::Market),
                hello.wake_by_answer,
                hello.every_ns,
                hello.books.len()
            ),
            Ok(Said::Done(turn)) => format!("done {turn}"),
            Ok(Said::Command(Request { id, name, command })) => match command {
                Ok(_) => format!("{name} {id:?}"),
                Err(error) => format!("{name} {} {}", error.status(), error.code()),
            },
            Err(problem) => format!("! {problem}"),
        };
        assert!(said.contains(wanted), "{line}: {said}");
    }

    #[test]
    fn lines_of_a_strategy() {
        check(r#"{"hello":{}}"#, "hello 0 true false None 0");
        check(
            r#"{"hello":{"types":["fill"],"symbols":["A"],"every_ms":5,"book":["A"]}}"#,
            "hello 1 false false Some(5000000) 1",
        );
        check(r#"{"hello":{"wake":["answer","market"]}}"#, "hello 0 true true None 0");
        check(r#"{"hello":{"wake":[]}}"#, "hello 0 false false None 0");
        check(r#"{"done":7}"#, "done 7");
        check(r#"{"id":"a","cancel_all":{}}"#, r#"cancel_all Some("\"a\"")"#);
        check(r#"{"id":7,"cancel":{"client_order_id":"x"}}"#, r#"cancel Some("7")"#);
        check(r#"{"order":{"side":"BUY"}}"#, "order 400 Bad Request bad_params");
    }

    #[test]
    fn what_is_wrong_is_named() {
        check("hello", "! is no line of a strategy (expected value");
        check(r#"{"done":1} {"done":2}"#, "trailing characters");
        check(r#"{"done":-1}"#, "invalid value");
        check(r#"{"done":1,"done":1}"#, "duplicate field");
        check(r#"{"buy":{}}"#, "unknown field `buy`");
        check("{}", "exactly one of hello");
        check(r#"{"done":1,"cancel_all":{}}"#, "exactly one of");
        check(r#"{"cancel_all":{},"risk":{}}"#, "exactly one of");
        check(r#"{"id":1,"done":1}"#, "id with a command only");
        check(r#"{"id":{},"cancel_all":{}}"#, "has an id that is no text or number");
        check(r#"{"hello":{"types":["fills"]}}"#, r#"names "fills" in types: there are market"#);
        check(r#"{"hello":{"every_ms":0}}"#, "has every_ms 0: it must be 1 to");
        check(r#"{"hello":{"every":1}}"#, "unknown field `every`");
        check(r#"{"hello":{"symbols":["btc"]}}"#, "letters (upper case)");
        check(r#"{"\u001b[2J":1}"#, "unknown field `\u{fffd}[2J`");
    }
}
