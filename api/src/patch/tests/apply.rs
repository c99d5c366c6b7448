//! Three-way patches: what `kubectl apply` sends, and what comes of it.

use super::applies;

#[test]
fn maps() {
    applies(
        r#"
---
name: nothing was applied before, nothing is there
kind: ConfigMap
original: null
modified: {data: {a: one}}
current: {}
patch: {data: {a: one}}
result: {data: {a: one}}
---
name: nothing was applied before, something is there
kind: ConfigMap
original: null
modified: {data: {a: one}}
current: {data: {b: two}, metadata: {uid: u}}
patch: {data: {a: one}}
result: {data: {a: one, b: two}, metadata: {uid: u}}
---
name: a field is added
kind: ConfigMap
original: {data: {a: one}}
modified: {data: {a: one, b: two}}
current: {data: {a: one}}
patch: {data: {b: two}}
result: {data: {a: one, b: two}}
---
name: a field is added that somebody else has set otherwise
kind: ConfigMap
original: {data: {a: one}}
modified: {data: {a: one, b: two}}
current: {data: {a: one, b: other}}
patch: {data: {b: two}}
result: {data: {a: one, b: two}}
---
name: a field is added that somebody else has set to the same
kind: ConfigMap
original: {data: {a: one}}
modified: {data: {a: one, b: two}}
current: {data: {a: one, b: two}}
patch: {}
result: {data: {a: one, b: two}}
---
name: a field is added and one is deleted
kind: ConfigMap
original: {data: {a: one}}
modified: {data: {b: two}}
current: {data: {a: one, c: theirs}}
patch: {data: {a: null, b: two}}
result: {data: {b: two, c: theirs}}
---
name: a field is deleted that somebody else has changed
kind: ConfigMap
original: {data: {a: one}}
modified: {data: {}}
current: {data: {a: other}}
patch: {data: {a: null}}
result: {data: {}}
---
name: a field is deleted that is gone already
kind: ConfigMap
original: {data: {a: one, b: two}}
modified: {data: {b: two}}
current: {data: {b: two}}
patch: {data: {a: null}}
result: {data: {b: two}}
---
name: what others changed comes back
kind: ConfigMap
original: {data: {a: one}}
modified: {data: {a: one}}
current: {data: {a: other}}
patch: {data: {a: one}}
result: {data: {a: one}}
---
name: what others deleted comes back
kind: ConfigMap
original: {data: {a: one}}
modified: {data: {a: one}}
current: {data: {}}
patch: {data: {a: one}}
result: {data: {a: one}}
---
name: a whole map is given up
kind: ConfigMap
original: {data: {a: one}, metadata: {labels: {x: z}}}
modified: {metadata: {labels: {x: z}}}
current: {data: {a: one, b: theirs}, metadata: {labels: {x: z, w: theirs}}}
patch: {data: null}
result: {metadata: {labels: {x: z, w: theirs}}}
---
name: a map within a map loses a field
kind: Deployment
original: {spec: {template: {metadata: {labels: {a: "1", b: "2"}}}}}
modified: {spec: {template: {metadata: {labels: {a: "1"}}}}}
current: {spec: {replicas: 3, template: {metadata: {labels: {a: "1", b: "2", c: "3"}}}}}
patch: {spec: {template: {metadata: {labels: {b: null}}}}}
result: {spec: {replicas: 3, template: {metadata: {labels: {a: "1", c: "3"}}}}}
---
name: null deletes, and goes on doing so
kind: Deployment
original: {spec: {replicas: null}}
modified: {spec: {replicas: null}}
current: {spec: {replicas: 3}}
patch: {spec: {replicas: null}}
result: {spec: {}}
"#,
    );
}

