//! Clients of the stream: they read as they like, vanish, and come back with the last id that they saw. What
//! each receives is held against the truth, block by block.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use fastrand::Rng;
use http::{HeaderMap, HeaderValue};
use serde_json::Value;
use veloz::journal::{Bounds, LogReader, Read};
use veloz::stream::filter::Encoding;
use veloz::stream::request::{Start, StreamRequest};
use veloz_client::sse::{Block, Parser};
use veloz_core::event::{Account, EventKind};
use veloz_core::types::EventId;

use crate::gateway::{Gateway, Pipe};
use crate::market::SYMBOLS;
use crate::truth::{Check, Truth};

/// A client and what it knows.
pub(crate) struct Reader {
    name: usize,
    query: String,
    /// The last id that came: what it resumes from.
    cursor: Option<EventId>,
    /// The power took events that it has seen: what it holds is of a log that is no more.
    is_ahead: bool,
    connection: Option<Open>,
    /// How often it resumed.
    pub(crate) resumes: u64,
    pub(crate) events: u64,
    pub(crate) gaps: u64,
    /// Of all that it received.
    pub(crate) digest: u32,
}

/// A connection, as the client sees it.
struct Open {
    pipe: Rc<RefCell<Pipe>>,
    key: usize,
    request: StreamRequest,
    form: Form,
    /// It asked for the oldest event, and none has come.
    from_oldest: bool,
    /// A gap told that market events are gone.
    told_compacted: bool,
    /// A snapshot may come.
    awaits_snapshot: bool,
    /// The account of the snapshot that is under way.
    account: Option<Account>,
}

/// How the bytes are read.
enum Form {
    Sse(Parser),
    Lines(Vec<u8>),
}

/// What a client is judged by.
pub(crate) struct World<'a> {
    pub(crate) truth: &'a Truth,
    /// The log as it is now; none while the gateway is down.
    pub(crate) log: Option<&'a dyn LogReader>,
    /// The gateway has failed, or may have.
    pub(crate) failed: bool,
}

impl World<'_> {
    fn bounds(&self) -> Option<Bounds> {
        self.log.map(LogReader::bounds)
    }

    /// Whether the log still holds an event. Where nobody can say, it does not.
    fn holds(&self, id: EventId) -> bool {
        let Some(Ok(Read::Frames { bytes, .. })) = self.log.map(|log| log.read(id, 1)) else {
            return false;
        };
        veloz::frame::frames(&bytes).next().is_some_and(|frame| frame.id == id)
    }
}

