//! The data directory: made, locked and stamped before anything in it is touched.
//!
//! Contract: one process at a time. The lock is the operating system's, on an open file and on the directory
//! itself, so that it holds when somebody takes the file for a leftover and removes it: it ends with the
//! process, however that ends. The stamp says whose log it is, so that a simulator's log is never
//! continued by a live venue.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use veloz_core::types::EventId;

use super::archive::{NAMES_FILE, RECORDS_FILE};
use super::error::JournalError;
use super::format::FORMAT_VERSION;
use super::inspect::Problem;
use super::lineage::Lineage;
use super::segment::{parse_id_name, parse_segment_name};
use super::storage::{DirStorage, Storage};

const LOCK_FILE: &str = "lock";
/// The field of the stamp that holds the checksum of the others.
const CHECKSUM: &str = "checksum";
const STAMP_FILE: &str = "stamp.json";
const STAMP_MISSING: &str = "it says whose log this is";
const STAMP_TEMPORARY_FILE: &str = "stamp.json.tmp";
const DIR_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// A data directory that this process owns until it is dropped.
#[derive(Debug)]
pub struct DataDir {
    dir: PathBuf,
    /// Their locks end when they are closed: the file's, and the directory's where there is one.
    _locks: (File, Option<File>),
}

impl DataDir {
    /// Makes the directory if it is not there, for its owner only, and locks it.
    ///
    /// # Errors
    /// When it cannot be made or written, or another process has it: one line that says what to do.
    pub fn open(dir: &Path) -> Result<DataDir, JournalError> {
        DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir).map_err(unusable(dir))?;
        let path = dir.join(LOCK_FILE);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(&path)
            .map_err(unusable(dir))?;
        // The file first: whoever has that is alone at the directory.
        let itself = File::open(dir).map_err(unusable(dir))?;
        let itself = match file.try_lock().map(|()| itself.try_lock()) {
            Ok(Ok(())) => Some(itself),
            // Some file systems lock no directories: there the file's lock has to do.
            Ok(Err(TryLockError::Error(_))) => None,
            Err(TryLockError::WouldBlock) | Ok(Err(TryLockError::WouldBlock)) => {
                let pid = read_pid(&mut file);
                return Err(JournalError::InUse { dir: dir.to_path_buf(), pid });
            }
            Err(TryLockError::Error(source)) => {
                return Err(JournalError::io("lock", path)(source));
            }
        };
        match write_pid(&mut file) {
            // The pid is only a help: a full disk is met where it matters.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {}
            written => written.map_err(JournalError::io("write", path))?,
        }
        Ok(DataDir { dir: dir.to_path_buf(), _locks: (file, itself) })
    }

    /// The same for a directory that holds a log already; any other is left as it is.
    ///
    /// # Errors
    /// As [`DataDir::open`], and when it holds no log.
    pub fn open_existing(dir: &Path) -> Result<DataDir, JournalError> {
        let files =
            DirStorage::new(dir).list().map_err(JournalError::io("read", dir.to_path_buf()))?;
        if !files.iter().any(|(name, _)| is_ours(name)) {
            return Err(JournalError::NoLog { dir: dir.to_path_buf() });
        }
        DataDir::open(dir)
    }

    /// The files of the log and their lengths, in the order in which they can be removed: at each point
    /// of it the rest is a younger log or none, so that no id is ever given out again. The lock stays.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn files(&self) -> Result<Vec<(PathBuf, u64)>, JournalError> {
        let storage = DirStorage::new(&self.dir);
        let mut files = storage.list().map_err(JournalError::io("read", self.dir.clone()))?;
        files.retain(|(name, _)| is_ours(name));
        files.sort_by_cached_key(|(name, _)| {
            (name.starts_with(STAMP_FILE), parse_segment_name(name).is_none(), name.clone())
        });
        Ok(files.into_iter().map(|(name, len)| (storage.path(&name), len)).collect())
    }

    /// Removes these files, for good when it returns.
    ///
    /// # Errors
    /// When one cannot be removed: those before it are gone then.
    pub fn remove(&self, files: &[(PathBuf, u64)]) -> Result<(), JournalError> {
        for (path, _) in files {
            fs::remove_file(path).map_err(JournalError::io("remove", path.clone()))?;
        }
        DirStorage::new(&self.dir).sync_dir().map_err(JournalError::io("sync", self.dir.clone()))
    }

    /// Where it is: the journal's files are in it.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Whose log it is; none in a new directory.
    ///
    /// # Errors
    /// When the stamp cannot be read, or is missing beside a log.
    pub fn stamp(&self) -> Result<Option<Stamp>, JournalError> {
        let stamp = read_stamp(&self.dir)?;
        let segments = self.files()?.iter().any(|(path, _)| {
            path.file_name().and_then(|name| parse_segment_name(name.to_str()?)).is_some()
        });
        match stamp {
            // It is written before anything else is.
            None if segments => Err(JournalError::Missing {
                path: self.dir.join(STAMP_FILE),
                what: STAMP_MISSING.to_owned(),
            }),
            stamp => Ok(stamp),
        }
    }

    /// Says whose log it is from now on.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_stamp(&self, stamp: &Stamp) -> Result<(), JournalError> {
        write_stamp(&self.dir, stamp)
    }

    /// Refuses a directory that holds the log of another execution mode, venue or account.
    ///
    /// # Errors
    /// The first difference, and what to do.
    pub fn check_owner(&self, stored: &Stamp, wanted: &Stamp) -> Result<(), JournalError> {
        self.same("execution mode", &stored.execution_mode, &wanted.execution_mode)?;
        self.same("venue", &stored.venue, &wanted.venue)?;
        self.same("account", &stored.account, &wanted.account)
    }

    /// Refuses another market source: for use while orders are open.
    ///
    /// # Errors
    /// When it differs.
    pub fn check_market_source(&self, stored: &Stamp, wanted: &Stamp) -> Result<(), JournalError> {
        if stored.market_source == wanted.market_source {
            return Ok(());
        }
        Err(JournalError::OpenOrders {
            dir: self.dir.clone(),
            stored: stored.market_source.clone(),
            wanted: wanted.market_source.clone(),
        })
    }

    fn same(&self, field: &'static str, stored: &str, wanted: &str) -> Result<(), JournalError> {
        if stored == wanted {
            return Ok(());
        }
        let (stored, wanted) = (stored.to_owned(), wanted.to_owned());
        Err(JournalError::OtherStamp { dir: self.dir.clone(), field, stored, wanted })
    }
}

