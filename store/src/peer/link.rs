//! The way to one member: connected, greeted, talked on; when it breaks, made again after a pause.
//!
//! A member whose machine is gone, or that reads nothing more, is found out by the kernel (`base::tcp::probe`); one that is stopped, and
//! has room for what little is said, is not: raft notices that it does not answer.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use super::Inner;
use super::line::{End, Line};
use crate::member::Input;
use crate::remote::dial::{self, Dialer, Io, Target};
use crate::tls::TlsFiles;

const CONNECT: Duration = Duration::from_secs(1);
/// A connection on which nothing has come for so long is probed, and given up if that is not answered in as long again.
const PROBE: Duration = Duration::from_secs(2);
/// Between attempts; short, because a member that comes back is waited for.
const PAUSE: Duration = Duration::from_millis(100);

/// See the module's header.
pub(super) struct Way {
    pub(super) inner: Arc<Inner>,
    pub(super) to: u64,
    pub(super) urls: Vec<String>,
    pub(super) line: Arc<Line>,
}

impl Way {
    /// Keeps it, until this member is told that it was removed.
    pub(super) async fn keep(self) {
        let mut said = String::new();
        for attempt in 0usize.. {
            let Some(url) = self.urls.get(attempt % self.urls.len().max(1)) else { return };
            let reason = match dial(url, &self.inner.tls, PROBE).await {
                Err(reason) => reason,
                Ok((_, connection)) => {
                    tracing::debug!(to = format!("{:x}", self.to), url, "connected to a member");
                    self.line.connected(connection, self.inner.hello(self.to));
                    match poll_fn(|context| self.line.poll(context)).await {
                        End::Refused(refusal) if refusal.code == Code::PermissionDenied as i32 => {
                            tracing::error!(by = format!("{:x}", self.to), "this member was removed while it was away");
                            self.inner.inbox.close();
                            return;
                        }
                        End::Refused(refusal) => refusal.reason,
                        End::Lost(reason) => reason,
                    }
                }
            };
            self.inner.tell(Input::Unreachable(self.to));
            self.inner.not_sent(self.to);
            if reason != said {
                tracing::warn!(to = format!("{:x}", self.to), url, reason, "a member cannot be reached");
                said = reason;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// A connection that the kernel ends when what is said on it is not taken: of what members say nothing is answered.
async fn dial(url: &str, tls: &TlsFiles, probe: Duration) -> Result<(Target, Box<dyn Io>), String> {
    let target = Target::parse(url).map_err(|error| error.to_string())?;
    let dialer = Dialer::new(std::slice::from_ref(&target), tls, None).map_err(|error| error.to_string())?;
    let stream = dialer.probing(probe).dial(&target, CONNECT).await.map_err(|error| error.to_string())?;
    Ok((target, stream))
}

/// A connection of its own to a member.
pub(super) async fn connect(url: &str, tls: &TlsFiles) -> Result<Channel, String> {
    connect_probing(url, tls, PROBE).await
}

/// A connection of its own, which is probed so often while nothing comes.
pub(crate) async fn connect_probing(url: &str, tls: &TlsFiles, probe: Duration) -> Result<Channel, String> {
    let (target, stream) = dial(url, tls, probe).await?;
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
