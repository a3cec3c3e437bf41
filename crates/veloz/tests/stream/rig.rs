//! A stream with a log in memory, and a client that reads it.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use veloz::journal::{Bounds, LogError, LogReader, Read};
use veloz::stream::request::StreamRequest;
use veloz::stream::{
    Attach, BooksReply, Snapshot, SnapshotReply, StateSource, Stream, StreamConfig, StreamHandle,
    Tail,
};
use veloz_core::types::{EventId, Symbol};

use crate::testing::{event, log_bytes};

/// How long a test waits for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until something holds.
pub(crate) fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[derive(Default)]
struct LogState {
    frames: BTreeMap<EventId, Bytes>,
    oldest: EventId,
    newest: EventId,
    broken: bool,
}

/// The slow, obvious log.
pub(crate) struct MemoryLog {
    state: Mutex<LogState>,
}

impl MemoryLog {
    pub(crate) fn new() -> Arc<MemoryLog> {
        let state = LogState { oldest: 1, ..LogState::default() };
        Arc::new(MemoryLog { state: Mutex::new(state) })
    }

    pub(crate) fn append(&self, count: u64) -> (EventId, Bytes) {
        let mut state = self.state.lock().unwrap();
        let first = state.newest + 1;
        for id in first..first + count {
            state.frames.insert(id, log_bytes([id]).into());
        }
        state.newest += count;
        (first, log_bytes(first..first + count).into())
    }

    pub(crate) fn trim(&self, oldest: EventId) {
        let mut state = self.state.lock().unwrap();
        state.frames.retain(|id, _| *id >= oldest);
        state.oldest = oldest;
    }

    /// Takes the market events of that range out.
    pub(crate) fn compact(&self, range: std::ops::Range<EventId>) {
        let is_market = |id: EventId| event(id).kind() == veloz_core::event::EventKind::Market;
        let mut state = self.state.lock().unwrap();
        state.frames.retain(|id, _| !range.contains(id) || !is_market(*id));
    }

    pub(crate) fn break_down(&self) {
        self.state.lock().unwrap().broken = true;
    }

    /// Makes every call panic.
    pub(crate) fn poison(self: &Arc<Self>) {
        let log = Arc::clone(self);
        let poisoner = std::thread::spawn(move || {
            let _held = log.state.lock();
            panic!("as the test wants it");
        });
        assert!(poisoner.join().is_err());
    }

    pub(crate) fn ids(&self) -> Vec<EventId> {
        self.state.lock().unwrap().frames.keys().copied().collect()
    }
}

impl LogReader for MemoryLog {
    fn bounds(&self) -> Bounds {
        let state = self.state.lock().unwrap();
        Bounds { oldest: state.oldest, newest: state.newest }
    }

    fn read(&self, from: EventId, max_bytes: usize) -> Result<Read, LogError> {
        let bounds = self.bounds();
        let state = self.state.lock().unwrap();
        if state.broken {
            return Err(LogError::Damaged("as the test wants it".into()));
        }
        if from < state.oldest {
            return Ok(Read::Trimmed(bounds));
        }
        if from == state.newest + 1 {
            return Ok(Read::AtEnd);
        }
        if from > state.newest {
            return Ok(Read::Ahead(bounds));
        }
        let (mut bytes, mut next, mut compacted) = (Vec::new(), from, false);
        for (id, frame) in state.frames.range(from..) {
            if !bytes.is_empty() && bytes.len() + frame.len() > max_bytes {
                break;
            }
            compacted |= *id != next;
            bytes.extend_from_slice(frame);
            next = id + 1;
        }
        if bytes.is_empty() {
            (next, compacted) = (state.newest + 1, true);
        }
        Ok(Read::Frames { bytes: bytes.into(), next, compacted })
    }
}

/// Answers with the newest event of the log as the state, before the stream has heard of that event or after.
struct Source {
    log: Arc<MemoryLog>,
    refuses: bool,
    book: Mutex<Vec<(Symbol, Bytes)>>,
    failed: AtomicBool,
}

impl StateSource for Source {
    fn snapshot(&self, reply: SnapshotReply) {
        let last_id = self.log.bounds().newest;
        if !self.refuses {
            reply.send(Snapshot { last_id, events: vec![event(5), event(3), event(last_id)] });
        }
    }

    fn books(&self, symbols: &[Symbol], reply: BooksReply) {
        let mut books = self.book.lock().unwrap().clone();
        books.retain(|(symbol, _)| symbols.contains(symbol));
        reply.send(books);
    }

    fn stream_failed(&self) {
        self.failed.store(true, Ordering::SeqCst);
    }
}

/// A running stream.
pub(crate) struct Rig {
    pub(crate) log: Arc<MemoryLog>,
    pub(crate) tail: Tail,
    pub(crate) handle: StreamHandle,
    pub(crate) stream: Stream,
    source: Arc<Source>,
    listener: TcpListener,
    /// Of the sockets, both ways; the system's own when none.
    pub(crate) socket_buffer_bytes: Option<usize>,
}

/// What is quiet unless a test wants it otherwise.
pub(crate) fn quiet() -> StreamConfig {
    StreamConfig { keep_alive_ms: 3_600_000, ..StreamConfig::default() }
}

impl Rig {
    pub(crate) fn new(config: StreamConfig) -> Rig {
        Rig::on(MemoryLog::new(), config)
    }

    pub(crate) fn on(log: Arc<MemoryLog>, config: StreamConfig) -> Rig {
        Rig::with_source(log, config, false)
    }

