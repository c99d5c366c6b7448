//! Damage planted at every byte of a log, files cut at every length, files lost: what is read back is either all that was
//! acknowledged, or (for a tear) all but the last group, or a refusal that names what is lost.

mod frames;
mod readers;
mod replace;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use proto::log::{Entry, HardState, Identity};

use super::frame::{FrameBuilder, Verdict, judge};
use super::{Log, open};
use crate::disk::{Disk, MemoryDisk};
use crate::options::{OpenError, Options};
use crate::raft::MOST;

/// Sizes of the requests of each group; the fourth spans sectors.
const GROUPS: &[&[usize]] = &[&[10], &[100, 1, 30], &[7], &[900, 800], &[0, 5], &[300]];

fn options(disk: &MemoryDisk, segment_bytes: u64) -> Options {
    Options { disk: Arc::new(disk.clone()), segment_bytes, ..Options::new("/store") }
}

fn request(index: u64, size: usize) -> Bytes {
    vec![b'a' + (index % 26) as u8; size].into()
}

fn entry(index: u64, term: u64, size: usize) -> Entry {
    Entry { term, index, request: request(index, size), kind: 0 }
}

fn hard(term: u64, commit: u64) -> HardState {
    HardState { term, vote: 9, commit }
}

fn identity() -> Identity {
    Identity { cluster: 7, member: 8, nonce: 9 }
}

/// The whole log: what is committed and what is not.
fn all(log: &Log, from: u64) -> Vec<Entry> {
    log.entries(from, u64::MAX, u64::MAX).unwrap()
}

/// Opens the log behind entry `done` of term 1: it and its entries after that.
fn read_behind(disk: &MemoryDisk, segment_bytes: u64, done: u64) -> Result<(Log, Vec<(u64, Bytes)>), OpenError> {
    let mut applied = Vec::new();
    let options = options(disk, segment_bytes);
    let recovered = open(&options, (done, u64::from(done > 0)), identity(), &mut |entry| {
        applied.push(entry);
        Ok(())
    })?;
    assert_eq!(recovered.applied, applied.last().map_or(done, |entry| entry.index));
    let log = recovered.log;
    assert!(log.hard_state().commit <= recovered.applied.max(done));
    applied.extend(all(&log, recovered.applied + 1));
    assert_eq!(applied, all(&log, done + 1), "what was applied is what can be read");
    Ok((log, applied.into_iter().map(|entry| (entry.index, entry.request)).collect()))
}

fn read(disk: &MemoryDisk) -> Result<Vec<(u64, Bytes)>, OpenError> {
    read_behind(disk, 1 << 20, 0).map(|(_, entries)| entries)
}

/// Appends the request as the next entry, of the last entry's term.
fn push(log: &mut Log, request: &Bytes) -> Result<u64, super::AppendError> {
    let (index, term) = (log.next_index(), log.last_term().max(1));
    let entry = Entry { term, index, request: request.clone(), kind: 0 };
    log.append(&mut vec![entry], hard(term, index - 1)).map(|()| index)
}

/// A log of [`GROUPS`]: its disk, what it holds, and where each frame begins, with the end behind the last.
fn sample(segment_bytes: u64) -> (MemoryDisk, Vec<(u64, Bytes)>, Vec<usize>) {
    let disk = MemoryDisk::new();
    let (mut log, _) = read_behind(&disk, segment_bytes, 0).unwrap();
    let (mut entries, mut frames) = (Vec::new(), vec![log.current.bytes as usize]);
    for group in GROUPS {
        let first = entries.len() as u64 + 1;
        let group: Vec<_> = (first..).zip(*group).map(|(index, size)| entry(index, 1, *size)).collect();
        log.append(&mut group.clone(), hard(1, first - 1)).unwrap();
        entries.extend(group.into_iter().map(|entry| (entry.index, entry.request)));
        frames.push(log.current.bytes as usize);
    }
    (disk, entries, frames)
}

fn first_log() -> PathBuf {
    path(1, 1)
}

fn path(number: u32, first: u64) -> PathBuf {
    super::segment_path(Path::new("/store"), &super::Segment { number, first, bytes: 0 })
}

/// What was written to a log file, without the zeros ahead: frames end at multiples of eight, and no payload here with a zero.
fn written(disk: &MemoryDisk, path: &Path) -> Vec<u8> {
    let mut content = disk.content(path).unwrap();
    let used = content.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    content.truncate(used.next_multiple_of(8));
    content
}

/// What may follow the last frame of a log.
const ZEROS_BEHIND: [usize; 2] = [0, 700];

