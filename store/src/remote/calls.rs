//! Single calls: each has a deadline; a read is asked again, of another member if need be, until then; a write is sent again only
//! if it certainly was not sent.

use std::future::Future;
use std::time::Duration;

use proto::etcd::etcdserverpb as pb;
use proto::etcd::etcdserverpb::kv_client::KvClient;
use proto::etcd::etcdserverpb::watch_client::WatchClient;
use tokio::time::{Instant, sleep_until, timeout_at};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use super::failure::{self, Failure};
use super::links::Links;
use super::pause::Pauses;
use crate::kv::{Error, Revision, Txn};
use crate::request;

/// Longest wait for a connection.
const CONNECTION: Duration = Duration::from_secs(3);
/// Longest wait for the answer to a write, and to a read however often it is asked.
const ANSWER: Duration = Duration::from_secs(10);
/// A read that is not answered by then is asked of another member.
const ATTEMPT: Duration = Duration::from_secs(4);

/// Whether a request may be sent again when it is not known what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// A read.
    Yes,
    /// A write.
    No,
}

impl Again {
    /// Of a transaction.
    pub(crate) fn of(txn: &Txn) -> Self {
        if request::reads_only(txn) { Self::Yes } else { Self::No }
    }
}

/// The KV service over a channel, with message limits out of the way: the server has its own.
pub(crate) fn kv(channel: Channel) -> KvClient<Channel> {
    KvClient::new(channel).max_decoding_message_size(i32::MAX as usize)
}

/// The Watch service, likewise.
pub(crate) fn watch(channel: Channel) -> WatchClient<Channel> {
    WatchClient::new(channel).max_decoding_message_size(i32::MAX as usize)
}

/// Makes a call, as often as is right.
pub(crate) async fn call<M, R, F>(
    links: &Links,
    again: Again,
    message: M,
    send: impl Fn(Channel, Request<M>) -> F,
) -> Result<R, Error>
where
    M: Clone,
    F: Future<Output = Result<Response<R>, Status>>,
{
    let end = Instant::now() + ANSWER;
    let mut pauses = Pauses::default();
    loop {
        let link = links.get(end.min(Instant::now() + CONNECTION)).await?;
        let deadline = if again == Again::Yes { end.min(Instant::now() + ATTEMPT) } else { end };
        let mut request = Request::new(message.clone());
        // So that the server gives up, too.
        request.set_timeout(deadline.saturating_duration_since(Instant::now()));
        let failure = match timeout_at(deadline, send(link.channel, request)).await {
            Ok(Ok(response)) => return Ok(response.into_inner()),
            Ok(Err(status)) => failure::of(&status),
            Err(_) => Failure::Unknown("no answer in time".into()),
        };
        let reason = match failure {
            Failure::Refused(error) => return Err(error),
            Failure::Unsent(reason) => {
                links.failed(link.id, &reason);
                reason
            }
            Failure::Unknown(reason) => {
                links.failed(link.id, &reason);
                if again == Again::No {
                    return Err(Error::Unavailable(reason));
                }
                reason
            }
        };
        let pause = Instant::now() + pauses.next();
        if pause >= end {
            return Err(Error::Unavailable(reason));
        }
        sleep_until(pause).await;
    }
}

/// The store's revision, linearizable, by the cheapest read there is.
pub(crate) async fn revision(links: &Links) -> Result<Revision, Error> {
    let request = pb::RangeRequest { key: "\0".into(), count_only: true, ..pb::RangeRequest::default() };
    let response = call(links, Again::Yes, request, |channel, request| async move { kv(channel).range(request).await });
    Ok(super::convert::revision(response.await?.header.as_ref()))
}

/// The compact revision, which no error message carries: a watch from the beginning of time is told it.
pub(crate) async fn compacted(links: &Links) -> Result<Revision, Error> {
    let create = pb::WatchCreateRequest { key: "\0".into(), start_revision: 1, ..pb::WatchCreateRequest::default() };
    let message = pb::WatchRequest { request_union: Some(pb::watch_request::RequestUnion::CreateRequest(create)) };
    let ask = |channel, request: Request<pb::WatchRequest>| async move {
        let message = request.into_inner();
        let mut responses = watch(channel).watch(open(message)).await?.into_inner();
        let mut compacted = 0;
        while let Some(response) = responses.message().await? {
            compacted = response.compact_revision;
            if !response.created || response.canceled {
                break;
            }
        }
        Ok(Response::new(compacted))
    };
    call(links, Again::Yes, message, ask).await.map(super::convert::unsigned)
}

/// A stream of requests that says one thing and stays open.
fn open(message: pb::WatchRequest) -> impl futures::Stream<Item = pb::WatchRequest> + Send + 'static {
    use futures::StreamExt;
    futures::stream::iter([message]).chain(futures::stream::pending())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::{Op, Range};
    use crate::testing::put_op;

    #[test]
    fn only_what_writes_nothing_is_asked_again() {
        let read = || Op::Range(Range::default());
        let nested = |op: Op| Op::Txn(Txn { then: vec![op], ..Txn::default() });
        let table = [
            (vec![], Again::Yes),
            (vec![read()], Again::Yes),
            (vec![read(), nested(read())], Again::Yes),
            (vec![read(), put_op("k", "v")], Again::No),
            (vec![nested(nested(put_op("k", "v")))], Again::No),
        ];
        for (ops, again) in table {
            let either = Txn { otherwise: ops.clone(), ..Txn::default() };
            let then = Txn { then: ops, ..Txn::default() };
            assert_eq!((Again::of(&then), Again::of(&either)), (again, again), "{then:?}");
        }
    }
}
