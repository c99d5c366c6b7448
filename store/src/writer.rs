//! The one thread that changes things: it gives the member what has come in since it last looked, and lets it do what
//! follows: write one group to the log, make it durable by one sync, apply it, tell the watches, answer.
//!
//! A group is whatever has piled up during the sync before, so the groups grow with the load: with one client each write
//! pays a sync of its own. But where many write, a disk that is fast would make groups small, and a sync costs as much of a
//! processor as two or three writes: processors that are busy would do more syncs and fewer writes. So after a large group the
//! thread of a member that is alone leaves some time to those who are about to write (see [`pause`]).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use proto::log::SnapshotHead;
use proto::peer::Parcel;

use crate::checkpoint;
use crate::disk::Disk;
use crate::inbox::{Inbox, Outlet, Ticket};
use crate::kv::{Error, KeyValue};
use crate::member::{Done, Fatal, Input, Member, Port};
use crate::peer::Peers;
use crate::raft::Standing;
use crate::ration;
use crate::shared::Core;
use crate::state::{Members, State};

/// Most messages taken at a time.
const GROUP: usize = 1024;
/// Changes that a compaction removes at a time: from 50 µs to 5 ms, by machine and by how large the state is. But twice as many as are
/// made meanwhile, so that it gains on them; and where they are more than half of this, it rests less instead, as long as that will do.
const SWEEP: usize = 128;
/// How many times as long as that took nothing more is removed, so that it costs a sixteenth of a processor while somebody writes (more
/// where that would be more than [`LONGEST_REST`]): an answer waits for it, and so do the readers.
const REST: u32 = 15;
/// The same where nobody writes.
const IDLE_REST: u32 = 3;
/// No rest is longer: the process may have been stopped meanwhile, and what is made meanwhile must be made up for.
const LONGEST_REST: Duration = Duration::from_millis(20);
/// No rest that somebody's writes make shorter is shorter.
const SHORTEST_REST: Duration = Duration::from_micros(100);
/// A group of so many is followed by a pause as long as it took itself; a larger one by a longer pause, up to eight times as long. From
/// half as many on, what is said to others is left to the tasks of their connections.
const LARGE: usize = 8;
/// No pause is longer.
const PAUSE: Duration = Duration::from_millis(1);
/// What a group counts for when the next one is made, as a measure of how many writers there are.
const FADING: f64 = 0.98;

/// The writer; [`Writer::run`] is its thread.
pub(crate) struct Writer {
    pub(crate) core: Arc<Core>,
    pub(crate) member: Member<Ticket>,
    pub(crate) inbox: Outlet,
    pub(crate) outside: Outside,
    pub(crate) fatal: Arc<dyn Fn(&str) + Send + Sync>,
}

/// What the member reaches others by.
pub(crate) struct Outside {
    pub(crate) core: Arc<Core>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    /// Where other threads report.
    pub(crate) reports: Arc<Inbox>,
    /// The other members; `None`: there is no way to any.
    pub(crate) peers: Option<Peers>,
    /// What is to be sent to each of them.
    pub(crate) unsent: BTreeMap<u64, Vec<Parcel>>,
    /// Whether this thread writes it: not where many write, as what is written later is more at a time.
    pub(crate) at_once: bool,
    /// Who led when it was last told; 0: nobody that is known.
    pub(crate) leader: u64,
    /// The checkpoint that is being written.
    pub(crate) saving: Option<JoinHandle<()>>,
}

impl Writer {
    /// What can be done before the thread runs: a member that is alone takes the lead.
    pub(crate) fn begin(&mut self) -> Result<(), Fatal> {
        if self.member.alone() {
            self.member.campaign();
            self.member.advance(&mut self.outside)?;
        }
        Ok(())
    }

    /// Works until its inbox is closed, this member was removed, or the log fails.
    pub(crate) fn run(mut self) {
        if let Err(error) = self.work() {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            tracing::error!(error = format!("{error}{cause}"), "the store stops");
            // Closed before anybody is told that his write was not answered.
            self.core.close();
            (self.fatal)(&format!("{error}{cause}"));
        }
        self.core.close();
        drop(self.inbox);
        if let Some(thread) = self.outside.saving.take() {
            let _ = thread.join();
        }
    }

