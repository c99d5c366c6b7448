//! Watches: nothing lost, nothing twice, in order, from anywhere that is not compacted.

use std::sync::Arc;

use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt};

use super::{Check, delete_op, everything, next, next_events, prefix, put, put_op, single, started};
use crate::kv::{Error, Event, EventKind, Kv, Op, Range, Signal, Txn, WatchOptions};

pub(super) const CHECKS: &[(&str, Check)] = &[
    ("live_events", live_events),
    ("one_signal_per_revision", one_signal_per_revision),
    ("history_then_live", history_then_live),
    ("compacted_watches", compacted_watches),
    ("a_slow_watch_loses_nothing", a_slow_watch_loses_nothing),
    ("a_watch_from_the_future", a_watch_from_the_future),
    ("watches_begun_under_load", watches_begun_under_load),
    ("a_poll_that_finds_nothing_is_up_to_date", a_poll_that_finds_nothing_is_up_to_date),
];

fn from(from: u64) -> WatchOptions {
    WatchOptions { from, progress: false }
}

fn words(events: &[Event]) -> Vec<String> {
    let word = |event: &Event| {
        let sign = if event.kind == EventKind::Put { "+" } else { "-" };
        let prev = event.prev.as_ref().map(|prev| String::from_utf8_lossy(&prev.value).into_owned());
        let (key, value) = (String::from_utf8_lossy(&event.kv.key), String::from_utf8_lossy(&event.kv.value));
        format!("{sign}{key}={value}@{} was {}", event.kv.mod_revision, prev.as_deref().unwrap_or("none"))
    };
    events.iter().map(word).collect()
}

fn expect(signal: Result<Signal, Error>, revision: u64, expected: &[&str]) {
    match signal {
        Ok(Signal::Events(at, events)) => {
            assert_eq!((at, words(&events)), (revision, expected.iter().map(|word| (*word).to_owned()).collect()))
        }
        other => panic!("expected {expected:?} at {revision}, got {other:?}"),
    }
}

fn live_events(kv: Arc<dyn Kv>) -> BoxFuture<'static, ()> {
    async move {
        put(&*kv, "p/a", "0").await.expect("put"); // 2
        let mut watch = kv.watch(prefix("p/", 0), from(0));
        let mut one = kv.watch(single("p/b", 0), from(0));
        assert_eq!(next(&mut watch).await, Ok(Signal::Started(2)));
        assert_eq!(next(&mut one).await, Ok(Signal::Started(2)));
        put(&*kv, "q", "0").await.expect("put"); // 3
        put(&*kv, "p/a", "1").await.expect("put"); // 4
        put(&*kv, "p/b", "1").await.expect("put"); // 5
        super::delete(&*kv, "p/b").await.expect("delete"); // 6
        expect(next(&mut watch).await, 4, &["+p/a=1@4 was 0"]);
        expect(next(&mut watch).await, 5, &["+p/b=1@5 was none"]);
        expect(next(&mut one).await, 5, &["+p/b=1@5 was none"]);
        let gone = next(&mut one).await;
        if let Ok(Signal::Events(_, events)) = &gone {
            let kv = &events[0].kv;
            assert_eq!((kv.create_revision, kv.version, kv.lease), (0, 0, 0));
        }
        expect(gone, 6, &["-p/b=@6 was 1"]);
    }
    .boxed()
}

fn one_signal_per_revision(kv: Arc<dyn Kv>) -> BoxFuture<'static, ()> {
    async move {
        put(&*kv, "c", "0").await.expect("put"); // 2
        let mut watch = kv.watch(everything(0), from(0));
        assert_eq!(next(&mut watch).await, Ok(Signal::Started(2)));
        let then =
            vec![put_op("b", "1"), put_op("a", "1"), delete_op("c"), delete_op("none"), Op::Range(everything(0))];
        kv.txn(Txn { then, ..Txn::default() }).await.expect("txn");
        expect(next(&mut watch).await, 3, &["+b=1@3 was none", "+a=1@3 was none", "-c=@3 was 0"]);
    }
    .boxed()
}

fn history_then_live(kv: Arc<dyn Kv>) -> BoxFuture<'static, ()> {
    async move {
        for at in 2..=300 {
            put(&*kv, format!("k{}", at % 3), at.to_string()).await.expect("put");
        }
        let mut watch = kv.watch(prefix("k", 0), from(5));
        put(&*kv, "k1", "301").await.expect("put");
        for at in 5..=301u64 {
            let key = if at == 301 { 1 } else { at % 3 };
            let before = if at == 301 { 298 } else { at - 3 };
            let was = if before < 2 { "none".to_owned() } else { before.to_string() };
            expect(next_events(&mut watch).await, at, &[&format!("+k{key}={at}@{at} was {was}")]);
        }
    }
    .boxed()
}

