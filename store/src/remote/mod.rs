//! The contract over etcd's v3 API: our own server's or a real etcd's.
//!
//! One watch of everything of interest is kept for the whole process and published in a [`hub`]; the watches of this process are
//! places in it. So they are in step with each other, `local_revision` means for all of them the same, and "the watch has seen
//! revision r" is one comparison. Where another user of the store moves its revision, or the server keeps quiet, progress is asked
//! for; of servers that tell it wrong, every key is watched instead, because then each revision is seen (see [`version`]).
//! ```text
//! range, txn, compact ── calls ──────► links (one member at a time, fail-over) ──► dial
//! revision ───────────── present ────► calls, then waits for hub.head
//! watch ──────────────── watch ──────► hub ◄── feed (one etcd watch, resumed) ◄── assemble
//!                          └─ history from a feed of its own where the hub does not reach back
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | `dial` | endpoints, TLS, connections, HTTP/2 over one |
//! | `links` | the member in use; fail-over |
//! | `calls` | single calls: deadlines, what may be sent again |
//! | `failure` | what an error of a call means. Pure |
//! | `convert` | values as messages and back. Pure |
//! | `assemble` | what watch responses mean. Pure |
//! | `version` | which servers tell progress right. Pure |
//! | `feed` | one etcd watch, kept alive |
//! | `hub` | the recent revisions, shared by all watches |
//! | `watch` | the watches |
//! | `present` | linearizable reads of the revision |
//! | `pause` | pauses between attempts |

mod assemble;
mod calls;
mod convert;
pub(crate) mod dial;
mod failure;
mod feed;
mod hub;
mod links;
mod pause;
mod present;
mod version;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::BoxStream;
use proto::etcd::etcdserverpb as pb;
use tokio::time::Instant;

use crate::kv::{Error, Kv, Page, Range, Revision, Signal, Txn, TxnReply, WatchOptions, prefix_end};
use crate::span::Span;
use calls::Again;
use convert::Keys;
use dial::{Dialer, Target};
use feed::{Feed, Said, Scope};
use hub::Hub;
use links::Links;
use pause::Pauses;
use present::Present;

pub use crate::tls::{FileError, TlsFiles};
pub(crate) use convert::{signed, unsigned};
pub use dial::ConfigError;
pub use hub::Memory;

/// How a remote store is reached.
#[derive(Debug, Clone)]
pub struct Options {
    /// URLs of its members: http or https.
    pub endpoints: Vec<String>,
    /// For https.
    pub tls: TlsFiles,
    /// Connect out of this network namespace (a file such as /proc/1/ns/net) instead of our own.
    pub network_namespace: Option<PathBuf>,
    /// Keys that begin with the first are stored as beginning with the second.
    pub prefix: (Bytes, Bytes),
    /// Only keys that begin so, by our name, will be watched; empty: any.
    pub watched: Bytes,
    /// How often an idle watch that asked for progress is told.
    pub progress_interval: Duration,
    /// How much of what happened is remembered for watches that begin a little in the past.
    pub memory: Memory,
}

impl Options {
    /// All keys, by their names.
    pub fn new(endpoints: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            tls: TlsFiles::default(),
            network_namespace: None,
            prefix: (Bytes::new(), Bytes::new()),
            watched: Bytes::new(),
            progress_interval: Duration::from_secs(5),
            memory: Memory::default(),
        }
    }
}

/// Why there is no connection to begin with.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The options are of no use.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Nobody answers.
    #[error("the store at {endpoints} does not answer")]
    Unreachable {
        /// Who was asked.
        endpoints: String,
        /// What was said last.
        source: Error,
    },
}

/// What the calls and the watches share.
pub(crate) struct Shared {
    pub(crate) links: Arc<Links>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) progress_interval: Duration,
    /// What the one watch of everything covers.
    watched: Span,
}

/// A store elsewhere.
pub struct Remote {
    shared: Arc<Shared>,
    present: Present,
}

impl Remote {
    /// Connects within `patience`, and stays connected until `context` stops.
    ///
    /// # Errors
    /// Unusable options; nobody answers.
    pub async fn connect(
        options: Options,
        context: &base::Context,
        patience: Duration,
    ) -> Result<Arc<Self>, ConnectError> {
        if options.endpoints.is_empty() {
            return Err(ConfigError::Endpoint(String::new()).into());
        }
        let targets: Result<Vec<Target>, _> = options.endpoints.iter().map(|text| Target::parse(text)).collect();
        let targets = targets?;
        let dialer = Dialer::new(&targets, &options.tls, options.network_namespace.clone())?;
        let links = Arc::new(Links::new(targets, dialer));
        let head = first_revision(&links, Instant::now() + patience)
            .await
            .map_err(|source| ConnectError::Unreachable { endpoints: options.endpoints.join(", "), source })?;
        let hub = Hub::new(options.memory, head);
        let range = match prefix_end(&options.watched) {
            Some(end) => Range { key: options.watched, end: Some(end), ..Range::default() },
            None => Range { key: "\0".into(), end: Some("\0".into()), ..Range::default() },
        };
        let shared = Arc::new(Shared {
            keys: Arc::new(Keys { ours: options.prefix.0, theirs: options.prefix.1 }),
            watched: Span::of(&range.key, range.end.as_ref()),
            progress_interval: options.progress_interval,
            links: links.clone(),
            hub: hub.clone(),
        });
        let (wanted, receiver) = tokio::sync::watch::channel(0);
        let scope = Scope { range, widen: true };
        let feed = move |due, shared: &Shared| {
            Feed::new(shared.links.clone(), shared.keys.clone(), scope.clone(), due, receiver.clone())
        };
        context.spawn("store watch", follow(shared.clone(), feed));
        let (present, answering) = Present::new(links, hub, Arc::new(wanted));
        context.spawn("store revision", answering);
        Ok(Arc::new(Self { shared, present }))
    }

