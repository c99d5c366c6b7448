//! The way to one member: connected, greeted, talked to; when it breaks, made again after a pause.
//!
//! What comes while there is no way is not all lost: a message of raft's would be old, but a request that was handed on has not
//! left yet, and its client waits. A member may hear who leads before it can reach that one, as in the first moments of a cluster.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream;
use proto::peer::Parcel;
use proto::peer::parcel::Body;
use tokio::sync::mpsc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::admit::REMOVED;
use super::{Inner, client};
use crate::member::Input;
use crate::remote::dial::{self, Dialer, Target};
use crate::tls::TlsFiles;

const CONNECT: Duration = Duration::from_secs(1);
/// A connection on which nothing has come for so long is probed, and given up if that is not answered in as long again.
const PROBE: Duration = Duration::from_secs(2);
/// Between attempts; short, because a member that comes back is waited for.
const PAUSE: Duration = Duration::from_millis(100);
/// Parcels that are handed to the stream ahead of what it has sent.
const AHEAD: usize = 16;
/// For how long a request that was handed on, or word of one, is worth sending: less than its client waits, which is 50
/// heartbeat intervals and two election timeouts (5 s and 2 s by default).
const FRESH: Duration = Duration::from_millis(500);

/// A parcel, and when it was to be sent.
pub(super) type Queued = (Instant, Parcel);

/// See the module's header.
pub(super) struct Way {
    pub(super) inner: Arc<Inner>,
    pub(super) to: u64,
    pub(super) urls: Vec<String>,
}

impl Way {
    /// Keeps talking until the queue is closed.
    pub(super) async fn keep(self, mut parcels: mpsc::Receiver<Queued>) {
        let (mut said, mut held) = (String::new(), VecDeque::new());
        for attempt in 0usize.. {
            let Some(url) = self.urls.get(attempt % self.urls.len().max(1)) else { return };
            let reason = match connect(url, &self.inner.tls).await {
                Err(reason) => reason,
                Ok(channel) => {
                    gather(&mut parcels, &mut held);
                    tracing::debug!(to = format!("{:x}", self.to), url, "connected to a member");
                    match self.talk(channel, &mut held, &mut parcels).await {
                        Ok(()) => return,
                        Err(status) if status.code() == Code::PermissionDenied && status.message() == REMOVED => {
                            tracing::error!(by = format!("{:x}", self.to), "this member was removed while it was away");
                            self.inner.inbox.close();
                            return;
                        }
                        Err(status) => status.message().to_owned(),
                    }
                }
            };
            self.inner.tell(Input::Unreachable(self.to));
            self.inner.not_sent(self.to);
            if reason != said {
                tracing::warn!(to = format!("{:x}", self.to), url, reason, "a member cannot be reached");
                said = reason;
            }
            // However long it lasts: nothing piles up.
            gather(&mut parcels, &mut held);
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// `Ok`: the queue was closed.
    async fn talk(
        &self,
        channel: Channel,
        held: &mut VecDeque<Queued>,
        parcels: &mut mpsc::Receiver<Queued>,
    ) -> Result<(), Status> {
        let (ahead, sending) = mpsc::channel(AHEAD);
        let sending = stream::unfold(sending, |mut sending: mpsc::Receiver<Parcel>| async move {
            sending.recv().await.map(|parcel| (parcel, sending))
        });
        let hello = Parcel { body: Some(Body::Hello(self.inner.hello(self.to))) };
        let lost = |_| Status::unavailable("the stream was lost");
        ahead.send(hello).await.map_err(lost)?;
        let mut client = client(channel);
        let answer = client.talk(sending);
        tokio::pin!(answer);
        loop {
            let next = async {
                match held.pop_front() {
                    Some(queued) => Some(queued),
                    None => parcels.recv().await,
                }
            };
            tokio::select! {
                ended = &mut answer => {
                    return Err(ended.err().unwrap_or_else(|| Status::unavailable("the member has ended the stream")));
                }
                queued = next => match queued {
                    None => return Ok(()),
                    Some((_, parcel)) => tokio::select! {
                        ended = &mut answer => {
                            return Err(ended.err().unwrap_or_else(|| Status::unavailable("the stream has ended")));
                        }
                        sent = ahead.send(parcel) => sent.map_err(lost)?,
                    },
                },
            }
        }
    }
}

/// Takes what has come: what is still worth sending is held.
fn gather(parcels: &mut mpsc::Receiver<Queued>, held: &mut VecDeque<Queued>) {
    held.extend(std::iter::from_fn(|| parcels.try_recv().ok()));
    let waited_for =
        |parcel: &Parcel| matches!(parcel.body, Some(Body::Forward(_) | Body::Placed(_) | Body::Refused(_)));
    held.retain(|(since, parcel)| waited_for(parcel) && since.elapsed() < FRESH);
}

/// A connection of its own to a member.
pub(super) async fn connect(url: &str, tls: &TlsFiles) -> Result<Channel, String> {
    connect_probing(url, tls, PROBE).await
}

/// A connection of its own, which is probed so often while nothing comes.
pub(crate) async fn connect_probing(url: &str, tls: &TlsFiles, probe: Duration) -> Result<Channel, String> {
    let target = Target::parse(url).map_err(|error| error.to_string())?;
    let dialer = Dialer::new(std::slice::from_ref(&target), tls, None).map_err(|error| error.to_string())?;
    let stream = dialer.dial(&target, CONNECT).await.map_err(|error| error.to_string())?;
    let endpoint = Endpoint::from_shared(target.url.to_string())
        .map_err(|error| error.to_string())?
        .http2_keep_alive_interval(probe)
        .keep_alive_timeout(probe)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(2 << 20);
    let channel = tokio::time::timeout(CONNECT, dial::channel(stream, endpoint)).await;
    channel.map_err(|_| "no HTTP/2 in time")?.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::peer::{Forward, Placed, Refused};

    #[test]
    fn what_is_waited_for_is_held_for_a_while() {
        let (queue, mut parcels) = mpsc::channel(16);
        let now = Instant::now();
        let long_ago = now.checked_sub(FRESH).unwrap_or(now);
        let ticket = |ticket| Body::Forward(Forward { ticket, ..Forward::default() });
        for (since, body) in [
            (now, Body::Raft(Default::default())),
            (now, ticket(1)),
            (long_ago, ticket(2)),
            (now, Body::Placed(Placed::default())),
            (now, Body::Refused(Refused::default())),
            (now, ticket(3)),
        ] {
            queue.try_send((since, Parcel { body: Some(body) })).unwrap_or_else(|_| panic!("there is room"));
        }
        let mut held = VecDeque::from([(long_ago, Parcel { body: Some(ticket(0)) })]);
        gather(&mut parcels, &mut held);
        let names = held.iter().map(|(_, parcel)| match &parcel.body {
            Some(Body::Forward(forward)) => forward.ticket.to_string(),
            Some(Body::Placed(_)) => "placed".into(),
            Some(Body::Refused(_)) => "refused".into(),
            _ => "old".into(),
        });
        assert_eq!(names.collect::<Vec<_>>().join(" "), "1 placed refused 3");
        assert!(parcels.try_recv().is_err());
    }
}
