//! What a leader does: takes proposals, sends its log, counts who has it.

use bytes::Bytes;
use prost::Message as _;
use proto::raft::{Append, AppendReply, Heartbeat, TimeoutNow};

use super::membership::{changed, quorum, reached};
use super::progress::{Progress, State};
use super::{
    Body, ChangeError, ChangeKind, Entry, EntryKind, Fault, LogView, MOST, Membership, MembershipChange, Message, Raft,
    Ready, Refusal, Role, Violation,
};

impl Raft {
    /// Appends requests to the log; the index of the first one. They are committed when `apply_to` reaches them and the
    /// entry there still has this term; otherwise they may or may not be.
    ///
    /// # Errors
    /// If this member does not lead, or is handing the leadership over.
    pub fn propose(&mut self, requests: impl IntoIterator<Item = Bytes>) -> Result<u64, Refusal> {
        self.may_propose()?;
        let first = self.last_index + 1;
        self.append_own(EntryKind::Request, requests);
        Ok(first)
    }

    /// Appends a membership change; its index.
    ///
    /// # Errors
    /// If this member does not lead, has not committed in its term yet, if another change may be under way, or if the
    /// change does not fit.
    pub fn propose_membership(&mut self, change: &MembershipChange) -> Result<u64, Refusal> {
        self.may_propose()?;
        // Without an entry of its own term it does not know whether an older leader's change is committed, and two changes
        // from the same membership have no quorum in common (Ongaro, "bug in single-server membership changes", 2015).
        if self.commit < self.first_own {
            return Err(Refusal::NotYet);
        }
        if self.applied < self.change_gate {
            return Err(Refusal::ChangePending);
        }
        changed(&self.membership, change)?;
        self.append_own(EntryKind::Membership, [change.encode_to_vec().into()]);
        self.change_gate = self.last_index;
        if change.id == self.config.id && change.kind() == ChangeKind::Remove {
            self.removal = self.last_index;
        }
        Ok(self.last_index)
    }

    fn may_propose(&self) -> Result<(), Refusal> {
        match (self.role, self.transferee) {
            // What it appended behind its own removal would make its log longer than that of the other one of two voters,
            // who may need its vote to learn of the removal, and would not get it.
            (Role::Leader, _) if self.removal > self.applied => Err(Refusal::NotLeader { leader: 0 }),
            (Role::Leader, 0) => Ok(()),
            (Role::Leader, to) => Err(Refusal::Transferring { to }),
            _ => Err(Refusal::NotLeader { leader: self.leader }),
        }
    }

    pub(super) fn append_own(&mut self, kind: EntryKind, requests: impl IntoIterator<Item = Bytes>) {
        let (term, kind) = (self.term, kind.into());
        let mut index = self.last_index;
        self.pending.extend(requests.into_iter().map(|request| {
            index += 1;
            Entry { term, index, request, kind }
        }));
        if index > self.last_index {
            (self.last_index, self.last_term) = (index, term);
        }
    }

    /// Makes a change effective: to be called when its entry is applied. A member that is removed must go on until a quorum
    /// of the others has applied that: the last of two voters needs the vote of the one that was removed to learn that it
    /// is alone (etcd-io/raft, README, "Implementation notes").
    ///
    /// # Errors
    /// If it does not fit the membership: then every member ignores it.
    pub fn apply_membership(&mut self, change: &MembershipChange) -> Result<&Membership, ChangeError> {
        self.membership = changed(&self.membership, change)?;
        // That the change is committed must survive a crash: the removed member may be gone for good by then, and with two
        // voters its vote would be needed to find out again.
        self.unsaved = true;
        if self.role == Role::Leader {
            let Membership { voters, learners } = &self.membership;
            if voters.contains(&self.config.id) {
                self.peers.retain(|id, _| voters.contains(id) || learners.contains(id));
                if change.id != self.config.id && (voters.contains(&change.id) || learners.contains(&change.id)) {
                    // Counts as active, or a cluster of one that grows would lose its quorum before the new one can answer.
                    self.peers.entry(change.id).or_insert_with(|| Progress::new(self.last_index + 1, true));
                }
                if !voters.contains(&self.transferee) {
                    self.transferee = 0;
                }
            } else {
                self.become_follower(self.term, 0);
            }
        }
        Ok(&self.membership)
    }

