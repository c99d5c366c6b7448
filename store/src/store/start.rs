//! How a store starts: the directory is locked and read, a new one is founded, the member is set up.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use proto::log::{Entry, Identity, Member as Info};

use crate::checkpoint::{self, Loaded};
use crate::cluster::{Cluster, contexts};
use crate::disk::Disk;
use crate::inbox::Inbox;
use crate::log::{self, Log, Recovered};
use crate::member::{Input, Member, Setup, replay};
use crate::options::{OpenError, Options};
use crate::peer::{Around, Door, Peers, ask_cluster};
use crate::raft::{Config, foundation};
use crate::random::random;
use crate::shared::Core;
use crate::state::State;
use crate::writer::{Outside, Writer};

/// Between two ticks, unless the options say otherwise (etcd's heartbeat interval).
pub(super) const TICK: Duration = Duration::from_millis(100);
/// How long a first start waits for what others know.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a member with an empty directory is.
pub(super) enum Founding {
    /// One of those who found the cluster.
    Founder,
    /// One that was added to a cluster that exists.
    Joiner {
        cluster: u64,
        member: u64,
        /// Where the others are.
        others: Vec<Info>,
    },
}

/// A writer that is ready to run.
pub(super) struct Prepared {
    pub(super) writer: Writer,
    pub(super) inbox: Arc<Inbox>,
    pub(super) lock: Box<dyn Any + Send>,
    pub(super) identity: Identity,
    pub(super) peers: Option<Peers>,
}

/// Asks the other members what they know, if this is the first start of a member of several.
pub(super) async fn ask_others(options: &Options) -> Result<Founding, OpenError> {
    let Some(cluster) = &options.cluster else { return Ok(Founding::Founder) };
    let names = options.disk.create_dir(&options.dir).and_then(|()| options.disk.list(&options.dir));
    let names = names.map_err(|error| OpenError::io(&options.dir, "list", error))?;
    let fresh = !names.iter().any(|name| name.starts_with("log-"));
    if !fresh && !cluster.existing {
        return Ok(Founding::Founder);
    }
    let own = |url: &String| cluster.advertise_peer_urls.contains(url);
    let urls: Vec<String> = cluster.initial.iter().map(|(_, url)| url.clone()).filter(|url| !own(url)).collect();
    let refused = |text: String| Err(OpenError::Cluster(text));
    if !cluster.existing {
        let id = cluster.founder_id().unwrap_or_default();
        let answer = ask_cluster(&urls, &cluster.tls, id, PATIENCE).await;
        if answer.is_some_and(|answer| answer.known) {
            return refused(format!(
                "member {id:x} has already taken part, but its directory {} is empty: its votes are lost. Remove it from \
                 the cluster and add a new member (with initial cluster state \"existing\")",
                options.dir.display()
            ));
        }
        return Ok(Founding::Founder);
    }
    let Some(answer) = ask_cluster(&urls, &cluster.tls, 0, PATIENCE).await else {
        if fresh {
            return refused("no member of the existing cluster answers".into());
        }
        return Ok(Founding::Joiner { cluster: 0, member: 0, others: Vec::new() });
    };
    let me = answer.members.iter().find(|member| member.peer_urls.iter().any(own));
    match me {
        Some(me) if fresh && me.nonce != 0 => refused(format!(
            "member {:x} has already taken part, but its directory {} is empty: remove it, and add a new member",
            me.id,
            options.dir.display()
        )),
        Some(me) => {
            let others = answer.members.iter().filter(|member| member.id != me.id).cloned().collect();
            Ok(Founding::Joiner { cluster: answer.cluster, member: me.id, others })
        }
        None if fresh => refused(format!(
            "the existing cluster has no member with one of the peer URLs {:?}: add it first",
            cluster.advertise_peer_urls
        )),
        None => Ok(Founding::Joiner { cluster: 0, member: 0, others: Vec::new() }),
    }
}

