//! Time, the network, clients: events in the order of their times.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::check::Checks;
use super::member::{Done, Durable, Member};
use crate::raft::tests::net::MemLog;
use crate::raft::{
    Body, Entry, EntryKind, Fault, Membership, MembershipChange, Message, Role, Snapshot, changed, foundation,
};
use crate::random::SplitMix;
use crate::testing::seeds::Coverage;

/// How long members are troubled, in simulated milliseconds, and how long they have to recover.
const TROUBLE: u64 = 60_000;
const RECOVERY: u64 = 60_000;
const TICK: u64 = 100;

/// What a run is.
pub(super) struct Options {
    pub(super) seed: u64,
    pub(super) fault: Option<Fault>,
    /// Print what happens.
    pub(super) trace: bool,
}

pub(super) enum Event {
    Deliver(Message),
    Tick {
        id: u64,
        life: u64,
    },
    Synced {
        id: u64,
        life: u64,
    },
    /// Ends the transfer of a snapshot.
    Arrived {
        from: u64,
        life: u64,
        term: u64,
        to: u64,
        snapshot: Option<Snapshot>,
    },
    Start(u64),
    /// A removed member is stopped for good.
    Retire(u64),
    Client,
    Nemesis,
    /// Whoever was elected in this term has led for long enough.
    Unseat {
        id: u64,
        term: u64,
    },
    Compare,
}

/// How the network behaves: probabilities in percent, times in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Network {
    pub(super) lost: u64,
    pub(super) doubled: u64,
    pub(super) delay: u64,
}

/// See the module's header.
pub(super) struct World {
    pub(super) options: Options,
    pub(super) random: SplitMix,
    now: u64,
    ordinal: u64,
    events: BTreeMap<(u64, u64), Event>,
    pub(super) members: BTreeMap<u64, Member>,
    /// As of the last entry that was applied anywhere.
    pub(super) membership: Membership,
    /// Have taken part, and never will again; by which entry.
    removed: BTreeMap<u64, u64>,
    pub(super) network: Network,
    /// From, to: nothing arrives.
    pub(super) cut: BTreeSet<(u64, u64)>,
    checks: Checks,
    contexts: u64,
    /// Leaders do not lead for long.
    pub(super) unseating: bool,
    pub(super) append_bytes: usize,
    pub(super) next_id: u64,
    pub(super) seen: Coverage,
}

impl World {
    pub(super) fn new(options: Options) -> Self {
        let mut random = SplitMix(options.seed);
        let size = [1, 2, 3, 3, 3, 4, 5, 5][random.below(8) as usize];
        let network = Network { lost: 0, doubled: 0, delay: 5 };
        let founders: Vec<(u64, Bytes)> = (1..=size).map(|id| (id, Bytes::new())).collect();
        let (hard_state, entries) = foundation(&founders);
        let log = MemLog { base: (0, 0), entries };
        let disk = Durable { hard_state, log, checkpoint: Snapshot::default() };
        let append_bytes = [1, 64, 64, 200][random.below(4) as usize];
        let members = (1..=size).map(|id| (id, Member::new(id, disk.clone(), append_bytes))).collect();
        let mut world = Self {
            options,
            random,
            now: 0,
            ordinal: 0,
            events: BTreeMap::new(),
            members,
            membership: Membership::default(),
            removed: BTreeMap::new(),
            network,
            cut: BTreeSet::new(),
            checks: Checks::default(),
            contexts: 0,
            unseating: false,
            append_bytes,
            next_id: size + 1,
            seen: Coverage::new(),
        };
        (1..=size).for_each(|id| world.start(id));
        world.after(10, Event::Client);
        world.after(500, Event::Nemesis);
        world.after(700, Event::Compare);
        world
    }

    pub(super) fn now(&self) -> u64 {
        self.now
    }