    /// Hands the leadership to another voter: as soon as it has the whole log, it is told to campaign. Given up after an
    /// election timeout; nothing is taken from clients until then.
    ///
    /// # Errors
    /// If this member does not lead, or the other one cannot.
    pub fn transfer_leadership(&mut self, to: u64) -> Result<(), Refusal> {
        if self.role != Role::Leader {
            return Err(Refusal::NotLeader { leader: self.leader });
        }
        if !self.membership.voters.contains(&to) {
            return Err(Refusal::NotVoter { id: to });
        }
        if to == self.config.id {
            // It leads already; whoever was to does not any more.
            self.transferee = 0;
        } else if to != self.transferee {
            (self.transferee, self.told_transferee) = (to, false);
            self.elapsed = 0;
        }
        Ok(())
    }

    pub(super) fn tick_leader(&mut self) {
        if self.elapsed >= self.config.election_ticks {
            self.elapsed = 0;
            self.transferee = 0;
            if !self.count_active() {
                return self.become_follower(self.term, 0);
            }
        }
        self.heartbeat_elapsed += 1;
        self.heartbeat_due |= self.heartbeat_elapsed >= self.config.heartbeat_ticks;
    }

    /// Whether a quorum has answered since the last count.
    fn count_active(&mut self) -> bool {
        let voters = &self.membership.voters;
        let active = |id: &&u64| **id == self.config.id || self.peers.get(id).is_some_and(|peer| peer.active);
        let enough = voters.iter().filter(active).count() >= quorum(voters.len());
        for peer in self.peers.values_mut() {
            peer.was_active = std::mem::take(&mut peer.active);
        }
        enough
    }

    pub(super) fn take_append_reply(
        &mut self,
        log: &dyn LogView,
        from: u64,
        reply: AppendReply,
    ) -> Result<(), Violation> {
        if self.role != Role::Leader {
            return Ok(());
        }
        if reply.index > MOST || reply.hint_index > MOST {
            return Err(Violation::Malformed("an index that cannot be"));
        }
        // Probing at an entry of a later term than the member's there is no use.
        let hint = match reply.rejected && reply.hint_term > 0 {
            true => self.meeting_point(log, reply.hint_index.min(self.last_index), reply.hint_term).0,
            false => reply.hint_index,
        };
        let Some(peer) = self.peers.get_mut(&from) else { return Ok(()) };
        peer.active = true;
        if reply.rejected {
            peer.rejected(reply.index, hint);
        } else if reply.index > self.last_index {
            return Err(Violation::Malformed("a reply names an entry that was never sent"));
        } else {
            peer.accepted(reply.index, log.first_index());
        }
        Ok(())
    }

