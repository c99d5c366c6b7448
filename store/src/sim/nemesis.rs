//! What goes wrong, and what operators do meanwhile.

use prost::Message as _;
use proto::log::{Member, MembershipChange};

use super::host::Ticket;
use super::world::{Event, World};
use crate::member::Input;
use crate::raft::ChangeKind;

/// How the network behaves: probabilities in percent, times in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Network {
    pub(super) lost: u64,
    pub(super) doubled: u64,
    pub(super) delay: u64,
}

impl Network {
    pub(super) const GOOD: Self = Self { lost: 0, doubled: 0, delay: 5 };
}

impl World {
    /// One misfortune, or one intervention.
    pub(super) fn nemesis(&mut self) -> Result<(), String> {
        match self.random.below(21) {
            0 => self.weather(),
            1 | 2 => self.split(),
            3 => self.isolate(),
            4..=6 => self.cut.clear(),
            7 | 8 => self.crash_somebody(),
            9 => self.blackout(),
            10 | 11 => self.die(),
            12 => self.fail_sync(),
            13 => self.fill(),
            14 => self.drift(),
            15 => self.transfer()?,
            16 => self.unreachable()?,
            17 => self.drift_some_clock(),
            _ => self.change()?,
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

    fn ids(&self) -> Vec<u64> {
        self.hosts.keys().copied().collect()
    }

    fn split(&mut self) {
        let side = self.random.next();
        let one_way = self.chance(30);
        let ids = self.ids();
        for from in &ids {
            for to in &ids {
                let (a, b) = (side >> (from % 64) & 1, side >> (to % 64) & 1);
                if a != b && !(one_way && a > b) {
                    self.cut.insert((*from, *to));
                }
            }
        }
        self.note("partition");
    }

    fn isolate(&mut self) {
        let Some(id) = self.somebody(true) else { return };
        let mode = self.random.below(3);
        for other in self.ids().into_iter().filter(|other| *other != id) {
            if mode != 0 {
                self.cut.insert((id, other));
            }
            if mode != 1 {
                self.cut.insert((other, id));
            }
        }
        self.note("leader isolated");
    }

    fn crash_somebody(&mut self) {
        let leads = self.chance(50);
        if let Some(id) = self.somebody(leads) {
            self.crash_for_a_while(id);
        }
    }

    fn crash_for_a_while(&mut self, id: u64) {
        self.crash(id);
        self.note("crash");
        let time = 10 + self.random.below(5000);
        self.after(time, Event::Start(id));
    }

    fn blackout(&mut self) {
        for id in self.ids() {
            if self.hosts.get(&id).is_some_and(|host| host.life.is_some()) {
                self.crash_for_a_while(id);
            }
        }
        self.note("blackout");
    }

    /// Power goes at some later operation of the disk.
    fn die(&mut self) {
        let (leads, count) = (self.chance(50), 1 + self.random.below(30));
        if let Some(id) = self.somebody(leads)
            && let Some(host) = self.hosts.get(&id)
        {
            host.disk.die_after(count);
            self.note("power lost at a step");
        }
    }

    fn fail_sync(&mut self) {
        let (leads, count) = (self.chance(50), self.random.below(5));
        if let Some(id) = self.somebody(leads)
            && let Some(host) = self.hosts.get(&id)
        {
            host.disk.fail_syncs_after(count);
            self.note("sync failed");
        }
    }

    fn fill(&mut self) {
        let (leads, bytes, again) = (self.chance(50), self.random.below(4096), self.chance(50));
        if let Some(id) = self.somebody(leads)
            && let Some(host) = self.hosts.get(&id)
        {
            if again {
                host.disk.fill_after(bytes);
                self.note("disk full");
            } else {
                self.hosts.values().for_each(|host| host.disk.free_space());
            }
        }
    }

    fn drift(&mut self) {
        let tick = 50 + self.random.below(150);
        if let Some(id) = self.somebody(false)
            && let Some(host) = self.hosts.get_mut(&id)
        {
            host.tick = tick;
        }
    }

    fn drift_some_clock(&mut self) {
        if let Some(id) = self.somebody(false) {
            self.drift_clock(id);
            self.note("clock drifted");
        }
    }

    fn transfer(&mut self) -> Result<(), String> {
        let (Some(from), Some(to)) = (self.somebody(true), self.somebody(false)) else { return Ok(()) };
        self.note("transfer asked for");
        self.input(from, Input::Transfer(to, Ticket::Nobody))
    }

    fn unreachable(&mut self) -> Result<(), String> {
        let (Some(id), Some(other)) = (self.somebody(true), self.somebody(false)) else { return Ok(()) };
        self.input(id, Input::Unreachable(other))
    }

    fn change(&mut self) -> Result<(), String> {
        let Some(leader) = self.somebody(true) else { return Ok(()) };
        let (voters, learners) = (self.membership.1.voters.clone(), self.membership.1.learners.clone());
        let pick = |from: &[u64], at: u64| from.get(at as usize % from.len().max(1)).copied();
        let at = self.random.below(16);
        let size = voters.len() + learners.len();
        let (kind, id) = match self.random.below(4) {
            0 if size < 6 => (ChangeKind::AddVoter, Some(self.next_id)),
            1 if size < 6 => (ChangeKind::AddLearner, Some(self.next_id)),
            2 => (ChangeKind::Promote, pick(&learners, at)),
            _ if size > 1 => (ChangeKind::Remove, pick(&[voters, learners].concat(), at)),
            _ => return Ok(()),
        };
        let Some(id) = id else { return Ok(()) };
        let info = Member { id, peer_urls: vec![format!("http://m{id}:1")], ..Member::default() };
        let change = MembershipChange { kind: kind.into(), id, context: info.encode_to_vec().into() };
        self.trace(|| format!("{leader:x} is told {change:?}"));
        if id == self.next_id {
            self.next_id += 1;
            self.add(&change)?;
        }
        self.input(leader, Input::Change(change, Ticket::Nobody))
    }
}
