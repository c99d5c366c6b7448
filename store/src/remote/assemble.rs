//! What the responses of one watch mean. Pure.
//!
//! etcd sends whole revisions in a response (doc: learning/api_guarantees, "atomic"), several at a time when it catches up; a
//! response that would be too large comes in fragments, each but the last marked, which may cut a revision anywhere
//! (etcdserver/api/v3rpc/watch.go, `sendFragments`). After a reconnect, or from servers with etcd-io/etcd #15274 or #15515,
//! events may come again: those before the revision that is due are dropped. Worked example, due 7:
//! ```text
//! response  fragment  6:a 7:a 7:b      -> nothing yet
//! response  last      7:c 9:a          -> Events 7 (a b c), Events 9 (a); due 10
//! response  no events, header 12       -> Progress 12 if this server is right about it; due 13
//! ```

use std::collections::VecDeque;

use proto::etcd::etcdserverpb::WatchResponse;
use proto::etcd::mvccpb;

use super::convert::{Keys, revision, unsigned};
use crate::kv::{Event, Revision};

/// What was heard on a watch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The server has the watch; it was at this revision.
    Created(Revision),
    /// Everything that one revision did to the range.
    Events(Revision, Vec<Event>),
    /// All events up to here were sent.
    Progress(Revision),
    /// The revision that is due is gone; the oldest that is not.
    Compacted(Revision),
    /// The server ended the watch.
    Ended(String),
}

/// Puts responses together.
pub(crate) struct Assembler {
    /// The first revision that has not been handed on.
    due: Revision,
    /// Whether the server tells progress right.
    progress: bool,
    fragments: Vec<mvccpb::Event>,
}

impl Assembler {
    pub(crate) fn new(due: Revision, progress: bool) -> Self {
        Self { due, progress, fragments: Vec::new() }
    }

    /// The first revision that has not been handed on: where to go on after a reconnect.
    pub(crate) fn due(&self) -> Revision {
        self.due
    }

    /// Takes a response; appends what it completes.
    pub(crate) fn take(&mut self, keys: &Keys, response: WatchResponse, out: &mut VecDeque<Heard>) {
        if response.canceled {
            out.push_back(match response.compact_revision {
                0 => Heard::Ended(response.cancel_reason),
                compacted => Heard::Compacted(unsigned(compacted)),
            });
        } else if response.created {
            out.push_back(Heard::Created(revision(response.header.as_ref())));
        } else if response.events.is_empty() {
            let header = revision(response.header.as_ref());
            if self.progress && self.fragments.is_empty() && header >= self.due {
                self.due = header + 1;
                out.push_back(Heard::Progress(header));
            }
        } else {
            self.fragments.extend(response.events);
            if !response.fragment {
                self.flush(keys, out);
            }
        }
    }

    fn flush(&mut self, keys: &Keys, out: &mut VecDeque<Heard>) {
        let mut current: Option<(Revision, Vec<Event>)> = None;
        for event in self.fragments.drain(..).filter_map(|event| keys.event(&event)) {
            let at = event.kv.mod_revision;
            if at < self.due {
                continue;
            }
            match &mut current {
                Some((revision, events)) if *revision == at => events.push(event),
                _ => {
                    if let Some((revision, events)) = current.replace((at, vec![event])) {
                        self.due = revision + 1;
                        out.push_back(Heard::Events(revision, events));
                    }
                }
            }
        }
        if let Some((revision, events)) = current {
            self.due = revision + 1;
            out.push_back(Heard::Events(revision, events));
        }
    }
}

#[cfg(test)]
mod tests {
    use proto::etcd::etcdserverpb::ResponseHeader;

    use super::*;

