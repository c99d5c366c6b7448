//! Which store a cluster's objects are in: its own, or one elsewhere. Chosen once: objects do not move.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use crate::layout::OtherStore;

/// The prefix of all keys where none is given, as upstream's.
const PREFIX: &str = "/registry";

/// Flags that choose a store elsewhere.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Flags {
    /// URLs of an etcd or mkube-store that holds the objects, as this host reaches it; by default the cluster has a store of
    /// its own. Remembered.
    #[arg(long, value_delimiter = ',', value_name = "URL")]
    pub store_endpoints: Vec<String>,
    /// Authorities that the store's certificate may come from (PEM).
    #[arg(long, requires = "store_endpoints")]
    pub store_cafile: Option<PathBuf>,
    /// Client certificate for the store (PEM).
    #[arg(long, requires = "store_endpoints")]
    pub store_certfile: Option<PathBuf>,
    /// Client key for the store (PEM).
    #[arg(long, requires = "store_endpoints")]
    pub store_keyfile: Option<PathBuf>,
    /// Prefix of the cluster's keys, one for each cluster on the same store (by default /registry).
    #[arg(long, requires = "store_endpoints")]
    pub store_prefix: Option<String>,
}

impl Flags {
    /// The store of a new cluster; none: its own.
    pub(crate) fn chosen(&self) -> anyhow::Result<Option<OtherStore>> {
        if self.store_endpoints.is_empty() {
            return Ok(None);
        }
        let prefix = self.store_prefix.clone().unwrap_or_else(|| PREFIX.into());
        ensure!(prefix.starts_with('/'), "--store-prefix {prefix:?} must begin with a slash");
        Ok(Some(OtherStore {
            endpoints: self.store_endpoints.clone(),
            ca: absolute(self.store_cafile.as_deref())?,
            cert: absolute(self.store_certfile.as_deref())?,
            key: absolute(self.store_keyfile.as_deref())?,
            prefix,
        }))
    }

    /// The store of a cluster that exists: the one it has, perhaps by other endpoints and files.
    pub(crate) fn again(&self, present: Option<OtherStore>) -> anyhow::Result<Option<OtherStore>> {
        let Some(mut chosen) = self.chosen()? else { return Ok(present) };
        let present =
            present.context("the cluster's objects are in its own directory; they cannot move to another store")?;
        if self.store_prefix.is_none() {
            chosen.prefix.clone_from(&present.prefix);
        }
        ensure!(
            chosen.prefix == present.prefix,
            "the cluster's objects are under {} in the store, not under {}",
            present.prefix,
            chosen.prefix
        );
        Ok(Some(chosen))
    }
}

fn absolute(path: Option<&Path>) -> anyhow::Result<Option<PathBuf>> {
    path.map(|path| std::path::absolute(path).with_context(|| format!("path {}", path.display()))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(endpoints: &[&str], prefix: Option<&str>) -> Flags {
        Flags {
            store_endpoints: endpoints.iter().map(ToString::to_string).collect(),
            store_prefix: prefix.map(Into::into),
            ..Flags::default()
        }
    }

    #[test]
    fn a_cluster_keeps_the_store_it_began_with() {
        let none = flags(&[], None);
        assert_eq!(none.chosen().unwrap(), None);
        assert_eq!(none.again(None).unwrap(), None);
        let first = flags(&["http://a:1"], Some("/x")).chosen().unwrap();
        assert_eq!(none.again(first.clone()).unwrap(), first);
        let more = flags(&["http://a:1", "http://b:1"], None).again(first.clone()).unwrap().unwrap();
        assert_eq!((more.endpoints.len(), more.prefix.as_str()), (2, "/x"));
        assert!(flags(&["http://a:1"], None).again(None).unwrap_err().to_string().contains("own directory"));
        assert!(flags(&["http://a:1"], Some("/y")).again(first).unwrap_err().to_string().contains("under /x"));
        assert_eq!(flags(&["http://a:1"], None).chosen().unwrap().unwrap().prefix, "/registry");
        assert!(flags(&["http://a:1"], Some("x")).chosen().is_err());
    }
}