    async fn read(&self, range: Range) -> Result<Page, Error> {
        let message = self.shared.keys.range(&range);
        let read = calls::call(&self.shared.links, Again::Yes, message, |channel, request| async move {
            calls::kv(channel).range(request).await
        });
        match read.await {
            Ok(response) => {
                let page = self.shared.keys.page(response);
                self.shared.hub.learn(page.revision);
                Ok(page)
            }
            Err(error) => Err(self.complete(error).await),
        }
    }

    async fn write(&self, txn: Txn) -> Result<TxnReply, Error> {
        let message = self.shared.keys.txn(&txn);
        let again = Again::of(&txn);
        let write = calls::call(&self.shared.links, again, message, |channel, request| async move {
            calls::kv(channel).txn(request).await
        });
        match write.await {
            Ok(response) => {
                let reply = self.shared.keys.reply(response)?;
                self.shared.hub.learn(reply.revision);
                Ok(reply)
            }
            Err(error) => Err(self.complete(error).await),
        }
    }

    async fn forget(&self, upto: Revision) -> Result<(), Error> {
        let message = pb::CompactionRequest { revision: signed(upto), physical: false };
        let compaction = calls::call(&self.shared.links, Again::No, message, |channel, request| async move {
            calls::kv(channel).compact(request).await
        });
        match compaction.await {
            Ok(_) => {
                self.shared.hub.forget(upto);
                Ok(())
            }
            Err(error) => Err(self.complete(error).await),
        }
    }

    /// Adds the revision that the contract gives with an error and etcd does not.
    async fn complete(&self, error: Error) -> Error {
        match error {
            Error::Compacted(_) => {
                calls::compacted(&self.shared.links).await.map_or_else(|error| error, Error::Compacted)
            }
            Error::Future(_) => calls::revision(&self.shared.links).await.map_or_else(|error| error, Error::Future),
            other => other,
        }
    }
}

async fn first_revision(links: &Links, deadline: Instant) -> Result<Revision, Error> {
    loop {
        links.get(deadline).await?;
        match calls::revision(links).await {
            Err(error) if Instant::now() < deadline => tracing::info!(%error, "waiting for the store"),
            done => return done,
        }
    }
}

/// Keeps the hub in step with the store.
async fn follow(shared: Arc<Shared>, begin: impl Fn(Revision, &Shared) -> Feed) {
    let mut feed = begin(shared.hub.head() + 1, &shared);
    loop {
        match feed.next().await {
            Ok(Said::Events(revision, mut events)) => {
                events.retain(|event| shared.watched.contains(&event.kv.key));
                if events.is_empty() {
                    shared.hub.advance(revision);
                } else {
                    shared.hub.publish(revision, events);
                }
            }
            Ok(Said::Progress(revision)) => shared.hub.advance(revision),
            Err(error) => {
                tracing::error!(%error, "the store forgot what was not seen yet; watches look for it or end");
                let present = present_again(&shared.links).await;
                shared.hub.skip_to(present);
                feed = begin(present + 1, &shared);
            }
        }
    }
}

async fn present_again(links: &Links) -> Revision {
    let mut pauses = Pauses::default();
    loop {
        match calls::revision(links).await {
            Ok(revision) => return revision,
            Err(error) => tracing::warn!(%error, "cannot ask the store for its revision, trying again"),
        }
        tokio::time::sleep(pauses.next()).await;
    }
}

impl Kv for Remote {
    fn range(&self, range: Range) -> BoxFuture<'_, Result<Page, Error>> {
        self.read(range).boxed()
    }

    fn txn(&self, txn: Txn) -> BoxFuture<'_, Result<TxnReply, Error>> {
        self.write(txn).boxed()
    }

    fn watch(&self, range: Range, options: WatchOptions) -> BoxStream<'static, Result<Signal, Error>> {
        watch::watch(&self.shared, range, options)
    }

    fn compact(&self, upto: Revision) -> BoxFuture<'_, Result<(), Error>> {
        self.forget(upto).boxed()
    }

    fn revision(&self) -> BoxFuture<'_, Result<Revision, Error>> {
        self.present.revision().boxed()
    }

    fn local_revision(&self) -> Revision {
        self.shared.hub.head()
    }

    fn is_private(&self) -> bool {
        false
    }
}
