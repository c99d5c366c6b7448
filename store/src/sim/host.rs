//! One simulated member: its disk, and while it runs what the store would be in a process of its own.

use std::any::Any;
use std::sync::Arc;

use proto::log::SnapshotHead;
use proto::peer::Parcel;

use super::Planted;
use base::ManualClock;

use crate::cluster::Cluster;
use crate::disk::{Disk, MemoryDisk};
use crate::kv::{Error, Page, Range};
use crate::member::{Done, Fatal, Input, Member, Port, Temporary};
use crate::options::{OpenError, Options};
use crate::raft::{Message, Role, Standing, Status};
use crate::shared::Core;
use crate::state::Members;
use crate::store::{Bare, bare};

/// Changes that a compaction removes at a time.
const SWEEP: usize = 64;

/// Bytes of its log that a leader sends to members that are far behind between two rests.
const RATION: u64 = 200;

/// Who waits for an answer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ticket {
    /// No client.
    Nobody,
    /// The client that began this operation of the history.
    Operation(u64),
    /// The client that asked this of a lease.
    Lease(usize),
}

/// What a member wants of its surroundings.
#[derive(Default)]
pub(super) struct Outbox {
    pub(super) parcels: Vec<(u64, Parcel)>,
    pub(super) answers: Vec<(Ticket, Result<Done, Error>)>,
    pub(super) snapshots: Vec<(u64, SnapshotHead, Message)>,
    pub(super) saves: Vec<SnapshotHead>,
    pub(super) elected: bool,
    pub(super) members_changed: bool,
}

impl Port for Outbox {
    type Ticket = Ticket;

    fn send(&mut self, to: u64, parcel: Parcel) {
        self.parcels.push((to, parcel));
    }

    fn flush(&mut self) {}

    fn answer(&mut self, ticket: Ticket, result: Result<Done, Error>) {
        self.answers.push((ticket, result));
    }

    fn send_snapshot(&mut self, to: u64, head: SnapshotHead, message: Message) {
        self.snapshots.push((to, head, message));
    }

    fn save(&mut self, head: SnapshotHead) {
        self.saves.push(head);
    }

    fn members_changed(&mut self, _members: &Members) {
        self.members_changed = true;
    }

    fn standing_changed(&mut self, standing: Standing) {
        self.elected |= standing.role == Role::Leader;
    }
}

/// A member that runs.
pub(super) struct Life {
    pub(super) core: Arc<Core>,
    pub(super) member: Member<Ticket>,
    /// Revisions up to here have been compared with the history.
    pub(super) seen: u64,
    /// The last entry that it had applied when it was last looked at.
    pub(super) applied: u64,
    _lock: Box<dyn Any + Send>,
}

/// See the module's header.
pub(super) struct Host {
    pub(super) id: u64,
    pub(super) disk: MemoryDisk,
    /// The cluster that it was added to, if it is no founder.
    joins: Option<u64>,
    cluster: Cluster,
    pub(super) life: Option<Life>,
    pub(super) lives: u64,
    /// Milliseconds between its ticks.
    pub(super) tick: u64,
    /// Its monotonic clock, when it was last turned, and how fast it goes, in thousandths.
    pub(super) clock: ManualClock,
    pub(super) clock_at: u64,
    pub(super) clock_rate: u64,
}

/// What became of a start.
pub(super) enum Started {
    Runs,
    /// The power was lost meanwhile.
    Died,
}

impl Host {
    pub(super) fn founder(name: &str, initial: &[(String, String)]) -> Self {
        let url = initial.iter().find(|(other, _)| other == name).map_or("http://nowhere:1", |(_, url)| url);
        let cluster = Cluster { initial: initial.to_vec(), ..Cluster::new(name, url) };
        Self::new(cluster.founder_id().unwrap_or_default(), cluster, None)
    }

    pub(super) fn joiner(id: u64, cluster_id: u64) -> Self {
        let cluster = Cluster { existing: true, ..Cluster::new(&format!("m{id}"), &format!("http://m{id}:1")) };
        Self::new(id, cluster, Some(cluster_id))
    }

