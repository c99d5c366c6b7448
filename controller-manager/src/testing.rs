//! For tests of what controllers write: a whole API in memory, with short ways to make what they write to.

use apiserver::testing::Server;
use client::Client;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use serde_json::{from_value, json};

/// An API server; its namespace `default` takes pods.
pub(crate) struct Rig {
    _server: Server,
    pub(crate) client: Client,
}

impl Rig {
    pub(crate) async fn start() -> Self {
        let server = Server::start().await.unwrap();
        let client = server.client().unwrap();
        let account: ServiceAccount = from_value(json!({"metadata": {"name": "default"}})).unwrap();
        client.create("default", &account).await.unwrap();
        Self { _server: server, client }
    }

    /// A new pod, labelled `app`.
    pub(crate) async fn pod(&self, name: &str, app: &str) -> Pod {
        let pod = json!({"metadata": {"name": name, "labels": {"app": app}},
            "spec": {"containers": [{"name": "c", "image": "i"}]}});
        self.client.create("default", &from_value::<Pod>(pod).unwrap()).await.unwrap()
    }

    /// The pod as it is now.
    pub(crate) async fn now(&self, name: &str) -> Pod {
        self.client.get("default", name).await.unwrap()
    }
}
