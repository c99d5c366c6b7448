//! Volumes, and where containers mount them.

use super::*;

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
    ]);
    check_container(&[
        (json!({"volumeMounts": [{"name": "x", "mountPath": "/a"}]}), &["volumeMounts[0].name: Not found: \"x\""]),
        (json!({"volumeMounts": [{"name": "v"}]}), &["volumeMounts[0].mountPath: Required value"]),
        (
            json!({"volumeMounts": [{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/a"}]}),
            &["volumeMounts[1].mountPath: Invalid value: \"/a\": must be unique"],
        ),
        (
            json!({"volumeMounts": [{"name": "v", "mountPath": "/a", "subPath": "/b"}]}),
            &["volumeMounts.subPath: Invalid value: \"/b\": must be a relative path"],
        ),
        (
            json!({"volumeDevices": [{"name": "v", "devicePath": "/dev/x"}]}),
            &[
                "volumeDevices[0].name: Invalid value: \"v\": can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode",
            ],
        ),
    ]);
}
