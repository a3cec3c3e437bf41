//! The event stream: one that goes on, whatever happens to its connections.
//!
//! Contract: each event is yielded once, in the order of ids, over any number of connections. What is
//! missing is yielded as a [`StreamItem::Gap`] (the gateway says so) or, after it was asked for again
//! a bounded number of times, as a [`StreamItem::Hole`] (the gateway does not). The stream ends only
//! after an error that no waiting mends (a status such as 400 or 401).
//!
//! `next` may be dropped before it is done: nothing is lost. A live stream asks for the newest id
//! before it connects, so that a connection that dies before its first event loses nothing either.
//!
//! Limits: a stream with `snapshot` that loses its connection before the snapshot is whole gets another
//! one from its beginning, after the notice.

use std::collections::VecDeque;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use reqwest::header::{CACHE_CONTROL, HeaderValue};
use reqwest::{Method, Response, Url};
use tokio::time::{Instant, sleep_until, timeout_at};
use veloz_core::event::EventKind;
use veloz_core::limits::{
    BLOCK_MAX_BYTES, HOLE_RETRIES_COUNT, KEEP_ALIVE_DEFAULT_MS, KEEP_ALIVES_MISSED_COUNT,
    RECONNECT_MAX_MS, RECONNECT_MIN_MS, REQUEST_TIMEOUT_MS, RETRY_AFTER_MAX_MS,
};
use veloz_core::types::{ClientOrderId, EventId, Symbol};

use crate::backoff::Backoff;
use crate::client::{Client, accept_events, add_query, check_status, content_type};
use crate::cursor::{Cursor, Verdict};
use crate::error::{Error, StreamFault};
use crate::model::{Gap, LogEvent, View};
use crate::sse::{Block, Parser};

/// What a stream is to show. The default is every event from now on.
#[derive(Debug, Clone)]
pub struct StreamOptions {
    /// Only these types; all when empty.
    pub types: Vec<EventKind>,
    /// Only these symbols; all when empty. Account and error events always come.
    pub symbols: Vec<Symbol>,
    /// Only this order's events.
    pub client_order_id: Option<ClientOrderId>,
    /// The events after this one: 0 is the oldest retained, `None` is from now on.
    pub since: Option<EventId>,
    /// The log that `since` is of ([`EventStream::log`]): with it, another log is told as a gap, whatever its ids.
    pub log: Option<String>,
    /// The state first, as [`StreamItem::View`]s, where the stream cannot be resumed.
    pub snapshot: bool,
    /// This symbol's book too, as [`StreamItem::View`]s.
    pub book: Option<Symbol>,
    /// The gateway's keep-alive interval: a connection silent for three of them is given up.
    pub keep_alive: Duration,
    /// The first wait before another attempt; the gateway's `retry:` takes its place.
    pub reconnect_min: Duration,
    /// The longest, but for a `Retry-After` that asks for more.
    pub reconnect_max: Duration,
}

impl Default for StreamOptions {
    fn default() -> StreamOptions {
        StreamOptions {
            types: Vec::new(),
            symbols: Vec::new(),
            client_order_id: None,
            since: None,
            log: None,
            snapshot: false,
            book: None,
            keep_alive: Duration::from_millis(KEEP_ALIVE_DEFAULT_MS),
            reconnect_min: Duration::from_millis(RECONNECT_MIN_MS),
            reconnect_max: Duration::from_millis(RECONNECT_MAX_MS),
        }
    }
}

impl StreamOptions {
    fn is_filtered(&self) -> bool {
        !self.types.is_empty() || !self.symbols.is_empty() || self.client_order_id.is_some()
    }

