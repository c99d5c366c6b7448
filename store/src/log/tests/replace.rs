//! What raft does to a log beside appending: conflicting suffixes are replaced, votes are remembered, snapshots of others
//! take the log's place; with power lost at every byte of it, and a model by seed.

use super::*;
use crate::log::AppendError;
use crate::random::SplitMix;

fn entries(first: u64, term: u64, sizes: &[usize]) -> Vec<Entry> {
    (first..).zip(sizes).map(|(index, size)| entry(index, term, *size)).collect()
}

fn reopen(disk: &MemoryDisk, done: (u64, u64)) -> Result<(Log, Vec<Entry>), OpenError> {
    let mut applied = Vec::new();
    let recovered = open(&options(disk, 1 << 20), done, identity(), &mut |entry| {
        applied.push(entry);
        Ok(())
    })?;
    Ok((recovered.log, applied))
}

#[test]
fn a_conflicting_suffix_is_replaced_or_not_at_any_loss_of_power() {
    let disk = MemoryDisk::new();
    let (mut log, _) = reopen(&disk, (0, 0)).unwrap();
    let old = entries(1, 1, &[10, 700, 20, 900, 30]);
    log.append(&mut old.clone(), hard(1, 2)).unwrap();
    let before = log.current.bytes as usize;
    let new = entries(4, 3, &[40, 800]);
    log.append(&mut new.clone(), hard(3, 3)).unwrap();
    let replaced = [&old[..3], &new[..]].concat();
    assert_eq!(all(&log, 1), replaced);
    assert_eq!((log.term_of(3), log.term_of(4), log.last_term(), log.next_index()), (Some(1), Some(3), 3, 6));
    let whole = written(&disk, &first_log());
    for length in before..=whole.len() {
        let copy = disk.copy();
        copy.plant(&first_log(), whole[..length].to_vec());
        let (log, applied) = reopen(&copy, (0, 0)).unwrap();
        let complete = length == whole.len();
        let (expected, state) = if complete { (&replaced, hard(3, 3)) } else { (&old, hard(1, 2)) };
        assert_eq!((&all(&log, 1), log.hard_state()), (expected, state), "cut to {length}");
        assert_eq!(applied, expected[..state.commit as usize], "only what is committed is applied");
    }
    // Read from the file, not from memory.
    let (mut log, _) = reopen(&disk, (0, 0)).unwrap();
    log.append(&mut entries(6, 3, &[1]), hard(3, 6)).unwrap();
    log.release(6, 0);
    for from in 1..=6 {
        for to in from..=7 {
            for most in [1, 100, 1000, 10_000] {
                let found = log.entries(from, to, most).unwrap();
                assert!(found.len() == (to - from) as usize || !found.is_empty(), "{from} to {to}, {most} bytes");
                assert_eq!(found, all(&log, from)[..found.len()]);
            }
        }
    }
}

/// A member that is far behind is sent a mebibyte at a time; a point of the index stands each 64 KiB.
#[test]
fn what_is_read_for_one_far_behind_is_read_about_once() {
    let disk = MemoryDisk::new();
    let (mut log, _) = reopen(&disk, (0, 0)).unwrap();
    let mut expected: Vec<Entry> = Vec::new();
    for round in 0..300 {
        // Some groups replace the end of what was there, in a later term.
        let first = expected.len() as u64 + 1 - if round % 50 == 49 { 25 } else { 0 };
        let group = entries(first, 1 + round / 50, &[900; 20]);
        log.append(&mut group.clone(), hard(1 + round / 50, 0)).unwrap();
        expected.truncate(first as usize - 1);
        expected.extend(group);
    }
    let last = expected.len() as u64;
    log.append(&mut Vec::new(), hard(6, last)).unwrap();
    log.release(last, 0);
    let before = disk.bytes_read();
    let mut found = Vec::new();
    let mut calls = 0;
    while found.len() < expected.len() {
        found.extend(log.entries(found.len() as u64 + 1, last + 1, 1 << 20).unwrap());
        calls += 1;
    }
    assert!(found == expected);
    let (bytes, read) =
        (expected.iter().map(|entry| entry.request.len() as u64).sum::<u64>(), disk.bytes_read() - before);
    assert!(read < 2 * bytes, "{read} bytes read in {calls} calls, of {bytes}");
}

