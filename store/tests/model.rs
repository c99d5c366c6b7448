//! Random requests to the store and to a model that is too simple to be wrong: a list of complete states, one per revision.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use store::testing::{delete_op, next, put_op};
use store::{
    Compare, Error, Event, EventKind, KeyValue, Kv, Op, OpReply, Options, Order, Page, Range, Signal, Store, Target,
    Txn, TxnReply, WatchOptions,
};

type Keys = BTreeMap<Bytes, KeyValue>;

/// `states[r]` is everything as of revision r.
struct Model {
    states: Vec<Keys>,
    compacted: u64,
}

impl Model {
    fn new() -> Self {
        Self { states: vec![Keys::new(), Keys::new()], compacted: 0 }
    }

    fn revision(&self) -> u64 {
        self.states.len() as u64 - 1
    }

    fn range(&self, range: &Range, now: &Keys, revision: u64) -> Result<Page, Error> {
        let keys = match range.revision {
            0 => now,
            future if future > self.revision() => return Err(Error::Future(self.revision())),
            gone if gone < self.compacted => return Err(Error::Compacted(self.compacted)),
            old => &self.states[old as usize],
        };
        let all: Vec<_> = keys.values().filter(|kv| within(range, &kv.key)).cloned().collect();
        let count = all.len() as u64;
        let limit = if range.limit == 0 { usize::MAX } else { range.limit };
        if range.count_only {
            return Ok(Page { kvs: vec![], more: false, count, revision });
        }
        Ok(Page { more: all.len() > limit, kvs: all.into_iter().take(limit).collect(), count, revision })
    }

    fn txn(&mut self, txn: &Txn) -> Result<TxnReply, Error> {
        let mut keys = self.states[self.revision() as usize].clone();
        let succeeded = txn.when.iter().all(|compare| {
            let actual = keys.get(&compare.key).map_or(0, |kv| kv.mod_revision);
            let Target::ModRevision(target) = compare.target else { panic!("not used here") };
            if compare.order == Order::Equal { actual == target } else { actual < target }
        });
        let mut now = self.revision();
        let mut replies = Vec::new();
        let ops = if succeeded { &txn.then } else { &txn.otherwise };
        for op in ops {
            if let Op::Range(range) = op {
                self.range(range, &keys, now)?;
            }
        }
        for op in ops {
            replies.push(match op {
                Op::Range(range) => OpReply::Range(self.range(range, &keys, now)?),
                Op::Put { key, value, .. } => {
                    now = self.revision() + 1;
                    let prev = keys.get(key).cloned();
                    let (create_revision, version) =
                        prev.as_ref().map_or((now, 1), |prev| (prev.create_revision, prev.version + 1));
                    let (key, value) = (key.clone(), value.clone());
                    let kv =
                        KeyValue { key: key.clone(), value, create_revision, mod_revision: now, version, lease: 0 };
                    keys.insert(key, kv);
                    OpReply::Put(prev)
                }
                Op::Delete { key, end } => {
                    let range = Range { key: key.clone(), end: end.clone(), ..Range::default() };
                    let gone: Vec<_> = keys.values().filter(|kv| within(&range, &kv.key)).cloned().collect();
                    gone.iter().for_each(|kv| drop(keys.remove(&kv.key)));
                    if !gone.is_empty() {
                        now = self.revision() + 1;
                    }
                    OpReply::Delete(gone)
                }
                Op::Update { .. } | Op::Txn(_) => unreachable!("the generator makes none"),
            });
        }
        if now > self.revision() {
            self.states.push(keys);
        }
        Ok(TxnReply { succeeded, revision: now, replies })
    }

    fn compact(&mut self, upto: u64) -> Result<(), Error> {
        match upto {
            gone if gone <= self.compacted => Err(Error::Compacted(self.compacted)),
            future if future > self.revision() => Err(Error::Future(self.revision())),
            _ => {
                self.compacted = upto;
                Ok(())
            }
        }
    }

    /// What a watch from `from` to now must say, each revision's events in key order.
    fn events(&self, range: &Range, from: u64) -> Vec<(u64, Vec<Event>)> {
        let mut all = Vec::new();
        for revision in from..=self.revision() {
            let (old, new) = (&self.states[revision as usize - 1], &self.states[revision as usize]);
            let mut events = Vec::new();
            for key in old.keys().chain(new.keys()).collect::<std::collections::BTreeSet<_>>() {
                if !within(range, key) || old.get(key) == new.get(key) {
                    continue;
                }
                let prev = old.get(key).cloned().filter(|_| revision > self.compacted);
                let (kind, kv) = match new.get(key) {
                    Some(kv) => (EventKind::Put, kv.clone()),
                    None => (EventKind::Delete, tombstone(key, revision)),
                };
                events.push(Event { kind, kv, prev });
            }
            if !events.is_empty() {
                all.push((revision, events));
            }
        }
        all
    }
}

