//! The connection to the member that is in use, and the choice of another one when it is of no use any more.
//!
//! One connection serves all calls and watches. It is never repaired in place: whoever sees it fail says so ([`Links::failed`]),
//! and the next one who needs a connection makes a new one, to the next endpoint that answers, knows a leader and belongs to
//! the same cluster. Attempts are made by one task at a time, and pause longer and longer while nobody answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use proto::etcd::etcdserverpb as pb;
use proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tonic::transport::{Channel, Endpoint};

use super::dial::{self, Dialer, Target};
use super::pause::Pauses;
use super::version;
use crate::kv::Error;

/// How long one endpoint may take to accept a connection, and then to answer the first question.
const CONNECT: Duration = Duration::from_secs(2);
/// A silent connection is probed so often...
const PROBE: Duration = Duration::from_secs(6);
/// ...and given up when the probe is not answered for so long. etcd refuses clients that probe every 5 s or oftener.
const PROBE_ANSWER: Duration = Duration::from_secs(3);

/// What may be under way to us unread. Fixed: windows that adapt send pings to measure, and etcd ends connections that ping too
/// often.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// A connection to one member.
#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) channel: Channel,
    /// Which connection it is, for [`Links::failed`].
    pub(crate) id: u64,
    pub(crate) url: Arc<str>,
    /// Whether this member tells the progress of watches right.
    pub(crate) progress: bool,
}

/// See the module's header.
pub(crate) struct Links {
    targets: Vec<Target>,
    dialer: Dialer,
    current: Mutex<Current>,
    connecting: tokio::sync::Mutex<Pauses>,
    /// The cluster of the first member that answered; 0: none has.
    cluster: AtomicU64,
}

struct Current {
    link: Option<Link>,
    last_id: u64,
    /// The endpoint to try next.
    next: usize,
    /// After a round without success: why, and not before when to try again.
    failed: Option<(String, Instant)>,
}

impl Links {
    /// Begins at a random endpoint, so that the servers' clients spread.
    pub(crate) fn new(targets: Vec<Target>, dialer: Dialer) -> Self {
        let next = rand::random_range(0..targets.len().max(1));
        Self {
            targets,
            dialer,
            current: Mutex::new(Current { link: None, last_id: 0, next, failed: None }),
            connecting: tokio::sync::Mutex::default(),
            cluster: AtomicU64::new(0),
        }
    }

    /// A connection: the present one, or a new one within `deadline`.
    pub(crate) async fn get(&self, deadline: Instant) -> Result<Link, Error> {
        let mut why = "no connection to the store in time".to_owned();
        loop {
            if let Some(link) = &self.current.lock().link {
                return Ok(link.clone());
            }
            let Ok(mut pauses) = timeout_at(deadline, self.connecting.lock()).await else {
                return Err(Error::Unavailable(why));
            };
            // Somebody else may have tried while we waited for our turn.
            let failed = {
                let current = self.current.lock();
                if let Some(link) = &current.link {
                    return Ok(link.clone());
                }
                current.failed.clone().filter(|(_, again)| *again > Instant::now())
            };
            let (reason, again) = match failed {
                Some(failed) => failed,
                None => match timeout_at(deadline, self.round()).await {
                    Ok(Ok(link)) => {
                        pauses.reset();
                        return Ok(link);
                    }
                    Ok(Err(reason)) => {
                        let failed = (reason, Instant::now() + pauses.next());
                        self.current.lock().failed = Some(failed.clone());
                        failed
                    }
                    Err(_) => return Err(Error::Unavailable(why)),
                },
            };
            drop(pauses);
            if again >= deadline {
                return Err(Error::Unavailable(reason));
            }
            why = reason;
            sleep_until(again).await;
        }
    }

    /// This connection is of no use any more.
    pub(crate) fn failed(&self, id: u64, why: &str) {
        let mut current = self.current.lock();
        if let Some(link) = current.link.take_if(|link| link.id == id) {
            tracing::warn!(endpoint = %link.url, why, "gave up a connection to the store");
            current.next = (current.next + 1) % self.targets.len();
        }
    }

    /// Tries every endpoint once.
    async fn round(&self) -> Result<Link, String> {
        let first = self.current.lock().next;
        let mut reasons = Vec::new();
        for step in 0..self.targets.len() {
            let index = (first + step) % self.targets.len();
            let Some(target) = self.targets.get(index) else { continue };
            match self.connect(target).await {
                Ok((channel, progress)) => {
                    let mut current = self.current.lock();
                    current.last_id += 1;
                    let link = Link { channel, id: current.last_id, url: target.url.clone(), progress };
                    (current.link, current.next, current.failed) = (Some(link.clone()), index, None);
                    return Ok(link);
                }
                Err(reason) => reasons.push(format!("{}: {reason}", target.url)),
            }
        }
        Err(reasons.join("; "))
    }

    /// A channel to a member that answers and is of use, and whether it tells progress right.
    async fn connect(&self, target: &Target) -> Result<(Channel, bool), String> {
        let stream = self.dialer.dial(target, CONNECT).await.map_err(|error| error.to_string())?;
        let endpoint = Endpoint::from_shared(target.url.to_string())
            .map_err(|error| error.to_string())?
            .http2_keep_alive_interval(PROBE)
            .keep_alive_timeout(PROBE_ANSWER)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        let channel = timeout(CONNECT, dial::channel(stream, endpoint)).await;
        let channel = channel.map_err(|_| "no HTTP/2 in time")?.map_err(|error| root(&error))?;
        let mut maintenance = MaintenanceClient::new(channel.clone());
        let status = timeout(CONNECT, maintenance.status(pb::StatusRequest {})).await;
        let status = status.map_err(|_| "no answer in time")?.map_err(|status| status.message().to_owned())?;
        let status = status.into_inner();
        if status.leader == 0 {
            return Err("the member knows no leader".into());
        } else if status.is_learner {
            return Err("the member is a learner".into());
        }
        let cluster = status.header.map_or(0, |header| header.cluster_id);
        let known = self.cluster.compare_exchange(0, cluster, Ordering::AcqRel, Ordering::Acquire);
        if let Some(known) = known.err().filter(|known| *known != cluster) {
            return Err(format!("the member belongs to cluster {cluster:x}, not to {known:x} as those before"));
        }
        let progress = version::progress_is_right(&status.version);
        tracing::info!(endpoint = %target.url, version = status.version, progress, "connected to the store");
        Ok((channel, progress))
    }
}

/// The innermost cause: tonic's own text says only "transport error".
fn root(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
