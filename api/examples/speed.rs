//! What reading stored objects in place costs, in CPU per object: `cargo run --release -p api --example speed [rounds]`. For a running
//! pod, and for the examples of all kinds together: the pass that finds where values are, a row of a Table, a protobuf message, and
//! beside them a tree of `serde_json::Value`. The last column tells two builds that write different bytes apart.

use std::hash::{DefaultHasher, Hasher};
use std::time::Duration;

use api::columns::{self, Now};
use api::view::View;
use api::{kinds, protobuf, schema, yaml};
use serde_json::{Value, json};

/// An object as it is stored, with what its kind says of it.
struct Sample {
    json: Vec<u8>,
    definition: &'static schema::Def,
    columns: &'static [columns::Column],
}

impl Sample {
    fn of(object: &Value) -> Option<Self> {
        let text = |key: &str| object[key].as_str().unwrap_or_default();
        let (kind, served) = kinds::by_api_version(text("apiVersion"), text("kind"))?;
        let json = object.to_string().into_bytes();
        Some(Self { json, definition: schema::def(served.definition)?, columns: kind.columns })
    }
}

fn pod() -> Value {
    let (time, ready) = (
        "2026-01-01T00:00:00Z",
        |name: &str| json!({"type": name, "status": "True", "lastProbeTime": null, "lastTransitionTime": "2026-01-01T00:00:01Z"}),
    );
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web-7d4b9c6f5-x2x7k", "namespace": "default", "uid": "6a1f6c1e-3c5e-4f8e-9d0c-0b8f4f2a7c11",
            "resourceVersion": "123456", "creationTimestamp": time, "generateName": "web-7d4b9c6f5-",
            "labels": {"app": "web", "pod-template-hash": "7d4b9c6f5"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-7d4b9c6f5", "controller": true,
                "blockOwnerDeletion": true, "uid": "0e9d7a52-98b4-4b7f-8f0c-3f1e0f7c9a55"}]},
        "spec": {"nodeName": "node-1", "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "priority": 0,
            "schedulerName": "default-scheduler", "serviceAccount": "default", "serviceAccountName": "default",
            "securityContext": {}, "terminationGracePeriodSeconds": 30, "enableServiceLinks": true,
            "preemptionPolicy": "PreemptLowerPriority",
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
                {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}],
            "containers": [{"name": "main", "image": "mkube.local/echo", "imagePullPolicy": "Always",
                "ports": [{"containerPort": 8080, "protocol": "TCP"}],
                "env": [{"name": "GREETING", "value": "hello"}, {"name": "NAME", "value": "web"}],
                "resources": {"requests": {"cpu": "50m", "memory": "16Mi"}},
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                "volumeMounts": [{"name": "kube-api-access-x2x7k", "readOnly": true,
                    "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}]}],
            "volumes": [{"name": "kube-api-access-x2x7k", "projected": {"defaultMode": 420, "sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [{"path": "namespace",
                    "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}}]}}]},
        "status": {"phase": "Running", "hostIP": "172.18.0.2", "podIP": "10.1.0.7", "hostIPs": [{"ip": "172.18.0.2"}],
            "podIPs": [{"ip": "10.1.0.7"}], "qosClass": "Burstable", "startTime": time,
            "conditions": [ready("PodScheduled"), ready("Initialized"), ready("ContainersReady"), ready("Ready")],
            "containerStatuses": [{"name": "main", "image": "mkube.local/echo", "imageID": "", "ready": true, "started": true,
                "restartCount": 0, "lastState": {}, "containerID": "process://1f", "state": {"running": {"startedAt": time}}}]}})
}

/// The examples that stand for all kinds.
fn examples() -> Vec<Sample> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests/kinds");
    let mut files: Vec<_> = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|file| file.path()).collect();
    files.sort();
    let texts = files.iter().filter_map(|path| std::fs::read_to_string(path).ok());
    let objects = texts.filter_map(|text| yaml::read_documents(&text).ok()).flatten();
    objects.filter_map(|object| Sample::of(&object)).collect()
}

/// CPU that this thread has used.
fn used() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or_default())
}

type Work = fn(&Sample, &mut View, &mut Vec<u8>);

/// Name, work. Each appends what it writes.
const WORKS: &[(&str, Work)] = &[
    ("tree", |sample, _, out| {
        let tree = serde_json::from_slice::<Value>(&sample.json).unwrap_or_default();
        out.push(u8::from(tree.is_object()));
    }),
    ("view", |sample, view, out| out.push(u8::from(view.read(&sample.json).is_ok_and(|node| node.is_object())))),
    ("Table row", |sample, view, out| {
        let Ok(node) = view.read(&sample.json) else { return };
        let now = Now(jiff::Timestamp::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
        columns::begin_row(sample.columns, node, now, out);
        out.extend_from_slice(b"null}");
    }),
    ("protobuf", |sample, view, out| {
        if let Err(error) = protobuf::append_message(sample.definition, &sample.json, view, out) {
            out.extend_from_slice(error.as_bytes());
        }
    }),
];

fn main() {
    let rounds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(20_000_usize);
    let sets: Vec<(&str, Vec<Sample>)> =
        vec![("pod", Sample::of(&pod()).into_iter().collect()), ("all kinds", examples())];
    println!("| objects | bytes each | work | µs CPU each | digest |\n|---|---|---|---|---|");
    for (what, samples) in &sets {
        let count = samples.len().max(1);
        let bytes = samples.iter().map(|sample| sample.json.len()).sum::<usize>() / count;
        for (name, work) in WORKS {
            let (mut view, mut out) = (View::default(), Vec::new());
            let mut hasher = DefaultHasher::new();
            samples.iter().for_each(|sample| work(sample, &mut view, &mut out));
            hasher.write(&out);
            let rounds = (rounds / count).max(1);
            let before = used();
            for _ in 0..rounds {
                out.clear();
                samples.iter().for_each(|sample| work(sample, &mut view, &mut out));
            }
            let each = (used() - before).as_secs_f64() * 1e6 / (rounds * count) as f64;
            println!("| {what} | {bytes} | {name} | {each:.2} | {:016x} |", hasher.finish());
        }
    }
}
