//! Faults: processes killed or stopped, a node's cable pulled, everything killed at once. Only processes whose PID the
//! cluster itself recorded are touched.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use mkube::net;
use rustix::process::{Pid, Signal, kill_process};

use crate::cluster::Cluster;
use crate::wait::eventually;

/// Name of the supervisor's "unit": its PID is in the lock.
const READY: &str = "ready";

impl Cluster {
    /// The process of a component, by the name of its PID file: `apiserver`, `kubelet-node-1`, …
    ///
    /// # Errors
    /// When it is not running.
    pub fn pid(&self, component: &str) -> anyhow::Result<Pid> {
        let text =
            std::fs::read_to_string(self.layout().pid(component)).with_context(|| format!("{component}: no PID"))?;
        parse(&text).with_context(|| format!("{component}: PID {text:?}"))
    }

    /// Names of all components that run.
    ///
    /// # Errors
    /// When the directory is gone.
    pub fn components(&self) -> anyhow::Result<Vec<String>> {
        let entries = std::fs::read_dir(self.layout().root().join("run")).context("run")?.flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter_map(|name| name.strip_suffix(".pid").map(String::from)).collect();
        names.retain(|name| name != READY);
        names.sort();
        Ok(names)
    }

    /// kill -9; returns when the supervisor has started it again.
    ///
    /// # Errors
    /// When it was not running or does not come back.
    pub async fn kill(&self, component: &str) -> anyhow::Result<()> {
        let killed = self.pid(component)?;
        kill_process(killed, Signal::KILL).with_context(|| format!("killing {component}"))?;
        eventually(&format!("{component} started again"), Duration::from_secs(30), || async {
            ensure!(self.pid(component)? != killed, "still the killed one");
            Ok(())
        })
        .await
    }

    /// kill -9 of a whole master, of several: all that runs there, at once. Returns the PIDs that were killed, by component; the
    /// supervisor starts them again.
    ///
    /// # Errors
    /// When something of it was not running.
    pub fn kill_master(&self, master: &str) -> anyhow::Result<Vec<(String, Pid)>> {
        let suffix = format!("-{master}");
        let there = self.components()?.into_iter().filter(|component| component.ends_with(&suffix));
        let victims: Vec<(String, Pid)> =
            there.map(|component| Ok((component.clone(), self.pid(&component)?))).collect::<anyhow::Result<_>>()?;
        ensure!(!victims.is_empty(), "nothing runs on {master}");
        for (component, pid) in &victims {
            kill_process(*pid, Signal::KILL).with_context(|| format!("killing {component}"))?;
        }
        Ok(victims)
    }

    /// Stops a component where it is, without ending it.
    ///
    /// # Errors
    /// When it is not running.
    pub fn stop(&self, component: &str) -> anyhow::Result<()> {
        kill_process(self.pid(component)?, Signal::STOP).with_context(|| format!("stopping {component}"))
    }

    /// Lets a stopped component go on.
    ///
    /// # Errors
    /// When it is not running.
    pub fn cont(&self, component: &str) -> anyhow::Result<()> {
        kill_process(self.pid(component)?, Signal::CONT).with_context(|| format!("continuing {component}"))
    }

    /// Pulls a node's cable.
    ///
    /// # Errors
    /// Netlink's.
    pub fn cut(&self, node: &str) -> anyhow::Result<()> {
        let port = node.to_string();
        let switch = self.facts().namespace("switch");
        net::in_namespace(&switch, |handle| async move { net::link_down(&handle, &port).await })
    }

    /// Plugs it in again.
    ///
    /// # Errors
    /// Netlink's.
    pub fn heal(&self, node: &str) -> anyhow::Result<()> {
        let port = node.to_string();
        let switch = self.facts().namespace("switch");
        net::in_namespace(&switch, |handle| async move { net::link_up(&handle, &port).await })
    }

    /// Kills the supervisor and every component at once, as a power cut would; pods live on. Returns when they are gone.
    ///
    /// # Errors
    /// When one does not die.
    pub async fn kill_all(&self) -> anyhow::Result<()> {
        let lock = std::fs::read_to_string(self.layout().root().join("lock")).context("lock")?;
        let mut victims = vec![parse(&lock).context("the supervisor's PID")?];
        for component in self.components()? {
            victims.push(self.pid(&component)?);
        }
        for victim in &victims {
            // The first is the supervisor, whose death the kernel passes on to the others.
            let _ = kill_process(*victim, Signal::KILL);
        }
        eventually("everything dead", Duration::from_secs(20), || async {
            let alive: Vec<_> = victims.iter().filter(|pid| is_alive(**pid)).collect();
            ensure!(alive.is_empty(), "alive: {alive:?}");
            Ok(())
        })
        .await
    }
}

fn parse(text: &str) -> Option<Pid> {
    text.trim().parse().ok().and_then(Pid::from_raw)
}

/// Whether a process lives; a zombie does not.
fn is_alive(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|rest| !rest.starts_with(['Z', 'X'])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zombie_is_not_alive() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(5);
        while is_alive(pid) && std::time::Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert!(!is_alive(pid));
        child.wait().unwrap();
        assert!(is_alive(rustix::process::getpid()));
    }
}
