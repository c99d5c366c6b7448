//! `$setElementOrder`: what a patch says of the order of a list, and what comes of it.

use super::{differs, merges};

#[test]
fn of_lists_of_maps() {
    merges(
        r#"
---
name: the wanted order wins
object: {spec: {containers: [{name: a}, {name: b}, {name: c}]}}
patch: {spec: {$setElementOrder/containers: [{name: c}, {name: a}, {name: b}]}}
result: {spec: {containers: [{name: c}, {name: a}, {name: b}]}}
---
name: what it does not name keeps its place among the others
object: {spec: {containers: [{name: a}, {name: side}, {name: b}]}}
patch: {spec: {$setElementOrder/containers: [{name: a}, {name: b}]}}
result: {spec: {containers: [{name: a}, {name: side}, {name: b}]}}
---
name: and stays in front when it was there
object: {spec: {containers: [{name: side}, {name: a}, {name: b}]}}
patch: {spec: {$setElementOrder/containers: [{name: b}, {name: a}]}}
result: {spec: {containers: [{name: side}, {name: b}, {name: a}]}}
---
name: what others put in between stays before what it was before
object: {spec: {containers: [{name: a}, {name: s1}, {name: b}, {name: s2}, {name: c}]}}
patch: {spec: {$setElementOrder/containers: [{name: c}, {name: a}, {name: b}]}}
result: {spec: {containers: [{name: s1}, {name: s2}, {name: c}, {name: a}, {name: b}]}}
---
name: the first wanted one that it was before decides
object: {spec: {containers: [{name: a}, {name: s1}, {name: b}, {name: s2}, {name: c}]}}
patch: {spec: {$setElementOrder/containers: [{name: b}, {name: a}, {name: c}]}}
result: {spec: {containers: [{name: s1}, {name: b}, {name: a}, {name: s2}, {name: c}]}}
---
name: when the order is that of the list, nothing moves
object: {spec: {containers: [{name: a}, {name: s1}, {name: b}, {name: s2}, {name: c}]}}
patch: {spec: {$setElementOrder/containers: [{name: a}, {name: b}, {name: c}]}}
result: {spec: {containers: [{name: a}, {name: s1}, {name: b}, {name: s2}, {name: c}]}}
---
name: what is new stands where it is wanted
object: {spec: {containers: [{name: a}, {name: b}]}}
patch: {spec: {$setElementOrder/containers: [{name: a}, {name: new}, {name: b}], containers: [{name: new, image: "1"}]}}
result: {spec: {containers: [{name: a}, {name: new, image: "1"}, {name: b}]}}
---
name: one is deleted, one is new
object: {spec: {containers: [{name: a}, {name: b}, {name: c}]}}
patch:
  spec:
    $setElementOrder/containers: [{name: c}, {name: new}, {name: b}]
    containers: [{name: new}, {name: a, $patch: delete}]
result: {spec: {containers: [{name: c}, {name: new}, {name: b}]}}
---
name: a list that is not there is made of the patch
object: {spec: {}}
patch: {spec: {$setElementOrder/containers: [{name: b}, {name: a}], containers: [{name: b}, {name: a}]}}
result: {spec: {containers: [{name: b}, {name: a}]}}
---
name: an order of nothing
object: {spec: {nodeName: n1}}
patch: {spec: {$setElementOrder/containers: [{name: a}]}}
result: {spec: {nodeName: n1}}
---
name: the order names what is nowhere
object: {spec: {containers: [{name: a}, {name: b}]}}
patch: {spec: {$setElementOrder/containers: [{name: x}, {name: b}, {name: a}]}}
result: {spec: {containers: [{name: b}, {name: a}]}}
---
name: lists within elements have orders of their own
object: {spec: {containers: [{name: a, env: [{name: X}, {name: Z}]}]}}
patch:
  spec:
    $setElementOrder/containers: [{name: a}]
    containers: [{name: a, $setElementOrder/env: [{name: Z}, {name: X}]}]
result: {spec: {containers: [{name: a, env: [{name: Z}, {name: X}]}]}}
---
name: the patch contradicts its own order
object: {spec: {containers: [{name: a}]}}
patch:
  spec:
    $setElementOrder/containers: [{name: a}, {name: b}]
    containers: [{name: b}, {name: a}]
error: "The order in patch list:\n[map[name:b] map[name:a]]\n doesn't match $setElementOrder list:\n[map[name:a] map[name:b]]\n"
---
name: the order leaves out what is patched
object: {spec: {containers: [{name: a}]}}
patch: {spec: {$setElementOrder/containers: [{name: a}], containers: [{name: b}]}}
error: "The order in patch list:\n[map[name:b]]\n doesn't match $setElementOrder list:\n[map[name:a]]\n"
---
name: the order is no list
object: {spec: {containers: [{name: a}]}}
patch: {spec: {$setElementOrder/containers: {name: a}}}
error: "expected a []interface {}, but received a map[string]interface {}"
---
name: the order is that of no field
object: {spec: {containers: [{name: a}]}}
patch: {spec: {$setElementOrder: [{name: a}]}}
error: invalid patch format of setElementOrder list
"#,
    );
}

