//! The in-process store: opens the directory, starts the writer, and answers [`Kv`].

mod alarm;
mod backup;
mod compare;
mod figures;
mod lease;
mod members;
mod start;

use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt};
use futures::stream::BoxStream;
use proto::log::Identity;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch as flag};

use crate::check;
use crate::inbox::{Inbox, Ticket};
use crate::kv::{ClusterError, Error, Kv, Page, Range, Revision, Signal, Txn, TxnReply, WatchOptions};
use crate::member::{Done, Input};
use crate::options::{OpenError, Options};
use crate::peer::Peers;
use crate::quota;
use crate::request;
use crate::shared::{Core, stopped};
use crate::state::{Outcome, puts};
use crate::turn;
use crate::watch;
use start::Founding;

pub(crate) use backup::Backup;
pub(crate) use compare::keep_comparing;
pub use lease::LeaseInfo;
pub use members::{MemberInfo, StoreStatus};
pub(crate) use start::{Bare, bare};

/// Keys read while the state is locked; between two portions writers, and other tasks, have their turn.
const PORTION: usize = 1024;
/// Kilobytes of requests that may wait for the log; who comes later waits before it has queued anything.
const WAITING_KIB: usize = 32 << 10;

/// A store in this process. It closes when its context stops, at [`Store::close`], or when the last pointer to it is
/// dropped; what was acknowledged is durable in any case.
pub struct Store {
    core: Arc<Core>,
    /// The writer's. `waiting` bounds the requests in it, by bytes.
    inbox: Arc<Inbox>,
    waiting: Arc<Semaphore>,
    max_request_bytes: usize,
    max_txn_ops: usize,
    quota_bytes: u64,
    identity: Identity,
    peers: Option<Peers>,
    ended: flag::Receiver<bool>,
}

impl Store {
    /// Opens the store in `options.dir`, replaying its log, and keeps it open until `context` stops. Must be called in
    /// a tokio runtime.
    ///
    /// # Errors
    /// When another process has it open, a file cannot be read or written, or the log is damaged.
    pub fn open(options: Options, context: &base::Context) -> Result<Arc<Self>, OpenError> {
        if options.cluster.as_ref().is_some_and(|cluster| cluster.existing || cluster.initial.len() > 1) {
            return Err(OpenError::Cluster("a member of several is opened by open_member".into()));
        }
        Self::open_as(options, Founding::Founder, context)
    }

    /// A store whose log is on a disk in memory, for tests: the same code, gone with the last pointer to it.
    pub fn in_memory() -> Arc<Self> {
        match Self::start(Options::in_memory(), Founding::Founder) {
            Ok(store) => store,
            Err(error) => unreachable!("an empty disk in memory was refused: {error}"),
        }
    }

    /// Opens the store as a member of `options.cluster`: a first start asks the other members before it takes part, so
    /// that a member that has lost its data is not taken for itself. Without a cluster, the same as [`Store::open`].
    ///
    /// # Errors
    /// As [`Store::open`]; and when the member cannot be what it is told to be.
    pub async fn open_member(options: Options, context: &base::Context) -> Result<Arc<Self>, OpenError> {
        let founding = start::ask_others(&options).await?;
        Self::open_as(options, founding, context)
    }

    fn open_as(options: Options, founding: Founding, context: &base::Context) -> Result<Arc<Self>, OpenError> {
        let store = Self::start(options, founding)?;
        let (weak, stop) = (Arc::downgrade(&store), context.clone());
        let mut ended = store.ended.clone();
        context.spawn_graceful("store", async move {
            tokio::select! {
                () = stop.stopped() => {}
                _ = ended.wait_for(|ended| *ended) => {}
            }
            if let Some(store) = weak.upgrade() {
                store.close().await;
            }
        });
        Ok(store)
    }

    fn start(options: Options, founding: Founding) -> Result<Arc<Self>, OpenError> {
        let start::Prepared { writer, inbox, lock, identity, peers } = start::prepare(&options, &founding)?;
        let core = Arc::clone(&writer.core);
        let (end, ended) = flag::channel(false);
        let thread = std::thread::Builder::new().name("store-log".into());
        let prompt = options.prompt;
        let run = move || {
            if prompt && let Err(error) = turn::bring_forward() {
                tracing::debug!(%error, "the log's thread waits for its turn like any other");
            }
            writer.run();
            drop(lock);
            let _ = end.send(true);
        };
        thread.spawn(run).map_err(|error| OpenError::io(&options.dir, "start the log's thread", error))?;
        let tick = options.cluster.as_ref().map_or(start::TICK, |cluster| cluster.heartbeat);
        let store = Arc::new(Self {
            core: Arc::clone(&core),
            inbox: Arc::clone(&inbox),
            waiting: Arc::new(Semaphore::new(WAITING_KIB)),
            max_request_bytes: options.max_request_bytes,
            max_txn_ops: options.max_txn_ops,
            quota_bytes: if options.quota_bytes == 0 { quota::default_quota() } else { options.quota_bytes },
            identity,
            peers,
            ended,
        });
        tokio::spawn(start::tick(Arc::clone(&core), inbox, tick));
        tokio::spawn(lease::expire(core, Arc::downgrade(&store)));
        if let Some(cluster) = options.cluster {
            tokio::spawn(members::publish(Arc::downgrade(&store), cluster));
        }
        Ok(store)
    }

