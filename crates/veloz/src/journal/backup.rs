//! A copy of a log, taken while its owner goes on writing.
//!
//! Contract: the copy is the log as it was at one moment, up to a whole record, with its snapshots and
//! its stamp; a start on it goes on from there. It is made beside its place (`TO.partial`), and takes
//! the place only when its maker says that it is good. The source is not changed, and never waits.
//!
//! Known limit: with `process` durability the copy may hold events that the source would lose in a
//! power failure.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use veloz_core::limits::{JOURNAL_LOOKS_COUNT, JOURNAL_READ_MAX_BYTES};

use super::dir::{STAMP_FILE, make_dir};
use super::error::JournalError;
use super::format::{len_u64, offset_usize};
use super::inspect::is_gone;
use super::recovery::{Access, find_segments};
use super::snapshot;
use super::storage::{DirStorage, Storage, StorageFile};

/// A copy that has not taken its place yet; removed when dropped before.
#[derive(Debug)]
pub struct Backup {
    partial: PathBuf,
    to: PathBuf,
    finished: bool,
}

impl Backup {
    /// Copies a log to where nothing is yet. `progress` is told each number of bytes that was copied.
    ///
    /// # Errors
    /// When there is no log or it is damaged, when `to` is there already, and when the storage fails.
    pub fn copy(
        from: &Path,
        to: &Path,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Backup, JournalError> {
        if to.symlink_metadata().is_ok() {
            let there = io::Error::from(io::ErrorKind::AlreadyExists);
            return Err(JournalError::io("make the directory", to.to_path_buf())(there));
        }
        let mut partial = to.as_os_str().to_owned();
        partial.push(".partial");
        let backup = Backup { partial: partial.into(), to: to.to_path_buf(), finished: false };
        let mut looks = 1;
        loop {
            backup.clear()?;
            make_dir(&backup.partial, false)
                .map_err(JournalError::io("make the directory", backup.partial.clone()))?;
            match try_copy(from, &backup.partial, progress) {
                Ok(()) => return Ok(backup),
                // Retention took a file away, or a write was seen half done.
                Err(JournalError::Io { source, .. })
                    if is_gone(&source) && looks < JOURNAL_LOOKS_COUNT => {}
                Err(JournalError::Damaged { .. } | JournalError::Missing { .. })
                    if looks < JOURNAL_LOOKS_COUNT => {}
                Err(error) => return Err(error),
            }
            looks += 1;
        }
    }

    /// Where the copy is now.
    pub fn path(&self) -> &Path {
        &self.partial
    }

    /// Puts it in its place.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub fn finish(mut self) -> Result<(), JournalError> {
        fs::rename(&self.partial, &self.to)
            .map_err(JournalError::io("rename", self.partial.clone()))?;
        self.finished = true;
        let parent = self.to.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        DirStorage::new(parent).sync_dir().map_err(JournalError::io("sync", parent.to_path_buf()))
    }

    fn clear(&self) -> Result<(), JournalError> {
        match fs::remove_dir_all(&self.partial) {
            Err(error) if !is_gone(&error) => {
                Err(JournalError::io("remove", self.partial.clone())(error))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Backup {
    fn drop(&mut self) {
        if !self.finished
            && let Err(error) = self.clear()
        {
            tracing::warn!(%error, "what was copied stays");
        }
    }
}

fn try_copy(from: &Path, to: &Path, progress: &mut dyn FnMut(u64)) -> Result<(), JournalError> {
    let (source, target) = (DirStorage::new(from), DirStorage::new(to));
    // Snapshots first: the log that is copied then reaches up to them.
    for at in snapshot::list(&source)? {
        copy_file(&source, &target, &snapshot::snapshot_name(at), None, progress)?;
    }
    let found = find_segments(&source, Access::Reader)?;
    let Some(last) = found.segments.last() else {
        return Err(JournalError::NoLog { dir: from.to_path_buf() });
    };
    for segment in &found.segments {
        // A sealed segment may be replaced by its compacted self meanwhile: whichever it is, all of it.
        let end = Arc::ptr_eq(segment, last).then(|| segment.end());
        copy_file(&source, &target, &segment.name(), end, progress)?;
    }
    if from.join(STAMP_FILE).exists() {
        copy_file(&source, &target, STAMP_FILE, None, progress)?;
    }
    target.sync_dir().map_err(JournalError::io("sync", to.to_path_buf()))
}

/// Copies a file up to `end`, or all of it.
fn copy_file(
    source: &DirStorage,
    target: &DirStorage,
    name: &str,
    end: Option<u64>,
    progress: &mut dyn FnMut(u64),
) -> Result<(), JournalError> {
    let io = |action| JournalError::io(action, source.path(name));
    let from = source.open(name).map_err(io("open"))?;
    let end = match end {
        Some(end) => end,
        None => from.size().map_err(io("read"))?,
    };
    let io = |action| JournalError::io(action, target.path(name));
    let to = target.create(name).map_err(io("create"))?;
    copy_bytes(&*from, &*to, end, progress).map_err(io("copy to"))?;
    to.sync().map_err(io("sync"))
}

fn copy_bytes(
    from: &dyn StorageFile,
    to: &dyn StorageFile,
    end: u64,
    progress: &mut dyn FnMut(u64),
) -> io::Result<()> {
    let mut buffer = vec![0; JOURNAL_READ_MAX_BYTES.min(offset_usize(end))];
    let mut offset = 0;
    while offset < end {
        let wanted = buffer.len().min(offset_usize(end - offset));
        let Some(space) = buffer.get_mut(..wanted) else { break };
        let read = from.read_at(space, offset)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        to.write_at(space.get(..read).unwrap_or_default(), offset)?;
        offset += len_u64(read);
        progress(len_u64(read));
    }
    Ok(())
}
