//! Makes the volumes of a pod and removes them. Making them again changes nothing that is already right.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{EmptyDirVolumeSource, HostPathVolumeSource, Volume};

use super::atomic;
use super::mounts::{Made, Volumes};
use super::paths::Paths;
use super::payload::{Tokens, payload};
use crate::env::Scope;
use crate::pod;

/// Why a volume could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("MountVolume.SetUp failed for volume \"{volume}\" : {message}")]
pub struct SetupError {
    /// Name of the volume.
    pub volume: String,
    /// What went wrong.
    pub message: String,
}

/// What this kubelet can make, for the message about what it cannot.
const SUPPORTED: &str = "configMap, downwardAPI, emptyDir, hostPath, projected, secret";

/// Volumes of files that never touch a disk (each plugin's wrappedVolumeSpec asks for `medium: Memory`).
const IN_MEMORY: [&str; 3] = ["downwardAPI", "projected", "secret"];

/// Makes all volumes; returns where they are.
///
/// # Errors
/// For each volume that cannot be made.
pub fn prepare(paths: &Paths, scope: &Scope<'_>, tokens: &Tokens, now: Timestamp) -> Result<Volumes, Vec<SetupError>> {
    let (mut made, mut failed) = (Volumes::new(), Vec::new());
    for volume in pod::spec(scope.pod).volumes.iter().flatten() {
        match one(paths, volume, scope, tokens, now) {
            Ok(volume_made) => drop(made.insert(volume.name.clone(), volume_made)),
            Err(message) => failed.push(SetupError { volume: volume.name.clone(), message }),
        }
    }
    if failed.is_empty() { Ok(made) } else { Err(failed) }
}

fn one(paths: &Paths, volume: &Volume, scope: &Scope<'_>, tokens: &Tokens, now: Timestamp) -> Result<Made, String> {
    let uid = pod::uid(scope.pod);
    let group = pod::spec(scope.pod).security_context.as_ref().and_then(|s| s.fs_group);
    let group = group.and_then(|g| u32::try_from(g).ok());
    if let Some(source) = &volume.host_path {
        return Ok(Made { path: host_path(source)?, readonly: false });
    }
    let kind = kind(volume);
    if matches!(kind.as_str(), "emptyDir" | "") {
        let path = paths.volume(uid, "kubernetes.io~empty-dir", &volume.name);
        empty_dir(&path, volume.empty_dir.as_ref(), memory_bound(scope))?;
        own(&path, group, false).map_err(|error| error.to_string())?;
        return Ok(Made { path, readonly: false });
    }
    let Some(files) = payload(volume, scope, tokens)? else {
        return Err(format!("volume type {kind} is not supported by this kubelet; it can make: {SUPPORTED}"));
    };
    let plugin = match kind.as_str() {
        "downwardAPI" => "kubernetes.io~downward-api".to_string(),
        kind => format!("kubernetes.io~{}", kind.to_lowercase()),
    };
    let path = paths.volume(uid, &plugin, &volume.name);
    if IN_MEMORY.contains(&kind.as_str()) {
        in_memory(&path)?;
    }
    let changed = atomic::write(&path, &files, now).map_err(|error| error.to_string())?;
    if changed {
        own(&path, group, true).map_err(|error| error.to_string())?;
    }
    Ok(Made { path, readonly: true })
}

/// Most bytes that a volume in memory may hold unless it says less: what all containers may use together, if each is limited,
/// and never more than the node has for pods (pkg/volume/emptydir, calculateEmptyDirMemorySize).
fn memory_bound(scope: &Scope<'_>) -> Option<i128> {
    let node = scope.facts.allocatable.get("memory").map(|milli| milli / 1000);
    let pod = crate::resources::whole_pod(scope.pod).memory_limit.map(i128::from);
    node.into_iter().chain(pod).filter(|bytes| *bytes > 0).min()
}

/// The field of the volume that says what it is, e.g. `emptyDir`; empty if there is none (which means emptyDir).
fn kind(volume: &Volume) -> String {
    let value = serde_json::to_value(volume).unwrap_or_default();
    let mut fields = value.as_object().into_iter().flat_map(|o| o.keys());
    fields.find(|k| *k != "name").cloned().unwrap_or_default()
}