    fn query(&self) -> [(&'static str, Option<String>); 5] {
        let list = |items: Vec<String>| (!items.is_empty()).then(|| items.join(","));
        [
            ("types", list(self.types.iter().map(|t| t.as_str().to_owned()).collect())),
            ("symbols", list(self.symbols.iter().map(ToString::to_string).collect())),
            ("client_order_id", self.client_order_id.map(|id| id.to_string())),
            ("snapshot", self.snapshot.then(|| "1".to_owned())),
            ("book", self.book.map(|symbol| symbol.to_string())),
        ]
    }
}

/// What a stream yields.
#[derive(Debug)]
pub enum StreamItem {
    /// The next event.
    Event(LogEvent),
    /// Something to see that is no event: a line of a snapshot, a book.
    View(View),
    /// The snapshot is whole; events go on after `last_id`.
    Snapshot {
        /// The event up to which the snapshot counts.
        last_id: EventId,
    },
    /// The gateway says that events asked for are not there.
    Gap(Gap),
    /// Events were skipped without a word, and asking again did not bring them.
    Hole {
        /// The last event that came.
        after: EventId,
        /// The next one that came.
        next: EventId,
    },
    /// A connection stands.
    Connected {
        /// The event after which it goes on; `None` when a snapshot comes first.
        after: Option<EventId>,
    },
    /// No connection stands; another attempt follows by itself.
    Disconnected {
        /// What happened.
        error: Error,
        /// When the next attempt is made.
        retry_in: Duration,
    },
}

/// The events of a gateway, one after the other. See [`Client::stream`].
#[derive(Debug)]
pub struct EventStream {
    client: Client,
    options: StreamOptions,
    cursor: Cursor,
    backoff: Backoff,
    link: Link,
    /// Items of the last chunk that were not taken yet: as many as a chunk holds.
    ready: VecDeque<StreamItem>,
    /// The last event that was taken.
    yielded: Option<EventId>,
    /// The id before a hole, and how often it was asked for again.
    hole: Option<(EventId, u32)>,
    /// The log that the cursor's event is of.
    log: Option<String>,
}

#[derive(Debug)]
enum Link {
    /// Until the next attempt.
    Waiting(Instant),
    Open(Box<Connection>),
    /// After an error that no waiting mends.
    Ended,
}

#[derive(Debug)]
struct Connection {
    response: Response,
    /// Which log the gateway says its events are of.
    log: Option<String>,
    parser: Parser,
    opened: Instant,
    heard: Instant,
}

impl EventStream {
    pub(crate) fn new(client: Client, options: StreamOptions) -> EventStream {
        EventStream {
            client,
            cursor: Cursor::new(options.since, options.is_filtered()),
            backoff: Backoff::new(options.reconnect_min, options.reconnect_max),
            link: Link::Waiting(Instant::now()),
            ready: VecDeque::new(),
            yielded: options.since,
            hole: None,
            log: options.log.clone(),
            options,
        }
    }

    /// Where another stream would go on after what this one has yielded.
    pub fn last_id(&self) -> Option<EventId> {
        let waits = |item: &StreamItem| {
            matches!(item, StreamItem::Event(_) | StreamItem::Snapshot { .. } | StreamItem::Gap(_))
        };
        if self.ready.iter().any(waits) { self.yielded } else { self.cursor.last() }
    }

    /// Which log [`EventStream::last_id`] is of; none before the first event, and of earlier gateways.
    pub fn log(&self) -> Option<&str> {
        self.log.as_deref()
    }

    /// Whether the next item has yet to arrive: a good time to flush what the others were written to.
    pub fn is_drained(&self) -> bool {
        self.ready.is_empty()
    }

