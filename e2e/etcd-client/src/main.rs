//! The calls of crate etcd-client against a server of etcd's API: `etcd-client-calls URL[,URL…]` makes each, checks the answers, and
//! says `ok`. Run by `store/tests/etcd/crate_client.rs` against our server, alone and of three members, and against a real etcd.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use etcd_client::{
    AlarmAction, AlarmType, Client, CompactionOptions, Compare, CompareOp, ConnectOptions, DeleteOptions, EventType,
    GetOptions, LeaseGrantOptions, LeaseTimeToLiveOptions, LockOptions, MemberAddOptions, ProclaimOptions, PutOptions,
    ResignOptions, SortOrder, SortTarget, Txn, TxnOp, TxnOpResponse, WatchFilterType, WatchOptions, WatchStream,
};

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Result<()> {
    let urls = std::env::args().nth(1).context("which URLs?")?;
    let urls: Vec<&str> = urls.split(',').collect();
    let options = ConnectOptions::new().with_require_leader(true);
    let mut client = Client::connect(&urls, Some(options)).await?;
    keys(&mut client).await.context("keys")?;
    transactions(&mut client).await.context("transactions")?;
    watches(&mut client).await.context("watches")?;
    leases(&mut client).await.context("leases")?;
    locks(&mut client).await.context("locks")?;
    elections(&mut client).await.context("elections")?;
    cluster(&mut client).await.context("cluster")?;
    maintenance(&mut client, &urls).await.context("maintenance")?;
    println!("ok");
    Ok(())
}

async fn keys(client: &mut Client) -> Result<()> {
    for (key, value) in [("k/a", "3"), ("k/b", "1"), ("k/c", "2")] {
        client.put(key, value, None).await?;
    }
    let put = client.put("k/a", "4", Some(PutOptions::new().with_prev_key())).await?;
    ensure!(put.prev_key().is_some_and(|kv| kv.value() == b"3"), "{put:?}");
    let last = put.header().context("no header")?.revision();
    let sorted = GetOptions::new().with_prefix().with_sort(SortTarget::Value, SortOrder::Descend).with_limit(2);
    let page = client.get("k/", Some(sorted)).await?;
    let found: Vec<&[u8]> = page.kvs().iter().map(|kv| kv.key()).collect();
    ensure!(found == [b"k/a", b"k/c"] && page.more() && page.count() == 3, "{page:?}");
    let before = client.get("k/a", Some(GetOptions::new().with_revision(last - 1))).await?;
    ensure!(before.kvs()[0].value() == b"3", "{before:?}");
    let from = client.get("k/b", Some(GetOptions::new().with_from_key().with_keys_only())).await?;
    ensure!(from.kvs().len() >= 2 && from.kvs()[0].value().is_empty(), "{from:?}");
    let count = client.get("k/", Some(GetOptions::new().with_prefix().with_count_only().with_serializable())).await?;
    ensure!(count.kvs().is_empty(), "{count:?}");
    let kept = client.put("k/a", "", Some(PutOptions::new().with_ignore_value().with_prev_key())).await?;
    ensure!(kept.prev_key().is_some_and(|kv| kv.value() == b"4"), "{kept:?}");
    let deleted = client.delete("k/", Some(DeleteOptions::new().with_range("k/c").with_prev_key())).await?;
    ensure!(deleted.deleted() == 2 && deleted.prev_kvs()[0].value() == b"4", "{deleted:?}");
    client.compact(last, Some(CompactionOptions::new().with_physical())).await?;
    let refused = client.get("k/a", Some(GetOptions::new().with_revision(last - 1))).await;
    let text = refused.err().context("a compacted revision is read")?.to_string();
    ensure!(text.contains("mvcc: required revision has been compacted"), "{text}");
    Ok(())
}

async fn transactions(client: &mut Client) -> Result<()> {
    client.put("t", "1", None).await?;
    let swap = || {
        Txn::new()
            .when([Compare::value("t", CompareOp::Equal, "1"), Compare::version("t", CompareOp::Greater, 0)])
            .and_then([TxnOp::put("t", "2", Some(PutOptions::new().with_prev_key())), TxnOp::get("t", None)])
            .or_else([TxnOp::txn(Txn::new().and_then([TxnOp::get("t", None)]).or_else([TxnOp::delete("t", None)]))])
    };
    let done = client.txn(swap()).await?;
    ensure!(done.succeeded(), "{done:?}");
    match done.op_responses().as_slice() {
        [TxnOpResponse::Put(put), TxnOpResponse::Get(get)] => {
            ensure!(put.prev_key().is_some_and(|kv| kv.value() == b"1") && get.kvs()[0].value() == b"2", "{done:?}");
        }
        other => bail!("{other:?}"),
    }
    let other = client.txn(swap()).await?;
    ensure!(!other.succeeded(), "{other:?}");
    match other.op_responses().as_slice() {
        [TxnOpResponse::Txn(inner)] => match inner.op_responses().as_slice() {
            [TxnOpResponse::Get(get)] if inner.succeeded() => ensure!(get.kvs()[0].value() == b"2", "{inner:?}"),
            other => bail!("{other:?}"),
        },
        other => bail!("{other:?}"),
    }
    let twice = client.txn(Txn::new().and_then([TxnOp::put("t", "3", None), TxnOp::put("t", "4", None)])).await;
    let text = twice.err().context("a key is written twice")?.to_string();
    ensure!(text.contains("duplicate key given in txn request"), "{text}");
    Ok(())
}

