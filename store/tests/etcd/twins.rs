//! The same requests to a member of ours and to a real etcd, by seed: every answer must be the same, refusals with their code and
//! words, and so must the checksum of all that came of it. Two seeds, or as many as `SEEDS` says.

use proto::etcd::etcdserverpb as pb;
use proto::etcd::etcdserverpb::cluster_client::ClusterClient;
use proto::etcd::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use proto::etcd::etcdserverpb::kv_client::KvClient;
use proto::etcd::etcdserverpb::lease_client::LeaseClient;
use proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use proto::etcd::etcdserverpb::request_op::Request;
use store::testing::etcd::{Etcd, is_installed};
use tonic::Status;
use tonic::transport::Channel;

use super::backup::to;
use super::server::Server;

const REQUESTS: usize = 1500;
/// Few, so that requests meet.
const KEYS: [&str; 5] = ["a", "b", "ba", "c", "d"];
/// One that is granted first, and one that never is.
const LEASES: [i64; 3] = [0, 7, 9];

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).unwrap()
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    fn key(&mut self) -> bytes::Bytes {
        if self.one_in(60) { bytes::Bytes::new() } else { self.of(&KEYS).into() }
    }

    fn end(&mut self) -> bytes::Bytes {
        if self.one_in(2) { bytes::Bytes::new() } else { self.of(&["a", "b", "c", "e", "\0"]).into() }
    }

    /// A revision about there; mostly 0, which is now.
    fn revision(&mut self, now: i64) -> i64 {
        if self.one_in(4) { (now - 6 + i64::try_from(self.below(9)).unwrap()).max(0) } else { 0 }
    }

    fn range(&mut self, now: i64) -> pb::RangeRequest {
        pb::RangeRequest {
            key: self.key(),
            range_end: self.end(),
            limit: self.of(&[0, 0, 1, 2]),
            revision: self.revision(now),
            sort_order: self.of(&[0, 0, 1, 2]),
            sort_target: self.of(&[0, 0, 1, 2, 3, 4]),
            keys_only: self.one_in(5),
            count_only: self.one_in(6),
            min_mod_revision: self.revision(now),
            ..Default::default()
        }
    }

    fn put(&mut self) -> pb::PutRequest {
        let (ignore_value, ignore_lease) = (self.one_in(6), self.one_in(6));
        // Now and then both are said, which is refused.
        let value = if ignore_value && !self.one_in(5) { "" } else { self.of(&["x", "yy", ""]) };
        let lease = if ignore_lease && !self.one_in(5) { 0 } else { self.of(&LEASES) };
        let prev_kv = self.one_in(3);
        pb::PutRequest { key: self.key(), value: value.into(), lease, prev_kv, ignore_value, ignore_lease }
    }

    /// Never to the end of all keys, or to one before the first: within a transaction etcd takes either for an interval that ends
    /// before it begins, overlooks what else touches it, or ends.
    fn delete(&mut self) -> pb::DeleteRangeRequest {
        let (key, mut range_end) = (self.key(), self.end());
        if range_end <= key {
            range_end = bytes::Bytes::new();
        }
        pb::DeleteRangeRequest { key, range_end, prev_kv: self.one_in(2) }
    }

    fn compare(&mut self, now: i64) -> pb::Compare {
        let target =
            self.of(&[CompareTarget::Version, CompareTarget::Create, CompareTarget::Mod, CompareTarget::Value]);
        let number = i64::try_from(self.below(usize::try_from(now).unwrap() + 2)).unwrap();
        let small = number % 4;
        let union = match target {
            CompareTarget::Version => TargetUnion::Version(small),
            CompareTarget::Create => TargetUnion::CreateRevision(if self.one_in(2) { 0 } else { number }),
            CompareTarget::Mod => TargetUnion::ModRevision(number),
            _ => TargetUnion::Value(self.of(&["x", "yy"]).into()),
        };
        let orders = [CompareResult::Equal, CompareResult::Greater, CompareResult::Less, CompareResult::NotEqual];
        pb::Compare {
            result: self.of(&orders).into(),
            target: target.into(),
            key: self.of(&KEYS).into(),
            range_end: if self.one_in(4) { self.end() } else { bytes::Bytes::new() },
            target_union: Some(union),
        }
    }

    fn steps(&mut self, now: i64, depth: usize) -> Vec<pb::RequestOp> {
        let count = self.below(4);
        let mut step = || {
            let request = match self.below(if depth > 0 { 7 } else { 6 }) {
                0 | 1 => Request::RequestRange(self.range(now)),
                2 | 3 => Request::RequestPut(self.put()),
                4 | 5 => Request::RequestDeleteRange(self.delete()),
                _ => Request::RequestTxn(self.txn(now, depth - 1)),
            };
            pb::RequestOp { request: Some(request) }
        };
        (0..count).map(|_| step()).collect()
    }

    fn txn(&mut self, now: i64, depth: usize) -> pb::TxnRequest {
        pb::TxnRequest {
            compare: (0..self.below(3)).map(|_| self.compare(now)).collect(),
            success: self.steps(now, depth),
            failure: self.steps(now, depth),
        }
    }
}

