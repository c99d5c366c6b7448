//! Three members in one process, over loopback with TLS on both sides: they agree, survive the loss of their leader, take a
//! member back with the log or with a snapshot, refuse one that lost its disk, and change who they are.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{eventually, options};
use store::testing::{everything, free_ports, next_events, prefix, put, single, started};
use store::{ClusterError, Error, Kv, OpenError, Options, Range, Signal, Store, WatchOptions};

struct Cluster {
    dir: tempfile::TempDir,
    ports: Vec<u16>,
    stores: Vec<Option<Arc<Store>>>,
    context: base::Context,
}

impl Cluster {
    async fn start() -> Self {
        let (dir, ports) = (tempfile::tempdir().unwrap(), free_ports(4));
        let mut cluster = Self { dir, ports, stores: vec![None, None, None, None], context: base::Context::new() };
        // Made by one of them, before there are several.
        common::certificates(&cluster.dir.path().join("pki"));
        let opened = futures::future::join_all((0..3).map(|at| cluster.open(at))).await;
        for (at, store) in opened.into_iter().enumerate() {
            cluster.stores[at] = Some(store.unwrap());
        }
        cluster.leader().await;
        cluster
    }

    fn options(&self, at: usize) -> Options {
        options(self.dir.path(), &self.ports[..3], self.ports[at])
    }

    async fn open(&self, at: usize) -> Result<Arc<Store>, OpenError> {
        Store::open_member(self.options(at), &self.context).await
    }

    fn store(&self, at: usize) -> &Arc<Store> {
        self.stores[at].as_ref().unwrap()
    }

    async fn stop(&mut self, at: usize) {
        self.stores[at].take().unwrap().close().await;
    }

    /// Whom all that run follow.
    async fn leader(&self) -> usize {
        eventually("one leader", async || {
            let running: Vec<_> = (0..4).filter(|at| self.stores[*at].is_some()).collect();
            let leaders: Vec<_> = running.iter().map(|at| self.store(*at).status().leader).collect();
            let at = running.iter().find(|at| self.store(**at).member_id() == leaders[0]);
            let agreed = leaders.iter().all(|leader| *leader == leaders[0]);
            at.copied().filter(|at| agreed && self.store(*at).is_leader()).ok_or_else(|| format!("{leaders:x?}"))
        })
        .await
    }

    /// Writes until it is acknowledged; what is not may have been written all the same.
    async fn write(&self, at: usize, key: &str, value: &str) -> u64 {
        eventually("a write", async || {
            put(&**self.store(at), key.to_owned(), value.to_owned())
                .await
                .map(|reply| reply.revision)
                .map_err(|error| error.to_string())
        })
        .await
    }

    /// What a member has, without asking the others.
    async fn local(&self, at: usize, key: &str) -> String {
        let range = Range { serializable: true, ..single(key, 0) };
        let page = self.store(at).range(range).await.unwrap();
        page.kvs.first().map_or(String::new(), |kv| String::from_utf8_lossy(&kv.value).into_owned())
    }

