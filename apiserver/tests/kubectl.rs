//! The real kubectl against a whole server.
#![allow(clippy::unwrap_used)] // Only tests are here.

mod common;

use common::{Server, kubectl, run_kubectl};

#[tokio::test(flavor = "multi_thread")]
async fn a_config_map_goes_through_the_real_kubectl() {
    let Some(kubectl) = kubectl() else { return };
    let server = Server::start().await;
    let config = server.kubeconfig();
    let run = async |arguments: &[&str]| {
        let (ok, out, err) = run_kubectl(&kubectl, &config, arguments).await;
        assert!(ok, "kubectl {arguments:?}: {out}\n{err}");
        out
    };
    assert_eq!(run(&["create", "configmap", "a", "--from-literal=k=v"]).await, "configmap/a created\n");
    assert_eq!(run(&["get", "configmap", "a", "-o", "jsonpath={.data.k}"]).await, "v");
    assert!(run(&["get", "cm"]).await.contains("NAME"));
    assert!(run(&["get", "ns", "-o", "name"]).await.contains("namespace/kube-node-lease"));
    assert!(run(&["api-resources"]).await.contains("deployments"));
    assert_eq!(run(&["auth", "can-i", "create", "pods"]).await, "yes\n");
    assert_eq!(run(&["delete", "configmap", "a"]).await, "configmap \"a\" deleted\n");
    let (ok, _, err) = run_kubectl(&kubectl, &config, &["get", "configmap", "a"]).await;
    assert!(!ok);
    assert_eq!(err, "Error from server (NotFound): configmaps \"a\" not found\n");
    server.stop().await;
}
