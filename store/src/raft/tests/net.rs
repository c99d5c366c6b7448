//! Members without disk and network: what is to be persisted is durable at once, what is sent arrives at once, unless a
//! test says otherwise.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use prost::Message as _;
use proto::raft::{Append, AppendReply, Heartbeat, VoteReply, VoteRequest};

use super::super::*;

/// A log in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemLog {
    /// Index and term of what stands before the first entry.
    pub(crate) base: (u64, u64),
    pub(crate) entries: Vec<Entry>,
}

impl LogView for MemLog {
    fn first_index(&self) -> u64 {
        self.base.0 + 1
    }

    fn last_index(&self) -> u64 {
        self.base.0 + self.entries.len() as u64
    }

    fn term(&self, index: u64) -> Option<u64> {
        if index == self.base.0 {
            return Some(self.base.1);
        }
        self.get(index).map(|entry| entry.term)
    }

    fn entries(&self, from: u64, to: u64, max_bytes: usize) -> Vec<Entry> {
        let mut bytes = 0;
        let range = (from - self.base.0 - 1) as usize..(to - self.base.0 - 1) as usize;
        let fits = |entry: &&Entry| {
            let first = bytes == 0;
            bytes += entry.request.len().max(1);
            first || bytes <= max_bytes
        };
        self.entries[range].iter().take_while(fits).cloned().collect()
    }
}

impl MemLog {
    /// A log whose entries have these terms.
    pub(crate) fn of(terms: &[u64]) -> Self {
        let entry = |(at, term): (usize, &u64)| Entry { term: *term, index: at as u64 + 1, ..Entry::default() };
        Self { base: (0, 0), entries: terms.iter().enumerate().map(entry).collect() }
    }

    pub(crate) fn get(&self, index: u64) -> Option<&Entry> {
        self.entries.get(index.checked_sub(self.base.0 + 1)? as usize)
    }

    pub(crate) fn terms(&self) -> Vec<u64> {
        self.entries.iter().map(|entry| entry.term).collect()
    }

    /// What [`Persist`] asks for.
    pub(crate) fn write(&mut self, snapshot: Option<&Snapshot>, entries: &[Entry]) {
        if let Some(snapshot) = snapshot {
            *self = Self { base: (snapshot.index, snapshot.term), entries: Vec::new() };
        }
        if let Some(first) = entries.first() {
            assert!(first.index > self.base.0 && first.index <= self.last_index() + 1, "a gap before {first:?}");
            self.entries.truncate((first.index - self.base.0 - 1) as usize);
            self.entries.extend_from_slice(entries);
        }
    }

    /// Throws entries up to `index` away.
    pub(crate) fn compact(&mut self, index: u64) {
        let term = self.term(index).unwrap();
        self.entries.drain(..(index - self.base.0) as usize);
        self.base = (index, term);
    }
}

/// A member.
pub(crate) struct Node {
    pub(crate) raft: Raft,
    pub(crate) log: MemLog,
    pub(crate) applied: Vec<Entry>,
    /// As it was last handed out.
    pub(crate) hard_state: HardState,
    pub(crate) reads: Vec<Read>,
    /// Members that need a snapshot.
    pub(crate) snapshots: Vec<u64>,
    /// Nothing becomes durable while this is set.
    pub(crate) slow_disk: bool,
    unsaved: Vec<u64>,
}

/// How tests configure a member.
pub(crate) fn config(id: u64) -> Config {
    Config { id, seed: id, ..Config::new(id, 1) }
}

impl Node {
    pub(crate) fn new(id: u64, voters: &[u64], log: MemLog, term: u64) -> Self {
        let hard_state = HardState { term, ..HardState::default() };
        let membership = Membership { voters: voters.to_vec(), learners: Vec::new() };
        Self::with(Raft::new(config(id), hard_state, membership, 0, &log), log)
    }

    pub(crate) fn with(raft: Raft, log: MemLog) -> Self {
        let (applied, reads, snapshots, unsaved) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { raft, log, applied, hard_state: HardState::default(), reads, snapshots, slow_disk: false, unsaved }
    }

