//! The spec as a whole, and annotations that mean something.

use super::*;

#[test]
fn the_rest_of_the_spec() {
    let ip = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
    check(&[
        (
            "/spec/restartPolicy",
            json!("x"),
            &["spec.restartPolicy: Unsupported value: \"x\": supported values: \"Always\", \"OnFailure\", \"Never\""],
        ),
        (
            "/spec/dnsPolicy",
            json!("x"),
            &[
                "spec.dnsPolicy: Unsupported value: \"x\": supported values: \"ClusterFirstWithHostNet\", \"ClusterFirst\", \"Default\", \"None\"",
            ],
        ),
        (
            "/spec/dnsPolicy",
            json!("None"),
            &["spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"],
        ),
        (
            "/spec/nodeSelector",
            json!({"a": "b c"}),
            &[
                "spec.nodeSelector: Invalid value: \"b c\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
            ],
        ),
        (
            "/spec/activeDeadlineSeconds",
            json!(0),
            &["spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"],
        ),
        ("/spec/hostname", json!("a.b"), &["spec.hostname: Invalid value: \"a.b\": must not contain dots"]),
        ("/spec/hostAliases", json!([{"ip": "x"}]), &[&format!("spec.hostAliases[0].ip: Invalid value: \"x\": {ip}")]),
        (
            "/spec/securityContext",
            json!({"runAsUser": -1}),
            &["spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive"],
        ),
        (
            "/spec/securityContext",
            json!({"seccompProfile": {"type": "Localhost"}}),
            &[
                "spec.securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost",
            ],
        ),
        (
            "/spec/schedulingGates",
            json!([{"name": "a/b"}, {"name": "a/b"}]),
            &["spec.schedulingGates[1]: Duplicate value: \"a/b\""],
        ),
        (
            "/spec/os",
            json!({"name": "plan9"}),
            &["spec.os: Unsupported value: \"plan9\": supported values: \"linux\", \"windows\""],
        ),
        (
            "/metadata/annotations",
            json!({"controller.kubernetes.io/pod-deletion-cost": "many"}),
            &[
                "metadata.annotations[controller.kubernetes.io/pod-deletion-cost]: Invalid value: \"many\": must be a 32bit integer",
            ],
        ),
        (
            "/metadata/annotations",
            json!({"kubernetes.io/config.mirror": "x"}),
            &[
                "metadata.annotations[kubernetes.io/config.mirror]: Invalid value: \"x\": must set spec.nodeName if mirror pod annotation is set",
            ],
        ),
    ]);
    check_container(&[(
        json!({"securityContext": {"allowPrivilegeEscalation": false, "privileged": true}}),
        &[
            "securityContext: Invalid value: {\"allowPrivilegeEscalation\":false,\"privileged\":true}: cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
        ],
    )]);
}