fn empty_dir(path: &Path, source: Option<&EmptyDirVolumeSource>, bound: Option<i128>) -> Result<(), String> {
    let existed = path.is_dir();
    fs::create_dir_all(path).map_err(|error| error.to_string())?;
    if source.and_then(|s| s.medium.as_deref()) == Some("Memory") && !is_mounted(path) {
        let limit = source.and_then(|s| s.size_limit.as_ref()).and_then(|q| crate::resources::parse_milli(&q.0));
        let limit = limit.map(|milli| milli / 1000).filter(|bytes| *bytes > 0);
        let size = limit.into_iter().chain(bound).min().map(|bytes| format!(",size={bytes}")).unwrap_or_default();
        return mount_memory(path, &format!("mode=0777{size}")).map_err(|error| cannot_mount(path, error));
    }
    if !existed {
        let mode = source.and_then(|s| s.mode).and_then(|m| u32::try_from(m).ok()).unwrap_or(0o777);
        fs::set_permissions(path, Permissions::from_mode(mode)).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// A directory in memory. Without the privilege to mount, which nothing but a kubelet under test lacks (the runtime
/// demands it too), one on disk.
fn in_memory(path: &Path) -> Result<(), String> {
    fs::create_dir_all(path).map_err(|error| error.to_string())?;
    if is_mounted(path) || !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    // The kernel's own default mode of a tmpfs, which is what containers see upstream too.
    mount_memory(path, "mode=1777").map_err(|error| cannot_mount(path, error))
}

fn mount_memory(path: &Path, options: &str) -> io::Result<()> {
    let options = std::ffi::CString::new(options)?;
    let flags = rustix::mount::MountFlags::NOSUID | rustix::mount::MountFlags::NODEV;
    Ok(rustix::mount::mount("tmpfs", path, "tmpfs", flags, options.as_c_str())?)
}

fn cannot_mount(path: &Path, error: io::Error) -> String {
    format!("mounting a tmpfs at {}: {error}", path.display())
}

/// Whether a file system is mounted there: it has another device than the directory above.
fn is_mounted(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let device = |path: &Path| fs::metadata(path).map(|m| m.dev()).ok();
    path.parent().is_some_and(|parent| device(path) != device(parent))
}

/// pkg/volume/hostpath: what `type` demands of the path.
fn host_path(source: &HostPathVolumeSource) -> Result<PathBuf, String> {
    let path = PathBuf::from(&source.path);
    let kind = source.type_.as_deref().unwrap_or_default();
    match kind {
        "" => return Ok(path),
        "DirectoryOrCreate" if !path.exists() => {
            fs::create_dir_all(&path).map_err(|error| error.to_string())?;
            fs::set_permissions(&path, Permissions::from_mode(0o755)).map_err(|error| error.to_string())?;
        }
        "FileOrCreate" if !path.exists() => {
            fs::File::create(&path).map_err(|error| error.to_string())?;
            fs::set_permissions(&path, Permissions::from_mode(0o644)).map_err(|error| error.to_string())?;
        }
        _ => {}
    }
    let found = fs::metadata(&path).map(|m| m.file_type()).ok();
    let (what, right) = match kind {
        "Directory" | "DirectoryOrCreate" => ("directory", found.is_some_and(|t| t.is_dir())),
        "File" | "FileOrCreate" => ("file", found.is_some_and(|t| t.is_file())),
        "Socket" => ("socket file", found.is_some_and(|t| t.is_socket())),
        "CharDevice" => ("character device", found.is_some_and(|t| t.is_char_device())),
        "BlockDevice" => ("block device", found.is_some_and(|t| t.is_block_device())),
        other => return Err(format!("{other} is an invalid volume type")),
    };
    if right { Ok(path) } else { Err(format!("hostPath type check failed: {} is not a {what}", path.display())) }
}

/// Gives a volume to the pod's group (pkg/volume/volume_linux.go): group may read (and write), directories pass it on.
fn own(path: &Path, group: Option<u32>, readonly: bool) -> io::Result<()> {
    let Some(group) = group else { return Ok(()) };
    let metadata = fs::symlink_metadata(path)?;
    std::os::unix::fs::lchown(path, None, Some(group))?;
    if metadata.file_type().is_symlink() {
        return Ok(());
    }
    let read_write = if readonly { 0o440 } else { 0o660 };
    let extra = if metadata.is_dir() { read_write | 0o2110 } else { read_write };
    fs::set_permissions(path, Permissions::from_mode((metadata.permissions().mode() & 0o7777) | extra))?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            own(&entry?.path(), Some(group), readonly)?;
        }
    }
    Ok(())
}

