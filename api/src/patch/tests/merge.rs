//! Strategic merge patches applied to objects: maps, lists of maps, lists of scalars, directives.

use super::merges;

#[test]
fn maps() {
    merges(
        r#"
---
name: a field is added
kind: ConfigMap
object: {data: {a: one}}
patch: {data: {b: two}}
result: {data: {a: one, b: two}}
---
name: a field is changed
kind: ConfigMap
object: {data: {a: one}}
patch: {data: {a: two}}
result: {data: {a: two}}
---
name: a field is deleted
kind: ConfigMap
object: {data: {a: one, b: two}}
patch: {data: {a: null}}
result: {data: {b: two}}
---
name: the last field is deleted, the map stays
kind: ConfigMap
object: {data: {a: one}}
patch: {data: {a: null}}
result: {data: {}}
---
name: a map is deleted
kind: ConfigMap
object: {data: {a: one}, metadata: {name: m}}
patch: {data: null}
result: {metadata: {name: m}}
---
name: what is not there is deleted
kind: ConfigMap
object: {metadata: {name: m}}
patch: {data: null, binaryData: null}
result: {metadata: {name: m}}
---
name: a map takes the place of nothing, without its nulls
object: {metadata: {name: p}}
patch: {metadata: {labels: {a: one, b: null}}, spec: {nodeSelector: {c: null}}}
result: {metadata: {name: p, labels: {a: one}}, spec: {nodeSelector: {}}}
---
name: a map is replaced by directive
kind: ConfigMap
object: {data: {a: one, b: two}}
patch: {data: {$patch: replace, c: three}}
result: {data: {c: three}}
---
name: the whole object is replaced by directive
kind: ConfigMap
object: {metadata: {name: m}, data: {a: one}}
patch: {$patch: replace, metadata: {name: n}}
result: {metadata: {name: n}}
---
name: all keys of a map are deleted by directive
kind: ConfigMap
object: {data: {a: one, b: two}, metadata: {name: m}}
patch: {data: {$patch: delete}}
result: {data: {}, metadata: {name: m}}
---
name: keys beside the directive that deletes count for nothing
kind: ConfigMap
object: {data: {a: one}}
patch: {data: {$patch: delete, b: two}}
result: {data: {}}
---
name: a directive for something that is not there
kind: ConfigMap
object: {metadata: {name: m}}
patch: {data: {$patch: delete}}
result: {metadata: {name: m}}
---
name: an unknown directive
kind: ConfigMap
object: {data: {a: one}}
patch: {data: {$patch: smash}}
error: "unknown patch type: smash in map: map[$patch:smash]"
---
name: a scalar takes the place of a map
kind: ConfigMap
object: {data: {a: one}}
patch: {data: five}
result: {data: five}
---
name: a map takes the place of a scalar
kind: ConfigMap
object: {data: five}
patch: {data: {a: one}}
result: {data: {a: one}}
---
name: an empty patch
kind: ConfigMap
object: {data: {a: one}}
patch: {}
result: {data: {a: one}}
---
name: a field that no struct has is only noticed where something must be merged
object: {spec: {unheard: {a: 1}}}
patch: {spec: {unheard: {b: 2}}}
error: 'unable to find api field in struct PodSpec for the json field "unheard"'
---
name: elsewhere it is taken as it is
object: {spec: {}}
patch: {spec: {unheard: {b: 2}}}
result: {spec: {unheard: {b: 2}}}
"#,
    );
}