fn tombstone(key: &Bytes, mod_revision: u64) -> KeyValue {
    KeyValue { key: key.clone(), value: Bytes::new(), create_revision: 0, mod_revision, version: 0, lease: 0 }
}

fn within(range: &Range, key: &Bytes) -> bool {
    range.end.as_ref().map_or(*key == range.key, |end| range.key <= *key && key < end)
}

#[derive(Debug, Clone)]
enum Step {
    Txn(Txn),
    Range(Range),
    Compact(u64),
    Watch(Range, u64),
    Reopen,
}

fn key() -> impl Strategy<Value = Bytes> {
    prop::sample::select(vec!["a", "a/1", "a/2", "b", "c"]).prop_map(Bytes::from)
}

fn range() -> impl Strategy<Value = Range> {
    (key(), prop::option::of(key()), 0..3usize, prop_oneof![3 => Just(0u64), 1 => 1..40u64], any::<bool>()).prop_map(
        |(key, end, limit, revision, count_only)| Range { key, end, limit, revision, count_only, ..Range::default() },
    )
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (key(), "[a-z]{0,3}").prop_map(|(key, value)| put_op(key, value)),
        2 => key().prop_map(delete_op),
        1 => (key(), key()).prop_map(|(key, end)| Op::Delete { key, end: Some(end) }),
        1 => range().prop_map(Op::Range),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let compare = (key(), 0..30u64, any::<bool>()).prop_map(|(key, revision, equal)| Compare {
        key,
        end: None,
        target: Target::ModRevision(revision),
        order: if equal { Order::Equal } else { Order::Less },
    });
    let txn =
        (prop::collection::vec(compare, 0..2), prop::collection::vec(op(), 0..4), prop::collection::vec(op(), 0..3));
    prop_oneof![
        12 => txn.prop_map(|(when, then, otherwise)| Step::Txn(Txn { when, then, otherwise })),
        4 => range().prop_map(Step::Range),
        1 => (0..40u64).prop_map(Step::Compact),
        2 => (range(), 1..40u64).prop_map(|(range, from)| Step::Watch(range, from)),
        1 => Just(Step::Reopen),
    ]
}

/// Reads a watch up to the present, ordering the events of each revision by key.
async fn watched(store: &Store, range: &Range, from: u64, last: Option<u64>) -> Result<Vec<(u64, Vec<Event>)>, Error> {
    let mut stream = store.watch(range.clone(), WatchOptions { from, progress: false });
    assert!(matches!(next(&mut stream).await?, Signal::Started(_)));
    let mut all = Vec::new();
    while all.last().map(|(revision, _)| *revision) < last {
        match next(&mut stream).await? {
            Signal::Events(revision, mut events) => {
                events.sort_by(|a, b| a.kv.key.cmp(&b.kv.key));
                all.push((revision, events));
            }
            other => panic!("{other:?}"),
        }
    }
    Ok(all)
}

async fn check(steps: Vec<Step>) {
    // Files so small that a trim comes soon.
    let options = Options { segment_bytes: 300, trim_bytes: 500, ..Options::in_memory() };
    let context = base::Context::new();
    let mut store = Store::open(options.clone(), &context).unwrap();
    let mut model = Model::new();
    for step in steps {
        match step {
            Step::Txn(txn) => match store.txn(txn.clone()).await {
                Err(Error::DuplicateKey) => {}
                answer => assert_eq!(answer, model.txn(&txn), "{txn:?}"),
            },
            Step::Range(range) => {
                let revision = model.revision();
                let expected = model.range(&range, &model.states[revision as usize], revision);
                assert_eq!(store.range(range.clone()).await, expected, "{range:?}");
            }
            Step::Compact(upto) => assert_eq!(store.compact(upto).await, model.compact(upto)),
            Step::Watch(range, from) if from < model.compacted => {
                assert_eq!(watched(&store, &range, from, None).await, Err(Error::Compacted(model.compacted)));
            }
            Step::Watch(range, from) => {
                let expected = model.events(&range, from);
                let mut found =
                    watched(&store, &range, from, expected.last().map(|(revision, _)| *revision)).await.unwrap();
                // The state before the compact revision may be known or not.
                for (_, events) in found.iter_mut().filter(|(revision, _)| *revision <= model.compacted) {
                    events.iter_mut().for_each(|event| event.prev = None);
                }
                assert_eq!(found, expected, "{range:?} from {from}");
            }
            Step::Reopen => {
                store.close().await;
                store = Store::open(options.clone(), &context).unwrap();
            }
        }
        assert_eq!(store.local_revision(), model.revision());
    }
    drop(Arc::clone(&store));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_does_what_the_model_does(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(steps));
    }
}
