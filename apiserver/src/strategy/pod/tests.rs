//! Pods that are refused, and why: one edit of a good pod per row, and the exact messages.

use api::kinds;

use super::*;
use crate::strategy::defaults;

fn good() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default"},
        "spec": {"containers": [{"name": "c", "image": "i"}], "volumes": [{"name": "v", "emptyDir": {}}]}})
}

fn defaulted(mut pod: Value) -> Value {
    defaults::apply(kinds::find("", "v1", "pods").unwrap().0, &mut pod);
    pod
}

/// The good pod with `value` at `pointer`, after defaulting.
fn with(pointer: &str, value: &Value) -> Value {
    let mut pod = good();
    object::set(&mut pod, pointer, value.clone());
    defaulted(pod)
}

fn texts(errors: Vec<FieldError>) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

fn refused(pod: &Value) -> Vec<String> {
    let mut errors = Pod.validate(pod);
    errors.extend(Pod.validate_create(pod));
    texts(errors)
}

fn check(table: &[(&str, Value, &[&str])]) {
    for (pointer, value, expected) in table {
        assert_eq!(refused(&with(pointer, value)), *expected, "{pointer} = {value}");
    }
}

/// `{"name": "c", "image": "i"}` and more.
fn container(more: Value) -> Value {
    let mut container = json!({"name": "c", "image": "i"});
    container.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!([container])
}

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

#[test]
fn a_good_pod_passes() {
    assert_eq!(refused(&defaulted(good())), Vec::<String>::new());
}

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
            "/spec/containers",
            container(json!({"imagePullPolicy": "Sometimes"})),
            &[
                "spec.containers[0].imagePullPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"IfNotPresent\", \"Never\"",
            ],
        ),
        (
            "/spec/containers",
            container(json!({"terminationMessagePolicy": "x"})),
            &[
                "spec.containers[0].terminationMessagePolicy: Unsupported value: \"x\": supported values: \"File\", \"FallbackToLogsOnError\"",
            ],
        ),
        (
            "/spec/containers",
            container(json!({"restartPolicy": "Always"})),
            &["spec.containers[0].restartPolicy: Forbidden: may not be set for non-init containers"],
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
}

#[test]
fn ports() {
    let range = "must be between 1 and 65535, inclusive";
    check(&[
        (
            "/spec/containers",
            container(json!({"ports": [{}]})),
            &["spec.containers[0].ports[0].containerPort: Required value"],
        ),
        (
            "/spec/containers",
            container(json!({"ports": [{"containerPort": 70000}]})),
            &[&format!("spec.containers[0].ports[0].containerPort: Invalid value: 70000: {range}")],
        ),
        (
            "/spec/containers",
            container(json!({"ports": [{"containerPort": 1, "hostPort": -1}]})),
            &[&format!("spec.containers[0].ports[0].hostPort: Invalid value: -1: {range}")],
        ),
        (
            "/spec/containers",
            container(json!({"ports": [{"containerPort": 1, "protocol": "tcp"}]})),
            &[
                "spec.containers[0].ports[0].protocol: Unsupported value: \"tcp\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
            ],
        ),
        (
            "/spec/containers",
            container(json!({"ports": [{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}]})),
            &["spec.containers[0].ports[1].name: Duplicate value: \"a\""],
        ),
        (
            "/spec/containers",
            container(json!({"ports": [{"containerPort": 1, "name": "a--b"}]})),
            &["spec.containers[0].ports[0].name: Invalid value: \"a--b\": must not contain consecutive hyphens"],
        ),
        (
            "/spec/containers",
            container(json!({"ports": [{"containerPort": 1, "hostPort": 80}, {"containerPort": 2, "hostPort": 80}]})),
            &["spec.containers[0].ports[1].hostPort: Duplicate value: \"TCP//80\""],
        ),
    ]);
    let mut pod = with("/spec/containers", &container(json!({"ports": [{"containerPort": 1, "hostPort": 2}]})));
    pod["spec"]["hostNetwork"] = json!(true);
    let expected =
        "spec.containers[0].ports[0].hostPort: Invalid value: 2: must match `containerPort` when `hostNetwork` is true";
    assert_eq!(refused(&pod), [expected]);
}

