//! `mkube-store bench` as a person runs it: it measures the program that it is, prints a table, and leaves nothing behind.
#![allow(clippy::unwrap_used)]

use std::process::Command;

fn bench(dir: &std::path::Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mkube-store"));
    let output = command.arg("bench").args(arguments).arg("--dir").arg(dir).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn it_measures_itself_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    // Two servers of its own: whether an etcd is there does not matter.
    let itself = env!("CARGO_BIN_EXE_mkube-store");
    let arguments = ["--etcd", itself, "--seconds", "1", "--rounds", "1", "--keys", "500"];
    let cases = ["put 256 B, 1 client", "watch event, 100", "memory and start"];
    let (code, table, told) = bench(dir.path(), &[&arguments[..], &cases].concat());
    assert_eq!(code, Some(0), "{told}");
    let rows: Vec<&str> = table.lines().collect();
    assert_eq!(rows[0], "| what | mkube-store | etcd | ratio |");
    for (what, says) in [
        ("put 256 B, 1 client", "/s, "),
        ("watch event, 100 watchers", " to the last"),
        ("start, empty", " ms"),
        ("memory, 500 keys of 1 KiB", "MiB"),
    ] {
        let row = rows.iter().find(|row| row.starts_with(&format!("| {what} |")));
        assert!(row.is_some_and(|row| row.matches(says).count() == 2), "{what}: {table}");
        assert!(told.contains(&format!("{what}: mkube-store: ")), "told as it comes: {told}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn what_cannot_be_measured_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (code, table, told) = bench(dir.path(), &["--store", "/nonesuch", "--etcd", "", "put 256 B, 1 client"]);
    assert_eq!((code, table.as_str()), (Some(1), ""), "{told}");
    assert!(told.contains("mkube-store cannot be measured") && told.contains("No such file"), "{told}");
    let (code, _, told) = bench(dir.path(), &["--members", "9"]);
    assert_eq!(code, Some(64), "{told}");
    assert!(told.contains("9 is not in 1..=7"), "{told}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
