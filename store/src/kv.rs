//! The contract of the store: what etcd's KV and Watch services offer, as Rust values. Implemented by the in-process
//! store and by a remote one (etcd v3 gRPC: ours or a real etcd). The same suite runs on every implementation.

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

/// Counts the transactions that changed something, from 1 (the empty store). Never goes back, never repeats.
pub type Revision = u64;

/// One key at one revision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: Bytes,
    /// The value; empty in a delete event.
    pub value: Bytes,
    /// The revision that created the key (this incarnation of it).
    pub create_revision: Revision,
    /// The revision that wrote this value (or deleted it, in a delete event).
    pub mod_revision: Revision,
    /// How often this incarnation was written, from 1; 0 in a delete event.
    pub version: u64,
    /// The lease that the key lives by; 0 = none.
    pub lease: i64,
}

/// Which keys, and as of when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Range {
    /// First key.
    pub key: Bytes,
    /// First key after the range; `None` = just `key`. See [`prefix_end`].
    pub end: Option<Bytes>,
    /// At most so many keys; 0 = all.
    pub limit: usize,
    /// As of this revision; 0 = now.
    pub revision: Revision,
    /// Leave the values out.
    pub keys_only: bool,
    /// Only count.
    pub count_only: bool,
    /// Answer from local state without making sure that it is the latest (that of a single member is, once it leads).
    pub serializable: bool,
}

/// Answer to a [`Range`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// In key order.
    pub kvs: Vec<KeyValue>,
    /// Whether `limit` cut the answer.
    pub more: bool,
    /// How many keys the whole range holds.
    pub count: u64,
    /// The store's revision when it answered.
    pub revision: Revision,
}

/// A condition of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compare {
    /// The key.
    pub key: Bytes,
    /// First key after the range; `None` = just `key`. Of a range, every key must satisfy the condition; a range without
    /// keys is judged as a missing key is.
    pub end: Option<Bytes>,
    /// What of it.
    pub target: Target,
    /// How the actual value must stand to the target.
    pub order: Order,
}

/// What a [`Compare`] looks at. A missing key has revision, version and lease 0 and compares false by value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `mod_revision`.
    ModRevision(Revision),
    /// `create_revision`.
    CreateRevision(Revision),
    /// `version`.
    Version(u64),
    /// `value`.
    Value(Bytes),
    /// `lease`.
    Lease(i64),
}

/// actual `<order>` target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// =
    Equal,
    /// ≠
    NotEqual,
    /// >
    Greater,
    /// <
    Less,
}

/// One step of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Reads; sees the earlier steps of its transaction.
    Range(Range),
    /// Writes a key.
    Put {
        /// The key.
        key: Bytes,
        /// Its new value.
        value: Bytes,
        /// The lease that it lives by; 0 = none.
        lease: i64,
    },
    /// Writes a key that must exist ([`Error::NoKey`] otherwise), keeping part of what stands there: etcd's `ignore_value`
    /// and `ignore_lease`. Answered as a put.
    Update {
        /// The key.
        key: Bytes,
        /// Its new value; `None` = as it is.
        value: Option<Bytes>,
        /// The lease that it lives by; `None` = as it is.
        lease: Option<i64>,
    },
    /// Deletes the keys of a range.
    Delete {
        /// First key.
        key: Bytes,
        /// First key after the range; `None` = just `key`.
        end: Option<Bytes>,
    },
    /// A transaction within. All compares, of every depth, look at what was before the outermost transaction.
    Txn(Txn),
}

/// If all compares hold, `then`, else `otherwise`; atomic, one revision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Txn {
    /// All must hold.
    pub when: Vec<Compare>,
    /// Steps if they do.
    pub then: Vec<Op>,
    /// Steps if one does not.
    pub otherwise: Vec<Op>,
}

/// Answer to a [`Txn`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxnReply {
    /// Whether the compares held.
    pub succeeded: bool,
    /// The store's revision afterwards: that of the writes if there were any.
    pub revision: Revision,
    /// One per step that ran.
    pub replies: Vec<OpReply>,
}

/// Answer to an [`Op`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpReply {
    /// To [`Op::Range`].
    Range(Page),
    /// To [`Op::Put`] and [`Op::Update`]: what stood there before.
    Put(Option<KeyValue>),
    /// To [`Op::Delete`]: what was deleted.
    Delete(Vec<KeyValue>),
    /// To [`Op::Txn`].
    Txn(TxnReply),
}

/// What happened to a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Put or delete.
    pub kind: EventKind,
    /// The key as written; for a delete, key and `mod_revision` only.
    pub kv: KeyValue,
    /// The key before, if it existed and its revision is not compacted.
    pub prev: Option<KeyValue>,
}

/// Kind of an [`Event`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// Created or changed.
    Put,
    /// Deleted.
    Delete,
}

/// How to watch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WatchOptions {
    /// First revision to be told of; 0 = from the next one on.
    pub from: Revision,
    /// Send [`Signal::Progress`] when idle (about every 5 s; a test may ask for less).
    pub progress: bool,
}

/// What a watch says. Events come in revision order, each exactly once, those of one revision in one signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// The watch is in place and in step with [`Kv::local_revision`]; events follow from the revision after this one, or
    /// from `from`. The first signal, unless the history that was asked for has to be fetched: then that comes before.
    Started(Revision),
    /// Everything that one revision did to the watched range.
    Events(Revision, Vec<Event>),
    /// All events up to here have been sent.
    Progress(Revision),
}