    fn response(header: i64, events: &[(&'static str, i64)], fragment: bool) -> WatchResponse {
        let event = |&(key, revision): &(&'static str, i64)| mvccpb::Event {
            kv: Some(mvccpb::KeyValue { key: key.into(), mod_revision: revision, ..Default::default() }),
            ..Default::default()
        };
        WatchResponse {
            header: Some(ResponseHeader { revision: header, ..Default::default() }),
            events: events.iter().map(event).collect(),
            fragment,
            ..Default::default()
        }
    }

    fn told(assembler: &mut Assembler, response: WatchResponse) -> String {
        let mut out = VecDeque::new();
        assembler.take(&Keys::default(), response, &mut out);
        let word = |heard: &Heard| match heard {
            Heard::Events(revision, events) => {
                let keys = events.iter().map(|event| String::from_utf8_lossy(&event.kv.key).into_owned());
                format!("{revision}:{}", keys.collect::<String>())
            }
            other => format!("{other:?}"),
        };
        out.iter().map(word).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn responses_become_whole_revisions_each_once() {
        let mut assembler = Assembler::new(7, true);
        // (response, what it completes, due afterwards)
        let table = [
            (response(6, &[("a", 6), ("a", 7), ("b", 7)], true), "", 7),
            (response(9, &[("c", 7), ("a", 9)], false), "7:abc 9:a", 10),
            (response(9, &[("a", 9)], false), "", 10),
            (response(9, &[], false), "", 10),
            (response(12, &[], false), "Progress(12)", 13),
            (response(14, &[("a", 12), ("a", 13), ("b", 13), ("a", 14)], false), "13:ab 14:a", 15),
        ];
        for (response, expected, due) in table {
            assert_eq!((told(&mut assembler, response), assembler.due()), (expected.into(), due));
        }
    }

    #[test]
    fn progress_between_fragments_is_none() {
        let mut assembler = Assembler::new(7, true);
        assert_eq!(told(&mut assembler, response(8, &[("a", 8)], true)), "");
        assert_eq!(told(&mut assembler, response(9, &[], false)), "");
        assert_eq!(told(&mut assembler, response(9, &[("b", 8)], false)), "8:ab");
    }

    #[test]
    fn progress_of_an_unrepaired_server_says_nothing() {
        let mut assembler = Assembler::new(7, false);
        assert_eq!((told(&mut assembler, response(12, &[], false)), assembler.due()), (String::new(), 7));
    }

    #[test]
    fn ends_are_told_apart() {
        let mut assembler = Assembler::new(7, true);
        let created = WatchResponse { created: true, ..response(6, &[], false) };
        assert_eq!(told(&mut assembler, created.clone()), "Created(6)");
        let refused = WatchResponse { canceled: true, cancel_reason: "permission denied".into(), ..created };
        assert_eq!(told(&mut assembler, refused.clone()), "Ended(\"permission denied\")");
        let compacted = WatchResponse { compact_revision: 9, ..refused };
        assert_eq!(told(&mut assembler, compacted), "Compacted(9)");
    }

    #[test]
    fn however_they_are_cut_and_repeated_revisions_are_told_once_and_whole() {
        for seed in 0..300 {
            let mut random = crate::random::SplitMix(seed);
            // Revisions of one to three events, some of them missing: they did nothing to the range.
            let mut revisions: Vec<(i64, usize)> = Vec::new();
            for revision in 5..30 {
                if random.below(3) > 0 {
                    revisions.push((revision, 1 + random.below(3) as usize));
                }
            }
            let mut assembler = Assembler::new(5, true);
            let (mut heard, mut told) = (Vec::new(), 4);
            let mut at = 0;
            while at < revisions.len() {
                // Some that were told already, as after a reconnect, then new ones; in one to three fragments.
                let from = at.saturating_sub(random.below(3) as usize);
                let to = (at + 1 + random.below(3) as usize).min(revisions.len());
                let events: Vec<(&'static str, i64)> = revisions[from..to]
                    .iter()
                    .flat_map(|(revision, count)| std::iter::repeat_n(("k", *revision), *count))
                    .collect();
                let mut rest = &events[..];
                let mut out = VecDeque::new();
                while !rest.is_empty() {
                    let cut = 1 + random.below(rest.len() as u64) as usize;
                    let (piece, left) = rest.split_at(cut);
                    rest = left;
                    assembler.take(&Keys::default(), response(40, piece, !rest.is_empty()), &mut out);
                    assert!(rest.is_empty() || out.is_empty(), "seed {seed}: nothing before the last fragment");
                }
                at = to;
                if random.below(3) == 0 {
                    let header = revisions[at - 1].0;
                    assembler.take(&Keys::default(), response(header, &[], false), &mut out);
                }
                for one in out {
                    match one {
                        Heard::Events(revision, events) => {
                            assert!(revision > told, "seed {seed}: {revision} after {told}");
                            told = revision;
                            heard.push((i64::try_from(revision).unwrap(), events.len()));
                        }
                        Heard::Progress(revision) => assert!(revision >= told, "seed {seed}"),
                        other => panic!("seed {seed}: {other:?}"),
                    }
                }
                assert!(assembler.due() > told, "seed {seed}");
            }
            assert_eq!(heard, revisions, "seed {seed}");
        }
    }
}