    pub(super) fn take_heartbeat_reply(&mut self, from: u64, round: u64) {
        let last = self.last_index;
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.active = true;
            peer.round = peer.round.max(round);
            // An answer to the last probe would have been here by now.
            peer.waiting = false;
            peer.poke = peer.matched < last;
        }
    }

    /// The member has the whole snapshot, up to `index`.
    pub fn snapshot_sent(&mut self, peer: u64, index: u64) {
        self.snapshot_ended(peer, index + 1);
    }

    /// The snapshot did not get there.
    pub fn snapshot_failed(&mut self, peer: u64) {
        self.snapshot_ended(peer, 0);
    }

    fn snapshot_ended(&mut self, peer: u64, next: u64) {
        if let Some(peer) = self.peers.get_mut(&peer).filter(|peer| peer.state == State::Snapshot) {
            peer.enter(State::Probe, next);
            // It goes on with the member's answer, or else after a heartbeat's.
            peer.waiting = true;
        }
    }

    /// A connection to the member broke: what was on its way may be lost.
    pub fn unreachable(&mut self, peer: u64) {
        if let Some(peer) = self.peers.get_mut(&peer).filter(|peer| peer.state == State::Replicate) {
            peer.enter(State::Probe, 0);
        }
    }

    /// Everything that a leader says.
    pub(super) fn lead(&mut self, log: &dyn LogView, ready: &mut Ready) {
        self.advance_commit();
        self.advance_reads();
        let ids: Vec<u64> = self.peers.keys().copied().collect();
        for id in ids {
            self.replicate(log, id, ready);
        }
        self.hand_over();
        if std::mem::take(&mut self.heartbeat_due) {
            self.heartbeat_elapsed = 0;
            self.heartbeat();
        }
    }

    fn advance_commit(&mut self) {
        let counted = match self.planted(Fault::CommitWithoutQuorum) {
            true => self.persisted,
            false => self.reached(self.persisted, |peer| peer.matched),
        };
        // An entry of an older term that a quorum has may still be replaced (thesis, figure 3.7).
        if counted > self.commit && (counted >= self.first_own || self.planted(Fault::CountOldTerms)) {
            self.commit = counted;
        }
    }

    /// Whether this member leads, and of the voters who have answered within the last one or two election timeouts no quorum has the
    /// log up to `index`.
    pub fn lacks_quorum_at(&mut self, index: u64) -> bool {
        let matched = |peer: &Progress| if peer.active || peer.was_active { peer.matched } else { 0 };
        self.role == Role::Leader && self.reached(self.persisted, matched) < index
    }

    /// What a quorum of the voters has reached, `own` being this member's value.
    pub(super) fn reached(&mut self, own: u64, value: impl Fn(&Progress) -> u64) -> u64 {
        self.scratch.clear();
        for id in &self.membership.voters {
            let own = (*id == self.config.id).then_some(own);
            self.scratch.push(own.or_else(|| self.peers.get(id).map(&value)).unwrap_or(0));
        }
        reached(&mut self.scratch)
    }

    /// Sends what a member may be sent.
    fn replicate(&mut self, log: &dyn LogView, id: u64, ready: &mut Ready) {
        loop {
            let Some(peer) = self.peers.get(&id) else { return };
            let full = peer.full(self.config.max_inflight, self.config.max_inflight_bytes);
            match peer.state {
                State::Snapshot => return,
                State::Probe if peer.waiting => return,
                State::Replicate if full && !peer.poke => return,
                State::Probe | State::Replicate => {}
            }
            let (prev_index, commit) = (peer.next - 1, self.commit);
            let Some(prev_term) = self.term_at(log, prev_index) else {
                // A member that does not answer would not take a snapshot either.
                if peer.active {
                    ready.snapshots.push(id);
                    self.with(id, |peer| peer.enter(State::Snapshot, 0));
                }
                return;
            };
            let ahead = peer.state == State::Replicate;
            let entries = match full && ahead {
                true => Vec::new(),
                false => self.entries_to_send(log, peer.next),
            };
            let news = peer.told < commit && peer.told < prev_index;
            if ahead && entries.is_empty() && !peer.poke && !news {
                return;
            }
            let quiet = ahead && entries.is_empty() && !peer.poke;
            let last = entries.last().map(|entry| entry.index);
            let bytes = entries.iter().map(|entry| entry.request.len()).sum();
            self.send(id, Body::Append(Append { prev_index, prev_term, entries, commit, quiet }));
            self.with(id, |peer| {
                peer.told = commit;
                peer.poke = false;
                match last {
                    Some(last) if ahead => peer.sent(last, bytes),
                    _ => peer.waiting = !ahead,
                }
            });
            if last.is_none() || !ahead {
                return;
            }
        }
    }

    /// The entries from `next` on that may be sent now. Before they are durable here, unless one of two voters may be on its way
    /// out: what only that one has of them, after a crash of this one, would make its log longer, and it would refuse the vote by
    /// which this one learns that it is alone.
    fn entries_to_send(&self, log: &dyn LogView, next: u64) -> Vec<Entry> {
        let mut entries = self.entries_from(log, next, self.config.max_append_bytes);
        if self.membership.voters.len() == 2 && self.applied < self.change_gate {
            let durable = entries.partition_point(|entry| entry.index <= self.persisted);
            entries.truncate(durable);
        }
        entries
    }

    /// Tells the member that shall lead to campaign, once it has the whole log. If that is lost, so is the attempt.
    fn hand_over(&mut self) {
        let matched = self.peers.get(&self.transferee).map(|peer| peer.matched);
        if matched == Some(self.last_index) && !self.told_transferee {
            self.told_transferee = true;
            self.send(self.transferee, Body::TimeoutNow(TimeoutNow {}));
        }
    }

    fn with(&mut self, id: u64, change: impl FnOnce(&mut Progress)) {
        if let Some(peer) = self.peers.get_mut(&id) {
            change(peer);
        }
    }

    fn heartbeat(&mut self) {
        let round = self.reads.round();
        let (from, term, commit) = (self.config.id, self.term, self.commit);
        self.messages.extend(self.peers.iter().map(|(id, peer)| {
            // Never more than the member is known to have: its log may differ beyond.
            let body = Body::Heartbeat(Heartbeat { commit: commit.min(peer.matched), round });
            Message { from, to: *id, term, body: Some(body) }
        }));
    }
}