    /// Does what there is to do; what is to be sent.
    pub(crate) fn pump(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            let ready = self.raft.ready(&self.log);
            messages.extend(ready.messages);
            self.reads.extend(ready.reads);
            self.snapshots.extend(ready.snapshots);
            let mut idle = ready.persist.is_none();
            if let Some(persist) = ready.persist {
                self.hard_state = persist.hard_state;
                self.log.write(persist.snapshot.as_ref(), &persist.entries);
                if let Some(snapshot) = persist.snapshot {
                    self.raft.applied(snapshot.index);
                }
                self.unsaved.push(persist.number);
            }
            if !self.slow_disk {
                for number in std::mem::take(&mut self.unsaved) {
                    self.raft.persisted(&self.log, number);
                    idle = false;
                }
            }
            if let Some(index) = ready.apply_to {
                self.apply(index);
                idle = false;
            }
            if idle {
                return messages;
            }
        }
    }

    fn apply(&mut self, to: u64) {
        for index in self.raft.status().applied + 1..=to {
            let entry = self.log.get(index).expect("an entry to apply").clone();
            if entry.kind() == EntryKind::Membership {
                let _ = self.raft.apply_membership(&MembershipChange::decode(entry.request.clone()).unwrap());
            }
            self.applied.push(entry);
            self.raft.applied(index);
        }
    }

    pub(crate) fn role(&self) -> Role {
        self.raft.status().role
    }

    pub(crate) fn step(&mut self, from: u64, term: u64, body: Body) -> Vec<Body> {
        let to = self.raft.status().id;
        self.raft.step(&self.log, Message { from, to, term, body: Some(body) }).unwrap();
        self.pump().into_iter().filter_map(|message| message.body).collect()
    }
}

/// Several members.
pub(crate) struct Net {
    pub(crate) nodes: BTreeMap<u64, Node>,
    /// Members that reach nobody, and are reached by nobody.
    pub(crate) cut: BTreeSet<u64>,
    /// Messages that are lost.
    pub(crate) lose: fn(&Message) -> bool,
    pub(crate) delivered: Vec<Message>,
}

impl Net {
    /// Members with empty logs.
    pub(crate) fn new(size: u64) -> Self {
        Self::of((1..=size).map(|_| (MemLog::default(), 0)).collect())
    }

    /// Members 1, 2, … with these logs and terms.
    pub(crate) fn of(logs: Vec<(MemLog, u64)>) -> Self {
        let voters: Vec<u64> = (1..=logs.len() as u64).collect();
        let node = |(id, (log, term)): (u64, (MemLog, u64))| (id, Node::new(id, &voters, log, term));
        let nodes = (1..).zip(logs).map(node).collect();
        Self { nodes, cut: BTreeSet::new(), lose: |_| false, delivered: Vec::new() }
    }

    pub(crate) fn node(&mut self, id: u64) -> &mut Node {
        self.nodes.get_mut(&id).unwrap()
    }

    /// Lets everything happen that can without time.
    pub(crate) fn settle(&mut self) {
        let mut under_way: VecDeque<Message> = VecDeque::new();
        for _ in 0..100_000 {
            for node in self.nodes.values_mut() {
                under_way.extend(node.pump());
            }
            let Some(message) = under_way.pop_front() else { return };
            let lost = self.cut.contains(&message.from) || self.cut.contains(&message.to) || (self.lose)(&message);
            if let (false, Some(node)) = (lost, self.nodes.get_mut(&message.to)) {
                self.delivered.push(message.clone());
                node.raft.step(&node.log, message).unwrap();
            }
        }
        panic!("the cluster does not settle");
    }

    /// Lets time pass for everybody.
    pub(crate) fn tick(&mut self, ticks: u32) {
        for _ in 0..ticks {
            for node in self.nodes.values_mut() {
                node.raft.tick(&node.log);
            }
            self.settle();
        }
    }

    pub(crate) fn campaign(&mut self, id: u64) {
        let node = self.node(id);
        node.raft.campaign(&node.log);
        self.settle();
    }

    pub(crate) fn propose(&mut self, id: u64, what: &'static str) -> u64 {
        let index = self.node(id).raft.propose([Bytes::from_static(what.as_bytes())]).unwrap();
        self.settle();
        index
    }

    pub(crate) fn change(&mut self, id: u64, kind: ChangeKind, whom: u64) -> Result<u64, Refusal> {
        let change = MembershipChange { kind: kind.into(), id: whom, context: Bytes::new() };
        let result = self.node(id).raft.propose_membership(&change);
        self.settle();
        result
    }

