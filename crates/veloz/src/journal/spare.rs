//! The next segment, made aside: in the background before it is needed, or at the last moment.
//!
//! Contract: a spare has its reserve and no name that a start would read; [`Spare::begin`] writes the header and
//! brings all of it to the disk, [`Spare::place`] gives it its name. The segment before it is sealed in between.

use std::sync::Arc;

use veloz_core::limits::JOURNAL_RESERVE_BYTES;

use super::error::JournalError;
use super::format::{SEGMENT_HEADER_BYTES, SEGMENT_RECORDS_START, SegmentHeader};
use super::segment::segment_name;
use super::storage::{Identity, Storage, StorageFile};

/// The place of a segment that no log has, and a start removes it.
const NAME: &str = "00000000000000000000.vlz.tmp";

/// A segment that has no name yet.
#[derive(Debug)]
pub(super) struct Spare {
    pub file: Arc<dyn StorageFile>,
    /// Where its reserved space ends.
    pub allocated: u64,
}

impl Spare {
    /// Makes it, with its reserve, in the place of one that is there.
    pub(super) fn make(storage: &dyn Storage) -> Result<Spare, JournalError> {
        let io = |action| JournalError::io(action, storage.path(NAME));
        let file = storage.create(NAME).map_err(io("create"))?;
        let allocated = SEGMENT_RECORDS_START + JOURNAL_RESERVE_BYTES;
        match file.allocate(allocated).map_err(io("reserve space in")) {
            Ok(()) => Ok(Spare { file, allocated }),
            Err(error) => {
                discard(storage);
                Err(error)
            }
        }
    }

    /// The same before it is needed, with the place of its header on the disk: what [`Spare::begin`] brings there then is
    /// no more than the header itself.
    pub(super) fn make_ahead(storage: &dyn Storage) -> Result<Spare, JournalError> {
        let spare = Spare::make(storage)?;
        spare.store(storage, &[0; SEGMENT_HEADER_BYTES])?;
        Ok(spare)
    }

    /// Sees that its reserve is that large. It is taken away when that fails.
    pub(super) fn reserve(
        &mut self,
        storage: &dyn Storage,
        wanted: u64,
    ) -> Result<(), JournalError> {
        let allocated = SEGMENT_RECORDS_START.saturating_add(wanted);
        if self.allocated < allocated {
            let io = JournalError::io("reserve space in", storage.path(NAME));
            self.file.allocate(allocated).map_err(io).inspect_err(|_| discard(storage))?;
            self.allocated = allocated;
        }
        Ok(())
    }

    /// Whether it can still be given a name: the directory may have been moved, or may not be written any more.
    pub(super) fn check(&self, storage: &dyn Storage) -> Result<(), JournalError> {
        let named = storage.identity(NAME).map_err(JournalError::io("find", storage.path(NAME)))?;
        let open = self.file.identity().map_err(JournalError::io("find", storage.path(NAME)))?;
        if !is_same(named, open) {
            return Err(JournalError::Moved { path: storage.path(NAME) });
        }
        storage.free_bytes().map_err(JournalError::io("write into", storage.path("")))?;
        Ok(())
    }

    /// Writes the header: all of it is on the disk when this returns. It is taken away when that fails.
    pub(super) fn begin(
        &self,
        storage: &dyn Storage,
        header: SegmentHeader,
    ) -> Result<(), JournalError> {
        self.store(storage, &header.encode())
    }

    fn store(&self, storage: &dyn Storage, header: &[u8]) -> Result<(), JournalError> {
        let io = |action| JournalError::io(action, storage.path(NAME));
        let written = self.file.write_at(header, 0).map_err(io("write"));
        let stored = written.and_then(|()| self.file.sync().map_err(io("sync")));
        stored.inspect_err(|_| discard(storage))
    }

    /// Gives it its name, after the segment before it was sealed.
    pub(super) fn place(storage: &dyn Storage, header: SegmentHeader) -> Result<(), JournalError> {
        let name = segment_name(header.first_id);
        storage.rename(NAME, &name).map_err(JournalError::io("rename", storage.path(NAME)))?;
        storage.sync_dir().map_err(JournalError::io("sync", storage.path("")))
    }
}

/// Gives its space back. The next start removes it too.
pub(super) fn discard(storage: &dyn Storage) {
    if let Err(error) = storage.remove(NAME) {
        tracing::warn!(%error, name = NAME, "cannot remove it");
    }
}

/// Whether a name and an open file are one file.
pub(super) fn is_same(named: Option<Identity>, open: Option<Identity>) -> bool {
    match (named, open) {
        (Some(named), Some(open)) => (named.device, named.inode) == (open.device, open.inode),
        _ => true,
    }
}
