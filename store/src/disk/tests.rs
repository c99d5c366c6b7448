//! What every disk does, and what the one in memory does when it fails.

use std::path::{Path, PathBuf};

use super::*;

/// Runs on a real disk and on one in memory.
fn on_both(check: impl Fn(&dyn Disk, &Path)) {
    let dir = tempfile::tempdir().unwrap();
    RealDisk.create_dir(&dir.path().join("a/b/c")).unwrap();
    check(&RealDisk, &dir.path().join("a/b/c"));
    check(&MemoryDisk::new(), Path::new("/disk"));
}

fn content(disk: &dyn Disk, path: &Path) -> Option<Vec<u8>> {
    disk.open(path).ok().map(|file| read_all(&*file).unwrap())
}

#[test]
fn files_hold_what_is_written() {
    // (writes: where, bytes, how many; size; what is there)
    type Step = Result<(u64, u8, usize), u64>;
    let table: &[(&[Step], &[u8])] = &[
        (&[], b""),
        (&[Ok((0, b'a', 3))], b"aaa"),
        (&[Ok((2, b'a', 2))], b"\0\0aa"),
        (&[Ok((0, b'a', 4)), Ok((1, b'b', 2))], b"abba"),
        (&[Ok((0, b'a', 2)), Ok((2, b'b', 1))], b"aab"),
        (&[Ok((0, b'a', 4)), Err(2)], b"aa"),
        (&[Ok((0, b'a', 2)), Err(4)], b"aa\0\0"),
        (&[Ok((0, b'a', 4)), Err(1), Err(3)], b"a\0\0"),
        (&[Ok((0, b'a', 4)), Err(0), Ok((1, b'b', 1))], b"\0b"),
        (&[Ok((3, b'a', 0))], b""),
    ];
    on_both(|disk, dir| {
        let path = dir.join("file");
        for (steps, expected) in table {
            let mut file = disk.create(&path).unwrap();
            for step in *steps {
                match step {
                    Ok((at, byte, count)) => file.write_at(*at, &vec![*byte; *count]).unwrap(),
                    Err(size) => file.set_size(*size).unwrap(),
                }
                file.allocate(5000).unwrap();
            }
            file.sync().unwrap();
            assert_eq!(
                (file.size().unwrap(), content(disk, &path).as_deref()),
                (expected.len() as u64, Some(*expected))
            );
            let mut part = [9; 3];
            let read = file.read_at(1, &mut part).unwrap();
            assert_eq!(&part[..read], expected.get(1..).unwrap_or_default().get(..read).unwrap());
            assert_eq!(file.read_at(100, &mut part).unwrap(), 0, "behind the end there is nothing");
        }
    });
}

#[test]
fn names_are_made_changed_and_removed() {
    on_both(|disk, dir| {
        let names = || {
            let mut names = disk.list(dir).unwrap();
            names.sort();
            names.join(" ")
        };
        let at = |name: &str| dir.join(name);
        disk.create(&at("a")).unwrap().write_at(0, b"old").unwrap();
        disk.create(&at("b")).unwrap().write_at(0, b"new").unwrap();
        assert_eq!(names(), "a b");
        disk.rename(&at("b"), &at("a")).unwrap();
        assert_eq!((names().as_str(), content(disk, &at("a")).as_deref()), ("a", Some(&b"new"[..])), "over another");
        disk.create(&at("a")).unwrap();
        assert_eq!(content(disk, &at("a")).as_deref(), Some(&b""[..]), "made anew, it is empty");
        disk.remove(&at("a")).unwrap();
        disk.sync_dir(dir).unwrap();
        assert_eq!(names(), "");
        for missing in [disk.open(&at("a")).err(), disk.rename(&at("a"), &at("b")).err(), disk.remove(&at("a")).err()] {
            assert_eq!(missing.map(|error| error.kind()), Some(io::ErrorKind::NotFound));
        }
        let held = disk.lock(&at("LOCK")).unwrap();
        assert!(held.is_some() && disk.lock(&at("LOCK")).unwrap().is_none());
        drop(held);
        assert!(disk.lock(&at("LOCK")).unwrap().is_some());
    });
}