    /// What the store's parts share.
    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// Bytes that the keys may take with their history.
    pub fn quota(&self) -> u64 {
        self.quota_bytes
    }

    /// Who this member is.
    pub fn member_id(&self) -> u64 {
        self.identity.member
    }

    /// The cluster that it is a member of.
    pub fn cluster_id(&self) -> u64 {
        self.identity.cluster
    }

    /// Finishes the writes under way and lets go of the directory. Later requests are refused.
    pub async fn close(&self) {
        self.inbox.close();
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
        if let Some(peers) = &self.peers {
            peers.stopped().await;
        }
    }

    /// Waits until the store has ended, whoever ended it.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut ended = self.ended.clone();
        async move { drop(ended.wait_for(|ended| *ended).await) }
    }

    pub(crate) async fn propose(&self, request: bytes::Bytes) -> Result<Outcome, Error> {
        if request.len() > self.max_request_bytes {
            return Err(Error::TooLarge);
        }
        let size = u32::try_from(request.len() / 1024 + 1).unwrap_or(u32::MAX).min(WAITING_KIB as u32);
        let share = Arc::clone(&self.waiting).acquire_many_owned(size).await.map_err(|_| stopped())?;
        let pending = self.core.metrics.pending();
        let answer = self.tell(Some(share), |ticket| Input::Propose(request, ticket)).await;
        pending.over(matches!(answer, Err(Error::TimedOut | Error::Cluster(ClusterError::LeaderChanged))));
        match answer? {
            Done::Applied(outcome) => Ok(outcome),
            other => Err(Error::Corrupt(format!("a request was answered with {other:?}"))),
        }
    }

    /// Gives the member something to do and waits for what comes of it.
    async fn tell(
        &self,
        share: Option<OwnedSemaphorePermit>,
        input: impl FnOnce(Ticket) -> Input<Ticket>,
    ) -> Result<Done, Error> {
        let (reply, answer) = oneshot::channel();
        let input = input(Ticket { reply, _share: share });
        self.inbox.send(input).map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }

    /// Returns when this member's state contains everything that was acknowledged before the call.
    async fn catch_up(&self) -> Result<(), Error> {
        self.core.open()?;
        if self.core.knows_all() {
            return Ok(());
        }
        self.tell(None, Input::Read).await.map(|_| ())
    }

    async fn read(&self, range: Range) -> Result<Page, Error> {
        self.core.open()?;
        self.core.state.read().alarms().check(false)?;
        if range.key.is_empty() {
            return Err(Error::EmptyKey);
        }
        if !range.serializable {
            self.catch_up().await?;
        }
        'again: loop {
            let mut scan = self.core.state.read().scan(&range)?;
            loop {
                let advanced = self.core.state.read().advance(&mut scan, PORTION);
                match advanced {
                    Ok(true) => return Ok(scan.finish()),
                    Ok(false) => tokio::task::yield_now().await,
                    // "Now" was compacted away between two portions: there is a newer now.
                    Err(Error::Compacted(_)) if range.revision == 0 => continue 'again,
                    Err(error) => return Err(error),
                }
            }
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.inbox.close();
        if let Some(peers) = &self.peers {
            peers.stop();
        }
    }
}

impl Kv for Store {
    fn range(&self, range: Range) -> BoxFuture<'_, Result<Page, Error>> {
        self.read(range).boxed()
    }

    fn txn(&self, txn: Txn) -> BoxFuture<'_, Result<TxnReply, Error>> {
        async move {
            check::check(&txn, self.max_txn_ops)?;
            if request::reads_only(&txn) {
                self.catch_up().await?;
                return self.core.state.read().read_txn(&txn);
            }
            let request = request::encode_txn(&txn);
            if puts(&txn) {
                self.room(request.len()).await?;
            }
            match self.propose(request).await? {
                Outcome::Txn(reply) => Ok(reply),
                other => Err(Error::Corrupt(format!("a transaction was answered with {other:?}"))),
            }
        }
        .boxed()
    }

    fn watch(&self, range: Range, options: WatchOptions) -> BoxStream<'static, Result<Signal, Error>> {
        watch::watch(Arc::clone(&self.core), &range, options)
    }

    fn compact(&self, upto: Revision) -> BoxFuture<'_, Result<(), Error>> {
        async move {
            self.catch_up().await?;
            self.core.state.read().check_compaction(upto)?;
            self.propose(request::encode_compaction(upto)).await.map(|_| ())
        }
        .boxed()
    }

    fn revision(&self) -> BoxFuture<'_, Result<Revision, Error>> {
        // Who was answered was so after its change had been published; what is applied and not yet published is nobody's.
        async move { self.catch_up().await.map(|()| self.core.published()) }.boxed()
    }

    fn local_revision(&self) -> Revision {
        self.core.published()
    }

    fn is_private(&self) -> bool {
        self.core.knows_all()
    }
}
