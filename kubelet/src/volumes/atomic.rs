//! Puts the files of a volume in place at once, in upstream's layout (pkg/volume/util/atomic_writer.go).
//!
//! Worked example with files `a` and `d/e`:
//! ```text
//! ..2026_11_20_10_00_00.000000001/a        the files themselves
//! ..2026_11_20_10_00_00.000000001/d/e
//! ..data -> ..2026_11_20_10_00_00.000000001
//! a -> ..data/a                            what containers open
//! d -> ..data/d
//! ```
//! An update writes a new directory and renames a new `..data` over the old one.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::Path;

use jiff::Timestamp;

use super::payload::Payload;

const DATA: &str = "..data";
const NEW_DATA: &str = "..data_tmp";

/// Makes `volume` hold exactly `files`. Returns whether anything changed.
///
/// # Errors
/// I/O errors; the old files then still stand.
pub fn write(volume: &Path, files: &Payload, now: Timestamp) -> io::Result<bool> {
    fs::create_dir_all(volume)?;
    if present(volume, files)? {
        return Ok(false);
    }
    let old = fs::read_link(volume.join(DATA)).ok();
    let fresh = fresh_directory(volume, now)?;
    for (path, file) in files {
        let target = volume.join(&fresh).join(path);
        if let Some(parent) = target.parent() {
            DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
        }
        fs::write(&target, &file.data)?;
        // Set apart from creating: the umask must not take anything away.
        fs::set_permissions(&target, Permissions::from_mode(file.mode))?;
    }
    let temporary = volume.join(NEW_DATA);
    let _ = fs::remove_file(&temporary);
    symlink(&fresh, &temporary)?;
    fs::rename(&temporary, volume.join(DATA))?;
    link_names(volume, files)?;
    if let Some(old) = old {
        fs::remove_dir_all(volume.join(old)).or_else(ignore_missing)?;
    }
    Ok(true)
}

fn ignore_missing(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// A new directory named after the time, as upstream names it.
fn fresh_directory(volume: &Path, now: Timestamp) -> io::Result<String> {
    let time = now.to_zoned(jiff::tz::TimeZone::UTC).strftime("..%Y_%m_%d_%H_%M_%S").to_string();
    for attempt in 0..u32::MAX {
        let nanos = u32::try_from(now.subsec_nanosecond()).unwrap_or(0).wrapping_add(attempt);
        let name = format!("{time}.{nanos:09}");
        match DirBuilder::new().mode(0o755).create(volume.join(&name)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => return result.map(|()| name),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "no free name for the new files"))
}

fn top(path: &str) -> &str {
    path.split('/').next().unwrap_or(path)
}

/// Links each name of the first level into `..data`, and removes links whose files are gone.
fn link_names(volume: &Path, files: &Payload) -> io::Result<()> {
    let wanted: BTreeSet<&str> = files.keys().map(|path| top(path)).collect();
    for name in &wanted {
        let link = volume.join(name);
        if fs::symlink_metadata(&link).is_err() {
            symlink(Path::new(DATA).join(name), &link)?;
        }
    }
    for entry in fs::read_dir(volume)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with("..") && !wanted.contains(name.as_ref()) {
            fs::remove_file(entry.path()).or_else(ignore_missing)?;
        }
    }
    Ok(())
}

/// Whether the volume already holds exactly these files.
fn present(volume: &Path, files: &Payload) -> io::Result<bool> {
    let data = volume.join(DATA);
    if fs::symlink_metadata(&data).is_err() {
        return Ok(false);
    }
    let mut count = 0;
    let mut pending = vec![fs::canonicalize(&data)?];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() { pending.push(entry.path()) } else { count += 1 }
        }
    }
    let same = |(path, file): (&String, &super::payload::File)| {
        let found = data.join(path);
        let mode = fs::metadata(&found).map(|m| m.permissions().mode() & 0o7777);
        // A group of the pod may have been given more rights since.
        mode.is_ok_and(|mode| mode & file.mode == file.mode) && fs::read(&found).is_ok_and(|data| data == file.data)
    };
    Ok(count == files.len() && files.iter().all(same) && files.keys().all(|p| volume.join(top(p)).exists()))
}

#[cfg(test)]
mod tests {
    use super::super::payload::File;
    use super::*;

    fn files(list: &[(&str, &str)]) -> Payload {
        list.iter().map(|(p, d)| (p.to_string(), File { data: d.as_bytes().to_vec(), mode: 0o640 })).collect()
    }

    fn listing(volume: &Path) -> Vec<String> {
        let names = fs::read_dir(volume).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|n| n == DATA || !n.starts_with("..")).collect();
        names.sort();
        names
    }

    #[test]
    fn writes_updates_and_removes() {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::UNIX_EPOCH;
        assert!(write(dir.path(), &files(&[("a", "1"), ("d/e", "2")]), now).unwrap());
        assert_eq!(listing(dir.path()), ["..data", "a", "d"]);
        assert_eq!(fs::read_to_string(dir.path().join("d/e")).unwrap(), "2");
        assert_eq!(fs::metadata(dir.path().join("a")).unwrap().permissions().mode() & 0o777, 0o640);
        let first = fs::read_link(dir.path().join("..data")).unwrap();

        assert!(!write(dir.path(), &files(&[("a", "1"), ("d/e", "2")]), now).unwrap(), "nothing changed");
        assert_eq!(fs::read_link(dir.path().join("..data")).unwrap(), first);

        assert!(write(dir.path(), &files(&[("a", "3"), ("b", "4")]), now).unwrap());
        assert_eq!(listing(dir.path()), ["..data", "a", "b"]);
        assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "3");
        assert!(!dir.path().join(first).exists());

        assert!(write(dir.path(), &files(&[]), now).unwrap());
        assert_eq!(listing(dir.path()), ["..data"]);
        assert!(!write(dir.path(), &files(&[]), now).unwrap());
    }
}
