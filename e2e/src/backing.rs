//! The store that a scenario's cluster runs on. `MKUBE_E2E_STORE` says which where the scenario does not: `embedded` (the default:
//! the cluster's own), `mkube-store` (mkube's own as a process beside the cluster) or `etcd` (one member of the etcd in the
//! PATH).

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use store::testing::etcd::{self, Etcd};

use crate::program;

/// Which store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Choice {
    /// What `MKUBE_E2E_STORE` says.
    #[default]
    Environment,
    /// A real etcd.
    Etcd,
    /// A member of a real etcd on each master, which `mkube up` runs itself.
    EtcdMembers,
}

impl Choice {
    /// The program that the masters' members are run by, if they are.
    ///
    /// # Errors
    /// When it is not installed.
    pub fn members(self) -> anyhow::Result<Option<PathBuf>> {
        if self != Self::EtcdMembers {
            return Ok(None);
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&path).map(|dir| dir.join("etcd")).find(|file| file.is_file());
        found.map(Some).context("no etcd in the PATH (Debian: etcd-server)")
    }
}

/// A store beside the cluster; ends when it goes.
pub struct Backing(Vec<Etcd>);

impl Backing {
    /// For `--store-endpoints`.
    pub fn endpoints(&self) -> String {
        self.0.iter().map(Etcd::url).collect::<Vec<_>>().join(",")
    }

    /// Its members, to do things to.
    pub fn members(&mut self) -> &mut [Etcd] {
        &mut self.0
    }
}

/// Starts the chosen store, with its files in `dir`; none for the cluster's own.
///
/// # Errors
/// When the environment asks for something unknown, or it does not start.
pub fn start(choice: Choice, dir: &Path) -> anyhow::Result<Option<Backing>> {
    let wanted = match choice {
        Choice::Environment => std::env::var("MKUBE_E2E_STORE").unwrap_or_default(),
        Choice::Etcd => "etcd".into(),
        Choice::EtcdMembers => String::new(),
    };
    let dir = dir.join("store");
    let program = match wanted.as_str() {
        "" | "embedded" => return Ok(None),
        "mkube-store" => vec![program::mkube()?.display().to_string(), "store".into()],
        "etcd" => {
            ensure!(etcd::is_installed(), "a cluster on etcd needs one in the PATH (Debian: etcd-server)");
            etcd::program()
        }
        other => bail!("MKUBE_E2E_STORE={other} is none of embedded, mkube-store, etcd"),
    };
    std::fs::create_dir_all(&dir).context("the store's directory")?;
    Ok(Some(Backing(
        Etcd::cluster(&program, &dir, 1, None).with_context(|| format!("starting {}", program.join(" ")))?,
    )))
}
