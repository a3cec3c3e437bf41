//! Closed orders beside the snapshots: a file of their records, and one of the hashes of all names.
//!
//! Contract: what a snapshot leaves to the archive is on the disk before the snapshot has its name, and stays as it is.
//! Each order has one place, by its position in the order of creation; what is behind the last of the newest snapshot's
//! is of an archiving that was never finished: cut once a start has its state, and written anew. A record that is not
//! what was written is told with file and offset. The names can be had from the records too: a damaged file of them is
//! made anew.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use veloz_core::limits::JOURNAL_READ_MAX_BYTES;
use veloz_core::state::{ORDER_RECORD_BYTES, OrderArchive, OrderRecord, OrderSink};

use super::error::JournalError;
use super::format::{len_u64, offset_usize};
use super::segment::lock;
use super::storage::{Storage, StorageFile};

/// The records.
pub(super) const RECORDS_FILE: &str = "orders.archive";
/// The hashes of the names.
pub(super) const NAMES_FILE: &str = "orders.names";

const CRC_BYTES: usize = 4;
/// A record and its checksum.
const PLACE_BYTES: usize = ORDER_RECORD_BYTES + CRC_BYTES;
const NAME_BYTES: usize = 4;

/// What a snapshot says of the archive that it was made with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Archived {
    /// Of so many orders, from the first on, those are there that the snapshot does not hold.
    pub orders: u64,
    /// The checksum of the hashes of their names.
    pub names_crc: u32,
}

impl Archived {
    /// How long the file of the records must be.
    pub(super) fn records_len(&self) -> u64 {
        self.orders.saturating_mul(len_u64(PLACE_BYTES))
    }

    /// How long the file of the names must be.
    pub(super) fn names_len(&self) -> u64 {
        self.orders.saturating_mul(len_u64(NAME_BYTES))
    }
}

/// The archive, as it is read.
#[derive(Debug)]
pub struct OrderFiles {
    storage: Arc<dyn Storage>,
    records: OnceLock<Arc<dyn StorageFile>>,
    failure: Mutex<Option<Arc<JournalError>>>,
}

impl OrderFiles {
    pub(super) fn new(storage: &Arc<dyn Storage>) -> OrderFiles {
        let storage = Arc::clone(storage);
        OrderFiles { storage, records: OnceLock::new(), failure: Mutex::default() }
    }

    /// The same, of which nothing failed yet.
    #[must_use]
    pub fn again(&self) -> OrderFiles {
        OrderFiles::new(&self.storage)
    }

    /// The first thing that failed.
    pub fn error(&self) -> Option<Arc<JournalError>> {
        lock(&self.failure).clone()
    }

    /// Where the record at a position stands.
    pub fn place(&self, position: usize) -> (PathBuf, u64) {
        (self.storage.path(RECORDS_FILE), place_of(position))
    }

    /// The hashes of the names as they were written.
    ///
    /// # Errors
    /// When they cannot be read, or are others.
    pub fn names(&self, archived: &Archived) -> Result<Vec<u8>, JournalError> {
        let io = |action| JournalError::io(action, self.storage.path(NAMES_FILE));
        let file = self.storage.open(NAMES_FILE).map_err(io("open"))?;
        let len = file.size().map_err(io("read"))?.min(archived.names_len());
        let mut names = vec![0; offset_usize(len)];
        let read = file.read_at(&mut names, 0).map_err(io("read"))?;
        names.truncate(read);
        if len_u64(read) == archived.names_len() && crc32c::crc32c(&names) == archived.names_crc {
            return Ok(names);
        }
        let what = "the names of the orders do not match their checksum".to_owned();
        Err(JournalError::Damaged { path: self.storage.path(NAMES_FILE), offset: 0, what })
    }

    /// Writes the hashes of the names, which were read from the records, in the place of others.
    ///
    /// # Errors
    /// When they are not those that there were, or cannot be written.
    pub fn mend_names(&self, archived: &Archived, names: &[u8]) -> Result<(), JournalError> {
        self.check_names(archived, names)?;
        let io = |action| JournalError::io(action, self.storage.path(NAMES_FILE));
        let file = open_or_make(&*self.storage, NAMES_FILE)?;
        file.write_at(names, 0).map_err(io("write"))?;
        file.sync().map_err(io("sync"))?;
        self.storage.sync_dir().map_err(JournalError::io("sync", self.storage.path("")))
    }