impl Reader {
    pub(crate) fn new(name: usize, rng: &mut Rng) -> Reader {
        let mut query = String::new();
        if rng.u8(0..3) == 0 {
            let mut kinds: Vec<_> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
            rng.shuffle(&mut kinds);
            kinds.truncate(rng.usize(1..5));
            query += &format!("&types={}", kinds.join(","));
        }
        if rng.u8(0..5) == 0 {
            query += &format!("&symbols={}", SYMBOLS.first().expect("one"));
        }
        if rng.u8(0..8) == 0 {
            query += &format!("&client_order_id=o-{}", rng.u8(1..9));
        }
        query += rng.choice(["", "", "&named=0", "&format=ndjson"]).expect("one");
        query += rng.choice(["", "", "&snapshot=1"]).expect("one");
        Reader {
            name,
            query,
            cursor: None,
            is_ahead: false,
            connection: None,
            resumes: 0,
            events: 0,
            gaps: 0,
            digest: 0,
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// Connects, with the last id that it saw or anew.
    pub(crate) fn connect(&mut self, gateway: &mut Gateway, truth: &Truth, rng: &mut Rng) {
        if rng.u8(0..12) == 0 {
            // Another one, from the beginning.
            (self.cursor, self.is_ahead) = (Some(0), false);
        }
        let (mut query, mut headers) = (self.query.clone(), HeaderMap::new());
        if let Some(cursor) = self.cursor {
            self.resumes += 1;
            if rng.bool() {
                query += &format!("&last_id={cursor}");
            } else {
                query += "&last_id=1";
                let value = HeaderValue::from_str(&cursor.to_string()).expect("digits");
                headers.insert("last-event-id", value);
            }
        }
        let request = StreamRequest::parse(Some(&query), &headers).expect("a good request");
        let room = [1, 60, 700, 4000, 100_000];
        let pipe = Pipe { room: *rng.choice(&room).expect("one"), ..Pipe::default() };
        let pipe = Rc::new(RefCell::new(pipe));
        // A position that is beyond the log is told; one that the log has grown past cannot be.
        self.is_ahead &= self.cursor.is_some_and(|cursor| cursor > truth.newest());
        let key = gateway.attach(&pipe, request.clone());
        let form = match request.encoding {
            Encoding::Ndjson => Form::Lines(Vec::new()),
            Encoding::Sse | Encoding::SseUnnamed => Form::Sse(Parser::new(1 << 20)),
        };
        self.connection = Some(Open {
            pipe,
            key,
            from_oldest: self.cursor == Some(0),
            told_compacted: false,
            awaits_snapshot: request.snapshot && request.start == Start::Live,
            request,
            form,
            account: None,
        });
    }

    /// Goes away without a word.
    pub(crate) fn vanish(&mut self, gateway: &mut Gateway) {
        if let Some(open) = self.connection.take() {
            open.pipe.borrow_mut().gone = true;
            if !open.pipe.borrow().ended {
                gateway.hub.ready(open.key, true, false);
            }
        }
    }

    /// The gateway is gone: what was on the way may still arrive.
    pub(crate) fn cut(&mut self, world: &World<'_>, rng: &mut Rng) -> Check {
        let Some(open) = &self.connection else { return Ok(()) };
        let waits = open.pipe.borrow().bytes.len();
        let result = self.take(rng.usize(0..=waits), world);
        self.connection = None;
        result
    }

    /// The power took what came after that event.
    pub(crate) fn lost(&mut self, newest: EventId) {
        self.is_ahead |= self.cursor.is_some_and(|cursor| cursor > newest);
    }

    /// Reads up to `most` bytes. Whether its position moved.
    pub(crate) fn read(
        &mut self,
        gateway: &mut Gateway,
        truth: &Truth,
        most: usize,
    ) -> Result<bool, String> {
        let Some(open) = &self.connection else { return Ok(false) };
        let (key, pipe) = (open.key, Rc::clone(&open.pipe));
        let (waits, before) = (pipe.borrow().bytes.len(), self.cursor);
        let log: &dyn LogReader = &*std::sync::Arc::clone(&gateway.reader);
        self.take(
            most.min(waits),
            &World { truth, log: Some(log), failed: !gateway.is_running() },
        )?;
        if pipe.borrow().ended {
            if pipe.borrow().bytes.is_empty() {
                self.connection = None;
            }
        } else {
            gateway.hub.ready(key, false, true);
        }
        Ok(self.cursor != before)
    }

    /// From now on its way holds a lot.
    pub(crate) fn hurry(&self) {
        if let Some(open) = &self.connection {
            open.pipe.borrow_mut().room = 1 << 20;
        }
    }

    /// Whether it has all that there is for it, or was told of what is gone.
    pub(crate) fn check_level(&self, world: &World<'_>) -> Check {
        let (Some(open), Some(cursor)) = (&self.connection, self.cursor) else {
            return Err(format!("reader {} is not connected, at {:?}", self.name, self.cursor));
        };
        self.check_skipped(cursor + 1, world.truth.newest() + 1, world).map_err(|error| {
            let (name, query, pipe) = (self.name, &self.query, open.pipe.borrow());
            format!("reader {name} ({query}) at {cursor} stands still: {error}: {pipe:?}")
        })
    }

    fn take(&mut self, bytes: usize, world: &World<'_>) -> Check {
        let Some(open) = &mut self.connection else { return Ok(()) };
        let bytes: Vec<u8> = open.pipe.borrow_mut().bytes.drain(..bytes).collect();
        self.digest = crc32c::crc32c_append(self.digest, &bytes);
        let mut blocks = Vec::new();
        match &mut open.form {
            Form::Sse(parser) => {
                parser.push(&bytes, &mut blocks).map_err(|error| error.to_string())?;
            }
            Form::Lines(rest) => {
                rest.extend_from_slice(&bytes);
                while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = rest.drain(..=end).collect();
                    blocks.push(block_of(&line)?);
                }
            }
        }
        for block in blocks {
            self.on_block(&block, world).map_err(|error| {
                let at = self.cursor;
                format!("reader {} ({}) at {at:?}: {error} in {block:?}", self.name, self.query)
            })?;
        }
        Ok(())
    }

    fn on_block(&mut self, block: &Block, world: &World<'_>) -> Check {
        let id: Option<EventId> = match &block.id {
            Some(id) => Some(id.parse().map_err(|_| "no id".to_owned())?),
            None => None,
        };
        let Some(data) = &block.data else {
            return self.on_cursor(id.ok_or("nothing in a block")?, world);
        };
        let value: Value = serde_json::from_str(data).map_err(|error| error.to_string())?;
        let kind = value.get("type").and_then(Value::as_str).unwrap_or_default();
        if block.event.as_deref().is_some_and(|event| event != kind) {
            return Err("the event's name is not its type".to_owned());
        }
        match (kind, id) {
            ("gap", Some(id)) => self.on_gap(id, &value, world),
            ("snapshot", Some(id)) => self.on_snapshot(id, world),
            (_, Some(id)) => self.on_event(id, data, world),
            (_, None) if value.get("snapshot") == Some(&Value::Bool(true)) => {
                let open = self.connection.as_mut().ok_or("no connection")?;
                if !open.awaits_snapshot {
                    return Err("a snapshot that nobody asked for".to_owned());
                }
                if kind == "account" {
                    open.account = serde_json::from_str(data).ok();
                }
                Ok(())
            }
            // What cannot be stored any more is shown all the same.
            ("error", None) if world.failed && is_failure(&value) => Ok(()),
            _ => Err("an event without an id".to_owned()),
        }
    }

    fn on_event(&mut self, id: EventId, data: &str, world: &World<'_>) -> Check {
        let open = self.connection.as_mut().ok_or("no connection")?;
        let stored = world.truth.get(id).ok_or("an event was seen that is not stored")?;
        if stored.data != data.as_bytes() {
            let stored = String::from_utf8_lossy(&stored.data);
            return Err(format!("another event than the stored one: {stored}"));
        }
        if !world.truth.passes(id, &open.request.filter) {
            return Err("an event that the filter hides".to_owned());
        }
        let cursor = self.cursor.ok_or("an event before any position")?;
        if id <= cursor {
            return Err("an event twice".to_owned());
        }
        self.check_skipped(cursor + 1, id, world)?;
        self.cursor = Some(id);
        self.events += 1;
        if let Some(open) = &mut self.connection {
            open.from_oldest = false;
        }
        Ok(())
    }

    /// A bare id.
    fn on_cursor(&mut self, id: EventId, world: &World<'_>) -> Check {
        if id > world.truth.newest() {
            return Err("a position beyond the log".to_owned());
        }
        if let Some(cursor) = self.cursor {
            if id < cursor {
                return Err("the position goes back".to_owned());
            }
            self.check_skipped(cursor + 1, id + 1, world)?;
        }
        self.cursor = Some(id);
        if let Some(open) = &mut self.connection {
            open.from_oldest = false;
        }
        Ok(())
    }

    /// The events in `from..to` did not come: each for a reason.
    fn check_skipped(&self, from: EventId, to: EventId, world: &World<'_>) -> Check {
        let open = self.connection.as_ref().ok_or("no connection")?;
        let oldest = world.bounds().map(|bounds| bounds.oldest);
        for id in (from..to).filter(|id| world.truth.passes(*id, &open.request.filter)) {
            let is_market = world.truth.get(id).is_some_and(|s| s.kind == EventKind::Market);
            let compacted = open.told_compacted && is_market && !world.holds(id);
            let trimmed = open.from_oldest && oldest.is_none_or(|oldest| id < oldest);
            if !compacted && !trimmed {
                return Err(format!("event {id} is missing"));
            }
        }
        Ok(())
    }

    fn on_gap(&mut self, id: EventId, gap: &Value, world: &World<'_>) -> Check {
        let field = |name: &str| gap.get(name).and_then(Value::as_u64).ok_or("a field is missing");
        let (requested, oldest, newest) = (field("requested")?, field("oldest")?, field("newest")?);
        let cursor = self.cursor.ok_or("a gap before any position")?;
        let reason = gap.get("reason").and_then(Value::as_str).unwrap_or_default();
        if newest > world.truth.newest() {
            return Err("a gap that knows more than the log".to_owned());
        }
        self.gaps += 1;
        if reason == "ahead" {
            if !self.is_ahead || requested != cursor || id != newest {
                return Err("told to be ahead".to_owned());
            }
            self.is_ahead = false;
        } else {
            if requested < cursor {
                return Err("a gap that asks for less".to_owned());
            }
            self.check_skipped(cursor + 1, requested + 1, world)?;
            let gone = world.bounds().is_none_or(|bounds| bounds.oldest >= oldest);
            let open = self.connection.as_ref().ok_or("no connection")?;
            let fits = match reason {
                "trimmed" => requested + 1 < oldest && id == oldest - 1 && gone,
                "compacted" => id == requested && open.request.filter.wants_market(),
                _ => false,
            };
            if !fits {
                return Err("a gap that does not fit".to_owned());
            }
        }
        if let Some(open) = &mut self.connection {
            open.told_compacted |= reason == "compacted";
            open.awaits_snapshot = open.request.snapshot;
            open.from_oldest &= reason == "compacted";
        }
        self.cursor = Some(id);
        Ok(())
    }

    fn on_snapshot(&mut self, id: EventId, world: &World<'_>) -> Check {
        let open = self.connection.as_mut().ok_or("no connection")?;
        if !std::mem::take(&mut open.awaits_snapshot) {
            return Err("a snapshot that nobody asked for".to_owned());
        }
        if id > world.truth.newest() || self.cursor.is_some_and(|cursor| id < cursor) {
            return Err("a snapshot of another time".to_owned());
        }
        if let Some(account) = open.account.take() {
            let seen: BTreeMap<_, _> =
                account.balances.iter().map(|b| (b.asset, (b.free, b.locked))).collect();
            if seen != world.truth.balances(id) {
                return Err(format!("the account at {id} is another one: {account:?}"));
            }
        }
        self.cursor = Some(id);
        Ok(())
    }
}

/// A line of NDJSON in the form of a block.
fn block_of(line: &[u8]) -> Result<Block, String> {
    #[derive(serde::Deserialize)]
    struct Line<'a> {
        id: Option<EventId>,
        event: Option<String>,
        #[serde(borrow)]
        data: Option<&'a serde_json::value::RawValue>,
    }
    let line: Line<'_> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    Ok(Block {
        id: line.id.map(|id| id.to_string()),
        event: line.event,
        data: line.data.map(|data| data.get().to_owned()),
    })
}

fn is_failure(event: &Value) -> bool {
    event.get("message").and_then(Value::as_str) == Some("journal_failed")
}
