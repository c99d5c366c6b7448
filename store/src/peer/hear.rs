//! What another member says here: frames, which the writer gets in the order in which they were said.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use proto::peer::parcel::Body;
use proto::peer::{Parcel, Refusal};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tonic::Status;

use super::admit::REMOVED;
use super::serve::refusal;
use super::{Inner, KEPT, MOST_BYTES, frames};
use crate::inbox::Message;
use crate::member::Input;
use crate::remote::dial::Io;

/// Kilobytes of one connection that may wait for the writer; then it is not read.
const WAITING_KIB: usize = 32 << 10;
/// Room for what comes, made when less than a quarter of it is left.
const ROOM: usize = 64 << 10;
/// A caller who has not said who it is by then is nobody.
const PATIENCE: Duration = Duration::from_secs(5);
/// For how long somebody who is refused may go on talking: closed at once, the connection would be reset, and the refusal lost.
const FAREWELL: Duration = Duration::from_secs(1);

/// Hears one member out, which has said that it wants to talk, until the connection ends.
pub(super) async fn hear(inner: &Inner, mut io: Box<dyn Io>) {
    let Err(status) = listen(inner, &mut io).await else { return };
    tracing::debug!(reason = status.message(), "a caller is refused");
    let mut frame = BytesMut::new();
    frames::put(&Refusal { code: status.code().into(), reason: status.message().into() }, &mut frame);
    let farewell = async {
        io.write_all(&frame).await?;
        io.shutdown().await?;
        tokio::io::copy(&mut io, &mut tokio::io::sink()).await
    };
    let _ = tokio::time::timeout(FAREWELL, farewell).await;
}

/// `Ok`: it has ended the connection.
async fn listen(inner: &Inner, io: &mut Box<dyn Io>) -> Result<(), Status> {
    let waiting = Arc::new(Semaphore::new(WAITING_KIB));
    let mut buffer = BytesMut::new();
    // Who does not say who it is gets neither memory nor time.
    let hello = tokio::time::timeout(PATIENCE, next(io, &mut buffer, ROOM)).await.unwrap_or(Ok(None))?;
    let from = match hello.and_then(|(parcel, _)| parcel.body) {
        Some(Body::Hello(hello)) => inner.admit(Some(&hello))?,
        _ => inner.admit(None)?,
    };
    while let Some(first) = next(io, &mut buffer, MOST_BYTES).await? {
        if inner.core.state.read().members().was_removed(from) {
            return Err(refusal(REMOVED.into()));
        }
        // What has come with it goes with it.
        let (mut messages, mut bytes, mut found) = (Vec::new(), 0, Ok(Some(first)));
        while let Ok(Some((parcel, size))) = found {
            messages.push(Message { input: Input::Peer(from, parcel), share: None });
            // In memory it is more than on the wire.
            bytes += size + size_of::<Message>();
            found = frames::take(&mut buffer, MOST_BYTES);
        }
        let share = Arc::clone(&waiting).acquire_many_owned((bytes / 1024 + 1).min(WAITING_KIB) as u32).await;
        let share = share.map_err(|_| Status::unavailable("the member stops"))?;
        if let Some(last) = messages.last_mut() {
            last.share = Some(share);
        }
        if inner.inbox.send_all(messages).is_err() {
            return Err(Status::unavailable("the member stops"));
        }
        found.map_err(bad)?;
    }
    Ok(())
}

/// The next parcel and its bytes; `None`: nothing more comes.
async fn next(io: &mut Box<dyn Io>, buffer: &mut BytesMut, most: usize) -> Result<Option<(Parcel, usize)>, Status> {
    loop {
        if let Some(found) = frames::take(buffer, most).map_err(bad)? {
            return Ok(Some(found));
        }
        if buffer.is_empty() && buffer.try_reclaim(KEPT + 1) {
            *buffer = BytesMut::new();
        }
        if buffer.capacity() - buffer.len() < ROOM / 4 {
            buffer.reserve(ROOM);
        }
        match io.read_buf(buffer).await {
            Ok(1..) => {}
            // What it has lost, or cut short, it says again on another connection, or never.
            Ok(0) | Err(_) => return Ok(None),
        }
    }
}

fn bad(error: frames::BadFrame) -> Status {
    Status::invalid_argument(error.to_string())
}
