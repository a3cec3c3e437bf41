//! The few things the journal asks of a file system, so that tests can lie about the disk.
//!
//! Contract: [`StorageFile::sync`] returns when what was written is on the disk;
//! [`StorageFile::set_len`] and [`Storage::sync_dir`] likewise. Everything else may be lost, or done in
//! another order, when the power goes.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A directory of files.
pub trait Storage: Debug + Send + Sync {
    /// Where that file is, for messages.
    fn path(&self, name: &str) -> PathBuf;

    /// The names of the files and their lengths, in any order.
    ///
    /// # Errors
    /// When the directory cannot be read.
    fn list(&self) -> io::Result<Vec<(String, u64)>>;

    /// Opens a file for reading.
    ///
    /// # Errors
    /// When it is not there or may not be read.
    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>>;

    /// Opens a file for reading and writing.
    ///
    /// # Errors
    /// When it is not there or may not be written.
    fn open_for_write(&self, name: &str) -> io::Result<Arc<dyn StorageFile>>;

    /// Makes an empty file, in the place of one that is there.
    ///
    /// # Errors
    /// When it cannot be made.
    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>>;

    /// Gives a file another name, in the place of one that has it.
    ///
    /// # Errors
    /// When it cannot be renamed.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// When it cannot be removed.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Brings names made, changed and removed to the disk.
    ///
    /// # Errors
    /// When the system reports that it failed.
    fn sync_dir(&self) -> io::Result<()>;

    /// Whether files can be made here, and how many bytes are free for them.
    ///
    /// # Errors
    /// Why none can be made: the directory is gone, or may not be written.
    fn free_bytes(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }

    /// Which file has that name; none where files have no identity.
    ///
    /// # Errors
    /// When it is not there.
    fn identity(&self, name: &str) -> io::Result<Option<Identity>> {
        let _ = name;
        Ok(None)
    }
}

/// Which file it is, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The device.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
    /// How many names it has: without one it ends with whoever has it open.
    pub links: u64,
}

/// An open file, used by any thread at any offset.
pub trait StorageFile: Debug + Send + Sync {
    /// Its length.
    ///
    /// # Errors
    /// When the system reports that it failed.
    fn size(&self) -> io::Result<u64>;

    /// Reads at an offset; fewer bytes than asked for only at the end of the file.
    ///
    /// # Errors
    /// When the system reports that it failed.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of it at an offset.
    ///
    /// # Errors
    /// When not all of it could be written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes the file that long, zeros at its end, with its space reserved.
    ///
    /// # Errors
    /// When there is no space.
    fn allocate(&self, len: u64) -> io::Result<()>;

    /// Cuts the file and brings all of it to the disk.
    ///
    /// # Errors
    /// When the system reports that it failed.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Brings what was written to the disk.
    ///
    /// # Errors
    /// When the system reports that it failed.
    fn sync(&self) -> io::Result<()>;

    /// Which file it is; none where files have no identity.
    ///
    /// # Errors
    /// When the system reports that it failed.
    fn identity(&self) -> io::Result<Option<Identity>> {
        Ok(None)
    }
}

/// A directory of the file system.
#[derive(Debug, Clone)]
pub struct DirStorage {
    dir: PathBuf,
}

impl DirStorage {
    /// The directory must be there.
    pub fn new(dir: &Path) -> DirStorage {
        DirStorage { dir: dir.to_path_buf() }
    }
}

impl Storage for DirStorage {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            match entry.metadata() {
                Ok(meta) if meta.is_file() => files.push((name, meta.len())),
                Ok(_) => {}
                // Removed since the directory was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(files)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        Ok(Arc::new(DirFile(File::open(self.path(name))?)))
    }

    fn open_for_write(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        let file = OpenOptions::new().read(true).write(true).open(self.path(name))?;
        Ok(Arc::new(DirFile(file)))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(Arc::new(DirFile(options.open(self.path(name))?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        use rustix::fs::Access;
        rustix::fs::access(&self.dir, Access::WRITE_OK | Access::EXEC_OK)?;
        let stat = rustix::fs::statvfs(&self.dir)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn identity(&self, name: &str) -> io::Result<Option<Identity>> {
        let meta = fs::metadata(self.path(name))?;
        Ok(Some(Identity { device: meta.dev(), inode: meta.ino(), links: meta.nlink() }))
    }
}

#[derive(Debug)]
struct DirFile(File);

impl DirFile {
    /// Makes the file that long with zeros at its end.
    fn write_zeros(&self, len: u64) -> io::Result<()> {
        static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        let mut at = self.size()?;
        while at < len {
            let step = usize::try_from(len - at).unwrap_or(usize::MAX).min(ZEROS.len());
            self.write_at(ZEROS.get(..step).unwrap_or_default(), at)?;
            at = at.saturating_add(super::format::len_u64(step));
        }
        Ok(())
    }
}

impl StorageFile for DirFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let at = offset.saturating_add(super::format::len_u64(done));
            match FileExt::read_at(&self.0, rest, at) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        // From the start: a file that was copied may have holes where space was reserved.
        let flags = rustix::fs::FallocateFlags::empty();
        match rustix::fs::fallocate(&self.0, flags, 0, len) {
            // Not every file system can reserve space. Zeros do as well, for more work.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => self.write_zeros(len),
            other => other.map_err(io::Error::from),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)?;
        self.0.sync_all()
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn identity(&self) -> io::Result<Option<Identity>> {
        identity_of(&self.0).map(Some)
    }
}

/// It is asked between appends, and only for what is needed: the next write to a file whose times somebody
/// has seen has to change them, which takes longer than the question.
#[cfg(target_os = "linux")]
fn identity_of(file: &File) -> io::Result<Identity> {
    use rustix::fs::{AtFlags, StatxFlags, makedev, statx};
    let wanted = StatxFlags::INO | StatxFlags::NLINK;
    match statx(file, c"", AtFlags::EMPTY_PATH, wanted) {
        Ok(seen) => Ok(Identity {
            device: makedev(seen.stx_dev_major, seen.stx_dev_minor),
            inode: seen.stx_ino,
            links: seen.stx_nlink.into(),
        }),
        // An old container may not allow it.
        Err(rustix::io::Errno::NOSYS) => identity_by_stat(file),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn identity_of(file: &File) -> io::Result<Identity> {
    identity_by_stat(file)
}

fn identity_by_stat(file: &File) -> io::Result<Identity> {
    let meta = file.metadata()?;
    Ok(Identity { device: meta.dev(), inode: meta.ino(), links: meta.nlink() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_is_reserved_one_way_or_the_other() {
        let dir = tempfile::tempdir().unwrap();
        let storage = DirStorage::new(dir.path());
        for name in ["fallocate", "zeros"] {
            storage.create(name).unwrap().write_at(b"data", 0).unwrap();
            let options = OpenOptions::new().read(true).write(true).open(dir.path().join(name));
            let file = DirFile(options.unwrap());
            match name {
                "zeros" => file.write_zeros(200_000).unwrap(),
                _ => file.allocate(200_000).unwrap(),
            }
            let bytes = fs::read(dir.path().join(name)).unwrap();
            assert_eq!((bytes.len(), &bytes[..4]), (200_000, &b"data"[..]), "{name}");
            assert!(bytes[4..].iter().all(|&byte| byte == 0), "{name}");
            let blocks = fs::metadata(dir.path().join(name)).unwrap().blocks();
            assert!(blocks * 512 >= 200_000, "{name}: {blocks} blocks");
        }
    }
}
