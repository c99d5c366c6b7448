//! Reading a file frame by frame, and the newest entries in memory.

use std::path::Path;

use proto::log::Entry;

use super::super::frame::{FileHeader, FileKind, FrameBuilder, HEADER, file_header};
use super::super::reader::{Found, Reader};
use super::super::tail::{Tail, weight};
use crate::disk::{Disk, MemoryDisk};
use crate::options::OpenError;

const PATH: &str = "/store/file";

/// A frame: its first index, how many entries, bytes of each.
type Frame = (u64, u64, usize);

/// A file whose header says that it begins at `first`, with frames that follow one another by their chains.
fn file(kind: FileKind, first: u64, frames: &[Frame]) -> (Vec<u8>, Vec<u64>) {
    let mut bytes = file_header(kind, FileHeader { number: 1, fresh: true, first, chain: 0 }).to_vec();
    let (mut chain, mut places) = (0, Vec::new());
    for (first, count, size) in frames {
        places.push(bytes.len() as u64);
        let mut builder = FrameBuilder::default();
        builder.begin(*first);
        for number in 0..*count {
            builder.push(&Entry { term: 1, index: first + number, request: vec![7; *size].into(), kind: 0 });
        }
        let (frame, next) = builder.finish(chain);
        bytes.extend_from_slice(frame);
        chain = next;
    }
    (bytes, places)
}

fn disk_with(bytes: Vec<u8>) -> MemoryDisk {
    let disk = MemoryDisk::new();
    drop(disk.create(Path::new(PATH)).unwrap());
    disk.plant(Path::new(PATH), bytes);
    disk
}

/// First index and number of entries of each frame, then whether the end is torn; or where and what is wrong.
fn read(kind: FileKind, bytes: Vec<u8>) -> (Vec<(u64, u32)>, Result<bool, String>) {
    let disk = disk_with(bytes);
    let file = disk.open(Path::new(PATH)).unwrap();
    let mut frames = Vec::new();
    let mut reader = match Reader::open(kind, Path::new(PATH), &*file) {
        Ok(reader) => reader,
        Err(error) => return (frames, Err(error.to_string())),
    };
    loop {
        match reader.next() {
            Ok(Found::Frame(header, payload)) => {
                assert_eq!(payload.len(), header.length);
                frames.push((header.first, header.count));
            }
            Ok(Found::End { torn }) => return (frames, Ok(torn)),
            Err(error) => return (frames, Err(error.to_string())),
        }
    }
}

#[test]
fn frames_are_read_whatever_their_size() {
    // Longer than the window, at its edge, and many small ones behind.
    for size in [0, 1, 1000, (1 << 20) - 64, 1 << 20, 3 << 20] {
        let frames = [(1, 1, 10), (2, 1, size), (3, 2, 5), (5, 1, size), (6, 0, 0), (6, 1, 1)];
        let (bytes, _) = file(FileKind::Log, 1, &frames);
        let expected = vec![(1, 1), (2, 1), (3, 2), (5, 1), (6, 0), (6, 1)];
        assert_eq!(read(FileKind::Log, bytes.clone()), (expected.clone(), Ok(false)), "{size}");
        let padded = [bytes.clone(), vec![0; 700_000]].concat();
        assert_eq!(read(FileKind::Log, padded), (expected.clone(), Ok(false)), "{size}, and reserved room");
        let cut = bytes[..bytes.len() - 8].to_vec();
        assert_eq!(read(FileKind::Log, cut), (expected[..5].to_vec(), Ok(true)), "{size}, cut");
    }
}

/// As a snapshot's frames of larger values are: a little longer than the window.
#[test]
fn nothing_is_read_twice() {
    let frames: Vec<Frame> = (1..=20).map(|index| (index, 1, 300_000)).collect();
    let (bytes, _) = file(FileKind::Snapshot, 1, &frames);
    let disk = disk_with(bytes.clone());
    let file = disk.open(Path::new(PATH)).unwrap();
    let mut reader = Reader::open(FileKind::Snapshot, Path::new(PATH), &*file).unwrap();
    while let Found::Frame(..) = reader.next().unwrap() {}
    assert_eq!((reader.expected, disk.bytes_read()), (21, bytes.len() as u64));
}

/// Checksums do not keep out what was made so.
#[test]
fn entries_have_numbers_to_the_last_one() {
    for kind in [FileKind::Log, FileKind::Snapshot, FileKind::Manifest] {
        let last = u64::MAX - 1;
        let (bytes, _) = file(kind, last, &[(last, 1, 5), (u64::MAX, 0, 0)]);
        assert_eq!(read(kind, bytes), (vec![(last, 1), (u64::MAX, 0)], Ok(false)), "{kind:?}");
        let (bytes, _) = file(kind, last, &[(last, 1, 5), (u64::MAX, 1, 5)]);
        let (frames, end) = read(kind, bytes);
        assert_eq!(frames, [(last, 1)], "{kind:?}");
        assert!(end.unwrap_err().contains("more entries than can be numbered"), "{kind:?}");
    }
}

