//! What a store finds in its directory: log files and snapshots as files, changed; and a snapshot that another member sends.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use proto::log::SnapshotHead;

use super::peers::{Post, work};
use super::requests::{samples, use_state};
use super::{Input, Target};
use crate::checkpoint;
use crate::cluster::Cluster;
use crate::disk::{Disk, MemoryDisk};
use crate::kv::{Op, Txn};
use crate::log::frame::HEADER;
use crate::member::Input as Told;
use crate::options::{OpenError, Options};
use crate::request::{encode_compaction, encode_txn};
use crate::shared::Core;
use crate::snapshot;
use crate::store::{Bare, bare};

pub(super) const DIRECTORY: Target = Target { name: "directory", seeds: directories, mend, read: open };
pub(super) const SNAPSHOT: Target = Target { name: "snapshot", seeds: snapshots, mend, read: load };

const DIR: &str = "/store";

fn options(disk: &MemoryDisk, cluster: Option<Cluster>) -> Options {
    let disk = Arc::new(disk.clone());
    Options { disk, cluster, segment_bytes: 1 << 10, trim_bytes: 2 << 10, ..Options::in_memory() }
}

fn files(disk: &MemoryDisk) -> Input {
    let mut names = disk.list(Path::new(DIR)).unwrap_or_default();
    names.sort();
    names.retain(|name| name != "LOCK");
    let content = |name: &String| disk.content(&Path::new(DIR).join(name)).unwrap_or_default();
    Input(names.iter().map(|name| (name.clone(), content(name))).collect())
}

fn disk_of(input: &Input) -> MemoryDisk {
    let disk = MemoryDisk::new();
    for (name, bytes) in &input.0 {
        let written = disk.create(&Path::new(DIR).join(name)).and_then(|mut file| {
            file.write_at(0, bytes)?;
            file.sync()
        });
        written.unwrap_or_else(|error| panic!("a disk in memory: {error}"));
    }
    disk
}

/// Directories of a store that has not begun, has written some, and has compacted and saved; and of a member of three.
fn directories() -> Vec<Input> {
    let mut found: Vec<Input> = [(0, 0), (3, 0), (18, 3)]
        .into_iter()
        .map(|(rounds, compact)| {
            let disk = MemoryDisk::new();
            grow(&disk, rounds, compact, |core, head| checkpoint::write(core, &disk, Path::new(DIR), head));
            files(&disk)
        })
        .collect();
    let disk = MemoryDisk::new();
    let initial: Vec<(String, String)> = (1..=3).map(|n| (format!("n{n}"), format!("http://n{n}:1"))).collect();
    let cluster = Cluster { initial, ..Cluster::new("n1", "http://n1:1") };
    if bare::<u64>(&options(&disk, Some(cluster)), None, 1).is_ok() {
        found.push(files(&disk));
    }
    found
}

/// Makes a store on this disk, writes to it, and compacts after so many rounds each (0: never); `save` writes its checkpoints.
pub(super) fn grow(
    disk: &MemoryDisk,
    rounds: u64,
    compact: u64,
    save: impl Fn(&Core, &SnapshotHead) -> io::Result<u64>,
) {
    let mut store: Bare<u64> =
        bare(&options(disk, None), None, 1).unwrap_or_else(|error| panic!("a store in memory: {error}"));
    store.member.campaign();
    let mut post = Post::default();
    work(&mut store, None, &mut post);
    for round in 0..rounds {
        let mut asked: Vec<Bytes> = samples().into_iter().map(Bytes::from).collect();
        asked.push(encode_txn(&Txn { then: vec![big(round)], ..Txn::default() }));
        if (round + 1).is_multiple_of(compact) {
            let revision = store.core.state.read().revision();
            asked.push(encode_compaction(revision - 3));
        }
        for request in asked {
            work(&mut store, Some(Told::Propose(request, 0)), &mut post);
        }
        for head in std::mem::take(&mut post.saves) {
            let saved = save(&store.core, &head);
            store.core.state.write().end_save(&head);
            work(&mut store, Some(Told::Saved(head.index, saved)), &mut post);
        }
    }
}

fn big(round: u64) -> Op {
    Op::Put { key: format!("big{}", round % 2).into(), value: vec![b'v'; 200].into(), lease: 0 }
}

pub(super) fn snapshots() -> Vec<Input> {
    let named = |input: Input| input.0.into_iter().filter(|(name, _)| name.starts_with("snapshot"));
    directories().into_iter().flat_map(named).map(|file| Input(vec![file])).collect()
}

/// Opens a directory; what opens must work.
fn open(input: &Input) -> String {
    let disk = disk_of(input);
    let mut store: Bare<u64> = match bare(&options(&disk, None), None, 1) {
        Ok(store) => store,
        Err(error) => return refusal(&error),
    };
    if store.member.alone() {
        store.member.campaign();
    }
    let mut post = Post::default();
    let request = encode_txn(&Txn { then: vec![big(0)], ..Txn::default() });
    let first = work(&mut store, None, &mut post);
    let second = work(&mut store, Some(Told::Propose(request, 0)), &mut post);
    use_state(&mut store.core.state.write());
    format!("opened {first} {second}")
}

pub(super) fn refusal(error: &OpenError) -> String {
    match error {
        OpenError::Damaged { what, last, .. } => format!("{what} {}", last.is_some()),
        other => other.to_string(),
    }
}

fn load(input: &Input) -> String {
    let Some((name, _)) = input.0.first() else { return String::new() };
    let index = name.strip_prefix("snapshot-").and_then(|index| index.parse().ok()).unwrap_or(0);
    let disk = disk_of(input);
    match snapshot::load_file(&disk, &Path::new(DIR).join(name), index) {
        Ok((mut state, _)) => {
            use_state(&mut state);
            "loaded".into()
        }
        Err(error) => refusal(&error),
    }
}

/// Makes all checksums right, and the chain from frame to frame.
pub(super) fn mend(input: &mut Input) {
    let mut chain = 0;
    for (_, file) in &mut input.0 {
        if file.len() < HEADER {
            continue;
        }
        if file.starts_with(b"MKUBESNP") {
            chain = 0;
        }
        put_word(file, 12, chain);
        let crc = crc32c::crc32c(&file[..28]);
        put_word(file, 28, crc);
        let mut at = HEADER;
        while let Some(header) = file.get(at..at + HEADER) {
            // Zeros written ahead are no frames.
            if header.iter().all(|byte| *byte == 0) {
                break;
            }
            let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
            let length = length.min(file.len() - at - HEADER);
            let crc = crc32c::crc32c(&file[at + HEADER..at + HEADER + length]);
            file[at..at + 4].copy_from_slice(b"MKFR");
            put_word(file, at + 4, length as u32);
            put_word(file, at + 8, crc);
            put_word(file, at + 12, chain);
            chain = crc32c::crc32c(&file[at..at + 28]);
            put_word(file, at + 28, chain);
            at += (HEADER + length).next_multiple_of(8);
        }
    }
}

pub(super) fn put_word(file: &mut [u8], at: usize, word: u32) {
    file[at..at + 4].copy_from_slice(&word.to_le_bytes());
}