    fn work(&mut self) -> Result<(), Fatal> {
        let mut sweeping = Sweeping { next: Some(Instant::now()), remembered: 0, rest: LONGEST_REST };
        // The largest group of late.
        let mut peak = 0.0_f64;
        // When members that are far behind are sent more.
        let mut rested: Option<Instant> = None;
        loop {
            let until = sweeping.next.into_iter().chain(rested).min();
            let Some(messages) = self.inbox.receive(GROUP, until) else { return Ok(()) };
            let (begun, group) = (Instant::now(), messages.len());
            self.outside.at_once = group < LARGE / 2;
            if rested.is_some_and(|rested| rested <= begun) {
                rested = None;
                self.member.send_more();
            }
            for message in messages {
                self.member.input(message.input, &mut self.outside)?;
                drop(message.share);
            }
            self.member.advance(&mut self.outside)?;
            while self.member.has_more() {
                self.member.advance(&mut self.outside)?;
            }
            if self.member.was_removed() {
                tracing::warn!("this member was removed from the cluster: the store stops");
                return Ok(());
            }
            rested = self.member.rests().then(|| rested.unwrap_or_else(|| Instant::now() + ration::REST));
            self.sweep(&mut sweeping);
            // With others a group is not done yet: what they answer must not wait.
            if self.member.solitary() {
                peak = (peak * FADING).max(group as f64);
                gather(pause(group, begun.elapsed(), self.inbox.len()), || self.inbox.len() as f64 >= peak);
            }
        }
    }

    /// Carries a compaction out a little further, if it is time to.
    fn sweep(&self, sweeping: &mut Sweeping) {
        let begun = Instant::now();
        if sweeping.next.is_some_and(|next| begun < next) {
            return;
        }
        let mut gone = Vec::new();
        let mut state = self.core.state.write();
        let made = state.remembered().saturating_sub(sweeping.remembered);
        let more = sweep_portion(&mut state, &mut sweeping.remembered, &mut gone);
        let swept = state.swept();
        drop(state);
        drop(gone);
        self.core.swept.send_if_modified(|known| std::mem::replace(known, swept) != swept);
        let end = Instant::now();
        sweeping.rest = if more { rest(sweeping.rest, end - begun, made) } else { LONGEST_REST };
        sweeping.next = more.then(|| end + sweeping.rest);
    }
}

/// How far the writer is with what compactions removed.
struct Sweeping {
    /// When to go on; `None`: there was nothing left to do.
    next: Option<Instant>,
    /// How many changes the last time has left.
    remembered: usize,
    /// How long it has rested since.
    rest: Duration,
}

/// How long to rest after a portion that took so long, if so many changes were made during the last rest and it. Rather more and small
/// portions than few and large ones: who writes waits for a whole one.
fn rest(last: Duration, took: Duration, made: usize) -> Duration {
    let most = (took * if made == 0 { IDLE_REST } else { REST }).min(LONGEST_REST);
    let half = SWEEP / 2;
    let paced = if made > half { last.mul_f64(half as f64 / made as f64) } else { last * 2 };
    paced.clamp(SHORTEST_REST, LONGEST_REST).min(most)
}

/// How long to leave time to those who are about to write, after a group of so many requests that took so long, when so many
/// are waiting again: nothing if there are few writers, or as many as before. (Postgres: commit_delay and commit_siblings.)
/// Measured on two busy cores, without and with pauses: requests for each time that this thread went to sleep (a sync or a pause)
/// 2.7 and 10 of 64 clients, 5 and 16 of 512; 1.1 to 1.3 times as many were answered.
fn pause(group: usize, took: Duration, waiting: usize) -> Duration {
    if group < LARGE / 2 || waiting >= group {
        return Duration::ZERO;
    }
    (took * group.min(8 * LARGE) as u32 / LARGE as u32).min(PAUSE)
}

/// Pauses for so long, or half of it if everybody is back by then. Sleeps, rather than being woken by each of them; and looks once,
/// as each look is an awakening.
fn gather(pause: Duration, everybody: impl FnOnce() -> bool) {
    std::thread::sleep(pause / 2);
    if !pause.is_zero() && !everybody() {
        std::thread::sleep(pause / 2);
    }
}

/// Returns whether there is more to do.
fn sweep_portion(state: &mut State, remembered: &mut usize, gone: &mut Vec<Arc<KeyValue>>) -> bool {
    let made = state.remembered().saturating_sub(*remembered);
    let more = state.sweep_into(SWEEP.max(2 * made), gone);
    *remembered = state.remembered();
    more
}

impl Port for Outside {
    type Ticket = Ticket;

    fn send(&mut self, to: u64, parcel: Parcel) {
        self.unsent.entry(to).or_default().push(parcel);
    }

    fn flush(&mut self) {
        while let Some((to, parcels)) = self.unsent.pop_first() {
            if let Some(peers) = &self.peers {
                peers.send(to, parcels, self.at_once);
            }
        }
    }

    fn answer(&mut self, ticket: Ticket, result: Result<Done, Error>) {
        // Nobody waits any more: what was done is done all the same.
        let _ = ticket.reply.send(result);
    }

    fn send_snapshot(&mut self, to: u64, head: SnapshotHead, message: crate::raft::Message) {
        match &self.peers {
            Some(peers) => peers.send_snapshot(to, head, message),
            None => self.core.state.write().end_save(&head),
        }
    }

