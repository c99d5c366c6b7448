//! What the store asks of a disk. Two implementations: [`RealDisk`], and [`MemoryDisk`], which can lose power, tear writes and
//! fail, by seed. What goes by it goes in simulations too; only a checkpoint's database and the tools beside a running store
//! (`offline`) use files of their own.
//!
//! The trait promises as little as POSIX does: a write is durable after [`DiskFile::sync`] returned without an error, a
//! created, renamed or removed name after [`Disk::sync_dir`]; until then any part of it, by sectors of 512 bytes, may
//! survive a loss of power. After a failed sync nothing is known, which is why nobody retries one.

mod gone;
mod memory;
mod real;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::io;
use std::path::Path;

pub use memory::MemoryDisk;
pub use real::RealDisk;

/// The unit that a disk writes whole.
pub const SECTOR: usize = 512;

/// A file system, as far as the store needs one.
pub trait Disk: Send + Sync + 'static {
    /// Creates a directory and its parents; not an error if it exists.
    ///
    /// # Errors
    /// Any I/O error.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// The names in a directory, in no order.
    ///
    /// # Errors
    /// Any I/O error.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// Any I/O error.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Creates an empty file, or empties the one that is there.
    ///
    /// # Errors
    /// Any I/O error.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Renames a file over another name.
    ///
    /// # Errors
    /// Any I/O error.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file, or a directory with everything in it. The name is gone; of what is large the room may come a little later.
    ///
    /// # Errors
    /// Any I/O error.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// Any I/O error.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// The path at which the operating system has this file or directory; `None`: it does not have it. Other programs' code
    /// (sled) can keep files only where there is one.
    fn native<'a>(&self, path: &'a Path) -> Option<&'a Path> {
        let _ = path;
        None
    }

    /// Takes the lock of a path for as long as the value lives; `None` if another holds it.
    ///
    /// # Errors
    /// Any I/O error.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Any + Send>>>;
}

/// What can be read at any place: an open file, or what passes for one.
pub trait ReadAt {
    /// Its size.
    ///
    /// # Errors
    /// Any I/O error.
    fn size(&self) -> io::Result<u64>;

    /// Reads up to `buffer.len()` bytes at `offset`; less only at the end of the file.
    ///
    /// # Errors
    /// Any I/O error.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

/// An open file. One writer at a time.
pub trait DiskFile: ReadAt + Send {
    /// Writes all of `data` at `offset`.
    ///
    /// # Errors
    /// Any I/O error; a part may have been written.
    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()>;

    /// Cuts the file, or extends it with zeros.
    ///
    /// # Errors
    /// Any I/O error.
    fn set_size(&mut self, size: u64) -> io::Result<()>;

    /// Finds the first `size` bytes of the file their place on the disk, so that writing them later cannot fail for want of
    /// room; the size stays. A file system that cannot do this succeeds, and promises nothing.
    ///
    /// # Errors
    /// Any I/O error, `StorageFull` among them.
    fn allocate(&mut self, size: u64) -> io::Result<()>;

    /// Whether what has its place keeps it when it is written, and written again. Where writing copies (btrfs, ZFS), or nothing
    /// can be reserved, it is not so.
    fn writes_in_place(&self) -> bool {
        false
    }

    /// Makes content and size durable (`fdatasync`).
    ///
    /// # Errors
    /// Any I/O error: then nothing is known about any write since the last sync.
    fn sync(&mut self) -> io::Result<()>;
}

/// Reads a whole file.
///
/// # Errors
/// Any I/O error.
pub fn read_all(file: &dyn ReadAt) -> io::Result<Vec<u8>> {
    let size = usize::try_from(file.size()?).map_err(io::Error::other)?;
    let mut content = vec![0; size];
    let mut done = 0;
    while done < size {
        let read = file.read_at(done as u64, &mut content[done..])?;
        if read == 0 {
            content.truncate(done);
            break;
        }
        done += read;
    }
    Ok(content)
}
