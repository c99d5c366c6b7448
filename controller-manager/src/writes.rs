//! What controllers do alike when they write: they note it, so that the next pass waits until its cache shows it; and an
//! object that is gone meanwhile is no error.

use client::controller::Pass;
use client::{Cache, Client, DeleteOptions, Error, Object};

/// Notes how a write of an object of `cache` ended.
///
/// # Errors
/// As the write's, unless the object is gone.
pub(crate) fn note<K: Object>(written: Result<K, Error>, cache: &Cache<K>, pass: &Pass) -> Result<(), Error> {
    match written {
        Ok(object) => pass.wrote(cache, &object),
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Deletes this very object, by its UID; one that is gone, or another one now, is deleted. `grace`: seconds, if not its own.
///
/// # Errors
/// As any request.
pub(crate) async fn delete<K: Object>(
    client: &Client,
    object: &K,
    grace: Option<i64>,
    cache: &Cache<K>,
    pass: &Pass,
) -> Result<(), Error> {
    let key = object.key();
    let options = DeleteOptions { grace_period_seconds: grace, ..DeleteOptions::uid(object.uid()) };
    match client.delete::<K>(&key.namespace, &key.name, &options).await {
        Err(error) if !error.is_not_found() && !error.is_conflict() => return Err(error),
        _ => pass.deleted(cache, object),
    }
    Ok(())
}
