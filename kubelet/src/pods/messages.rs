//! The termination message of an ended container: what it wrote into its termination log, or the end of its log.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use k8s_openapi::api::core::v1::Pod;

use crate::logs::read::tail_text;
use crate::pod;
use crate::runtime::{Container, ContainerId, ContainerState};
use crate::volumes::paths::Paths;

/// Most of a termination log that is shown (kubecontainer.MaxContainerTerminationMessageLength).
const MOST_BYTES: u64 = 4096;
/// Most of the container's log that stands in for it (FallbackToLogsOnError).
const MOST_LOG_BYTES: usize = 2048;
const MOST_LOG_LINES: usize = 80;

/// Messages that were read, by container: an ended container's does not change.
#[derive(Debug, Default)]
pub struct Messages {
    read: BTreeMap<ContainerId, String>,
}

impl Messages {
    /// Puts the messages of ended containers into `containers`.
    pub fn fill(&mut self, paths: &Paths, pod: &Pod, containers: &mut [Container]) {
        self.read.retain(|id, _| containers.iter().any(|c| c.id == *id));
        for container in containers.iter_mut().filter(|c| c.state == ContainerState::Exited) {
            let message = self.read.entry(container.id.clone()).or_insert_with(|| read(paths, pod, container));
            if !message.is_empty() {
                container.message = message.clone();
            }
        }
    }
}

fn read(paths: &Paths, pod: &Pod, container: &Container) -> String {
    let path = paths.termination_log(pod::uid(pod), &container.name, container.attempt);
    let written = tail(&path, MOST_BYTES).unwrap_or_default();
    if !written.is_empty() {
        return String::from_utf8_lossy(&written).into_owned();
    }
    let policy = pod::container(pod, &container.name).and_then(|(_, c)| c.termination_message_policy.as_deref());
    if policy != Some("FallbackToLogsOnError") || container.exit_code == Some(0) {
        return String::new();
    }
    let log = paths.log(pod, &container.name, container.attempt);
    tail_text(&log, MOST_LOG_LINES, MOST_LOG_BYTES).unwrap_or_default()
}

fn tail(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
    let mut text = Vec::new();
    file.take(most).read_to_end(&mut text)?;
    Ok(text)
}
