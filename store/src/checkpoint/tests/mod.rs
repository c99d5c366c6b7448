//! Which checkpoints a start begins with, and which are kept: on a disk in memory, where each is a file. What a database's
//! manifest must say: on the real one.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::disk::MemoryDisk;
use crate::kv::{Op, Txn};
use crate::request::Request;
use crate::state::At;

mod manifests;

const DIR: &str = "/store";

fn dir() -> &'static Path {
    Path::new(DIR)
}

/// A state right after entry `index`.
fn core(index: u64) -> Arc<Core> {
    let mut state = State::default();
    for at in 1..=index {
        let then = vec![Op::Put { key: format!("k{}", at % 5).into(), value: at.to_string().into(), lease: 0 }];
        state.apply(At { index: at, term: 1 }, Request::Txn(Txn { then, ..Txn::default() })).unwrap();
    }
    Arc::new(Core::new(state, Duration::from_secs(5), base::SystemClock::shared()))
}

fn save(disk: &MemoryDisk, index: u64) -> io::Result<u64> {
    let core = core(index);
    let head = core.state.write().begin_save();
    write(&core, disk, dir(), &head)
}

fn names(disk: &MemoryDisk) -> Vec<String> {
    let mut names = disk.list(dir()).unwrap();
    names.sort();
    names
}

fn file(index: u64) -> PathBuf {
    Generation { index, form: Form::File }.path(dir())
}

fn touch(disk: &MemoryDisk, name: &str) {
    drop(disk.create(&dir().join(name)).unwrap());
}

#[test]
fn names_that_are_checkpoints() {
    let table = [
        ("snapshot-00000000000000000007", Some((7, Form::File))),
        ("checkpoint-00000000000000000007", Some((7, Form::Database))),
        ("snapshot-7", Some((7, Form::File))),
        ("snapshot-00000000000000000007.tmp", None),
        ("checkpoint-00000000000000000007.tmp", None),
        ("checkpoint-", None),
        ("checkpoint-x", None),
        ("checkpoint--7", None),
        ("checkpoint-99999999999999999999999", None),
        ("log-00000001-00000000000000000001", None),
        ("LOCK", None),
        ("xsnapshot-7", None),
    ];
    for (name, expected) in table {
        let found = generations(&[name.to_owned()]).first().map(|found| (found.index, found.form));
        assert_eq!(found, expected, "{name}");
    }
    let all = ["checkpoint-9", "snapshot-3", "checkpoint-12", "snapshot-9"].map(str::to_owned);
    assert_eq!(generations(&all).iter().map(|found| found.index).collect::<Vec<_>>(), [3, 9, 9, 12], "by number");
}

#[test]
fn two_are_kept_and_the_log_behind_the_older_one() {
    let disk = MemoryDisk::new();
    // (saved at, up to where the log can go, what is there then)
    for (index, covered, kept) in [(5, 0, vec![5]), (9, 5, vec![5, 9]), (20, 9, vec![9, 20]), (21, 20, vec![20, 21])] {
        assert_eq!(save(&disk, index).unwrap(), covered, "saved at {index}");
        let expected: Vec<String> = kept.iter().map(|at| format!("snapshot-{at:020}")).collect();
        assert_eq!(names(&disk), expected, "saved at {index}");
        let loaded = load(&disk, dir()).unwrap();
        assert_eq!((loaded.head.index, loaded.state.applied().index, loaded.damage.len()), (index, index, 0));
    }
}

#[test]
fn the_newest_that_can_be_read_is_taken() {
    let whole = MemoryDisk::new();
    for index in [5, 9] {
        save(&whole, index).unwrap();
    }
    touch(&whole, "log-00000001-00000000000000000001");
    // (what is damaged; the one that is taken, how many were tried before)
    for (damaged, taken, tried) in [(vec![], 9, 0), (vec![5], 9, 0), (vec![9], 5, 1), (vec![5, 9], 0, 2)] {
        for content in [Vec::new(), vec![1; 100]] {
            let disk = whole.copy();
            damaged.iter().for_each(|index| disk.plant(&file(*index), content.clone()));
            let loaded = load(&disk, dir()).unwrap();
            assert_eq!((loaded.head.index, loaded.damage.len()), (taken, tried), "{damaged:?}");
            assert_eq!(loaded.state.revision(), taken + 1, "{damaged:?}");
            assert_eq!(names(&disk).len(), 3, "loading removes nothing");
        }
    }
    // Without a log there is nothing that could make up for it.
    let disk = whole.copy();
    disk.remove(&dir().join("log-00000001-00000000000000000001")).unwrap();
    [5, 9].iter().for_each(|index| disk.plant(&file(*index), Vec::new()));
    assert!(matches!(load(&disk, dir()), Err(OpenError::Damaged { .. })));
    let nothing = load(&MemoryDisk::new(), dir()).unwrap();
    assert_eq!((nothing.head.index, nothing.state.revision(), nothing.damage.len()), (0, 1, 0));
    // This disk has no place for a database; a later program's file is nobody's to judge.
    touch(&whole, "checkpoint-00000000000000000010");
    assert_eq!(load(&whole, dir()).unwrap().head.index, 9);
    let disk = whole.copy();
    let mut content = disk.content(&file(9)).unwrap();
    content[8] = 99;
    let crc = crc32c::crc32c(&content[..28]).to_le_bytes();
    content[28..32].copy_from_slice(&crc);
    disk.plant(&file(9), content);
    assert!(matches!(load(&disk, dir()), Err(OpenError::Newer { version: 99, .. })));
    assert!(disk.content(&file(9)).is_some());
}

