//! The mounts of a container: its volumes, /etc/hosts, the termination log. Looks at the file system only to resolve
//! subPaths, which must stay inside their volume.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, VolumeMount};

use crate::env::expansion;
use crate::pod;
use crate::runtime::Mount;

/// A volume that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Where, on the node.
    pub path: PathBuf,
    /// Whether no container may write to it, whatever its mount says: what the kubelet writes and keeps up to date
    /// (GetAttributes of the configMap, secret, downwardAPI and projected plugins).
    pub readonly: bool,
}

/// Volumes, by name.
pub type Volumes = BTreeMap<String, Made>;

/// The mounts of `container`, in an order in which inner ones follow outer ones.
///
/// # Errors
/// In upstream's words; becomes CreateContainerConfigError.
pub fn mounts(
    container: &Container,
    volumes: &Volumes,
    env: &[(String, String)],
    hosts: Option<&Path>,
    termination_log: &Path,
) -> Result<Vec<Mount>, String> {
    let mut all = Vec::new();
    for mount in container.volume_mounts.iter().flatten() {
        let volume = volumes.get(&mount.name);
        let volume = volume.ok_or_else(|| {
            format!("cannot find volume \"{}\" to mount into container \"{}\"", mount.name, container.name)
        })?;
        let container_path = Path::new("/").join(&mount.mount_path);
        all.push(Mount {
            host_path: inside(volume, mount, env, &container.name)?,
            container_path,
            readonly: volume.readonly || mount.read_only == Some(true),
        });
    }
    let taken = |path: &Path| container.volume_mounts.iter().flatten().any(|m| Path::new(&m.mount_path) == path);
    if let Some(hosts) = hosts.filter(|_| !taken(Path::new("/etc/hosts"))) {
        let container_path = "/etc/hosts".into();
        all.push(Mount { host_path: hosts.into(), container_path, readonly: false });
    }
    let message_path = PathBuf::from(pod::termination_message_path(container));
    all.push(Mount { host_path: termination_log.into(), container_path: message_path, readonly: false });
    all.sort_by_key(|mount| mount.container_path.components().count());
    Ok(all)
}

fn inside(volume: &Made, mount: &VolumeMount, env: &[(String, String)], container: &str) -> Result<PathBuf, String> {
    let volume = volume.path.as_path();
    let expression = mount.sub_path_expr.as_deref().filter(|e| !e.is_empty());
    let sub = match expression {
        Some(expression) => {
            let lookup = |name: &str| env.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
            let text = expansion::expand(expression, lookup);
            if text.contains("$(") {
                return Err(format!("failed to expand subPath expression {expression:?}"));
            }
            text
        }
        None => mount.sub_path.clone().unwrap_or_default(),
    };
    if sub.is_empty() {
        return Ok(volume.to_path_buf());
    }
    let failed =
        || format!("failed to prepare subPath for volumeMount \"{}\" of container \"{container}\"", mount.name);
    let relative = Path::new(&sub);
    if relative.components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(failed());
    }
    let path = volume.join(relative);
    if fs::symlink_metadata(&path).is_err() {
        fs::create_dir_all(&path).map_err(|_| failed())?;
    }
    // A symlink in the volume must not lead out of it.
    let (resolved, base) = (fs::canonicalize(&path), fs::canonicalize(volume));
    match (resolved, base) {
        (Ok(resolved), Ok(base)) if resolved.starts_with(&base) => Ok(resolved),
        _ => Err(failed()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn volumes_hosts_and_termination_log_are_mounted() {
        let dir = tempfile::tempdir().unwrap();
        let volume = dir.path().join("v");
        fs::create_dir(&volume).unwrap();
        std::os::unix::fs::symlink("/etc", volume.join("out")).unwrap();
        let writable = Made { path: volume.clone(), readonly: false };
        let written_by_us = Made { path: volume.clone(), readonly: true };
        let volumes: Volumes = [("v".to_string(), writable), ("config".to_string(), written_by_us)].into();
        let run = |mounts_of: serde_json::Value| {
            let c: Container = serde_json::from_value(json!({"name": "c", "volumeMounts": mounts_of})).unwrap();
            let env = [("POD".to_string(), "p1".to_string())];
            mounts(&c, &volumes, &env, Some(Path::new("/h")), Path::new("/t"))
        };
        let all = run(json!([{"name": "v", "mountPath": "/a/b/c", "subPath": "x/y", "readOnly": true},
            {"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/e", "subPathExpr": "$(POD)"}]))
        .unwrap();
        let text: Vec<String> = all.iter().map(|m| m.container_path.display().to_string()).collect();
        assert_eq!(text, ["/a", "/e", "/etc/hosts", "/dev/termination-log", "/a/b/c"]);
        assert!(all[4].readonly && all[4].host_path.ends_with("v/x/y") && volume.join("p1").is_dir());
        assert!(run(json!([{"name": "w", "mountPath": "/a"}])).unwrap_err().contains("cannot find volume \"w\""));
        for sub in ["../x", "/abs", "out"] {
            let error = run(json!([{"name": "v", "mountPath": "/a", "subPath": sub}])).unwrap_err();
            assert!(error.contains("failed to prepare subPath"), "{sub}: {error}");
        }
        let both = run(json!([{"name": "config", "mountPath": "/a"}, {"name": "v", "mountPath": "/b"},
            {"name": "config", "mountPath": "/c", "readOnly": false}]))
        .unwrap();
        let readonly: Vec<bool> = both.iter().take(3).map(|mount| mount.readonly).collect();
        assert_eq!(readonly, [true, false, true], "what we write nobody else does: {both:?}");
        let own = run(json!([{"name": "v", "mountPath": "/etc/hosts"}])).unwrap();
        assert_eq!(own.iter().filter(|m| m.container_path == Path::new("/etc/hosts")).count(), 1);
    }
}
