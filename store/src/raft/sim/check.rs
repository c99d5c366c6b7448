//! What must never be seen, whatever happens. Thesis, figure 3.2.

use std::collections::{BTreeMap, HashMap};

use crate::raft::tests::net::MemLog;
use crate::raft::{Entry, LogView, Snapshot};

/// What is known of the whole cluster.
#[derive(Debug, Default)]
pub(super) struct Checks {
    /// Who led in which term.
    leaders: HashMap<u64, u64>,
    /// What has been applied anywhere, and the term of whoever applied it first: entry 1 at 0.
    applied: Vec<(Entry, u64)>,
    /// What clients sent that has not been answered: by index, to which member, in which term, what.
    proposed: HashMap<u64, (u64, u64, bytes::Bytes)>,
    /// The last entry that some client knows to be there.
    known: u64,
    /// Reads under way: what was known when they began.
    reads: HashMap<(u64, u64), u64>,
    pub(super) writes_answered: u64,
    pub(super) reads_answered: u64,
}

impl Checks {
    /// Election safety and leader completeness.
    pub(super) fn elected(&mut self, id: u64, term: u64, log: &MemLog) -> Result<(), String> {
        if *self.leaders.entry(term).or_insert(id) != id {
            return Err(format!("two leaders in term {term}: {} and {id}", self.leaders[&term]));
        }
        for (entry, _) in self.applied.iter().filter(|(_, applied_in)| *applied_in < term) {
            let own = log.get(entry.index);
            if entry.index >= log.first_index() && own != Some(entry) {
                return Err(format!("leader {id} of term {term} lacks committed {entry:?}, it has {own:?}"));
            }
        }
        Ok(())
    }

    /// State machine safety: everybody applies the same. `term`: that of the member.
    pub(super) fn applied(&mut self, id: u64, term: u64, entry: &Entry) -> Result<(), String> {
        let at = entry.index as usize - 1;
        match self.applied.get(at) {
            Some((first, _)) if first != entry => {
                return Err(format!("member {id} applies {entry:?} where another one applied {first:?}"));
            }
            Some(_) => {}
            None if at == self.applied.len() => self.applied.push((entry.clone(), term)),
            None => return Err(format!("member {id} applies {entry:?} before what precedes it")),
        }
        Ok(())
    }

    /// A snapshot is a state that was reached.
    pub(super) fn installed(&self, id: u64, snapshot: &Snapshot) -> Result<(), String> {
        match self.applied.get(snapshot.index as usize - 1) {
            Some((entry, _)) if entry.term == snapshot.term => Ok(()),
            other => Err(format!("member {id} installs {snapshot:?}, but {other:?} was applied there")),
        }
    }

    /// A client has proposed something.
    pub(super) fn proposed(&mut self, id: u64, index: u64, term: u64, request: bytes::Bytes) {
        self.proposed.insert(index, (id, term, request));
    }

    /// A member that was asked to write has applied an entry: if it is the one, the client knows. What it had proposed at
    /// this index in another term has no answer: who knows what became of it.
    pub(super) fn answered(&mut self, id: u64, entry: &Entry) {
        if let Some((asked, term, request)) = self.proposed.get(&entry.index)
            && (*asked, *term) == (id, entry.term)
            && *request == entry.request
        {
            self.proposed.remove(&entry.index);
            self.known = self.known.max(entry.index);
            self.writes_answered += 1;
        }
    }

    /// A client begins to read.
    pub(super) fn reading(&mut self, member: u64, context: u64) {
        self.reads.insert((member, context), self.known);
    }

    /// A read is answered from the state as of `index`, or a later one.
    pub(super) fn read(&mut self, member: u64, context: u64, index: u64) -> Result<(), String> {
        let Some(known) = self.reads.remove(&(member, context)) else {
            return Ok(());
        };
        if index < known {
            return Err(format!("a read by member {member} at {index} does not see {known}, known before it began"));
        }
        self.known = self.known.max(index);
        self.reads_answered += 1;
        Ok(())
    }

    /// Log matching: where two logs have an entry of the same term, they are the same up to there.
    pub(super) fn logs(&self, logs: &BTreeMap<u64, &MemLog>) -> Result<(), String> {
        let pairs = logs.iter().flat_map(|one| logs.range(one.0 + 1..).map(move |other| (one, other)));
        for ((one, first), (other, second)) in pairs {
            let from = first.first_index().max(second.first_index());
            let to = first.last_index().min(second.last_index());
            let met = (from..=to).rev().find(|index| first.term(*index) == second.term(*index));
            for index in from..=met.unwrap_or(0) {
                if first.get(index) != second.get(index) {
                    return Err(format!("the logs of {one} and {other} meet at {met:?} and differ at {index}"));
                }
            }
        }
        Ok(())
    }

    /// The last entry that was applied anywhere.
    pub(super) fn last_applied(&self) -> u64 {
        self.applied.len() as u64
    }
}
