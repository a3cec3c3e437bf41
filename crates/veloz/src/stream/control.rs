//! What the stream says besides events: the head of the response, gaps, snapshots, keep-alives, books.
//!
//! Contract: pure. Gap, snapshot and cursor frames move a client's cursor; pings and books do not.

use serde::Serialize;
use veloz_core::types::EventId;

use super::Snapshot;
use super::filter::{Encoding, Filter};
use crate::journal::{Bounds, LogId};

/// Why events asked for are not all there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GapReason {
    /// Retention took them: it goes on from the oldest retained.
    Trimmed,
    /// They were never issued here: it goes on live.
    Ahead,
    /// Only market events are missing: ids jump.
    Compacted,
}

/// The `data` of a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "gap")]
pub struct Gap {
    /// Why.
    pub reason: GapReason,
    /// The id that the client named.
    pub requested: EventId,
    /// The oldest event retained.
    pub oldest: EventId,
    /// The newest event.
    pub newest: EventId,
    /// This log, when it was of another one that the client named an event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<LogId>,
}

impl Gap {
    /// The gap of a reader that wants what follows `requested`; none when all of it is there. 0 is the
    /// oldest retained, whatever that is. What compaction took out shows only when the log is read.
    pub fn at_start(requested: EventId, bounds: Bounds) -> Option<Gap> {
        let reason = if requested > bounds.newest {
            GapReason::Ahead
        } else if requested > 0 && requested + 1 < bounds.oldest {
            GapReason::Trimmed
        } else {
            return None;
        };
        Some(Gap::new(reason, requested, bounds))
    }

    /// The gap of a reader whose event is another log's: what follows here does not follow that.
    pub fn of_another_log(requested: EventId, this: LogId, bounds: Bounds) -> Gap {
        Gap { log: Some(this), ..Gap::new(GapReason::Ahead, requested, bounds) }
    }

    /// A gap in this log.
    pub fn new(reason: GapReason, requested: EventId, Bounds { oldest, newest }: Bounds) -> Gap {
        Gap { reason, requested, oldest, newest, log: None }
    }

    /// The id that the gap's frame bears: a client that resumes from it misses nothing more.
    pub fn id(&self) -> EventId {
        match self.reason {
            GapReason::Trimmed => self.oldest.saturating_sub(1),
            GapReason::Ahead => self.newest,
            GapReason::Compacted => self.requested,
        }
    }
}

/// The head of the response and the first words.
pub(super) fn head(
    encoding: Encoding,
    http10: bool,
    extra_headers: &str,
    retry_ms: u64,
) -> Vec<u8> {
    let connection = if http10 { "" } else { "Connection: keep-alive\r\n" };
    let hello = match encoding {
        Encoding::Sse | Encoding::SseUnnamed => format!(": stream open\n\nretry: {retry_ms}\n\n"),
        Encoding::Ndjson => String::new(),
    };
    let date = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT");
    let content_type = encoding.content_type();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nCache-Control: no-cache\r\n\
         {connection}X-Accel-Buffering: no\r\nDate: {date}\r\n{extra_headers}\r\n{hello}"
    )
    .into_bytes()
}

pub(super) fn write_gap(out: &mut Vec<u8>, encoding: Encoding, gap: &Gap) {
    // A struct of numbers always serializes.
    let data = serde_json::to_vec(gap).unwrap_or_default();
    encoding.write(out, Some(gap.id()), "gap", &data);
}

