//! Patches by tables: YAML documents that say what is merged with what, and what comes of it.

mod apply;
mod merge;
mod order;
mod refused;
mod retain;
mod standard;

use serde_json::Value;

use super::{create_two_way, strategic_merge, three_way};

/// The cases of a table, each with the definition of the kind it says it is about.
fn cases(documents: &str) -> Vec<(Value, &'static str)> {
    let cases = crate::yaml::read_documents(documents).unwrap_or_else(|error| panic!("{error}"));
    let def = |case: &Value| match case["kind"].as_str().unwrap_or("Pod") {
        "Pod" => "io.k8s.api.core.v1.Pod",
        "Deployment" => "io.k8s.api.apps.v1.Deployment",
        "Service" => "io.k8s.api.core.v1.Service",
        "ServiceAccount" => "io.k8s.api.core.v1.ServiceAccount",
        "Node" => "io.k8s.api.core.v1.Node",
        "ConfigMap" => "io.k8s.api.core.v1.ConfigMap",
        other => panic!("no definition of {other}"),
    };
    cases.into_iter().map(|case| (case.clone(), def(&case))).collect()
}

/// `object` and `patch` give `result`, or `error`.
fn merges(documents: &str) {
    for (case, def) in cases(documents) {
        let name = &case["name"];
        match strategic_merge(def, case["object"].clone(), case["patch"].clone()) {
            Ok(merged) => assert_eq!(merged, case["result"], "{name}"),
            Err(status) => assert_eq!(Value::from(status.message), case["error"], "{name}"),
        }
    }
}

/// `original` and `modified` differ by `patch`, and the patch leads from the one to the other.
fn differs(documents: &str) {
    for (case, def) in cases(documents) {
        let name = &case["name"];
        let patch = create_two_way(&case["original"], &case["modified"], Some(def));
        let patch = patch.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(patch, case["patch"], "{name}");
        let merged = strategic_merge(def, case["original"].clone(), patch).unwrap();
        assert_eq!(merged, case["modified"], "{name}");
    }
}

/// What `kubectl apply` does: from what was last applied (`original`), what is wanted (`modified`) and what is live (`current`)
/// follows `patch`, and with it `result`.
fn applies(documents: &str) {
    for (case, def) in cases(documents) {
        let name = &case["name"];
        let patch = three_way(&case["original"], &case["modified"], &case["current"], Some(def));
        let patch = patch.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(patch, case["patch"], "{name}");
        let merged = strategic_merge(def, case["current"].clone(), patch).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(merged, case["result"], "{name}");
    }
}
