//! What goes wrong, chosen by a seed; and, beside it, who watches that no term has two leaders.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinHandle;

use super::member::{Member, status};
use super::net::{CLIENTS, Net, Weather};
use super::record::Record;
use super::{Counts, RECOVERY};

/// See the module's header.
pub(crate) struct Nemesis {
    pub(super) random: StdRng,
    pub(super) members: Vec<Member>,
    pub(super) record: Arc<Record>,
    pub(super) counts: Counts,
    net: Net,
    cut: BTreeSet<(u8, u8)>,
    weather: Weather,
    filled: bool,
    began: Instant,
    elections: JoinHandle<()>,
    leaders: Arc<parking_lot::Mutex<BTreeMap<u64, u64>>>,
}

impl Nemesis {
    pub(crate) fn new(seed: u64, net: Net, members: Vec<Member>, record: &Arc<Record>) -> Self {
        let leaders = Arc::new(parking_lot::Mutex::new(BTreeMap::new()));
        let urls = members.iter().map(|member| member.url().to_owned()).collect();
        let elections = tokio::spawn(elections(urls, Arc::clone(&leaders), Arc::clone(record)));
        Self {
            random: StdRng::seed_from_u64(seed),
            members,
            record: Arc::clone(record),
            counts: Counts::new(),
            net,
            cut: BTreeSet::new(),
            weather: Weather::default(),
            filled: false,
            began: Instant::now(),
            elections,
            leaders,
        }
    }

    /// Lets things go wrong for a while.
    pub(crate) async fn trouble(&mut self, time: Duration) -> Result<(), String> {
        let end = Instant::now() + time;
        // Each of these once at least; they take their time, so the rest is the weather's.
        let mut due = vec![Chore::Replace, Chore::Flip, Chore::Roll];
        let mut next_chore = Instant::now() + time / 8;
        while Instant::now() < end {
            if Instant::now() > next_chore {
                self.heal().await?;
                let chore = due.pop().unwrap_or_else(|| Chore::any(&mut self.random));
                self.do_chore(chore).await?;
                next_chore = Instant::now() + (time / 5).min(Duration::from_secs(15));
            }
            self.misfortune().await?;
            let pause = self.random.random_range(50..900);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            for member in &mut self.members {
                member.check()?;
            }
            self.record.check()?;
        }
        Ok(())
    }

    async fn do_chore(&mut self, chore: Chore) -> Result<(), String> {
        match chore {
            Chore::Replace => self.replace().await,
            Chore::Flip => self.flip().await,
            Chore::Roll => self.roll().await,
        }
    }

    async fn misfortune(&mut self) -> Result<(), String> {
        match self.random.random_range(0..20) {
            0..=3 => self.kill().await,
            4..=5 => self.stop().await,
            6..=8 => self.split(),
            9..=10 => self.isolate().await,
            11..=12 => self.change_weather(),
            13..=14 => self.fill(),
            15 => return self.transfer().await,
            _ => self.relent(),
        }
        Ok(())
    }

    pub(super) fn note(&mut self, what: &'static str, detail: impl std::fmt::Display) {
        *self.counts.entry(what).or_default() += 1;
        println!("{:>8.3} {what} {detail}", self.began.elapsed().as_secs_f64());
    }

    /// A member: the leader half of the time.
    pub(super) async fn somebody(&mut self) -> usize {
        if self.random.random_bool(0.5)
            && let Some(leader) = self.leader().await
        {
            return leader;
        }
        self.random.random_range(0..self.members.len())
    }

    /// Who leads, as far as anybody says.
    pub(super) async fn leader(&self) -> Option<usize> {
        let mut said = Vec::new();
        for member in self.members.iter().filter(|member| member.runs() && !member.stopped) {
            said.extend(member.status().await.map(|status| (status, member.number)));
        }
        let (newest, _) = said.iter().max_by_key(|(status, _)| (status.term, status.leader != 0))?;
        let (_, number) = said.iter().find(|(status, _)| status.id == newest.leader)?;
        Some(usize::from(*number) - 1)
    }

    async fn kill(&mut self) {
        let at = self.somebody().await;
        if self.members[at].runs() {
            self.members[at].kill();
            self.note("killed", at + 1);
        } else {
            self.members[at].start(false);
        }
    }

    async fn stop(&mut self) {
        let at = self.somebody().await;
        if self.members[at].stopped {
            self.members[at].go_on();
        } else if self.members[at].runs() {
            self.members[at].stop();
            self.note("stopped and continued", at + 1);
        }
    }

    fn places(&self) -> Vec<u8> {
        self.members.iter().map(|member| member.number).chain([CLIENTS]).collect()
    }

    fn apply(&mut self) {
        self.net.set(self.cut.clone(), self.weather);
    }

