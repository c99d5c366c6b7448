//! What happened, revision by revision, and what must therefore have been answered: the judge of the simulation and of the
//! tests on real processes. Pure.
//!
//! Every write of a client puts its own number under the key [`MARK`] beside what it does, so that each revision says which
//! operation made it. The model replays them one by one; a revision is final when the first member has applied it, and
//! every other member must come to the same.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::kv::{Error, KeyValue, Op, OpReply, Page, Range, Revision, Signal, Target, Txn, TxnReply};
use crate::span::Span;

/// Written by every write.
pub const MARK: &[u8] = b"mark";

type Keys = BTreeMap<Bytes, KeyValue>;

/// What a client asked for.
#[derive(Debug, Clone)]
pub struct Operation {
    /// `None`: a read of everything.
    pub txn: Option<Txn>,
    /// The newest revision that somebody knew when it began: it must see that.
    known: Revision,
    /// The revision that it made.
    made: Option<Revision>,
    /// The client was told that nothing has happened.
    refused: bool,
}

/// See the module's header.
#[derive(Debug)]
pub struct History {
    /// By revision, from 1 (the empty store): the keys as of then, and what was changed.
    revisions: Vec<(Keys, Vec<KeyValue>)>,
    operations: Vec<Operation>,
    known: Revision,
    /// Transactions that were answered.
    pub answered: u64,
    /// Reads that were answered.
    pub reads: u64,
    /// Operations of which nobody knows whether they happened.
    pub unknown: u64,
}

impl Operation {
    /// The lease that it puts keys under.
    #[cfg(test)]
    pub(crate) fn lease(&self) -> Option<i64> {
        self.txn.as_ref()?.then.iter().find_map(|op| match op {
            Op::Put { lease, .. } if *lease != 0 => Some(*lease),
            _ => None,
        })
    }
}

impl Default for History {
    fn default() -> Self {
        let revisions = vec![(Keys::new(), Vec::new()), (Keys::new(), Vec::new())];
        Self { revisions, operations: Vec::new(), known: 1, answered: 0, reads: 0, unknown: 0 }
    }
}

impl History {
    /// The last revision that has happened.
    pub fn last(&self) -> Revision {
        self.revisions.len() as u64 - 1
    }

    /// How many operations were begun.
    pub fn operations(&self) -> usize {
        self.operations.len()
    }

    /// The keys as of the last revision: for compares.
    pub fn keys(&self) -> &Keys {
        &self.revisions[self.revisions.len() - 1].0
    }

    /// A client begins; the number of its operation, which `mark` makes part of it.
    pub fn begin(&mut self, mut txn: Option<Txn>) -> u64 {
        let number = self.operations.len() as u64;
        if let Some(txn) = &mut txn {
            txn.then.push(mark(number));
        }
        self.operations.push(Operation { txn, known: self.known, made: None, refused: false });
        number
    }

    /// What [`History::begin`] noted. Panics if there is no such operation.
    pub fn operation(&self, number: u64) -> &Operation {
        &self.operations[number as usize]
    }

    /// A client has been told of a revision: whatever begins from now on must see it.
    pub fn knows(&mut self, revision: Revision) {
        self.known = self.known.max(revision);
    }

    /// Somebody says what a revision did: it is what is known of it, or the next one, which is learned.
    ///
    /// # Errors
    /// When it contradicts what is known, or what its operation asked for.
    pub fn learn(&mut self, who: &str, revision: Revision, done: Vec<KeyValue>) -> Result<(), String> {
        match self.revisions.get(revision as usize) {
            Some((_, known)) if *known == done => Ok(()),
            Some((_, known)) => {
                Err(format!("member {who} made revision {revision} to {done:?}, another one to {known:?}"))
            }
            None if revision == self.last() + 1 => self.replay(revision, done),
            None => Err(format!("member {who} has revision {revision} before {}", self.last() + 1)),
        }
    }