    /// Whether these, which were read from the records, are the names that there were.
    ///
    /// # Errors
    /// When they are others.
    pub fn check_names(&self, archived: &Archived, names: &[u8]) -> Result<(), JournalError> {
        if crc32c::crc32c(names) == archived.names_crc {
            return Ok(());
        }
        let what = "its orders are not those of the snapshot".to_owned();
        Err(JournalError::Damaged { path: self.storage.path(RECORDS_FILE), offset: 0, what })
    }

    fn read_place(&self, position: usize) -> Result<OrderRecord, JournalError> {
        let (path, offset) = self.place(position);
        let unreadable = |source: io::Error| {
            let source = io::Error::new(source.kind(), format!("{source} (at offset {offset})"));
            JournalError::io("read", path.clone())(source)
        };
        let file = match self.records.get() {
            Some(file) => file,
            None => {
                let file = self.storage.open(RECORDS_FILE).map_err(unreadable)?;
                self.records.get_or_init(|| file)
            }
        };
        let mut bytes = [0; PLACE_BYTES];
        let read = file.read_at(&mut bytes, offset).map_err(unreadable)?;
        let record = bytes.first_chunk::<ORDER_RECORD_BYTES>();
        let whole = record.filter(|record| read == PLACE_BYTES && place(position, record) == bytes);
        whole.copied().ok_or_else(|| self.damaged(position))
    }

    fn damaged(&self, position: usize) -> JournalError {
        let (path, offset) = self.place(position);
        let what = "a closed order is not what was written (while the log begins at event 1, and verify \
                    finds nothing else, a start without this file makes it anew)";
        JournalError::Damaged { path, offset, what: what.to_owned() }
    }

    fn fail(&self, error: JournalError) {
        // The first one counts.
        lock(&self.failure).get_or_insert_with(|| Arc::new(error));
    }
}

impl OrderArchive for OrderFiles {
    fn read(&self, position: usize) -> Option<OrderRecord> {
        self.read_place(position).map_err(|error| self.fail(error)).ok()
    }

    fn refuse(&self, position: usize) {
        self.fail(self.damaged(position));
    }

    fn failure(&self) -> Option<String> {
        self.error().map(|error| error.to_string())
    }

    fn take_failure(&self) -> Option<String> {
        lock(&self.failure).take().map(|error| error.to_string())
    }
}

/// Writes orders to the archive, behind those of a snapshot.
#[derive(Debug)]
pub struct OrderWriter<'s> {
    storage: &'s dyn Storage,
    /// What was there before.
    from: Archived,
    /// What is there with these.
    archived: Archived,
    records: Option<Run>,
    names: Option<Run>,
}

impl<'s> OrderWriter<'s> {
    pub(super) fn new(storage: &'s dyn Storage, from: Archived) -> OrderWriter<'s> {
        OrderWriter { storage, from, archived: from, records: None, names: None }
    }

    /// Brings all of it to the disk; what is there then.
    pub(super) fn finish(mut self) -> Result<Archived, JournalError> {
        // What stays has its place too.
        let end = self.archived.records_len();
        self.records()?.fill_up(end)?;
        self.records()?.finish()?;
        self.names()?.finish()?;
        // They may be new.
        self.storage.sync_dir().map_err(JournalError::io("sync", self.storage.path("")))?;
        Ok(self.archived)
    }

    fn records(&mut self) -> Result<&mut Run, JournalError> {
        run(&mut self.records, self.storage, RECORDS_FILE, self.from.records_len())
    }

    fn names(&mut self) -> Result<&mut Run, JournalError> {
        run(&mut self.names, self.storage, NAMES_FILE, self.from.names_len())
    }
}

impl OrderSink for OrderWriter<'_> {
    type Error = JournalError;

    fn name(&mut self, hash: u32) -> Result<(), JournalError> {
        let (end, bytes) = (self.archived.names_len(), hash.to_le_bytes());
        self.names()?.put(end, &bytes)?;
        self.archived.orders += 1;
        self.archived.names_crc = crc32c::crc32c_append(self.archived.names_crc, &bytes);
        Ok(())
    }

    fn order(&mut self, position: usize, record: &OrderRecord) -> Result<(), JournalError> {
        self.records()?.put(place_of(position), &place(position, record))
    }
}

