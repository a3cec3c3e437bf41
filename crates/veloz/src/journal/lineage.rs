//! Which log this is: an id of its own, and the logs that it goes on from.
//!
//! Contract: two logs that give one number to different events have different ids. So a copy gets an id at its first
//! start, each copy another one, and a log of which events were cut off gets a new one. What stood in a log before
//! that is in both.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use veloz_core::limits::JOURNAL_EARLIER_LOGS_COUNT;
use veloz_core::types::EventId;

/// The id of a log, as 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogId(u64);

impl LogId {
    /// Reads what [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<LogId> {
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (text.len() == 16 && text.bytes().all(is_hex))
            .then(|| u64::from_str_radix(text, 16).ok().map(LogId))
            .flatten()
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for LogId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LogId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<LogId, D::Error> {
        let text = String::deserialize(deserializer)?;
        LogId::parse(&text).ok_or_else(|| D::Error::custom("a log's id has 16 hexadecimal digits"))
    }
}

/// A log's id, and where it comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// None before the first start of a copy.
    id: Option<LogId>,
    /// The newest last.
    earlier: Vec<Earlier>,
}

/// A log whose events up to `newest` are in this one too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Earlier {
    id: LogId,
    newest: EventId,
}

impl Lineage {
    /// Gives an id to a log that has none; false when it has one.
    pub fn begin(&mut self) -> bool {
        let is_new = self.id.is_none();
        self.id.get_or_insert_with(|| LogId(fastrand::u64(..)));
        is_new
    }

    /// The id.
    pub fn id(&self) -> Option<LogId> {
        self.id
    }

    /// The same log up to that event, and another one from there.
    #[must_use]
    pub fn fork(mut self, newest: EventId) -> Lineage {
        self.earlier.extend(self.id.take().map(|id| Earlier { id, newest }));
        for log in &mut self.earlier {
            log.newest = log.newest.min(newest);
        }
        let excess = self.earlier.len().saturating_sub(JOURNAL_EARLIER_LOGS_COUNT);
        self.earlier.drain(..excess);
        self
    }

    /// Whether an event of that number in the log of that id is the same here.
    pub fn holds(&self, log: LogId, event: EventId) -> bool {
        self.id == Some(log) || self.earlier.iter().any(|e| e.id == log && event <= e.newest)
    }

    /// What to tell whoever goes on from an event of that log when it is another one here: this log's id. 0 is no
    /// event, and is in every log.
    pub fn another_than(&self, log: Option<LogId>, event: EventId) -> Option<LogId> {
        let is_here = event == 0 || log.is_none_or(|log| self.holds(log, event));
        self.id.filter(|_| !is_here)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(log: &mut Lineage) -> LogId {
        assert!(log.begin(), "it has none yet");
        log.id().expect("it has one")
    }

    #[test]
    fn copies_are_other_logs_from_where_they_were_made() {
        let mut first = Lineage::default();
        let first_id = begun(&mut first);
        assert!(!first.begin() && first.id() == Some(first_id), "it stays");
        let copy = first.clone().fork(10);
        let (mut one, mut other) = (copy.clone(), copy);
        let (one_id, other_id) = (begun(&mut one), begun(&mut other));
        assert!(one_id != first_id && other_id != first_id && one_id != other_id);
        assert!(first.holds(first_id, u64::MAX));
        assert!(!first.holds(one_id, 1));
        assert!(one.holds(one_id, 11) && one.holds(first_id, 10));
        assert!(!one.holds(first_id, 11) && !one.holds(other_id, 1));
        let told = [(None, 11), (Some(first_id), 0), (Some(first_id), 10), (Some(first_id), 11)];
        let told = told.map(|(log, event)| one.another_than(log, event));
        assert_eq!(told, [None, None, None, Some(one_id)]);
        let mut shorter = one.fork(7);
        shorter.begin();
        assert!(shorter.holds(first_id, 7) && shorter.holds(one_id, 7));
        assert!(!shorter.holds(first_id, 8) && !shorter.holds(one_id, 8));
    }

    #[test]
    fn many_are_forgotten() {
        let (mut log, mut ids) = (Lineage::default(), Vec::new());
        for newest in (1..).take(JOURNAL_EARLIER_LOGS_COUNT + 5) {
            ids.push(begun(&mut log));
            log = log.fork(newest);
        }
        let held: Vec<bool> = ids.iter().map(|id| log.holds(*id, 1)).collect();
        let wanted: Vec<bool> = (0..ids.len()).map(|at| at >= 5).collect();
        assert_eq!(held, wanted);
    }

    #[test]
    fn an_id_reads_back() {
        let id = LogId(0x1f);
        assert_eq!(id.to_string(), "000000000000001f");
        assert_eq!(LogId::parse("000000000000001f"), Some(id));
        for bad in [
            "",
            "1f",
            "000000000000001F",
            "+00000000000001f",
            "0000000000000001f",
            "00000000000001ß",
        ] {
            assert_eq!(LogId::parse(bad), None, "{bad}");
        }
        let stored = serde_json::to_string(&Lineage::default().fork(3)).unwrap();
        assert_eq!(stored, r#"{"id":null,"earlier":[]}"#);
    }
}