    pub(crate) fn roles(&self) -> Vec<Role> {
        self.nodes.values().map(Node::role).collect()
    }

    /// What members have applied, but for leaders' empty entries.
    pub(crate) fn applied(&self, id: u64) -> Vec<String> {
        let requests = self.nodes[&id].applied.iter().filter(|entry| entry.kind() == EntryKind::Request);
        requests.map(|entry| String::from_utf8_lossy(&entry.request).into_owned()).collect()
    }
}

/// Entries of these terms behind `prev` (index, term).
pub(crate) fn append(prev: (u64, u64), terms: &[u64], commit: u64) -> Body {
    let entries =
        (prev.0.saturating_add(1)..).zip(terms).map(|(index, term)| Entry { term: *term, index, ..Entry::default() });
    Body::Append(Append { prev_index: prev.0, prev_term: prev.1, entries: entries.collect(), commit, quiet: false })
}

/// The log is the leader's up to here.
pub(crate) fn accepted(index: u64) -> Body {
    Body::AppendReply(AppendReply { index, ..AppendReply::default() })
}

/// The append behind `index` does not fit; where the logs may meet.
pub(crate) fn rejected(index: u64, hint_index: u64, hint_term: u64) -> Body {
    Body::AppendReply(AppendReply { index, rejected: true, hint_index, hint_term })
}

/// Of each append among what was said: the entry before it, and how many entries.
pub(crate) fn sent(bodies: &[Body]) -> Vec<(u64, usize)> {
    let appends = bodies.iter().filter_map(|body| match body {
        Body::Append(append) => Some((append.prev_index, append.entries.len())),
        _ => None,
    });
    appends.collect()
}

/// The answer to who asks for votes; `pre`: for promises.
pub(crate) fn vote(granted: bool, pre: bool) -> Body {
    Body::VoteReply(VoteReply { granted, pre })
}

/// A candidate of so long a log asks.
pub(crate) fn ask(last: (u64, u64), pre: bool, transfer: bool) -> Body {
    Body::VoteRequest(VoteRequest { last_index: last.0, last_term: last.1, pre, transfer })
}

/// What a leader says now and then.
pub(crate) fn heartbeat(commit: u64) -> Body {
    Body::Heartbeat(Heartbeat { commit, round: 0 })
}

/// Member 1 of 1, 2, 3 with one entry of term 1, brought into a role: in term 4, or in term 5 if it has stood for election.
pub(crate) fn in_role(role: Role) -> Node {
    let mut node = Node::new(1, &[1, 2, 3], MemLog::of(&[1]), 4);
    if role != Role::Follower {
        node.raft.campaign(&node.log);
        node.pump();
    }
    if matches!(role, Role::Candidate | Role::Leader) {
        node.step(2, 5, vote(true, true));
    }
    if role == Role::Leader {
        node.step(2, 5, vote(true, false));
    }
    assert_eq!(node.role(), role);
    node
}

/// Member 1 leads these voters in term 2, with these entries of term 1 before its own first one; nobody has answered yet.
pub(crate) fn leader_of(voters: &[u64], learners: &[u64], entries: usize, change: impl FnOnce(&mut Config)) -> Node {
    let log = MemLog::of(&vec![1; entries]);
    let membership = Membership { voters: voters.to_vec(), learners: learners.to_vec() };
    let mut config = config(1);
    change(&mut config);
    let hard_state = HardState { term: 1, ..HardState::default() };
    let mut node = Node::with(Raft::new(config, hard_state, membership, 0, &log), log);
    node.raft.campaign(&node.log);
    node.pump();
    for pre in [true, false] {
        for voter in voters.iter().filter(|id| **id != 1) {
            node.raft.step(&node.log, Message { from: *voter, to: 1, term: 2, body: Some(vote(true, pre)) }).unwrap();
        }
        if pre {
            node.pump();
        }
    }
    assert_eq!(node.role(), Role::Leader);
    node
}

/// What is said, whatever it takes to say it.
pub(crate) fn said(messages: Vec<Message>) -> Vec<(u64, Body)> {
    messages.into_iter().filter_map(|message| Some((message.to, message.body?))).collect()
}
