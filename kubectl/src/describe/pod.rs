//! Pods and pod templates (kubectl, pkg/describe/describe.go: describePod, DescribePodTemplate, DescribeContainers).

use serde_json::Value;

use super::text::{Out, or_none, time, title, tolerations};
use super::volumes::volumes;
use api::object::{at, flag, integer, list, map, text};

/// A pod without its events.
pub fn pod(pod: &Value) -> Out {
    let mut out = Out::default();
    out.field(0, "Name", api::object::name(pod));
    out.field(0, "Namespace", api::object::namespace(pod));
    if let Some(priority) = integer(pod, "/spec/priority") {
        out.field(0, "Priority", &priority.to_string());
        out.optional(0, "Priority Class Name", text(pod, "/spec/priorityClassName"));
    }
    out.optional(0, "Runtime Class Name", text(pod, "/spec/runtimeClassName"));
    out.optional(0, "Service Account", text(pod, "/spec/serviceAccountName"));
    let node = text(pod, "/spec/nodeName");
    match node {
        "" => out.field(0, "Node", "<none>"),
        node => out.field(0, "Node", &format!("{node}/{}", text(pod, "/status/hostIP"))),
    }
    if at(pod, "/status/startTime").is_some() {
        out.field(0, "Start Time", &time(text(pod, "/status/startTime")));
    }
    out.labels("", "Labels", api::object::labels(pod));
    out.annotations("", api::object::annotations(pod));
    match api::object::deletion_timestamp(pod) {
        Some(since) => {
            let lasts = api::duration::age(since, jiff::Timestamp::now());
            out.field(0, "Status", &format!("Terminating (lasts {lasts})"));
            let grace = api::object::deletion_grace_period_seconds(pod).unwrap_or(0);
            out.field(0, "Termination Grace Period", &format!("{grace}s"));
        }
        None => out.field(0, "Status", text(pod, "/status/phase")),
    }
    out.optional(0, "Reason", text(pod, "/status/reason"));
    out.optional(0, "Message", text(pod, "/status/message"));
    out.optional(0, "SeccompProfile", text(pod, "/spec/securityContext/seccompProfile/type"));
    out.field(0, "IP", text(pod, "/status/podIP"));
    addresses(&mut out, pod);
    if let Some(owner) = api::object::controller_of(pod) {
        let name = |key: &str| owner[key].as_str().unwrap_or_default();
        out.field(0, "Controlled By", &format!("{}/{}", name("kind"), name("name")));
    }
    out.optional(0, "NominatedNodeName", text(pod, "/status/nominatedNodeName"));
    let groups = [
        ("Init Containers", "/spec/initContainers", "/status/initContainerStatuses"),
        ("Containers", "/spec/containers", "/status/containerStatuses"),
        ("Ephemeral Containers", "/spec/ephemeralContainers", "/status/ephemeralContainerStatuses"),
    ];
    for (label, containers, statuses) in groups {
        if !list(pod, containers).is_empty() {
            self::containers(&mut out, label, list(pod, containers), list(pod, statuses), "", Some(pod));
        }
    }
    conditions(&mut out, pod);
    volumes(&mut out, list(pod, "/spec/volumes"), "");
    out.optional(0, "QoS Class", text(pod, "/status/qosClass"));
    out.labels("", "Node-Selectors", map(pod, "/spec/nodeSelector"));
    out.lines("", "Tolerations", &tolerations(list(pod, "/spec/tolerations")));
    out
}

fn addresses(out: &mut Out, pod: &Value) {
    let all = list(pod, "/status/podIPs");
    if all.is_empty() {
        out.field(0, "IPs", "<none>");
        return;
    }
    out.line(0, "IPs:");
    for address in all {
        out.field(1, "IP", text(address, "/ip"));
    }
}

fn conditions(out: &mut Out, pod: &Value) {
    let gates = list(pod, "/spec/readinessGates");
    let all = list(pod, "/status/conditions");
    if !gates.is_empty() {
        out.line(0, "Readiness Gates:");
        out.line(1, "Type\tStatus");
        for gate in gates {
            let kind = text(gate, "/conditionType");
            let found = all.iter().find(|condition| condition["type"] == kind);
            let status = found.map_or("<none>", |condition| text(condition, "/status"));
            out.line(1, &format!("{kind} \t{status} "));
        }
    }
    if !all.is_empty() {
        out.line(0, "Conditions:");
        out.line(1, "Type\tStatus");
        for condition in all {
            out.line(1, &format!("{} \t{} ", text(condition, "/type"), text(condition, "/status")));
        }
    }
}

