//! The in-process store: opens the directory, starts the writer, and answers [`Kv`].

mod alarm;
mod lease;

use std::any::Any;
use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt};
use futures::stream::BoxStream;
use proto::log::{Entry, Identity};
use tokio::sync::{Semaphore, mpsc, oneshot, watch as flag};

use crate::check;
use crate::kv::{Error, Kv, Page, Range, Revision, Signal, Txn, TxnReply, WatchOptions};
use crate::log::{self, Log};
use crate::options::{OpenError, Options};
use crate::quota;
use crate::request;
use crate::shared::{Core, stopped};
use crate::snapshot;
use crate::state::{At, Outcome, State, puts};
use crate::turn;
use crate::watch;
use crate::writer::{Message, Proposal, Trim, Writer};

pub use lease::LeaseInfo;

/// Keys read while the state is locked; between two portions writers, and other tasks, have their turn.
const PORTION: usize = 1024;
/// Kilobytes of requests that may wait for the log; who comes later waits before it has queued anything.
const WAITING_KIB: usize = 32 << 10;

/// A store in this process. It closes when its context stops, at [`Store::close`], or when the last pointer to it is
/// dropped; what was acknowledged is durable in any case.
pub struct Store {
    core: Arc<Core>,
    /// Unbounded by itself; `waiting` bounds what is in it, by bytes.
    writer: mpsc::UnboundedSender<Message>,
    waiting: Arc<Semaphore>,
    max_request_bytes: usize,
    max_txn_ops: usize,
    quota_bytes: u64,
    ended: flag::Receiver<bool>,
}

impl Store {
    /// Opens the store in `options.dir`, replaying its log, and keeps it open until `context` stops. Must be called in
    /// a tokio runtime.
    ///
    /// # Errors
    /// When another process has it open, a file cannot be read or written, or the log is damaged.
    pub fn open(options: Options, context: &base::Context) -> Result<Arc<Self>, OpenError> {
        let store = Self::start(options)?;
        let (weak, stop) = (Arc::downgrade(&store), context.clone());
        let mut ended = store.ended.clone();
        context.spawn_graceful("store", async move {
            tokio::select! {
                () = stop.stopped() => {}
                _ = ended.wait_for(|ended| *ended) => return,
            }
            if let Some(store) = weak.upgrade() {
                store.close().await;
            }
        });
        Ok(store)
    }

    /// A store whose log is on a disk in memory, for tests: the same code, gone with the last pointer to it.
    pub fn in_memory() -> Arc<Self> {
        match Self::start(Options::in_memory()) {
            Ok(store) => store,
            Err(error) => unreachable!("an empty disk in memory was refused: {error}"),
        }
    }

    fn start(options: Options) -> Result<Arc<Self>, OpenError> {
        let started = std::time::Instant::now();
        let (lock, state, log) = recover(&options)?;
        tracing::info!(
            dir = %options.dir.display(), revision = state.revision(), index = log.next_index() - 1,
            term = log.last_term(), live_bytes = state.live_bytes(), took = ?started.elapsed(), "opened the store"
        );
        let core = Arc::new(Core::new(state, options.progress_interval));
        let (sender, inbox) = mpsc::unbounded_channel();
        let (end, ended) = flag::channel(false);
        let trim = Trim {
            disk: Arc::clone(&options.disk),
            dir: options.dir.clone(),
            bytes: options.trim_bytes,
            reports: sender.downgrade(),
            thread: None,
        };
        let term = log.hard_state().term + 1;
        core.lead(term);
        let writer = Writer { core: Arc::clone(&core), log, term, inbox, trim, fatal: options.fatal };
        let thread = std::thread::Builder::new().name("store-log".into());
        let run = move || {
            if options.prompt
                && let Err(error) = turn::bring_forward()
            {
                tracing::debug!(%error, "the log's thread waits for its turn like any other");
            }
            writer.run();
            drop(lock);
            let _ = end.send(true);
        };
        thread.spawn(run).map_err(|error| OpenError::io(&options.dir, "start the log's thread", error))?;
        let store = Arc::new(Self {
            core: Arc::clone(&core),
            writer: sender,
            waiting: Arc::new(Semaphore::new(WAITING_KIB)),
            max_request_bytes: options.max_request_bytes,
            max_txn_ops: options.max_txn_ops,
            quota_bytes: if options.quota_bytes == 0 { quota::default_quota() } else { options.quota_bytes },
            ended,
        });
        tokio::spawn(lease::expire(core, Arc::downgrade(&store)));
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
        1
    }

