//! What is wrong now, told by whoever notices, read by `/health` without asking the service.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

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

/// The log for readers; a read that fails is told in `/health` until the next start: what is stored there is lost to
/// them, or the disk is failing.
pub struct WatchedLog {
    log: Arc<dyn LogReader>,
    health: Arc<HealthBoard>,
}

impl WatchedLog {
    /// Of this log.
    pub fn new(log: Arc<dyn LogReader>, health: Arc<HealthBoard>) -> WatchedLog {
        WatchedLog { log, health }
    }
}

impl LogReader for WatchedLog {
    fn bounds(&self) -> Bounds {
        self.log.bounds()
    }

    fn read(&self, from: EventId, max_bytes: usize) -> Result<Read, LogError> {
        let read = self.log.read(from, max_bytes);
        if let Err(error) = &read {
            self.health.raise(LOG_UNAVAILABLE, error.to_string());
        }
        read
    }
}
