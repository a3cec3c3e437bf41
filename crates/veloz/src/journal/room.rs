//! Space: kept in reserve, watched, and told before there is none.
//!
//! Contract: behind its end the active segment has [`JOURNAL_RESERVE_BYTES`] that nobody else can take, or as many
//! more as whoever owns the journal wants. When they cannot be kept, or no further segment could be begun, there is a [`Shortage`]: what must not
//! wait is still appended, into the reserve; whoever owns the journal refuses the rest before it is
//! decided. It ends by itself, at the next look that finds space.

use std::io;

#[cfg(doc)]
use veloz_core::limits::JOURNAL_RESERVE_BYTES;
use veloz_core::limits::{
    JOURNAL_FREE_LOW_BYTES, JOURNAL_PREALLOCATE_BYTES, JOURNAL_PREALLOCATE_LOW_BYTES,
    JOURNAL_PREALLOCATE_MIN_BYTES,
};

use super::error::JournalError;
use super::spare::is_same;
use super::storage::{Storage, StorageFile};

/// What the storage can still take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Room {
    /// Whatever comes.
    Plenty,
    /// Whatever comes, but not for long.
    Low {
        /// How much is free.
        free_bytes: u64,
    },
    /// What is reserved and no more: for what must not wait.
    Reserve {
        /// How much that is.
        bytes: u64,
        /// Why.
        shortage: Shortage,
    },
}

/// Why there is no room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortage {
    /// A stable code: `storage_full` or `storage_unavailable`.
    pub code: &'static str,
    /// For a person: what is wrong, and what to do.
    pub message: String,
}

impl Shortage {
    fn of(error: &JournalError) -> Shortage {
        let code = match error {
            JournalError::Full { .. } => "storage_full",
            _ => "storage_unavailable",
        };
        Shortage { code, message: error.to_string() }
    }
}

/// What is kept behind the end of the active segment.
#[derive(Debug)]
pub(super) struct Reserve {
    /// Where it ends in the file.
    pub allocated: u64,
    /// How large it is to be.
    pub wanted: u64,
    shortage: Option<Shortage>,
    free_bytes: u64,
    /// Whether little was free at the last look.
    is_low: bool,
}

impl Reserve {
    /// Of a file in which all up to `allocated` has its space.
    pub(super) fn new(allocated: u64, wanted: u64) -> Reserve {
        Reserve { allocated, wanted, shortage: None, free_bytes: u64::MAX, is_low: false }
    }

    /// Whether all of it is there for a segment that ends at `end`.
    pub(super) fn is_full(&self, end: u64) -> bool {
        self.allocated >= end.saturating_add(self.wanted)
    }

    pub(super) fn is_short(&self) -> bool {
        self.shortage.is_some()
    }

    /// No further segment can be begun.
    pub(super) fn fall_short(&mut self, error: &JournalError) {
        self.shortage = Some(Shortage::of(error));
    }

    /// What there is for a segment that ends at `end`.
    pub(super) fn room(&self, end: u64) -> Room {
        match &self.shortage {
            Some(shortage) => Room::Reserve {
                bytes: self.allocated.saturating_sub(end),
                shortage: shortage.clone(),
            },
            None if self.is_low => Room::Low { free_bytes: self.free_bytes },
            None => Room::Plenty,
        }
    }

    /// Sees that all up to `end` has its space.
    pub(super) fn hold(&mut self, file: &dyn StorageFile, end: u64) -> io::Result<()> {
        if end > self.allocated {
            file.allocate(end)?;
            self.allocated = end;
        }
        Ok(())
    }

    /// Up to where there should be space soon, of a segment that ends at `end` and is full at `full`: not while half of
    /// the last step is left.
    pub(super) fn wants(&self, end: u64, full: u64) -> Option<u64> {
        let ahead = self.ahead(end, full);
        let middle = end.saturating_add(self.wanted).midpoint(ahead);
        (self.allocated < middle && !self.is_short()).then_some(ahead)
    }

    /// A step further than the reserve behind `end`.
    fn ahead(&self, end: u64, full: u64) -> u64 {
        let most = match self.is_low {
            true => JOURNAL_PREALLOCATE_LOW_BYTES,
            false => JOURNAL_PREALLOCATE_BYTES,
        };
        // What it will never use would only have to be given back.
        let step = full.saturating_sub(end).clamp(JOURNAL_PREALLOCATE_MIN_BYTES, most);
        end.saturating_add(step).saturating_add(self.wanted)
    }

    /// Fills up the reserve behind `end`, in steps, of a segment that is full at `full`: that ends a shortage.
    pub(super) fn fill(&mut self, file: &dyn StorageFile, end: u64, full: u64) -> io::Result<()> {
        if !self.is_full(end) {
            let ahead = self.ahead(end, full);
            file.allocate(ahead)?;
            self.allocated = ahead;
        }
        self.shortage = None;
        Ok(())
    }

    /// Looks whether files can be made, and how much is free. False, and a shortage, when there is no use in
    /// trying.
    pub(super) fn look(
        &mut self,
        storage: &dyn Storage,
        name: &str,
        file: &dyn StorageFile,
    ) -> bool {
        let path = storage.path(name);
        let there = storage.identity(name).and_then(|named| Ok((named, file.identity()?)));
        match there {
            Ok((named, open)) if is_same(named, open) => {}
            Ok(_) => {
                self.fall_short(&JournalError::Moved { path });
                return false;
            }
            Err(error) => {
                self.fall_short(&JournalError::io("find", path)(error));
                return false;
            }
        }
        match storage.free_bytes() {
            Ok(free_bytes) => {
                // Twice as much ends it, so that it is not told over and over.
                let bound = JOURNAL_FREE_LOW_BYTES * if self.is_low { 2 } else { 1 };
                (self.free_bytes, self.is_low) = (free_bytes, free_bytes < bound);
                true
            }
            Err(error) => {
                self.fall_short(&JournalError::io("write into", storage.path(""))(error));
                false
            }
        }
    }
}
