//! A disk that lies: what a file system may do to a program that did not sync, and a disk to a file system.
//!
//! Files have two sides: what a read sees (the page cache) and what is on the platter. A sync carries blocks
//! over. When the process is killed all that was written stays; when the power goes, of the blocks that were
//! not synced any may be there or not, and so of lengths and names. A failed sync forgets which blocks were
//! dirty, as Linux does: a later one does not bring them to the platter.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use fastrand::Rng;
use veloz::journal::{Storage, StorageFile};

use crate::file::{BLOCK_BYTES, File};

/// What a call of the storage does, for the faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Read,
    Write,
    Sync,
    Name,
}

/// What goes wrong, until it is changed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    /// How likely a call of that kind fails, in a thousand.
    pub(crate) read_fails: u32,
    pub(crate) write_fails: u32,
    pub(crate) sync_fails: u32,
    pub(crate) name_fails: u32,
    /// The bytes that all files together may have.
    pub(crate) capacity: Option<usize>,
    /// The process dies in the call after so many more that change something.
    pub(crate) dies_after: Option<u64>,
    /// Planted: a sync says that it is done, and does nothing.
    pub(crate) syncs_lie: bool,
    /// Planted: a cut of a file's length says that all of it is on the platter, and brings nothing there.
    pub(crate) cuts_lie: bool,
    /// Planted: a sync of the archive says that it is done, and does nothing.
    pub(crate) archive_syncs_lie: bool,
    /// Planted: so many in a thousand writes say that they are done, and do nothing.
    pub(crate) writes_lie: u32,
}

impl Faults {
    /// Whether nothing goes wrong but what is planted.
    pub(crate) fn is_calm(&self) -> bool {
        [self.read_fails, self.write_fails, self.sync_fails, self.name_fails] == [0; 4]
            && self.capacity.is_none()
            && self.dies_after.is_none()
    }
}

/// The disk. It outlives the processes that use it.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    state: Arc<Mutex<Platters>>,
}

#[derive(Debug, Clone)]
struct Platters {
    rng: Rng,
    faults: Faults,
    /// Of the process that may use it; a handle of another one is dead.
    process: u64,
    alive: bool,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Changes of names that no sync of the directory has brought to the platter.
    name_changes: Vec<NameChange>,
    files: Vec<File>,
    /// A check is looking: no fault hits it, and a dead process's handles still read.
    looking: bool,
    traced: bool,
}

#[derive(Debug, Clone)]
enum NameChange {
    Made { name: String, file: usize },
    Renamed { from: String, to: String, file: usize },
    Removed { name: String },
}

impl Disk {
    pub(crate) fn new(seed: u64) -> Disk {
        let state = Platters {
            rng: Rng::with_seed(seed),
            faults: Faults::default(),
            process: 0,
            alive: true,
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            name_changes: Vec::new(),
            files: Vec::new(),
            looking: false,
            traced: std::env::var_os("SIM_TRACE").is_some(),
        };
        Disk { state: Arc::new(Mutex::new(state)) }
    }

    /// The storage of a new process; every handle of the one before is dead.
    pub(crate) fn storage(&self) -> Arc<dyn Storage> {
        let mut state = self.lock();
        state.process += 1;
        state.alive = true;
        Arc::new(SimStorage { disk: self.clone(), process: state.process })
    }

    /// The same disk, to try something on it: without faults, and what is done there changes nothing here.
    pub(crate) fn fork(&self) -> Disk {
        let state = self.lock();
        let named = |(at, file): (usize, &File)| match state.names.values().any(|n| *n == at) {
            true => file.clone(),
            false => File::default(),
        };
        let copy = Platters {
            rng: state.rng.clone(),
            faults: Faults::default(),
            process: state.process,
            alive: state.alive,
            names: state.names.clone(),
            durable_names: state.names.clone(),
            name_changes: Vec::new(),
            files: state.files.iter().enumerate().map(named).collect(),
            looking: false,
            traced: false,
        };
        Disk { state: Arc::new(Mutex::new(copy)) }
    }

