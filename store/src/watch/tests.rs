//! Watches as places in the history: what is told, when they are up to date, and what they cost. etcd's watchable_store_test.go
//! and watcher_test.go.

use std::time::Duration;

use super::*;
use crate::kv::{EventKind, Op, Txn};
use crate::request::Request;
use crate::state::{At, State};

#[tokio::test]
async fn a_dropped_watch_is_forgotten() {
    let core = Arc::new(Core::new(State::default(), Duration::from_secs(5), base::SystemClock::shared()));
    let range = Range { key: "k".into(), ..Range::default() };
    let begin = || watch(Arc::clone(&core), &range, WatchOptions::default());
    let (mut one, two) = (begin(), begin());
    assert!(one.next().await.is_some());
    drop(one);
    assert!(!core.hub.is_empty());
    drop(two);
    assert!(core.hub.is_empty());
    core.close();
    assert!(begin().next().await.is_some_and(|signal| signal.is_err()));
    assert!(core.hub.is_empty(), "one that was refused is forgotten too");
}

/// A core, and what a writer does to it.
struct Writer {
    core: Arc<Core>,
    index: u64,
}

impl Writer {
    fn new() -> Self {
        let core = Core::new(State::default(), Duration::from_secs(5), base::SystemClock::shared());
        Self { core: Arc::new(core), index: 0 }
    }

    /// Applies, without telling anybody yet: a put of each lower-case letter, a deletion of each upper-case one, in one revision.
    fn apply(&mut self, letters: &str) {
        let op = |letter: char| {
            let key = bytes::Bytes::from(letter.to_ascii_lowercase().to_string());
            if letter.is_ascii_lowercase() {
                Op::Put { key, value: "".into(), lease: 0 }
            } else {
                Op::Delete { key, end: None }
            }
        };
        self.index += 1;
        let then = letters.chars().map(op).collect();
        let request = Request::Txn(Txn { then, ..Txn::default() });
        self.core.state.write().apply(At { index: self.index, term: 1 }, request).unwrap();
    }

    /// Tells what has happened since `from`.
    fn publish(&self, from: u64) {
        let state = self.core.state.read();
        self.core.hub.mark(state.changes(from));
        self.core.published.store(state.revision(), std::sync::atomic::Ordering::Release);
    }

    /// Both, for each word.
    fn write(&mut self, words: &str) {
        for word in words.split(' ') {
            let from = self.core.state.read().revision() + 1;
            self.apply(word);
            self.publish(from);
        }
    }

    fn compact(&mut self, upto: u64) {
        self.index += 1;
        self.core.state.write().apply(At { index: self.index, term: 1 }, Request::Compact(upto)).unwrap();
        while self.core.state.write().sweep(10) {}
    }

    fn cursor(&self, key: &'static str, end: Option<&'static str>, from: u64) -> Result<Cursor, Error> {
        let range = Range { key: key.into(), end: end.map(Into::into), ..Range::default() };
        Cursor::new(&self.core, &range, from, Arc::default()).map(|(cursor, _)| cursor)
    }
}

/// Everything that is unread, as `key@revision`, deletions with a `-`.
fn read(cursor: &mut Cursor) -> String {
    let mut told = Vec::new();
    loop {
        for signal in cursor.read(true).unwrap() {
            let Signal::Events(revision, events) = signal else { panic!("{signal:?}") };
            told.extend(events.iter().map(|event| {
                let sign = if event.kind == EventKind::Delete { "-" } else { "" };
                format!("{sign}{}@{revision}", String::from_utf8_lossy(&event.kv.key))
            }));
        }
        if !cursor.behind() {
            return told.join(" ");
        }
    }
}

#[test]
fn a_watch_is_told_its_keys_from_its_revision_on() {
    // Before: a@2 b@3 c@4. (key, end, from, told of that, told of `a`@5 `bC`@6 `d`@7)
    let table = [
        ("a", None, 0, "", "a@5"),
        ("a", None, 1, "a@2", "a@5"),
        ("a", None, 2, "a@2", "a@5"),
        ("a", None, 3, "", "a@5"),
        ("a", None, 6, "", ""),
        ("a", Some("c"), 0, "", "a@5 b@6"),
        ("a", Some("c"), 3, "b@3", "a@5 b@6"),
        ("b", Some("\0"), 4, "c@4", "b@6 -c@6 d@7"),
        ("b", Some("\0"), 7, "", "d@7"),
        ("b", Some("\0"), 9, "", ""),
        ("", Some("\0"), 2, "a@2 b@3 c@4", "a@5 b@6 -c@6 d@7"),
        ("x", Some("z"), 2, "", ""),
        ("c", Some("a"), 2, "", ""),
    ];
    for (key, end, from, before, after) in table {
        let mut writer = Writer::new();
        writer.write("a b c");
        let mut cursor = writer.cursor(key, end, from).unwrap();
        let what = format!("{key:?} {end:?} from {from}");
        assert_eq!(read(&mut cursor), before, "{what}");
        writer.write("a bC d");
        assert_eq!(read(&mut cursor), after, "{what}");
        assert_eq!(read(&mut cursor), "", "{what}: each once");
        // Read only now, all of it.
        let mut late = writer.cursor(key, end, from.max(1)).unwrap();
        let all = [before, after].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(" ");
        let expected = if from == 0 { read(&mut writer.cursor(key, end, 1).unwrap()) } else { all };
        assert_eq!(read(&mut late), expected, "{what}, late");
    }
}