    /// Finishes the writes under way and lets go of the directory. Later requests are refused.
    pub async fn close(&self) {
        // Fails if the writer has ended already.
        let _ = self.writer.send(Message::Close);
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }

    pub(crate) async fn propose(&self, request: bytes::Bytes) -> Result<Outcome, Error> {
        if request.len() > self.max_request_bytes {
            return Err(Error::TooLarge);
        }
        let size = u32::try_from(request.len() / 1024 + 1).unwrap_or(u32::MAX).min(WAITING_KIB as u32);
        let share = Arc::clone(&self.waiting).acquire_many_owned(size).await.map_err(|_| stopped())?;
        let (reply, answer) = oneshot::channel();
        let proposal = Proposal { request, reply, _share: share };
        self.writer.send(Message::Propose(proposal)).map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }

    async fn read(&self, range: Range) -> Result<Page, Error> {
        self.core.open()?;
        self.core.state.read().alarms().check(false)?;
        if range.key.is_empty() {
            return Err(Error::EmptyKey);
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

/// Locks the directory and brings the state up to the end of the log.
fn recover(options: &Options) -> Result<(Box<dyn Any + Send>, State, Log), OpenError> {
    let (disk, dir) = (&*options.disk, options.dir.as_path());
    disk.create_dir(dir).map_err(|error| OpenError::io(dir, "create", error))?;
    let lock = disk.lock(&dir.join("LOCK")).map_err(|error| OpenError::io(dir.join("LOCK"), "lock", error))?;
    let Some(lock) = lock else { return Err(OpenError::Locked(dir.to_owned())) };
    for name in disk.list(dir).map_err(|error| OpenError::io(dir, "list", error))? {
        if name.ends_with(".tmp") {
            let path = dir.join(name);
            disk.remove(&path).map_err(|error| OpenError::io(&path, "remove", error))?;
        }
    }
    let (mut state, head) = snapshot::load(disk, dir)?;
    let mut apply = |entry: Entry| {
        let at = At { index: entry.index, term: entry.term };
        match request::decode(entry.request)? {
            // What failed then fails now, and changed nothing both times.
            Some(request) => drop(state.apply(at, request)),
            None => state.skip(at),
        }
        Ok(())
    };
    let recovered = log::open(options, (head.index, head.term), Identity::default(), &mut apply)?;
    let log = recovered.log;
    let rest = log.entries(recovered.applied + 1, u64::MAX, u64::MAX);
    let rest = rest.map_err(|error| OpenError::io(dir, "read the log", std::io::Error::other(error)))?;
    for entry in rest {
        apply(entry).map_err(|what| OpenError::io(dir, "apply the log", std::io::Error::other(what)))?;
    }
    while state.sweep(usize::MAX) {}
    Ok((lock, state, log))
}

impl Kv for Store {
    fn range(&self, range: Range) -> BoxFuture<'_, Result<Page, Error>> {
        self.read(range).boxed()
    }

    fn txn(&self, txn: Txn) -> BoxFuture<'_, Result<TxnReply, Error>> {
        async move {
            check::check(&txn, self.max_txn_ops)?;
            if request::reads_only(&txn) {
                self.core.open()?;
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
            self.core.open()?;
            self.core.state.read().check_compaction(upto)?;
            self.propose(request::encode_compaction(upto)).await.map(|_| ())
        }
        .boxed()
    }

    fn revision(&self) -> BoxFuture<'_, Result<Revision, Error>> {
        // A single member has applied everything that it has acknowledged.
        async move { self.core.open().map(|()| self.core.state.read().revision()) }.boxed()
    }

    fn local_revision(&self) -> Revision {
        self.core.published()
    }

    fn is_private(&self) -> bool {
        true
    }
}
