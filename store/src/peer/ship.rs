//! A snapshot on its way to one member: the file that `snapshot` would write, in parts, encoded while it is sent, so that
//! it takes no room here; writes go on meanwhile.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use proto::log::SnapshotHead;
use proto::peer::SnapshotPart;
use tokio::sync::mpsc;

use super::{Inner, client, link};
use crate::member::Input;
use crate::raft;
use crate::ration::Ration;
use crate::snapshot;

const PART: usize = 256 << 10;
/// Parts that are encoded ahead of what has been sent.
const AHEAD: usize = 4;
/// A snapshot is given up after so long, and a second for each MiB of the state.
const PATIENCE: Duration = Duration::from_secs(600);

/// Sends, reports, and lets go of what was kept for it.
pub(super) async fn ship(inner: Arc<Inner>, to: u64, urls: Vec<String>, head: SnapshotHead, message: raft::Message) {
    let (index, term) = (head.index, message.term);
    let patience = PATIENCE + Duration::from_secs(inner.core.state.read().resident() >> 20);
    let mut standing = inner.core.standing.subscribe();
    let result = tokio::select! {
        result = tokio::time::timeout(patience, send(&inner, to, &urls, &head, message)) => {
            result.unwrap_or_else(|_| Err("not in time".into()))
        }
        // The next leader sends its own: one at a time is what the member has memory for.
        _ = standing.wait_for(|now| now.role != raft::Role::Leader || now.term != term) => Err("another one leads".into()),
    };
    let ok = match result {
        Ok(()) => true,
        Err(reason) => {
            tracing::warn!(to = format!("{to:x}"), index, reason, "a snapshot was not sent");
            // Not at once: the member may be starting.
            tokio::time::sleep(Duration::from_millis(500)).await;
            false
        }
    };
    inner.core.state.write().end_save(&head);
    inner.tell(Input::Sent { to, term, index, ok });
}

async fn send(
    inner: &Arc<Inner>,
    to: u64,
    urls: &[String],
    head: &SnapshotHead,
    message: raft::Message,
) -> Result<(), String> {
    let mut reason = "the member has no address".to_owned();
    for url in urls {
        let channel = match link::connect(url, &inner.tls).await {
            Ok(channel) => channel,
            Err(error) => {
                reason = error;
                continue;
            }
        };
        let (parts, sending) = mpsc::channel::<SnapshotPart>(AHEAD);
        let first = SnapshotPart { hello: Some(inner.hello(to)), message: Some(message), ..SnapshotPart::default() };
        let (core, head) = (Arc::clone(&inner.core), head.clone());
        let encode = tokio::task::spawn_blocking(move || {
            let send = |part| parts.blocking_send(part).map_err(|_| io::Error::other("the stream was lost"));
            send(first)?;
            let mut size = 0;
            let mut ration = Ration::new();
            snapshot::encode(&core, &head, &mut |bytes| {
                size += bytes.len() as u64;
                bytes.chunks(PART).try_for_each(|chunk| {
                    ration.spend_and_rest(chunk.len() as u64, &core);
                    send(SnapshotPart { data: Bytes::copy_from_slice(chunk), ..SnapshotPart::default() })
                })
            })?;
            send(SnapshotPart { size, ..SnapshotPart::default() })
        });
        let sending = stream::unfold(sending, |mut sending: mpsc::Receiver<SnapshotPart>| async move {
            sending.recv().await.map(|part| (part, sending))
        });
        let answer = client(channel).install(sending).await;
        let encoded = encode.await.map_err(|error| error.to_string())?;
        answer.map_err(|status| status.message().to_owned())?;
        return encoded.map_err(|error| error.to_string());
    }
    Err(reason)
}
