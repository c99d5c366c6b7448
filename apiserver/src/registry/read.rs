//! Get, list and watch: thin, because the storage has their semantics.

use std::sync::Arc;

use api::Status;
use api::kinds::KindRef;
use futures::stream::BoxStream;

use super::{Registry, not_found};
use crate::storage::{Entry, Freshness, ListQuery, Listing, WatchItem, WatchQuery};

impl Registry {
    /// One object.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn get(
        &self,
        kind: KindRef,
        namespace: &str,
        name: &str,
        freshness: Freshness,
    ) -> Result<Arc<Entry>, Status> {
        let entry = self.storage.get(kind, namespace, name, freshness).await?;
        entry.ok_or_else(|| not_found(kind, name))
    }

    /// Many objects.
    ///
    /// # Errors
    /// `Expired` for a version that is gone, `Timeout` for one that has not come.
    pub async fn list(&self, kind: KindRef, query: ListQuery<'_>) -> Result<Listing, Status> {
        self.storage.list(kind, query).await
    }

    /// Changes.
    ///
    /// # Errors
    /// As [`Registry::list`].
    pub async fn watch(
        &self,
        kind: KindRef,
        query: WatchQuery,
    ) -> Result<BoxStream<'static, Result<WatchItem, Status>>, Status> {
        self.storage.watch(kind, query).await
    }
}