#[test]
fn a_start_clears_up_behind_itself() {
    // (there, began with; left)
    let table: &[(&[u64], u64, &[u64])] = &[
        (&[], 0, &[]),
        (&[5], 5, &[5]),
        (&[5, 9], 9, &[5, 9]),
        (&[3, 5, 9], 9, &[5, 9]),
        (&[1, 2, 3, 5, 9], 9, &[5, 9]),
        // Newer ones could not be read: the log has given what they held.
        (&[5, 9], 5, &[5]),
        (&[3, 5, 9, 12], 5, &[3, 5]),
        (&[5, 9], 0, &[]),
    ];
    for (there, began, left) in table {
        let disk = MemoryDisk::new();
        there.iter().for_each(|index| touch(&disk, &format!("snapshot-{index:020}")));
        touch(&disk, "LOCK");
        settle(&disk, dir(), *began).unwrap();
        let mut expected: Vec<String> = left.iter().map(|index| format!("snapshot-{index:020}")).collect();
        expected.insert(0, "LOCK".into());
        assert_eq!(names(&disk), expected, "{there:?} from {began}");
    }
}

#[test]
fn anothers_snapshot_takes_the_place_of_all() {
    let disk = MemoryDisk::new();
    for index in [5, 9] {
        save(&disk, index).unwrap();
    }
    let core = core(30);
    let head = core.state.write().begin_save();
    snapshot::write(&core, &disk, &dir().join("arrived.tmp"), &head).unwrap();
    adopt(&disk, dir(), &dir().join("arrived.tmp"), 30).unwrap();
    assert_eq!(names(&disk), [format!("snapshot-{:020}", 30)]);
    assert_eq!(load(&disk, dir()).unwrap().head.index, 30);
    // The next one is the second generation beside it.
    assert_eq!(save(&disk, 31).unwrap(), 30);
}

#[test]
fn one_that_cannot_be_written_leaves_everything_as_it_was() {
    for (fault, what) in [(0, "a full disk"), (1, "a sync that fails")] {
        let disk = MemoryDisk::new();
        save(&disk, 5).unwrap();
        match fault {
            0 => disk.fill_after(100),
            _ => disk.fail_syncs_after(0),
        }
        assert!(save(&disk, 9).is_err(), "{what}");
        disk.free_space();
        disk.fail_syncs_after(u64::MAX);
        assert_eq!(names(&disk), [format!("snapshot-{:020}", 5)], "{what}");
        assert_eq!(load(&disk, dir()).unwrap().head.index, 5, "{what}");
        assert_eq!(save(&disk, 9).unwrap(), 5, "{what}: and goes on later");
    }
}

#[test]
fn whenever_power_is_lost_one_is_there() {
    let whole = MemoryDisk::new();
    save(&whole, 5).unwrap();
    save(&whole, 9).unwrap();
    let mut finished = 0;
    for steps in 1.. {
        let disk = whole.copy();
        disk.die_after(steps);
        let result = save(&disk, 12);
        disk.crash(steps);
        let disk = disk.clone();
        disk.list(dir()).unwrap().iter().filter(|name| name.ends_with(".tmp")).for_each(|name| {
            disk.remove(&dir().join(name)).unwrap();
        });
        let loaded = load(&disk, dir()).unwrap();
        assert!(loaded.damage.is_empty(), "after {steps} steps: {:?}", loaded.damage);
        let newest = loaded.head.index;
        assert!(newest == 9 || newest == 12, "after {steps} steps: {newest}");
        if result.is_ok() {
            assert_eq!(newest, 12, "what was said to be durable is");
            finished += 1;
            if finished == 3 {
                break;
            }
        }
    }
}
