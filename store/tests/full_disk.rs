//! A store that starts on a disk without room, and at each amount of room that is enough for one step and not for the next.
//! The disk is a small tmpfs in a mount namespace of the test's own.
#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use store::testing::put;
use store::{Kv, Options, Store};

const INSIDE: &str = "STORE_FULL_DISK";
const TEST: &str = "a_full_disk_keeps_no_store_from_starting";
const PAGE: u64 = 4096;
const PATIENCE: Duration = Duration::from_secs(60);

/// Takes all room of the disk under `dir` but so many bytes.
fn leave(dir: &Path, bytes: u64) {
    let disk = statvfs(dir).unwrap();
    let free = (disk.f_bavail * disk.f_frsize).saturating_sub(bytes);
    let balloon = File::create(dir.join("balloon")).unwrap();
    fallocate(&balloon, FallocateFlags::empty(), 0, free.max(1)).unwrap();
}

#[test]
fn a_full_disk_keeps_no_store_from_starting() {
    if let Some(dir) = std::env::var_os(INSIDE) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        return runtime.block_on(inside(Path::new(&dir)));
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED {TEST}: needs root, to mount a small disk");
        return;
    }
    // Removed out here, where the disk that is mounted inside is gone with its namespace.
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new("unshare")
        .args(["--mount", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", TEST, "--nocapture", "--test-threads=1"])
        .env(INSIDE, dir.path())
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
}

async fn inside(dir: &Path) {
    let disk = dir.join("disk");
    fs::create_dir(&disk).unwrap();
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=64m", "none"]).arg(&disk);
    assert!(mount.status().unwrap().success(), "a small disk is mounted");
    let data = disk.join("data");
    let open = || {
        let options = Options { segment_bytes: 16 << 10, trim_bytes: 48 << 10, prompt: false, ..Options::new(&data) };
        Store::open(options, &base::Context::new())
    };
    let store = open().unwrap();
    let saved = |data: &Path| {
        let names = fs::read_dir(data).unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("checkpoint-") && !name.ends_with(".tmp")).count()
    };
    let deadline = Instant::now() + PATIENCE;
    while saved(&data) < 2 {
        assert!(Instant::now() < deadline, "no two checkpoints within {PATIENCE:?}");
        for at in 0..32 {
            put(&*store, format!("k{at}"), vec![b'v'; 700]).await.unwrap();
        }
        store.compact(store.revision().await.unwrap() - 5).await.unwrap();
    }
    let expected = (store.revision().await.unwrap(), store.hash_kv(0).await.unwrap());
    store.close().await;
    for pages in (0..32).chain((32..1600).step_by(128)) {
        leave(&disk, pages * PAGE);
        let store = open().unwrap_or_else(|error| panic!("{pages} pages left: {error}"));
        let found = (store.revision().await.unwrap(), store.hash_kv(0).await.unwrap());
        assert_eq!(found, expected, "{pages} pages left");
        store.close().await;
        fs::remove_file(disk.join("balloon")).unwrap();
    }
    let store = open().unwrap();
    put(&*store, "again", "").await.unwrap();
    assert_eq!(store.revision().await.unwrap(), expected.0 + 1);
    store.close().await;
}