#[test]
fn lists_of_maps() {
    merges(
        r#"
---
name: an element is added, in front
object: {spec: {containers: [{name: a, image: "1"}]}}
patch: {spec: {containers: [{name: b, image: "2"}]}}
result: {spec: {containers: [{name: b, image: "2"}, {name: a, image: "1"}]}}
---
name: an element is merged by its key
object: {spec: {containers: [{name: a, image: "1"}, {name: b, image: "2"}]}}
patch: {spec: {containers: [{name: b, tty: true}]}}
result: {spec: {containers: [{name: a, image: "1"}, {name: b, image: "2", tty: true}]}}
---
name: a field of an element is deleted
object: {spec: {containers: [{name: a, image: "1", tty: true}]}}
patch: {spec: {containers: [{name: a, tty: null}]}}
result: {spec: {containers: [{name: a, image: "1"}]}}
---
name: an element is deleted
object: {spec: {containers: [{name: a}, {name: b}, {name: c}]}}
patch: {spec: {containers: [{name: b, $patch: delete}]}}
result: {spec: {containers: [{name: a}, {name: c}]}}
---
name: every element of that key is deleted
object: {spec: {containers: [{name: a, image: "1"}, {name: b}, {name: a, image: "2"}]}}
patch: {spec: {containers: [{name: a, $patch: delete}]}}
result: {spec: {containers: [{name: b}]}}
---
name: all elements are deleted one by one
object: {spec: {containers: [{name: a}, {name: b}]}}
patch: {spec: {containers: [{name: a, $patch: delete}, {name: b, $patch: delete}]}}
result: {spec: {containers: []}}
---
name: what is not there is deleted
object: {spec: {containers: [{name: a}]}}
patch: {spec: {containers: [{name: x, $patch: delete}]}}
result: {spec: {containers: [{name: a}]}}
---
name: one is deleted and one is added
object: {spec: {containers: [{name: a}, {name: b}]}}
patch: {spec: {containers: [{name: c}, {name: a, $patch: delete}]}}
result: {spec: {containers: [{name: c}, {name: b}]}}
---
name: the list is replaced by an element that says so
object: {spec: {containers: [{name: a}, {name: b}]}}
patch: {spec: {containers: [{$patch: replace}, {name: c}]}}
result: {spec: {containers: [{name: c}]}}
---
name: the list is emptied by it
object: {spec: {containers: [{name: a}]}}
patch: {spec: {containers: [{$patch: replace}]}}
result: {spec: {containers: []}}
---
name: elements cannot be told to merge
object: {spec: {containers: [{name: a}]}}
patch: {spec: {containers: [{name: a, $patch: merge}]}}
error: merging lists cannot yet be specified in the patch
---
name: an unknown directive
object: {spec: {containers: [{name: a}]}}
patch: {spec: {containers: [{name: a, $patch: smash}]}}
error: "unknown patch type: smash in map: map[$patch:smash name:a]"
---
name: an empty list changes nothing
object: {spec: {containers: [{name: a}]}}
patch: {spec: {containers: []}}
result: {spec: {containers: [{name: a}]}}
---
name: a list is deleted
object: {spec: {containers: [{name: a}], volumes: [{name: v}]}}
patch: {spec: {volumes: null}}
result: {spec: {containers: [{name: a}]}}
---
name: lists within elements merge by their own keys
object: {spec: {containers: [{name: a, env: [{name: X, value: "1"}, {name: Z, value: "2"}]}]}}
patch: {spec: {containers: [{name: a, env: [{name: Z, value: "3"}]}]}}
result: {spec: {containers: [{name: a, env: [{name: X, value: "1"}, {name: Z, value: "3"}]}]}}
---
name: lists without a strategy are replaced
object: {spec: {containers: [{name: a, args: [x, z], command: [c]}], tolerations: [{key: k}]}}
patch: {spec: {containers: [{name: a, args: [w]}], tolerations: [{key: l}]}}
result: {spec: {containers: [{name: a, args: [w], command: [c]}], tolerations: [{key: l}]}}
---
name: maps within elements merge
object: {spec: {containers: [{name: a, resources: {limits: {cpu: "1", memory: 1Gi}}}]}}
patch: {spec: {containers: [{name: a, resources: {limits: {cpu: "2"}}}]}}
result: {spec: {containers: [{name: a, resources: {limits: {cpu: "2", memory: 1Gi}}}]}}
---
name: a key may be a number
kind: Service
object: {spec: {ports: [{port: 80, nodePort: 30080}, {port: 443}]}}
patch: {spec: {ports: [{port: 80, name: web}]}}
result: {spec: {ports: [{port: 80, nodePort: 30080, name: web}, {port: 443}]}}
---
name: an element without its key
object: {spec: {containers: [{name: a}]}}
patch: {spec: {containers: [{image: x}]}}
error: "map: map[image:x] does not contain declared merge key: name"
---
name: a directive without its key
object: {spec: {containers: [{name: a}]}}
patch: {spec: {containers: [{$patch: delete}]}}
error: "map: map[$patch:delete] does not contain declared merge key: name"
---
name: a scalar among maps
object: {spec: {containers: [{name: a}]}}
patch: {spec: {containers: [{name: a}, 5]}}
error: "list element types are not identical: [[map[name:a]] [map[name:a] 5]]"
---
name: a list in a list
object: {spec: {containers: [[]]}}
patch: {spec: {containers: [{name: a}]}}
error: the server rejected our request due to an error in our request
---
name: a new list comes without its nulls and without what carries a directive
object: {spec: {}}
patch: {spec: {containers: [{name: a, tty: null}, {name: b, $patch: delete}]}}
result: {spec: {containers: [{name: a}]}}
"#,
    );
}

#[test]
fn lists_of_scalars() {
    merges(
        r#"
---
name: values are joined, each once, the patch's in front
object: {metadata: {finalizers: [a, b]}}
patch: {metadata: {finalizers: [c, a]}}
result: {metadata: {finalizers: [c, a, b]}}
---
name: values are taken out
object: {metadata: {finalizers: [a, b, c, b]}}
patch: {metadata: {$deleteFromPrimitiveList/finalizers: [b, x]}}
result: {metadata: {finalizers: [a, c]}}
---
name: out of a list that is not there
object: {metadata: {name: p}}
patch: {metadata: {$deleteFromPrimitiveList/finalizers: [b]}}
result: {metadata: {name: p}}
---
name: out of an empty list
object: {metadata: {finalizers: []}}
patch: {metadata: {$deleteFromPrimitiveList/finalizers: [b]}}
result: {metadata: {finalizers: []}}
---
name: out of a list without a strategy
object: {spec: {containers: [{name: a, args: [x, z]}]}}
patch: {spec: {containers: [{name: a, $deleteFromPrimitiveList/args: [x]}]}}
result: {spec: {containers: [{name: a, args: [z]}]}}
---
name: out of a list of maps
object: {spec: {containers: [{name: a}]}}
patch: {spec: {$deleteFromPrimitiveList/containers: [{name: a}]}}
error: invalid patch format of primitive list
---
name: what is taken out is no list
object: {metadata: {finalizers: [a]}}
patch: {metadata: {$deleteFromPrimitiveList/finalizers: a}}
error: invalid patch format of primitive list
---
name: the directive names no field
object: {metadata: {finalizers: [a]}}
patch: {metadata: {$deleteFromPrimitiveList: [a]}}
error: invalid patch format of primitive list
---
name: some are taken out and others put in
object: {metadata: {finalizers: [a, b, c]}}
patch: {metadata: {finalizers: [d], $deleteFromPrimitiveList/finalizers: [a]}}
result: {metadata: {finalizers: [d, b, c]}}
---
name: values of two types
object: {metadata: {finalizers: [a]}}
patch: {metadata: {finalizers: [1]}}
error: "list element types are not identical: [[a] [1]]"
---
name: null is no value
object: {metadata: {finalizers: [a]}}
patch: {metadata: {finalizers: [null]}}
error: "list element types are not identical: [[a] [<nil>]]"
"#,
    );
}