/// The template of a workload.
pub fn template(out: &mut Out, template: &Value) {
    out.line(0, "Pod Template:");
    out.labels("  ", "Labels", api::object::labels(template));
    if api::object::annotations(template).is_some_and(|all| !all.is_empty()) {
        out.annotations("  ", api::object::annotations(template));
    }
    out.optional(1, "Service Account", text(template, "/spec/serviceAccountName"));
    if !list(template, "/spec/initContainers").is_empty() {
        containers(out, "Init Containers", list(template, "/spec/initContainers"), &[], "  ", None);
    }
    containers(out, "Containers", list(template, "/spec/containers"), &[], "  ", None);
    volumes(out, list(template, "/spec/volumes"), "  ");
    out.optional(1, "Priority Class Name", text(template, "/spec/priorityClassName"));
    out.labels("  ", "Node-Selectors", map(template, "/spec/nodeSelector"));
    out.lines("  ", "Tolerations", &tolerations(list(template, "/spec/tolerations")));
}

fn containers(out: &mut Out, label: &str, all: &[Value], statuses: &[Value], space: &str, pod: Option<&Value>) {
    if all.is_empty() {
        out.line(0, &format!("{space}{label}: <none>"));
        return;
    }
    out.line(0, &format!("{space}{label}:"));
    let indent = if space.is_empty() { "" } else { " " };
    for container in all {
        let name = text(container, "/name");
        let status = statuses.iter().find(|status| status["name"] == name);
        out.line(1, &format!("{indent}{name}:"));
        basics(out, container, status);
        words(out, "Command", list(container, "/command"));
        words(out, "Args", list(container, "/args"));
        if let Some(status) = status {
            state(out, "State", &status["state"]);
            if at(status, "/lastState/terminated").is_some() {
                state(out, "Last State", &status["lastState"]);
            }
            out.field(2, "Ready", title(flag(status, "/ready")));
            out.field(2, "Restart Count", &integer(status, "/restartCount").unwrap_or(0).to_string());
        }
        for (title, pointer) in [("Limits", "/resources/limits"), ("Requests", "/resources/requests")] {
            let Some(resources) = map(container, pointer).filter(|map| !map.is_empty()) else { continue };
            out.line(2, &format!("{title}:"));
            for (name, quantity) in resources {
                out.field(3, name, &crate::output::go(quantity));
            }
        }
        for (title, key) in
            [("Liveness", "livenessProbe"), ("Readiness", "readinessProbe"), ("Startup", "startupProbe")]
        {
            if let Some(probe) = container.get(key) {
                out.field(2, title, &self::probe(probe));
            }
        }
        environment(out, container, pod);
        mounts(out, container);
    }
}

fn basics(out: &mut Out, container: &Value, status: Option<&Value>) {
    if let Some(status) = status {
        out.field(2, "Container ID", text(status, "/containerID"));
    }
    out.field(2, "Image", text(container, "/image"));
    if let Some(status) = status {
        out.field(2, "Image ID", text(status, "/imageID"));
    }
    let ports = list(container, "/ports");
    for (name, key) in [("Port", "containerPort"), ("Host Port", "hostPort")] {
        let one = |port: &Value| format!("{}/{}", port[key].as_i64().unwrap_or(0), text(port, "/protocol"));
        let shown = ports.iter().map(one).collect::<Vec<_>>().join(", ");
        out.field(2, &if ports.len() > 1 { format!("{name}s") } else { name.to_string() }, or_none(&shown));
    }
    out.optional(2, "SeccompProfile", text(container, "/securityContext/seccompProfile/type"));
}

fn words(out: &mut Out, label: &str, words: &[Value]) {
    if words.is_empty() {
        return;
    }
    out.line(2, &format!("{label}:"));
    for line in words.iter().flat_map(|word| word.as_str().unwrap_or_default().split('\n')) {
        out.line(3, line);
    }
}

fn state(out: &mut Out, label: &str, state: &Value) {
    if let Some(running) = state.get("running") {
        out.field(2, label, "Running");
        out.field(2, "  Started", &time(text(running, "/startedAt")));
    } else if let Some(waiting) = state.get("waiting") {
        out.field(2, label, "Waiting");
        out.optional(2, "  Reason", text(waiting, "/reason"));
    } else if let Some(ended) = state.get("terminated") {
        out.field(2, label, "Terminated");
        out.optional(2, "  Reason", text(ended, "/reason"));
        out.optional(2, "  Message", text(ended, "/message"));
        out.field(2, "  Exit Code", &integer(ended, "/exitCode").unwrap_or(0).to_string());
        if let Some(signal) = integer(ended, "/signal").filter(|signal| *signal > 0) {
            out.field(2, "  Signal", &signal.to_string());
        }
        out.field(2, "  Started", &time(text(ended, "/startedAt")));
        out.field(2, "  Finished", &time(text(ended, "/finishedAt")));
    } else {
        out.field(2, label, "Waiting");
    }
}

