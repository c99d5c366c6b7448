//! What comes in: requests are gathered and proposed together, or handed to the leader; messages go to raft.

use std::collections::VecDeque;

use bytes::Bytes;
use prost::Message as _;
use proto::log::{EntryKind, MembershipChange};
use proto::peer::parcel::Body;
use proto::peer::{Forward, Parcel, Placed, Reason, Refused};

use super::{Fatal, Input, Member, Port};
use crate::kv::{ClusterError, Error};
use crate::raft::{self, ChangeError, ChangeKind, Refusal, Role, Standing, Violation};
use crate::request;

/// Bytes of requests that are proposed, and so synced, together.
const GROUP_BYTES: usize = 4 << 20;
/// Ticks between two failures to read entries that count as one.
const READ_PAUSE: u64 = 10;
/// What an entry takes in the log beside its request, at most.
const ENTRY_BYTES: u64 = 64;

/// A request that is not in the log yet.
pub(super) struct Asked<T> {
    since: u64,
    request: Bytes,
    kind: EntryKind,
    by: By<T>,
}

enum By<T> {
    /// Somebody here.
    Ticket(T),
    /// Another member, which calls it so, and has handed it to the leader of a term.
    Peer { from: u64, ticket: u64, term: u64 },
}

impl<T> Member<T> {
    /// Takes an input. What follows from it is done by [`Member::advance`].
    pub(crate) fn input(&mut self, input: Input<T>, port: &mut impl Port<Ticket = T>) -> Result<(), Fatal> {
        match input {
            Input::Propose(request, ticket) => self.ask(request, EntryKind::Request, By::Ticket(ticket)),
            Input::Change(change, ticket) => {
                self.ask(change.encode_to_vec().into(), EntryKind::Membership, By::Ticket(ticket));
            }
            Input::Read(ticket) => self.reads.push(ticket),
            Input::Transfer(to, ticket) => self.transfer(to, ticket, port),
            Input::Peer(from, Parcel { body: Some(body) }) => self.hear(from, body, port)?,
            Input::Peer(_, Parcel { body: None }) => {}
            Input::Arrived(arrived) => self.arrive(arrived)?,
            Input::Sent { to, term, index, ok } => self.sent(to, term, index, ok),
            Input::Saved(index, result) => self.saved(index, result),
            Input::Unreachable(peer) => self.raft.unreachable(peer),
            Input::Tick => self.tick(port)?,
        }
        Ok(())
    }

    /// Whether requests wait for the next [`Member::advance`].
    pub(crate) fn has_more(&self) -> bool {
        self.unwritten.is_none() && self.raft.standing().leader != 0 && !self.group.is_empty()
    }

    fn ask(&mut self, request: Bytes, kind: EntryKind, by: By<T>) {
        self.group.push_back(Asked { since: self.ticks, request, kind, by });
    }

    fn tick(&mut self, port: &mut impl Port<Ticket = T>) -> Result<(), Fatal> {
        self.ticks += 1;
        self.check_reads()?;
        if self.unwritten.is_none() {
            self.raft.tick(&self.log);
        }
        let standing = self.raft.standing();
        let leads = standing.role == Role::Leader && self.unwritten.is_none();
        for ticket in self.waiting.tick(leads.then_some(standing.term)) {
            port.answer(ticket, Err(Error::TimedOut));
        }
        let late = self.ticks.saturating_sub(self.waiting.patience());
        while self.group.front().is_some_and(|asked| asked.since < late) {
            if let Some(Asked { by: By::Ticket(ticket), .. }) = self.group.pop_front() {
                port.answer(ticket, Err(Error::TimedOut));
            }
        }
        if let Some((_, _, since)) = &self.transfer
            && self.ticks > since + 20
            && let Some((ticket, ..)) = self.transfer.take()
        {
            port.answer(ticket, Err(Error::TimedOut));
        }
        Ok(())
    }

    /// Entries that another member needs and that cannot be read, for as long as a request may wait: a leader that has them only
    /// in its files feeds nobody and keeps others from leading. Not at once: files may have been too many for a moment.
    fn check_reads(&mut self) -> Result<(), Fatal> {
        let Some(error) = self.log.take_read_failure() else { return Ok(()) };
        let again = self.unread.filter(|(_, last)| self.ticks - last <= READ_PAUSE);
        let (first, _) = again.unwrap_or((self.ticks, self.ticks));
        if again.is_none() {
            tracing::error!(%error, "entries for a member that is behind cannot be read");
        }
        self.unread = Some((first, self.ticks));
        if self.ticks - first > self.waiting.patience() { Err(Fatal::Read(error)) } else { Ok(()) }
    }

