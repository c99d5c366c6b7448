//! The suite that every [`Kv`] must pass: what etcd promises, as far as the contract has it. Not for production code: the
//! functions panic.
//!
//! Give it a *new, empty* store for each check (`checks()` lists them by name, so that a failure says which), or the whole
//! at once with [`run`].

mod basic;
pub mod etcd;
pub mod fuzz;
pub mod history;
mod over;
mod ports;
#[cfg(test)]
pub(crate) mod seeds;
mod txn;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

pub use over::Over;
pub use ports::free_ports;

use crate::kv::{Error, Kv, Op, Page, Range, Revision, Signal, Txn, TxnReply, prefix_end};

/// A check of a new, empty store.
pub type Check = fn(Arc<dyn Kv>) -> BoxFuture<'static, ()>;

/// Every check with its name.
pub fn checks() -> Vec<(&'static str, Check)> {
    [basic::CHECKS, txn::CHECKS, watch::CHECKS].concat()
}

/// Runs every check, each on a store of its own.
pub async fn run<F>(mut new_store: impl FnMut() -> F)
where
    F: Future<Output = Arc<dyn Kv>>,
{
    for (name, check) in checks() {
        eprintln!("check {name}");
        check(new_store().await).await;
    }
}

/// A put in a transaction of its own.
///
/// # Errors
/// As [`Kv::txn`].
pub async fn put(kv: &dyn Kv, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Result<TxnReply, Error> {
    kv.txn(Txn { then: vec![put_op(key, value)], ..Txn::default() }).await
}

/// A deletion of one key in a transaction of its own.
///
/// # Errors
/// As [`Kv::txn`].
pub async fn delete(kv: &dyn Kv, key: impl Into<Bytes>) -> Result<TxnReply, Error> {
    kv.txn(Txn { then: vec![Op::Delete { key: key.into(), end: None }], ..Txn::default() }).await
}

/// A put as a step.
pub fn put_op(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Op {
    Op::Put { key: key.into(), value: value.into(), lease: 0 }
}

/// A deletion of one key as a step.
pub fn delete_op(key: impl Into<Bytes>) -> Op {
    Op::Delete { key: key.into(), end: None }
}

/// The range of all keys with a prefix, as of a revision (0: now).
pub fn prefix(prefix: &str, revision: Revision) -> Range {
    let key = Bytes::copy_from_slice(prefix.as_bytes());
    Range { end: prefix_end(&key), key, revision, ..Range::default() }
}

/// The range of one key, as of a revision (0: now).
pub fn single(key: &str, revision: Revision) -> Range {
    Range { key: Bytes::copy_from_slice(key.as_bytes()), revision, ..Range::default() }
}

/// The range of all keys there are.
pub fn everything(revision: Revision) -> Range {
    let all = Bytes::from_static(b"\0");
    Range { key: all.clone(), end: Some(all), revision, ..Range::default() }
}

/// A page as `key=value@mod_revision` words.
pub fn text(page: &Page) -> String {
    let word = |kv: &crate::KeyValue| {
        format!("{}={}@{}", String::from_utf8_lossy(&kv.key), String::from_utf8_lossy(&kv.value), kv.mod_revision)
    };
    page.kvs.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// Signals of a watch until it is in step: its events, if any, and the revision that it started at. Panics on an error.
pub async fn started(stream: &mut BoxStream<'static, Result<Signal, Error>>) -> (Vec<Signal>, Revision) {
    let mut before = Vec::new();
    loop {
        match next(stream).await {
            Ok(Signal::Started(revision)) => return (before, revision),
            Ok(signal) => before.push(signal),
            Err(error) => panic!("the watch did not start: {error}"),
        }
    }
}

/// The next events of a watch, which may have to start first.
pub async fn next_events(stream: &mut BoxStream<'static, Result<Signal, Error>>) -> Result<Signal, Error> {
    loop {
        match next(stream).await {
            Ok(Signal::Started(_)) => {}
            other => return other,
        }
    }
}

/// The next signal of a watch; panics if none comes.
pub async fn next(stream: &mut BoxStream<'static, Result<Signal, Error>>) -> Result<Signal, Error> {
    let signal = tokio::time::timeout(Duration::from_secs(20), stream.next()).await;
    match signal {
        Ok(Some(signal)) => signal,
        Ok(None) => panic!("the watch ended"),
        Err(_) => panic!("the watch said nothing for 20 s"),
    }
}