#[test]
fn of_lists_of_scalars() {
    merges(
        r#"
---
name: the wanted order wins
object: {metadata: {finalizers: [a, b, c]}}
patch: {metadata: {$setElementOrder/finalizers: [c, b, a]}}
result: {metadata: {finalizers: [c, b, a]}}
---
name: what it does not name keeps its place
object: {metadata: {finalizers: [a, x, b, z]}}
patch: {metadata: {$setElementOrder/finalizers: [b, a]}}
result: {metadata: {finalizers: [x, b, a, z]}}
---
name: one is added in the middle
object: {metadata: {finalizers: [a, b]}}
patch: {metadata: {$setElementOrder/finalizers: [a, n1, b], finalizers: [n1]}}
result: {metadata: {finalizers: [a, n1, b]}}
---
name: one is taken out
object: {metadata: {finalizers: [a, b, c]}}
patch: {metadata: {$setElementOrder/finalizers: [c, a], $deleteFromPrimitiveList/finalizers: [b]}}
result: {metadata: {finalizers: [c, a]}}
---
name: the patch contradicts its own order
object: {metadata: {finalizers: [a]}}
patch: {metadata: {$setElementOrder/finalizers: [a, b], finalizers: [b, a]}}
error: "The order in patch list:\n[b a]\n doesn't match $setElementOrder list:\n[a b]\n"
"#,
    );
}

#[test]
fn differences_in_order() {
    differs(
        r#"
---
name: nothing differs
original: {spec: {containers: [{name: a}, {name: b}]}, metadata: {finalizers: [x, z]}}
modified: {spec: {containers: [{name: a}, {name: b}]}, metadata: {finalizers: [x, z]}}
patch: {}
---
name: only the order of maps
original: {spec: {containers: [{name: a}, {name: b}]}}
modified: {spec: {containers: [{name: b}, {name: a}]}}
patch: {spec: {$setElementOrder/containers: [{name: b}, {name: a}]}}
---
name: only the order of scalars
original: {metadata: {finalizers: [a, b, c]}}
modified: {metadata: {finalizers: [c, a, b]}}
patch: {metadata: {$setElementOrder/finalizers: [c, a, b]}}
---
name: one is added at the end
original: {spec: {containers: [{name: a}]}}
modified: {spec: {containers: [{name: a}, {name: b}]}}
patch: {spec: {$setElementOrder/containers: [{name: a}, {name: b}], containers: [{name: b}]}}
---
name: one is added in the middle and one goes
original: {spec: {containers: [{name: a}, {name: b}, {name: c}]}}
modified: {spec: {containers: [{name: a}, {name: d}, {name: c}]}}
patch:
  spec:
    $setElementOrder/containers: [{name: a}, {name: d}, {name: c}]
    containers: [{name: d}, {name: b, $patch: delete}]
---
name: one goes and the others change places, in another list only the places
original: {spec: {containers: [{name: a}, {name: b}, {name: c}], imagePullSecrets: [{name: x}, {name: z}]}}
modified: {spec: {containers: [{name: c}, {name: b}], imagePullSecrets: [{name: z}, {name: x}]}}
patch:
  spec:
    $setElementOrder/containers: [{name: c}, {name: b}]
    $setElementOrder/imagePullSecrets: [{name: z}, {name: x}]
    containers: [{name: a, $patch: delete}]
---
name: all go
original: {spec: {containers: [{name: a}, {name: b}]}}
modified: {spec: {containers: []}}
patch: {spec: {containers: [{name: a, $patch: delete}, {name: b, $patch: delete}]}}
---
name: scalars come and go
original: {metadata: {finalizers: [a, b, c]}}
modified: {metadata: {finalizers: [d, b]}}
patch:
  metadata:
    $setElementOrder/finalizers: [d, b]
    $deleteFromPrimitiveList/finalizers: [a, c]
    finalizers: [d]
---
name: lists without a strategy are sent whole
original: {spec: {containers: [{name: a, args: [x]}]}}
modified: {spec: {containers: [{name: a, args: [x, z]}]}}
patch: {spec: {$setElementOrder/containers: [{name: a}], containers: [{name: a, args: [x, z]}]}}
---
name: the field of one element, the order of the other
original: {spec: {containers: [{name: a, image: "1"}, {name: b, env: [{name: X}, {name: Z}]}]}}
modified: {spec: {containers: [{name: a, image: "2"}, {name: b, env: [{name: Z}, {name: X}]}]}}
patch:
  spec:
    $setElementOrder/containers: [{name: a}, {name: b}]
    containers:
    - {name: a, image: "2"}
    - {name: b, $setElementOrder/env: [{name: Z}, {name: X}]}
---
name: maps, scalars and types
original: {metadata: {labels: {a: "1", b: "2"}}, spec: {hostname: h, priority: 5, hostNetwork: true}}
modified: {metadata: {labels: {a: "1", c: "3"}}, spec: {priority: 6, hostNetwork: true, nodeSelector: {x: z}}}
patch: {metadata: {labels: {b: null, c: "3"}}, spec: {hostname: null, priority: 6, nodeSelector: {x: z}}}
---
name: numbers are keys, too
kind: Service
original: {spec: {ports: [{port: 9}, {port: 10}]}}
modified: {spec: {ports: [{port: 9, name: nine}, {port: 10, name: ten}]}}
patch:
  spec:
    $setElementOrder/ports: [{port: 9}, {port: 10}]
    ports: [{port: 9, name: nine}, {port: 10, name: ten}]
"#,
    );
}
