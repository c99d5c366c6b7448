//! How the members of a cluster reach each other: what raft says, and what followers hand on, in frames on connections of their own, the
//! rest as gRPC; over TLS with certificates on both sides where the peer URLs are https (see proto/peer.proto).
//!
//! | file | what it is |
//! |---|---|
//! | `mod` | the others, and a way to each |
//! | `link` | the way to one member: a connection that is made again when it breaks |
//! | `line` | what is said to it: where few write, written at once as far as the connection takes it |
//! | `frames` | how that looks on the wire. Pure |
//! | `compare` | what the others hold, as hashes |
//! | `ship` | a snapshot on its way to one member |
//! | `serve` | what others call here |
//! | `hear` | what others say here |
//! | `arriving` | a snapshot as it comes from another member: written and loaded |
//! | `admit` | whom this member believes to be who it says it is. Pure |
//! | `listen` | sockets and TLS |
//!
//! What is lost on the way is lost: raft makes up for its messages, and a request that has left is never handed on again.
//! Bounds: bytes that wait for a member, beyond which messages are dropped; raft's own limit of what is in flight.

mod admit;
mod arriving;
mod compare;
mod frames;
mod hear;
mod line;
mod link;
mod listen;
mod serve;
mod ship;

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use proto::log::{Identity, SnapshotHead};
use proto::peer::peer_client::PeerClient;
use proto::peer::{ClusterReply, ClusterRequest, Hello, Parcel};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tonic::transport::Channel;

use crate::disk::Disk;
use crate::inbox::{Inbox, Ticket};
use crate::member::Input;
use crate::raft;
use crate::shared::Core;
use crate::state::Members;
use crate::tls::TlsFiles;
use line::Line;
use link::Way;
pub(crate) use link::connect_probing;
pub(crate) use listen::Door;

/// A message between members is no longer than this: an append of the largest requests fits.
const MOST_BYTES: usize = 64 << 20;
/// A connection's buffer that has once been longer is not kept: several of the longest appends that usually come.
const KEPT: usize = 4 << 20;
/// A member of which nothing is heard for so long is asked whether it is there, and given up if it does not say so in as long
/// again: what has come of its snapshot, or of a message, is held until then.
const PROBE: Duration = Duration::from_secs(5);

/// The other members. A handle; all are the same.
#[derive(Clone)]
pub(crate) struct Peers {
    inner: Arc<Inner>,
}

/// What it takes to reach others, and to be reached.
pub(crate) struct Inner {
    me: Identity,
    core: Arc<Core>,
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// The writer's.
    inbox: Arc<Inbox>,
    tls: TlsFiles,
    links: Mutex<HashMap<u64, Link>>,
    /// Nonces as they were first heard, until the log knows them.
    heard: Mutex<HashMap<u64, u64>>,
    runtime: tokio::runtime::Handle,
    stopped: watch::Sender<bool>,
    /// Closed when no socket is open any more.
    closed: tokio::sync::Mutex<mpsc::Receiver<Infallible>>,
}

struct Link {
    urls: Vec<String>,
    line: Arc<Line>,
    task: JoinHandle<()>,
}

/// What [`Peers::new`] is given.
pub(crate) struct Around {
    pub(crate) me: Identity,
    pub(crate) core: Arc<Core>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) tls: TlsFiles,
}

impl Peers {
    /// Knows nobody yet; listens at `door`. In a tokio runtime.
    pub(crate) fn new(around: Around, door: Door) -> Self {
        let Around { me, core, disk, dir, inbox, tls } = around;
        let (open, closed) = mpsc::channel(1);
        let inner = Arc::new(Inner {
            me,
            core,
            disk,
            dir,
            inbox,
            tls,
            links: Mutex::default(),
            heard: Mutex::default(),
            runtime: tokio::runtime::Handle::current(),
            stopped: watch::Sender::new(false),
            closed: tokio::sync::Mutex::new(closed),
        });
        door.serve(&inner, &open);
        Self { inner }
    }

