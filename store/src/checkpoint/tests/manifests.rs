//! A manifest describes every file, and only these: anything else is refused by name.

use std::fs;

use proto::log::{Manifest, ManifestFile};

use super::super::manifest::{copy, data, encode, read, seal};
use crate::options::OpenError;

/// A directory as a database leaves it: files, and one in a folder.
fn sealed() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(data(dir.path()).join("blobs")).unwrap();
    for (name, content) in
        [("db", vec![b'd'; 3000]), ("conf", b"c".to_vec()), ("blobs/1", Vec::new()), ("empty", Vec::new())]
    {
        fs::write(data(dir.path()).join(name), content).unwrap();
    }
    seal(dir.path(), 7, 4711, &|| {}).unwrap();
    dir
}

fn said<T>(result: Result<T, OpenError>) -> String {
    match result {
        Ok(_) => "nothing".into(),
        Err(OpenError::Damaged { path, what, .. }) => {
            format!("{}: {what}", path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default())
        }
        Err(other) => format!("{other:?}"),
    }
}

#[test]
fn what_is_sealed_can_be_read_and_copied() {
    let dir = sealed();
    let manifest = read(dir.path(), 7).unwrap();
    assert_eq!((manifest.index, manifest.bytes), (7, 4711));
    let listed: Vec<(&str, u64)> = manifest.files.iter().map(|file| (file.name.as_str(), file.size)).collect();
    assert_eq!(listed, [("blobs/1", 0), ("conf", 1), ("db", 3000), ("empty", 0)], "by name");
    let to = tempfile::tempdir().unwrap();
    copy(&manifest, dir.path(), to.path()).unwrap();
    assert_eq!(fs::read(to.path().join("db")).unwrap(), vec![b'd'; 3000]);
    assert!(to.path().join("blobs/1").exists());
    assert!(seal(dir.path(), 8, 1, &|| {}).is_err(), "a sealed directory is not sealed again");
}

#[test]
fn only_files_of_the_database_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let table =
        [("db", true), ("blobs/7", true), ("", false), ("../db", false), ("/tmp/db", false), ("a/../../b", false)];
    for (name, good) in table {
        let file = ManifestFile { name: name.into(), ..ManifestFile::default() };
        let manifest = Manifest { index: 7, files: vec![file], ..Manifest::default() };
        fs::write(dir.path().join("MANIFEST"), encode(&manifest)).unwrap();
        let expected = if good { "nothing" } else { "MANIFEST: the manifest names a file that is not the database's" };
        assert_eq!(said(read(dir.path(), 7)), expected, "{name}");
    }
}

#[test]
fn a_file_that_changed_is_named() {
    // (file, its content then, what is said)
    let table: [(&str, Option<&[u8]>, &str); 6] = [
        ("db", Some(b"short"), "db: the file is not what was written"),
        ("db", None, "db: the file is missing"),
        ("conf", Some(b"d"), "conf: the file is not what was written"),
        ("conf", Some(b"cc"), "conf: the file is not what was written"),
        ("empty", Some(b"x"), "empty: the file is not what was written"),
        ("blobs/1", None, "1: the file is missing"),
    ];
    for (name, content, expected) in table {
        let dir = sealed();
        let path = data(dir.path()).join(name);
        match content {
            Some(content) => fs::write(&path, content).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let manifest = read(dir.path(), 7).unwrap();
        let to = tempfile::tempdir().unwrap();
        assert_eq!(said(copy(&manifest, dir.path(), to.path())), expected, "{name}");
    }
    // One that came later is not copied.
    let dir = sealed();
    fs::write(data(dir.path()).join("later"), "x").unwrap();
    let to = tempfile::tempdir().unwrap();
    copy(&read(dir.path(), 7).unwrap(), dir.path(), to.path()).unwrap();
    assert!(!to.path().join("later").exists());
}

#[test]
fn a_manifest_that_is_not_whole_is_refused() {
    let dir = sealed();
    let path = dir.path().join("MANIFEST");
    let whole = fs::read(&path).unwrap();
    assert_eq!(said(read(dir.path(), 8)), "MANIFEST: the manifest is of another checkpoint");
    for length in 0..whole.len() - 8 {
        fs::write(&path, &whole[..length]).unwrap();
        let said = said(read(dir.path(), 7));
        assert!(said.starts_with("MANIFEST: "), "cut to {length}: {said}");
    }
    for at in 0..whole.len() {
        let mut content = whole.clone();
        content[at] ^= 1;
        fs::write(&path, &content).unwrap();
        let said = said(read(dir.path(), 7));
        assert!(said.starts_with("MANIFEST: ") || whole[at] == 0, "byte {at}: {said}");
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(said(read(dir.path(), 7)), "MANIFEST: the manifest is missing");
}