    /// Proposes what has gathered, or hands it to the leader; without a leader it waits.
    pub(super) fn propose_group(&mut self, port: &mut impl Port<Ticket = T>) {
        let standing = self.raft.standing();
        if self.group.is_empty() || standing.leader == 0 {
            return;
        }
        if standing.role != Role::Leader {
            for asked in std::mem::take(&mut self.group) {
                self.hand_on(standing, asked, port);
            }
            return;
        }
        let (mut group, bytes) = take_group(&mut self.group);
        // Whoever handed it to the leader of a former term may have been told that it came to nothing.
        let meant = |by: &By<T>| !matches!(by, By::Peer { term, .. } if *term != standing.term);
        if !group.iter().all(|asked| meant(&asked.by)) {
            let (now, former) = group.into_iter().partition(|asked| meant(&asked.by));
            group = now;
            VecDeque::into_iter(former).for_each(|asked| refuse(asked.by, Reason::NotLeader, port));
        }
        if !self.has_room(bytes as u64 + ENTRY_BYTES * group.len() as u64) {
            self.yield_leadership();
            group.into_iter().for_each(|asked| refuse(asked.by, Reason::NoSpace, port));
            return;
        }
        let change = group.pop_back_if(|asked| asked.kind == EntryKind::Membership);
        match self.raft.propose(group.iter_mut().map(|asked| std::mem::take(&mut asked.request))) {
            Ok(first) => {
                for (index, asked) in (first..).zip(group) {
                    self.placed(index, asked.by, port);
                }
            }
            Err(_) => group.into_iter().for_each(|asked| refuse(asked.by, Reason::NotLeader, port)),
        }
        if let Some(change) = change {
            self.propose_change(change, port);
        }
    }

    /// Whether so much more finds its place on the disk. Says once that it does not, and that it does again.
    fn has_room(&mut self, bytes: u64) -> bool {
        let result = self.log.make_room(bytes);
        match (&result, self.full) {
            (Err(error), false) => tracing::error!(%error, "no room for the store's log: nothing is written"),
            (Ok(()), true) => tracing::info!("there is room for the store's log again"),
            _ => {}
        }
        self.full = result.is_err();
        !self.full
    }

    fn propose_change(&mut self, asked: Asked<T>, port: &mut impl Port<Ticket = T>) {
        let Ok(change) = MembershipChange::decode(asked.request) else {
            return refuse(asked.by, Reason::ChangeMissing, port);
        };
        let ready = self.ready_for(&change);
        match ready.and_then(|()| self.raft.propose_membership(&change).map_err(|refusal| reason(&refusal))) {
            Ok(index) => self.placed(index, asked.by, port),
            Err(reason) => refuse(asked.by, reason, port),
        }
    }

    /// Whether the cluster stays able to work: a learner has nearly everything before it votes, the leader feeds one at a time, and
    /// whoever is counted on is there (etcd: server/etcdserver/server.go, isLearnerReady, and mayAddMember, mayRemoveMember).
    fn ready_for(&self, change: &MembershipChange) -> Result<(), Reason> {
        let status = self.raft.status();
        let voters = &self.raft.membership().voters;
        let active = |id: &&u64| **id == self.id || status.peers.iter().any(|peer| peer.id == **id && peer.active);
        let alive = voters.iter().filter(active).count();
        let enough = match ChangeKind::try_from(change.kind) {
            Ok(ChangeKind::Promote) => {
                let peer = status.peers.iter().find(|peer| peer.id == change.id);
                peer.is_none_or(|peer| peer.matched * 10 >= status.last_index * 9)
            }
            // etcd's default bound (--max-learners).
            Ok(ChangeKind::AddLearner) => self.raft.membership().learners.is_empty(),
            Ok(ChangeKind::AddVoter) => voters.len() == 1 || alive > voters.len().div_ceil(2),
            Ok(ChangeKind::Remove) if voters.contains(&change.id) => {
                let left = alive - usize::from(active(&&change.id));
                voters.len() <= 2 || left > (voters.len() - 1) / 2
            }
            _ => true,
        };
        match change.kind() {
            _ if enough => Ok(()),
            ChangeKind::Promote => Err(Reason::ChangeBehind),
            ChangeKind::AddLearner => Err(Reason::ChangeTooManyLearners),
            _ => Err(Reason::ChangeTooFew),
        }
    }

