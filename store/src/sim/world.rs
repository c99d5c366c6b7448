//! Time: what happens to members and between them, in the order of its times.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proto::log::{MembershipChange, SnapshotHead};
use proto::peer::Parcel;

use super::host::{Host, Started, Ticket};
use super::leases::Leases;
use super::watchers::{Watcher, watchers};
use super::{Planted, nemesis::Network};
use crate::member::{Fatal, Input};
use crate::raft::{self, Membership};
use crate::random::SplitMix;
use crate::testing::history::History;
use crate::testing::seeds::Coverage;

/// How long members are troubled, in simulated milliseconds, and how long they have to recover.
const TROUBLE: u64 = 60_000;
const RECOVERY: u64 = 60_000;

/// What a run is.
pub(super) struct Options {
    pub(super) seed: u64,
    pub(super) planted: Option<Planted>,
    /// Print what happens.
    pub(super) trace: bool,
}

/// What happens at a time.
pub(super) enum Event {
    Tick {
        id: u64,
        life: u64,
    },
    Deliver {
        from: u64,
        to: u64,
        parcel: Parcel,
    },
    /// A snapshot has been encoded and sent, and arrives.
    Ship {
        from: u64,
        life: u64,
        to: u64,
        head: SnapshotHead,
        message: raft::Message,
    },
    Save {
        id: u64,
        life: u64,
        head: SnapshotHead,
    },
    /// A member's clock reaches the end of a lease.
    Expire {
        id: u64,
        life: u64,
    },
    /// A thread of a member has something for its log.
    Propose {
        id: u64,
        life: u64,
        request: Bytes,
    },
    Start(u64),
    Retire(u64),
    Client,
    Nemesis,
}

/// See the module's header.
pub(super) struct World {
    pub(super) options: Options,
    pub(super) random: SplitMix,
    now: u64,
    ordinal: u64,
    events: BTreeMap<(u64, u64), Event>,
    pub(super) hosts: BTreeMap<u64, Host>,
    /// As the member that has applied most has it, and how much that is.
    pub(super) membership: (u64, Membership),
    pub(super) removed: BTreeMap<u64, u64>,
    pub(super) network: Network,
    pub(super) cut: BTreeSet<(u64, u64)>,
    pub(super) history: History,
    pub(super) watchers: Vec<Watcher>,
    pub(super) leases: Leases,
    /// No more trouble; and clients have lost their interest in leases.
    pub(super) healed: bool,
    pub(super) next_id: u64,
    pub(super) seen: Coverage,
}

impl World {
    pub(super) fn new(options: Options) -> Result<Self, String> {
        let size = [1, 3, 3, 3, 5][SplitMix(options.seed).below(5) as usize];
        let mut world = Self::of(options, size)?;
        world.after(500, Event::Nemesis);
        Ok(world)
    }

    /// So many members, and clients; nothing goes wrong by itself.
    pub(super) fn of(options: Options, size: u64) -> Result<Self, String> {
        let random = SplitMix(options.seed);
        let initial: Vec<(String, String)> = (1..=size).map(|n| (format!("n{n}"), format!("http://n{n}:1"))).collect();
        let hosts: BTreeMap<u64, Host> =
            initial.iter().map(|(name, _)| Host::founder(name, &initial)).map(|host| (host.id, host)).collect();
        let membership = Membership { voters: hosts.keys().copied().collect(), learners: Vec::new() };
        let ids: Vec<u64> = hosts.keys().copied().collect();
        let mut world = Self {
            options,
            random,
            now: 0,
            ordinal: 0,
            events: BTreeMap::new(),
            hosts,
            membership: (0, membership),
            removed: BTreeMap::new(),
            network: Network::GOOD,
            cut: BTreeSet::new(),
            history: History::default(),
            watchers: watchers(),
            leases: Leases::default(),
            healed: false,
            next_id: 1000,
            seen: Coverage::new(),
        };
        for id in ids {
            world.start(id)?;
        }
        world.after(10, Event::Client);
        Ok(world)
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

    /// Ends all trouble; whoever takes part must agree before long, and serve clients.
    pub(super) fn heal(&mut self) -> Result<(), String> {
        self.network = Network::GOOD;
        self.cut.clear();
        self.events.retain(|_, event| !matches!(event, Event::Nemesis | Event::Start(_)));
        for id in self.hosts.keys().copied().collect::<Vec<_>>() {
            if let Some(host) = self.hosts.get_mut(&id) {
                host.tick = 100;
                host.disk.free_space();
                host.disk.fail_syncs_after(u64::MAX);
                if host.disk.is_dead() || host.life.is_none() {
                    self.crash(id);
                    self.start(id)?;
                }
            }
        }
        self.trace(|| format!("healed; members {:?}", self.membership));
        let begun = self.now + RECOVERY / 2;
        self.run_until(begun, |_| false)?;
        self.healed = true;
        let (target, reads) = (self.history.last() + 1, self.history.reads);
        let done = |world: &Self| {
            let reached = |id: &u64| {
                let life = world.hosts.get(id).and_then(|host| host.life.as_ref());
                life.is_some_and(|life| life.core.published() >= target)
            };
            world.members().iter().all(reached)
                && world.history.reads > reads
                && world.watchers.iter().all(|watcher| watcher.next > target)
                && !world.any_lease()
        };
        if self.run_until(begun + RECOVERY / 2, done)? {
            return Ok(());
        }
        let states: Vec<_> = self.hosts.values_mut().filter_map(Host::status).collect();
        Err(format!("no progress to {target} after all trouble has ended: {:?} {states:#?}", self.membership))
    }

    /// What happened, for the printed counts.
    pub(super) fn coverage(mut self) -> Coverage {
        self.seen.insert("operation", self.history.operations() as u64);
        self.seen.insert("write answered", self.history.answered);
        self.seen.insert("read answered", self.history.reads);
        self.seen.insert("outcome unknown", self.history.unknown);
        let truncations = self.hosts.values_mut().filter_map(|host| host.life.as_mut());
        let truncations = truncations.map(|life| life.member.raft().truncations).sum::<u64>();
        *self.seen.entry("log truncated").or_default() += truncations;
        self.seen
    }

    pub(super) fn members(&self) -> Vec<u64> {
        [self.membership.1.voters.clone(), self.membership.1.learners.clone()].concat()
    }

    pub(super) fn run_until(&mut self, end: u64, done: impl Fn(&Self) -> bool) -> Result<bool, String> {
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
            Event::Tick { id, life } => {
                if let Some(host) = self.hosts.get(&id).filter(|host| host.life.is_some() && host.lives == life) {
                    let next = host.tick;
                    self.after(next, Event::Tick { id, life });
                    self.input(id, Input::Tick)?;
                    self.expect_expiry(id);
                }
            }
            Event::Deliver { from, to, parcel } => {
                if !self.cut.contains(&(from, to)) {
                    self.trace(|| format!("{from:x} → {to:x}: {parcel:?}"));
                    self.input(to, Input::Peer(from, parcel))?;
                }
            }
            Event::Ship { from, life, to, head, message } => self.ship(from, life, to, &head, message)?,
            Event::Save { id, life, head } => self.save(id, life, &head)?,
            Event::Expire { id, life } => self.expire(id, life),
            Event::Propose { id, life, request } => {
                if self.hosts.get(&id).is_some_and(|host| host.lives == life) {
                    self.input(id, Input::Propose(request, Ticket::Nobody))?;
                }
            }
            Event::Start(id) => self.start(id)?,
            Event::Retire(id) => self.retire(id),
            Event::Client => {
                self.client()?;
                self.watch()?;
                let next = 5 + self.random.below(200);
                self.after(next, Event::Client);
            }
            Event::Nemesis => {
                self.nemesis()?;
                let next = 20 + self.random.below(1500);
                self.after(next, Event::Nemesis);
            }
        }
        Ok(())
    }

