//! Containers and their ports.

use super::*;

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

#[test]
fn containers() {
    let upper = format!("spec.containers[0].name: Invalid value: \"C\": {LABEL}");
    check(&[
        ("/spec/containers", json!([]), &["spec.containers: Required value"]),
        ("/spec/containers", json!([{"image": "i"}]), &["spec.containers[0].name: Required value"]),
        ("/spec/containers", json!([{"name": "", "image": "i"}]), &["spec.containers[0].name: Required value"]),
        ("/spec/containers", json!([{"name": "C", "image": "i"}]), &[&upper]),
        (
            "/spec/containers",
            json!([{"name": "a.b", "image": "i"}]),
            &["spec.containers[0].name: Invalid value: \"a.b\": must not contain dots"],
        ),
        ("/spec/containers", json!([{"name": "c"}]), &["spec.containers[0].image: Required value"]),
        (
            "/spec/containers",
            json!([{"name": "c", "image": " i"}]),
            &["spec.containers[0].image: Invalid value: \" i\": must not have leading or trailing whitespace"],
        ),
        (
            "/spec/containers",
            json!([{"name": "c", "image": "i"}, {"name": "c", "image": "i"}]),
            &["spec.containers[1].name: Duplicate value: \"c\""],
        ),
        (
            "/spec/initContainers",
            json!([{"name": "c", "image": "i"}]),
            &["spec.initContainers[0].name: Duplicate value: \"c\""],
        ),
        (
            "/spec/initContainers",
            json!([{"name": "d", "image": "i", "livenessProbe": {"exec": {"command": ["x"]}}}]),
            &[
                "spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always",
            ],
        ),
        (
            "/spec/initContainers",
            json!([{"name": "d", "image": "i", "restartPolicy": "Always", "livenessProbe": {"exec": {"command": ["x"]}}}]),
            &[],
        ),
        (
            "/spec/initContainers",
            json!([{"name": "d", "image": "i", "restartPolicy": "Never"}]),
            &["spec.initContainers[0].restartPolicy: Unsupported value: \"Never\": supported values: \"Always\""],
        ),
        (
            "/spec/ephemeralContainers",
            json!([{"name": "e", "image": "i", "targetContainerName": "z", "ports": [{"containerPort": 1}]}]),
            &[
                "spec.ephemeralContainers[0].targetContainerName: Not found: \"z\"",
                "spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container",
                "spec.ephemeralContainers: Forbidden: cannot be set on create",
            ],
        ),
    ]);
    check_container(&[
        (
            json!({"imagePullPolicy": "Sometimes"}),
            &[
                "imagePullPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"IfNotPresent\", \"Never\"",
            ],
        ),
        (
            json!({"terminationMessagePolicy": "x"}),
            &[
                "terminationMessagePolicy: Unsupported value: \"x\": supported values: \"File\", \"FallbackToLogsOnError\"",
            ],
        ),
        (json!({"restartPolicy": "Always"}), &["restartPolicy: Forbidden: may not be set for non-init containers"]),
    ]);
}

#[test]
fn ports() {
    let range = "must be between 1 and 65535, inclusive";
    check_container(&[
        (json!({"ports": [{}]}), &["ports[0].containerPort: Required value"]),
        (
            json!({"ports": [{"containerPort": 70000}]}),
            &[&format!("ports[0].containerPort: Invalid value: 70000: {range}")],
        ),
        (
            json!({"ports": [{"containerPort": 1, "hostPort": -1}]}),
            &[&format!("ports[0].hostPort: Invalid value: -1: {range}")],
        ),
        (
            json!({"ports": [{"containerPort": 1, "protocol": "tcp"}]}),
            &["ports[0].protocol: Unsupported value: \"tcp\": supported values: \"SCTP\", \"TCP\", \"UDP\""],
        ),
        (
            json!({"ports": [{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}]}),
            &["ports[1].name: Duplicate value: \"a\""],
        ),
        (
            json!({"ports": [{"containerPort": 1, "name": "a--b"}]}),
            &["ports[0].name: Invalid value: \"a--b\": must not contain consecutive hyphens"],
        ),
        (
            json!({"ports": [{"containerPort": 1, "hostPort": 80}, {"containerPort": 2, "hostPort": 80}]}),
            &["ports[1].hostPort: Duplicate value: \"TCP//80\""],
        ),
    ]);
    let mut pod = with("/spec/containers", &container(json!({"ports": [{"containerPort": 1, "hostPort": 2}]})));
    pod["spec"]["hostNetwork"] = json!(true);
    let expected =
        "spec.containers[0].ports[0].hostPort: Invalid value: 2: must match `containerPort` when `hostNetwork` is true";
    assert_eq!(refused(&pod), [expected]);
}
