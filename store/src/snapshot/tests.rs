//! A snapshot's bytes: what comes back, and every damage refused.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::disk::MemoryDisk;
use crate::kv::{Op, Txn};
use crate::request::Request;
use crate::state::At;

const PATH: &str = "/store/file";

/// A state of several frames, with history, a deletion, leases and an order within a revision.
fn core() -> Core {
    let mut state = State::default();
    let mut index = 0;
    let mut apply = |request| {
        index += 1;
        state.apply(At { index, term: 3 }, request).unwrap();
    };
    apply(Request::LeaseGrant(proto::log::LeaseGrant { id: 7, ttl: 60 }));
    for at in 0..700_u32 {
        let put = |key: String, lease| Op::Put { key: key.into(), value: vec![b'v'; at as usize % 90].into(), lease };
        let then = vec![put(format!("k{:03}", at % 600), 7), put(format!("a{}", at % 3), 0)];
        apply(Request::Txn(Txn { then, ..Txn::default() }));
    }
    apply(Request::Txn(Txn {
        then: vec![Op::Delete { key: "k001".into(), end: Some("k050".into()) }],
        ..Txn::default()
    }));
    apply(Request::Compact(300));
    while state.sweep(100) {}
    Core::new(state, Duration::from_secs(5), base::SystemClock::shared())
}

/// The bytes and the head.
fn encoded(core: &Core) -> (Vec<u8>, SnapshotHead) {
    let head = core.state.write().begin_save();
    let mut bytes = Vec::new();
    encode(core, &head, &mut |part| {
        bytes.extend_from_slice(part);
        Ok(())
    })
    .unwrap();
    core.state.write().end_save(&head);
    (bytes, head)
}

fn disk_with(bytes: &[u8]) -> MemoryDisk {
    let disk = MemoryDisk::new();
    drop(disk.create(Path::new(PATH)).unwrap());
    disk.plant(Path::new(PATH), bytes.to_vec());
    disk
}

fn load(bytes: &[u8], index: u64) -> Result<(State, SnapshotHead), OpenError> {
    load_file(&disk_with(bytes), Path::new(PATH), index)
}

fn why(result: Result<(State, SnapshotHead), OpenError>) -> String {
    result.err().map(|error| error.to_string()).unwrap_or_default()
}

/// Where each frame begins, and the end.
fn frames(bytes: &[u8]) -> Vec<usize> {
    let mut at = crate::log::frame::HEADER;
    let mut all = vec![at];
    while let Some(header) = crate::log::frame::read_frame_header(&bytes[at..]) {
        at += header.span();
        all.push(at);
    }
    all
}

#[test]
fn what_comes_back_is_what_was_there() {
    let core = core();
    let (bytes, head) = encoded(&core);
    assert!(frames(&bytes).len() > 5, "head, several portions, the end");
    let (loaded, again) = load(&bytes, head.index).unwrap();
    assert_eq!(again, head);
    let state = core.state.read();
    assert_eq!(loaded.hash_now(), state.hash_now());
    assert_eq!((loaded.revision(), loaded.compacted(), loaded.applied()), (state.revision(), 300, state.applied()));
    assert_eq!((loaded.live_keys(), loaded.live_bytes()), (state.live_keys(), state.live_bytes()));
    let keys = |state: &State| state.leases().get(7).map(|lease| lease.keys.clone());
    assert_eq!(keys(&loaded), keys(&state));
    // Encoded again, it is the same stream.
    drop(state);
    let copy = Core::new(loaded, Duration::from_secs(5), base::SystemClock::shared());
    assert_eq!(encoded(&copy).0, bytes);
}

#[test]
fn a_file_that_is_cut_anywhere_is_refused() {
    let (bytes, head) = encoded(&core());
    let frames = frames(&bytes);
    let lengths = (0..bytes.len()).step_by(997).chain(frames.iter().copied()).chain(frames.iter().map(|at| at - 1));
    for length in lengths.filter(|length| *length < bytes.len()) {
        assert!(load(&bytes[..length], head.index).is_err(), "cut to {length}");
    }
    // What stands behind the end does not count: a file system may leave zeros there, or more.
    for more in [&[0; 600][..], &[1; 600]] {
        assert!(load(&[&bytes[..], more].concat(), head.index).is_ok());
    }
}

#[test]
fn a_flipped_bit_is_refused_or_means_nothing() {
    let (bytes, head) = encoded(&core());
    let expected = load(&bytes, head.index).unwrap().0.hash_now();
    for at in (0..bytes.len()).step_by(401) {
        let mut content = bytes.clone();
        content[at] ^= 1 << (at % 8);
        match load(&content, head.index) {
            Err(_) => {}
            Ok((state, _)) => assert!(bytes[at] == 0 && state.hash_now() == expected, "byte {at} is no padding"),
        }
    }
}