    /// The next item; `None` after an error that ended the stream.
    pub async fn next(&mut self) -> Option<Result<StreamItem, Error>> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                match &item {
                    StreamItem::Event(event) => self.yielded = Some(event.id),
                    StreamItem::Snapshot { last_id } => self.yielded = Some(*last_id),
                    _ => {}
                }
                return Some(Ok(item));
            }
            match &mut self.link {
                Link::Ended => return None,
                Link::Waiting(until) => {
                    sleep_until(*until).await;
                    match self.connect().await {
                        Ok(connection) => self.connected(connection),
                        Err(error) if error.may_pass() => self.lost(error),
                        Err(error) => {
                            self.link = Link::Ended;
                            return Some(Err(error));
                        }
                    }
                }
                Link::Open(connection) => {
                    let silence = self.options.keep_alive * KEEP_ALIVES_MISSED_COUNT;
                    match connection.chunk(silence).await.and_then(|bytes: Bytes| self.take(&bytes))
                    {
                        Ok(()) => {}
                        Err(error) => self.lost(error),
                    }
                }
            }
        }
    }

    /// The same as a [`Stream`].
    pub fn into_stream(self) -> impl Stream<Item = Result<StreamItem, Error>> {
        futures_util::stream::unfold(self, |mut events| async {
            let item = events.next().await?;
            Some((item, events))
        })
    }

    async fn connect(&mut self) -> Result<Response, Error> {
        if self.cursor.last().is_none() && !self.options.snapshot {
            let newest = self.client.events(0, 1).await?.newest;
            self.cursor.jump(newest);
        }
        let mut url: Url = self.client.url("api/stream")?;
        add_query(&mut url, &self.options.query());
        add_query(&mut url, &[("log", self.log.clone())]);
        let mut request = accept_events(self.client.request(Method::GET, url))
            .header(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if let Some(last) = self.cursor.last() {
            request = request.header("Last-Event-ID", last.to_string());
        }
        within_request_time(open(request)).await
    }

    fn connected(&mut self, response: Response) {
        let now = Instant::now();
        let parser = Parser::new(BLOCK_MAX_BYTES);
        let log = response.headers().get("x-veloz-log");
        let log = log.and_then(|id| Some(id.to_str().ok()?.to_owned()));
        let connection = Connection { response, log, parser, opened: now, heard: now };
        self.link = Link::Open(Box::new(connection));
        self.ready.push_back(StreamItem::Connected { after: self.cursor.last() });
    }

    fn lost(&mut self, error: Error) {
        if let Link::Open(connection) = &self.link
            && connection.opened.elapsed() > self.backoff.max()
        {
            self.backoff.reset();
        }
        let longest = Duration::from_millis(RETRY_AFTER_MAX_MS);
        let retry_in = self.backoff.next(error.retry_after().map(|wait| wait.min(longest)));
        self.link = Link::Waiting(Instant::now() + retry_in);
        self.ready.push_back(StreamItem::Disconnected { error, retry_in });
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let Link::Open(connection) = &mut self.link else { return Ok(()) };
        let mut blocks = Vec::new();
        let parsed = connection.parser.push(bytes, &mut blocks);
        if let Some(retry) = connection.parser.retry() {
            self.backoff.set_min(retry);
        }
        // Only with the first id, which a gap's is when the log is another one: it must not be taken for known before.
        if self.log != connection.log && blocks.iter().any(|block| block.id.is_some()) {
            self.log.clone_from(&connection.log);
        }
        for block in blocks {
            self.take_block(block)?;
        }
        Ok(parsed.map_err(|e| StreamFault::BlockTooLong(e.0))?)
    }

    fn take_block(&mut self, block: Block) -> Result<(), StreamFault> {
        let id = block.id.filter(|id| !id.is_empty()).map(|id| parse_id(&id)).transpose()?;
        let name = block.event.unwrap_or_else(|| "message".to_owned());
        match (name.as_str(), id, block.data) {
            ("gap", id, Some(json)) => self.take_gap(id, &json)?,
            ("snapshot", Some(last_id), Some(_)) => {
                self.cursor.jump(last_id);
                self.progress();
                self.ready.push_back(StreamItem::Snapshot { last_id });
            }
            ("ping", ..) | (_, None, None) => {}
            (_, Some(id), None) => {
                self.admit(id)?;
            }
            (_, Some(id), Some(json)) => {
                if self.admit(id)? {
                    self.ready.push_back(StreamItem::Event(LogEvent { id, name, json }));
                }
            }
            (_, None, Some(json)) => self.ready.push_back(StreamItem::View(View { name, json })),
        }
        Ok(())
    }

    fn take_gap(&mut self, id: Option<EventId>, json: &str) -> Result<(), StreamFault> {
        let gap: Gap = serde_json::from_str(json)
            .map_err(|e| StreamFault::Malformed(format!("a gap, {json:?}: {e}")))?;
        self.cursor.gap(id, &gap);
        self.ready.push_back(StreamItem::Gap(gap));
        Ok(())
    }

    /// Moves the cursor to an id; false when it was there already.
    fn admit(&mut self, id: EventId) -> Result<bool, StreamFault> {
        match self.cursor.advance(id) {
            Verdict::Take => {
                self.progress();
                Ok(true)
            }
            Verdict::Drop => Ok(false),
            Verdict::Hole { after } => {
                let tries = self.hole.filter(|(at, _)| *at == after).map_or(0, |(_, tries)| tries);
                if tries < HOLE_RETRIES_COUNT {
                    self.hole = Some((after, tries + 1));
                    return Err(StreamFault::Hole { after, next: id });
                }
                self.cursor.jump(id);
                self.progress();
                self.ready.push_back(StreamItem::Hole { after, next: id });
                Ok(true)
            }
        }
    }

    /// The connection does what it is for.
    fn progress(&mut self) {
        self.hole = None;
        self.backoff.reset();
    }
}

impl Connection {
    async fn chunk(&mut self, silence: Duration) -> Result<Bytes, Error> {
        let chunk = timeout_at(self.heard + silence, self.response.chunk())
            .await
            .map_err(|_| StreamFault::Silence(silence))??
            .ok_or(StreamFault::Closed)?;
        self.heard = Instant::now();
        Ok(chunk)
    }
}

async fn open(request: reqwest::RequestBuilder) -> Result<Response, Error> {
    let response = check_status(request.send().await?).await?;
    let media_type = content_type(&response).split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("text/event-stream") {
        return Err(StreamFault::ContentType(media_type.to_owned()).into());
    }
    Ok(response)
}

async fn within_request_time<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let limit = Duration::from_millis(REQUEST_TIMEOUT_MS);
    tokio::time::timeout(limit, work).await.map_err(|_| Error::Timeout(limit))?
}

fn parse_id(text: &str) -> Result<EventId, StreamFault> {
    text.parse().map_err(|_| StreamFault::Malformed(format!("the id {text:?}")))
}