    pub(crate) fn set_faults(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    pub(crate) fn faults(&self) -> Faults {
        self.lock().faults.clone()
    }

    /// Whether the process that uses it has died in a call.
    pub(crate) fn is_dead(&self) -> bool {
        !self.lock().alive
    }

    /// The process is killed: what it wrote stays.
    pub(crate) fn kill(&self) {
        self.lock().alive = false;
    }

    /// The power goes.
    pub(crate) fn cut_power(&self) {
        let mut state = self.lock();
        state.trace(|| "the power goes".to_owned());
        state.alive = false;
        let state = &mut *state;
        for file in &mut state.files {
            file.lose_power(&mut state.rng);
        }
        let in_order = state.rng.bool();
        let keep = state.rng.usize(0..=state.name_changes.len());
        for (at, change) in std::mem::take(&mut state.name_changes).into_iter().enumerate() {
            if if in_order { at < keep } else { state.rng.bool() } {
                change.apply(&mut state.durable_names);
            }
        }
        state.names = state.durable_names.clone();
    }

    /// Files by name, as a read sees them.
    pub(crate) fn image(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.lock();
        let file = |(name, file): (&String, &usize)| Some((name.clone(), state.files.get(*file)?));
        let files = state.names.iter().filter_map(file);
        files.map(|(name, file)| (name, file.cached.clone())).collect()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes()
    }

    /// Looks at the disk, for a check: nothing fails meanwhile.
    pub(crate) fn look<T>(&self, look: impl FnOnce() -> T) -> T {
        self.lock().looking = true;
        let result = look();
        self.lock().looking = false;
        result
    }

    /// Changes bytes of a file on the platter, behind everybody's back.
    pub(crate) fn tamper(&self, name: &str, change: impl Fn(&mut Vec<u8>)) {
        let mut state = self.lock();
        let Some(&file) = state.names.get(name) else { return };
        if let Some(file) = state.files.get_mut(file) {
            change(&mut file.cached);
            change(&mut file.durable);
        }
    }

    /// Removes a file, for good.
    pub(crate) fn remove(&self, name: &str) {
        let mut state = self.lock();
        state.names.remove(name);
        state.durable_names.remove(name);
    }

    fn lock(&self) -> MutexGuard<'_, Platters> {
        self.state.lock().expect("no one panics with it held")
    }
}

impl Platters {
    fn bytes(&self) -> usize {
        self.names.values().filter_map(|file| self.files.get(*file)).map(File::space).sum()
    }

    /// Whether a call may do its work. A dying one does a part of it.
    fn enter(&mut self, process: u64, call: Call) -> Result<Turn, io::Error> {
        if self.looking && call == Call::Read {
            return Ok(Turn::Whole);
        }
        if !self.alive || self.process != process {
            return Err(io::Error::other("the process is dead"));
        }
        if call != Call::Read
            && let Some(left) = &mut self.faults.dies_after
        {
            if *left == 0 {
                self.faults.dies_after = None;
                self.alive = false;
                return Ok(Turn::Dying);
            }
            *left -= 1;
        }
        let likely = match call {
            Call::Read => self.faults.read_fails,
            Call::Write => self.faults.write_fails,
            Call::Sync => self.faults.sync_fails,
            Call::Name => self.faults.name_fails,
        };
        if likely > 0 && self.rng.u32(0..1000) < likely {
            return Ok(Turn::Failing);
        }
        Ok(Turn::Whole)
    }

    fn trace(&self, what: impl FnOnce() -> String) {
        if self.traced && !self.looking {
            eprintln!("  {}", what());
        }
    }

    fn file(&mut self, file: usize) -> io::Result<&mut File> {
        self.files.get_mut(file).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn find(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn change_name(&mut self, change: NameChange) {
        self.trace(|| format!("{change:?}"));
        change.apply(&mut self.names);
        self.name_changes.push(change);
    }

    /// Does a change of names: all of it, or (dying) perhaps.
    fn name_call(&mut self, process: u64, change: NameChange) -> io::Result<()> {
        match self.enter(process, Call::Name)? {
            Turn::Whole => {
                self.change_name(change);
                Ok(())
            }
            Turn::Failing => Err(broken()),
            Turn::Dying => {
                if self.rng.bool() {
                    self.change_name(change);
                }
                Err(broken())
            }
        }
    }
}

/// How much of its work a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Whole,
    Failing,
    Dying,
}

fn broken() -> io::Error {
    io::Error::from_raw_os_error(5)
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            NameChange::Made { name, file } => {
                names.insert(name.clone(), *file);
            }
            NameChange::Renamed { from, to, file } => {
                if names.get(from) == Some(file) {
                    names.remove(from);
                }
                names.insert(to.clone(), *file);
            }
            NameChange::Removed { name } => {
                names.remove(name);
            }
        }
    }
}

#[derive(Debug)]
struct SimStorage {
    disk: Disk,
    process: u64,
}

impl SimStorage {
    fn handle(&self, file: usize) -> Arc<dyn StorageFile> {
        Arc::new(SimFile { disk: self.disk.clone(), process: self.process, file })
    }

    fn open_file(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        let mut state = self.disk.lock();
        match state.enter(self.process, Call::Read)? {
            Turn::Whole => Ok(self.handle(state.find(name)?)),
            Turn::Failing | Turn::Dying => Err(broken()),
        }
    }
}

