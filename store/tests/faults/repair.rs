//! What operators do to members while clients go on: put another one in the place of one that has lost its disk, restart all one
//! after the other, start one whose files were damaged.

use std::path::Path;
use std::time::{Duration, Instant};

use proto::etcd::etcdserverpb as pb;
use proto::etcd::etcdserverpb::cluster_client::ClusterClient;
use rand::Rng;
use tonic::transport::Channel;

use super::RECOVERY;
use super::nemesis::Nemesis;

/// For one change.
const ANSWER: Duration = Duration::from_secs(10);
/// For a member to find out that it cannot start.
const REFUSAL: Duration = Duration::from_secs(20);

impl Nemesis {
    /// kill -9, an empty disk, and a new member in the place of the old one: as a voter at once, or first as a learner.
    pub(super) async fn replace(&mut self) -> Result<(), String> {
        let at = self.somebody().await;
        self.replace_at(at).await
    }

    async fn replace_at(&mut self, at: usize) -> Result<(), String> {
        let learner = self.random.random_bool(0.5);
        let url = self.members[at].peer_url();
        self.members[at].kill();
        self.members[at].wipe();
        let other = (at + 1) % self.members.len();
        let known = self.listed(other, &url).await?;
        let gone = known.map(|member| member.id).unwrap_or_default();
        self.until(
            other,
            &url,
            |listed| listed.is_none_or(|member| member.id != gone),
            async |mut client, _| client.member_remove(pb::MemberRemoveRequest { id: gone }).await.map(|_| ()),
        )
        .await?;
        self.until(
            other,
            &url,
            |listed| listed.is_some(),
            async |mut client, _| {
                let request = pb::MemberAddRequest { peer_ur_ls: vec![url.clone()], is_learner: learner };
                client.member_add(request).await.map(|_| ())
            },
        )
        .await?;
        self.members[at].start(true);
        self.until(
            other,
            &url,
            |listed| listed.is_some_and(|member| !member.is_learner),
            async |mut client, listed| {
                let id = listed.map(|member| member.id).unwrap_or_default();
                client.member_promote(pb::MemberPromoteRequest { id }).await.map(|_| ())
            },
        )
        .await?;
        self.members[at].works(Instant::now() + RECOVERY).await?;
        let what = if learner { "replaced, by way of a learner" } else { "replaced" };
        self.note(what, at + 1);
        Ok(())
    }

    /// What the cluster knows of the member with a peer URL.
    async fn listed(&self, at: usize, url: &String) -> Result<Option<pb::Member>, String> {
        let end = Instant::now() + RECOVERY;
        loop {
            let ask = async {
                let request = pb::MemberListRequest { linearizable: true };
                let listed = self.members[at].cluster().await?.member_list(request).await;
                listed.map(|listed| listed.into_inner().members).map_err(|status| status.message().to_owned())
            };
            match tokio::time::timeout(ANSWER, ask).await.unwrap_or_else(|_| Err("no answer".into())) {
                Ok(listed) => return Ok(listed.into_iter().find(|member| member.peer_ur_ls.contains(url))),
                Err(why) if Instant::now() > end => return Err(format!("the members are not listed: {why}")),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Asks a member for a change until the cluster shows that it was made: an answer may be lost with the leader.
    async fn until(
        &self,
        at: usize,
        url: &String,
        done: impl Fn(Option<&pb::Member>) -> bool,
        ask: impl AsyncFn(ClusterClient<Channel>, Option<pb::Member>) -> Result<(), tonic::Status>,
    ) -> Result<(), String> {
        let (end, mut why) = (Instant::now() + RECOVERY, String::new());
        loop {
            let listed = self.listed(at, url).await?;
            if done(listed.as_ref()) {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(format!("the change for {url} ({listed:?}) is not made: {why}"));
            }
            let asked = ask(self.members[at].cluster().await?, listed);
            match tokio::time::timeout(ANSWER, asked).await {
                Ok(Ok(())) => continue,
                Ok(Err(status)) => why = status.message().to_owned(),
                Err(_) => why = "no answer".into(),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// All members one after the other, each told to end, and waited for when it starts.
    pub(super) async fn roll(&mut self) -> Result<(), String> {
        for at in 0..self.members.len() {
            self.members[at].end().await?;
            self.members[at].start(false);
            self.members[at].works(Instant::now() + RECOVERY).await?;
        }
        self.note("rolling restart", "");
        Ok(())
    }

    /// Bits flip on the disk of a member that does not run. It must say that it cannot start, and is replaced then; or it has
    /// taken no harm, which the judge will see.
    pub(super) async fn flip(&mut self) -> Result<(), String> {
        let at = self.somebody().await;
        self.members[at].kill();
        let files = self.members[at].files();
        let count = self.random.random_range(1..4);
        let file = files[self.random.random_range(0..files.len())].clone();
        let mut content = std::fs::read(&file).map_err(|error| error.to_string())?;
        // Not in what is reserved for later.
        let used = content.iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 1);
        let places: Vec<usize> = (0..count).map(|_| self.random.random_range(0..used)).collect();
        for place in &places {
            content[*place] ^= 1 << self.random.random_range(0..8);
        }
        std::fs::write(&file, content).map_err(|error| error.to_string())?;
        let name = file.file_name().map(|name| Path::new(name).display().to_string()).unwrap_or_default();
        self.members[at].start(false);
        let end = Instant::now() + REFUSAL;
        loop {
            if let Some(status) = self.members[at].ended() {
                let said = self.members[at].said();
                if status.success() || !said.contains("damaged") || said.contains("panicked") {
                    return Err(format!("bits flipped at {places:?} of {name}, and it ended with {status}:\n{said}"));
                }
                self.note("bits flipped: refused to start", format_args!("{} for {name} at {places:?}", at + 1));
                return self.replace_at(at).await;
            }
            if self.members[at].answers().await.is_ok() {
                self.note("bits flipped: no harm taken", format_args!("{}: {name} at {places:?} of {used}", at + 1));
                return Ok(());
            }
            if Instant::now() > end {
                let said = self.members[at].said();
                return Err(format!("bits flipped at {places:?} of {name}, and it neither works nor ends:\n{said}"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
