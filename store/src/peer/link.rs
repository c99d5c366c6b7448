//! The way to one member: connected, greeted, talked to; when it breaks, made again after a pause.

use std::sync::Arc;
use std::time::Duration;

use futures::stream;
use hyper_util::rt::TokioIo;
use proto::peer::Parcel;
use proto::peer::parcel::Body;
use tokio::sync::mpsc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::admit::REMOVED;
use super::{Inner, client};
use crate::inbox::Message;
use crate::member::Input;
use crate::remote::TlsFiles;
use crate::remote::dial::{Dialer, Target};

const CONNECT: Duration = Duration::from_secs(1);
/// A connection on which nothing has come for so long is probed, and given up if that is not answered in as long again.
const PROBE: Duration = Duration::from_secs(2);
/// Between attempts; short, because a member that comes back is waited for.
const PAUSE: Duration = Duration::from_millis(100);
/// Parcels that are handed to the stream ahead of what it has sent.
const AHEAD: usize = 16;

/// See the module's header.
pub(super) struct Way {
    pub(super) inner: Arc<Inner>,
    pub(super) to: u64,
    pub(super) urls: Vec<String>,
}

impl Way {
    /// Keeps talking until the queue is closed.
    pub(super) async fn keep(self, mut parcels: mpsc::Receiver<Parcel>) {
        let mut said = String::new();
        for attempt in 0usize.. {
            let Some(url) = self.urls.get(attempt % self.urls.len().max(1)) else { return };
            let reason = match connect(url, &self.inner.tls).await {
                Err(reason) => reason,
                Ok(channel) => {
                    // What gathered meanwhile is old.
                    while parcels.try_recv().is_ok() {}
                    tracing::debug!(to = format!("{:x}", self.to), url, "connected to a member");
                    match self.talk(channel, &mut parcels).await {
                        Ok(()) => return,
                        Err(status) if status.code() == Code::PermissionDenied && status.message() == REMOVED => {
                            tracing::error!(by = format!("{:x}", self.to), "this member was removed while it was away");
                            self.inner.tell(Message::Close);
                            return;
                        }
                        Err(status) => status.message().to_owned(),
                    }
                }
            };
            self.inner.tell(Message::Input(Input::Unreachable(self.to)));
            if reason != said {
                tracing::warn!(to = format!("{:x}", self.to), url, reason, "a member cannot be reached");
                said = reason;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// `Ok`: the queue was closed.
    async fn talk(&self, channel: Channel, parcels: &mut mpsc::Receiver<Parcel>) -> Result<(), Status> {
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
            tokio::select! {
                ended = &mut answer => {
                    return Err(ended.err().unwrap_or_else(|| Status::unavailable("the member has ended the stream")));
                }
                parcel = parcels.recv() => match parcel {
                    None => return Ok(()),
                    Some(parcel) => tokio::select! {
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

/// A connection of its own to a member.
pub(super) async fn connect(url: &str, tls: &TlsFiles) -> Result<Channel, String> {
    connect_probing(url, tls, PROBE).await
}

/// A connection of its own, which is probed so often while nothing comes.
pub(crate) async fn connect_probing(url: &str, tls: &TlsFiles, probe: Duration) -> Result<Channel, String> {
    let target = Target::parse(url).map_err(|error| error.to_string())?;
    let dialer = Dialer::new(std::slice::from_ref(&target), tls, None).map_err(|error| error.to_string())?;
    let stream = dialer.dial(&target, CONNECT).await.map_err(|error| error.to_string())?;
    // Handed out once: when it breaks, the channel is finished.
    let mut stream = Some(TokioIo::new(stream));
    let connector = tower::service_fn(move |_: http::Uri| {
        let stream = stream.take().ok_or_else(|| std::io::Error::other("the connection was lost"));
        std::future::ready(stream)
    });
    let endpoint = Endpoint::from_shared(target.url.to_string())
        .map_err(|error| error.to_string())?
        .http2_keep_alive_interval(probe)
        .keep_alive_timeout(probe)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(2 << 20);
    let channel = tokio::time::timeout(CONNECT, endpoint.connect_with_connector(connector)).await;
    channel.map_err(|_| "no HTTP/2 in time")?.map_err(|error| error.to_string())
}