/// The first entry of the group that begins at `frames[at]`.
fn first_of(group: usize) -> u64 {
    1 + GROUPS[..group].iter().map(|group| group.len() as u64).sum::<u64>()
}

#[test]
fn entries_come_back_across_segments_and_terms() {
    for segment_bytes in [1, 200, 1000, 1 << 20] {
        let (disk, mut entries, _) = sample(segment_bytes);
        for _ in 1..4 {
            let (mut log, found) = read_behind(&disk, segment_bytes, 0).unwrap();
            assert_eq!(found, entries, "segments of {segment_bytes}");
            assert_eq!((log.next_index(), log.identity()), (entries.len() as u64 + 1, identity()));
            let extra = request(log.next_index(), 20);
            push(&mut log, &extra).unwrap();
            entries.push((entries.len() as u64 + 1, extra));
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_is_refused_by_index() {
    let (disk, entries, frames) = sample(1 << 20);
    let whole = written(&disk, &first_log());
    for at in 0..whole.len() {
        for (bit, zeros) in [0, 3, 7].into_iter().flat_map(|bit| ZEROS_BEHIND.map(|zeros| (bit, zeros))) {
            let mut content = whole.clone();
            content[at] ^= 1 << bit;
            content.resize(whole.len() + zeros, 0);
            let copy = disk.copy();
            copy.plant(&first_log(), content);
            let group = frames.iter().rposition(|frame| *frame <= at);
            match (read(&copy), group) {
                // Bytes that mean nothing (padding).
                (Ok(found), _) => {
                    assert_eq!(found, entries, "byte {at} bit {bit}");
                    assert!(whole[at] == 0, "byte {at} bit {bit} was not noticed");
                }
                (Err(OpenError::Damaged { first, last, .. }), Some(group)) => {
                    let next = group + 1;
                    let expected_last = (next < GROUPS.len()).then(|| first_of(next) - 1);
                    assert_eq!((first, last), (first_of(group), expected_last), "byte {at} bit {bit}");
                }
                (Err(OpenError::Damaged { .. }), None) => assert!(at < frames[0]),
                (Err(error), _) => panic!("byte {at} bit {bit}: {error}"),
            }
        }
    }
}

#[test]
fn a_file_cut_anywhere_loses_the_last_group_only() {
    let (disk, entries, frames) = sample(1 << 20);
    let whole = written(&disk, &first_log());
    for length in 0..=whole.len() {
        let copy = disk.copy();
        copy.plant(&first_log(), whole[..length].to_vec());
        if length < frames[0] {
            // Files are complete before they have their name.
            assert!(matches!(read(&copy), Err(OpenError::Damaged { .. })), "{length}");
            continue;
        }
        let complete = frames.iter().filter(|frame| **frame <= length).count() - 1;
        let kept = first_of(complete) as usize - 1;
        assert_eq!(read(&copy).unwrap(), entries[..kept], "{length}");
        // What was cut stays cut, and the log goes on behind it.
        let (mut log, _) = read_behind(&copy, 1 << 20, 0).unwrap();
        let extra = request(0, 40);
        assert_eq!(push(&mut log, &extra).unwrap() as usize, kept + 1);
        assert_eq!(read(&copy).unwrap().last(), Some(&(kept as u64 + 1, extra)));
    }
}

#[test]
fn zeroed_sectors_are_a_tear_at_the_end_and_damage_before() {
    let (disk, entries, frames) = sample(1 << 20);
    let whole = written(&disk, &first_log());
    let last_group = frames[GROUPS.len() - 1];
    let sectors = (0..whole.len().div_ceil(512)).flat_map(|sector| ZEROS_BEHIND.map(|zeros| (sector, zeros)));
    for (sector, zeros) in sectors {
        let range = sector * 512..whole.len().min(sector * 512 + 512);
        let mut content = whole.clone();
        // Of the last group alone: what a loss of power can leave.
        let torn = range.start.max(last_group)..range.end.max(last_group);
        if !torn.is_empty() {
            content[torn].fill(0);
            let copy = disk.copy();
            copy.plant(&first_log(), [content.clone(), vec![0; zeros]].concat());
            assert_eq!(read(&copy).unwrap(), entries[..first_of(GROUPS.len() - 1) as usize - 1], "sector {sector}");
        }
        if range.start < last_group {
            content.copy_from_slice(&whole);
            content[range].fill(0);
            let copy = disk.copy();
            copy.plant(&first_log(), [content.clone(), vec![0; zeros]].concat());
            let good_follows = sector * 512 + 512 <= last_group;
            match read(&copy) {
                Err(OpenError::Damaged { last, .. }) => assert!(last.is_some() == (good_follows && sector > 0)),
                // Groups that were acknowledged, but all behind the first bad byte is bad: no program can tell.
                Ok(found) => assert!(!good_follows && found.len() < entries.len(), "sector {sector}"),
                Err(error) => panic!("{error}"),
            }
        }
    }
    // Zeros behind the end are no entries.
    let copy = disk.copy();
    copy.plant(&first_log(), [whole, vec![0; 5000]].concat());
    assert_eq!(read(&copy).unwrap(), entries);
}

#[test]
fn zeros_are_written_ahead_where_there_is_room_for_certain() {
    let disk = MemoryDisk::new();
    let (mut log, _) = read_behind(&disk, 8 << 20, 0).unwrap();
    let size = || disk.content(&first_log()).unwrap().len() as u64;
    push(&mut log, &request(1, 20)).unwrap();
    let (ahead, end) = (size(), log.current.bytes);
    assert_eq!(ahead, end + super::ZEROS);
    // However full the disk: what is written ahead had its place before.
    disk.fill_after(0);
    while log.current.bytes + 100 < ahead {
        let left = (ahead - log.current.bytes) as usize;
        push(&mut log, &request(1, 30_000.min(left - 100))).unwrap();
        assert_eq!(size(), ahead, "the file does not grow by a frame");
    }
    push(&mut log, &request(1, 1000)).unwrap();
    assert_eq!(size(), log.current.bytes + super::ZEROS, "once for many frames");
    // A large frame is not written twice.
    push(&mut log, &request(1, 300_000)).unwrap();
    assert_eq!(size(), log.current.bytes);
    // Not beyond what is reserved.
    while log.current.bytes + 200_000 < log.reserved {
        push(&mut log, &request(1, 100_000)).unwrap();
    }
    while log.current.bytes + 200 < log.reserved {
        push(&mut log, &request(1, 50)).unwrap();
        assert!(size() <= log.reserved);
    }
    assert_eq!(size(), log.reserved);
    assert!(matches!(push(&mut log, &request(1, 1000)), Err(super::AppendError::Refused(_))));
    assert_eq!((size(), log.zeroed), (log.current.bytes, log.current.bytes), "nothing is left of what does not fit");
    disk.free_space();
    push(&mut log, &request(1, 1000)).unwrap();
    let entries = all(&log, 1);
    assert_eq!(read(&disk).unwrap().len(), entries.len());
    assert_eq!(size(), log.current.bytes, "cut at the next start");
}

/// Checksums do not keep out what was made so.
#[test]
fn a_term_that_leaves_none_for_the_next_election_is_refused() {
    // (term of the last entry, the member's term, whether the log opens)
    for (last, own, opens) in
        [(1, MOST, true), (MOST, MOST, true), (1, MOST + 1, false), (MOST + 1, 1, false), (1, u64::MAX, false)]
    {
        let disk = MemoryDisk::new();
        let (mut log, _) = read_behind(&disk, 1 << 20, 0).unwrap();
        log.append(&mut vec![entry(1, last, 10)], hard(own, 0)).unwrap();
        drop(log);
        match (opens, read(&disk)) {
            (true, read) => assert_eq!(read.unwrap().len(), 1),
            (false, Err(OpenError::Damaged { what, .. })) => assert!(what.contains("never given"), "{what}"),
            (false, read) => panic!("{last} {own}: {read:?}"),
        }
    }
}

#[test]
fn lost_swapped_and_repeated_parts_are_refused() {
    let (disk, _, frames) = sample(1 << 20);
    let whole = disk.content(&first_log()).unwrap();
    let part = |group: usize| &whole[frames[group]..frames[group + 1]];
    let head = &whole[..frames[0]];
    // (what, frames in the file, first and last index that cannot be read)
    let table: &[(&str, &[usize], u64, Option<u64>)] = &[
        ("a frame is missing", &[0, 2, 3], first_of(1), Some(first_of(2) - 1)),
        ("the first frame is missing", &[1, 2], 1, Some(1)),
        ("a frame is there twice", &[0, 1, 1, 2], first_of(2), None),
        ("frames are swapped", &[0, 2, 1], first_of(1), Some(first_of(2) - 1)),
    ];
    for (what, groups, first, last) in table {
        let copy = disk.copy();
        let parts: Vec<u8> = groups.iter().flat_map(|group| part(*group)).copied().collect();
        copy.plant(&first_log(), [head, &parts].concat());
        match read(&copy) {
            Err(OpenError::Damaged { first: f, last: l, .. }) => assert_eq!((f, l), (*first, *last), "{what}"),
            other => panic!("{what}: {:?}", other.map(|entries| entries.len())),
        }
    }
}

#[test]
fn lost_files_are_refused_unless_a_snapshot_covers_them() {
    // One group per file.
    let (disk, entries, _) = sample(1);
    // Each file is full with one group, the first one before it.
    let path = |group: usize| path(group as u32 + 2, first_of(group));
    let without = |group: usize| {
        let copy = disk.copy();
        copy.remove(&path(group)).unwrap();
        copy
    };
    for group in 0..GROUPS.len() - 1 {
        match read(&without(group)) {
            Err(OpenError::Damaged { first, last, .. }) => {
                assert_eq!((first, last), (first_of(group), Some(first_of(group + 1) - 1)), "file {group}");
            }
            other => panic!("file {group}: {:?}", other.map(|entries| entries.len())),
        }
    }
    // A cut that is a tear in the last file is damage in an earlier one.
    let copy = disk.copy();
    let content = disk.content(&path(3)).unwrap();
    copy.plant(&path(3), content[..content.len() - 9].to_vec());
    assert!(matches!(read(&copy), Err(OpenError::Damaged { first, .. }) if first == first_of(3)));

    let done = first_of(2) - 1;
    let (log, found) = read_behind(&without(0), 1, done).unwrap();
    assert_eq!(found, entries[done as usize..]);
    assert_eq!(log.sealed.len(), GROUPS.len() - 3, "files that the snapshot covers are removed");
    let beyond = read_behind(&disk.copy(), 1, 1000);
    assert!(matches!(beyond, Err(OpenError::Damaged { .. })), "the log must not end before the snapshot");
}

#[test]
fn trimming_removes_whole_files_only() {
    let (disk, entries, _) = sample(1);
    let (mut log, _) = read_behind(&disk, 1, 0).unwrap();
    let index = first_of(3);
    assert!(log.superfluous(index) > 0);
    log.trim(index).unwrap();
    assert_eq!(log.superfluous(index), 0);
    drop(log);
    let (_, found) = read_behind(&disk, 1, index).unwrap();
    assert_eq!(found, entries[index as usize..]);
    assert!(matches!(read(&disk), Err(OpenError::Damaged { first: 1, .. })));
}

#[test]
fn a_write_that_fails_leaves_the_log_usable() {
    let disk = MemoryDisk::new();
    // So small that little is reserved.
    let (mut log, _) = read_behind(&disk, 4000, 0).unwrap();
    let (one, two) = (request(1, 3000), request(2, 20));
    push(&mut log, &one).unwrap();
    disk.fill_after(1000);
    assert!(matches!(push(&mut log, &one), Err(super::AppendError::Refused(_))));
    disk.free_space();
    assert_eq!(push(&mut log, &two).unwrap(), 2);
    assert_eq!(read(&disk).unwrap(), [(1, one), (2, two)]);
}

#[test]
fn verdicts_on_what_follows_the_last_frame() {
    let mut builder = FrameBuilder::default();
    builder.begin(7);
    builder.push(&proto::log::Entry { term: 1, index: 7, request: vec![b'x'; 2000].into(), kind: 0 });
    let frame = builder.finish(0).0.to_vec();
    let zeroed = |from: usize, to: usize| {
        let mut frame = frame.clone();
        frame[from..to].fill(0);
        frame
    };
    let flipped = |at: usize| {
        let mut frame = frame.clone();
        frame[at] ^= 1;
        frame
    };
    let damaged = |verdict: &Verdict| matches!(verdict, Verdict::Damaged { .. });
    // (what, bytes, where they begin, torn?)
    let table = [
        ("a flipped bit in the payload", flipped(1000), 1024, false),
        ("a flipped bit in the length", flipped(5), 1024, false),
        ("a lost sector", zeroed(512, 1024), 1024, true),
        ("a lost first sector", zeroed(0, 512), 1024, true),
        ("half a sector of zeros", zeroed(512, 768), 1024, false),
        ("a lost sector, not aligned", zeroed(24, 536), 1000, true),
        ("the header's first part lost", zeroed(0, 24), 1000, true),
        ("everything but the header's first part lost", zeroed(24, 2048), 1000, true),
        ("the end of the file lost", frame[..1500].to_vec(), 1024, true),
        ("only some of the header", frame[..20].to_vec(), 1024, true),
    ];
    for (what, bytes, at, torn) in table {
        let verdict = judge(&bytes, at, 7);
        assert_eq!((verdict == Verdict::Torn, damaged(&verdict)), (torn, !torn), "{what}: {verdict:?}");
    }
    assert_eq!(judge(&[0; 600], 1024, 7), Verdict::End);
    assert_eq!(judge(&[], 1024, 7), Verdict::End);
}