/// Removes the volumes of a pod that runs no more.
///
/// # Errors
/// When something cannot be unmounted or removed.
pub fn teardown(paths: &Paths, uid: &str) -> io::Result<()> {
    let volumes = paths.pod(uid).join("volumes");
    for plugin in fs::read_dir(&volumes).into_iter().flatten().flatten() {
        for volume in fs::read_dir(plugin.path()).into_iter().flatten().flatten() {
            if is_mounted(&volume.path()) {
                rustix::mount::unmount(volume.path(), rustix::mount::UnmountFlags::DETACH)?;
            }
        }
    }
    missing_is_fine(fs::remove_dir_all(volumes))
}

/// Removes everything of a pod: volumes, files, and its logs.
///
/// # Errors
/// As [`teardown`].
pub fn remove(paths: &Paths, uid: &str, logs: &Path) -> io::Result<()> {
    teardown(paths, uid)?;
    missing_is_fine(fs::remove_dir_all(paths.pod(uid)))?;
    missing_is_fine(fs::remove_dir_all(logs))
}

fn missing_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::fields::Facts;
    use crate::objects::Fetched;
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::{Value, json};

    fn run(dir: &Path, volume: Value) -> Result<PathBuf, String> {
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p", "uid": "u"},
            "spec": {"containers": [], "volumes": [volume]}}))
        .unwrap();
        let (fetched, facts) = (Fetched::default(), Facts::default());
        let scope = Scope { pod: &pod, fetched: &fetched, services: &[], facts: &facts };
        let made = prepare(&Paths::new(dir), &scope, &Tokens::new(), Timestamp::UNIX_EPOCH);
        made.map(|v| v["v"].path.clone()).map_err(|errors| errors[0].to_string())
    }

    #[test]
    fn volumes_are_made_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = run(dir.path(), json!({"name": "v", "emptyDir": {}})).unwrap();
        assert!(path.ends_with("pods/u/volumes/kubernetes.io~empty-dir/v"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o777);
        fs::write(path.join("f"), "x").unwrap();
        assert_eq!(run(dir.path(), json!({"name": "v", "emptyDir": {}})).unwrap(), path);
        assert!(path.join("f").exists(), "making it again keeps what is in it");
        let path = run(
            dir.path(),
            json!({"name": "v", "downwardAPI": {"items": [
            {"path": "n", "fieldRef": {"fieldPath": "metadata.name"}}]}}),
        )
        .unwrap();
        assert_eq!(fs::read_to_string(path.join("n")).unwrap(), "p");
        teardown(&Paths::new(dir.path()), "u").unwrap();
        assert!(!path.exists());
        teardown(&Paths::new(dir.path()), "u").unwrap();
    }

    #[test]
    fn only_what_the_kubelet_writes_is_closed_to_containers() {
        let dir = tempfile::tempdir().unwrap();
        let item = json!([{"path": "n", "fieldRef": {"fieldPath": "metadata.name"}}]);
        let table = [
            (json!({"name": "v", "emptyDir": {}}), false),
            (json!({"name": "v", "hostPath": {"path": "/tmp"}}), false),
            (json!({"name": "v", "configMap": {"name": "c", "optional": true}}), true),
            (json!({"name": "v", "secret": {"secretName": "s", "optional": true}}), true),
            (json!({"name": "v", "downwardAPI": {"items": item}}), true),
            (json!({"name": "v", "projected": {"sources": [{"downwardAPI": {"items": item}}]}}), true),
        ];
        for (volume, readonly) in table {
            let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p", "uid": "u"},
                "spec": {"containers": [], "volumes": [volume]}}))
            .unwrap();
            let (fetched, facts) = (Fetched::default(), Facts::default());
            let scope = Scope { pod: &pod, fetched: &fetched, services: &[], facts: &facts };
            let made = prepare(&Paths::new(dir.path()), &scope, &Tokens::new(), Timestamp::UNIX_EPOCH).unwrap();
            assert_eq!(made["v"].readonly, readonly, "{volume}");
        }
        teardown(&Paths::new(dir.path()), "u").unwrap();
    }

    #[test]
    fn a_volume_in_memory_holds_no_more_than_pod_and_node_have() {
        let limited = |memory: Value| {
            let limits = if memory.is_null() { json!({}) } else { json!({"limits": {"memory": memory}}) };
            let pod = json!({"spec": {"containers": [{"name": "c", "resources": limits}]}});
            serde_json::from_value::<Pod>(pod).unwrap()
        };
        let mebibytes = |count: i128| count << 20;
        for (limit, node, expected) in [
            (json!(null), Some(100), Some(100)),
            (json!("64Mi"), Some(100), Some(64)),
            (json!("200Mi"), Some(100), Some(100)),
            (json!("64Mi"), None, Some(64)),
            (json!(null), None, None),
        ] {
            let allocatable = node.map(|node| ("memory".to_string(), mebibytes(node) * 1000)).into_iter().collect();
            let (pod, fetched, facts) =
                (limited(limit.clone()), Fetched::default(), Facts { allocatable, ..Facts::default() });
            let scope = Scope { pod: &pod, fetched: &fetched, services: &[], facts: &facts };
            assert_eq!(memory_bound(&scope), expected.map(mebibytes), "{limit} {node:?}");
        }
    }

    #[test]
    fn a_volume_in_memory_has_its_size() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: mounting needs root");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = run(dir.path(), json!({"name": "v", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}})).unwrap();
        let size = rustix::fs::statvfs(&path).map(|found| found.f_blocks * found.f_frsize);
        teardown(&Paths::new(dir.path()), "u").unwrap();
        assert_eq!(size.unwrap(), 1 << 20);
    }

    #[test]
    fn what_is_secret_stays_in_memory_and_leaves_no_mount() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: mounting needs root");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let item = json!([{"path": "n", "fieldRef": {"fieldPath": "metadata.name"}}]);
        for volume in [
            json!({"name": "v", "secret": {"secretName": "s", "optional": true}}),
            json!({"name": "v", "downwardAPI": {"items": item}}),
            json!({"name": "v", "projected": {"sources": [{"downwardAPI": {"items": item}}]}}),
            json!({"name": "v", "emptyDir": {"medium": "Memory"}}),
        ] {
            let path = run(dir.path(), volume.clone()).unwrap();
            let device_of = |path: &Path| std::os::unix::fs::MetadataExt::dev(&fs::metadata(path).unwrap());
            let device = device_of(&path);
            assert!(is_mounted(&path), "{volume}");
            assert_eq!(run(dir.path(), volume.clone()).unwrap(), path);
            assert_eq!(device_of(&path), device, "mounted once");
        }
        let disk = run(dir.path(), json!({"name": "v", "configMap": {"name": "c", "optional": true}})).unwrap();
        assert!(!is_mounted(&disk));
        teardown(&Paths::new(dir.path()), "u").unwrap();
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains(dir.path().to_str().unwrap()), "{mounts}");
        assert!(!dir.path().join("pods/u/volumes").exists());
    }

    #[test]
    fn host_paths_are_checked_by_type() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let check =
            |path: &Path, kind: &str| run(dir.path(), json!({"name": "v", "hostPath": {"path": path, "type": kind}}));
        assert!(check(dir.path(), "Directory").is_ok() && check(&file, "File").is_ok());
        assert!(check(&dir.path().join("new/dir"), "DirectoryOrCreate").is_ok() && dir.path().join("new/dir").is_dir());
        let error = check(&file, "Directory").unwrap_err();
        let expected = format!(
            "MountVolume.SetUp failed for volume \"v\" : hostPath type check failed: {} is not a directory",
            file.display()
        );
        assert_eq!(error, expected);
        assert!(check(&file, "Socket").unwrap_err().ends_with("is not a socket file"));
    }

    #[test]
    fn what_cannot_be_made_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let error = run(dir.path(), json!({"name": "v", "nfs": {"server": "s", "path": "/"}})).unwrap_err();
        assert!(error.contains("volume type nfs is not supported") && error.contains("emptyDir"), "{error}");
    }
}