/// Why the store did not do it. The texts are etcd's (api/v3rpc/rpctypes/error.go), because clients match on them.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum Error {
    /// The revision is gone. The number is the compact revision: the oldest that can still be read.
    #[error("mvcc: required revision has been compacted")]
    Compacted(Revision),
    /// The revision has not happened yet. The number is the current one.
    #[error("mvcc: required revision is a future revision")]
    Future(Revision),
    /// A transaction writes a key twice.
    #[error("duplicate key given in txn request")]
    DuplicateKey,
    /// Empty key.
    #[error("key is not provided")]
    EmptyKey,
    /// A key that must exist does not.
    #[error("key not found")]
    NoKey,
    /// Too many compares or steps.
    #[error("too many operations in txn request")]
    TooManyOps,
    /// Too many bytes.
    #[error("request is too large")]
    TooLarge,
    /// The lease does not exist.
    #[error("requested lease not found")]
    NoLease,
    /// The lease's ID is taken.
    #[error("lease already exists")]
    LeaseExists,
    /// The lease would live for centuries.
    #[error("too large lease TTL")]
    TtlTooLarge,
    /// No space: only reads, deletes and compactions go through.
    #[error("mvcc: database space exceeded")]
    NoSpace,
    /// Not leading, stopping, or not reachable; whether a write happened is unknown if it was under way.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// The disk or the data are damaged.
    #[error("corrupt: {0}")]
    Corrupt(String),
    /// Members were found to differ (alarm CORRUPT): nothing is answered until an operator has looked.
    #[error("corrupt cluster")]
    CorruptCluster,
    /// The leader was lost, or is not known: whether a write happened is not known either.
    #[error("request timed out")]
    TimedOut,
    /// The cluster cannot do it now, or not at all; nothing has happened.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

/// Why a cluster does not do it. The texts are etcd's.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
pub enum ClusterError {
    /// The leader changed before the request was in its log.
    #[error("leader changed")]
    LeaderChanged,
    /// Only the leader can.
    #[error("not leader")]
    NotLeader,
    /// The leadership cannot go there.
    #[error("bad leader transferee")]
    BadTransferee,
    /// A membership change is under way, or would leave nobody.
    #[error("unhealthy cluster")]
    Unhealthy,
    /// The member's ID is taken.
    #[error("member ID already exist")]
    MemberExists,
    /// The member's address is taken.
    #[error("Peer URLs already exists")]
    UrlExists,
    /// There is no such member.
    #[error("member not found")]
    NoMember,
    /// Only a learner can be promoted.
    #[error("can only promote a learner member")]
    NotLearner,
    /// The learner is far behind.
    #[error("can only promote a learner member which is in sync with leader")]
    LearnerBehind,
    /// Too few members would be there for a quorum.
    #[error("re-configuration failed due to not enough started members")]
    TooFewStarted,
    /// The cluster has a learner already.
    #[error("too many learner members in cluster")]
    TooManyLearners,
}

/// A store. All methods are linearizable unless said otherwise; a write is durable when it is answered.
pub trait Kv: Send + Sync + 'static {
    /// Reads a range of keys, as of one revision.
    fn range(&self, range: Range) -> BoxFuture<'_, Result<Page, Error>>;

    /// Runs a transaction. A transaction that changes nothing does not advance the revision.
    fn txn(&self, txn: Txn) -> BoxFuture<'_, Result<TxnReply, Error>>;

    /// Watches a range (its `key` and `end`). The stream ends after an error; `Error::Compacted` when the watch asked
    /// for, or fell behind, what is compacted. A slow reader never blocks a writer and never misses an event.
    fn watch(&self, range: Range, options: WatchOptions) -> BoxStream<'static, Result<Signal, Error>>;

    /// Forgets everything before `upto` that a read at or after `upto` cannot see.
    fn compact(&self, upto: Revision) -> BoxFuture<'_, Result<(), Error>>;

    /// The store's revision. When it is answered, [`Kv::local_revision`] is at least that.
    fn revision(&self) -> BoxFuture<'_, Result<Revision, Error>>;

    /// The last revision that this process has seen applied; no round trip. Every watch of this process that has said
    /// [`Signal::Started`] yields all its events up to this revision without waiting: when, after this was read, a poll
    /// finds nothing, the reader knows everything up to here. With a remote store it may lag behind what is acknowledged.
    fn local_revision(&self) -> Revision;

    /// Whether nobody but this process writes to the store, so that what was acknowledged here is all there is.
    fn is_private(&self) -> bool;
}

/// The first key after all keys that start with `prefix`; `None` if there is none (a prefix of 0xff bytes only, or empty).
pub fn prefix_end(prefix: &[u8]) -> Option<Bytes> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return Some(Bytes::from(end));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_end_is_the_next_key() {
        assert_eq!(prefix_end(b"/a/").unwrap(), Bytes::from_static(b"/a0"));
        assert_eq!(prefix_end(b"a\xff").unwrap(), Bytes::from_static(b"b"));
        assert_eq!(prefix_end(b"\xff\xff"), None);
        assert_eq!(prefix_end(b""), None);
    }
}
