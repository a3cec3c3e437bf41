//! What can go wrong with the journal and its directory, each as one line that says what to do.

use std::io;
use std::path::PathBuf;

use veloz_core::types::EventId;

use super::log::LogError;

/// Why the journal refuses.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The storage failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The data directory cannot be made or written.
    #[error("cannot use {} as data directory: {source}; make it writable, or set VELOZ_DATA_DIR to another", dir.display())]
    Unusable {
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No space is left.
    #[error("no space left in {}: free some, or lower VELOZ_RETENTION_BYTES", dir.display())]
    Full {
        /// The directory of the journal.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What is stored is not what was written.
    #[error("{} is damaged at offset {offset}: {what}; nothing was changed. `veloz journal verify` shows all of it; restore the data directory from a backup, or see `veloz journal repair --help`", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// A file that must be there is not.
    #[error("{} is missing: {what}. Put the file back, restore the data directory from a backup, or move it away to start empty", path.display())]
    Missing {
        /// The file, or the directory when the file's name is not known.
        path: PathBuf,
        /// How this is known.
        what: String,
    },
    /// Another program's format, or a later one.
    #[error("{} has format version {found}, this program knows up to {known}: use a newer veloz", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest known.
        known: u32,
    },
    /// An earlier write or sync failed: what is on the disk is not known any more.
    #[error("the journal stopped after a failure: {reason}; restart once that is mended")]
    Poisoned {
        /// The first failure.
        reason: String,
    },
    /// The batch does not go on where the log ends.
    #[error("the batch begins or goes on at event {got}, the log at {expected}")]
    OutOfOrder {
        /// The id that must come next.
        expected: EventId,
        /// The id of the batch.
        got: EventId,
    },
    /// A record, batch or snapshot over its cap.
    #[error("{what} of {bytes} bytes is over the cap of {max}")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// Its size.
        bytes: u64,
        /// The cap.
        max: u64,
    },
    /// A state for a snapshot cannot be made from what is stored.
    #[error(
        "no snapshot can be made: the state at event {at} does not follow from the log: {source}; `veloz journal verify` shows more"
    )]
    Unmade {
        /// The event.
        at: EventId,
        /// Why not.
        source: super::snapshot::FoldError,
    },
    /// The file that is written has another place now, and another one may have its name.
    #[error("{} is not the file that is written any more: the data directory was moved or replaced; put it back", path.display())]
    Moved {
        /// Where it was.
        path: PathBuf,
    },
    /// The file that is written was removed: what is in it ends with this process.
    #[error("{} was removed while it was written: stop this process, and restore the data directory from a backup", path.display())]
    Removed {
        /// The file.
        path: PathBuf,
    },
    /// There is no log to look at.
    #[error("{} holds no log", dir.display())]
    NoLog {
        /// The directory.
        dir: PathBuf,
    },
    /// A repair that would leave nothing to start from, or cut what is whole.
    #[error("{what}")]
    Repair {
        /// Why not, and what to do.
        what: String,
    },
    /// Another process has the directory.
    #[error("{} is in use by process {pid}: stop that process, or use another VELOZ_DATA_DIR", dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// The process, or `unknown`.
        pid: String,
    },
    /// The directory belongs to something else.
    #[error("{} holds the log of {field} \"{stored}\", not \"{wanted}\": use another VELOZ_DATA_DIR, or `veloz reset` to empty it", dir.display())]
    OtherStamp {
        /// The directory.
        dir: PathBuf,
        /// What differs.
        field: &'static str,
        /// As stored.
        stored: String,
        /// As configured.
        wanted: String,
    },
    /// The market would change under open orders.
    #[error("{} holds open orders placed with market source \"{stored}\", not \"{wanted}\": start with --cancel-open, or `veloz reset` to empty it", dir.display())]
    OpenOrders {
        /// The directory.
        dir: PathBuf,
        /// As stored.
        stored: String,
        /// As configured.
        wanted: String,
    },
}

impl JournalError {
    /// The error of a failed system call; a full disk gets its own.
    pub(super) fn io(
        action: &'static str,
        path: PathBuf,
    ) -> impl FnOnce(io::Error) -> JournalError {
        move |source| {
            if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
                let dir = path.parent().map_or_else(|| path.clone(), PathBuf::from);
                return JournalError::Full { dir, source };
            }
            JournalError::Io { action, path, source }
        }
    }
}

impl From<JournalError> for LogError {
    fn from(error: JournalError) -> LogError {
        match error {
            JournalError::Io { source, .. } => LogError::Io(source),
            other => LogError::Damaged(other.to_string()),
        }
    }
}
