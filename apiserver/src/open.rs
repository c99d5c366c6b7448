//! Opens the store that the flags name: embedded in this process, or elsewhere over etcd's API.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use base::Context;
use store::remote::{self, Remote, TlsFiles};
use store::{Kv, Store};

use crate::options::StoreOptions;

/// How long a store elsewhere may take to answer at the start; then the server ends, and whoever supervises it tries again.
const PATIENCE: Duration = Duration::from_secs(60);
/// What all keys begin with by our own names.
const PREFIX: &str = "/registry";

/// Opens it; it stays open until `context` stops.
///
/// # Errors
/// Unusable flags or files, a damaged directory; nobody answers at the endpoints.
pub(crate) async fn open(options: &StoreOptions, context: &Context) -> anyhow::Result<Arc<dyn Kv>> {
    if let Some(dir) = &options.store_dir {
        return Ok(Store::open(store::Options::new(dir), context)?);
    }
    let prefix = options.store_prefix.trim_end_matches('/');
    ensure!(prefix.starts_with('/'), "--store-prefix {:?} must begin with a slash", options.store_prefix);
    let remote = remote::Options {
        tls: TlsFiles {
            ca: options.store_cafile.clone(),
            cert: options.store_certfile.clone(),
            key: options.store_keyfile.clone(),
        },
        network_namespace: options.store_network_namespace.clone(),
        prefix: (PREFIX.into(), prefix.to_owned().into()),
        watched: format!("{PREFIX}/").into(),
        ..remote::Options::new(&options.store_endpoints)
    };
    Ok(Remote::connect(remote, context, PATIENCE).await.context("the store")?)
}
