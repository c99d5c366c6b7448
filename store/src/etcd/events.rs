//! What a watch has to say, as responses: which events, how many together, and in how many pieces.

use prost::Message;
use proto::etcd::etcdserverpb::watch_create_request::FilterType;
use proto::etcd::etcdserverpb::{ResponseHeader, WatchCreateRequest, WatchResponse};

use super::convert::{event, signed};
use crate::kv::{EventKind, Signal};

/// Responses of several revisions are not made longer than this: some clients take no more than 4 MiB.
const COMFORTABLE: usize = 1 << 20;

/// How a client wants to be told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Manner {
    pub(super) prev_kv: bool,
    pub(super) fragment: bool,
    pub(super) no_put: bool,
    pub(super) no_delete: bool,
}

impl Manner {
    pub(super) fn of(request: &WatchCreateRequest) -> Self {
        Self {
            prev_kv: request.prev_kv,
            fragment: request.fragment,
            no_put: request.filters().any(|filter| filter == FilterType::Noput),
            no_delete: request.filters().any(|filter| filter == FilterType::Nodelete),
        }
    }

    fn wants(&self, kind: EventKind) -> bool {
        match kind {
            EventKind::Put => !self.no_put,
            EventKind::Delete => !self.no_delete,
        }
    }
}

/// The signals as responses. Events of one revision stay in one response, unless the client allows fragments and they are
/// larger than `most` bytes.
pub(super) fn responses(
    watch_id: i64,
    manner: Manner,
    signals: Vec<Signal>,
    header: impl Fn(u64) -> Option<ResponseHeader>,
    most: usize,
) -> Vec<WatchResponse> {
    let mut all = Vec::new();
    let mut open: Option<(WatchResponse, usize)> = None;
    for signal in signals {
        let Signal::Events(revision, events) = signal else { continue };
        let wanted = events.into_iter().filter(|event| manner.wants(event.kind));
        let events: Vec<_> = wanted.map(|found| event(found, manner.prev_kv)).collect();
        if events.is_empty() {
            continue;
        }
        let size: usize = events.iter().map(Message::encoded_len).sum();
        if open.as_ref().is_some_and(|(_, taken)| taken + size > COMFORTABLE) {
            all.extend(open.take().map(|(response, _)| response));
        }
        let (response, taken) = open.get_or_insert_with(|| (WatchResponse { watch_id, ..WatchResponse::default() }, 0));
        response.header = header(revision);
        response.events.extend(events);
        *taken += size;
    }
    all.extend(open.map(|(response, _)| response));
    if manner.fragment { all.into_iter().flat_map(|response| fragments(response, most)).collect() } else { all }
}

/// etcd: server/etcdserver/api/v3rpc/watch.go, sendFragments.
fn fragments(response: WatchResponse, most: usize) -> Vec<WatchResponse> {
    if response.events.len() < 2 || response.encoded_len() < most {
        return vec![response];
    }
    let WatchResponse { header, watch_id, events, .. } = response;
    let fresh = || WatchResponse { header, watch_id, fragment: true, ..WatchResponse::default() };
    let mut all = Vec::new();
    let mut open = fresh();
    let mut taken = 0;
    for event in events {
        let size = event.encoded_len() + 8;
        if !open.events.is_empty() && taken + size >= most {
            all.push(std::mem::replace(&mut open, fresh()));
            taken = 0;
        }
        taken += size;
        open.events.push(event);
    }
    open.fragment = false;
    all.push(open);
    all
}

/// A response that says how far the watch (or, with -1, all watches of the stream) has seen.
pub(super) fn progress(watch_id: i64, header: Option<ResponseHeader>) -> WatchResponse {
    WatchResponse { header, watch_id, ..WatchResponse::default() }
}

/// A watch that ends because what it would have to tell is compacted.
pub(super) fn compacted(watch_id: i64, header: Option<ResponseHeader>, compacted: u64) -> WatchResponse {
    let compact_revision = signed(compacted);
    WatchResponse { header, watch_id, canceled: true, compact_revision, ..WatchResponse::default() }
}

/// A watch that does not begin.
pub(super) fn refused(header: Option<ResponseHeader>, cancel_reason: &str) -> WatchResponse {
    let cancel_reason = cancel_reason.to_owned();
    WatchResponse { header, watch_id: -1, created: true, canceled: true, cancel_reason, ..WatchResponse::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::{Event, KeyValue};

    fn signal(revision: u64, sizes: &[usize]) -> Signal {
        let event = |size: &usize| Event {
            kind: if *size == 0 { EventKind::Delete } else { EventKind::Put },
            kv: KeyValue { value: vec![b'v'; *size].into(), mod_revision: revision, ..KeyValue::default() },
            prev: Some(KeyValue::default()),
        };
        Signal::Events(revision, sizes.iter().map(event).collect())
    }

    /// Events per response, with `+` where the next one goes on with it.
    fn shape(manner: Manner, signals: Vec<Signal>, most: usize) -> String {
        let header = |revision| Some(ResponseHeader { revision: signed(revision), ..ResponseHeader::default() });
        let all = responses(3, manner, signals, header, most);
        let word =
            |response: &WatchResponse| format!("{}{}", response.events.len(), if response.fragment { "+" } else { "" });
        all.iter().map(word).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn responses_are_neither_too_long_nor_torn() {
        let plain = Manner::default();
        let fragment = Manner { fragment: true, ..plain };
        assert_eq!(shape(plain, vec![signal(2, &[1, 1]), signal(3, &[1])], 100), "3");
        assert_eq!(shape(plain, vec![signal(2, &[600_000]), signal(3, &[600_000])], 100), "1 1");
        assert_eq!(shape(plain, vec![signal(2, &[600_000, 600_000])], 100), "2", "one revision is not torn");
        assert_eq!(shape(fragment, vec![signal(2, &[600, 600, 600])], 1500), "2+ 1");
        assert_eq!(shape(fragment, vec![signal(2, &[6000])], 1500), "1", "an event is not torn");
        assert_eq!(shape(Manner { no_put: true, ..plain }, vec![signal(2, &[1, 0]), signal(3, &[1])], 100), "1");
        assert_eq!(shape(Manner { no_delete: true, ..plain }, vec![signal(2, &[0])], 100), "");
    }
}