    fn new(id: u64, cluster: Cluster, joins: Option<u64>) -> Self {
        let (disk, clock) = (MemoryDisk::new(), ManualClock::default());
        Self { id, disk, joins, cluster, life: None, lives: 0, tick: 100, clock, clock_at: 0, clock_rate: 1000 }
    }

    pub(super) fn cluster_id(&self) -> u64 {
        self.joins.unwrap_or_else(|| self.cluster.founders().0)
    }

    /// Starts on what the disk holds.
    pub(super) fn start(&mut self, seed: u64, planted: Option<Planted>) -> Result<Started, String> {
        if planted == Some(Planted::SkippedSync) {
            self.disk.skip_syncs();
        }
        let options = Options {
            disk: Arc::new(self.disk.clone()),
            cluster: Some(self.cluster.clone()),
            segment_bytes: 2 << 10,
            trim_bytes: 4 << 10,
            clock: Arc::new(self.clock.clone()),
            ..Options::in_memory()
        };
        let Bare { core, mut member, _lock } = match bare(&options, self.joins.map(|cluster| (cluster, self.id)), seed)
        {
            Ok(opened) => opened,
            Err(OpenError::Io { .. }) if self.disk.is_dead() => return Ok(Started::Died),
            Err(error) => return Err(format!("member {:x} does not start: {error:?}", self.id)),
        };
        match planted {
            Some(Planted::Raft(fault)) => member.raft().fault = Some(fault),
            Some(Planted::Store(fault)) => drop(core.fault.set(fault)),
            Some(Planted::SkippedSync) | None => {}
        }
        member.ration(RATION);
        if member.alone() {
            member.campaign();
        }
        self.lives += 1;
        self.life = Some(Life { core, member, seen: 0, applied: 0, _lock });
        Ok(Started::Runs)
    }

    /// Loses power; what was not synced survives in parts.
    pub(super) fn crash(&mut self, seed: u64) {
        self.life = None;
        self.disk.crash(seed);
        self.disk = self.disk.clone();
    }

    /// While it runs.
    pub(super) fn core(&self) -> Option<&Arc<Core>> {
        self.life.as_ref().map(|life| &life.core)
    }

    pub(super) fn status(&mut self) -> Option<Status> {
        self.life.as_mut().map(|life| life.member.raft().status())
    }

    pub(super) fn leads(&mut self) -> bool {
        self.status().is_some_and(|status| status.role == Role::Leader)
    }

    /// Gives the member an input and lets it do what follows. `None`: it does not run; an error: it must stop, but what it
    /// has said before is said.
    pub(super) fn input(&mut self, input: Input<Ticket>) -> Option<(Outbox, Result<(), Fatal>)> {
        let life = self.life.as_mut()?;
        let mut outbox = Outbox::default();
        let result = life.work(input, &mut outbox);
        Some((outbox, result))
    }
}

impl Life {
    fn work(&mut self, input: Input<Ticket>, outbox: &mut Outbox) -> Result<(), Fatal> {
        // A rest ends with any input, or with the next tick.
        if self.member.rests() {
            self.member.send_more();
        }
        self.member.input(input, outbox)?;
        self.member.advance(outbox)?;
        while self.member.has_more() {
            self.member.advance(outbox)?;
        }
        self.core.state.write().sweep(SWEEP);
        Ok(())
    }

    /// Reads from the state as it is.
    pub(super) fn read(&self, range: &Range) -> Result<Page, Error> {
        let state = self.core.state.read();
        let mut scan = state.scan(range)?;
        state.advance(&mut scan, usize::MAX)?;
        Ok(scan.finish())
    }
}

/// Whether a file system's directory is what it is here: one place for all of a member's files.
pub(super) fn receive(disk: &MemoryDisk, from: u64, index: u64, bytes: &[u8]) -> std::io::Result<Temporary> {
    let path = Options::in_memory().dir.join(format!("received-{from:016x}-{index:020}.tmp"));
    let received = Temporary::new(Arc::new(disk.clone()), path);
    let mut file = disk.create(received.path())?;
    file.write_at(0, bytes)?;
    file.sync()?;
    Ok(received)
}
