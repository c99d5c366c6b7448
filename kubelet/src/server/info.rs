//! What runs here, as data: `/pods`, `/runningpods`, `/stats/summary`, `/metrics`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Server;
use crate::pod;
use crate::runtime::{Container, ContainerState};

/// A JSON answer.
pub struct Json(Value);

impl IntoResponse for Json {
    fn into_response(self) -> Response {
        ([("content-type", "application/json")], self.0.to_string()).into_response()
    }
}

fn list(items: Vec<Value>) -> Json {
    Json(json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}))
}

/// All pods with the status as the kubelet has it.
pub async fn pods(State(server): State<Arc<Server>>) -> Json {
    let mut pods = server.manager.pods();
    pods.sort_by(|a, b| (pod::namespace(a), pod::name(a)).cmp(&(pod::namespace(b), pod::name(b))));
    list(pods.iter().filter_map(|p| serde_json::to_value(&**p).ok()).collect())
}

async fn containers(server: &Server) -> Vec<(crate::runtime::Sandbox, Vec<Container>)> {
    let runtime = &server.manager.node().runtime;
    let mut all = Vec::new();
    for sandbox in runtime.sandboxes().await.unwrap_or_default() {
        let mut running = runtime.containers(&sandbox.id).await.unwrap_or_default();
        running.retain(|c| c.state == ContainerState::Running);
        all.push((sandbox, running));
    }
    all
}

/// What the runtime runs, whoever knows of it.
pub async fn running(State(server): State<Arc<Server>>) -> Json {
    let all = containers(&server).await;
    let with_containers = all.into_iter().filter(|(_, running)| !running.is_empty());
    let items = with_containers.map(|(sandbox, running)| {
        let containers: Vec<Value> =
            running.iter().map(|c| json!({"name": c.name, "image": c.image, "resources": {}})).collect();
        json!({"metadata": {"name": sandbox.name, "namespace": sandbox.namespace, "uid": sandbox.uid},
            "spec": {"containers": containers}, "status": {}})
    });
    list(items.collect())
}

/// CPU and memory of each container.
pub async fn summary(State(server): State<Arc<Server>>) -> Json {
    let node = server.manager.node();
    let now = crate::status::conditions::whole_second(node.now()).to_string();
    let mut pods = Vec::new();
    for (sandbox, running) in containers(&server).await {
        let mut stats = Vec::new();
        for container in running {
            let Ok(used) = node.runtime.stats(&container.id).await else { continue };
            stats.push(json!({"name": container.name, "startTime": container.started_at.map(|t| t.to_string()),
                "cpu": {"time": now, "usageCoreNanoSeconds": used.cpu_nanos},
                "memory": {"time": now, "workingSetBytes": used.memory_working_set}}));
        }
        pods.push(json!({"podRef": {"name": sandbox.name, "namespace": sandbox.namespace, "uid": sandbox.uid},
            "startTime": sandbox.created_at.to_string(), "containers": stats}));
    }
    Json(json!({"node": {"nodeName": server.node}, "pods": pods}))
}

/// Prometheus text.
pub async fn metrics(State(server): State<Arc<Server>>) -> impl IntoResponse {
    let all = containers(&server).await;
    let pods = all.iter().filter(|(sandbox, _)| sandbox.ready).count();
    let running: usize = all.iter().map(|(_, running)| running.len()).sum();
    let mut text = String::from_utf8(base::health::render_metrics()).unwrap_or_default();
    text.push_str(&format!(
        "# HELP kubelet_running_pods [ALPHA] Number of pods that have a running pod sandbox\n\
         # TYPE kubelet_running_pods gauge\nkubelet_running_pods {pods}\n\
         # HELP kubelet_running_containers [ALPHA] Number of containers currently running\n\
         # TYPE kubelet_running_containers gauge\nkubelet_running_containers{{container_state=\"running\"}} {running}\n\
         # HELP kubelet_node_name [ALPHA] The node's name. The count is always 1.\n\
         # TYPE kubelet_node_name gauge\nkubelet_node_name{{node=\"{}\"}} 1\n",
        server.node
    ));
    ([("content-type", "text/plain; version=0.0.4; charset=utf-8")], text)
}