/// Whose log it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stamp {
    /// The version of the journal's format.
    pub format_version: u32,
    /// `sim_engine`, `binance_spot`, …
    pub execution_mode: String,
    /// The venue's address; empty for the built-in one.
    pub venue: String,
    /// Which account there, never a secret; empty for the built-in one.
    pub account: String,
    /// `sim`, `replay`, …
    pub market_source: String,
    /// Which log it is. Earlier versions wrote none.
    #[serde(default)]
    pub log: Lineage,
}

impl Stamp {
    /// A stamp of this program's format.
    pub fn new(execution_mode: &str, venue: &str, account: &str, market_source: &str) -> Stamp {
        Stamp {
            format_version: FORMAT_VERSION,
            execution_mode: execution_mode.to_owned(),
            venue: venue.to_owned(),
            account: account.to_owned(),
            market_source: market_source.to_owned(),
            log: Lineage::default(),
        }
    }
}

pub(super) fn read_stamp(dir: &Path) -> Result<Option<Stamp>, JournalError> {
    let path = dir.join(STAMP_FILE);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(JournalError::io("read", path)(error)),
    };
    let damaged = |what| JournalError::Damaged { path: path.clone(), offset: 0, what };
    let none = |error| damaged(format!("it is not a stamp: {error}"));
    let mut fields: Map<String, Value> = serde_json::from_slice(&bytes).map_err(none)?;
    let version = fields.get("format_version").and_then(Value::as_u64);
    if let Some(found) = version.filter(|version| *version > FORMAT_VERSION.into()) {
        let found = u32::try_from(found).unwrap_or(u32::MAX);
        return Err(JournalError::Version { path, found, known: FORMAT_VERSION });
    }
    // Earlier versions wrote none.
    let written = fields.remove(CHECKSUM);
    let stamp: Stamp = serde_json::from_value(Value::Object(fields)).map_err(none)?;
    if written.is_some_and(|written| written != checksum(&stamp)) {
        return Err(damaged("the checksum does not match".to_owned()));
    }
    Ok(Some(stamp))
}