#[test]
fn committed_entries_are_never_replaced() {
    let disk = MemoryDisk::new();
    let (mut log, _) = reopen(&disk, (0, 0)).unwrap();
    log.append(&mut entries(1, 1, &[1, 2, 3]), hard(1, 0)).unwrap();
    log.append(&mut entries(4, 1, &[1]), hard(1, 3)).unwrap();
    assert!(matches!(log.append(&mut entries(3, 2, &[1]), hard(2, 3)), Err(AppendError::Unknown(_))));
    assert!(matches!(log.append(&mut entries(6, 2, &[1]), hard(2, 3)), Err(AppendError::Unknown(_))), "a gap");
    // The same, in the file.
    let mut builder = FrameBuilder::default();
    builder.begin(3);
    builder.push(&entry(3, 2, 1));
    let content = [written(&disk, &first_log()), builder.finish(log.chain).0.to_vec()].concat();
    disk.plant(&first_log(), content);
    let error = reopen(&disk, (0, 0)).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("committed entries are replaced") && error.contains("from 3 on"), "{error}");
}

#[test]
fn a_vote_is_remembered_or_was_never_given() {
    let disk = MemoryDisk::new();
    let (mut log, _) = reopen(&disk, (0, 0)).unwrap();
    log.append(&mut entries(1, 1, &[5]), hard(1, 0)).unwrap();
    let before = log.current.bytes as usize;
    log.append(&mut Vec::new(), HardState { term: 5, vote: 3, commit: 1 }).unwrap();
    let after = log.current.bytes;
    log.append(&mut Vec::new(), HardState { term: 5, vote: 3, commit: 1 }).unwrap();
    assert_eq!(log.current.bytes, after, "what is known is not written again");
    let whole = written(&disk, &first_log());
    for length in before..=whole.len() {
        let copy = disk.copy();
        copy.plant(&first_log(), whole[..length].to_vec());
        let (log, applied) = reopen(&copy, (0, 0)).unwrap();
        let vote = if length == whole.len() { (5, 3) } else { (1, 9) };
        assert_eq!((log.hard_state().term, log.hard_state().vote), vote, "cut to {length}");
        assert_eq!(applied.len(), usize::from(length == whole.len()));
        assert_eq!(all(&log, 1).len(), 1);
    }
    for at in before..whole.len() {
        let mut content = whole.clone();
        content[at] ^= 4;
        let copy = disk.copy();
        copy.plant(&first_log(), content);
        match reopen(&copy, (0, 0)) {
            Err(OpenError::Damaged { first: 2, .. }) => {}
            Ok(_) => assert_eq!(whole[at], 0, "byte {at} is no padding"),
            Err(error) => panic!("byte {at}: {error}"),
        }
    }
}

#[test]
fn a_log_behind_a_foreign_snapshot_counts_once_the_snapshot_does() {
    let disk = MemoryDisk::new();
    let (mut log, _) = reopen(&disk, (0, 0)).unwrap();
    let old = entries(1, 1, &[5, 6]);
    log.append(&mut old.clone(), hard(1, 1)).unwrap();
    let made = log.prepare_restart(50, 4, hard(4, 50)).unwrap();
    // The snapshot is not there: as if nothing had been.
    let copy = disk.copy();
    let (again, _) = reopen(&copy, (0, 0)).unwrap();
    assert_eq!((all(&again, 1), again.hard_state()), (old.clone(), hard(1, 1)));
    // It is there, but the old files are, too.
    let copy = disk.copy();
    let (again, applied) = reopen(&copy, (50, 4)).unwrap();
    assert_eq!((again.first_index(), again.next_index(), applied.len()), (51, 51, 0));
    assert_eq!((again.term_of(50), again.term_of(49), again.hard_state()), (Some(4), None, hard(4, 50)));
    assert_eq!(copy.list(Path::new("/store")).unwrap().len(), 1);

    log.restart(made).unwrap();
    log.append(&mut entries(51, 4, &[7]), hard(4, 50)).unwrap();
    assert_eq!((log.term_of(50), log.term_of(51), log.term_of(2)), (Some(4), Some(4), None));
    assert!(matches!(log.entries(50, 52, 100), Err(crate::log::read::ReadError::Gone)));
    let (log, _) = reopen(&disk, (50, 4)).unwrap();
    assert_eq!(all(&log, 51), entries(51, 4, &[7]));
    // Without its snapshot the log begins nowhere; of another term, the snapshot is another's.
    assert!(matches!(reopen(&disk.copy(), (0, 0)), Err(OpenError::Damaged { .. })));
    assert!(matches!(reopen(&disk.copy(), (50, 3)), Err(OpenError::Damaged { first: 50, .. })));
}

