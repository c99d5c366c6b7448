//! Files that somebody brings: backups of this store, and databases of an etcd (bbolt), of one page or of a tree of them.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;

use prost::Message as _;
use proto::etcd::mvccpb;
use proto::log::LeaseGrant;
use sha2::{Digest, Sha256};

use super::files::{put_word, snapshots};
use super::requests::use_state;
use super::{Input, Target, files};
use crate::offline::bolt::fnv;
use crate::offline::read_any;

pub(super) const BACKUP: Target = Target { name: "backup", seeds: backups, mend: mend_backup, read };
pub(super) const DATABASE: Target = Target { name: "database", seeds: databases, mend: mend_database, read };

const PAGE: usize = 512;
const BLOCK: usize = 512;
const TAIL: usize = 32;

/// Reads a file that lives in memory, with its checksum and without.
fn read(input: &Input) -> String {
    let Some((_, bytes)) = input.0.first() else { return String::new() };
    let made = rustix::fs::memfd_create("fuzz", rustix::fs::MemfdFlags::CLOEXEC).map(File::from);
    let mut file = made.unwrap_or_else(|error| panic!("a file in memory: {error}"));
    file.write_all(bytes).unwrap_or_else(|error| panic!("a file in memory: {error}"));
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let mut outcome = String::new();
    for unsure in [false, true] {
        match read_any(path.as_ref(), unsure) {
            Ok(mut state) => {
                use_state(&mut state);
                outcome.push_str("read ");
            }
            // Without the path, and without checksums, which are never the same.
            Err(error) => match error.to_string().split_once(": ") {
                Some((_, what)) if !what.contains("sha256") => outcome.push_str(what),
                _ => outcome.push_str("refused "),
            },
        }
    }
    outcome
}

/// A file's bytes with what a snapshot stream has at its end.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    let digest = Sha256::digest(&bytes);
    bytes.extend_from_slice(&digest);
    bytes
}

/// Seals anew what has, or had, a checksum at its end.
fn reseal(bytes: &mut Vec<u8>) {
    let length = bytes.len().saturating_sub(TAIL) / BLOCK * BLOCK;
    bytes.truncate(length);
    *bytes = sealed(std::mem::take(bytes));
}

fn backups() -> Vec<Input> {
    let files = snapshots().into_iter().flat_map(|input| input.0);
    files.map(|(_, bytes)| Input(vec![("backup".into(), sealed(bytes))])).collect()
}

fn mend_backup(input: &mut Input) {
    let tails = input.0.iter().map(|(_, bytes)| bytes.len().saturating_sub(TAIL)).collect::<Vec<_>>();
    for ((_, bytes), length) in input.0.iter_mut().zip(tails) {
        bytes.truncate(length);
    }
    files::mend(input);
    for (_, bytes) in &mut input.0 {
        *bytes = sealed(std::mem::take(bytes));
    }
}

/// Right checksums of the first two pages, and of the whole.
fn mend_database(input: &mut Input) {
    for (_, bytes) in &mut input.0 {
        for at in [0, PAGE] {
            if let Some(meta) = bytes.get_mut(at + 16..at + 80) {
                let sum = fnv(&meta[..56]);
                meta[56..].copy_from_slice(&sum.to_le_bytes());
            }
        }
        reseal(bytes);
    }
}

/// A page's element: flags, key and value.
type Element = (u32, Vec<u8>, Vec<u8>);

fn page(id: u64, flags: u16, count: usize) -> Vec<u8> {
    let mut page = id.to_le_bytes().to_vec();
    page.extend_from_slice(&flags.to_le_bytes());
    page.extend_from_slice(&(count as u16).to_le_bytes());
    page.extend_from_slice(&0_u32.to_le_bytes());
    page
}

/// A leaf, with as many overflow pages as it needs.
fn leaf(id: u64, elements: &[Element]) -> Vec<u8> {
    let mut bytes = page(id, 2, elements.len());
    let mut data = Vec::new();
    for (number, (flags, key, value)) in elements.iter().enumerate() {
        let place = (elements.len() - number) * 16 + data.len();
        for word in [*flags, place as u32, key.len() as u32, value.len() as u32] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        data.extend_from_slice(key);
        data.extend_from_slice(value);
    }
    bytes.extend_from_slice(&data);
    let pages = bytes.len().div_ceil(PAGE);
    put_word(&mut bytes, 12, pages as u32 - 1);
    bytes.resize(pages * PAGE, 0);
    bytes
}