    /// Does to the model what the operation says, and compares.
    fn replay(&mut self, revision: Revision, done: Vec<KeyValue>) -> Result<(), String> {
        let mark = done.iter().find(|change| change.key == MARK);
        if mark.is_none() {
            return self.replay_revocation(done);
        }
        let number = mark.and_then(|mark| std::str::from_utf8(&mark.value).ok()?.parse::<usize>().ok());
        let operation = number.and_then(|number| self.operations.get_mut(number));
        let Some((number, operation)) = number.zip(operation) else {
            return Err(format!("revision {revision} was made by nobody: {done:?}"));
        };
        let Some(txn) = &operation.txn else { return Err(format!("revision {revision} was made by a read")) };
        if let Some(before) = operation.made.replace(revision) {
            return Err(format!("operation {number} was done twice, by revisions {before} and {revision}"));
        }
        if operation.refused {
            return Err(format!("operation {number} was refused and made revision {revision}"));
        }
        if revision <= operation.known {
            return Err(format!("operation {number} made {revision}, but began when {} was known", operation.known));
        }
        let mut keys = self.revisions[revision as usize - 1].0.clone();
        if !holds(txn, &keys) {
            return Err(format!("operation {number} made revision {revision} though its condition does not hold"));
        }
        let mut expected = Vec::new();
        for op in &txn.then {
            apply(op, revision, &mut keys, &mut expected);
        }
        if sorted(&expected) != sorted(&done) {
            return Err(format!("revision {revision} should have done {expected:?}, and did {done:?}"));
        }
        self.revisions.push((keys, done));
        Ok(())
    }

    /// A revision that no operation made: a lease ended, and took all its keys with it.
    fn replay_revocation(&mut self, done: Vec<KeyValue>) -> Result<(), String> {
        let mut keys = self.keys().clone();
        let lease = done.first().and_then(|change| keys.get(&change.key)).map_or(0, |kv| kv.lease);
        let gone: Vec<Bytes> =
            keys.extract_if(.., |_, kv| lease != 0 && kv.lease == lease).map(|(key, _)| key).collect();
        if done.iter().any(|change| change.version != 0) || !gone.iter().eq(done.iter().map(|change| &change.key)) {
            return Err(format!("revision {} was made by nobody: {done:?}", self.last() + 1));
        }
        self.revisions.push((keys, done));
        Ok(())
    }

    /// A client is answered a transaction.
    ///
    /// # Errors
    /// When the answer cannot be.
    pub fn wrote(&mut self, number: u64, reply: &TxnReply) -> Result<(), String> {
        let operation = &self.operations[number as usize];
        let wrong = |what: &str| Err(format!("operation {number} {operation:?}: {what}: {reply:?}"));
        let Some(txn) = &operation.txn else { return wrong("a read is answered as a transaction") };
        let Some((keys, _)) = self.revisions.get(reply.revision as usize) else {
            return wrong("a revision that has not happened");
        };
        if reply.succeeded {
            if operation.made != Some(reply.revision) {
                return wrong("another revision than it made");
            }
            let mut before = self.revisions[reply.revision as usize - 1].0.clone();
            let expected: Vec<_> =
                txn.then.iter().map(|op| apply(op, reply.revision, &mut before, &mut Vec::new())).collect();
            if expected != reply.replies {
                return wrong(&format!("should be {expected:?}"));
            }
        } else if holds(txn, keys) {
            return wrong("its condition holds");
        } else if reply.revision < operation.known {
            return wrong("older than what was known");
        }
        self.knows(reply.revision);
        self.answered += 1;
        Ok(())
    }

    /// A client has read everything; `linearizable`: and may rely on it.
    ///
    /// # Errors
    /// When that is not what was there.
    pub fn read(&mut self, number: u64, page: &Page, linearizable: bool) -> Result<(), String> {
        let operation = &self.operations[number as usize];
        let Some((keys, _)) = self.revisions.get(page.revision as usize) else {
            return Err(format!("a read at revision {}, which has not happened", page.revision));
        };
        if !page.kvs.iter().eq(keys.values()) {
            return Err(format!("a read at {} is {:?}, not {keys:?}", page.revision, page.kvs));
        }
        if linearizable {
            if page.revision < operation.known {
                return Err(format!("a read at {} began when {} was known", page.revision, operation.known));
            }
            self.knows(page.revision);
        }
        self.reads += 1;
        Ok(())
    }

    /// A client is told that it did not work.
    ///
    /// # Errors
    /// When it did.
    pub fn failed(&mut self, number: u64, error: &Error) -> Result<(), String> {
        let operation = &mut self.operations[number as usize];
        if matches!(error, Error::Cluster(_) | Error::NoSpace | Error::NoLease) {
            operation.refused = true;
            if let Some(revision) = operation.made {
                return Err(format!("operation {number} made revision {revision} and is answered {error}"));
            }
        } else {
            self.unknown += 1;
        }
        Ok(())
    }