/// What is wrong with the stamp beside a log, if anything is.
pub fn stamp_problem(dir: &Path) -> Option<Problem> {
    let path = dir.join(STAMP_FILE);
    match read_stamp(dir) {
        Ok(Some(_)) => None,
        Ok(None) => {
            Some(Problem { path, offset: 0, what: format!("it is missing: {STAMP_MISSING}") })
        }
        Err(error) => Some(Problem::of(&error, &path)),
    }
}

/// The checksum of what a stamp says.
fn checksum(stamp: &Stamp) -> Value {
    let said = serde_json::to_value(stamp).and_then(|fields| serde_json::to_vec(&fields));
    // A stamp is texts and numbers, which JSON has words for.
    said.map(|said| crc32c::crc32c(&said).into()).unwrap_or_default()
}

pub(super) fn write_stamp(dir: &Path, stamp: &Stamp) -> Result<(), JournalError> {
    let path = dir.join(STAMP_TEMPORARY_FILE);
    let io = |action| JournalError::io(action, path.clone());
    let mut fields = serde_json::to_value(stamp).map_err(io::Error::from).map_err(io("write"))?;
    if let Some(fields) = fields.as_object_mut() {
        fields.insert(CHECKSUM.to_owned(), checksum(stamp));
    }
    let json = serde_json::to_vec_pretty(&fields).map_err(io::Error::from).map_err(io("write"))?;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(FILE_MODE);
    let mut file = options.open(&path).map_err(io("write"))?;
    file.write_all(&json).map_err(io("write"))?;
    file.sync_all().map_err(io("sync"))?;
    fs::rename(&path, dir.join(STAMP_FILE)).map_err(io("rename"))?;
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(JournalError::io("sync", dir.to_path_buf()))
}

/// From here on it is another log than the one that had events behind `newest`: the next start gives it an id.
pub(super) fn fork_stamp(from: &Path, to: &Path, newest: EventId) -> Result<(), JournalError> {
    match read_stamp(from)? {
        Some(stamp) => write_stamp(to, &Stamp { log: stamp.log.fork(newest), ..stamp }),
        None => Ok(()),
    }
}

/// The error of a directory that cannot be made or written; a full disk keeps its own.
fn unusable(dir: &Path) -> impl FnOnce(io::Error) -> JournalError {
    let dir = dir.to_path_buf();
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            JournalError::Full { dir, source }
        }
        // What is there under that name is a file.
        io::ErrorKind::AlreadyExists => {
            JournalError::Unusable { dir, source: io::ErrorKind::NotADirectory.into() }
        }
        _ => JournalError::Unusable { dir, source },
    }
}

/// Makes a directory for its owner only.
pub(super) fn make_dir(dir: &Path, recursive: bool) -> io::Result<()> {
    DirBuilder::new().recursive(recursive).mode(DIR_MODE).create(dir)
}

/// Whether a file is the journal's: a segment or a snapshot, what was cut from one or is half made, the
/// archive, the stamp.
fn is_ours(name: &str) -> bool {
    let of_the_log = name.split_once('.').is_some_and(|(digits, kind)| {
        parse_id_name(digits, "").is_some()
            && ["vlz", "snap"].iter().any(|known| kind.split('.').next() == Some(*known))
    });
    of_the_log || [STAMP_FILE, STAMP_TEMPORARY_FILE, RECORDS_FILE, NAMES_FILE].contains(&name)
}

/// Who has the lock. It is only a help: the lock itself is the answer.
fn read_pid(file: &mut File) -> String {
    let mut pid = String::new();
    let read = file.read_to_string(&mut pid);
    match (read, pid.trim()) {
        (Ok(_), pid) if !pid.is_empty() => pid.to_owned(),
        _ => "unknown".to_owned(),
    }
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{}", std::process::id())
}