    pub(crate) fn with_source(log: Arc<MemoryLog>, config: StreamConfig, refuses: bool) -> Rig {
        let source = Source {
            log: Arc::clone(&log),
            refuses,
            book: Mutex::default(),
            failed: AtomicBool::default(),
        };
        let source = Arc::new(source);
        let stream = Stream::start(config, log.clone(), source.clone()).unwrap();
        Rig {
            log,
            tail: stream.tail(),
            handle: stream.handle(),
            stream,
            source,
            listener: TcpListener::bind("127.0.0.1:0").unwrap(),
            socket_buffer_bytes: None,
        }
    }

    /// As the service does it.
    pub(crate) fn publish(&self, count: u64) {
        let (first, frames) = self.log.append(count);
        if !self.tail.pass_over(first + count) {
            self.tail.publish(frames, first, count);
        }
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.source.failed.load(Ordering::SeqCst)
    }

    pub(crate) fn set_book(&self, symbol: &str, data: &str) {
        let symbol = symbol.parse().unwrap();
        *self.source.book.lock().unwrap() = vec![(symbol, data.to_owned().into())];
    }

    pub(crate) fn connect(&self, query: &str) -> Client {
        self.connect_as(query, &[], false)
    }

    pub(crate) fn connect_as(
        &self,
        query: &str,
        headers: &[(&'static str, &str)],
        http10: bool,
    ) -> Client {
        let socket = self.raw_connect(query, headers, http10);
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Client { socket, received: Vec::new(), read_bytes: 64 << 10, was_reset: false }
    }

    pub(crate) fn raw_connect(
        &self,
        query: &str,
        headers: &[(&'static str, &str)],
        http10: bool,
    ) -> TcpStream {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let request = StreamRequest::parse(Some(query), &map).unwrap();
        let socket = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = self.listener.accept().unwrap();
        if let Some(size) = self.socket_buffer_bytes {
            rustix::net::sockopt::set_socket_recv_buffer_size(&socket, size).unwrap();
            rustix::net::sockopt::set_socket_send_buffer_size(&accepted, size).unwrap();
        }
        let extra_headers = "X-Test: yes\r\n".into();
        self.handle.attach(accepted, Attach { request, http10, extra_headers }).unwrap();
        socket
    }
}

/// A client that keeps all it received.
pub(crate) struct Client {
    pub(crate) socket: TcpStream,
    pub(crate) received: Vec<u8>,
    /// At most so much in one read.
    pub(crate) read_bytes: usize,
    /// The end of the stream was no orderly one.
    pub(crate) was_reset: bool,
}

impl Client {
    /// One read; false at the end of the stream.
    pub(crate) fn read_some(&mut self) -> bool {
        let mut buffer = vec![0; self.read_bytes];
        match self.socket.read(&mut buffer) {
            Ok(0) => false,
            Ok(n) => {
                self.received.extend_from_slice(&buffer[..n]);
                true
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                self.was_reset = true;
                false
            }
            Err(error) => panic!("{error} after {:?}", self.last_words()),
        }
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.received).unwrap()
    }

    fn last_words(&self) -> &str {
        let from = self.text().len().saturating_sub(300);
        self.text().get(from..).unwrap_or_default()
    }

    /// Reads until the text holds that; the text so far.
    pub(crate) fn read_until(&mut self, wanted: &str) -> &str {
        let start = Instant::now();
        while !self.text().contains(wanted) {
            assert!(start.elapsed() < PATIENCE, "no {wanted:?}, but {:?}", self.last_words());
            assert!(self.read_some(), "the end, without {wanted:?}, after {:?}", self.last_words());
        }
        self.text()
    }

    pub(crate) fn read_to_end(&mut self) -> &str {
        while self.read_some() {}
        self.text()
    }

    /// What came behind the head and the first words; forgets it.
    pub(crate) fn body(&self) -> &str {
        let (_, body) = self.text().split_once("\r\n\r\n").expect("a head");
        match body.split_once("retry: ").and_then(|(_, rest)| rest.split_once("\n\n")) {
            Some((_, body)) => body,
            None => body,
        }
    }

    /// The numbers of the log's events that came whole, in order. Control frames are left out.
    pub(crate) fn event_ids(&self) -> Vec<EventId> {
        let body = self.body();
        let whole = body.rfind("\n\n").map_or("", |end| &body[..end]);
        whole
            .split("\n\n")
            .filter(|block| block.contains("\ndata: ") && !block.contains("event: gap"))
            .filter(|block| !block.contains("event: snapshot"))
            .filter_map(|block| block.strip_prefix("id: ")?.split('\n').next()?.parse().ok())
            .collect()
    }
}

impl Client {
    /// Reads until the text holds that (true) or the stream ends (false).
    pub(crate) fn read_to_end_or(&mut self, wanted: &str) -> bool {
        while !self.text().contains(wanted) {
            if !self.read_some() {
                return false;
            }
        }
        true
    }

    /// Whether that event came, or a snapshot whose cut it is.
    pub(crate) fn has_event_or_cut(&self, id: EventId) -> bool {
        self.text().contains(&format!("id: {id}\nevent: "))
            && self.text().ends_with("\n\n")
            && (self.event_ids().last() == Some(&id)
                || self.text().ends_with(&format!("\"last_id\":{id}}}\n\n")))
    }
}

impl Rig {
    pub(crate) fn newest(&self) -> EventId {
        self.log.bounds().newest
    }
}
