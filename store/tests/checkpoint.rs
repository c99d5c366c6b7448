//! Checkpoints on a real disk: what a kill -9 leaves of one that is being written, what damage does to a complete one, what
//! happens when none can be written. 12 kills; `STORE_KILL_ROUNDS=200` for the full proof.
#![allow(clippy::unwrap_used)]

#[path = "common/child.rs"]
mod other;

use std::any::Any;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use store::disk::{Disk, DiskFile, RealDisk};
use store::testing::{everything, put};
use store::{HashKv, Kv, OpenError, Options, Store};

const DIR: &str = "STORE_CHECKPOINT_DIR";
/// Set: the process that is killed completes no checkpoint.
const HELD: &str = "STORE_CHECKPOINT_HELD";
const PATIENCE: Duration = Duration::from_secs(60);

/// Files so small that there is always a checkpoint being written.
fn options(dir: &Path) -> Options {
    Options { segment_bytes: 16 << 10, trim_bytes: 48 << 10, prompt: false, ..Options::new(dir) }
}

fn checkpoints(dir: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let complete = |path: &PathBuf| path.extension().is_none() && name(path).starts_with("checkpoint-");
    let mut all: Vec<PathBuf> = names.filter(complete).collect();
    all.sort();
    all
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// Writes until there are two checkpoints, both of after the call, and the log has let go of what they make superfluous: with all of
/// its log a store needs none.
async fn fill(store: &Store, dir: &Path) {
    let before = checkpoints(dir);
    let deadline = Instant::now() + PATIENCE;
    for round in 0_u64.. {
        for at in 0..16 {
            put(store, format!("k{at}"), vec![b'v'; 700]).await.unwrap();
        }
        store.compact(store.revision().await.unwrap() - 5).await.unwrap();
        let now = checkpoints(dir);
        let mut names = fs::read_dir(dir).unwrap().flatten().map(|entry| name(&entry.path()));
        let trimmed = !names.any(|name| name.starts_with("log-00000001-"));
        if trimmed && now.len() == 2 && !now.iter().any(|path| before.contains(path)) {
            return;
        }
        assert!(Instant::now() < deadline, "no checkpoint after {round} rounds");
    }
}

async fn all_of(store: &Store) -> (u64, HashKv) {
    (store.revision().await.unwrap(), store.hash_kv(0).await.unwrap())
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_all(&path, &to);
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Everything that can happen to a file, with its name.
fn damages(path: &Path) -> Vec<(String, Option<Vec<u8>>)> {
    let whole = fs::read(path).unwrap();
    let mut all = vec![("gone".to_owned(), None), ("empty".to_owned(), Some(Vec::new()))];
    all.push(("longer".to_owned(), Some([&whole[..], b"x"].concat())));
    for part in 1..4 {
        all.push((format!("cut at {part}/4"), Some(whole[..whole.len() * part / 4].to_vec())));
        let mut flipped = whole.clone();
        if let Some(byte) = flipped.get_mut(whole.len() * part / 4) {
            *byte ^= 32;
            all.push((format!("a bit at {part}/4"), Some(flipped)));
        }
    }
    all.retain(|(_, content)| content.as_ref() != Some(&whole));
    all
}

fn inflict(path: &Path, damage: Option<&Vec<u8>>) {
    match damage {
        Some(content) => fs::write(path, content).unwrap(),
        None => fs::remove_file(path).unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_that_cannot_be_read_is_made_up_for() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path()), &base::Context::new()).unwrap();
    fill(&store, dir.path()).await;
    let expected = all_of(&store).await;
    store.close().await;
    // What says so in any file system: a directory in the place of a file. A bad sector says it with another error.
    let newest = checkpoints(dir.path()).pop().unwrap();
    let file = newest.join("data").join("db");
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let store = Store::open(options(dir.path()), &base::Context::new()).unwrap();
    assert_eq!(all_of(&store).await, expected);
    store.close().await;
    assert!(!newest.exists(), "the log has made up for it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_checkpoint_is_made_up_for_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let original = dir.path().join("original");
    let store = Store::open(options(&original), &base::Context::new()).unwrap();
    store.lease_grant(7, 1000).await.unwrap();
    fill(&store, &original).await;
    put(&*store, "last", "").await.unwrap();
    let expected = all_of(&store).await;
    store.close().await;
    let [older, newer] = checkpoints(&original).try_into().unwrap();
    let mut cases = 0;
    for file in files(&newer) {
        let below = file.strip_prefix(&newer).unwrap();
        for (what, damage) in damages(&file) {
            let what = format!("{}: {what}", below.display());
            let copy = dir.path().join("copy");
            copy_all(&original, &copy);
            inflict(&copy.join(name(&newer)).join(below), damage.as_ref());
            let store = Store::open(options(&copy), &base::Context::new()).expect(&what);
            assert_eq!(all_of(&store).await, expected, "{what}");
            assert!(store.lease_info(7).await.is_ok(), "{what}");
            store.close().await;
            // What stands behind the manifest's end is not looked at.
            if below != Path::new("MANIFEST") || !what.ends_with("longer") {
                assert!(!copy.join(name(&newer)).exists(), "{what}: the damaged checkpoint is still there");
                // Both: refused, and everything stays for whoever can repair it.
                fs::remove_dir_all(&copy).unwrap();
                copy_all(&original, &copy);
                inflict(&copy.join(name(&newer)).join(below), damage.as_ref());
                inflict(&copy.join(name(&older)).join("MANIFEST"), None);
                let before = files(&copy);
                match Store::open(options(&copy), &base::Context::new()) {
                    Err(OpenError::Damaged { path, .. }) => {
                        assert!(path.starts_with(copy.join(name(&newer))), "{what}")
                    }
                    Err(error) => panic!("{what}: {error}"),
                    Ok(_) => panic!("{what}: opened without what is lost"),
                }
                assert_eq!(files(&copy), before, "{what}");
            }
            fs::remove_dir_all(&copy).unwrap();
            cases += 1;
        }
    }
    assert!(cases > 15, "{cases}");
    // A later program's: nobody touches it.
    let manifest = newer.join("MANIFEST");
    let mut bytes = fs::read(&manifest).unwrap();
    bytes[8] = 2;
    let crc = crc32c::crc32c(&bytes[..28]);
    bytes[28..32].copy_from_slice(&crc.to_le_bytes());
    fs::write(&manifest, bytes).unwrap();
    match Store::open(options(&original), &base::Context::new()) {
        Err(OpenError::Newer { version: 2, .. }) => assert!(manifest.exists()),
        other => panic!("{:?}", other.err()),
    }
}

/// A real disk on which no database can be made while it is `full`, and where no checkpoint comes to its end if they are `held`.
#[derive(Default)]
struct Hindered {
    full: AtomicBool,
    held: bool,
}

impl Disk for Hindered {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.create_dir(dir)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(dir)
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        RealDisk.open(path)
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        RealDisk.create(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        while self.held && name(to).starts_with("checkpoint-") {
            std::thread::park();
        }
        RealDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.sync_dir(dir)
    }
    fn native<'a>(&self, path: &'a Path) -> Option<&'a Path> {
        Some(if self.full.load(Ordering::Acquire) { Path::new("/dev/full/checkpoint") } else { path })
    }
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Any + Send>>> {
        RealDisk.lock(path)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_cannot_be_written_keeps_the_log_and_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(Hindered { full: AtomicBool::new(true), held: false });
    let options = || Options { disk: Arc::clone(&disk) as Arc<dyn Disk>, ..options(dir.path()) };
    let store = Store::open(options(), &base::Context::new()).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while store.checkpoint_failure().is_none() {
        put(&*store, "k", vec![b'v'; 700]).await.unwrap();
        // The state, history included, must be shorter than the log.
        store.compact(store.revision().await.unwrap()).await.unwrap();
        assert!(Instant::now() < deadline);
    }
    let first =
        fs::read_dir(dir.path()).unwrap().flatten().any(|entry| name(&entry.path()).starts_with("log-00000001-"));
    assert!(first && checkpoints(dir.path()).is_empty());
    disk.full.store(false, Ordering::Release);
    fill(&store, dir.path()).await;
    assert_eq!(store.checkpoint_failure(), None);
    let expected = all_of(&store).await;
    store.close().await;
    let store = Store::open(options(), &base::Context::new()).unwrap();
    assert_eq!(all_of(&store).await, expected);
}

/// Not a test by itself: the process that is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let disk = Arc::new(Hindered { held: std::env::var(HELD).is_ok(), ..Hindered::default() });
    let options = Options { disk, ..options(Path::new(&dir)) };
    let store = Store::open(options, &base::Context::new()).expect("open");
    let deadline = Instant::now() + PATIENCE;
    for round in store.revision().await.unwrap().. {
        for at in 0..40 {
            let (key, value) = (format!("k{at}"), format!("{round:08}{}", ".".repeat(at * 37 % 900)));
            put(&*store, key.clone(), value).await.unwrap();
            other::say(format_args!("ack {key} {round}"));
        }
        let _ = store.compact(store.revision().await.unwrap() - 30).await;
        assert!(Instant::now() < deadline, "nobody has killed this process");
    }
}