#[test]
fn directories_are_made_with_their_parents_and_removed_with_what_is_in_them() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("x/y/z");
    RealDisk.create_dir(&deep).unwrap();
    RealDisk.create_dir(&deep).unwrap();
    for made in ["x", "x/y", "x/y/z"] {
        let mode = std::fs::metadata(dir.path().join(made)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{made}");
    }
    drop(RealDisk.create(&deep.join("file")).unwrap());
    assert_eq!(std::fs::metadata(deep.join("file")).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(RealDisk.create_dir(&deep.join("file")).is_err() && RealDisk.create_dir(&deep.join("file/x")).is_err());
    RealDisk.remove(&dir.path().join("x")).unwrap();
    assert!(!dir.path().join("x").exists());
    assert_eq!((RealDisk.native(&deep), MemoryDisk::new().native(&deep)), (Some(&*deep), None));
}

const FILE: &str = "/disk/file";

/// A durable file of these bytes.
fn disk_with(bytes: &[u8]) -> (MemoryDisk, Box<dyn DiskFile>) {
    let disk = MemoryDisk::new();
    let mut file = disk.create(Path::new(FILE)).unwrap();
    file.write_at(0, bytes).unwrap();
    file.sync().unwrap();
    disk.sync_dir(Path::new("/disk")).unwrap();
    (disk, file)
}

/// What is there after losses of power of many kinds, each once.
fn outcomes(prepare: impl Fn() -> MemoryDisk) -> std::collections::BTreeSet<Option<Vec<u8>>> {
    let after = |seed| {
        let disk = prepare();
        disk.crash(seed);
        disk.clone().content(Path::new(FILE))
    };
    (0..200).map(after).collect()
}

#[test]
fn what_was_synced_survives_and_of_the_rest_any_part() {
    let some = |bytes: &[u8]| Some(bytes.to_vec());
    // A write that was not synced: by sectors, each or none.
    let found = outcomes(|| {
        let (disk, mut file) = disk_with(&[b'a'; 1024]);
        file.write_at(0, &[b'b'; 1024]).unwrap();
        disk
    });
    let half = |one: u8, other: u8| some(&[[one; 512], [other; 512]].concat());
    assert_eq!(found, [half(b'a', b'a'), half(b'a', b'b'), half(b'b', b'a'), half(b'b', b'b')].into());
    // Synced: all of it.
    let found = outcomes(|| {
        let (disk, mut file) = disk_with(b"old");
        file.write_at(0, b"new").unwrap();
        file.sync().unwrap();
        disk
    });
    assert_eq!(found, [some(b"new")].into());
    // A size that was not synced; a name that was not.
    let found = outcomes(|| {
        let (disk, mut file) = disk_with(b"1234");
        file.set_size(2).unwrap();
        disk
    });
    assert_eq!(found, [some(b"1234"), some(b"12")].into());
    let found = outcomes(|| {
        let disk = MemoryDisk::new();
        let mut file = disk.create(Path::new(FILE)).unwrap();
        file.write_at(0, b"x").unwrap();
        file.sync().unwrap();
        disk
    });
    assert_eq!(found, [None, some(b"x")].into(), "the file's name is not durable before its directory is");
    let found = outcomes(|| {
        let (disk, _) = disk_with(b"x");
        disk.remove(Path::new(FILE)).unwrap();
        disk
    });
    assert_eq!(found, [None, some(b"x")].into());
    // A disk that lies: nothing since then is certain.
    let found = outcomes(|| {
        let (disk, mut file) = disk_with(b"old");
        disk.skip_syncs();
        file.write_at(0, b"new").unwrap();
        file.sync().unwrap();
        disk
    });
    assert_eq!(found, [some(b"new"), some(b"old")].into());
}

#[test]
fn who_ran_before_a_loss_of_power_is_dead() {
    let (disk, mut file) = disk_with(b"x");
    let before = disk.clone();
    let held = disk.lock(Path::new("/disk/LOCK")).unwrap();
    disk.crash(1);
    assert!(file.write_at(0, b"y").is_err() && file.sync().is_err() && file.size().is_err());
    assert!(before.open(Path::new(FILE)).is_err() && before.list(Path::new("/disk")).is_err());
    let after = disk.clone();
    assert!(after.open(Path::new(FILE)).is_ok() && after.lock(Path::new("/disk/LOCK")).unwrap().is_some());
    drop(held);
    // Power that goes in the middle of the third operation from now.
    after.die_after(3);
    assert!(after.open(Path::new(FILE)).is_ok() && !after.is_dead());
    assert!(after.open(Path::new(FILE)).is_ok() && after.open(Path::new(FILE)).is_err());
    assert!(after.is_dead() && after.create(Path::new(FILE)).is_err());
}

#[test]
fn a_full_disk_takes_what_fits_and_what_was_reserved() {
    let full = |result: io::Result<()>| result.err().map(|error| error.kind()) == Some(io::ErrorKind::StorageFull);
    let (disk, mut file) = disk_with(b"");
    disk.fill_after(10);
    file.write_at(0, &[1; 8]).unwrap();
    assert!(full(file.write_at(8, &[2; 8])), "two of them fit");
    assert_eq!(disk.content(Path::new(FILE)).unwrap(), [[1; 8].as_slice(), &[2; 2]].concat());
    disk.free_space();
    file.allocate(100).unwrap();
    disk.fill_after(0);
    file.write_at(20, &[3; 80]).unwrap();
    assert!(full(file.write_at(100, &[3; 1])), "behind what was reserved");
    assert!(full(file.allocate(101)) && file.allocate(100).is_ok());
    // A sync that is told to fail does, and the next ones.
    disk.fail_syncs_after(1);
    assert!(file.sync().is_ok() && file.sync().is_err() && file.sync().is_err());
}

#[test]
fn a_copy_shares_nothing() {
    let (disk, mut file) = disk_with(b"x");
    file.write_at(0, b"y").unwrap();
    let copy = disk.copy();
    file.write_at(0, b"z").unwrap();
    let at: PathBuf = FILE.into();
    assert_eq!((disk.content(&at).unwrap(), copy.content(&at).unwrap()), (b"z".to_vec(), b"y".to_vec()));
    copy.crash(3);
    assert_eq!(copy.clone().content(&at).unwrap(), b"y", "what was seen is durable in the copy");
    copy.plant(&at, b"damage".to_vec());
    assert_eq!((copy.content(&at).unwrap(), disk.content(&at).unwrap()), (b"damage".to_vec(), b"z".to_vec()));
    copy.plant(Path::new("/disk/other"), vec![1]);
    assert_eq!(copy.content(Path::new("/disk/other")), None, "what is not there cannot be damaged");
}
