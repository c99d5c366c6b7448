//! What a worker does besides planning: keeps probes running, removes what is of no more use, and at the end stops all that runs
//! beside it.

use super::operations::{Done, operate};
use super::worker::Worker;
use crate::known::observed::Observed;
use std::sync::Arc;

use crate::pod;
use crate::probes::{ProbeKind, prober};
use crate::runtime::ContainerState;

impl Worker {
    pub(super) fn probe(&mut self, seen: &Observed) {
        let mut wanted = Vec::new();
        let ips = seen.sandbox().map(|s| s.ips.clone()).unwrap_or_default();
        let ip = if pod::host_network(&self.pod) { self.node.ips.first() } else { ips.first() }.copied();
        for (role, spec) in pod::all_containers(&self.pod) {
            let Some(current) = seen.current(&spec.name).filter(|c| c.state == ContainerState::Running) else {
                continue;
            };
            let probed = self.memory.probes(&current.id);
            let passed_startup = spec.startup_probe.is_none() || probed.startup == Some(true);
            // While a pod ends, only readiness is still of interest.
            let ending = self.memory.termination.is_some() || self.memory.stopping.contains_key(&current.id);
            for (kind, due, result) in [
                (ProbeKind::Startup, !ending && probed.startup.is_none(), None),
                (ProbeKind::Liveness, !ending && passed_startup && probed.liveness != Some(false), Some(true)),
                (ProbeKind::Readiness, passed_startup, probed.readiness),
            ] {
                if due && prober::spec(spec, kind).is_some() && role != pod::Role::Init {
                    wanted.push(prober::Task {
                        node: self.node.clone(),
                        pod: self.pod.clone(),
                        role,
                        container: spec.clone(),
                        id: current.id.clone(),
                        started_at: current.started_at.unwrap_or(current.created_at),
                        kind,
                        result,
                        ip,
                    });
                }
            }
        }
        let mailbox = self.mailbox.clone();
        let tell: prober::Tell = Arc::new(move |id, kind, result| {
            mailbox.tell(|news| {
                news.probes.insert((id.clone(), kind), result);
            });
        });
        self.probers.reconcile(wanted, &tell);
        self.memory.probed.retain(|id, _| seen.containers.iter().any(|c| c.id == *id) || seen.containers.is_empty());
    }

    /// Removes ended containers but the newest two of each name (the last one is there for `logs --previous`), and
    /// sandboxes that nothing kept was in.
    pub(super) fn collect_garbage(&mut self, seen: &Observed) {
        let mut kept = Vec::new();
        for (_, spec) in pod::all_containers(&self.pod) {
            kept.extend(seen.of(&spec.name).take(2).map(|c| c.sandbox.clone()));
            let old =
                seen.of(&spec.name).skip(2).filter(|c| c.state == ContainerState::Exited && !c.sandbox.is_empty());
            for container in old.cloned().collect::<Vec<_>>() {
                let node = self.node.clone();
                let log = node.paths.log(&self.pod, &container.name, container.attempt);
                let message = node.paths.termination_log(pod::uid(&self.pod), &container.name, container.attempt);
                operate(&mut self.operations, async move {
                    if node.runtime.remove_container(&container.id).await.is_ok() {
                        let _ = tokio::fs::remove_file(log).await;
                        let _ = tokio::fs::remove_file(message).await;
                    }
                    Done::Nothing
                });
            }
        }
        for sandbox in seen.sandboxes.iter().skip(1).filter(|s| !s.ready && !kept.contains(&s.id)) {
            let (node, id) = (self.node.clone(), sandbox.id.clone());
            operate(&mut self.operations, async move {
                let _ = node.runtime.remove_sandbox(&id).await;
                Done::Nothing
            });
        }
    }

    /// Ends what runs beside the worker, and waits for it.
    pub(super) async fn stop_operations(&mut self) {
        self.probers = prober::Probers::default();
        // A write under way is waited for, so that it cannot follow the last one.
        if self.report.is_writing() {
            while let Some(done) = self.operations.join_next().await {
                self.done(done);
                if !self.report.is_writing() {
                    break;
                }
            }
        }
        self.operations.shutdown().await;
    }
}
