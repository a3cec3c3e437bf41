//! What subscribers get from the service's state: snapshots and books.
//!
//! Contract: at most one of each is asked for at a time, whatever the number of those who want it. Who asks while
//! a snapshot is under way gets the next one, whose cut is surely not older than its wish. A book
//! frame is sent only when the book changed, ten times a second at most.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use veloz_core::limits::STREAM_BOOK_INTERVAL_MS;
use veloz_core::types::Symbol;

use super::catchup::Who;
use super::control;
use super::filter::{Encoding, Filter};
use super::tail::Shared;
use super::{BooksReply, Snapshot, SnapshotReply, StateSource};

/// Who waits for a snapshot.
#[derive(Default)]
pub(super) struct Snapshots {
    waiting: Vec<Who>,
    asked: Vec<Who>,
    in_flight: bool,
}

impl Snapshots {
    /// Notes a wish, and asks when nothing is under way.
    pub(super) fn want(&mut self, who: Who, source: &dyn StateSource, shared: &Arc<Shared>) {
        self.waiting.push(who);
        self.ask(source, shared);
    }

    /// Drops the wish of one who went away.
    pub(super) fn forget(&mut self, who: Who) {
        self.waiting.retain(|other| *other != who);
        self.asked.retain(|other| *other != who);
    }

    fn ask(&mut self, source: &dyn StateSource, shared: &Arc<Shared>) {
        if !self.in_flight && !self.waiting.is_empty() {
            self.in_flight = true;
            std::mem::swap(&mut self.asked, &mut self.waiting);
            source.snapshot(SnapshotReply { shared: Some(Arc::clone(shared)) });
        }
    }

    /// Those whom the snapshot that came is for; asks for the next one.
    pub(super) fn served(&mut self, source: &dyn StateSource, shared: &Arc<Shared>) -> Vec<Who> {
        self.in_flight = false;
        let served = std::mem::take(&mut self.asked);
        self.ask(source, shared);
        served
    }
}

/// A snapshot, encoded once for all who want all of it.
pub(super) struct SnapshotFrames {
    snapshot: Snapshot,
    whole: Vec<(Encoding, Bytes)>,
}

impl SnapshotFrames {
    pub(super) fn new(snapshot: Snapshot) -> SnapshotFrames {
        SnapshotFrames { snapshot, whole: Vec::new() }
    }

    pub(super) fn last_id(&self) -> u64 {
        self.snapshot.last_id
    }

    pub(super) fn encoded(&mut self, encoding: Encoding, filter: &Filter) -> Bytes {
        let known = self.whole.iter().find(|(known, _)| *known == encoding);
        if let (Some((_, bytes)), true) = (known, filter.is_open()) {
            return bytes.clone();
        }
        let mut out = Vec::new();
        control::write_snapshot(&mut out, encoding, filter, &self.snapshot);
        let bytes = Bytes::from(out);
        if filter.is_open() {
            self.whole.push((encoding, bytes.clone()));
        }
        bytes
    }
}

/// The newest book of a symbol that somebody watches.
#[derive(Default)]
struct Book {
    watchers: usize,
    /// Grows with each change; 0 before the first.
    version: u32,
    data: Bytes,
    frames: Vec<(Encoding, Bytes)>,
}

/// The books that somebody watches.
#[derive(Default)]
pub(super) struct Books {
    books: BTreeMap<Symbol, Book>,
    asked: bool,
    next_ms: u64,
}

impl Books {
    pub(super) fn watch(&mut self, symbol: Symbol) {
        self.books.entry(symbol).or_default().watchers += 1;
    }

    pub(super) fn unwatch(&mut self, symbol: Symbol) {
        if let Some(book) = self.books.get_mut(&symbol) {
            book.watchers -= 1;
            if book.watchers == 0 {
                self.books.remove(&symbol);
            }
        }
    }

    /// When to ask next, if at all.
    pub(super) fn due_ms(&self) -> Option<u64> {
        (!self.asked && !self.books.is_empty()).then_some(self.next_ms)
    }

    pub(super) fn ask(&mut self, now_ms: u64, source: &dyn StateSource, shared: &Arc<Shared>) {
        if self.due_ms().is_some_and(|due| due <= now_ms) {
            self.asked = true;
            self.next_ms = now_ms.saturating_add(STREAM_BOOK_INTERVAL_MS);
            let symbols: Vec<Symbol> = self.books.keys().copied().collect();
            source.books(&symbols, BooksReply { shared: Some(Arc::clone(shared)) });
        }
    }

    /// Takes what came.
    pub(super) fn answered(&mut self, answer: Vec<(Symbol, Bytes)>) {
        self.asked = false;
        for (symbol, data) in answer {
            if let Some(book) = self.books.get_mut(&symbol)
                && book.data != data
            {
                book.version = book.version.wrapping_add(1).max(1);
                book.data = data;
                book.frames.clear();
            }
        }
    }

    /// The newest frame of a book, and its version; none before the first.
    pub(super) fn frame(&mut self, symbol: Symbol, encoding: Encoding) -> Option<(u32, Bytes)> {
        let book = self.books.get_mut(&symbol).filter(|book| book.version > 0)?;
        if let Some((_, frame)) = book.frames.iter().find(|(known, _)| *known == encoding) {
            return Some((book.version, frame.clone()));
        }
        let mut out = Vec::new();
        encoding.write(&mut out, None, "book", &book.data);
        let frame = Bytes::from(out);
        book.frames.push((encoding, frame.clone()));
        Some((book.version, frame))
    }
}
