//! The end of a pod: the last status, the deletion of its object, and the removal of what is left on the node.

use std::sync::Arc;
use std::time::Duration;

use super::worker::Worker;
use crate::cluster::WriteError;
use crate::pod;
use crate::runtime;
use crate::volumes::setup;

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

impl Worker {
    /// Called when nothing of the pod runs any more.
    pub(super) async fn finish(mut self) {
        let runtime = self.node.runtime.clone();
        self.stop_operations().await;
        if !self.gone && !pod::is_static(&self.pod) {
            let mut wait = FIRST_WAIT;
            while let Err(WriteError::Retry(why)) = self.say_farewell().await {
                tracing::debug!(why, pod = %pod::full_name(&self.pod), "pod not deleted yet");
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = self.mailbox.notified() => {}
                }
                wait = (wait * 2).min(LONGEST_WAIT);
                let news = self.mailbox.take();
                if news.gone {
                    break;
                }
            }
        }
        let uid = pod::uid(&self.pod).to_string();
        match runtime.sandboxes_of(&uid).await {
            Ok(all) => {
                for sandbox in &all {
                    remove_sandbox(&*runtime, &sandbox.id).await;
                }
            }
            Err(error) => tracing::warn!(%error, uid, "sandboxes cannot be listed"),
        }
        let (paths, logs) = (self.node.paths.clone(), self.node.paths.logs(&self.pod));
        let removed = base::panics::blocking(move || setup::remove(&paths, &uid, &logs)).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(%error, pod = %pod::full_name(&self.pod), "files of a deleted pod remain");
        }
    }

    /// The last status, then the deletion; each only if the object is still this pod.
    async fn say_farewell(&mut self) -> Result<(), WriteError> {
        let (namespace, name, uid) = (pod::namespace(&self.pod), pod::name(&self.pod), pod::uid(&self.pod));
        let object = Arc::clone(&self.pod);
        if let Ok(write) = self.report.next(Some(&object), jiff::Timestamp::MAX) {
            match self.node.cluster.patch_status(&write.namespace, &write.name, write.patch).await {
                Err(WriteError::Retry(why)) => {
                    self.report.failed(self.node.now());
                    return Err(WriteError::Retry(why));
                }
                Err(WriteError::Gone) => return Ok(()),
                Ok(_) => self.report.written(),
            }
        }
        match self.node.cluster.delete(namespace, name, uid).await {
            Err(WriteError::Gone) => Ok(()),
            result => result,
        }
    }
}

/// Removes a sandbox; a failure is logged, the next start of the kubelet tries again.
pub async fn remove_sandbox(runtime: &dyn runtime::Runtime, id: &str) {
    match runtime.remove_sandbox(id).await {
        Ok(()) | Err(runtime::Error::NotFound(_)) => {}
        Err(error) => tracing::warn!(%error, sandbox = id, "sandbox cannot be removed"),
    }
}