    async fn arrives(&self, at: usize, key: &str, value: &str) {
        eventually("the write arrives", async || {
            let found = self.local(at, key).await;
            (found == value).then_some(()).ok_or_else(|| format!("{key} is {found:?} at {at}"))
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_agree_and_survive_their_leader() {
    let mut cluster = Cluster::start().await;
    let leader = cluster.leader().await;
    let followers: Vec<_> = (0..3).filter(|at| *at != leader).collect();
    let mut watch = cluster.store(followers[0]).watch(prefix("k", 0), WatchOptions::default());
    started(&mut watch).await;
    // By way of each member, read at each of the others: linearizable.
    let mut revision = 0;
    for at in 0..3 {
        let written = cluster.write(at, &format!("k{at}"), "1").await;
        assert!(written > revision);
        revision = written;
        for other in 0..3 {
            let page = cluster.store(other).range(prefix("k", 0)).await.unwrap();
            assert_eq!((page.kvs.len(), page.revision), (at + 1, revision), "written at {at}, read at {other}");
        }
    }
    for at in 0..3 {
        match next_events(&mut watch).await.unwrap() {
            Signal::Events(_, events) => assert_eq!(events[0].kv.key, format!("k{at}")),
            other => panic!("{other:?}"),
        }
    }
    // Everybody knows everybody.
    eventually("names", async || {
        let members = cluster.store(0).current_members().await.map_err(|error| error.to_string())?;
        let known = members.iter().all(|member| member.client_urls.len() == 1 && !member.learner);
        (known && members.len() == 3).then_some(()).ok_or_else(|| format!("{members:?}"))
    })
    .await;
    // The leader goes.
    cluster.stop(leader).await;
    let revision = cluster.write(followers[0], "k", "after").await;
    assert!(revision > 4);
    let page = cluster.store(followers[1]).range(everything(0)).await.unwrap();
    assert_eq!((page.kvs.len(), page.revision), (4, revision));
    // It returns, and has it all.
    cluster.stores[leader] = Some(cluster.open(leader).await.unwrap());
    cluster.arrives(leader, "k", "after").await;
    // The leadership goes where it is wanted.
    let now = cluster.leader().await;
    let to = cluster.store((now + 1) % 3).member_id();
    let refused = cluster.store((now + 1) % 3).move_leader(to).await;
    assert_eq!(refused, Err(Error::Cluster(ClusterError::NotLeader)));
    assert_eq!(cluster.store(now).move_leader(77).await, Err(Error::Cluster(ClusterError::BadTransferee)));
    cluster.store(now).move_leader(to).await.unwrap();
    assert_eq!(cluster.leader().await, (now + 1) % 3);
    assert!(cluster.context.shutdown(Duration::from_secs(20)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_far_behind_gets_a_snapshot_and_one_without_its_disk_nothing() {
    let mut cluster = Cluster::start().await;
    let leader = cluster.leader().await;
    let behind = (leader + 1) % 3;
    cluster.write(leader, "a", "1").await;
    cluster.arrives(behind, "a", "1").await;
    eventually("the nonces are known", async || {
        let members = cluster.store(leader).members();
        members.iter().all(|member| !member.client_urls.is_empty()).then_some(()).ok_or_else(|| format!("{members:?}"))
    })
    .await;
    let had = cluster.store(behind).status().applied_index;
    cluster.stop(behind).await;
    let value = "x".repeat(20_000);
    let first_kept = || {
        let files = std::fs::read_dir(cluster.options(leader).dir).unwrap().flatten();
        let firsts = files.filter_map(|file| file.file_name().to_str()?.strip_prefix("log-")?.get(9..)?.parse().ok());
        firsts.min().unwrap_or(0u64)
    };
    // More than the log keeps, however long its checkpoints take: it goes back to the older one of two.
    let mut at = 0;
    eventually("the log no longer reaches back", async || {
        at += 1;
        cluster.write(leader, &format!("big{}", at % 10), &value).await;
        if at % 10 == 9 {
            let store = cluster.store(leader);
            store.compact(store.revision().await.unwrap() - 3).await.unwrap();
        }
        let first = first_kept();
        (first > had + 1).then_some(()).ok_or_else(|| format!("it begins at {first}, and {had} is there"))
    })
    .await;
    cluster.stores[behind] = Some(cluster.open(behind).await.unwrap());
    cluster.write(leader, "a", "2").await;
    cluster.arrives(behind, "a", "2").await;
    let (one, other) = (cluster.store(leader), cluster.store(behind));
    assert_eq!(one.hash_kv(0).await.unwrap(), other.hash_kv(0).await.unwrap(), "the state is the same");
    // It goes on from the snapshot after a restart.
    cluster.stop(behind).await;
    cluster.stores[behind] = Some(cluster.open(behind).await.unwrap());
    cluster.write(leader, "a", "3").await;
    cluster.arrives(behind, "a", "3").await;

    // Without its directory it is somebody else.
    cluster.stop(behind).await;
    std::fs::remove_dir_all(cluster.options(behind).dir).unwrap();
    match cluster.open(behind).await {
        Err(OpenError::Cluster(text)) => assert!(text.contains("already taken part"), "{text}"),
        other => panic!("{:?}", other.err()),
    }
    assert!(cluster.context.shutdown(Duration::from_secs(20)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_come_and_go() {
    let mut cluster = Cluster::start().await;
    let leader = cluster.leader().await;
    cluster.write(leader, "a", "1").await;
    let url = format!("https://127.0.0.1:{}", cluster.ports[3]);
    let taken = format!("https://127.0.0.1:{}", cluster.ports[0]);
    let exists = cluster.store(0).member_add(vec![taken], true).await;
    assert_eq!(exists, Err(Error::Cluster(ClusterError::UrlExists)));
    // Not added yet: there is nothing to join as.
    let joining = |cluster: &Cluster| {
        let mut options = cluster.options(3);
        let own = options.cluster.as_mut().unwrap();
        own.existing = true;
        own.initial.push((own.name.clone(), url.clone()));
        options
    };
    let refused = Store::open_member(joining(&cluster), &cluster.context).await.err().map(|error| error.to_string());
    assert!(refused.as_ref().is_some_and(|text| text.contains("add it first")), "{refused:?}");
    // By way of a follower.
    let follower = (leader + 1) % 3;
    let added = cluster.store(follower).member_add(vec![url.clone()], true).await.unwrap();
    let early = cluster.store(leader).member_promote(added.id).await;
    assert_eq!(early, Err(Error::Cluster(ClusterError::LearnerBehind)), "it has not even started");
    let store = Store::open_member(joining(&cluster), &cluster.context).await.unwrap();
    assert_eq!(store.member_id(), added.id);
    cluster.stores[3] = Some(store);
    cluster.arrives(3, "a", "1").await;
    eventually("the learner is known to learn", async || {
        cluster.store(3).status().learner.then_some(()).ok_or_else(|| "no learner".to_owned())
    })
    .await;
    eventually("the promotion", async || {
        cluster.store(follower).member_promote(added.id).await.map_err(|error| error.to_string())
    })
    .await;
    cluster.write(3, "a", "2").await;
    let again = cluster.store(leader).member_promote(added.id).await;
    assert_eq!(again, Err(Error::Cluster(ClusterError::NotLearner)));
    // The leader itself is removed: another one leads, and it stops.
    let now = cluster.leader().await;
    let gone = cluster.store(now).member_id();
    let other = (0..4).find(|at| *at != now).unwrap();
    eventually("the removal", async || match cluster.store(other).member_remove(gone).await {
        Ok(()) | Err(Error::Cluster(ClusterError::NoMember)) => Ok(()),
        Err(error) => Err(error.to_string()),
    })
    .await;
    eventually("the removed one stops", async || {
        let answer = cluster.store(now).range(Range { serializable: true, ..single("a", 0) }).await;
        matches!(answer, Err(Error::Unavailable(_))).then_some(()).ok_or_else(|| format!("{answer:?}"))
    })
    .await;
    cluster.stores[now] = None;
    cluster.write(other, "a", "3").await;
    assert_eq!(cluster.store(other).members().len(), 3);
    assert!(cluster.context.shutdown(Duration::from_secs(20)).await);
}