#[test]
fn frames_must_follow_each_other() {
    // (kind, frames, how many are read, whether the rest is damage)
    let table: &[(FileKind, &[Frame], usize, bool)] = &[
        (FileKind::Log, &[(1, 2, 1), (3, 1, 1)], 2, false),
        (FileKind::Log, &[(1, 2, 1), (4, 1, 1)], 1, true),
        (FileKind::Log, &[(2, 1, 1)], 0, true),
        // A log's frame may replace, others' may not.
        (FileKind::Log, &[(1, 3, 1), (2, 1, 1), (3, 1, 1)], 3, false),
        (FileKind::Snapshot, &[(1, 3, 1), (2, 1, 1)], 1, true),
        (FileKind::Manifest, &[(1, 3, 1), (2, 1, 1)], 1, true),
        (FileKind::Snapshot, &[(1, 3, 1), (4, 1, 1)], 2, false),
    ];
    for (kind, frames, count, damage) in table {
        let (found, end) = read(*kind, file(*kind, 1, frames).0);
        assert_eq!((found.len(), end.is_err()), (*count, *damage), "{kind:?} {frames:?}: {end:?}");
        if let Err(text) = end {
            assert!(text.contains("does not follow"), "{text}");
        }
    }
}

#[test]
fn damage_says_where_and_what_is_lost() {
    let (bytes, places) = file(FileKind::Log, 1, &[(1, 2, 10), (3, 2, 10), (5, 1, 10)]);
    // (byte that is flipped; offset, first and last index that cannot be read)
    let payload = |frame: usize| places[frame] as usize + HEADER + 3;
    for (at, offset, first, last) in
        [(payload(0), places[0], 1, Some(2)), (payload(1), places[1], 3, Some(4)), (payload(2), places[2], 5, None)]
    {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let disk = disk_with(changed);
        let file = disk.open(Path::new(PATH)).unwrap();
        let mut reader = Reader::open(FileKind::Log, Path::new(PATH), &*file).unwrap();
        let error = loop {
            match reader.next() {
                Ok(Found::Frame(..)) => {}
                Ok(Found::End { .. }) => panic!("byte {at} was not noticed"),
                Err(error) => break error,
            }
        };
        match error {
            OpenError::Damaged { offset: o, first: f, last: l, .. } => assert_eq!((o, f, l), (offset, first, last)),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn reading_begins_at_any_frame() {
    let (bytes, places) = file(FileKind::Log, 1, &[(1, 2, 10), (3, 2, 2000), (5, 1, 10)]);
    let disk = disk_with(bytes);
    let file = disk.open(Path::new(PATH)).unwrap();
    for (at, first, frames) in [(places[0], 1, 3), (places[1], 3, 2), (places[1], 4, 2), (places[2], 5, 1)] {
        let mut reader = Reader::resume(Path::new(PATH), &*file, at, first).unwrap();
        let mut count = 0;
        while let Ok(Found::Frame(..)) = reader.next() {
            count += 1;
        }
        assert_eq!((count, reader.expected), (frames, 6), "from {first}");
    }
}

fn entries(first: u64, sizes: &[usize]) -> Vec<Entry> {
    (first..)
        .zip(sizes)
        .map(|(index, size)| Entry { term: 1, index, request: vec![1; *size].into(), kind: 0 })
        .collect()
}

fn held(tail: &Tail) -> Vec<u64> {
    tail.since(0).map(|entry| entry.index).collect()
}

#[test]
fn the_newest_entries_are_replaced_and_let_go() {
    // Entries 1 to 5. (first of those added, how many; what is there then)
    for (first, count, expected) in [
        (6, 2, vec![1, 2, 3, 4, 5, 6, 7]),
        (5, 1, vec![1, 2, 3, 4, 5]),
        (3, 1, vec![1, 2, 3]),
        (1, 2, vec![1, 2]),
        (6, 0, vec![1, 2, 3, 4, 5]),
    ] {
        let mut tail = Tail::new(1);
        tail.add(entries(1, &[10; 5]));
        tail.add(entries(first, &vec![20; count]));
        assert_eq!(held(&tail), expected, "{count} from {first} on");
    }
    // What was let go and is replaced nevertheless: it begins anew there.
    let mut tail = Tail::new(1);
    tail.add(entries(1, &[10; 5]));
    tail.release(5, 0);
    assert_eq!((tail.first(), held(&tail)), (6, vec![]));
    tail.add(entries(4, &[10, 10]));
    assert_eq!((tail.first(), held(&tail)), (4, vec![4, 5]));
    // (applied, bytes kept; the first that is left). Each weighs the same.
    let each = weight(&entries(1, &[10])[0]);
    for (applied, keep, first) in [
        (0, 0, 1),
        (3, 0, 4),
        (5, 0, 6),
        (9, 0, 6),
        (5, 2 * each, 4),
        (5, 2 * each - 1, 5),
        (2, 4 * each, 2),
        (5, u64::MAX, 1),
    ] {
        let mut tail = Tail::new(1);
        tail.add(entries(1, &[10; 5]));
        tail.release(applied, keep);
        assert_eq!((tail.first(), held(&tail)), (first, (first..6).collect()), "applied {applied}, {keep} bytes");
    }
}

#[test]
fn entries_are_taken_from_the_front_in_portions() {
    let each = weight(&entries(1, &[10])[0]);
    // (before, bytes; how many are taken)
    for (to, most, count) in [
        (6, u64::MAX, 5),
        (4, u64::MAX, 3),
        (1, u64::MAX, 0),
        (6, 0, 1),
        (6, each, 1),
        (6, 2 * each, 2),
        (6, 3 * each - 1, 2),
    ] {
        let mut tail = Tail::new(1);
        tail.add(entries(1, &[10; 5]));
        let taken: Vec<u64> = tail.take(to, most).iter().map(|entry| entry.index).collect();
        assert_eq!(taken, (1..=count).collect::<Vec<_>>(), "before {to}, {most} bytes");
        assert_eq!((tail.first(), held(&tail)), (count + 1, (count + 1..6).collect()));
        // What is weighed is what is there.
        tail.release(9, 0);
        tail.add(entries(6, &[10]));
        tail.release(9, each);
        assert_eq!(held(&tail), [6]);
    }
}