#[test]
fn newer_formats_are_refused_by_number() {
    let disk = MemoryDisk::new();
    drop(reopen(&disk, (0, 0)).unwrap());
    let mut content = disk.content(&first_log()).unwrap();
    content[8] = 3;
    disk.plant(&first_log(), content);
    let error = reopen(&disk, (0, 0)).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("the file has format version 3, this program reads version 2"), "{error}");
}

#[test]
fn a_full_disk_is_noticed_before_anything_is_promised() {
    let disk = MemoryDisk::new();
    let (mut log, _) = read_behind(&disk, 40_000, 0).unwrap();
    disk.fill_after(100);
    assert!(log.make_room(20_000).is_err());
    // What raft itself has to say still fits, across a file's end too.
    for term in 2..30 {
        log.append(&mut Vec::new(), hard(term, 0)).unwrap();
    }
    disk.free_space();
    log.make_room(20_000).unwrap();
    disk.fill_after(0);
    log.append(&mut entries(1, 29, &[19_000]), hard(29, 0)).unwrap();
}

/// Random appends, replacements, votes, trims, installations and losses of power against a plain list.
#[test]
fn a_log_is_what_its_model_is() {
    for seed in 0..300 {
        let mut random = SplitMix(seed);
        let disk = MemoryDisk::new();
        let segment = 200 + random.below(3000);
        let open_it = |disk: &MemoryDisk, done: (u64, u64)| {
            open(&options(disk, segment), done, identity(), &mut |_| Ok(())).map(|recovered| recovered.log).unwrap()
        };
        let mut log = open_it(&disk, (0, 0));
        // (entries from `base` + 1 on, the snapshot's entry and term)
        let (mut model, mut base, mut done): (Vec<Entry>, u64, (u64, u64)) = (Vec::new(), 0, (0, 0));
        let (mut term, mut commit) = (1, 0);
        for _ in 0..60 {
            let last = base + model.len() as u64;
            match random.below(10) {
                0..5 => {
                    term += random.below(3) / 2;
                    let replace = random.below(4) == 0;
                    let first = if replace { commit + 1 + random.below(last - commit + 1) } else { last + 1 };
                    let count = 1 + random.below(4);
                    let new: Vec<_> =
                        (first..first + count).map(|index| entry(index, term, random.below(300) as usize)).collect();
                    model.truncate((first - base - 1) as usize);
                    model.extend(new.iter().cloned());
                    log.append(&mut new.clone(), hard(term, commit)).unwrap();
                    commit += random.below(base + model.len() as u64 - commit + 1);
                }
                5 => {
                    term += 1;
                    log.append(&mut Vec::new(), hard(term, commit)).unwrap();
                }
                6 if commit > done.0 => {
                    done = (commit, model[(commit - base - 1) as usize].term);
                    log.trim(done.0).unwrap();
                }
                7 => log.release(commit, random.below(2000)),
                8 if random.below(4) == 0 => {
                    let index = last + random.below(5);
                    let made = log.prepare_restart(index, term, hard(term, index)).unwrap();
                    log.restart(made).unwrap();
                    (model, base, done, commit) = (Vec::new(), index, (index, term), index);
                }
                _ => {
                    disk.crash(random.next());
                    log = open_it(&disk.clone(), done);
                }
            }
            let first = log.first_index();
            assert!(first <= done.0 + 1 && first > base, "seed {seed}");
            assert_eq!(all(&log, first), model[(first - base - 1) as usize..], "seed {seed}");
            let from = first + random.below(log.next_index() - first + 1);
            let some = log.entries(from, from + 5, 1 + random.below(600)).unwrap();
            assert_eq!(some, model[(from - base - 1) as usize..][..some.len()], "seed {seed}");
            for index in first..log.next_index() {
                assert_eq!(log.term_of(index), Some(model[(index - base - 1) as usize].term), "seed {seed}");
            }
        }
    }
}