    /// Sends these, of which there is one at least, or drops them; `at_once`: they are written now, if the connection takes them.
    pub(crate) fn send(&self, to: u64, parcels: Vec<Parcel>, at_once: bool) {
        let line = self.inner.links.lock().get(&to).map(|link| Arc::clone(&link.line));
        // What is dropped is raft's to notice.
        if line.is_some_and(|line| !line.send(parcels, at_once)) {
            self.inner.not_sent(to);
        }
    }

    /// Sends the state that `head` began, in the background; reports to the writer.
    pub(crate) fn send_snapshot(&self, to: u64, head: SnapshotHead, message: raft::Message) {
        let urls = self.inner.links.lock().get(&to).map(|link| link.urls.clone()).unwrap_or_default();
        let inner = Arc::clone(&self.inner);
        self.inner.runtime.spawn(ship::ship(inner, to, urls, head, message));
    }

    /// Keeps a way to each of the members, and to nobody else.
    pub(crate) fn members_changed(&self, members: &Members) {
        let wanted = members.iter().filter(|member| member.id != self.inner.me.member);
        self.reach(wanted.map(|member| (member.id, member.peer_urls.clone())).collect());
    }

    /// Keeps a way to each of these.
    pub(crate) fn reach(&self, wanted: HashMap<u64, Vec<String>>) {
        let mut links = self.inner.links.lock();
        links.retain(|id, link| {
            let stays = wanted.get(id) == Some(&link.urls);
            if !stays {
                link.task.abort();
            }
            stays
        });
        for (id, urls) in wanted {
            links.entry(id).or_insert_with(|| {
                let line = Arc::new(Line::new());
                let way = Way { inner: Arc::clone(&self.inner), to: id, urls: urls.clone(), line: Arc::clone(&line) };
                let task = self.inner.runtime.spawn(way.keep());
                Link { urls, line, task }
            });
        }
    }

    /// Ends all connections and stops listening, soon.
    pub(crate) fn stop(&self) {
        self.inner.stopped.send_replace(true);
        self.reach(HashMap::new());
    }

    /// The same; returns when others can listen there.
    pub(crate) async fn stopped(&self) {
        self.stop();
        // Nothing is ever sent.
        let _ = self.inner.closed.lock().await.recv().await;
    }
}

impl Inner {
    /// Something did not go to a member.
    fn not_sent(&self, to: u64) {
        self.core.metrics.peer_failures.with_label_values(&[format!("{to:x}")]).inc();
    }

    fn hello(&self, to: u64) -> Hello {
        Hello { cluster: self.me.cluster, from: self.me.member, to, nonce: self.me.nonce }
    }

    /// Tells the writer, unless it has ended.
    fn tell(&self, input: Input<Ticket>) {
        let _ = self.inbox.send(input);
    }
}

fn client(channel: Channel) -> PeerClient<Channel> {
    PeerClient::new(channel).max_decoding_message_size(MOST_BYTES).max_encoding_message_size(MOST_BYTES)
}

/// Asks the members behind these URLs what they know of the cluster; the first answer counts, if there is one in time.
pub(crate) async fn ask_cluster(
    urls: &[String],
    tls: &TlsFiles,
    member: u64,
    patience: Duration,
) -> Option<ClusterReply> {
    let ask = |url: String| async move {
        let channel = link::connect(&url, tls).await.ok()?;
        client(channel).cluster(ClusterRequest { member }).await.ok().map(tonic::Response::into_inner)
    };
    let answers =
        futures::future::join_all(urls.iter().cloned().map(|url| tokio::time::timeout(patience, ask(url)))).await;
    let answers = answers.into_iter().filter_map(|answer| answer.ok().flatten());
    // One that knows the asking member, or anybody at all, knows better.
    answers.max_by_key(|answer| (answer.known, answer.members.len()))
}