/// The events of the next responses, until there are so many.
async fn events(stream: &mut WatchStream, count: usize) -> Result<Vec<(EventType, i64, Option<i64>)>> {
    let mut found = Vec::new();
    while found.len() < count {
        let next = tokio::time::timeout(PATIENCE, stream.message()).await.context("no event")?;
        let response = next?.context("the stream ended")?;
        ensure!(!response.canceled(), "{response:?}");
        for event in response.events() {
            let kv = event.kv().context("an event of nothing")?;
            found.push((event.event_type(), kv.mod_revision(), event.prev_kv().map(|kv| kv.mod_revision())));
        }
    }
    Ok(found)
}

async fn watches(client: &mut Client) -> Result<()> {
    let first = client.put("w/a", "1", None).await?.header().context("no header")?.revision();
    client.put("w/a", "2", None).await?;
    client.delete("w/a", None).await?;
    // From an old revision on, with what was there before.
    let options = WatchOptions::new().with_prefix().with_start_revision(first).with_prev_key();
    let mut stream = client.watch("w/", Some(options)).await?;
    let seen = events(&mut stream, 3).await?;
    let wanted = [
        (EventType::Put, first, None),
        (EventType::Put, first + 1, Some(first)),
        (EventType::Delete, first + 2, Some(first + 1)),
    ];
    ensure!(seen == wanted, "{seen:?}");
    // Another watch on the same stream, of deletions only.
    let filtered = WatchOptions::new().with_prefix().with_filters([WatchFilterType::NoPut]);
    stream.watch("x/", Some(filtered)).await?;
    client.put("x/a", "1", None).await?;
    client.delete("x/a", None).await?;
    let seen = events(&mut stream, 1).await?;
    ensure!(seen == [(EventType::Delete, first + 4, None)], "{seen:?}");
    stream.request_progress().await?;
    let progress = tokio::time::timeout(PATIENCE, stream.message()).await.context("no progress")??;
    let progress = progress.context("the stream ended")?;
    ensure!(progress.events().is_empty(), "{progress:?}");
    ensure!(progress.header().is_some_and(|header| header.revision() == first + 4), "{progress:?}");
    stream.cancel(0).await?;
    let cancelled = stream.message().await?.context("the stream ended")?;
    ensure!(cancelled.canceled() && cancelled.watch_id() == 0, "{cancelled:?}");
    Ok(())
}

async fn leases(client: &mut Client) -> Result<()> {
    let granted = client.lease_grant(60, Some(LeaseGrantOptions::new().with_id(4711))).await?;
    ensure!(granted.id() == 4711 && granted.ttl() == 60, "{granted:?}");
    client.put("l/a", "1", Some(PutOptions::new().with_lease(4711))).await?;
    let (mut keeper, mut kept) = client.lease_keep_alive(4711).await?;
    keeper.keep_alive().await?;
    let alive = kept.message().await?.context("the stream ended")?;
    ensure!(alive.ttl() == 60, "{alive:?}");
    let left = client.lease_time_to_live(4711, Some(LeaseTimeToLiveOptions::new().with_keys())).await?;
    ensure!(left.granted_ttl() == 60 && left.keys() == [b"l/a"], "{left:?}");
    ensure!(client.leases().await?.leases().iter().any(|lease| lease.id() == 4711), "it is not listed");
    client.lease_revoke(4711).await?;
    ensure!(client.get("l/a", None).await?.kvs().is_empty(), "a key without its lease");
    let gone = client.lease_revoke(4711).await.err().context("revoked twice")?.to_string();
    ensure!(gone.contains("requested lease not found"), "{gone}");
    // One that nobody keeps alive.
    let short = client.lease_grant(1, None).await?.id();
    let mut stream = client.watch("l/b", None).await?;
    client.put("l/b", "1", Some(PutOptions::new().with_lease(short))).await?;
    let seen = events(&mut stream, 2).await?;
    ensure!(seen[1].0 == EventType::Delete, "{seen:?}");
    Ok(())
}

