//! Unions: fields of which one excludes the others (`$retainKeys`): volumes, the strategy of a Deployment.

use super::{applies, differs, merges};

#[test]
fn merging() {
    merges(
        r#"
---
name: what is not named goes
kind: Deployment
object: {spec: {strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1}}}}
patch: {spec: {strategy: {$retainKeys: [type], type: Recreate}}}
result: {spec: {strategy: {type: Recreate}}}
---
name: without the directive everything stays
kind: Deployment
object: {spec: {strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1}}}}
patch: {spec: {strategy: {type: Recreate}}}
result: {spec: {strategy: {type: Recreate, rollingUpdate: {maxSurge: 1}}}}
---
name: what is named stays and merges
kind: Deployment
object: {spec: {strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 2}}}}
patch: {spec: {strategy: {$retainKeys: [type, rollingUpdate], rollingUpdate: {maxSurge: 5}}}}
result: {spec: {strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 5, maxUnavailable: 2}}}}
---
name: a list of keys alone only clears
kind: Deployment
object: {spec: {strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1}}}}
patch: {spec: {strategy: {$retainKeys: [type]}}}
result: {spec: {strategy: {type: RollingUpdate}}}
---
name: no key is kept
kind: Deployment
object: {spec: {strategy: {type: RollingUpdate}}}
patch: {spec: {strategy: {$retainKeys: []}}}
result: {spec: {strategy: {}}}
---
name: keys that are nowhere are no harm
kind: Deployment
object: {spec: {strategy: {type: RollingUpdate}}}
patch: {spec: {strategy: {$retainKeys: [type, rollingUpdate]}}}
result: {spec: {strategy: {type: RollingUpdate}}}
---
name: a patched field must be among the kept ones
kind: Deployment
object: {spec: {strategy: {type: RollingUpdate}}}
patch: {spec: {strategy: {$retainKeys: [rollingUpdate], type: Recreate}}}
error: invalid patch format of retainKeys
---
name: unless it is deleted
kind: Deployment
object: {spec: {strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1}}}}
patch: {spec: {strategy: {$retainKeys: [type], rollingUpdate: null}}}
result: {spec: {strategy: {type: RollingUpdate}}}
---
name: the keys are no list
kind: Deployment
object: {spec: {strategy: {type: RollingUpdate}}}
patch: {spec: {strategy: {$retainKeys: type, type: Recreate}}}
error: invalid patch format of retainKeys
---
name: elements of a list have their own
object: {spec: {volumes: [{name: a, emptyDir: {}}, {name: b, hostPath: {path: /b}}]}}
patch: {spec: {volumes: [{name: a, $retainKeys: [name, configMap], configMap: {name: c}}]}}
result: {spec: {volumes: [{name: a, configMap: {name: c}}, {name: b, hostPath: {path: /b}}]}}
"#,
    );
}

#[test]
fn differences() {
    differs(
        r#"
---
name: the kind of a volume changes
original: {spec: {volumes: [{name: v, emptyDir: {}}]}}
modified: {spec: {volumes: [{name: v, hostPath: {path: /tmp}}]}}
patch:
  spec:
    $setElementOrder/volumes: [{name: v}]
    volumes: [{name: v, emptyDir: null, hostPath: {path: /tmp}, $retainKeys: [hostPath, name]}]
---
name: a field within the same kind of volume
original: {spec: {volumes: [{name: v, hostPath: {path: /a, type: Directory}}]}}
modified: {spec: {volumes: [{name: v, hostPath: {path: /b, type: Directory}}]}}
patch:
  spec:
    $setElementOrder/volumes: [{name: v}]
    volumes: [{name: v, hostPath: {path: /b}, $retainKeys: [hostPath, name]}]
---
name: the strategy changes
kind: Deployment
original: {spec: {strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1}}}}
modified: {spec: {strategy: {type: Recreate}}}
patch: {spec: {strategy: {type: Recreate, rollingUpdate: null, $retainKeys: [type]}}}
---
name: nothing about it changes, and nothing is said
kind: Deployment
original: {spec: {replicas: 1, strategy: {type: Recreate}}}
modified: {spec: {replicas: 2, strategy: {type: Recreate}}}
patch: {spec: {replicas: 2}}
"#,
    );
}

#[test]
fn applying() {
    applies(
        r#"
---
name: what the server put in as a default is cleared
kind: Deployment
original: {spec: {}}
modified: {spec: {strategy: {type: Recreate}}}
current: {spec: {strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 25%}}}}
patch: {spec: {strategy: {$retainKeys: [type], type: Recreate}}}
result: {spec: {strategy: {type: Recreate}}}
---
name: and again each time, though the choice stays
kind: Deployment
original: {spec: {strategy: {type: RollingUpdate}}}
modified: {spec: {strategy: {type: RollingUpdate}}}
current: {spec: {strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 25%}}}}
patch: {spec: {strategy: {$retainKeys: [type]}}}
result: {spec: {strategy: {type: RollingUpdate}}}
---
name: a volume of another kind
original: {spec: {volumes: [{name: v, emptyDir: {}}]}}
modified: {spec: {volumes: [{name: v, secret: {secretName: s}}]}}
current: {spec: {volumes: [{name: v, emptyDir: {}}, {name: token, projected: {}}]}}
patch:
  spec:
    $setElementOrder/volumes: [{name: v}]
    volumes: [{name: v, $retainKeys: [name, secret], emptyDir: null, secret: {secretName: s}}]
result: {spec: {volumes: [{name: v, secret: {secretName: s}}, {name: token, projected: {}}]}}
"#,
    );
}