/// Makes everything ready; a member that is alone leads when this returns.
pub(super) fn prepare(options: &Options, founding: &Founding) -> Result<Prepared, OpenError> {
    let started = Instant::now();
    let door = match &options.cluster {
        Some(cluster) => Some(Door::open(&cluster.listen_peer_urls, &cluster.tls)?),
        None => None,
    };
    let Found { lock, state, log, applied, saved } = recover(options, founding)?;
    let identity = log.identity();
    tracing::info!(
        dir = %options.dir.display(), member = format!("{:x}", identity.member), revision = state.revision(),
        index = log.next_index() - 1, term = log.last_term(), live_bytes = state.live_bytes(),
        took = ?started.elapsed(), "opened the store"
    );
    let core = Arc::new(Core::new(state, options.progress_interval, Arc::clone(&options.clock)));
    let (inbox, outlet) = Inbox::new();
    let peers = door.map(|door| {
        let cluster = options.cluster.clone();
        let around = Around {
            me: identity,
            core: Arc::clone(&core),
            disk: Arc::clone(&options.disk),
            dir: options.dir.clone(),
            inbox: Arc::clone(&inbox),
            tls: cluster.map(|cluster| cluster.tls).unwrap_or_default(),
        };
        Peers::new(around, door)
    });
    let member = Member::new(Arc::clone(&core), log, applied, setup(options, identity, saved));
    let outside = Outside {
        core: Arc::clone(&core),
        disk: Arc::clone(&options.disk),
        dir: options.dir.clone(),
        reports: Arc::clone(&inbox),
        peers: peers.clone(),
        unsent: BTreeMap::new(),
        at_once: true,
        leader: 0,
        saving: None,
    };
    let mut writer = Writer { core, member, inbox: outlet, outside, fatal: Arc::clone(&options.fatal) };
    if let Some(peers) = &peers {
        introduce(peers, &writer.core, founding);
    }
    writer.begin().map_err(|error| OpenError::io(&options.dir, "begin to write", std::io::Error::other(error)))?;
    Ok(Prepared { writer, inbox, lock, identity, peers })
}

/// Tells where the others are: as the state has it, or else as the cluster said.
fn introduce(peers: &Peers, core: &Core, founding: &Founding) {
    let state = core.state.read();
    if state.members().iter().next().is_some() {
        peers.members_changed(state.members());
    } else if let Founding::Joiner { others, .. } = founding {
        let others: HashMap<_, _> = others.iter().map(|other| (other.id, other.peer_urls.clone())).collect();
        peers.reach(others);
    }
}

fn setup(options: &Options, identity: Identity, saved: u64) -> Setup {
    let mut raft = Config::new(identity.member, random());
    if let Some(cluster) = &options.cluster {
        raft.heartbeat_ticks = 1;
        raft.election_ticks = ticks(cluster);
    }
    Setup { raft, trim_bytes: options.trim_bytes, saved }
}

fn ticks(cluster: &Cluster) -> u32 {
    let heartbeat = cluster.heartbeat.as_millis().max(1);
    u32::try_from(cluster.election.as_millis() / heartbeat).unwrap_or(u32::MAX).max(2)
}

/// What a directory holds.
struct Found {
    lock: Box<dyn Any + Send>,
    state: State,
    log: Log,
    /// The last entry that the state contains.
    applied: u64,
    /// The entry of the checkpoint that the start began with.
    saved: u64,
}

/// Removes what was being made, or given back, when the process before ended.
fn remove_temporary(disk: &dyn Disk, dir: &Path, names: Vec<String>) -> Result<(), OpenError> {
    for path in names.iter().filter(|name| name.ends_with(".tmp")).map(|name| dir.join(name)) {
        match disk.remove(&path) {
            // A store on this directory that has just ended in this process is giving it back.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            removed => removed.map_err(|error| OpenError::io(&path, "remove", error))?,
        }
    }
    Ok(())
}