    /// Two sides, or one that hears and is not heard. The clients are somewhere.
    fn split(&mut self) {
        let (sides, one_way): (u64, bool) = (self.random.random(), self.random.random_bool(0.35));
        let places = self.places();
        for (i, from) in places.iter().enumerate() {
            for (j, to) in places.iter().enumerate() {
                let (a, b) = (sides >> i & 1, sides >> j & 1);
                if a != b && !(one_way && a > b) {
                    self.cut.insert((*from, *to));
                }
            }
        }
        if self.cut.is_empty() {
            return;
        }
        self.apply();
        let cut = format!("{:?}", self.cut);
        self.note(if one_way { "partition, one way" } else { "partition" }, cut);
    }

    /// The leader cannot talk to the others, or not hear them; clients still reach it.
    async fn isolate(&mut self) {
        let Some(at) = self.leader().await else { return };
        let (own, mode) = (self.members[at].number, self.random.random_range(0..3));
        for other in self.members.iter().map(|member| member.number).filter(|other| *other != own) {
            if mode != 0 {
                self.cut.insert((own, other));
            }
            if mode != 1 {
                self.cut.insert((other, own));
            }
        }
        self.apply();
        let what = ["leader isolated: deaf", "leader isolated: mute", "leader isolated"][mode];
        self.note(what, own);
    }

    fn change_weather(&mut self) {
        let lost = [0, 1, 5, 20][self.random.random_range(0..4)];
        self.weather = Weather { lost, slow: self.random.random_bool(0.5) };
        self.apply();
        let weather = format!("{:?}", self.weather);
        if self.weather.lost > 0 {
            self.note("packets lost", &weather);
        }
        if self.weather.slow {
            self.note("packets delayed", &weather);
        }
    }

    fn fill(&mut self) {
        let left = [0, 4 << 10, 60 << 10][self.random.random_range(0..3)];
        if let Some(member) = self.members.last() {
            if self.filled {
                member.free();
            } else {
                member.fill(left);
                self.note("disk filled", format_args!("but {left} bytes"));
            }
            self.filled = !self.filled;
        }
    }

    /// Everything is well again: at once, or one thing.
    fn relent(&mut self) {
        if self.random.random_bool(0.6) {
            self.cut.clear();
            self.weather = Weather::default();
            self.apply();
        }
        for member in &mut self.members {
            if member.stopped {
                member.go_on();
            } else if !member.runs() {
                member.start(false);
            }
        }
    }

    async fn transfer(&mut self) -> Result<(), String> {
        let (Some(leader), to) = (self.leader().await, self.random.random_range(0..self.members.len())) else {
            return Ok(());
        };
        let Some(to) = self.members[to].status().await else { return Ok(()) };
        let Ok(channel) = self.members[leader].channel().await else { return Ok(()) };
        let request = proto::etcd::etcdserverpb::MoveLeaderRequest { target_id: to.id };
        let mut client = proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient::new(channel);
        let moved = tokio::time::timeout(Duration::from_secs(2), client.move_leader(request)).await;
        if matches!(moved, Ok(Ok(_))) {
            self.note("leadership handed over", format_args!("{:x}", to.id));
        }
        Ok(())
    }

    /// Takes back everything that is wrong, and waits until every member works.
    pub(crate) async fn heal(&mut self) -> Result<(), String> {
        (self.cut, self.weather) = (BTreeSet::new(), Weather::default());
        if !self.net.is_whole() {
            self.apply();
        }
        if std::mem::take(&mut self.filled)
            && let Some(member) = self.members.last()
        {
            member.free();
        }
        for member in &mut self.members {
            if member.stopped {
                member.go_on();
            } else if !member.runs() {
                member.start(false);
            }
            member.check()?;
        }
        let end = Instant::now() + RECOVERY;
        for member in &self.members {
            member.works(end).await?;
        }
        // What the clients were told of is everywhere, and they go on being told.
        let known = self.record.known();
        while self.record.known() <= known {
            if Instant::now() > end {
                return Err(format!("nothing is wrong any more, and no write is acknowledged after revision {known}"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.note("healed", "");
        Ok(())
    }

    /// The members, and how often what happened.
    pub(crate) async fn end(mut self) -> (Vec<Member>, Counts) {
        self.elections.abort();
        let leaders = self.leaders.lock().len() as u64;
        self.counts.insert("leaders seen", leaders);
        (self.members, self.counts)
    }
}

/// What operators do.
#[derive(Debug, Clone, Copy)]
enum Chore {
    Replace,
    Flip,
    Roll,
}

impl Chore {
    fn any(random: &mut StdRng) -> Self {
        [Self::Replace, Self::Flip, Self::Roll][random.random_range(0..3)]
    }
}

/// Asks all members all the time who leads: no two of one term.
async fn elections(urls: Vec<String>, leaders: Arc<parking_lot::Mutex<BTreeMap<u64, u64>>>, record: Arc<Record>) {
    loop {
        let said = futures::future::join_all(urls.iter().map(|url| status(url))).await;
        for status in said.into_iter().flatten().filter(|status| status.leader != 0) {
            let before = leaders.lock().insert(status.term, status.leader);
            if before.is_some_and(|before| before != status.leader) {
                record
                    .violation(format!("term {} has two leaders: {:x?} and {:x}", status.term, before, status.leader));
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