#[derive(Debug, Clone)]
enum Ask {
    Range(pb::RangeRequest),
    Put(pb::PutRequest),
    Delete(pb::DeleteRangeRequest),
    Txn(pb::TxnRequest),
    Compact(i64),
    Hash,
}

impl Ask {
    fn any(dice: &mut Dice, now: i64) -> Self {
        match dice.below(40) {
            0..=6 => Self::Range(dice.range(now)),
            7..=15 => Self::Put(dice.put()),
            16..=18 => Self::Delete(dice.delete()),
            19..=36 => Self::Txn(dice.txn(now, 2)),
            37 => Self::Compact((now - 8 + i64::try_from(dice.below(10)).unwrap()).max(1)),
            _ => Self::Hash,
        }
    }
}

/// What a header says beside who answers.
fn plain(header: &mut Option<pb::ResponseHeader>) {
    if let Some(header) = header {
        *header = pb::ResponseHeader { revision: header.revision, ..Default::default() };
    }
}

/// The revision that the answer names, and the answer in words.
async fn ask(channel: &Channel, ask: Ask) -> (Option<i64>, String) {
    let mut kv = KvClient::new(channel.clone());
    let refused = |status: Status| (None, format!("{:?}: {}", status.code(), status.message()));
    macro_rules! told {
        ($call:expr) => {
            match $call.await {
                Ok(answer) => {
                    let mut answer = answer.into_inner();
                    plain(&mut answer.header);
                    (answer.header.map(|header| header.revision), format!("{answer:?}"))
                }
                Err(status) => refused(status),
            }
        };
    }
    match ask {
        Ask::Range(request) => told!(kv.range(request)),
        Ask::Put(request) => told!(kv.put(request)),
        Ask::Delete(request) => told!(kv.delete_range(request)),
        Ask::Txn(request) => told!(kv.txn(request)),
        Ask::Compact(revision) => told!(kv.compact(pb::CompactionRequest { revision, physical: true })),
        Ask::Hash => {
            let mut maintenance = MaintenanceClient::new(channel.clone());
            match maintenance.hash_kv(pb::HashKvRequest { revision: 0 }).await {
                Ok(answer) => (None, format!("{} {}", answer.get_ref().hash, answer.get_ref().compact_revision)),
                Err(status) => refused(status),
            }
        }
    }
}

/// What a cluster of one says to the removal of its only member. (The code that etcd means does not reach the client: it answers
/// with the client's error for it, which is of no code that gRPC knows.)
async fn remove_last(channel: &Channel) -> String {
    let mut cluster = ClusterClient::new(channel.clone());
    let members = cluster.member_list(pb::MemberListRequest::default()).await.unwrap().into_inner().members;
    let refused = cluster.member_remove(pb::MemberRemoveRequest { id: members[0].id }).await.unwrap_err();
    refused.message().to_owned()
}

#[tokio::test]
async fn by_seed_every_answer_is_etcds() {
    if !is_installed() {
        eprintln!("SKIPPED: no etcd in the PATH (Debian: etcd-server); CI installs it");
        return;
    }
    let seeds = std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(2);
    for seed in 1..=seeds {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let ours = Server::start(here.path(), &[]);
        let etcd = Etcd::start(there.path()).unwrap();
        let (ours, theirs) = (ours.channel().await, to(etcd.url()).await);
        for channel in [&ours, &theirs] {
            let grant = pb::LeaseGrantRequest { id: LEASES[1], ttl: 6000 };
            LeaseClient::new(channel.clone()).lease_grant(grant).await.unwrap();
        }
        let (mut dice, mut now, mut refused, mut wrote) = (Dice(seed), 1, 0, 0);
        for number in 0..REQUESTS {
            let request = Ask::any(&mut dice, now);
            let (revision, answer) = ask(&ours, request.clone()).await;
            let (_, expected) = ask(&theirs, request.clone()).await;
            assert_eq!(answer, expected, "seed {seed}, request {number} at revision {now}: {request:#?}");
            refused += usize::from(revision.is_none());
            wrote += usize::from(revision.is_some_and(|revision| revision > now));
            now = revision.unwrap_or(now).max(now);
        }
        assert_eq!(remove_last(&ours).await, remove_last(&theirs).await);
        // Neither all refused nor nothing: the dice are worth something.
        assert!(refused > REQUESTS / 20 && wrote > REQUESTS / 6, "{refused} refused, {wrote} wrote, of {REQUESTS}");
    }
}