#[test]
fn parts_that_do_not_belong_together_are_refused() {
    let (bytes, head) = encoded(&core());
    let frames = frames(&bytes);
    let part = |from: usize, to: usize| &bytes[frames[from]..frames[to]];
    let all = frames.len() - 1;
    let file = |parts: &[&[u8]]| [&bytes[..frames[0]], &parts.concat()].concat();
    // (what, file, what is said)
    let table = [
        ("a portion is missing", file(&[part(0, 1), part(2, all)]), "does not follow"),
        ("a portion stands twice", file(&[part(0, 2), part(1, all)]), "does not follow"),
        ("portions are swapped", file(&[part(0, 1), part(2, 3), part(1, 2), part(3, all)]), "does not follow"),
        ("the head is missing", file(&[part(1, all)]), "does not follow"),
        ("the end is missing", file(&[part(0, all - 1)]), "not complete"),
        ("nothing", file(&[]), "not complete"),
    ];
    for (what, content, said) in table {
        let error = why(load(&content, head.index));
        assert!(error.contains(said), "{what}: {error}");
    }
    assert!(why(load(&bytes, head.index + 1)).contains(&format!("is of entry {}, not", head.index)));
    assert!(matches!(read_file(&MemoryDisk::new(), Path::new(PATH)), Err(OpenError::Io { .. })));
}

#[test]
fn frames_that_are_whole_and_mean_nothing_are_refused() {
    let frame = |first: u64, chain: u32, messages: &[&[u8]]| {
        let mut builder = FrameBuilder::default();
        builder.begin(first);
        // Bytes as such: a field of that number in a message.
        messages.iter().for_each(|bytes| builder.push(&Raw(bytes.to_vec())));
        let (bytes, chain) = builder.finish(chain);
        (bytes.to_vec(), chain)
    };
    let header = file_header(FileKind::Snapshot, FileHeader::default());
    let head = SnapshotHead { index: 5, revision: 9, ..SnapshotHead::default() }.encode_to_vec();
    let file = |frames: &[&[&[u8]]]| {
        let (mut bytes, mut chain, mut first) = (header.to_vec(), 0, 0);
        for messages in frames {
            let made = frame(first, chain, messages);
            bytes.extend(made.0);
            (chain, first) = (made.1, first + messages.len() as u64);
        }
        bytes
    };
    assert!(load(&file(&[&[&head], &[]]), 5).is_ok(), "the frames themselves are good");
    let table: [(&str, Vec<u8>, &str); 4] = [
        ("no head at all", file(&[&[]]), "has no head"),
        ("a head that is none", file(&[&[b"\xff\xff"], &[]]), "cannot be decoded"),
        ("an item that is none", file(&[&[&head], &[b"\xff\xff"], &[]]), "cannot be decoded"),
        ("another kind of file", file_header(FileKind::Log, FileHeader::default()).to_vec(), "does not begin as one"),
    ];
    for (what, content, said) in table {
        let error = why(load(&content, 5));
        assert!(error.contains(said), "{what}: {error}");
    }
}

/// Bytes that stand for a message.
#[derive(Debug, Default, Clone)]
struct Raw(Vec<u8>);

impl Message for Raw {
    fn encode_raw(&self, buffer: &mut impl bytes::BufMut) {
        buffer.put_slice(&self.0);
    }
    fn merge_field(
        &mut self,
        _: u32,
        _: prost::encoding::WireType,
        _: &mut impl bytes::Buf,
        _: prost::encoding::DecodeContext,
    ) -> Result<(), prost::DecodeError> {
        Ok(())
    }
    fn encoded_len(&self) -> usize {
        self.0.len()
    }
    fn clear(&mut self) {
        self.0.clear();
    }
}

#[test]
fn a_snapshot_ends_with_its_store_or_its_state() {
    let broken = |breaks: &dyn Fn(&Core)| {
        let core = Arc::new(core());
        let head = core.state.write().begin_save();
        let mut parts = 0;
        let result = encode(&core, &head, &mut |_| {
            parts += 1;
            if parts == 3 {
                breaks(&core);
            }
            Ok(())
        });
        result.err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!(broken(&|_| {}), "");
    assert!(!broken(&Core::close).is_empty(), "the store was closed");
    let replaced = broken(&|core| *core.state.write() = State::default());
    assert!(replaced.contains("replaced by another member's"), "{replaced}");
    let core = core();
    let head = core.state.write().begin_save();
    let full = encode(&core, &head, &mut |_| Err(io::ErrorKind::StorageFull.into()));
    assert_eq!(full.err().map(|error| error.kind()), Some(io::ErrorKind::StorageFull));
}