/// A probe in one line.
fn probe(probe: &Value) -> String {
    let number = |key: &str| probe[key].as_i64().unwrap_or(0);
    let times = format!(
        "delay={}s timeout={}s period={}s #success={} #failure={}",
        number("initialDelaySeconds"),
        number("timeoutSeconds"),
        number("periodSeconds"),
        number("successThreshold"),
        number("failureThreshold")
    );
    let what = if let Some(exec) = probe.get("exec") {
        format!("exec {}", crate::output::go(&exec["command"]))
    } else if let Some(get) = probe.get("httpGet") {
        let scheme = text(get, "/scheme").to_lowercase();
        let port = crate::output::go(&get["port"]);
        let host = format!("{}:{port}", text(get, "/host"));
        let path = text(get, "/path");
        let slash = if path.starts_with('/') || path.is_empty() { "" } else { "/" };
        match scheme.as_str() {
            "" => format!("http-get //{host}{slash}{path}"),
            scheme => format!("http-get {scheme}://{host}{slash}{path}"),
        }
    } else if let Some(socket) = probe.get("tcpSocket") {
        format!("tcp-socket {}:{}", text(socket, "/host"), crate::output::go(&socket["port"]))
    } else if let Some(grpc) = probe.get("grpc") {
        format!("grpc <pod>:{} {}", grpc["port"], text(grpc, "/service"))
    } else {
        "unknown".into()
    };
    format!("{what} {times}")
}

fn environment(out: &mut Out, container: &Value, pod: Option<&Value>) {
    let from = list(container, "/envFrom");
    if !from.is_empty() {
        out.line(2, "Environment Variables from:");
        for source in from {
            let (what, reference) = match source.get("configMapRef") {
                Some(reference) => ("ConfigMap", reference),
                None => ("Secret", &source["secretRef"]),
            };
            let prefix = match text(source, "/prefix") {
                "" => String::new(),
                prefix => format!(" with prefix '{prefix}'"),
            };
            let optional = flag(reference, "/optional");
            out.line(3, &format!("{}\t{what}{prefix}\tOptional: {optional}", text(reference, "/name")));
        }
    }
    let env = list(container, "/env");
    out.line(2, if env.is_empty() { "Environment:\t<none>" } else { "Environment:" });
    for variable in env {
        out.line(3, &format!("{}:\t{}", text(variable, "/name"), value(variable, container, pod)));
    }
}

fn value(variable: &Value, container: &Value, pod: Option<&Value>) -> String {
    let Some(from) = variable.get("valueFrom") else {
        return text(variable, "/value").replace('\n', "\n      \t");
    };
    if let Some(field) = from.get("fieldRef") {
        let path = text(field, "/fieldPath");
        let pointer = format!("/{}", path.replace('.', "/"));
        let known = pod.filter(|_| path.starts_with("metadata.")).map(|pod| text(pod, &pointer)).unwrap_or_default();
        return format!("{known} ({}:{path})", text(field, "/apiVersion"));
    }
    if let Some(resource) = from.get("resourceFieldRef") {
        let name = text(resource, "/resource");
        let pointer = format!("/resources/{}", name.replace('.', "/"));
        return format!("{} ({name})", at(container, &pointer).map(crate::output::go).unwrap_or_default());
    }
    let (what, key) = match from.get("secretKeyRef") {
        Some(key) => ("secret", key),
        None => ("config map", &from["configMapKeyRef"]),
    };
    let optional = flag(key, "/optional");
    format!("<set to the key '{}' in {what} '{}'>\tOptional: {optional}", text(key, "/key"), text(key, "/name"))
        .replace("in config map", "of config map")
}