/// Bytes on their way to a file, as many as follow one another.
#[derive(Debug)]
struct Run {
    file: Arc<dyn StorageFile>,
    path: PathBuf,
    /// Up to where the file has something.
    end: u64,
    offset: u64,
    bytes: Vec<u8>,
}

impl Run {
    fn put(&mut self, offset: u64, bytes: &[u8]) -> Result<(), JournalError> {
        if offset > self.end {
            // Orders that stay have their places too.
            self.fill_up(offset)?;
        }
        if offset != self.offset + len_u64(self.bytes.len())
            || self.bytes.len() >= JOURNAL_READ_MAX_BYTES
        {
            self.flush()?;
            self.offset = offset;
        }
        self.bytes.extend_from_slice(bytes);
        self.end = self.end.max(offset + len_u64(bytes.len()));
        Ok(())
    }

    fn fill_up(&mut self, to: u64) -> Result<(), JournalError> {
        const ZEROS: [u8; PLACE_BYTES] = [0; PLACE_BYTES];
        while self.end < to {
            let zeros = offset_usize(to - self.end).min(PLACE_BYTES);
            self.put(self.end, ZEROS.get(..zeros).unwrap_or_default())?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), JournalError> {
        self.flush()?;
        self.file.sync().map_err(JournalError::io("sync", self.path.clone()))
    }

    fn flush(&mut self) -> Result<(), JournalError> {
        let written = self.file.write_at(&self.bytes, self.offset);
        written.map_err(JournalError::io("write", self.path.clone()))?;
        self.offset += len_u64(self.bytes.len());
        self.bytes.clear();
        Ok(())
    }
}

/// The bytes on their way to a file, which has something up to `end`.
fn run<'r>(
    slot: &'r mut Option<Run>,
    storage: &dyn Storage,
    name: &str,
    end: u64,
) -> Result<&'r mut Run, JournalError> {
    match slot {
        Some(run) => Ok(run),
        None => {
            let (file, path) = (open_or_make(storage, name)?, storage.path(name));
            Ok(slot.insert(Run { file, path, end, offset: end, bytes: Vec::new() }))
        }
    }
}

/// Cuts what is behind the orders of the snapshot that a start goes on from.
pub(super) fn cut(storage: &dyn Storage, archived: Archived) -> Result<(), JournalError> {
    for (name, end) in [(RECORDS_FILE, archived.records_len()), (NAMES_FILE, archived.names_len())]
    {
        let io = |action| JournalError::io(action, storage.path(name));
        let Some(len) = len_of(storage, name)? else { continue };
        if len > end {
            let file = storage.open_for_write(name).map_err(io("open"))?;
            file.set_len(end).map_err(io("cut"))?;
        }
    }
    Ok(())
}

/// Whether there are as many records as a snapshot says.
pub(super) fn holds(storage: &dyn Storage, archived: &Archived) -> Result<bool, JournalError> {
    Ok(len_of(storage, RECORDS_FILE)?.unwrap_or_default() >= archived.records_len())
}

/// How long a file is, where it is there.
fn len_of(storage: &dyn Storage, name: &str) -> Result<Option<u64>, JournalError> {
    match storage.open(name).and_then(|file| file.size()) {
        Ok(len) => Ok(Some(len)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(JournalError::io("open", storage.path(name))(error)),
    }
}

fn open_or_make(storage: &dyn Storage, name: &str) -> Result<Arc<dyn StorageFile>, JournalError> {
    let file = match storage.open_for_write(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => storage.create(name),
        opened => opened,
    };
    file.map_err(JournalError::io("open", storage.path(name)))
}

fn place_of(position: usize) -> u64 {
    len_u64(position).saturating_mul(len_u64(PLACE_BYTES))
}

/// A record as it stands in its place. The checksum covers the position too.
fn place(position: usize, record: &OrderRecord) -> [u8; PLACE_BYTES] {
    let mut place = [0; PLACE_BYTES];
    let crc = crc32c::crc32c_append(crc32c::crc32c(&len_u64(position).to_le_bytes()), record);
    let (to, rest) = place.split_at_mut(ORDER_RECORD_BYTES);
    to.copy_from_slice(record);
    rest.copy_from_slice(&crc.to_le_bytes());
    place
}
