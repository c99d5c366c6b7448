//! Whole objects as `kubectl get -o yaml` prints them.

use serde_json::json;

use crate::yaml::{read, write};

#[test]
fn a_pod() {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web", "namespace": "default", "creationTimestamp": "2026-01-01T00:00:00Z", "uid": "1e2", "resourceVersion": "42",
            "labels": {"app.kubernetes.io/name": "web", "version": "1.0", "enabled": "true"},
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{\"apiVersion\":\"v1\",\"kind\":\"Pod\"}\n"}},
        "spec": {
            "containers": [{
                "name": "nginx", "image": "nginx:1.27", "command": ["sh", "-c", "echo hi; sleep 1"], "args": ["--x=1", "- y", "*"],
                "env": [{"name": "EMPTY", "value": ""}, {"name": "PORT", "value": "8080"},
                    {"name": "SECRET", "valueFrom": {"secretKeyRef": {"key": "k", "name": "s"}}}],
                "ports": [{"containerPort": 80, "protocol": "TCP"}],
                "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}, "requests": {"cpu": "1"}},
                "livenessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 10},
            }],
            "nodeSelector": {}, "tolerations": [], "hostNetwork": true, "priority": -5,
        },
        "status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}], "startTime": null},
    });
    let text = r#"apiVersion: v1
kind: Pod
metadata:
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: |
      {"apiVersion":"v1","kind":"Pod"}
  creationTimestamp: "2026-01-01T00:00:00Z"
  labels:
    app.kubernetes.io/name: web
    enabled: "true"
    version: "1.0"
  name: web
  namespace: default
  resourceVersion: "42"
  uid: "1e2"
spec:
  containers:
  - args:
    - --x=1
    - '- y'
    - '*'
    command:
    - sh
    - -c
    - echo hi; sleep 1
    env:
    - name: EMPTY
      value: ""
    - name: PORT
      value: "8080"
    - name: SECRET
      valueFrom:
        secretKeyRef:
          key: k
          name: s
    image: nginx:1.27
    livenessProbe:
      httpGet:
        path: /
        port: http
      periodSeconds: 10
    name: nginx
    ports:
    - containerPort: 80
      protocol: TCP
    resources:
      limits:
        cpu: 500m
        memory: 1Gi
      requests:
        cpu: "1"
  hostNetwork: true
  nodeSelector: {}
  priority: -5
  tolerations: []
status:
  phase: Running
  podIPs:
  - ip: 10.0.0.1
  - ip: fd00::1
  startTime: null
"#;
    assert_eq!(write(&pod), text);
    assert_eq!(read(text).unwrap(), pod);
}

#[test]
fn a_config_map_of_files() {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "files"},
        "data": {
            "run.sh": "#!/bin/sh\nset -e\n\nexec nginx -g 'daemon off;'\n",
            "nginx.conf": "events {\n  worker_connections 1024;\n}\n",
            "no-newline": "line one\nline two",
            "blank": "\n",
            "json": "{\"a\": [1, 2]}",
            "colon": "a: b",
            "number": "010",
            "no": "no",
            "windows": "a\r\nb\r\n",
            "trailing": "a \nb",
        },
        "binaryData": {"bin": "AAECAw=="}});
    let text = r##"apiVersion: v1
binaryData:
  bin: AAECAw==
data:
  blank: |2+

  colon: 'a: b'
  json: '{"a": [1, 2]}'
  nginx.conf: |
    events {
      worker_connections 1024;
    }
  "no": "no"
  no-newline: |-
    line one
    line two
  number: "010"
  run.sh: |
    #!/bin/sh
    set -e

    exec nginx -g 'daemon off;'
  trailing: "a \nb"
  windows: "a\r\nb\r\n"
kind: ConfigMap
metadata:
  name: files
"##;
    assert_eq!(write(&map), text);
    assert_eq!(read(text).unwrap(), map);
}

/// As people write them: with comments, anchors and several documents.
#[test]
fn a_file_of_a_person() {
    let text = r#"# The web server.
apiVersion: apps/v1
kind: Deployment   # not a Pod
metadata:
    name: web
    labels: &labels
        app: web
        tier: "1"
spec:
    replicas: 03
    paused: no
    selector: {matchLabels: *labels}
    template:
        metadata: { labels: { <<: *labels, extra: yes-please } }
        spec:
            containers:
                - name: nginx
                  image: "nginx:1.27"   # pinned
                  args: ["-g",
                         'daemon off;']
                  env:
                  - {name: A, value: 'on'}
                  -
                    name: B
                    value: >-
                        several words
                        on two lines
---
# Nothing but a comment.
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{port: 0x50, targetPort: http}]}
"#;
    let documents = crate::yaml::read_documents(text).unwrap();
    assert_eq!(
        documents,
        [
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "labels": {"app": "web", "tier": "1"}},
                "spec": {"replicas": 3, "paused": false, "selector": {"matchLabels": {"app": "web", "tier": "1"}},
                    "template": {"metadata": {"labels": {"app": "web", "tier": "1", "extra": "yes-please"}},
                        "spec": {"containers": [{"name": "nginx", "image": "nginx:1.27", "args": ["-g", "daemon off;"],
                            "env": [{"name": "A", "value": "on"}, {"name": "B", "value": "several words on two lines"}]}]}}}}),
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [{"port": 80, "targetPort": "http"}]}}),
        ]
    );
}