fn mounts(out: &mut Out, container: &Value) {
    let mut mounts: Vec<&Value> = list(container, "/volumeMounts").iter().collect();
    mounts.sort_by_key(|mount| text(mount, "/mountPath").to_string());
    out.line(2, if mounts.is_empty() { "Mounts:\t<none>" } else { "Mounts:" });
    for mount in mounts {
        let mut flags = vec![if flag(mount, "/readOnly") { "ro".to_string() } else { "rw".to_string() }];
        if !text(mount, "/subPath").is_empty() {
            flags.push(format!("path={:?}", text(mount, "/subPath")));
        }
        out.line(3, &format!("{} from {} ({})", text(mount, "/mountPath"), text(mount, "/name"), flags.join(",")));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn probes_in_one_line() {
        let times = "delay=0s timeout=1s period=10s #success=1 #failure=3";
        let mut object =
            json!({"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3});
        for (key, value, expected) in [
            ("exec", json!({"command": ["ls", "-l"]}), "exec [ls -l]"),
            ("httpGet", json!({"path": "/x", "port": 80, "scheme": "HTTP"}), "http-get http://:80/x"),
            ("tcpSocket", json!({"port": "web"}), "tcp-socket :web"),
        ] {
            object[key] = value;
            assert_eq!(probe(&object), format!("{expected} {times}"));
            object.as_object_mut().unwrap().remove(key);
        }
    }

    #[test]
    fn a_pod_is_told() {
        let object = json!({
            "metadata": {"name": "p", "namespace": "n", "labels": {"a": "b"}},
            "spec": {"priority": 0, "containers": [{"name": "c", "image": "i", "env": [{"name": "A", "value": "1"}]}]},
            "status": {"phase": "Running", "qosClass": "BestEffort", "containerStatuses": [
                {"name": "c", "ready": false, "restartCount": 2, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                 "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "startedAt": "2026-11-20T20:06:01Z", "finishedAt": "2026-11-20T20:06:02Z"}}}]},
        });
        let text = crate::output::tab::Tabs::describe().align(&pod(&object).0);
        let expected = "\
Name:         p
Namespace:    n
Priority:     0
Node:         <none>
Labels:       a=b
Annotations:  <none>
Status:       Running
IP:           \n\
IPs:          <none>
Containers:
  c:
    Container ID:   \n    \
    Image:          i
    Image ID:       \n    \
    Port:           <none>
    Host Port:      <none>
    State:          Waiting
      Reason:       CrashLoopBackOff
    Last State:     Terminated
      Reason:       Error
      Exit Code:    1
      Started:      Fri, 20 Nov 2026 20:06:01 +0000
      Finished:     Fri, 20 Nov 2026 20:06:02 +0000
    Ready:          False
    Restart Count:  2
    Environment:
      A:             1
    Mounts:          <none>
Volumes:             <none>
QoS Class:           BestEffort
Node-Selectors:      <none>
Tolerations:         <none>
";
        let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(squeeze(&text), squeeze(expected));
        assert!(text.contains("    State:          Waiting\n      Reason:       CrashLoopBackOff\n"), "{text}");
    }

    #[test]
    fn variables_and_mounts_in_words() {
        let container = json!({"resources": {"limits": {"cpu": "1"}}});
        let pod = json!({"metadata": {"name": "p"}});
        for (variable, expected) in [
            (json!({"name": "A", "value": "1"}), "1"),
            (
                json!({"valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}),
                "p (v1:metadata.name)",
            ),
            (
                json!({"valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}}),
                " (v1:status.podIP)",
            ),
            (json!({"valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}), "1 (limits.cpu)"),
            (
                json!({"valueFrom": {"secretKeyRef": {"key": "k", "name": "s"}}}),
                "<set to the key 'k' in secret 's'>\tOptional: false",
            ),
            (
                json!({"valueFrom": {"configMapKeyRef": {"key": "k", "name": "c", "optional": true}}}),
                "<set to the key 'k' of config map 'c'>\tOptional: true",
            ),
        ] {
            assert_eq!(value(&variable, &container, Some(&pod)), expected);
        }
        let mut out = Out::default();
        mounts(
            &mut out,
            &json!({"volumeMounts": [{"mountPath": "/b", "name": "v", "readOnly": true}, {"mountPath": "/a", "name": "w", "subPath": "x"}]}),
        );
        assert_eq!(out.0, "    Mounts:\n      /a from w (rw,path=\"x\")\n      /b from v (ro)\n");
    }

    #[test]
    fn states_have_their_details() {
        for (object, expected) in [
            (
                json!({"running": {"startedAt": "2026-11-20T20:06:01Z"}}),
                "    State:\tRunning\n      Started:\tFri, 20 Nov 2026 20:06:01 +0000\n",
            ),
            (json!({"waiting": {"reason": "ErrImagePull"}}), "    State:\tWaiting\n      Reason:\tErrImagePull\n"),
            (json!({}), "    State:\tWaiting\n"),
        ] {
            let mut out = Out::default();
            state(&mut out, "State", &object);
            assert_eq!(out.0, expected);
        }
    }
}