    fn save(&mut self, head: SnapshotHead) {
        let (core, disk, dir) = (Arc::clone(&self.core), Arc::clone(&self.disk), self.dir.clone());
        let (report, at) = (Arc::clone(&self.reports), head.clone());
        let work = move || {
            let result = checkpoint::write(&core, &*disk, &dir, &head);
            core.state.write().end_save(&head);
            // Fails if the store has closed: then nobody trims.
            let _ = report.send(Input::Saved(head.index, result));
        };
        match std::thread::Builder::new().name("store-checkpoint".into()).spawn(work) {
            Ok(thread) => self.saving = Some(thread),
            Err(error) => {
                self.core.state.write().end_save(&at);
                let _ = self.reports.send(Input::Saved(at.index, Err(error)));
            }
        }
    }

    fn members_changed(&mut self, members: &Members) {
        if let Some(peers) = &self.peers {
            peers.members_changed(members);
        }
    }

    fn standing_changed(&mut self, standing: Standing) {
        let former = std::mem::replace(&mut self.leader, standing.leader);
        if standing.leader != 0 && standing.leader != former {
            self.core.metrics.leader_changes.inc();
        }
        tracing::info!(role = ?standing.role, leader = format!("{:x}", standing.leader), term = standing.term, "who leads");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::Txn;
    use crate::request::Request;
    use crate::state::At;
    use crate::testing::put_op;

    #[test]
    fn after_a_large_group_others_get_time_to_join_the_next_one() {
        // (requests in the group, µs that it took, requests that wait, µs to pause)
        let table = [
            (0, 100, 0, 0),
            (1, 100, 0, 0),
            (3, 100, 0, 0),
            (4, 100, 0, 50),
            (8, 100, 0, 100),
            (8, 100, 7, 100),
            (8, 100, 8, 0),
            (8, 100, 30, 0),
            (64, 100, 0, 800),
            (1024, 100, 0, 800),
            (1024, 5000, 0, 1000),
        ];
        for (group, took, waiting, expected) in table {
            let paused = pause(group, Duration::from_micros(took), waiting);
            assert_eq!(paused, Duration::from_micros(expected), "{group} in {took} µs, {waiting} wait");
        }
    }

    #[test]
    fn a_pause_is_halved_when_everybody_is_back() {
        let begun = Instant::now();
        gather(Duration::ZERO, || unreachable!("nobody is looked for"));
        gather(Duration::from_millis(4), || false);
        assert!(begun.elapsed() >= Duration::from_millis(4));
        let (begun, looks) = (Instant::now(), std::cell::Cell::new(0));
        gather(Duration::from_millis(4), || {
            looks.set(looks.get() + 1);
            true
        });
        assert!(begun.elapsed() >= Duration::from_millis(2) && looks.get() == 1);
    }

    #[test]
    fn who_writes_much_waits_for_small_portions() {
        let (us, ms) = (Duration::from_micros, Duration::from_millis);
        // (last rest, the portion took, changes made, the next rest)
        let table = [
            (ms(20), us(50), 0, us(150)),
            (ms(20), us(50), 1, us(750)),
            (ms(20), ms(5), 1, ms(20)),
            (ms(20), ms(5), 64, ms(20)),
            (ms(20), ms(5), 128, ms(10)),
            (ms(20), ms(5), 640, ms(2)),
            (ms(2), ms(5), 64, ms(4)),
            (us(200), ms(5), 10_000, us(100)),
            (ms(20), us(2), 1000, us(30)),
        ];
        for (last, took, made, expected) in table {
            assert_eq!(rest(last, took, made), expected, "{last:?}, {took:?}, {made}");
        }
        // 20,000 changes each second, 20 µs for each that goes.
        let (mut last, mut budget) = (LONGEST_REST, SWEEP);
        for _ in 0..100 {
            let took = us(20 * budget as u64);
            let made = ((last + took).as_secs_f64() * 20_000.0) as usize;
            budget = SWEEP.max(2 * made);
            last = rest(last, took, made);
        }
        assert!(budget < 2 * SWEEP, "{budget} at a time, then {last:?}");
    }

    #[test]
    fn a_compaction_gains_on_large_transactions() {
        let mut state = State::default();
        let write = |state: &mut State| {
            let then = (0..100).map(|key| put_op(format!("k{key}"), "v")).collect();
            state.apply(At::default(), Request::Txn(Txn { then, ..Txn::default() })).unwrap();
        };
        (0..200).for_each(|_| write(&mut state));
        state.apply(At::default(), Request::Compact(state.revision())).unwrap();
        let (mut remembered, mut rounds) = (state.remembered(), 0);
        loop {
            let before = state.remembered();
            // Four transactions in a group.
            (0..4).for_each(|_| write(&mut state));
            rounds += 1;
            if !sweep_portion(&mut state, &mut remembered, &mut Vec::new()) {
                break;
            }
            assert!(state.remembered() < before, "round {rounds}");
        }
        assert!((20..30).contains(&rounds), "{rounds}");
    }
}