fn unfinished(dir: &Path) -> bool {
    fs::read_dir(dir).unwrap().flatten().any(|entry| {
        let name = name(&entry.path());
        name.starts_with("checkpoint-") && name.ends_with(".tmp")
    })
}

/// Runs the child, and kills it so many writes after another checkpoint has begun, or has come to its end: none does where they are
/// `held`. What it had acknowledged.
fn run_and_kill(dir: &Path, held: bool, writes: u64) -> BTreeMap<String, u64> {
    let (before, mut acknowledged, mut left) = (checkpoints(dir).pop(), BTreeMap::new(), None);
    let is_time = || if held { unfinished(dir) } else { checkpoints(dir).pop() > before };
    let variables = [(DIR, dir.display().to_string())].into_iter().chain(held.then(|| (HELD, "1".to_owned())));
    other::run_and_kill(variables, |words| {
        let ["ack", key, round] = words else { return false };
        let Ok(round) = round.parse() else { return false };
        acknowledged.insert((*key).to_owned(), round);
        if left.is_none() && is_time() {
            left = Some(writes);
        }
        match &mut left {
            Some(0) => return true,
            Some(left) => *left -= 1,
            None => {}
        }
        false
    });
    acknowledged
}

#[test]
fn a_process_killed_while_it_writes_a_checkpoint_loses_nothing() {
    if std::env::var(DIR).is_ok() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut newest = String::new();
    for round in 0..other::rounds(12) {
        let held = round % 2 == 0;
        let acknowledged = run_and_kill(dir.path(), held, round * 7 % 31);
        assert!(!held || unfinished(dir.path()), "the kill came after the checkpoint");
        runtime.block_on(async {
            let store = Store::open(options(dir.path()), &base::Context::new()).expect("a kill is no damage");
            let page = store.range(everything(0)).await.unwrap();
            for (key, round) in &acknowledged {
                let kv = page.kvs.iter().find(|kv| kv.key == key).unwrap_or_else(|| panic!("{key} is gone"));
                let found: u64 = std::str::from_utf8(&kv.value[..8]).unwrap().parse().unwrap();
                assert!(found >= *round, "{key} was acknowledged as {round} and is {found}");
            }
            store.close().await;
        });
        assert!(!unfinished(dir.path()), "the start has left what was not finished");
        let left = checkpoints(dir.path());
        let last = left.last().map(|path| name(path)).unwrap_or_default();
        assert!(left.len() <= 2 && last >= newest && (held || last > newest), "{left:?}");
        newest = last;
    }
}
