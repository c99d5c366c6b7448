//! What a follower does with its leader's messages.

use proto::raft::{Append, AppendReply, Heartbeat, HeartbeatReply};

use super::{Body, Entry, LogView, MOST, Raft, Snapshot, Violation};

impl Raft {
    /// Makes the log the leader's from the first difference on. Worked example:
    /// ```text
    /// log      1 1 2 2 2      terms; committed up to 3
    /// append   after 3 (term 2): 2 3        4 is the same, 5 differs
    /// log      1 1 2 2 3      5 replaced; reply 5
    /// ```
    pub(super) fn take_append(&mut self, log: &dyn LogView, from: u64, append: Append) -> Result<(), Violation> {
        well_formed(&append, self.term)?;
        let end = append.prev_index + append.entries.len() as u64;
        let quiet = append.quiet && append.entries.is_empty();
        if end <= self.commit {
            // An old one. What is committed is known to be the leader's.
            self.accept(from, self.commit, quiet);
            return Ok(());
        }
        // What is committed here needs no comparison, and may not be comparable: compacted.
        let known = self.commit.saturating_sub(append.prev_index) as usize;
        let (prev_index, prev_term) = match known.checked_sub(1).map(|at| &append.entries[at]) {
            Some(entry) => (entry.index, entry.term),
            None => (append.prev_index, append.prev_term),
        };
        if self.term_at(log, prev_index) != Some(prev_term) {
            if prev_index <= self.commit {
                return Err(Violation::Committed { index: prev_index });
            }
            let (hint_index, hint_term) = self.meeting_point(log, prev_index.min(self.last_index), prev_term);
            self.reject(from, append.prev_index, hint_index, hint_term);
            return Ok(());
        }
        let entries = append.entries.into_iter().skip(known);
        self.append(entries.skip_while(|entry| self.term_at(log, entry.index) == Some(entry.term)).collect::<Vec<_>>());
        self.commit = self.commit.max(append.commit.min(end));
        self.accept(from, end, quiet);
        Ok(())
    }

    /// The last entry from `index` down whose term is not beyond `term`, and its term: the logs cannot meet later, because
    /// terms only grow along a log. Worked example, a leader that asks after 9 in term 3:
    /// ```text
    /// index  1 2 3 4 5 6 7 8 9
    /// leader 1 3 3 3 3 3 3 3 3 7
    /// here   1 3 3 4 4 5 5 5 6        they meet at 3 at the latest
    /// ```
    pub(super) fn meeting_point(&self, log: &dyn LogView, mut index: u64, term: u64) -> (u64, u64) {
        loop {
            match self.term_at(log, index) {
                Some(own) if own > term && index > 0 => index -= 1,
                own => return (index, own.unwrap_or(0)),
            }
        }
    }

    pub(super) fn take_heartbeat(&mut self, from: u64, heartbeat: Heartbeat) {
        // The leader names only what it knows to be in this log.
        self.commit = self.commit.max(heartbeat.commit.min(self.last_index));
        // Needs no disk: it says that this member knows no later leader, not that it holds anything.
        self.send(from, Body::HeartbeatReply(HeartbeatReply { round: heartbeat.round }));
    }

    pub(super) fn take_snapshot(&mut self, log: &dyn LogView, from: u64, snapshot: Snapshot) {
        let Snapshot { index, term, .. } = snapshot;
        if index > self.commit && index <= MOST {
            if self.term_at(log, index) == Some(term) {
                // The log holds it all: no reason to throw the log away.
                self.commit = index;
            } else {
                // What may have been applied by now stays so; the rest comes with the snapshot.
                self.forget_from(self.offered + 1);
                self.pending.clear();
                (self.last_index, self.last_term, self.commit) = (index, term, index);
                self.membership = snapshot.membership.clone().unwrap_or_default();
                self.pending_snapshot = Some(snapshot);
            }
        }
        self.accept(from, self.commit, false);
    }

    fn accept(&mut self, to: u64, index: u64, quiet: bool) {
        if !quiet {
            self.hold(to, Body::AppendReply(AppendReply { index, ..AppendReply::default() }));
        }
    }

    pub(super) fn reject(&mut self, to: u64, index: u64, hint_index: u64, hint_term: u64) {
        self.hold(to, Body::AppendReply(AppendReply { index, rejected: true, hint_index, hint_term }));
    }
}

fn well_formed(append: &Append, term: u64) -> Result<(), Violation> {
    if append.prev_index > MOST {
        return Err(Violation::Malformed("an index that cannot be"));
    }
    let mut prev = (append.prev_term, append.prev_index);
    for Entry { term: own, index, .. } in &append.entries {
        if *own < prev.0 || *own > term || *index != prev.1 + 1 {
            return Err(Violation::Malformed("an append's entries do not follow each other"));
        }
        prev = (*own, *index);
    }
    Ok(())
}
