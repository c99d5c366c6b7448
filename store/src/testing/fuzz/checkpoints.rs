//! A checkpoint, changed, in a real directory, as its database lives in one: the manifest, and the database's files. The digests in the
//! manifest stay as they are: what they name is what sled has written, or is refused.

use std::fs;
use std::path::{Path, PathBuf};

use super::files::{grow, mend as mend_file, refusal};
use super::requests::use_state;
use super::{Input, Target};
use crate::checkpoint;
use crate::disk::{MemoryDisk, RealDisk};
use crate::random::random;

pub(super) const CHECKPOINT: Target = Target { name: "checkpoint", seeds: checkpoints, mend, read: load };

const MANIFEST: &str = "MANIFEST";

/// A directory that goes with its owner.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Self {
        // Where nothing is synced, if there is such a place.
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let path = place.join(format!("mkube-fuzz-{:016x}{:016x}", random(), random()));
        fs::create_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The checkpoints of stores that have written less and more.
fn checkpoints() -> Vec<Input> {
    let mut found = Vec::new();
    for (rounds, compact) in [(9, 3), (18, 3), (80, 40)] {
        let dir = Temporary::new();
        grow(&MemoryDisk::new(), rounds, compact, |core, head| checkpoint::write(core, &RealDisk, &dir.0, head));
        let mut pieces = Vec::new();
        gather(&dir.0, &dir.0, &mut pieces);
        let input = Input(pieces);
        assert_eq!(load(&input), "loaded []", "after {rounds} rounds");
        found.push(input);
    }
    found
}

/// The files below `dir`, named from `root`. Those of the database without the zeros at their end, of which there are many, but with
/// their size.
fn gather(root: &Path, dir: &Path, pieces: &mut Vec<(String, Vec<u8>)>) {
    let mut paths: Vec<PathBuf> = fs::read_dir(dir).ok().into_iter().flatten().flatten().map(|e| e.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            gather(root, &path, pieces);
            continue;
        }
        let (mut bytes, mut name) = (fs::read(&path).unwrap_or_default(), relative(root, &path));
        if !name.ends_with(MANIFEST) {
            let (size, zeros) = (bytes.len(), bytes.iter().rev().take_while(|byte| **byte == 0).count());
            bytes.truncate(size - zeros);
            name = format!("{name}@{size}");
        }
        pieces.push((name, bytes));
    }
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

/// Lays the files out again, and loads what they are.
fn load(input: &Input) -> String {
    let dir = Temporary::new();
    for (name, bytes) in &input.0 {
        let (name, size) = name.rsplit_once('@').unwrap_or((name, "0"));
        let (path, mut bytes) = (dir.0.join(name), bytes.clone());
        bytes.resize(size.parse().unwrap_or(0).max(bytes.len()), 0);
        let written = fs::create_dir_all(path.parent().unwrap_or(&dir.0)).and_then(|()| fs::write(&path, bytes));
        written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    let contents = || {
        let mut pieces = Vec::new();
        gather(&dir.0, &dir.0, &mut pieces);
        pieces
    };
    let before = contents();
    let outcome = match checkpoint::load(&RealDisk, &dir.0) {
        Ok(mut loaded) => {
            use_state(&mut loaded.state);
            format!("loaded {:?}", loaded.damage.iter().map(refusal).collect::<Vec<_>>())
        }
        Err(error) => refusal(&error),
    };
    assert!(before == contents(), "reading a checkpoint has changed it, or left something");
    // Caught, so that a start goes on without it.
    assert!(!outcome.contains(checkpoint::PANICKED), "{outcome}");
    outcome.replace(&dir.0.display().to_string(), "")
}

/// Makes the checksums of the manifests right.
fn mend(input: &mut Input) {
    for (name, bytes) in input.0.iter_mut().filter(|(name, _)| name.ends_with(MANIFEST)) {
        let mut manifest = Input(vec![(name.clone(), std::mem::take(bytes))]);
        mend_file(&mut manifest);
        *bytes = manifest.0.pop().map(|(_, bytes)| bytes).unwrap_or_default();
    }
}
