//! Finds the container that a request means.

use axum::http::StatusCode;
use k8s_openapi::api::core::v1::Pod;
use std::sync::Arc;

use super::{Refusal, Server};
use crate::pod;
use crate::runtime::{Container, ContainerState};

impl Server {
    /// The pod, by name.
    pub fn pod(&self, namespace: &str, name: &str) -> Result<Arc<Pod>, Refusal> {
        let missing =
            || Refusal(StatusCode::NOT_FOUND, format!("pod \"{name}\" not found in namespace \"{namespace}\""));
        self.manager.find(namespace, name).ok_or_else(missing)
    }

    /// All containers of that name in the pod, newest first.
    pub async fn runs(&self, pod: &Pod, container: &str) -> Result<Vec<Container>, Refusal> {
        let runtime = &self.manager.node().runtime;
        let failed = |error: crate::runtime::Error| Refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
        let uid = pod::uid(pod);
        let mut all = Vec::new();
        for sandbox in runtime.sandboxes().await.map_err(failed)?.iter().filter(|s| s.uid == uid) {
            all.extend(runtime.containers(&sandbox.id).await.map_err(failed)?);
        }
        all.retain(|c| c.name == container);
        all.sort_by_key(|c| std::cmp::Reverse(c.attempt));
        Ok(all)
    }

    /// The running container of that name.
    pub async fn running(&self, namespace: &str, pod: &str, container: &str) -> Result<Container, Refusal> {
        let pod = self.pod(namespace, pod)?;
        let missing = || Refusal(StatusCode::INTERNAL_SERVER_ERROR, format!("container not found (\"{container}\")"));
        let all = self.runs(&pod, container).await?;
        all.into_iter().find(|c| c.state == ContainerState::Running).ok_or_else(missing)
    }
}