    pub(super) fn start(&mut self, id: u64) -> Result<(), String> {
        let (seed, planted, phase) = (self.random.next(), self.options.planted, self.random.below(100));
        let Some(host) = self.hosts.get_mut(&id).filter(|host| host.life.is_none()) else { return Ok(()) };
        match host.start(seed, planted)? {
            Started::Runs => {
                let life = host.lives;
                self.trace(|| format!("start {id:x}"));
                self.after(phase, Event::Tick { id, life });
                self.look(id)
            }
            Started::Died => {
                self.crash(id);
                self.after(1000, Event::Start(id));
                Ok(())
            }
        }
    }

    /// A member loses power.
    pub(super) fn crash(&mut self, id: u64) {
        self.trace(|| format!("stop {id:x}"));
        let seed = self.random.next();
        if let Some(host) = self.hosts.get_mut(&id) {
            if let Some(life) = host.life.as_mut() {
                *self.seen.entry("log truncated").or_default() += life.member.raft().truncations;
            }
            host.crash(seed);
        }
    }

    /// Gives a member an input, and takes what comes of it.
    pub(super) fn input(&mut self, id: u64, input: Input<Ticket>) -> Result<(), String> {
        self.turn_clock(id);
        let Some(host) = self.hosts.get_mut(&id) else { return Ok(()) };
        let Some((outbox, result)) = host.input(input) else { return Ok(()) };
        self.look(id)?;
        self.take(id, outbox)?;
        match result {
            Ok(()) => {
                self.let_go(id);
                Ok(())
            }
            Err(Fatal::Broken(what)) => Err(format!("member {id:x} is broken: {what}")),
            // The process ends itself; whether it was the power or the disk, what was not synced is lost.
            Err(error) => {
                self.trace(|| format!("{id:x} ends: {error:?}"));
                self.note("process ended itself");
                self.crash(id);
                let time = 10 + self.random.below(5000);
                self.after(time, Event::Start(id));
                Ok(())
            }
        }
    }

    /// What is to come is forgotten, if it is such.
    pub(super) fn forget(&mut self, such: impl Fn(&Event) -> bool) {
        self.events.retain(|_, event| !such(event));
    }

    /// A member that leads, or else one that runs.
    pub(super) fn somebody(&mut self, leads: bool) -> Option<u64> {
        let mut running: Vec<u64> = Vec::new();
        let mut leading: Vec<u64> = Vec::new();
        for host in self.hosts.values_mut().filter(|host| host.life.is_some()) {
            running.push(host.id);
            if leads && host.leads() {
                leading.push(host.id);
            }
        }
        let candidates = if leading.is_empty() { running } else { leading };
        let at = self.random.below(candidates.len() as u64) as usize;
        candidates.get(at).copied()
    }

    /// A new member, which has been proposed.
    pub(super) fn add(&mut self, change: &MembershipChange) -> Result<(), String> {
        let Some(cluster) = self.hosts.values().next().map(Host::cluster_id) else { return Ok(()) };
        self.hosts.insert(change.id, Host::joiner(change.id, cluster));
        self.start(change.id)
    }
}