    fn placed(&mut self, index: u64, by: By<T>, port: &mut impl Port<Ticket = T>) {
        let term = self.raft.standing().term;
        match by {
            By::Ticket(ticket) => self.place(index, term, ticket, port),
            By::Peer { from, ticket, .. } => {
                let body = Body::Placed(Placed { ticket, term, index });
                port.send(from, Parcel { body: Some(body) });
            }
        }
    }

    fn place(&mut self, index: u64, term: u64, ticket: T, port: &mut impl Port<Ticket = T>) {
        if let Some(lost) = self.waiting.place(index, term, ticket) {
            port.answer(lost, Err(Error::TimedOut));
        }
    }

    fn hand_on(&mut self, to: Standing, asked: Asked<T>, port: &mut impl Port<Ticket = T>) {
        match asked.by {
            By::Ticket(ticket) => {
                let ticket = self.waiting.hand(to.term, ticket);
                let Asked { request, kind, .. } = asked;
                let body = Body::Forward(Forward { ticket, request, kind: kind.into(), term: to.term });
                port.send(to.leader, Parcel { body: Some(body) });
            }
            // It has been handed on once.
            by @ By::Peer { .. } => refuse(by, Reason::NotLeader, port),
        }
    }

    fn hear(&mut self, from: u64, body: Body, port: &mut impl Port<Ticket = T>) -> Result<(), Fatal> {
        if self.unwritten.is_some() {
            // As if lost: there is no room for what it may ask for.
            return Ok(());
        }
        match body {
            Body::Raft(message) if message.from == from => self.step(message)?,
            Body::Forward(Forward { ticket, request, kind, term }) => {
                let kind = EntryKind::try_from(kind).unwrap_or(EntryKind::Empty);
                let by = By::Peer { from, ticket, term };
                match self.raft.standing().role {
                    Role::Leader if is_known(kind, &request) => self.ask(request, kind, by),
                    Role::Leader => refuse(by, Reason::Unknown, port),
                    _ => refuse(by, Reason::NotLeader, port),
                }
            }
            Body::Placed(Placed { ticket, term, index }) => {
                if let Some(ticket) = self.waiting.take_handed(ticket) {
                    match index > self.applied {
                        true => self.place(index, term, ticket, port),
                        // Applied before it could be noted who asked for it: the answer is gone.
                        false => port.answer(ticket, Err(Error::TimedOut)),
                    }
                }
            }
            Body::Refused(Refused { ticket, reason }) => {
                if let Some(ticket) = self.waiting.take_handed(ticket) {
                    port.answer(ticket, Err(error(Reason::try_from(reason).unwrap_or(Reason::NotLeader))));
                }
            }
            Body::Raft(_) | Body::Hello(_) => {}
        }
        Ok(())
    }

    fn step(&mut self, message: raft::Message) -> Result<(), Fatal> {
        match &message.body {
            // Comes by its own way, with the state beside it.
            Some(raft::Body::Snapshot(_)) => return Ok(()),
            Some(raft::Body::Append(append)) => {
                let bytes: u64 = append.entries.iter().map(|entry| entry.request.len() as u64 + ENTRY_BYTES).sum();
                if !self.has_room(bytes) {
                    // As if lost: the leader sends it again.
                    return Ok(());
                }
            }
            _ => {}
        }
        self.step_raft(message)
    }

    pub(super) fn step_raft(&mut self, message: raft::Message) -> Result<(), Fatal> {
        match self.raft.step(&self.log, message) {
            Ok(()) => Ok(()),
            Err(error @ Violation::Committed { .. }) => Err(Fatal::Broken(error.to_string())),
            Err(Violation::Malformed(what)) => {
                tracing::warn!(what, "a peer sent a message that cannot be");
                Ok(())
            }
        }
    }

    /// Whoever wants to read waits from now on, also if nobody can be asked.
    pub(super) fn gather_reads(&mut self) {
        if !self.reads.is_empty() {
            self.waiting.read(std::mem::take(&mut self.reads));
        }
    }

    pub(super) fn ask_for_reads(&mut self) {
        if self.raft.standing().leader == 0 {
            return;
        }
        for name in self.waiting.due() {
            if self.raft.read_index(name).is_err() {
                self.waiting.unasked(name);
            }
        }
    }

