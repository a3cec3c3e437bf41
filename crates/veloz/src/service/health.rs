//! What is wrong now, told by whoever notices, read by `/health` without asking the service.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

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
