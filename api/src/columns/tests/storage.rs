//! Volumes and what makes them, as `kubectl get -o wide` shows them.

use super::table;
use crate::columns::{
    CSI_DRIVER, CSI_NODE, CSI_STORAGE_CAPACITY, PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, STORAGE_CLASS,
    VOLUME_ATTACHMENT, VOLUME_ATTRIBUTES_CLASS,
};

#[test]
fn persistent_volumes() {
    table(
        PERSISTENT_VOLUME,
        r#"
---
cells: [bound, 4Gi, ROX, Retain, Bound, default/data, fast, <unset>, "", 60m, Filesystem]
metadata: {name: bound, creationTimestamp: 2026-01-01T00:00:00Z}
spec:
  capacity: {storage: 4Gi}
  accessModes: [ReadOnlyMany]
  persistentVolumeReclaimPolicy: Retain
  claimRef: {namespace: default, name: data}
  storageClassName: fast
  volumeMode: Filesystem
status: {phase: Bound}
---
# The abbreviations have their own order, and each is there once.
cells: [modes, 1Gi, "RWO,ROX,RWX,RWOP", Delete, Available, "", "", silver, "", <unknown>, Block]
metadata: {name: modes}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOncePod, ReadWriteMany, ReadOnlyMany, ReadWriteOnce, ReadOnlyMany]
  persistentVolumeReclaimPolicy: Delete
  volumeAttributesClassName: silver
  volumeMode: Block
status: {phase: Available}
---
cells: [failed, 1Gi, "", Recycle, Failed, other/gone, "", <unset>, RecyclerFailed, <unknown>, <unset>]
metadata: {name: failed}
spec:
  capacity: {storage: 1Gi}
  persistentVolumeReclaimPolicy: Recycle
  claimRef: {namespace: other, name: gone}
status: {phase: Failed, reason: RecyclerFailed, message: no recycler}
---
cells: [going, 1Gi, "", Delete, Terminating, "", "", <unset>, "", <unknown>, <unset>]
metadata: {name: going, deletionTimestamp: 2026-01-01T00:59:00Z, finalizers: [kubernetes.io/pv-protection]}
spec: {capacity: {storage: 1Gi}, persistentVolumeReclaimPolicy: Delete}
status: {phase: Released}
---
# The annotation of old goes before the field.
cells: [annotated, "0", "", Delete, Available, "", beta, <unset>, "", <unknown>, <unset>]
metadata: {name: annotated, annotations: {volume.beta.kubernetes.io/storage-class: beta}}
spec: {persistentVolumeReclaimPolicy: Delete, storageClassName: ga}
status: {phase: Available}
"#,
    );
}

#[test]
fn claims() {
    table(
        PERSISTENT_VOLUME_CLAIM,
        r#"
---
cells: [bound, Bound, my-volume, 4Gi, ROX, fast, <unset>, 60m, Filesystem]
metadata: {name: bound, creationTimestamp: 2026-01-01T00:00:00Z}
spec: {volumeName: my-volume, storageClassName: fast, volumeMode: Filesystem, resources: {requests: {storage: 2Gi}}}
status: {phase: Bound, accessModes: [ReadOnlyMany], capacity: {storage: 4Gi}}
---
# Before it is bound nothing is promised, whatever it asked for.
cells: [pending, Pending, "", "", "", slow, gold, 3s, Block]
metadata: {name: pending, creationTimestamp: 2026-01-01T00:59:57Z}
spec:
  storageClassName: slow
  volumeMode: Block
  volumeAttributesClassName: gold
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 2Gi}}
status: {phase: Pending}
---
# Bound to a volume that nobody has measured.
cells: [odd, Pending, v, "0", "", "", <unset>, <unknown>, <unset>]
metadata: {name: odd}
spec: {volumeName: v}
status: {phase: Pending}
---
cells: [lost, Lost, v, "0", "", "", <unset>, <unknown>, <unset>]
metadata: {name: lost}
spec: {volumeName: v}
status: {phase: Lost}
---
cells: [going, Terminating, v, 1Gi, "RWO,RWX", "", <unset>, <unknown>, <unset>]
metadata: {name: going, deletionTimestamp: 2026-01-01T00:59:00Z}
spec: {volumeName: v}
status: {phase: Bound, accessModes: [ReadWriteMany, ReadWriteOnce], capacity: {storage: 1Gi}}
"#,
    );
}

