//! A storage in memory that can fail, and lose what was not synced as a power cut does.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use veloz::journal::{Identity, Storage, StorageFile};

const PAGE_BYTES: usize = 512;

/// Files in memory.
#[derive(Debug, Default)]
pub(crate) struct MemoryStorage {
    files: Mutex<BTreeMap<String, Arc<MemoryFile>>>,
    faults: Arc<Mutex<Faults>>,
}

/// What goes wrong, and when.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    /// Bytes that still find space: a write that needs more is cut short.
    pub(crate) space_left: Option<usize>,
    /// Syncs fail.
    pub(crate) sync_fails: bool,
    /// Even cutting a file fails.
    pub(crate) cut_fails: bool,
    /// No more space can be reserved.
    pub(crate) is_full: bool,
    /// What is told to be free.
    pub(crate) free_bytes: Option<u64>,
    /// No file can be made.
    pub(crate) is_read_only: bool,
    /// What was open stands elsewhere now.
    pub(crate) is_moved: bool,
    /// What was open has no name any more.
    pub(crate) is_removed: bool,
}

#[derive(Debug, Default)]
struct MemoryFile {
    bytes: Mutex<Bytes>,
    faults: Arc<Mutex<Faults>>,
}

#[derive(Debug, Clone, Default)]
struct Bytes {
    /// What a read sees.
    cached: Vec<u8>,
    /// What the disk has.
    synced: Vec<u8>,
}

impl MemoryStorage {
    pub(crate) fn set_faults(&self, faults: Faults) {
        *lock(&self.faults) = faults;
    }

    /// The same files, as the end of the process leaves them.
    pub(crate) fn after_crash(&self) -> Arc<MemoryStorage> {
        self.copy(|bytes| bytes.cached.clone())
    }

    /// The same files, as a power cut leaves them: of what was not synced, any pages may be there.
    pub(crate) fn after_power_cut(&self, seed: u64) -> Arc<MemoryStorage> {
        let mut random = fastrand::Rng::with_seed(seed);
        self.copy(|bytes| {
            let mut kept = bytes.synced.clone();
            if random.bool() {
                kept.resize(bytes.cached.len(), 0);
            }
            for (at, page) in kept.chunks_mut(PAGE_BYTES).enumerate() {
                if random.bool() {
                    let cached = bytes.cached.get(at * PAGE_BYTES..).unwrap_or_default();
                    let len = page.len().min(cached.len());
                    page[..len].copy_from_slice(&cached[..len]);
                }
            }
            kept
        })
    }

    pub(crate) fn names(&self, suffix: &str) -> Vec<String> {
        lock(&self.files).keys().filter(|name| name.ends_with(suffix)).cloned().collect()
    }

    pub(crate) fn get(&self, name: &str) -> Vec<u8> {
        lock(&lock(&self.files)[name].bytes).cached.clone()
    }

    /// Puts a file there, on the disk.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        let file = MemoryFile {
            bytes: Mutex::new(Bytes { cached: bytes.to_vec(), synced: bytes.to_vec() }),
            faults: Arc::clone(&self.faults),
        };
        lock(&self.files).insert(name.to_owned(), Arc::new(file));
    }

    fn copy(&self, mut what: impl FnMut(&Bytes) -> Vec<u8>) -> Arc<MemoryStorage> {
        let copy = MemoryStorage::default();
        for (name, file) in &*lock(&self.files) {
            copy.put(name, &what(&lock(&file.bytes)));
        }
        Arc::new(copy)
    }

    fn find(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        match lock(&self.files).get(name) {
            Some(file) => Ok(Arc::clone(file) as Arc<dyn StorageFile>),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Storage for MemoryStorage {
    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("/memory").join(name)
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let files = lock(&self.files);
        Ok(files
            .iter()
            .map(|(name, file)| (name.clone(), lock(&file.bytes).cached.len() as u64))
            .collect())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        self.find(name)
    }

    fn open_for_write(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        self.find(name)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        if lock(&self.faults).is_read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        self.put(name, b"");
        self.find(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = lock(&self.files);
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        lock(&self.files).remove(name).map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let faults = lock(&self.faults);
        if faults.is_read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        Ok(if faults.is_full { 0 } else { faults.free_bytes.unwrap_or(u64::MAX) })
    }

    fn identity(&self, _: &str) -> io::Result<Option<Identity>> {
        let inode = u64::from(lock(&self.faults).is_moved);
        Ok(Some(Identity { device: 0, inode, links: 1 }))
    }
}

impl MemoryFile {
    fn sync_now(&self) {
        let mut bytes = lock(&self.bytes);
        bytes.synced = bytes.cached.clone();
    }
}

impl StorageFile for MemoryFile {
    fn size(&self) -> io::Result<u64> {
        Ok(lock(&self.bytes).cached.len() as u64)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let held = lock(&self.bytes);
        let there = held.cached.get(offset as usize..).unwrap_or_default();
        let len = there.len().min(bytes.len());
        bytes[..len].copy_from_slice(&there[..len]);
        Ok(len)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut faults = lock(&self.faults);
        let fits = faults.space_left.map_or(bytes.len(), |left| left.min(bytes.len()));
        if let Some(left) = &mut faults.space_left {
            *left -= fits;
        }
        let mut held = lock(&self.bytes);
        let end = offset as usize + fits;
        let len = held.cached.len().max(end);
        held.cached.resize(len, 0);
        held.cached[offset as usize..end].copy_from_slice(&bytes[..fits]);
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn identity(&self) -> io::Result<Option<Identity>> {
        let links = u64::from(!lock(&self.faults).is_removed);
        Ok(Some(Identity { device: 0, inode: 0, links }))
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        if lock(&self.faults).is_full && len as usize > lock(&self.bytes).cached.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        // A little ahead only: the tests look at all of a file.
        let mut held = lock(&self.bytes);
        let len = held.cached.len().max((len as usize).min(held.cached.len() + 2 * PAGE_BYTES));
        held.cached.resize(len, 0);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if lock(&self.faults).cut_fails {
            return Err(io::Error::other("cannot cut"));
        }
        lock(&self.bytes).cached.resize(len as usize, 0);
        self.sync()
    }

    fn sync(&self) -> io::Result<()> {
        if lock(&self.faults).sync_fails {
            return Err(io::Error::other("the disk is gone"));
        }
        self.sync_now();
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no test panics with a lock held")
}
