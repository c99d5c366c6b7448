//! What goes wrong, and what operators do meanwhile.

use bytes::Bytes;

use super::member::{Durable, Member};
use super::world::{Event, Network, World};
use crate::raft::{ChangeKind, MembershipChange, Role};

impl World {
    /// One misfortune, or one intervention.
    pub(super) fn nemesis(&mut self) -> Result<(), String> {
        match self.random.below(21) {
            0 => self.weather(),
            1 | 2 => self.split(),
            3 => self.isolate(),
            4..=6 => self.cut.clear(),
            7..=9 => self.crash(),
            10 => self.blackout(),
            11 => self.slow_disk(),
            12 => self.drift(),
            13 => self.transfer()?,
            14 => self.campaign()?,
            15 => self.unreachable()?,
            16 | 17 => self.change()?,
            18 => self.unseating = self.chance(70),
            _ => self.compact(),
        }
        Ok(())
    }

    fn weather(&mut self) {
        let lost = [0, 0, 1, 10, 30][self.random.below(5) as usize];
        let doubled = [0, 0, 5, 20][self.random.below(4) as usize];
        let delay = [5, 5, 50, 300, 1500][self.random.below(5) as usize];
        self.network = Network { lost, doubled, delay };
        self.trace(|| format!("{:?}", Network { lost, doubled, delay }));
    }

    /// Two groups that do not hear each other, or one that does not hear the other.
    fn split(&mut self) {
        let side = self.random.next();
        let one_way = self.chance(30);
        let ids: Vec<u64> = self.members.keys().copied().collect();
        for from in &ids {
            for to in &ids {
                let (a, b) = (side >> (from % 64) & 1, side >> (to % 64) & 1);
                if a != b && !(one_way && a > b) {
                    self.cut.insert((*from, *to));
                }
            }
        }
        self.trace(|| format!("split {:?}", self.cut));
        self.note("partition");
    }

    /// The leader, as often as not, is alone in one direction or both.
    fn isolate(&mut self) {
        let Some(id) = self.somebody(true) else { return };
        let mode = self.random.below(3);
        for other in self.members.keys().copied().filter(|other| *other != id) {
            if mode != 0 {
                self.cut.insert((id, other));
            }
            if mode != 1 {
                self.cut.insert((other, id));
            }
        }
        self.trace(|| format!("isolate {id}, mode {mode}"));
        self.note("leader isolated");
    }

    /// Whoever leads in this term is cut off from all but one, perhaps: its entries come to few, while those of the next
    /// leader come to others (thesis, figure 3.7).
    pub(super) fn unseat(&mut self, id: u64, term: u64) {
        let leads = |member: &Member| {
            let status = member.life.as_ref().map(|life| life.raft.status());
            status.is_some_and(|status| status.role == Role::Leader && status.term == term)
        };
        if !self.members.get(&id).is_some_and(leads) {
            return;
        }
        self.cut.clear();
        let friend = if self.chance(50) { self.somebody(false) } else { None };
        for other in self.members.keys().copied().filter(|other| *other != id && Some(*other) != friend) {
            self.cut.extend([(id, other), (other, id)]);
        }
        self.trace(|| format!("unseat {id}, but for {friend:?}"));
        self.note("leader unseated");
    }

    fn crash(&mut self) {
        let leads = self.chance(50);
        if let Some(id) = self.somebody(leads) {
            self.crash_one(id);
        }
    }

    fn crash_one(&mut self, id: u64) {
        let kept = self.random.below(4);
        self.stop(id, kept);
        self.note("crash");
        let time = 10 + self.random.below(5000);
        self.after(time, Event::Start(id));
    }

    fn blackout(&mut self) {
        let running = self.members.values().filter(|member| member.life.is_some());
        for id in running.map(|member| member.id).collect::<Vec<_>>() {
            self.crash_one(id);
        }
        self.note("blackout");
    }

    fn slow_disk(&mut self) {
        let time = [4, 100, 2000][self.random.below(3) as usize];
        if let Some(id) = self.somebody(false)
            && let Some(member) = self.members.get_mut(&id)
        {
            member.sync_time = time;
        }
    }

    fn drift(&mut self) {
        let drift = 500 + self.random.below(1500);
        if let Some(id) = self.somebody(false)
            && let Some(member) = self.members.get_mut(&id)
        {
            member.drift = drift;
        }
    }

    fn transfer(&mut self) -> Result<(), String> {
        let (Some(from), Some(to)) = (self.somebody(true), self.somebody(false)) else { return Ok(()) };
        if let Some(life) = self.members.get_mut(&from).and_then(|member| member.life.as_mut())
            && life.raft.transfer_leadership(to).is_ok()
        {
            self.trace(|| format!("transfer from {from} to {to}"));
            self.note("transfer begun");
        }
        self.pump(from)
    }

    fn campaign(&mut self) -> Result<(), String> {
        let Some(id) = self.somebody(false) else { return Ok(()) };
        if let Some(life) = self.members.get_mut(&id).and_then(|member| member.life.as_mut()) {
            life.raft.campaign(&life.log);
        }
        self.pump(id)
    }

    fn unreachable(&mut self) -> Result<(), String> {
        let (Some(id), Some(other)) = (self.somebody(true), self.somebody(false)) else { return Ok(()) };
        if let Some(life) = self.members.get_mut(&id).and_then(|member| member.life.as_mut()) {
            life.raft.unreachable(other);
        }
        self.pump(id)
    }

    /// A leader is told to change the membership; new members start with nothing.
    fn change(&mut self) -> Result<(), String> {
        let Some(leader) = self.somebody(true) else { return Ok(()) };
        let members = (self.membership.voters.clone(), self.membership.learners.clone());
        let pick = |from: &[u64], at: u64| from.get(at as usize % from.len().max(1)).copied();
        let at = self.random.below(16);
        let size = members.0.len() + members.1.len();
        let (kind, id) = match self.random.below(4) {
            0 if size < 6 => (ChangeKind::AddVoter, Some(self.next_id)),
            1 if size < 6 => (ChangeKind::AddLearner, Some(self.next_id)),
            2 => (ChangeKind::Promote, pick(&members.1, at)),
            _ if size > 1 => (ChangeKind::Remove, pick(&[members.0, members.1].concat(), at)),
            _ => return Ok(()),
        };
        let Some(id) = id else { return Ok(()) };
        let change = MembershipChange { kind: kind.into(), id, context: Bytes::new() };
        let Some(life) = self.members.get_mut(&leader).and_then(|member| member.life.as_mut()) else { return Ok(()) };
        if life.raft.propose_membership(&change).is_ok() {
            self.trace(|| format!("{leader} is told {change:?}"));
            if id == self.next_id {
                self.next_id += 1;
                self.members.insert(id, Member::new(id, Durable::default(), self.append_bytes));
                self.start(id);
            }
        }
        self.pump(leader)
    }

    fn compact(&mut self) {
        let keep = self.random.below(20);
        if let Some(id) = self.somebody(false)
            && let Some(member) = self.members.get_mut(&id)
        {
            member.checkpoint(keep);
            self.note("log compacted");
        }
    }
}