impl Storage for SimStorage {
    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("/disk").join(name)
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut state = self.disk.lock();
        if state.enter(self.process, Call::Read)? != Turn::Whole {
            return Err(broken());
        }
        let len = |file: &usize| state.files.get(*file).map_or(0, |file| file.cached.len());
        let files = state.names.iter();
        Ok(files.map(|(name, file)| (name.clone(), to_u64(len(file)))).collect())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        self.open_file(name)
    }

    fn open_for_write(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        self.open_file(name)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        let mut state = self.disk.lock();
        let file = state.files.len();
        state.files.push(File::default());
        state.name_call(self.process, NameChange::Made { name: name.to_owned(), file })?;
        Ok(self.handle(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.disk.lock();
        let file = state.find(from)?;
        let change = NameChange::Renamed { from: from.to_owned(), to: to.to_owned(), file };
        state.name_call(self.process, change)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.find(name)?;
        state.name_call(self.process, NameChange::Removed { name: name.to_owned() })
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.disk.lock();
        let turn = state.enter(self.process, Call::Sync)?;
        if turn == Turn::Whole {
            if !state.faults.syncs_lie {
                state.name_changes.clear();
                state.durable_names = state.names.clone();
            }
            return Ok(());
        }
        Err(broken())
    }
}

#[derive(Debug)]
struct SimFile {
    disk: Disk,
    process: u64,
    file: usize,
}

impl StorageFile for SimFile {
    fn size(&self) -> io::Result<u64> {
        let mut state = self.disk.lock();
        match state.enter(self.process, Call::Read)? {
            Turn::Whole => Ok(to_u64(state.file(self.file)?.cached.len())),
            Turn::Failing | Turn::Dying => Err(broken()),
        }
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.lock();
        if state.enter(self.process, Call::Read)? != Turn::Whole {
            return Err(broken());
        }
        let cached = &state.file(self.file)?.cached;
        let there = cached.get(to_usize(offset)..).unwrap_or_default();
        let len = there.len().min(bytes.len());
        if let (Some(to), Some(from)) = (bytes.get_mut(..len), there.get(..len)) {
            to.copy_from_slice(from);
        }
        Ok(len)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.lock();
        let turn = state.enter(self.process, Call::Write)?;
        let lies = state.faults.writes_lie;
        if lies > 0 && state.rng.u32(0..1000) < lies {
            return Ok(());
        }
        let offset = to_usize(offset);
        let grows = (offset + bytes.len()).saturating_sub(state.file(self.file)?.space());
        let room = state.faults.capacity.map(|capacity| capacity.saturating_sub(state.bytes()));
        let short = room.filter(|room| *room < grows).map(|room| bytes.len() - (grows - room));
        let part = match turn {
            Turn::Whole => short.unwrap_or(bytes.len()),
            Turn::Failing | Turn::Dying => state.rng.usize(0..=short.unwrap_or(bytes.len())),
        };
        state.trace(|| format!("write {} at {offset}: {part} of {}", self.file, bytes.len()));
        state.file(self.file)?.write(bytes.get(..part).unwrap_or_default(), offset);
        match (turn, short) {
            (Turn::Whole, None) => Ok(()),
            (Turn::Whole, Some(_)) => Err(io::ErrorKind::StorageFull.into()),
            (Turn::Failing | Turn::Dying, _) => Err(broken()),
        }
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.lock();
        if state.enter(self.process, Call::Write)? != Turn::Whole {
            return Err(broken());
        }
        let len = to_usize(len);
        let grows = len.saturating_sub(state.file(self.file)?.space());
        if state.faults.capacity.is_some_and(|capacity| state.bytes() + grows > capacity) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        // It is megabytes: a few zeros of it are enough to look at.
        let zeros = [0, BLOCK_BYTES, 4 * BLOCK_BYTES, 20 * BLOCK_BYTES];
        let zeros = zeros.get(state.rng.usize(0..4)).copied().unwrap_or_default();
        let file = state.file(self.file)?;
        file.reserved = file.space().max(len);
        let old = file.cached.len();
        file.set_len(len.min(old + zeros).max(old));
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.lock();
        let turn = state.enter(self.process, Call::Sync)?;
        let cut = turn == Turn::Whole || state.rng.bool();
        state.trace(|| format!("cut {} to {len}: {turn:?}, {cut}", self.file));
        let state = &mut *state;
        let file = state.files.get_mut(self.file).ok_or(io::ErrorKind::NotFound)?;
        if cut {
            file.set_len(to_usize(len));
            file.reserved = 0;
        }
        let lies = state.faults.syncs_lie || state.faults.cuts_lie;
        file.sync_as(turn, lies, &mut state.rng)
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.lock();
        let turn = state.enter(self.process, Call::Sync)?;
        state.trace(|| format!("sync {}: {turn:?}", self.file));
        let state = &mut *state;
        let is_archive = state.names.get("orders.archive") == Some(&self.file);
        let lies = state.faults.syncs_lie || (is_archive && state.faults.archive_syncs_lie);
        let file = state.files.get_mut(self.file).ok_or(io::ErrorKind::NotFound)?;
        file.sync_as(turn, lies, &mut state.rng)
    }
}

impl File {
    /// What a sync does in such a turn.
    fn sync_as(&mut self, turn: Turn, lies: bool, rng: &mut Rng) -> io::Result<()> {
        match turn {
            Turn::Whole if lies => Ok(()),
            Turn::Whole => {
                self.sync();
                Ok(())
            }
            Turn::Failing => {
                self.fail_sync(rng);
                Err(broken())
            }
            Turn::Dying => Err(broken()),
        }
    }
}

fn to_u64(n: usize) -> u64 {
    u64::try_from(n).expect("fits")
}

fn to_usize(n: u64) -> usize {
    usize::try_from(n).expect("fits")
}