fn compacted_watches(kv: Arc<dyn Kv>) -> BoxFuture<'static, ()> {
    async move {
        for at in 2..=6 {
            put(&*kv, "k", at.to_string()).await.expect("put");
        }
        let mut slow = kv.watch(single("k", 0), from(3));
        let mut quiet = kv.watch(single("other", 0), from(0));
        assert_eq!(next(&mut quiet).await, Ok(Signal::Started(6)));
        kv.compact(5).await.expect("compact");
        assert_eq!(next(&mut kv.watch(single("k", 0), from(4))).await, Err(Error::Compacted(5)));
        let mut watch = kv.watch(single("k", 0), from(5));
        match next_events(&mut watch).await {
            Ok(Signal::Events(5, events)) => assert_eq!(events[0].kv.value, "5"),
            other => panic!("{other:?}"),
        }
        expect(next_events(&mut watch).await, 6, &["+k=6@6 was 5"]);
        // One that compaction overtook before it read says so, unless it has read ahead: then nothing is missing.
        let mut expected = 3;
        loop {
            match next_events(&mut slow).await {
                Err(error) => {
                    assert_eq!(error, Error::Compacted(5));
                    break;
                }
                Ok(Signal::Events(at, _)) => {
                    assert_eq!(at, expected);
                    expected += 1;
                    if at == 6 {
                        break;
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        // Nothing was missed on quiet keys, so their watch goes on.
        kv.compact(6).await.expect("compact");
        put(&*kv, "other", "1").await.expect("put");
        expect(next(&mut quiet).await, 7, &["+other=1@7 was none"]);
    }
    .boxed()
}

fn a_slow_watch_loses_nothing(kv: Arc<dyn Kv>) -> BoxFuture<'static, ()> {
    async move {
        let mut watch = kv.watch(prefix("k", 0), from(0));
        assert_eq!(next(&mut watch).await, Ok(Signal::Started(1)));
        // Far more than any buffer, with nobody reading: the writer must not be held up.
        let writes = (0..5000).map(|at| put(&*kv, format!("k{}", at % 7), "v"));
        for group in futures::future::join_all(writes).await {
            group.expect("put");
        }
        for revision in 2..=5001 {
            match next(&mut watch).await {
                Ok(Signal::Events(at, events)) => assert_eq!((at, events.len()), (revision, 1)),
                other => panic!("at {revision}: {other:?}"),
            }
        }
    }
    .boxed()
}

fn a_watch_from_the_future(kv: Arc<dyn Kv>) -> BoxFuture<'static, ()> {
    async move {
        let mut watch = kv.watch(single("k", 0), from(4));
        assert_eq!(next(&mut watch).await, Ok(Signal::Started(1)));
        for value in ["2", "3", "4"] {
            put(&*kv, "k", value).await.expect("put");
        }
        expect(next(&mut watch).await, 4, &["+k=4@4 was 3"]);
    }
    .boxed()
}

/// Watches that begin, from now and from the past, while others write: each sees every revision once.
fn watches_begun_under_load(kv: Arc<dyn Kv>) -> BoxFuture<'static, ()> {
    async move {
        const WRITES: u64 = 600;
        let writer = async {
            for at in 0..WRITES {
                let key = if at.is_multiple_of(4) { "w/a" } else { "x/a" };
                put(&*kv, key, at.to_string()).await.expect("put");
            }
            put(&*kv, "w/end", "").await.expect("put");
        };
        let reader = |step: u64| {
            let kv = &kv;
            async move {
                while kv.revision().await.expect("revision") < step * 10 {
                    tokio::task::yield_now().await;
                }
                let options = from(if step.is_multiple_of(2) { 0 } else { step * 5 + 2 });
                let mut watch =
                    kv.watch(Range { key: "w/".into(), end: Some("w0".into()), ..Range::default() }, options);
                let (mut history, started) = started(&mut watch).await;
                let first = if options.from == 0 { started + 1 } else { options.from };
                history.reverse();
                // Revision r holds write number r - 2; every fourth is ours.
                let mut expected =
                    (first..=WRITES + 1).filter(|revision| (revision - 2).is_multiple_of(4)).chain([WRITES + 2]);
                loop {
                    let signal = match history.pop() {
                        Some(signal) => signal,
                        None => next(&mut watch).await.expect("signal"),
                    };
                    let Signal::Events(at, _) = signal else { panic!("{signal:?}") };
                    assert_eq!(Some(at), expected.next(), "watch {step} from {first}");
                    if at == WRITES + 2 {
                        break;
                    }
                }
            }
        };
        futures::join!(writer, futures::future::join_all((0..40).map(reader)));
    }
    .boxed()
}

/// The contract of [`Kv::local_revision`], with much that does not concern the watch in between.
fn a_poll_that_finds_nothing_is_up_to_date(kv: Arc<dyn Kv>) -> BoxFuture<'static, ()> {
    async move {
        for at in 0..1500 {
            put(&*kv, if at == 700 { "w/a" } else { "x" }, "v").await.expect("put");
        }
        let mut old = kv.watch(prefix("w/", 0), from(2));
        let mut new = kv.watch(prefix("w/", 0), from(0));
        let mut seen = (started(&mut old).await.0.len() as u32, 0);
        assert_eq!(started(&mut new).await.0, []);
        for round in 0..300u64 {
            let written =
                put(&*kv, if round.is_multiple_of(3) { "w/a" } else { "x" }, "v").await.expect("put").revision;
            assert!(kv.revision().await.expect("revision") >= written);
            assert!(kv.local_revision() >= written, "a revision that is answered is published");
            while let Some(signal) = old.next().now_or_never() {
                seen.0 += u32::from(matches!(signal, Some(Ok(Signal::Events(..)))));
            }
            while let Some(signal) = new.next().now_or_never() {
                seen.1 += u32::from(matches!(signal, Some(Ok(Signal::Events(..)))));
            }
            let expected = round as u32 / 3 + 1;
            assert_eq!(seen, (expected + 1, expected), "round {round}");
        }
    }
    .boxed()
}