async fn locks(client: &mut Client) -> Result<()> {
    let lease = client.lease_grant(60, None).await?.id();
    let first = client.lock("lock", None).await?;
    ensure!(first.key().starts_with(b"lock/"), "{first:?}");
    let mut other = client.clone();
    let second = tokio::spawn(async move { other.lock("lock", Some(LockOptions::new().with_lease(lease))).await });
    let two = async {
        loop {
            let waiting = client.get("lock/", Some(GetOptions::new().with_prefix().with_count_only())).await?;
            if waiting.count() == 2 {
                return Ok::<(), etcd_client::Error>(());
            }
        }
    };
    tokio::time::timeout(PATIENCE, two).await.context("the second does not queue")??;
    ensure!(!second.is_finished(), "two hold the lock");
    client.unlock(first.key()).await?;
    let second = tokio::time::timeout(PATIENCE, second).await.context("the lock is not passed on")???;
    client.unlock(second.key()).await?;
    Ok(())
}

async fn elections(client: &mut Client) -> Result<()> {
    let lease = client.lease_grant(60, None).await?.id();
    let leader = client.campaign("election", "one", lease).await?.leader().context("no leader")?.clone();
    ensure!(leader.name() == b"election" && leader.lease() == lease, "{leader:?}");
    let mut observed = client.observe("election").await?;
    let said = observed.message().await?.context("the stream ended")?;
    ensure!(said.kv().is_some_and(|kv| kv.value() == b"one"), "{said:?}");
    client.proclaim("again", Some(ProclaimOptions::new().with_leader(leader.clone()))).await?;
    let said = observed.message().await?.context("the stream ended")?;
    ensure!(said.kv().is_some_and(|kv| kv.value() == b"again"), "{said:?}");
    ensure!(client.leader("election").await?.kv().is_some_and(|kv| kv.key() == leader.key()), "another leader");
    client.resign(Some(ResignOptions::new().with_leader(leader))).await?;
    let nobody = client.leader("election").await.err().context("there is a leader")?.to_string();
    ensure!(nobody.contains("election: no leader"), "{nobody}");
    Ok(())
}

async fn cluster(client: &mut Client) -> Result<()> {
    let before = client.member_list().await?.members().len();
    let learner = MemberAddOptions::new().with_is_learner();
    let added = client.member_add(["http://127.0.0.1:1"], Some(learner)).await?;
    let id = added.member().context("no member")?.id();
    ensure!(added.member_list().len() == before + 1, "{added:?}");
    client.member_update(id, ["http://127.0.0.1:2".to_owned()]).await?;
    let early = client.member_promote(id).await.err().context("promoted")?.to_string();
    ensure!(early.contains("can only promote a learner member which is in sync with leader"), "{early}");
    client.member_remove(id).await?;
    let listed = client.member_list().await?;
    ensure!(listed.members().len() == before && listed.members().iter().all(|member| member.id() != id), "{listed:?}");
    Ok(())
}

async fn maintenance(client: &mut Client, urls: &[&str]) -> Result<()> {
    let alarms = client.alarm(AlarmAction::Get, AlarmType::None, None).await?;
    ensure!(alarms.alarms().is_empty(), "{alarms:?}");
    client.defragment().await?;
    ensure!(client.hash().await?.hash() != 0, "no hash");
    ensure!(client.hash_kv(0).await?.hash() != 0, "no hash");
    let mut snapshot = client.snapshot().await?;
    let mut bytes = 0;
    while let Some(part) = snapshot.message().await? {
        bytes += part.blob().len();
        if part.remaining_bytes() == 0 {
            break;
        }
    }
    ensure!(bytes > 32, "a snapshot of {bytes} bytes");
    let mut leaders = Vec::new();
    for url in urls {
        let status = Client::connect([url], None).await?.status().await?;
        ensure!(status.db_size() > 0 && status.raft_term() > 0 && !status.is_learner(), "{status:?}");
        leaders.push((status.leader(), status.header().context("no header")?.member_id()));
    }
    ensure!(leaders.iter().all(|(leader, _)| *leader == leaders[0].0), "{leaders:?}");
    if let Some((_, other)) = leaders.iter().find(|(leader, own)| leader != own) {
        let at = leaders.iter().position(|(leader, own)| leader == own).context("no leader")?;
        Client::connect([urls[at]], None).await?.move_leader(*other).await?;
    }
    let auth = client.user_list().await;
    println!("users: {}", auth.map_or_else(|error| error.to_string(), |users| format!("{:?}", users.users())));
    Ok(())
}