    pub(super) fn after(&mut self, time: u64, event: Event) {
        self.ordinal += 1;
        self.events.insert((self.now + time, self.ordinal), event);
    }

    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.random.below(100) < percent
    }

    pub(super) fn note(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    pub(super) fn trace(&self, what: impl FnOnce() -> String) {
        if self.options.trace {
            println!("{:>7} {}", self.now, what());
        }
    }

    /// Lets everything go wrong for a while.
    pub(super) fn trouble(&mut self) -> Result<(), String> {
        self.run_until(TROUBLE, |_| false).map(|_| ())
    }

    /// Ends all trouble; whoever still takes part must agree before long, and serve clients.
    pub(super) fn heal(&mut self) -> Result<(), String> {
        self.network = Network { lost: 0, doubled: 0, delay: 5 };
        self.cut.clear();
        self.unseating = false;
        self.events.retain(|_, event| !matches!(event, Event::Nemesis | Event::Unseat { .. } | Event::Start(_)));
        for id in self.members.keys().copied().collect::<Vec<_>>() {
            if let Some(member) = self.members.get_mut(&id) {
                (member.sync_time, member.drift) = (4, 1000);
                self.start(id);
            }
        }
        self.trace(|| format!("healed; members {:?}", self.membership));
        // Time to elect a leader; then whatever is begun must end.
        let begun = self.now + RECOVERY / 2;
        self.run_until(begun, |_| false)?;
        let (target, reads) = (self.checks.last_applied() + 1, self.checks.reads_answered);
        let done = |world: &Self| {
            let mut members = world.members.values().filter(|member| world.takes_part(member.id));
            members.all(|member| member.life.as_ref().is_some_and(|life| life.state.index >= target))
                && world.checks.reads_answered > reads
        };
        match self.run_until(begun + RECOVERY / 2, done)? {
            true => self.compare(),
            false => {
                let states = self.members.values().filter_map(|member| member.life.as_ref());
                let states: Vec<_> = states.map(|life| life.raft.status()).collect();
                Err(format!("no progress to {target} after all trouble has ended: {:?} {states:#?}", self.membership))
            }
        }
    }

    /// What happened, for the printed counts.
    pub(super) fn coverage(mut self) -> Coverage {
        self.seen.insert("write answered", self.checks.writes_answered);
        self.seen.insert("read answered", self.checks.reads_answered);
        self.seen
    }

    pub(super) fn takes_part(&self, id: u64) -> bool {
        self.membership.voters.contains(&id) || self.membership.learners.contains(&id)
    }

    fn run_until(&mut self, end: u64, done: impl Fn(&Self) -> bool) -> Result<bool, String> {
        while let Some(entry) = self.events.first_entry() {
            if entry.key().0 > end {
                break;
            }
            let ((time, _), event) = entry.remove_entry();
            self.now = time;
            self.handle(event)?;
            if done(self) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn handle(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Deliver(message) => self.deliver(message)?,
            Event::Tick { id, life } => {
                if let Some(member) = self.members.get_mut(&id).filter(|member| member.lives == life)
                    && let Some(alive) = member.life.as_mut()
                {
                    alive.raft.tick(&alive.log);
                    let next = TICK * member.drift / 1000;
                    self.after(next, Event::Tick { id, life });
                    self.pump(id)?;
                }
            }
            Event::Synced { id, life } => {
                if let Some(member) = self.members.get_mut(&id).filter(|member| member.lives == life) {
                    if let Some(snapshot) = member.synced() {
                        self.checks.installed(id, &snapshot)?;
                        self.note("snapshot installed");
                    }
                    self.pump(id)?;
                }
            }
            Event::Arrived { from, life, term, to, snapshot } => self.arrived(from, life, term, to, snapshot)?,
            Event::Start(id) => self.start(id),
            Event::Retire(id) => self.retire(id),
            Event::Client => {
                self.client()?;
                let next = 5 + self.random.below(200);
                self.after(next, Event::Client);
            }
            Event::Nemesis => {
                self.nemesis()?;
                let next = 20 + self.random.below(1500);
                self.after(next, Event::Nemesis);
            }
            Event::Unseat { id, term } => self.unseat(id, term),
            Event::Compare => {
                self.compare()?;
                self.after(700, Event::Compare);
            }
        }
        Ok(())
    }

    fn compare(&self) -> Result<(), String> {
        let logs = self.members.iter().filter_map(|(id, member)| Some((*id, &member.life.as_ref()?.log)));
        self.checks.logs(&logs.collect())
    }

    pub(super) fn start(&mut self, id: u64) {
        let (seed, fault, phase) = (self.random.next(), self.options.fault, self.random.below(TICK));
        let Some(member) = self.members.get_mut(&id).filter(|member| member.life.is_none()) else { return };
        member.start(seed, fault);
        let life = member.lives;
        self.trace(|| format!("start {id}"));
        self.after(phase, Event::Tick { id, life });
    }

    /// Stops a member; of the writes that are not durable the first `kept` survive.
    pub(super) fn stop(&mut self, id: u64, kept: u64) {
        self.trace(|| format!("stop {id}"));
        if let Some(member) = self.members.get_mut(&id) {
            member.crash(kept as usize);
        }
    }

    /// Stops a removed member once a quorum without it knows that it is removed: until then its vote may be needed (with
    /// two voters always, see `Raft::apply_membership`).
    fn retire(&mut self, id: u64) {
        let Some(removal) = self.removed.get(&id).copied() else { return };
        let knows = |id: &&u64| {
            let disk = self.members.get(id).map(|member| &member.disk);
            disk.is_some_and(|disk| disk.hard_state.commit.max(disk.checkpoint.index) >= removal)
        };
        let voters = &self.membership.voters;
        if voters.iter().filter(knows).count() > voters.len() / 2 {
            self.stop(id, 0);
            self.members.remove(&id);
        } else {
            self.after(1000, Event::Retire(id));
        }
    }

    fn deliver(&mut self, message: Message) -> Result<(), String> {
        let id = message.to;
        if self.cut.contains(&(message.from, id)) {
            return Ok(());
        }
        let Some(life) = self.members.get_mut(&id).and_then(|member| member.life.as_mut()) else { return Ok(()) };
        let shown = self.options.trace.then(|| format!("{message:?}"));
        life.raft.step(&life.log, message).map_err(|violation| format!("member {id}: {violation}"))?;
        if let Some(shown) = shown {
            self.trace(|| shown);
        }
        self.pump(id)
    }

    /// Lets a member do what there is to do.
    pub(super) fn pump(&mut self, id: u64) -> Result<(), String> {
        let Some(member) = self.members.get_mut(&id) else { return Ok(()) };
        let lives = member.lives;
        let Some(life) = member.life.as_mut() else { return Ok(()) };
        let mut elected = None;
        let done = life.pump()?;
        let term = life.raft.status().term;
        if let Some(term) = done.elected {
            self.checks.elected(id, term, &life.log)?;
            *self.seen.entry("leader elected").or_default() += 1;
            elected = Some(term);
        }
        if done.truncated {
            *self.seen.entry("log truncated").or_default() += 1;
        }
        if !life.syncing && !life.writes.is_empty() {
            life.syncing = true;
            let time = 1 + self.random.below(member.sync_time);
            self.after(time, Event::Synced { id, life: lives });
        }
        if let Some(term) = elected.filter(|_| self.unseating) {
            let time = self.random.below(400);
            self.after(time, Event::Unseat { id, term });
        }
        self.take(id, lives, term, done)
    }

    fn take(&mut self, id: u64, life: u64, term: u64, done: Done) -> Result<(), String> {
        for entry in &done.applied {
            let news = entry.index > self.checks.last_applied();
            self.checks.applied(id, term, entry)?;
            self.checks.answered(id, entry);
            if news && entry.kind() == EntryKind::Membership {
                self.reconfigured(entry)?;
            }
        }
        for read in done.reads {
            self.checks.read(id, read.context, read.index)?;
        }
        for to in done.snapshots {
            self.send_snapshot(id, life, term, to);
        }
        done.messages.into_iter().for_each(|message| self.send(message));
        Ok(())
    }

    fn reconfigured(&mut self, entry: &Entry) -> Result<(), String> {
        let change: MembershipChange =
            prost::Message::decode(entry.request.clone()).map_err(|error| format!("{error}"))?;
        self.trace(|| format!("{change:?} is applied"));
        if let Ok(membership) = changed(&self.membership, &change) {
            self.membership = membership;
            if entry.term > 1 {
                self.note("membership changed");
            }
            if !self.takes_part(change.id) {
                self.removed.insert(change.id, entry.index);
                // It may go on for a while, and disturb.
                let time = self.random.below(10_000);
                self.after(time, Event::Retire(change.id));
            }
        }
        Ok(())
    }

    fn send(&mut self, message: Message) {
        if self.chance(self.network.lost) {
            return;
        }
        if self.chance(self.network.doubled) {
            let time = 1 + self.random.below(3 * self.network.delay);
            self.after(time, Event::Deliver(message.clone()));
        }
        let time = 1 + self.random.below(self.network.delay);
        self.after(time, Event::Deliver(message));
    }

    fn send_snapshot(&mut self, from: u64, life: u64, term: u64, to: u64) {
        self.note("snapshot sent");
        let (keep, time, good) = (self.random.below(5), 5 + self.random.below(500), !self.chance(10));
        let Some(member) = self.members.get_mut(&from) else { return };
        member.checkpoint(keep);
        let snapshot = (good && !self.cut.contains(&(from, to))).then(|| member.disk.checkpoint.clone());
        self.after(time, Event::Arrived { from, life, term, to, snapshot });
    }

    fn arrived(&mut self, from: u64, life: u64, term: u64, to: u64, snapshot: Option<Snapshot>) -> Result<(), String> {
        if let Some(sender) = self.members.get_mut(&from).filter(|member| member.lives == life)
            && let Some(alive) = sender.life.as_mut()
        {
            match &snapshot {
                Some(snapshot) => alive.raft.snapshot_sent(to, snapshot.index),
                None => alive.raft.snapshot_failed(to),
            }
        }
        match snapshot {
            Some(snapshot) => self.deliver(Message { from, to, term, body: Some(Body::Snapshot(snapshot)) }),
            None => Ok(()),
        }
    }

    /// A member that leads, or else one that runs.
    pub(super) fn somebody(&mut self, leads: bool) -> Option<u64> {
        let running = |leads: bool| {
            let fits = move |member: &&Member| match leads {
                true => member.role() == Some(Role::Leader),
                false => member.life.is_some(),
            };
            self.members.values().filter(fits).map(|member| member.id).collect::<Vec<_>>()
        };
        let mut candidates = running(leads);
        if candidates.is_empty() {
            candidates = running(false);
        }
        let at = self.random.below(candidates.len() as u64) as usize;
        candidates.get(at).copied()
    }

    /// A client writes or reads.
    fn client(&mut self) -> Result<(), String> {
        let (leads, reads) = (self.chance(80), self.chance(40));
        let Some(id) = self.somebody(leads) else { return Ok(()) };
        let count = 1 + self.random.below(3);
        let Some(life) = self.members.get_mut(&id).and_then(|member| member.life.as_mut()) else { return Ok(()) };
        if reads {
            self.contexts += 1;
            if life.raft.read_index(self.contexts).is_ok() {
                self.checks.reading(id, self.contexts);
            }
        } else {
            let padding = self.random.below(40) as usize;
            let requests: Vec<Bytes> = (0..count).map(|_| unique(&mut self.contexts, padding)).collect();
            if let Ok(first) = life.raft.propose(requests.iter().cloned()) {
                let term = life.raft.status().term;
                for (index, request) in (first..).zip(requests) {
                    self.checks.proposed(id, index, term, request);
                }
            }
        }
        self.pump(id)
    }
}

fn unique(counter: &mut u64, padding: usize) -> Bytes {
    *counter += 1;
    let mut bytes = counter.to_le_bytes().to_vec();
    bytes.resize(8 + padding, 0);
    bytes.into()
}
