//! Strategic merge against a table of cases; the results are those of kubectl 1.33 (`kubectl patch --local --type strategic`).

use serde_json::Value;

fn definition(kind: &str) -> &'static str {
    match kind {
        "Deployment" => "io.k8s.api.apps.v1.Deployment",
        "ConfigMap" => "io.k8s.api.core.v1.ConfigMap",
        "Namespace" => "io.k8s.api.core.v1.Namespace",
        "Service" => "io.k8s.api.core.v1.Service",
        "ServiceAccount" => "io.k8s.api.core.v1.ServiceAccount",
        _ => "io.k8s.api.core.v1.Pod",
    }
}

#[test]
fn merges_as_kubectl_does() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("data/strategic.json")).unwrap();
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let def = definition(case["kind"].as_str().unwrap());
        let merged = api::patch::strategic_merge(def, case["object"].clone(), case["patch"].clone());
        match (merged, case.get("error")) {
            (Ok(merged), None) => assert_eq!(merged, case["result"], "{name}"),
            (Err(status), Some(error)) => assert_eq!(Value::from(status.message), *error, "{name}"),
            (merged, _) => panic!("{name}: {merged:?}"),
        }
    }
}
