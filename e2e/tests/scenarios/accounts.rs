//! A program in a pod talks to the API as its service account: what RBAC allows, and no more.

use std::process::Command;

use anyhow::{Context as _, ensure};
use e2e::{eventually, objects, program};

use crate::{PATIENCE, nodes, scenario};

/// With PyPI's `kubernetes` where it is installed, else by hand; prints what came of listing pods.
const SCRIPT: &str = include_str!("list_pods.py");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_may_do_what_its_account_may() {
    let Some(python) = python() else {
        program::say("SKIPPED: a pod's service account needs python3 (set MKUBE_TEST_PYTHON)");
        return;
    };
    scenario("service accounts", nodes(1), async |cluster| {
        let client = cluster.client()?;
        objects::apply(&client, RIGHTS).await?;
        for (name, account) in [("allowed", "lister"), ("refused", "default")] {
            objects::apply(&client, &manifest(name, account, &python)).await?;
        }
        for (name, wanted) in [("allowed", "pods: allowed, refused"), ("refused", "status: 403")] {
            let logged = || async {
                let log = objects::logs(&client, name, "").await?;
                ensure!(log.lines().any(|line| line == wanted), "{log:?}");
                Ok(log)
            };
            let log = eventually(&format!("{name} prints {wanted:?}"), PATIENCE, logged).await?;
            program::say(&format!("{name}: {}", log.trim().replace('\n', "; ")));
        }
        Ok(())
    })
    .await;
}

/// A Python that runs anywhere: version managers put scripts on PATH that need their own environment.
fn python() -> Option<String> {
    let found = std::env::var("MKUBE_TEST_PYTHON").ok().or_else(|| {
        let output = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
    });
    found.filter(|path| !path.is_empty())
}

fn manifest(name: &str, account: &str, python: &str) -> String {
    let command = serde_json::json!([python, "-c", SCRIPT]);
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  serviceAccountName: {account}\n  \
         restartPolicy: OnFailure\n  containers: [{{name: main, image: mkube.local/host, command: {command}}}]\n"
    )
}

const RIGHTS: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: lister}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: lister}
rules: [{apiGroups: [''], resources: [pods], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: lister}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: lister}
subjects: [{kind: ServiceAccount, name: lister, namespace: default}]
";

#[test]
fn the_manifest_is_yaml() {
    let read = api::yaml::read_documents(&manifest("a", "b", "/usr/bin/python3")).unwrap();
    assert_eq!(read[0]["spec"]["containers"][0]["command"][2], SCRIPT);
    assert_eq!(api::yaml::read_documents(RIGHTS).context("rights").unwrap().len(), 3);
}