#[test]
fn a_watch_is_up_to_date_when_it_has_read_what_was_published() {
    let mut writer = Writer::new();
    writer.write("a");
    let mut cursor = writer.cursor("a", None, 0).unwrap();
    assert!(cursor.caught_up(2), "nothing has happened");
    writer.write("a");
    assert!(!cursor.caught_up(3), "it has not looked");
    assert_eq!(read(&mut cursor), "a@3");
    assert!(cursor.caught_up(3) && cursor.caught_up(3));
    // Others' keys do not hold it up, and it does not look at them again.
    writer.write("b b b");
    assert!(cursor.caught_up(6));
    assert_eq!(cursor.next, 7);
    // One from the future has nothing to say before it.
    let mut future = writer.cursor("a", None, 9).unwrap();
    assert!(!future.caught_up(6) && !future.caught_up(7));
    assert!(future.caught_up(8), "all before its first revision");
    // One that is behind is not up to date, mark or not.
    let mut behind = writer.cursor("a", None, 2).unwrap();
    assert!(behind.behind() && !behind.caught_up(6));
    assert_eq!(read(&mut behind), "a@2 a@3");
    assert!(behind.caught_up(6));
}

#[test]
fn what_is_applied_and_not_yet_told_is_found_or_marked_and_never_lost() {
    let mut writer = Writer::new();
    writer.apply("a");
    // Begun between the two: it stands behind what was applied.
    let mut cursor = writer.cursor("a", None, 0).unwrap();
    writer.publish(2);
    assert_eq!(read(&mut cursor), "", "it was there when the watch began");
    writer.apply("a");
    let mut from = writer.cursor("a", None, 3).unwrap();
    writer.publish(3);
    assert_eq!((read(&mut cursor), read(&mut from)), ("a@3".into(), "a@3".into()));
    // Several before it looks: the first mark stands for all.
    writer.apply("a");
    writer.publish(4);
    writer.apply("b");
    writer.publish(5);
    writer.apply("a");
    writer.publish(6);
    assert_eq!(cursor.mark.unread(), 4);
    assert_eq!(read(&mut cursor), "a@4 a@6");
    // A look may see what is marked only later; it is not told twice.
    writer.apply("a");
    writer.publish(7);
    writer.apply("a");
    assert_eq!(read(&mut cursor), "a@7 a@8");
    writer.publish(8);
    assert_eq!(read(&mut cursor), "");
}

#[test]
fn compaction_passes_by_only_who_has_not_read() {
    let mut writer = Writer::new();
    writer.write("a a a a");
    let mut quiet = writer.cursor("x", None, 0).unwrap();
    let mut slow = writer.cursor("a", None, 2).unwrap();
    let mut waits = writer.cursor("a", None, 0).unwrap();
    writer.compact(4);
    assert_eq!(slow.read(true), Err(Error::Compacted(4)));
    assert_eq!(writer.cursor("a", None, 3).err(), Some(Error::Compacted(4)));
    assert_eq!(read(&mut writer.cursor("a", None, 4).unwrap()), "a@4 a@5", "what the compact revision did is told");
    writer.write("a x");
    writer.compact(7);
    // Its mark is at 6, which is gone.
    assert_eq!(waits.read(true), Err(Error::Compacted(7)));
    assert_eq!(read(&mut quiet), "x@7");
}

#[test]
fn a_long_history_comes_in_portions_and_whole_revisions() {
    let mut writer = Writer::new();
    for _ in 0..PORTION {
        writer.write("ab a c");
    }
    let mut cursor = writer.cursor("a", Some("c"), 1).unwrap();
    let (mut portions, mut revisions) = (0, Vec::new());
    loop {
        let signals = cursor.read(true).unwrap();
        portions += 1;
        for signal in signals {
            let Signal::Events(revision, events) = signal else { panic!("{signal:?}") };
            assert_eq!(events.len(), if (revision - 2) % 3 == 0 { 2 } else { 1 }, "revision {revision} is not torn");
            revisions.push(revision);
        }
        if !cursor.behind() {
            break;
        }
    }
    let expected: Vec<u64> = (2..2 + 3 * PORTION as u64).filter(|revision| (revision - 2) % 3 != 2).collect();
    assert_eq!(revisions, expected);
    assert!((3..=5).contains(&portions), "{portions}");
}

#[tokio::test]
async fn one_bell_says_which_watches_were_marked() {
    let mut writer = Writer::new();
    let bell = Arc::new(Bell::default());
    let range = |key: &'static str| Range { key: key.into(), ..Range::default() };
    let mut cursors: Vec<Cursor> = ["a", "b", "c"]
        .map(|key| Cursor::new(&writer.core, &range(key), 0, Arc::clone(&bell)).unwrap().0)
        .into_iter()
        .collect();
    writer.write("a c a");
    bell.wait().await;
    let mut marked = bell.take();
    marked.sort_unstable();
    assert_eq!(marked, [cursors[0].id(), cursors[2].id()], "each once until it is read");
    assert_eq!(cursors.iter_mut().map(read).collect::<Vec<_>>(), ["a@2 a@4", "", "c@3"]);
    // A close wakes everybody.
    writer.core.hub.wake_all();
    bell.wait().await;
    assert_eq!(bell.take().len(), 3);
    writer.core.hub.mark_all(2);
    assert!(
        cursors.iter().all(|cursor| cursor.mark.unread() == 2),
        "whoever may have missed something looks from there"
    );
    drop(cursors);
    assert_eq!(writer.core.hub.len(), 0);
}