fn branch(id: u64, children: &[u64]) -> Vec<u8> {
    let mut bytes = page(id, 1, children.len());
    for child in children {
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(&child.to_le_bytes());
    }
    bytes.resize(PAGE, 0);
    bytes
}

fn meta(id: u64, root: u64, pages: u64) -> Vec<u8> {
    let mut bytes = page(id, 4, 0);
    for word in [0xED0C_DAED_u32, 2, PAGE as u32, 0] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    for long in [root, 0, 2, pages, id] {
        bytes.extend_from_slice(&long.to_le_bytes());
    }
    let sum = fnv(&bytes[16..]);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes.resize(PAGE, 0);
    bytes
}

fn place(revision: u64, sub: u64, deleted: bool) -> Vec<u8> {
    let mut key = revision.to_be_bytes().to_vec();
    key.push(b'_');
    key.extend_from_slice(&sub.to_be_bytes());
    key.extend_from_slice(if deleted { b"t" } else { b"" });
    key
}

fn change(key: &'static str, create_revision: i64, version: i64, lease: i64) -> Vec<u8> {
    let value = vec![b'v'; 40].into();
    mvccpb::KeyValue { key: key.into(), value, create_revision, version, lease, ..Default::default() }.encode_to_vec()
}

/// A database whose keys' bucket is one leaf, and one whose is a tree.
fn databases() -> Vec<Input> {
    let bucket = |name: &str, root: u64| {
        let mut value = root.to_le_bytes().to_vec();
        value.extend_from_slice(&[0; 8]);
        (1, name.as_bytes().to_vec(), value)
    };
    let changes: Vec<Element> = vec![
        (0, place(2, 0, false), change("a", 2, 1, 0)),
        (0, place(3, 0, false), change("b", 3, 1, 7)),
        (0, place(4, 0, false), change("a", 2, 2, 0)),
        (0, place(5, 0, true), mvccpb::KeyValue { key: "b".into(), ..Default::default() }.encode_to_vec()),
        (0, place(6, 0, false), change("c", 6, 1, 0)),
        (0, place(6, 1, false), change("d", 6, 1, 7)),
    ];
    let lease = (0, 7_u64.to_be_bytes().to_vec(), LeaseGrant { id: 7, ttl: 60 }.encode_to_vec());
    let compacted = (0, b"finishedCompactRev".to_vec(), place(3, 0, false));
    // The lease's bucket lies within the root's page.
    let mut inline = vec![0; 16];
    inline.extend_from_slice(&leaf(0, &[lease])[..16 + 16 + 8 + 4]);
    let root = leaf(2, &[bucket("key", 3), (1, b"lease".to_vec(), inline), bucket("meta", 4)]);
    let file = |keys: Vec<Vec<u8>>| {
        let rest: Vec<u8> = keys.concat();
        let pages = 5 + (rest.len() / PAGE) as u64;
        let parts = [meta(0, 2, pages), meta(1, 2, pages), root.clone()];
        let mut bytes = parts.concat();
        bytes.extend_from_slice(&rest[..PAGE]);
        bytes.extend_from_slice(&leaf(4, std::slice::from_ref(&compacted)));
        bytes.extend_from_slice(&rest[PAGE..]);
        Input(vec![("database".into(), sealed(bytes))])
    };
    let tree = file(vec![branch(3, &[5, 6]), leaf(5, &changes[..3]), leaf(6, &changes[3..])]);
    let mut small = file(vec![leaf(3, &changes[..4])]);
    small.0.extend(file(vec![branch(3, &[5]), leaf(5, &changes)]).0);
    vec![tree, small]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_files_are_read() {
        for input in backups().iter().chain(&databases()) {
            assert_eq!(read(input), "read read ");
        }
    }

    /// Branches that point at their own page, in a file that claims to have as many pages as there are numbers.
    #[test]
    fn what_a_database_says_of_itself_makes_no_walk_long() {
        let mut bytes = [meta(0, 2, u64::MAX), meta(1, 2, u64::MAX), branch(2, &[2; 20])].concat();
        bytes.resize(16 * PAGE, 0);
        let input = Input(vec![("database".into(), sealed(bytes))]);
        assert!(read(&input).contains("goes in circles"), "{}", read(&input));
    }
}