#[test]
fn environment() {
    check(&[
        (
            "/spec/containers",
            container(json!({"env": [{"value": "x"}]})),
            &["spec.containers[0].env[0].name: Required value"],
        ),
        (
            "/spec/containers",
            container(json!({"env": [{"name": "A=B"}]})),
            &[
                "spec.containers[0].env[0].name: Invalid value: \"A=B\": a valid environment variable name must consist only of printable ASCII characters other than '='",
            ],
        ),
        (
            "/spec/containers",
            container(json!({"env": [{"name": "A", "valueFrom": {}}]})),
            &[
                "spec.containers[0].env[0].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`",
            ],
        ),
        (
            "/spec/containers",
            container(
                json!({"env": [{"name": "A", "value": "x", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}),
            ),
            &[
                "spec.containers[0].env[0].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty",
            ],
        ),
        (
            "/spec/containers",
            container(
                json!({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}, "configMapKeyRef": {"name": "s", "key": "k"}}}]}),
            ),
            &[
                "spec.containers[0].env[0].valueFrom: Invalid value: \"\": may not have more than one field specified at a time",
            ],
        ),
        (
            "/spec/containers",
            container(json!({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s"}}}]})),
            &["spec.containers[0].env[0].valueFrom.secretKeyRef.key: Required value"],
        ),
        (
            "/spec/containers",
            container(json!({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.foo"}}}]})),
            &[
                "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: \"spec.foo\": error converting fieldPath: field label not supported: spec.foo",
            ],
        ),
        (
            "/spec/containers",
            container(json!({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.phase"}}}]})),
            &[
                "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Unsupported value: \"status.phase\": supported values: \"metadata.name\", \"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", \"spec.serviceAccountName\", \"status.hostIP\", \"status.hostIPs\", \"status.podIP\", \"status.podIPs\"",
            ],
        ),
        (
            "/spec/containers",
            container(
                json!({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['a/b']"}}}]}),
            ),
            &[],
        ),
        (
            "/spec/containers",
            container(
                json!({"env": [{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "2m"}}}]}),
            ),
            &[
                "spec.containers[0].env[0].valueFrom.resourceFieldRef.divisor: Invalid value: \"limits.cpu\": only divisor's values 1m and 1 are supported with the cpu resource",
            ],
        ),
        (
            "/spec/containers",
            container(json!({"envFrom": [{}]})),
            &["spec.containers[0].envFrom: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`"],
        ),
        (
            "/spec/containers",
            container(json!({"envFrom": [{"secretRef": {}}]})),
            &["spec.containers[0].envFrom[0].secretRef.name: Required value"],
        ),
    ]);
}

#[test]
fn resources() {
    check(&[
        (
            "/spec/containers",
            container(json!({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}})),
            &[
                "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
            ],
        ),
        (
            "/spec/containers",
            container(json!({"resources": {"requests": {"memory": "-1Mi"}}})),
            &[
                "spec.containers[0].resources.requests[memory]: Invalid value: \"-1Mi\": must be greater than or equal to 0",
            ],
        ),
        (
            "/spec/containers",
            container(json!({"resources": {"requests": {"disk": "1"}}})),
            &[
                "spec.containers[0].resources.requests[disk]: Invalid value: \"disk\": must be a standard resource type or fully qualified",
                "spec.containers[0].resources.requests[disk]: Invalid value: \"disk\": must be a standard resource for containers",
            ],
        ),
        (
            "/spec/containers",
            container(json!({"resources": {"requests": {"pods": "1"}}})),
            &[
                "spec.containers[0].resources.requests[pods]: Invalid value: \"pods\": must be a standard resource for containers",
            ],
        ),
        (
            "/spec/containers",
            container(json!({"resources": {"requests": {"example.com/gpu": "1"}}})),
            &[
                "spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources",
            ],
        ),
        (
            "/spec/containers",
            container(json!({"resources": {"limits": {"example.com/gpu": "500m"}}})),
            &[
                "spec.containers[0].resources.limits[example.com/gpu]: Invalid value: \"500m\": must be an integer",
                "spec.containers[0].resources.requests[example.com/gpu]: Invalid value: \"500m\": must be an integer",
            ],
        ),
        (
            "/spec/containers",
            container(json!({"resources": {"claims": [{"name": "x"}]}})),
            &[
                "spec.containers[0].resources.claims[0]: Not found: \"x\": must be one of the names in pod.spec.resourceClaims which is empty",
            ],
        ),
    ]);
}

#[test]
fn volumes_and_mounts() {
    check(&[
        ("/spec/volumes", json!([{"emptyDir": {}}]), &["spec.volumes[0].name: Required value"]),
        (
            "/spec/volumes",
            json!([{"name": "a", "emptyDir": {}}, {"name": "a", "emptyDir": {}}]),
            &["spec.volumes[1].name: Duplicate value: \"a\""],
        ),
        (
            "/spec/volumes",
            json!([{"name": "a", "emptyDir": {}, "hostPath": {"path": "/x"}}]),
            &["spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"],
        ),
        (
            "/spec/volumes",
            json!([{"name": "a", "unknown": {}}]),
            &["spec.volumes[0]: Required value: must specify a volume type"],
        ),
        (
            "/spec/volumes",
            json!([{"name": "a", "hostPath": {"path": "/x/../y"}}]),
            &["spec.volumes[0].hostPath.path: Invalid value: \"/x/../y\": must not contain '..'"],
        ),
        (
            "/spec/volumes",
            json!([{"name": "a", "hostPath": {"path": "/x", "type": "Pipe"}}]),
            &[
                "spec.volumes[0].hostPath.type: Unsupported value: \"Pipe\": supported values: \"\", \"BlockDevice\", \"CharDevice\", \"Directory\", \"DirectoryOrCreate\", \"File\", \"FileOrCreate\", \"Socket\"",
            ],
        ),
        ("/spec/volumes", json!([{"name": "a", "secret": {}}]), &["spec.volumes[0].secret.secretName: Required value"]),
        ("/spec/volumes", json!([{"name": "a", "configMap": {}}]), &["spec.volumes[0].configMap.name: Required value"]),
        (
            "/spec/volumes",
            json!([{"name": "a", "configMap": {"name": "c", "defaultMode": 512, "items": [{"key": "k", "path": "../x"}]}}]),
            &[
                "spec.volumes[0].configMap.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive",
                "spec.volumes[0].configMap.items[0].path: Invalid value: \"../x\": must not contain '..'",
            ],
        ),
        (
            "/spec/volumes",
            json!([{"name": "a", "projected": {"sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 10}}]}}]),
            &[
                "spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 10: may not specify a duration less than 10 minutes",
                "spec.volumes[0].projected.sources[0].serviceAccountToken: Forbidden: must not be specified when serviceAccountName is not set",
            ],
        ),
        (
            "/spec/containers",
            container(json!({"volumeMounts": [{"name": "x", "mountPath": "/a"}]})),
            &["spec.containers[0].volumeMounts[0].name: Not found: \"x\""],
        ),
        (
            "/spec/containers",
            container(json!({"volumeMounts": [{"name": "v"}]})),
            &["spec.containers[0].volumeMounts[0].mountPath: Required value"],
        ),
        (
            "/spec/containers",
            container(json!({"volumeMounts": [{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/a"}]})),
            &["spec.containers[0].volumeMounts[1].mountPath: Invalid value: \"/a\": must be unique"],
        ),
        (
            "/spec/containers",
            container(json!({"volumeMounts": [{"name": "v", "mountPath": "/a", "subPath": "/b"}]})),
            &["spec.containers[0].volumeMounts.subPath: Invalid value: \"/b\": must be a relative path"],
        ),
        (
            "/spec/containers",
            container(json!({"volumeDevices": [{"name": "v", "devicePath": "/dev/x"}]})),
            &[
                "spec.containers[0].volumeDevices[0].name: Invalid value: \"v\": can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode",
            ],
        ),
    ]);
}

#[test]
fn probes_and_hooks() {
    check(&[
        (
            "/spec/containers",
            container(json!({"livenessProbe": {}})),
            &["spec.containers[0].livenessProbe: Required value: must specify a handler type"],
        ),
        (
            "/spec/containers",
            container(json!({"livenessProbe": {"exec": {"command": ["x"]}, "tcpSocket": {"port": 1}}})),
            &["spec.containers[0].livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type"],
        ),
        (
            "/spec/containers",
            container(json!({"livenessProbe": {"exec": {}}})),
            &["spec.containers[0].livenessProbe.exec.command: Required value"],
        ),
        (
            "/spec/containers",
            container(json!({"readinessProbe": {"httpGet": {"port": 0}}})),
            &[
                "spec.containers[0].readinessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive",
            ],
        ),
        (
            "/spec/containers",
            container(json!({"readinessProbe": {"httpGet": {"port": 1, "scheme": "ftp"}}})),
            &[
                "spec.containers[0].readinessProbe.httpGet.scheme: Unsupported value: \"ftp\": supported values: \"HTTP\", \"HTTPS\"",
            ],
        ),
        (
            "/spec/containers",
            container(json!({"startupProbe": {"tcpSocket": {"port": 1}, "successThreshold": 2, "periodSeconds": -1}})),
            &[
                "spec.containers[0].startupProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0",
                "spec.containers[0].startupProbe.successThreshold: Invalid value: 2: must be 1",
            ],
        ),
        (
            "/spec/containers",
            container(json!({"readinessProbe": {"tcpSocket": {"port": 1}, "terminationGracePeriodSeconds": 5}})),
            &[
                "spec.containers[0].readinessProbe.terminationGracePeriodSeconds: Invalid value: 5: must not be set for readinessProbes",
            ],
        ),
        (
            "/spec/containers",
            container(json!({"lifecycle": {"preStop": {}}})),
            &["spec.containers[0].lifecycle.preStop: Required value: must specify a handler type"],
        ),
        (
            "/spec/containers",
            container(json!({"lifecycle": {"preStop": {"sleep": {"seconds": 31}}}})),
            &[
                "spec.containers[0].lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than terminationGracePeriodSeconds (30)",
            ],
        ),
    ]);
}

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
            "/spec/containers",
            container(json!({"securityContext": {"allowPrivilegeEscalation": false, "privileged": true}})),
            &[
                "spec.containers[0].securityContext: Invalid value: {\"allowPrivilegeEscalation\":false,\"privileged\":true}: cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
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
}

#[test]
fn placement() {
    let term = |more: Value| json!({"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [more]}});
    let node = |more: Value| json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": more}});
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    check(&[
        (
            "/spec/tolerations",
            json!([{"operator": "Equal"}]),
            &[
                "spec.tolerations[0].operator: Invalid value: \"Equal\": operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
            ],
        ),
        (
            "/spec/tolerations",
            json!([{"key": "a", "operator": "Exists", "value": "b"}]),
            &["spec.tolerations[0].operator: Invalid value: \"b\": value must be empty when `operator` is 'Exists'"],
        ),
        (
            "/spec/tolerations",
            json!([{"key": "a", "operator": "In"}]),
            &["spec.tolerations[0].operator: Unsupported value: \"In\": supported values: \"Equal\", \"Exists\""],
        ),
        (
            "/spec/tolerations",
            json!([{"key": "a", "effect": "x"}]),
            &[
                "spec.tolerations[0].effect: Unsupported value: \"x\": supported values: \"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\"",
            ],
        ),
        (
            "/spec/tolerations",
            json!([{"key": "a", "effect": "NoSchedule", "tolerationSeconds": 1}]),
            &[
                "spec.tolerations[0].effect: Invalid value: \"NoSchedule\": effect must be 'NoExecute' when `tolerationSeconds` is set",
            ],
        ),
        (
            "/spec/affinity",
            node(json!({})),
            &[&format!(
                "spec.affinity.nodeAffinity.{required}.nodeSelectorTerms: Required value: must have at least one node selector term"
            )],
        ),
        (
            "/spec/affinity",
            node(json!({"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "In"}]}]})),
            &[&format!(
                "spec.affinity.nodeAffinity.{required}.nodeSelectorTerms[0].matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'"
            )],
        ),
        (
            "/spec/affinity",
            node(json!({"nodeSelectorTerms": [{"matchFields": [{"key": "a", "operator": "In", "values": ["b"]}]}]})),
            &[&format!(
                "spec.affinity.nodeAffinity.{required}.nodeSelectorTerms[0].matchFields[0].key: Invalid value: \"a\": not a valid field selector key"
            )],
        ),
        (
            "/spec/affinity",
            json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 101, "preference": {}}]}}),
            &[
                "spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 101: must be in the range 1-100",
            ],
        ),
        (
            "/spec/affinity",
            term(json!({"labelSelector": {}, "topologyKey": "a b"})),
            &[&format!(
                "spec.affinity.podAffinity.{required}[0].topologyKey: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
            )],
        ),
        (
            "/spec/topologySpreadConstraints",
            json!([{"maxSkew": 0, "topologyKey": "a", "whenUnsatisfiable": "Never"}]),
            &[
                "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
                "spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: \"Never\": supported values: \"DoNotSchedule\", \"ScheduleAnyway\"",
            ],
        ),
    ]);
}

#[test]
fn updates() {
    let toleration = json!([{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}]);
    let forbidden = "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n  core.PodSpec{\n  \t... // identical fields\n- \thostname: nil,\n+ \thostname: \"x\",\n  }\n";
    let table: Vec<(Value, &str, Value, Vec<&str>)> = vec![
        (json!({}), "/spec/containers", json!([{"name": "c", "image": "j"}]), vec![]),
        (json!({}), "/metadata/labels", json!({"a": "b"}), vec![]),
        (json!({}), "/spec/tolerations", toleration.clone(), vec![]),
        (
            json!({"tolerations": toleration}),
            "/spec/tolerations",
            json!([{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 9}]),
            vec![],
        ),
        (
            json!({"tolerations": toleration}),
            "/spec/tolerations",
            json!([]),
            vec!["spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"],
        ),
        (json!({}), "/spec/hostname", json!("x"), vec![forbidden]),
        (json!({}), "/spec/hostNetwork", json!(false), vec![]),
        (
            json!({}),
            "/spec/containers",
            json!([{"name": "c", "image": "i"}, {"name": "d", "image": "i"}]),
            vec!["spec.containers: Forbidden: pod updates may not add or remove containers"],
        ),
        (json!({"activeDeadlineSeconds": 9}), "/spec/activeDeadlineSeconds", json!(8), vec![]),
        (
            json!({"activeDeadlineSeconds": 9}),
            "/spec/activeDeadlineSeconds",
            json!(10),
            vec!["spec.activeDeadlineSeconds: Invalid value: 10: must be less than or equal to previous value"],
        ),
        (
            json!({"activeDeadlineSeconds": 9}),
            "/spec/activeDeadlineSeconds",
            Value::Null,
            vec![
                "spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value",
            ],
        ),
        (json!({"terminationGracePeriodSeconds": -1}), "/spec/terminationGracePeriodSeconds", json!(1), vec![]),
        (
            json!({}),
            "/spec/schedulingGates",
            json!([{"name": "g"}]),
            vec![
                "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'g'",
            ],
        ),
        (json!({"schedulingGates": [{"name": "g"}]}), "/spec/nodeSelector", json!({"a": "b"}), vec![]),
    ];
    for (extra, pointer, value, expected) in table {
        let mut old = good();
        old["spec"].as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let mut new = old.clone();
        object::set(&mut new, pointer, value.clone());
        let (new, old) = (defaulted(new), defaulted(old));
        assert_eq!(texts(Pod.validate_update(&new, &old)), expected, "{pointer} = {value}");
    }
}

#[test]
fn status_updates() {
    let ended = json!([{"name": "c", "state": {"terminated": {"exitCode": 0}}}]);
    let running = json!([{"name": "c", "state": {"running": {}}}]);
    let pod = |restart: &str, statuses: &Value| {
        let mut pod = with("/spec/restartPolicy", &json!(restart));
        pod["status"] = json!({"qosClass": "BestEffort", "containerStatuses": statuses});
        pod
    };
    let (old, new) = (pod("Never", &ended), pod("Never", &running));
    assert_eq!(
        texts(Pod.validate_status_update(&new, &old)),
        ["status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state"]
    );
    let (old, mut new) = (pod("Always", &ended), pod("Always", &running));
    assert_eq!(texts(Pod.validate_status_update(&new, &old)), Vec::<String>::new());
    new["status"]["qosClass"] = json!("Burstable");
    assert_eq!(
        texts(Pod.validate_status_update(&new, &old)),
        ["status.qosClass: Invalid value: \"Burstable\": field is immutable"]
    );
}

#[test]
fn told_although_valid() {
    let table: Vec<(&str, Value, Vec<&str>)> = vec![
        (
            "/spec/containers",
            container(json!({"env": [{"name": "A"}, {"name": "A"}, {"name": "B"}, {"name": "B", "value": "$(B)x"}]})),
            vec![
                "spec.containers[0].env[1]: hides previous definition of \"A\", which may be dropped when using apply",
            ],
        ),
        (
            "/spec/nodeSelector",
            json!({"beta.kubernetes.io/os": "linux"}),
            vec!["spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \"kubernetes.io/os\" instead"],
        ),
        (
            "/spec/terminationGracePeriodSeconds",
            json!(-1),
            vec![
                "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
            ],
        ),
        (
            "/spec/containers",
            container(json!({"ports": [{"containerPort": 1}, {"containerPort": 1}]})),
            vec!["spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]"],
        ),
        (
            "/spec/containers",
            container(json!({"resources": {"requests": {"memory": "100m"}}})),
            vec![
                "spec.containers[0].resources.requests[memory]: fractional byte value \"100m\" is invalid, must be an integer",
            ],
        ),
        (
            "/metadata/name",
            json!("a.b"),
            vec![
                "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]",
            ],
        ),
    ];
    for (pointer, value, expected) in table {
        assert_eq!(Pod.warnings(&with(pointer, &value), None), expected, "{pointer} = {value}");
    }
}
