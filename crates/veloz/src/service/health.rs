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
    /// Empty when all is well.
    pub problems: Vec<Problem>,
}

/// Where trouble is told: one entry a code, until it is cleared.
#[derive(Debug, Default)]
pub struct HealthBoard {
    problems: RwLock<BTreeMap<&'static str, String>>,
}

impl HealthBoard {
    /// Tells a problem, in place of an earlier one of that code.
    pub fn raise(&self, code: &'static str, message: String) {
        self.problems.write().unwrap_or_else(PoisonError::into_inner).insert(code, message);
    }

    /// The problem of that code is over.
    pub fn clear(&self, code: &'static str) {
        self.problems.write().unwrap_or_else(PoisonError::into_inner).remove(code);
    }

    /// What is wrong now.
    pub fn read(&self) -> Health {
        let problems = self.problems.read().unwrap_or_else(PoisonError::into_inner);
        let problem =
            |(code, message): (&&'static str, &String)| Problem { code, message: message.clone() };
        Health { problems: problems.iter().map(problem).collect() }
    }
}