#[test]
fn lists_of_maps() {
    applies(
        r#"
---
name: an element is added beside that of another
original: {spec: {containers: [{name: a}]}}
modified: {spec: {containers: [{name: a}, {name: b, image: "1"}]}}
current: {spec: {containers: [{name: a, image: d}, {name: side}]}}
patch:
  spec:
    $setElementOrder/containers: [{name: a}, {name: b}]
    containers: [{name: b, image: "1"}]
result: {spec: {containers: [{name: a, image: d}, {name: b, image: "1"}, {name: side}]}}
---
name: an element is deleted, that of another stays
original: {spec: {containers: [{name: a}, {name: b}]}}
modified: {spec: {containers: [{name: a}]}}
current: {spec: {containers: [{name: a}, {name: b}, {name: side}]}}
patch:
  spec:
    $setElementOrder/containers: [{name: a}]
    containers: [{name: b, $patch: delete}]
result: {spec: {containers: [{name: a}, {name: side}]}}
---
name: an element is deleted that is gone already
original: {spec: {containers: [{name: a}, {name: b}]}}
modified: {spec: {containers: [{name: a}]}}
current: {spec: {containers: [{name: a}]}}
patch:
  spec:
    $setElementOrder/containers: [{name: a}]
    containers: [{name: b, $patch: delete}]
result: {spec: {containers: [{name: a}]}}
---
name: a field of an element changes, others stay
original: {spec: {containers: [{name: a, image: "1"}]}}
modified: {spec: {containers: [{name: a, image: "2"}]}}
current: {spec: {containers: [{name: a, image: "1", imagePullPolicy: Always}]}}
patch:
  spec:
    $setElementOrder/containers: [{name: a}]
    containers: [{name: a, image: "2"}]
result: {spec: {containers: [{name: a, image: "2", imagePullPolicy: Always}]}}
---
name: a field of an element is given up
original: {spec: {containers: [{name: a, image: "1", tty: true}]}}
modified: {spec: {containers: [{name: a, image: "1"}]}}
current: {spec: {containers: [{name: a, image: "1", tty: true, stdin: true}]}}
patch:
  spec:
    $setElementOrder/containers: [{name: a}]
    containers: [{name: a, tty: null}]
result: {spec: {containers: [{name: a, image: "1", stdin: true}]}}
---
name: an element in an element
original: {spec: {containers: [{name: a, env: [{name: X, value: "1"}]}]}}
modified: {spec: {containers: [{name: a, env: [{name: X, value: "1"}, {name: Z, value: "2"}]}]}}
current: {spec: {containers: [{name: a, env: [{name: X, value: "1"}, {name: W, value: w}]}]}}
patch:
  spec:
    $setElementOrder/containers: [{name: a}]
    containers: [{name: a, $setElementOrder/env: [{name: X}, {name: Z}], env: [{name: Z, value: "2"}]}]
result: {spec: {containers: [{name: a, env: [{name: X, value: "1"}, {name: Z, value: "2"}, {name: W, value: w}]}]}}
---
name: a list without a strategy is sent whole
original: {spec: {containers: [{name: a, args: [x]}]}}
modified: {spec: {containers: [{name: a, args: [z]}]}}
current: {spec: {containers: [{name: a, args: [x, theirs]}]}}
patch:
  spec:
    $setElementOrder/containers: [{name: a}]
    containers: [{name: a, args: [z]}]
result: {spec: {containers: [{name: a, args: [z]}]}}
---
name: the order changes, and that of another keeps its place
original: {spec: {containers: [{name: a}, {name: b}]}}
modified: {spec: {containers: [{name: b}, {name: a}]}}
current: {spec: {containers: [{name: a}, {name: b}, {name: side}]}}
patch: {spec: {$setElementOrder/containers: [{name: b}, {name: a}]}}
result: {spec: {containers: [{name: b}, {name: a}, {name: side}]}}
---
name: others brought it out of order
original: {spec: {containers: [{name: a}, {name: b}]}}
modified: {spec: {containers: [{name: a}, {name: b}]}}
current: {spec: {containers: [{name: b}, {name: a}]}}
patch: {spec: {$setElementOrder/containers: [{name: a}, {name: b}]}}
result: {spec: {containers: [{name: a}, {name: b}]}}
---
name: nothing is to do, though others have added
original: {spec: {containers: [{name: a}, {name: b}]}}
modified: {spec: {containers: [{name: a}, {name: b}]}}
current: {spec: {containers: [{name: a}, {name: b}, {name: side}]}}
patch: {spec: {$setElementOrder/containers: [{name: a}, {name: b}]}}
result: {spec: {containers: [{name: a}, {name: b}, {name: side}]}}
---
name: one port of a Service gets another number
kind: Service
original: {spec: {ports: [{port: 80}]}}
modified: {spec: {ports: [{port: 81}]}}
current: {spec: {ports: [{port: 80, nodePort: 30080, protocol: TCP}]}}
patch:
  spec:
    $setElementOrder/ports: [{port: 81}]
    ports: [{port: 81}, {port: 80, $patch: delete}]
result: {spec: {ports: [{port: 81}]}}
"#,
    );
}

#[test]
fn lists_of_scalars() {
    applies(
        r#"
---
name: one is added, that of another stays
original: {metadata: {finalizers: [a]}}
modified: {metadata: {finalizers: [a, b]}}
current: {metadata: {finalizers: [a, theirs]}}
patch: {metadata: {$setElementOrder/finalizers: [a, b], finalizers: [b]}}
result: {metadata: {finalizers: [a, b, theirs]}}
---
name: one is given up
original: {metadata: {finalizers: [a, b]}}
modified: {metadata: {finalizers: [a]}}
current: {metadata: {finalizers: [a, b, theirs]}}
patch: {metadata: {$setElementOrder/finalizers: [a], $deleteFromPrimitiveList/finalizers: [b]}}
result: {metadata: {finalizers: [a, theirs]}}
---
name: one is given up that is gone already
original: {metadata: {finalizers: [a, b]}}
modified: {metadata: {finalizers: [a]}}
current: {metadata: {finalizers: [a]}}
patch: {metadata: {$setElementOrder/finalizers: [a], $deleteFromPrimitiveList/finalizers: [b]}}
result: {metadata: {finalizers: [a]}}
---
name: one comes and one goes
original: {metadata: {finalizers: [a, b]}}
modified: {metadata: {finalizers: [b, c]}}
current: {metadata: {finalizers: [a, b]}}
patch: {metadata: {$setElementOrder/finalizers: [b, c], $deleteFromPrimitiveList/finalizers: [a], finalizers: [c]}}
result: {metadata: {finalizers: [b, c]}}
"#,
    );
}
