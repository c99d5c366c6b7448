//! What was removed, given back in steps. To free hundreds of megabytes at once is one large transaction of the file system's
//! journal, for which every sync waits, whatever its file: so the name goes at once, and what it named in the background.
//! Measured on ext4 (`discard`), the slowest of syncs of 4 KiB beside the removal of 300 MiB, in ms, four times: 119 to 227 at
//! once, 19 to 71 in these steps, 10 to 55 with nothing removed.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

/// Bytes that are given back at a time. What holds fewer is removed at once.
const STEP: u64 = 8 << 20;
/// Between two steps.
const REST: Duration = Duration::from_millis(10);

/// One at a time: steps of two would be larger ones.
static TURN: Mutex<()> = Mutex::new(());

/// Removes a file, or a directory with everything in it. If it is large the room it took is there a little later, for which it has
/// a name that ends in `.tmp`, as everything has that the next start may remove.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    if size(path)? < STEP {
        return at_once(path);
    }
    let gone = name(path);
    if fs::rename(path, &gone).is_err() {
        // No room for another name, perhaps.
        return at_once(path);
    }
    let left = gone.clone();
    let work = move || {
        let _turn = TURN.lock();
        match give_back(&gone, &mut 0) {
            // The next start was quicker.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(path = %gone.display(), %error, "what was removed takes room until the next start");
            }
            Ok(()) => {}
        }
    };
    match std::thread::Builder::new().name("store-gone".into()).spawn(work) {
        Ok(_) => Ok(()),
        Err(_) => at_once(&left),
    }
}

fn at_once(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

/// A name beside it that nothing has.
fn name(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!("gone-{}-{count}.tmp", std::process::id()))
}

/// Bytes of a file, or of everything in a directory.
fn size(path: &Path) -> io::Result<u64> {
    let about = fs::symlink_metadata(path)?;
    if !about.is_dir() {
        return Ok(about.len());
    }
    fs::read_dir(path)?.map(|entry| size(&entry?.path())).sum()
}

/// Removes it in steps. `step`: bytes that were given back since the last rest.
fn give_back(path: &Path, step: &mut u64) -> io::Result<()> {
    let about = fs::symlink_metadata(path)?;
    if about.is_dir() {
        for entry in fs::read_dir(path)? {
            give_back(&entry?.path(), step)?;
        }
        return fs::remove_dir(path);
    }
    // Under another name, as in a backup of links, it stays as it is.
    let mut left = if about.is_file() && about.nlink() == 1 { about.len() } else { 0 };
    while *step + left > STEP {
        left -= STEP - *step;
        fs::File::options().write(true).open(path)?.set_len(left)?;
        *step = 0;
        std::thread::sleep(REST);
    }
    *step += left;
    fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    /// A file of so many bytes, of which no sector is there.
    fn file(path: &Path, bytes: u64) {
        fs::File::create(path).unwrap().set_len(bytes).unwrap();
    }

    #[test]
    fn a_name_goes_at_once_and_the_rest_soon() {
        let dir = tempfile::tempdir().unwrap();
        let (one, many) = (dir.path().join("one"), dir.path().join("many"));
        file(&one, 3 * STEP + 1);
        fs::create_dir_all(many.join("inner")).unwrap();
        file(&many.join("large"), STEP);
        file(&many.join("inner/large"), 2 * STEP);
        file(&many.join("inner/small"), 1);
        std::os::unix::fs::symlink("/nowhere", many.join("inner/link")).unwrap();
        let turn = TURN.lock();
        remove(&one).unwrap();
        remove(&many).unwrap();
        let mut left = names(dir.path());
        left.retain(|name| !(name.starts_with("gone-") && name.ends_with(".tmp")));
        assert_eq!(left, Vec::<String>::new());
        assert_eq!(names(dir.path()).len(), 2);
        drop(turn);
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while !names(dir.path()).is_empty() {
            assert!(std::time::Instant::now() < deadline, "left: {:?}", names(dir.path()));
            std::thread::yield_now();
        }
    }

    #[test]
    fn another_name_keeps_what_it_names() {
        let dir = tempfile::tempdir().unwrap();
        let (one, backup) = (dir.path().join("one"), dir.path().join("backup"));
        file(&one, 3 * STEP);
        fs::hard_link(&one, &backup).unwrap();
        give_back(&one, &mut 0).unwrap();
        assert_eq!((one.exists(), fs::metadata(&backup).unwrap().len()), (false, 3 * STEP));
    }

    #[test]
    fn what_is_small_goes_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let (one, many) = (dir.path().join("one"), dir.path().join("many"));
        file(&one, STEP - 1);
        fs::create_dir(&many).unwrap();
        file(&many.join("small"), 1);
        let _turn = TURN.lock();
        remove(&one).unwrap();
        remove(&many).unwrap();
        assert_eq!(names(dir.path()), Vec::<String>::new());
        assert_eq!(remove(&one).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn steps_are_even() {
        let dir = tempfile::tempdir().unwrap();
        // (files, what is left of the last step)
        for (files, left) in [(&[1, 2][..], 3), (&[STEP], STEP), (&[STEP, 1], 1), (&[3 * STEP + 5], 5), (&[5, STEP], 5)]
        {
            let mut step = 0;
            for (at, bytes) in files.iter().enumerate() {
                let path = dir.path().join(at.to_string());
                file(&path, *bytes);
                give_back(&path, &mut step).unwrap();
                assert!(!path.exists());
            }
            assert_eq!(step, left, "{files:?}");
        }
    }
}