/// The frames of a snapshot, as far as the filter lets them pass, and the one that closes it.
pub(super) fn write_snapshot(
    out: &mut Vec<u8>,
    encoding: Encoding,
    filter: &Filter,
    snapshot: &Snapshot,
) {
    let mut data = Vec::new();
    for event in &snapshot.events {
        let (symbol, order) = (event.symbol(), event.client_order_id());
        let symbol = symbol.as_ref().map(|name| name.as_str().as_bytes());
        let order = order.as_ref().map(|name| name.as_str().as_bytes());
        if filter.passes(event.kind(), symbol, order) {
            data.clear();
            event.encode_snapshot(&mut data);
            encoding.write(out, None, event.kind().as_str(), &data);
        }
    }
    let last_id = snapshot.last_id;
    let data = format!("{{\"type\":\"snapshot\",\"last_id\":{last_id}}}");
    encoding.write(out, Some(last_id), "snapshot", data.as_bytes());
}

/// A keep-alive. A filtered stream's moves the client's cursor, and NDJSON has no other. With the
/// newest id for those who asked for pings.
pub(super) fn write_keep_alive(
    out: &mut Vec<u8>,
    encoding: Encoding,
    moves_cursor: bool,
    cursor: EventId,
    ping: Option<EventId>,
) {
    if encoding == Encoding::Ndjson {
        encoding.write_cursor(out, cursor);
    } else {
        out.extend_from_slice(b": keep-alive\n\n");
        if moves_cursor {
            encoding.write_cursor(out, cursor);
        }
    }
    if let Some(newest) = ping {
        let data = format!("{{\"type\":\"ping\",\"newest\":{newest}}}");
        encoding.write(out, None, "ping", data.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testing::event;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn gaps() {
        let check = |requested, (oldest, newest), wanted: Option<(&str, EventId)>| {
            let gap = Gap::at_start(requested, Bounds { oldest, newest });
            let frame = gap.map(|gap| text(|out| write_gap(out, Encoding::Sse, &gap)));
            let wanted = wanted.map(|(reason, id)| {
                format!(
                    "id: {id}\nevent: gap\ndata: {{\"type\":\"gap\",\"reason\":\"{reason}\",\
                     \"requested\":{requested},\"oldest\":{oldest},\"newest\":{newest}}}\n\n"
                )
            });
            assert_eq!(frame, wanted);
        };
        check(0, (1, 0), None);
        check(1, (1, 0), Some(("ahead", 0)));
        check(0, (5, 9), None);
        check(3, (5, 9), Some(("trimmed", 4)));
        check(4, (5, 9), None);
        check(9, (5, 9), None);
        check(10, (5, 9), Some(("ahead", 9)));
        check(8, (10, 9), Some(("trimmed", 9)));
        check(9, (10, 9), None);
    }

    #[test]
    fn a_snapshot() {
        let snapshot = Snapshot { last_id: 7, events: vec![event(5), event(3)] };
        let all =
            |filter: &Filter| text(|out| write_snapshot(out, Encoding::Sse, filter, &snapshot));
        let frames = all(&Filter::default());
        let close = "id: 7\nevent: snapshot\ndata: {\"type\":\"snapshot\",\"last_id\":7}\n\n";
        assert!(frames.starts_with("event: market\ndata: {\"type\":\"market\",\"symbol\":\"AAA\""));
        assert!(frames.contains("\"snapshot\":true}\n\nevent: account\ndata: "));
        assert!(frames.ends_with(close));
        let symbols = vec!["BBB".parse().expect("symbol")];
        let frames = all(&Filter { symbols, ..Filter::default() });
        assert!(frames.starts_with("event: account\n") && frames.ends_with(close));
    }

    #[test]
    fn keep_alives() {
        let check = |encoding, moves, ping, wanted: &str| {
            assert_eq!(text(|out| write_keep_alive(out, encoding, moves, 9, ping)), wanted);
        };
        let ping = "event: ping\ndata: {\"type\":\"ping\",\"newest\":12}\n\n";
        check(Encoding::Sse, false, None, ": keep-alive\n\n");
        check(Encoding::Sse, true, None, ": keep-alive\n\nid: 9\n\n");
        check(Encoding::Sse, false, Some(12), &format!(": keep-alive\n\n{ping}"));
        check(Encoding::Ndjson, false, None, "{\"id\":9}\n");
    }
}
