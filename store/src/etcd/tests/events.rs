//! What a watch's responses hold: filters, fragments, what was before. etcd's TestSendFragment and watch_test.go.

use prost::Message;
use proto::etcd::etcdserverpb::{ResponseHeader, WatchCreateRequest, WatchResponse};

use super::super::events::{Manner, compacted, progress, refused, responses};
use crate::kv::{Event, EventKind, KeyValue, Signal};

fn header(revision: u64) -> Option<ResponseHeader> {
    Some(ResponseHeader { revision: i64::try_from(revision).unwrap(), ..ResponseHeader::default() })
}

/// `+` a put, `-` a deletion, each of a value of so many bytes.
fn signal(revision: u64, kinds: &str, size: usize) -> Signal {
    let event = |sign: char| Event {
        kind: if sign == '-' { EventKind::Delete } else { EventKind::Put },
        kv: KeyValue { key: "k".into(), value: vec![b'v'; size].into(), mod_revision: revision, ..KeyValue::default() },
        prev: Some(KeyValue { key: "k".into(), mod_revision: revision - 1, ..KeyValue::default() }),
    };
    Signal::Events(revision, kinds.chars().map(event).collect())
}

/// Each response as its events' signs, behind its header's revision; `…` where it goes on.
fn shown(all: &[WatchResponse]) -> String {
    let words = all.iter().map(|response| {
        let signs: String = response.events.iter().map(|event| if event.r#type == 1 { '-' } else { '+' }).collect();
        let revision = response.header.as_ref().map_or(0, |header| header.revision);
        format!("{revision}{signs}{}", if response.fragment { "…" } else { "" })
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn filters_leave_out_kinds_and_what_is_empty_then() {
    // (filters of the request, what is told)
    let table: &[(&[i32], &str)] =
        &[(&[], "5++-+--"), (&[0], "5---"), (&[1], "4+++"), (&[0, 1], ""), (&[0, 0], "5---"), (&[9], "5++-+--")];
    for (filters, expected) in table {
        let manner = Manner::of(&WatchCreateRequest { filters: filters.to_vec(), ..WatchCreateRequest::default() });
        let signals =
            vec![signal(2, "+", 1), signal(3, "+-", 1), Signal::Progress(3), signal(4, "+", 1), signal(5, "--", 1)];
        assert_eq!(shown(&responses(3, manner, signals, header, 1 << 20)), *expected, "{filters:?}");
    }
}

#[test]
fn what_was_before_is_told_to_who_asked() {
    for prev_kv in [false, true] {
        let manner = Manner::of(&WatchCreateRequest { prev_kv, ..WatchCreateRequest::default() });
        let all = responses(7, manner, vec![signal(5, "+-", 1)], header, 1 << 20);
        assert_eq!((all.len(), all[0].watch_id), (1, 7));
        assert!(all[0].events.iter().all(|event| event.prev_kv.is_some() == prev_kv));
        assert!(!all[0].created && !all[0].canceled && !all[0].fragment);
    }
}

#[test]
fn fragments_are_no_longer_than_may_be_and_lose_nothing() {
    let manner = Manner { fragment: true, ..Manner::default() };
    for count in [1, 2, 5, 30] {
        for size in [0, 1, 100, 1000] {
            for most in [1, 200, 1500, 10_000, 1 << 20] {
                let all = responses(1, manner, vec![signal(4, &"+".repeat(count), size)], header, most);
                let what = format!("{count} events of {size} in {most}");
                assert_eq!(all.iter().map(|response| response.events.len()).sum::<usize>(), count, "{what}");
                let (last, others) = all.split_last().unwrap();
                assert!(!last.fragment && others.iter().all(|response| response.fragment), "{what}");
                for response in &all {
                    assert!(response.encoded_len() <= most.max(64) + 64 || response.events.len() == 1, "{what}");
                    assert_eq!((response.watch_id, response.header.unwrap().revision), (1, 4), "{what}");
                }
                // No more pieces than it takes.
                let event = all[0].events[0].encoded_len() + 8;
                let fit = (most.saturating_sub(1) / event).max(1);
                assert!(all.len() <= count.div_ceil(fit), "{what}: {}", all.len());
                // Who did not ask for pieces gets none.
                let whole = responses(1, Manner::default(), vec![signal(4, &"+".repeat(count), size)], header, most);
                assert_eq!((whole.len(), whole[0].events.len()), (1, count), "{what}");
            }
        }
    }
}

#[test]
fn revisions_travel_together_while_they_are_small() {
    let sizes = |sizes: &[usize]| {
        let signals = (2..).zip(sizes).map(|(revision, size)| signal(revision, "+", *size)).collect();
        shown(&responses(1, Manner::default(), signals, header, 1 << 20))
    };
    assert_eq!(sizes(&[]), "");
    assert_eq!(sizes(&[1; 6]), "7++++++");
    assert_eq!(sizes(&[600_000, 300_000, 300_000, 1]), "3++ 5++");
    assert_eq!(sizes(&[2_000_000, 1, 2_000_000]), "2+ 3+ 4+");
}

#[test]
fn responses_without_events() {
    let told = progress(-1, header(9));
    assert_eq!(
        (told.watch_id, told.header, told.events.len(), told.created, told.canceled),
        (-1, header(9), 0, false, false)
    );
    let told = compacted(4, header(9), 6);
    assert_eq!((told.watch_id, told.compact_revision, told.created, told.canceled), (4, 6, false, true));
    assert_eq!(told.cancel_reason, "");
    let told = refused(header(9), "why");
    assert_eq!((told.watch_id, told.created, told.canceled, told.cancel_reason.as_str()), (-1, true, true, "why"));
}