    /// A watch of everything that has sent all before `next` sends a signal; from where it must go on.
    ///
    /// # Errors
    /// When it leaves something out, repeats it, or says something else than what happened.
    pub fn watched(&self, next: Revision, signal: &Signal) -> Result<Revision, String> {
        let all = Range { key: Bytes::from_static(b"\0"), end: Some(Bytes::from_static(b"\0")), ..Range::default() };
        self.watched_in(&all, next, signal)
    }

    /// The same of a watch of some keys.
    ///
    /// # Errors
    /// As [`History::watched`].
    pub fn watched_in(&self, range: &Range, next: Revision, signal: &Signal) -> Result<Revision, String> {
        let span = Span::of(&range.key, range.end.as_ref());
        let (revision, events) = match signal {
            Signal::Started(_) => return Ok(next),
            Signal::Progress(revision) => (*revision, None),
            Signal::Events(revision, events) => (*revision, Some(events)),
        };
        let Some((_, done)) = self.revisions.get(revision as usize) else {
            return Err(format!("a watch sends revision {revision}, which has not happened"));
        };
        let end = if events.is_some() { revision } else { revision + 1 };
        let concerns = |at: &Revision| self.revisions[*at as usize].1.iter().any(|kv| span.contains(&kv.key));
        if let Some(missed) = (next..end).find(concerns) {
            return Err(format!("a watch sends {signal:?} where revision {missed} is next"));
        }
        let Some(events) = events else { return Ok(next.max(revision + 1)) };
        if revision < next {
            return Err(format!("a watch sends revision {revision} again, where {next} is next"));
        }
        let done: Vec<KeyValue> = done.iter().filter(|kv| span.contains(&kv.key)).cloned().collect();
        let sent: Vec<KeyValue> = events.iter().map(|event| event.kv.clone()).collect();
        let before = &self.revisions[revision as usize - 1].0;
        let wrong_prev =
            |event: &&crate::kv::Event| event.prev.is_some() && event.prev.as_ref() != before.get(&event.kv.key);
        if sorted(&sent) != sorted(&done) || events.iter().any(|event| wrong_prev(&event)) {
            return Err(format!("a watch sends {events:?} for revision {revision}, which did {done:?}"));
        }
        Ok(revision + 1)
    }
}

/// The step that makes an operation's number part of it.
pub fn mark(number: u64) -> Op {
    Op::Put { key: Bytes::from_static(MARK), value: number.to_string().into(), lease: 0 }
}

fn sorted(changes: &[KeyValue]) -> Vec<&KeyValue> {
    let mut sorted: Vec<&KeyValue> = changes.iter().collect();
    sorted.sort_by(|one, other| one.key.cmp(&other.key));
    sorted
}

/// The model's compare: by the key's mod revision only, which is all that clients here use.
fn holds(txn: &Txn, keys: &Keys) -> bool {
    txn.when.iter().all(|compare| match compare.target {
        Target::ModRevision(wanted) => keys.get(&compare.key).map_or(0, |kv| kv.mod_revision) == wanted,
        _ => false,
    })
}

/// The model's step.
fn apply(op: &Op, revision: Revision, keys: &mut Keys, done: &mut Vec<KeyValue>) -> OpReply {
    match op {
        Op::Put { key, value, lease } => {
            let before = keys.get(key).cloned();
            let kv = KeyValue {
                key: key.clone(),
                value: value.clone(),
                create_revision: before.as_ref().map_or(revision, |before| before.create_revision),
                mod_revision: revision,
                version: before.as_ref().map_or(1, |before| before.version + 1),
                lease: *lease,
            };
            done.push(kv.clone());
            keys.insert(key.clone(), kv);
            OpReply::Put(before)
        }
        Op::Delete { key, .. } => {
            let before = keys.remove(key);
            if before.is_some() {
                done.push(KeyValue { key: key.clone(), mod_revision: revision, ..KeyValue::default() });
            }
            OpReply::Delete(before.into_iter().collect())
        }
        other => unreachable!("clients do not ask for {other:?}"),
    }
}
