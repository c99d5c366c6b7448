//! The way to one member: connected, greeted, talked to; when it breaks, made again after a pause.
//!
//! What comes while there is no way is not all lost: a message of raft's would be old, but a request that was handed on has not
//! left yet, and its client waits. A member may hear who leads before it can reach that one, as in the first moments of a cluster.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures::stream;
use parking_lot::Mutex;
use proto::peer::parcel::Body;
use proto::peer::{Farewell, Parcel};
use tokio::sync::mpsc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Response, Status};

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
/// For how long a request that was handed on, or word of one, is worth sending: less than its client waits, which is 50
/// heartbeat intervals and two election timeouts (5 s and 2 s by default).
const FRESH: Duration = Duration::from_millis(500);

/// Parcels, and when they were to be sent.
pub(super) type Batch = (Instant, Vec<Parcel>);

/// See the module's header.
pub(super) struct Way {
    pub(super) inner: Arc<Inner>,
    pub(super) to: u64,
    pub(super) urls: Vec<String>,
}

impl Way {
    /// Keeps talking until nobody sends batches any more.
    pub(super) async fn keep(self, batches: mpsc::Receiver<Batch>) {
        let mut said = String::new();
        let queue = Arc::new(Mutex::new(Queue { batches, held: VecDeque::new(), stream: 0 }));
        for attempt in 0usize.. {
            let Some(url) = self.urls.get(attempt % self.urls.len().max(1)) else { return };
            let reason = match connect(url, &self.inner.tls).await {
                Err(reason) => reason,
                Ok(channel) => {
                    tracing::debug!(to = format!("{:x}", self.to), url, "connected to a member");
                    let ended = self.talk(channel, &queue).await;
                    if queue.lock().batches.is_closed() {
                        return;
                    }
                    match ended {
                        Ok(_) => "the member has ended the stream".into(),
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
            queue.lock().gather();
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Sends what is in the queue, and what comes into it, until the stream ends.
    async fn talk(&self, channel: Channel, queue: &Arc<Mutex<Queue>>) -> Result<Response<Farewell>, Status> {
        let mut hello = Some(Parcel { body: Some(Body::Hello(self.inner.hello(self.to))) });
        let stream = queue.lock().begin();
        let queue = Arc::clone(queue);
        let parcels = stream::poll_fn(move |context| match hello.take() {
            Some(hello) => Poll::Ready(Some(hello)),
            None => queue.lock().poll_next(stream, context),
        });
        client(channel).talk(parcels).await
    }
}

/// What waits to be sent to the member. A stream takes it out by itself, as far as its window reaches; one that has broken may live
/// a little longer than the next one has been begun.
struct Queue {
    batches: mpsc::Receiver<Batch>,
    /// Taken out of the batches.
    held: VecDeque<(Instant, Parcel)>,
    /// The stream that takes parcels out; those before it get none any more.
    stream: u64,
}

impl Queue {
    /// The way is there again; the number of its stream.
    fn begin(&mut self) -> u64 {
        self.gather();
        self.stream += 1;
        self.stream
    }

    /// Takes what has come: what is still worth sending is held.
    fn gather(&mut self) {
        while let Ok((since, parcels)) = self.batches.try_recv() {
            self.held.extend(parcels.into_iter().map(|parcel| (since, parcel)));
        }
        let waited_for =
            |parcel: &Parcel| matches!(parcel.body, Some(Body::Forward(_) | Body::Placed(_) | Body::Refused(_)));
        self.held.retain(|(since, parcel)| waited_for(parcel) && since.elapsed() < FRESH);
    }

    fn poll_next(&mut self, stream: u64, context: &mut Context<'_>) -> Poll<Option<Parcel>> {
        if stream != self.stream {
            return Poll::Ready(None);
        }
        while self.held.is_empty() {
            match ready!(self.batches.poll_recv(context)) {
                Some((since, parcels)) => self.held.extend(parcels.into_iter().map(|parcel| (since, parcel))),
                None => return Poll::Ready(None),
            }
        }
        Poll::Ready(self.held.pop_front().map(|(_, parcel)| parcel))
    }
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

    fn queue() -> (mpsc::Sender<Batch>, Queue) {
        let (sender, batches) = mpsc::channel(16);
        (sender, Queue { batches, held: VecDeque::new(), stream: 0 })
    }

    fn forward(ticket: u64) -> Parcel {
        Parcel { body: Some(Body::Forward(Forward { ticket, ..Forward::default() })) }
    }

    fn name(parcel: Parcel) -> String {
        match parcel.body {
            Some(Body::Forward(forward)) => forward.ticket.to_string(),
            Some(Body::Placed(_)) => "placed".into(),
            Some(Body::Refused(_)) => "refused".into(),
            _ => "old".into(),
        }
    }

    #[test]
    fn what_is_waited_for_is_held_for_a_while() {
        let (sender, mut queue) = queue();
        let now = Instant::now();
        let long_ago = now.checked_sub(FRESH).unwrap_or(now);
        let parcel = |body| Parcel { body: Some(body) };
        for (since, parcels) in [
            (now, vec![parcel(Body::Raft(Default::default())), forward(1)]),
            (long_ago, vec![forward(2), parcel(Body::Raft(Default::default()))]),
            (now, vec![parcel(Body::Placed(Placed::default())), parcel(Body::Refused(Refused::default()))]),
            (now, vec![forward(3)]),
        ] {
            sender.try_send((since, parcels)).unwrap_or_else(|_| panic!("there is room"));
        }
        queue.held.push_back((long_ago, forward(0)));
        queue.gather();
        let held = std::mem::take(&mut queue.held).into_iter().map(|(_, parcel)| name(parcel));
        assert_eq!(held.collect::<Vec<_>>().join(" "), "1 placed refused 3");
        assert!(queue.batches.try_recv().is_err());
    }

    #[test]
    fn only_the_last_stream_takes_parcels_out() {
        let (sender, mut queue) = queue();
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut next = |queue: &mut Queue, stream| queue.poll_next(stream, &mut context).map(|parcel| parcel.map(name));
        let send = |parcels| sender.try_send((Instant::now(), parcels)).unwrap_or_else(|_| panic!("there is room"));
        let first = queue.begin();
        assert_eq!(next(&mut queue, first), Poll::Pending);
        send(vec![forward(1), forward(2), forward(3)]);
        assert_eq!(next(&mut queue, first), Poll::Ready(Some("1".into())));
        let second = queue.begin();
        assert_eq!(next(&mut queue, first), Poll::Ready(None), "it has broken");
        assert_eq!(next(&mut queue, second), Poll::Ready(Some("2".into())));
        send(vec![forward(4)]);
        assert_eq!(next(&mut queue, second), Poll::Ready(Some("3".into())));
        assert_eq!(next(&mut queue, second), Poll::Ready(Some("4".into())));
        assert_eq!(next(&mut queue, second), Poll::Pending);
        drop(sender);
        assert_eq!(next(&mut queue, second), Poll::Ready(None));
    }
}
