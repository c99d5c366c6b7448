//! The disk of the operating system: plain files, `fdatasync`, `flock`.

use std::any::Any;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock};
use rustix::io::Errno;

use super::{Disk, DiskFile, ReadAt, gone};

/// Files below the paths that it is given. They hold secrets: 0600, directories 0700.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

struct RealFile(File);

/// File systems that write over what is there where it is: ext2 to ext4, XFS (include/uapi/linux/magic.h).
const IN_PLACE: [u32; 2] = [0xEF53, 0x5846_5342];

impl Disk for RealDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        if dir.is_dir() {
            return Ok(());
        }
        // Each new directory's own name must survive, not only the last one's.
        let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        self.create_dir(parent)?;
        match fs::DirBuilder::new().mode(0o700).create(dir) {
            Err(_) if dir.is_dir() => {}
            result => result?,
        }
        base::files::sync_dir(parent)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(RealFile(OpenOptions::new().read(true).write(true).open(path)?)))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(0o600);
        Ok(Box::new(RealFile(options.open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        gone::remove(path)
    }

    fn native<'a>(&self, path: &'a Path) -> Option<&'a Path> {
        Some(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        base::files::sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Any + Send>>> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl ReadAt for RealFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }
}

impl DiskFile for RealFile {
    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }

    fn set_size(&mut self, size: u64) -> io::Result<()> {
        self.0.set_len(size)
    }

    fn allocate(&mut self, size: u64) -> io::Result<()> {
        match fallocate(&self.0, FallocateFlags::KEEP_SIZE, 0, size) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            result => Ok(result?),
        }
    }

    fn writes_in_place(&self) -> bool {
        rustix::fs::fstatfs(&self.0).is_ok_and(|about| IN_PLACE.contains(&(about.f_type as u32)))
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::read_all;

    #[test]
    fn files_are_written_renamed_and_locked() {
        let dir = tempfile::tempdir().unwrap();
        let sub = dir.path().join("a/b");
        let disk = RealDisk;
        disk.create_dir(&sub).unwrap();
        disk.create_dir(&sub).unwrap();
        let mut file = disk.create(&sub.join("x.tmp")).unwrap();
        file.write_at(3, b"def").unwrap();
        file.sync().unwrap();
        disk.rename(&sub.join("x.tmp"), &sub.join("x")).unwrap();
        disk.sync_dir(&sub).unwrap();
        assert_eq!(disk.list(&sub).unwrap(), ["x"]);
        let mut file = disk.open(&sub.join("x")).unwrap();
        assert_eq!(read_all(&*file).unwrap(), b"\0\0\0def");
        file.set_size(4).unwrap();
        file.allocate(5000).unwrap();
        assert_eq!(read_all(&*file).unwrap(), b"\0\0\0d");

        let held = disk.lock(&sub.join("LOCK")).unwrap();
        assert!(held.is_some());
        assert!(disk.lock(&sub.join("LOCK")).unwrap().is_none());
        drop(held);
        assert!(disk.lock(&sub.join("LOCK")).unwrap().is_some());
    }
}
