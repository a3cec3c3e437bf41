//! What is wrong now, told by whoever notices, read by `/health` without asking the service.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use veloz_core::types::EventId;

use crate::journal::{Bounds, LogError, LogReader, Read};

/// One thing that does not work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// A stable code.
    pub code: &'static str,
    /// For a person.
    pub message: String,
}

/// How the gateway is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// What does not work: empty when all is well.
    pub problems: Vec<Problem>,
    /// What works, and may not for long.
    pub warnings: Vec<Problem>,
}

impl Health {
    /// What keeps orders from being taken, if anything.
    pub fn stops_orders(&self) -> Option<&Problem> {
        self.problems.iter().find(|problem| !OF_READERS.contains(&problem.code))
    }
}

/// Where trouble is told: one entry a code, until it is cleared.
#[derive(Debug, Default)]
pub struct HealthBoard {
    problems: RwLock<BTreeMap<&'static str, String>>,
    warnings: RwLock<BTreeMap<&'static str, String>>,
}

impl HealthBoard {
    /// Tells a problem, in place of an earlier one of that code.
    pub fn raise(&self, code: &'static str, message: String) {
        self.problems.write().unwrap_or_else(PoisonError::into_inner).insert(code, message);
    }

    /// Tells of what works still, in place of an earlier warning of that code.
    pub fn warn(&self, code: &'static str, message: String) {
        self.warnings.write().unwrap_or_else(PoisonError::into_inner).insert(code, message);
    }

    /// The problem or the warning of that code is over.
    pub fn clear(&self, code: &'static str) {
        for told in [&self.problems, &self.warnings] {
            told.write().unwrap_or_else(PoisonError::into_inner).remove(code);
        }
    }

    /// What is wrong now.
    pub fn read(&self) -> Health {
        let all = |told: &RwLock<BTreeMap<&'static str, String>>| {
            let told = told.read().unwrap_or_else(PoisonError::into_inner);
            told.iter().map(|(code, message)| Problem { code, message: message.clone() }).collect()
        };
        Health { problems: all(&self.problems), warnings: all(&self.warnings) }
    }
}

/// Events that are stored cannot be read.
const LOG_UNAVAILABLE: &str = "log_unavailable";
/// A closed order cannot be shown.
pub(super) const ARCHIVE_UNREADABLE: &str = "archive_unreadable";
/// What stands in the way of readers only.
const OF_READERS: [&str; 2] = [LOG_UNAVAILABLE, ARCHIVE_UNREADABLE];

/// The log for readers; a read that fails is told in `/health`: until the next start where what is stored is lost, and
/// else until one succeeds.
pub struct WatchedLog {
    log: Arc<dyn LogReader>,
    health: Arc<HealthBoard>,
    told: Mutex<Told>,
}

/// What was told of failed reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    Passing,
    Damage,
}

impl WatchedLog {
    /// Of this log.
    pub fn new(log: Arc<dyn LogReader>, health: Arc<HealthBoard>) -> WatchedLog {
        WatchedLog { log, health, told: Mutex::new(Told::Nothing) }
    }

    fn tell(&self, failed: Option<&LogError>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        match failed {
            Some(LogError::Damaged(_)) => *told = Told::Damage,
            Some(LogError::Io(_)) if *told != Told::Damage => *told = Told::Passing,
            None if *told == Told::Passing => {
                *told = Told::Nothing;
                self.health.clear(LOG_UNAVAILABLE);
            }
            _ => return,
        }
        if let Some(error) = failed {
            self.health.raise(LOG_UNAVAILABLE, error.to_string());
        }
    }
}

impl LogReader for WatchedLog {
    fn bounds(&self) -> Bounds {
        self.log.bounds()
    }

    fn read(&self, from: EventId, max_bytes: usize) -> Result<Read, LogError> {
        let read = self.log.read(from, max_bytes);
        self.tell(read.as_ref().err());
        read
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// What its reads give, one after another.
    struct Script(Mutex<VecDeque<Result<Read, LogError>>>);

    impl LogReader for Script {
        fn bounds(&self) -> Bounds {
            Bounds { oldest: 1, newest: 0 }
        }

        fn read(&self, _: EventId, _: usize) -> Result<Read, LogError> {
            self.0.lock().unwrap().pop_front().unwrap()
        }
    }

    #[test]
    fn what_passes_is_told_until_a_read_succeeds_and_damage_for_good() {
        let passing = || Err(LogError::Io(std::io::Error::other("no handle")));
        let damage = || Err(LogError::Damaged("a flipped bit".to_owned()));
        let well = || Ok(Read::AtEnd);
        let script = [
            (well(), None),
            (passing(), Some("no handle")),
            (well(), None),
            (passing(), Some("no handle")),
            (damage(), Some("a flipped bit")),
            (passing(), Some("a flipped bit")),
            (well(), Some("a flipped bit")),
        ];
        let (reads, told): (VecDeque<_>, Vec<_>) = script.into_iter().unzip();
        let health = Arc::new(HealthBoard::default());
        let log = WatchedLog::new(Arc::new(Script(Mutex::new(reads))), Arc::clone(&health));
        for told in told {
            let _ = log.read(1, 1);
            let problems = health.read().problems;
            assert_eq!(problems.len(), usize::from(told.is_some()));
            assert!(problems.iter().all(|p| p.message.contains(told.unwrap_or_default())));
            assert_eq!(health.read().stops_orders(), None, "orders are taken");
        }
    }
}
