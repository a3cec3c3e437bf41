//! A copy of a log, taken while its owner goes on writing.
//!
//! Contract: the copy is the log as it was at one moment, up to a whole record, with its snapshots and
//! its stamp, as another log from there on; a start on it goes on from there. It is made beside its place (`TO.partial`), and takes
//! the place only when its maker says that it is good. The source is not changed, and never waits.
//!
//! Known limit: with `process` durability the copy may hold events that the source would lose in a
//! power failure.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use veloz_core::limits::{JOURNAL_LOOKS_COUNT, JOURNAL_READ_MAX_BYTES};
use veloz_core::types::EventId;

use super::archive::{NAMES_FILE, RECORDS_FILE};
use super::dir::{fork_stamp, make_dir};
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
    /// Copies a log to where nothing is yet, outside its own directory. `progress` is told each number of bytes that was
    /// copied.
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
        if is_within(to, from) {
            let inside = io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("it would stand in the log that it is a copy of, {}", from.display()),
            );
            return Err(JournalError::io("make the directory", to.to_path_buf())(inside));
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

/// Whether what is to be made would stand in a directory, whatever the ways to both are called.
fn is_within(path: &Path, dir: &Path) -> bool {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new(".")).canonicalize();
    // Whichever is not there is told of by who wants to use it.
    matches!((parent, dir.canonicalize()), (Ok(parent), Ok(dir)) if parent.starts_with(&dir))
}

/// An open file of the source: it stays as it is, whatever takes its name.
struct Pinned {
    name: String,
    file: Arc<dyn StorageFile>,
    end: u64,
}

impl Pinned {
    fn open(source: &DirStorage, name: String) -> Result<Pinned, JournalError> {
        let io = |action| JournalError::io(action, source.path(&name));
        let file = source.open(&name).map_err(io("open"))?;
        let end = file.size().map_err(io("read"))?;
        Ok(Pinned { name, file, end })
    }

    fn copy(&self, to: &DirStorage, progress: &mut dyn FnMut(u64)) -> Result<(), JournalError> {
        let io = |action| JournalError::io(action, to.path(&self.name));
        let copy = to.create(&self.name).map_err(io("create"))?;
        copy_bytes(&*self.file, &*copy, self.end, progress).map_err(io("copy to"))?;
        copy.sync().map_err(io("sync"))
    }
}

/// What a start needs, pinned, the segments before that, oldest first, and the newest event.
fn pin(source: &DirStorage) -> Result<(Vec<Pinned>, Vec<String>, EventId), JournalError> {
    let (mut pinned, mut snapshots) = (Vec::new(), Vec::new());
    let (mut needed_from, mut archived) = (1, None);
    for at in snapshot::list(source)? {
        let name = snapshot::snapshot_name(at);
        if let Ok((position, snapshot)) = snapshot::read(source, &name, at)? {
            // They come newest first.
            needed_from = position.segment_id;
            snapshots.push(Pinned::open(source, name)?);
            archived = archived.or(snapshot.archived);
        }
    }
    let found = find_segments(source, Access::Reader)?;
    let Some(last) = found.segments.last() else {
        return Err(JournalError::NoLog { dir: source.path("") });
    };
    let mut older = Vec::new();
    for segment in &found.segments {
        if segment.header.first_id < needed_from {
            older.push(segment.name());
            continue;
        }
        let mut pin = Pinned::open(source, segment.name())?;
        if Arc::ptr_eq(segment, last) {
            pin.end = segment.end();
        }
        pinned.push(pin);
    }
    // As long as a snapshot is there, retention leaves alone what a start on it needs: so what is open
    // now is what the snapshots were made for.
    for snapshot in &snapshots {
        Pinned::open(source, snapshot.name.clone())?;
    }
    pinned.append(&mut snapshots);
    if let Some(archived) = archived {
        // What is written there meanwhile is what these snapshots hold themselves.
        let files = [(RECORDS_FILE, archived.records_len()), (NAMES_FILE, archived.names_len())];
        for (name, end) in files {
            pinned.push(Pinned { end, ..Pinned::open(source, name.to_owned())? });
        }
    }
    Ok((pinned, older, found.newest))
}

fn try_copy(from: &Path, to: &Path, progress: &mut dyn FnMut(u64)) -> Result<(), JournalError> {
    let (source, target) = (DirStorage::new(from), DirStorage::new(to));
    let (pinned, older, newest) = pin(&source)?;
    for file in &pinned {
        file.copy(&target, progress)?;
    }
    // Backwards, for retention takes the oldest first: what is copied has no hole. Whether one of these
    // is compacted meanwhile makes no difference.
    for name in older.into_iter().rev() {
        match Pinned::open(&source, name) {
            Ok(file) => file.copy(&target, progress)?,
            Err(JournalError::Io { source, .. }) if is_gone(&source) => break,
            Err(error) => return Err(error),
        }
    }
    fork_stamp(from, to, newest)?;
    target.sync_dir().map_err(JournalError::io("sync", to.to_path_buf()))
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