    fn transfer(&mut self, to: u64, ticket: T, port: &mut impl Port<Ticket = T>) {
        match self.raft.transfer_leadership(to) {
            Ok(()) if to == self.id => port.answer(ticket, Ok(super::Done::Changed)),
            Ok(()) => {
                if let Some((former, ..)) = self.transfer.replace((ticket, to, self.ticks)) {
                    port.answer(former, Err(Error::TimedOut));
                }
            }
            Err(Refusal::NotVoter { .. }) => port.answer(ticket, Err(Error::Cluster(ClusterError::BadTransferee))),
            Err(_) => port.answer(ticket, Err(Error::Cluster(ClusterError::NotLeader))),
        }
    }

    /// There is no room here: perhaps another member has some.
    fn yield_leadership(&mut self) {
        let status = self.raft.status();
        let voters = &self.raft.membership().voters;
        let able = status.peers.iter().filter(|peer| peer.active && voters.contains(&peer.id));
        if let Some(best) = able.max_by_key(|peer| peer.matched).map(|peer| peer.id) {
            tracing::warn!(to = best, "handing the leadership over for want of room");
            let _ = self.raft.transfer_leadership(best);
        }
    }
}

/// The next requests to propose together, and their bytes: a membership change is the last of its group.
fn take_group<T>(waiting: &mut VecDeque<Asked<T>>) -> (VecDeque<Asked<T>>, usize) {
    let (mut count, mut bytes) = (0, 0);
    for asked in waiting.iter() {
        if bytes > 0 && bytes + asked.request.len() > GROUP_BYTES {
            break;
        }
        bytes += asked.request.len();
        count += 1;
        if asked.kind == EntryKind::Membership {
            break;
        }
    }
    let rest = waiting.split_off(count);
    (std::mem::replace(waiting, rest), bytes)
}

/// Whether every member can apply it.
fn is_known(kind: EntryKind, request: &Bytes) -> bool {
    match kind {
        EntryKind::Request => request::decode(request.clone()).is_ok(),
        // Decoded when it is proposed.
        EntryKind::Membership => true,
        EntryKind::Empty => false,
    }
}

fn refuse<T>(by: By<T>, reason: Reason, port: &mut impl Port<Ticket = T>) {
    match by {
        By::Ticket(ticket) => port.answer(ticket, Err(error(reason))),
        By::Peer { from, ticket, .. } => {
            let body = Body::Refused(Refused { ticket, reason: reason.into() });
            port.send(from, Parcel { body: Some(body) });
        }
    }
}

fn reason(refusal: &Refusal) -> Reason {
    match refusal {
        Refusal::NotLeader { .. } | Refusal::Transferring { .. } | Refusal::NotVoter { .. } => Reason::NotLeader,
        Refusal::ChangePending | Refusal::NotYet => Reason::ChangePending,
        Refusal::Change(ChangeError::Exists) => Reason::ChangeExists,
        Refusal::Change(ChangeError::Missing | ChangeError::Malformed) => Reason::ChangeMissing,
        Refusal::Change(ChangeError::NotLearner) => Reason::ChangeNotLearner,
        Refusal::Change(ChangeError::LastVoter) => Reason::ChangeLastVoter,
    }
}

/// What a refusal means for whoever asked: nothing has happened.
fn error(reason: Reason) -> Error {
    match reason {
        Reason::NoSpace => Error::NoSpace,
        Reason::Unknown => {
            Error::Unavailable("the leader does not know such a request: is it of another version?".into())
        }
        Reason::NotLeader => Error::Cluster(ClusterError::LeaderChanged),
        Reason::ChangePending => Error::Cluster(ClusterError::Unhealthy),
        Reason::ChangeExists => Error::Cluster(ClusterError::MemberExists),
        Reason::ChangeMissing => Error::Cluster(ClusterError::NoMember),
        Reason::ChangeNotLearner => Error::Cluster(ClusterError::NotLearner),
        Reason::ChangeBehind => Error::Cluster(ClusterError::LearnerBehind),
        Reason::ChangeTooFew | Reason::ChangeLastVoter => Error::Cluster(ClusterError::TooFewStarted),
        Reason::ChangeTooManyLearners => Error::Cluster(ClusterError::TooManyLearners),
    }
}