/// Locks the directory and brings the state up to what is known to be committed.
fn recover(options: &Options, founding: &Founding) -> Result<Found, OpenError> {
    let (disk, dir) = (&*options.disk, options.dir.as_path());
    disk.create_dir(dir).map_err(|error| OpenError::io(dir, "create", error))?;
    let lock = disk.lock(&dir.join("LOCK")).map_err(|error| OpenError::io(dir.join("LOCK"), "lock", error))?;
    let Some(lock) = lock else { return Err(OpenError::Locked(dir.to_owned())) };
    remove_temporary(disk, dir, disk.list(dir).map_err(|error| OpenError::io(dir, "list", error))?)?;
    let Loaded { mut state, head, mut damage } = checkpoint::load(disk, dir)?;
    let (identity, founders) = identify(options, founding)?;
    let apply = &mut |entry: Entry| replay(&mut state, entry);
    let opened = log::open(options, (head.index, head.term), identity, apply);
    let Recovered { mut log, mut applied, .. } = match opened {
        // The log does not make up for it: what is wrong is the checkpoint.
        Err(error) if !damage.is_empty() => {
            tracing::error!(%error, "the log does not reach back to an older checkpoint of the store");
            return Err(damage.swap_remove(0));
        }
        opened => opened?,
    };
    checkpoint::settle(disk, dir, head.index)?;
    if log.next_index() == 1 && !founders.is_empty() {
        let mut founders = founders;
        // As it was made: a start may have been cut short between the log's first file and its first entry.
        if let [(id, info)] = founders.as_mut_slice() {
            (*id, info.id, info.nonce) = (log.identity().member, log.identity().member, log.identity().nonce);
        }
        let (hard, entries) = foundation(&contexts(&founders));
        let written = log.append(&mut entries.clone(), hard);
        written.map_err(|error| OpenError::io(dir, "found the log", std::io::Error::other(error)))?;
        for entry in entries {
            applied = entry.index;
            let result = replay(&mut state, entry);
            result.map_err(|what| OpenError::io(dir, "found the log", std::io::Error::other(what)))?;
        }
    }
    while state.sweep(usize::MAX) {}
    Ok(Found { lock, state, log, applied, saved: head.index })
}

/// Who a member with an empty directory is, and who founds the cluster (nobody: it exists).
fn identify(options: &Options, founding: &Founding) -> Result<(Identity, Vec<(u64, Info)>), OpenError> {
    let nonce = random();
    match (&options.cluster, founding) {
        (None, _) => {
            let (member, cluster) = (random(), random());
            let info = Info { id: member, name: "default".into(), nonce, ..Info::default() };
            Ok((Identity { cluster, member, nonce }, vec![(member, info)]))
        }
        (Some(_), Founding::Joiner { cluster, member, .. }) => {
            Ok((Identity { cluster: *cluster, member: *member, nonce }, Vec::new()))
        }
        (Some(cluster), Founding::Founder) => {
            let (id, founders) = cluster.founders();
            let Some(member) = cluster.founder_id() else {
                return Err(OpenError::Cluster(format!("{:?} is not in its own initial cluster", cluster.name)));
            };
            Ok((Identity { cluster: id, member, nonce }, founders))
        }
    }
}

/// Ticks for the member, as long as time matters to it.
pub(super) async fn tick(core: Arc<Core>, inbox: Arc<Inbox>, every: Duration) {
    let mut interval = tokio::time::interval(every);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while core.open().is_ok() {
        let changed = core.membership_changed.notified();
        if !core.wants_ticks.load(Ordering::Acquire) {
            changed.await;
            continue;
        }
        interval.tick().await;
        if inbox.send(Input::Tick).is_err() {
            return;
        }
    }
}

/// A member without threads, clock and network around it, for the simulation and for fuzzing.
pub(crate) struct Bare<T> {
    pub(crate) core: Arc<Core>,
    pub(crate) member: Member<T>,
    /// Holds the directory.
    pub(crate) _lock: Box<dyn Any + Send>,
}