#[test]
fn classes() {
    table(
        STORAGE_CLASS,
        r#"
---
cells: [fast (default), example.com/ssd, Retain, WaitForFirstConsumer, true, 60m]
metadata:
  name: fast
  creationTimestamp: 2026-01-01T00:00:00Z
  annotations: {storageclass.kubernetes.io/is-default-class: "true"}
provisioner: example.com/ssd
reclaimPolicy: Retain
volumeBindingMode: WaitForFirstConsumer
allowVolumeExpansion: true
---
cells: [beta (default), kubernetes.io/no-provisioner, Delete, Immediate, false, <unknown>]
metadata: {name: beta, annotations: {storageclass.beta.kubernetes.io/is-default-class: "true"}}
provisioner: kubernetes.io/no-provisioner
---
# Only the word true makes a default.
cells: [plain, p, Delete, Immediate, false, <unknown>]
metadata: {name: plain, annotations: {storageclass.kubernetes.io/is-default-class: "yes"}}
provisioner: p
allowVolumeExpansion: false
"#,
    );
    table(
        VOLUME_ATTRIBUTES_CLASS,
        r#"
---
cells: [gold, ebs.csi.example.com, 10m]
metadata: {name: gold, creationTimestamp: 2026-01-01T00:50:00Z}
driverName: ebs.csi.example.com
parameters: {iops: "4000"}
"#,
    );
}

#[test]
fn attachments() {
    table(
        VOLUME_ATTACHMENT,
        r#"
---
cells: [csi-1, ebs, pv-1, node-1, true, 10m]
metadata: {name: csi-1, creationTimestamp: 2026-01-01T00:50:00Z}
spec: {attacher: ebs, nodeName: node-1, source: {persistentVolumeName: pv-1}}
status: {attached: true}
---
# A volume that is written inline has no name.
cells: [csi-2, ebs, "", node-2, false, <unknown>]
metadata: {name: csi-2}
spec: {attacher: ebs, nodeName: node-2, source: {inlineVolumeSpec: {}}}
status: {attached: false}
"#,
    );
}

#[test]
fn drivers() {
    table(
        CSI_NODE,
        r#"
---
cells: [node-1, 2, 10m]
metadata: {name: node-1, creationTimestamp: 2026-01-01T00:50:00Z}
spec: {drivers: [{name: a, nodeID: x}, {name: b, nodeID: y}]}
---
cells: [node-2, 0, <unknown>]
metadata: {name: node-2}
spec: {drivers: []}
"#,
    );
    table(
        CSI_DRIVER,
        r#"
---
cells: [full, false, true, true, "vault,aws", true, "Persistent,Ephemeral", 10m]
metadata: {name: full, creationTimestamp: 2026-01-01T00:50:00Z}
spec:
  attachRequired: false
  podInfoOnMount: true
  storageCapacity: true
  requiresRepublish: true
  tokenRequests: [{audience: vault}, {audience: aws}]
  volumeLifecycleModes: [Persistent, Ephemeral]
---
cells: [bare, true, false, false, <unset>, false, <none>, <unknown>]
metadata: {name: bare}
spec: {}
"#,
    );
    table(
        CSI_STORAGE_CAPACITY,
        r#"
---
cells: [a, fast, 100Gi]
metadata: {name: a}
storageClassName: fast
capacity: 100Gi
---
cells: [b, slow, <unset>]
metadata: {name: b}
storageClassName: slow
---
# Nothing is left; that is known.
cells: [c, slow, "0"]
metadata: {name: c}
storageClassName: slow
capacity: "0"
"#,
    );
}
