//! A store over another one, for tests that want one thing to be different.

use futures::future::BoxFuture;
use futures::stream::BoxStream;

use crate::kv::{Error, Kv, Page, Range, Revision, Signal, Txn, TxnReply, WatchOptions};

/// Does what the store below does, but for what it does itself: a [`Kv`] in a few lines.
pub trait Over: Send + Sync + 'static {
    /// The store below.
    fn below(&self) -> &dyn Kv;

    /// See [`Kv::range`].
    fn range(&self, range: Range) -> BoxFuture<'_, Result<Page, Error>> {
        self.below().range(range)
    }

    /// See [`Kv::txn`].
    fn txn(&self, txn: Txn) -> BoxFuture<'_, Result<TxnReply, Error>> {
        self.below().txn(txn)
    }

    /// See [`Kv::watch`].
    fn watch(&self, range: Range, options: WatchOptions) -> BoxStream<'static, Result<Signal, Error>> {
        self.below().watch(range, options)
    }

    /// See [`Kv::compact`].
    fn compact(&self, upto: Revision) -> BoxFuture<'_, Result<(), Error>> {
        self.below().compact(upto)
    }

    /// See [`Kv::revision`].
    fn revision(&self) -> BoxFuture<'_, Result<Revision, Error>> {
        self.below().revision()
    }

    /// See [`Kv::local_revision`].
    fn local_revision(&self) -> Revision {
        self.below().local_revision()
    }

    /// See [`Kv::is_private`].
    fn is_private(&self) -> bool {
        self.below().is_private()
    }
}

impl<T: Over> Kv for T {
    fn range(&self, range: Range) -> BoxFuture<'_, Result<Page, Error>> {
        Over::range(self, range)
    }

    fn txn(&self, txn: Txn) -> BoxFuture<'_, Result<TxnReply, Error>> {
        Over::txn(self, txn)
    }

    fn watch(&self, range: Range, options: WatchOptions) -> BoxStream<'static, Result<Signal, Error>> {
        Over::watch(self, range, options)
    }

    fn compact(&self, upto: Revision) -> BoxFuture<'_, Result<(), Error>> {
        Over::compact(self, upto)
    }

    fn revision(&self) -> BoxFuture<'_, Result<Revision, Error>> {
        Over::revision(self)
    }

    fn local_revision(&self) -> Revision {
        Over::local_revision(self)
    }

    fn is_private(&self) -> bool {
        Over::is_private(self)
    }
}