/// Starts one; `joins`: the cluster that has added it, and its ID there.
pub(crate) fn bare<T>(options: &Options, joins: Option<(u64, u64)>, seed: u64) -> Result<Bare<T>, OpenError> {
    let founding = match joins {
        None => Founding::Founder,
        Some((cluster, member)) => Founding::Joiner { cluster, member, others: Vec::new() },
    };
    let Found { lock, state, log, applied, saved } = recover(options, &founding)?;
    let core = Arc::new(Core::new(state, options.progress_interval, Arc::clone(&options.clock)));
    let setup = setup(options, log.identity(), saved);
    let raft = Config { seed, max_append_bytes: 2 << 10, max_inflight_bytes: 8 << 10, ..setup.raft };
    let member = Member::new(Arc::clone(&core), log, applied, Setup { raft, ..setup });
    Ok(Bare { core, member, _lock: lock })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{MemoryDisk, RealDisk};
    use crate::kv::{Error, Kv, Range};
    use crate::store::Store;
    use crate::testing::{put, single, text};

    const DEADLINE: Duration = Duration::from_secs(60);

    /// Time passes quickly here: whoever waits for a leader gives up after 0.35 s.
    fn open(disk: &MemoryDisk) -> Arc<Store> {
        let cluster = Cluster::new("a", "http://127.0.0.1:0");
        let (heartbeat, election) = (Duration::from_millis(5), Duration::from_millis(50));
        let cluster = Some(Cluster { heartbeat, election, ..cluster });
        Store::start(Options { disk: Arc::new(disk.clone()), cluster, ..Options::in_memory() }, Founding::Founder)
            .unwrap()
    }

    async fn in_time<T>(what: impl Future<Output = T>) -> T {
        tokio::time::timeout(DEADLINE, what).await.unwrap()
    }

    /// The log's last group counts as committed only once the member leads again, and its vote does not fit on the disk.
    #[tokio::test]
    async fn without_room_for_its_vote_a_member_alone_answers_nothing_old() {
        let disk = MemoryDisk::new();
        let store = open(&disk);
        // Until it has told the cluster about itself: nothing follows the write into the log then.
        let told = || store.core.state.read().members().get(store.member_id()).is_some_and(|me| me.nonce != 0);
        in_time(async {
            while !told() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let revision = put(&*store, "k", "v").await.unwrap().revision;
        store.close().await;
        drop(store);
        // Without what was reserved in the log's file.
        let disk = disk.copy();
        disk.fill_after(0);
        let store = open(&disk);
        assert!(store.local_revision() < revision, "the write is known to be committed: there is nothing to be missed");
        assert_eq!(in_time(store.revision()).await, Err(Error::TimedOut));
        assert_eq!(in_time(store.range(single("k", 0))).await, Err(Error::TimedOut));
        assert_eq!(in_time(store.hash_kv(0)).await, Err(Error::TimedOut));
        assert_eq!(in_time(put(&*store, "k", "w")).await, Err(Error::TimedOut));
        assert!(!store.is_private());
        store.range(Range { serializable: true, ..single("k", 0) }).await.unwrap();

        disk.free_space();
        let found = in_time(async {
            loop {
                if let Ok(page) = store.range(single("k", 0)).await {
                    return text(&page);
                }
            }
        });
        assert_eq!(found.await, format!("k=v@{revision}"));
        assert!(store.is_private());
        put(&*store, "k", "x").await.unwrap();
        store.close().await;
    }

    #[test]
    fn what_somebody_else_gives_back_may_be_gone_by_then() {
        let dir = tempfile::tempdir().unwrap();
        let names = ["gone-1-0.tmp", "log-1"].map(str::to_owned).to_vec();
        for disk in [&MemoryDisk::new() as &dyn Disk, &RealDisk] {
            disk.create_dir(dir.path()).unwrap();
            remove_temporary(disk, dir.path(), names.clone()).unwrap();
        }
    }
}
