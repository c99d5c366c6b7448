//! Volumes and where containers see them (upstream: ValidateVolumes, ValidateVolumeMounts in pkg/apis/core/validation).

use api::names;
use api::quantity::Quantity;
use serde_json::{Map, Value};

use super::env;
use crate::strategy::check::{At, Errors};

const MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";
const ONE: &str = "may not specify more than 1 volume type";
const HOST_PATHS: &[&str] =
    &["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
/// Fields of the pod that a file can show.
const FILE_FIELDS: &[&str] =
    &["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];
/// Kinds of volumes in upstream's order of checking. Kinds without a check of their own are checked by field below.
const SOURCES: &[&str] = &[
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "flexVolume",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
];
/// Texts that a kind of volume cannot do without.
const REQUIRED: &[(&str, &[&str])] = &[
    ("gitRepo", &["repository"]),
    ("gcePersistentDisk", &["pdName"]),
    ("awsElasticBlockStore", &["volumeID"]),
    ("secret", &["secretName"]),
    ("nfs", &["server", "path"]),
    ("iscsi", &["targetPortal", "iqn"]),
    ("glusterfs", &["endpoints", "path"]),
    ("persistentVolumeClaim", &["claimName"]),
    ("rbd", &["image"]),
    ("cinder", &["volumeID"]),
    ("quobyte", &["registry", "volume"]),
    ("flexVolume", &["driver"]),
    ("configMap", &["name"]),
    ("azureFile", &["secretName", "shareName"]),
    ("vsphereVolume", &["volumePath"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("azureDisk", &["diskURI", "diskName"]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
    ("csi", &["driver"]),
    ("image", &["reference"]),
];

/// `volumes` of a pod; answers the ones that mounts may refer to.
pub fn volumes(list: &At<'_>, pod_name: &str, errors: &mut Errors) -> Map<String, Value> {
    let mut known = Map::new();
    for volume in list.items() {
        let before = errors.0.len();
        let name = volume.get("name");
        source(&volume, pod_name, errors);
        errors.named_required(&name, names::dns1123_label);
        if known.contains_key(name.text()) {
            errors.duplicate(&name);
        }
        if errors.0.len() == before {
            known.insert(name.text().into(), volume.value.clone());
        }
    }
    known
}

fn source(volume: &At<'_>, pod_name: &str, errors: &mut Errors) {
    let mut found = false;
    for kind in SOURCES {
        let at = volume.get(kind);
        if !at.present() {
            continue;
        }
        if found {
            errors.forbidden(&at, ONE);
            continue;
        }
        found = true;
        for field in REQUIRED.iter().find(|(of, _)| of == kind).map_or(&[][..], |(_, fields)| fields) {
            errors.filled(&at.get(field));
        }
        match *kind {
            "emptyDir" => empty_dir(&at, errors),
            "hostPath" => host_path(&at, errors),
            "gitRepo" => errors.descending_path(&at.get("directory")),
            "nfs" if !at.get("path").text().is_empty() && !at.get("path").text().starts_with('/') => {
                errors.invalid(&at.get("path"), "must be an absolute path");
            }
            "secret" | "configMap" => files(&at, errors),
            "downwardAPI" => downward(&at, errors),
            "projected" => projected(&at, errors),
            "ephemeral" => ephemeral(&at, volume, pod_name, errors),
            _ => {}
        }
    }
    if !found {
        errors.required(volume, "must specify a volume type");
    }
}

fn empty_dir(at: &At<'_>, errors: &mut Errors) {
    let limit = at.get("sizeLimit");
    if limit.present() && Quantity::from_value(limit.value).is_ok_and(|limit| limit.sign() < 0) {
        errors.forbidden(&limit, "SizeLimit field must be a valid resource quantity");
    }
}

fn host_path(at: &At<'_>, errors: &mut Errors) {
    if errors.filled(&at.get("path")) {
        errors.no_backsteps(&at.get("path"));
        if at.get("type").present() {
            errors.supported(&at.get("type"), HOST_PATHS);
        }
    }
}

fn mode(at: &At<'_>, errors: &mut Errors) {
    if at.int().is_some_and(|mode| !(0..=0o777).contains(&mode)) {
        errors.invalid(at, MODE);
    }
}

/// A path that may not hide among the names that updates use (validateLocalNonReservedPath).
fn file_path(at: &At<'_>, errors: &mut Errors) {
    errors.descending_path(at);
    if at.text().starts_with("..") && !at.text().starts_with("../") {
        errors.invalid(at, "must not start with '..'");
    }
}

fn files(at: &At<'_>, errors: &mut Errors) {
    mode(&at.get("defaultMode"), errors);
    for item in at.get("items").items() {
        errors.filled(&item.get("key"));
        if errors.filled(&item.get("path")) {
            file_path(&item.get("path"), errors);
        }
        mode(&item.get("mode"), errors);
    }
}

fn downward(at: &At<'_>, errors: &mut Errors) {
    mode(&at.get("defaultMode"), errors);
    for item in at.get("items").items() {
        if errors.filled(&item.get("path")) {
            file_path(&item.get("path"), errors);
        }
        let (field, resource) = (item.get("fieldRef"), item.get("resourceFieldRef"));
        if field.present() {
            env::field_ref(&field, FILE_FIELDS, errors);
            if resource.present() {
                let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
                errors.invalid_as(&At { value: item.value, path: at.path.clone() }, "resource", detail);
            }
        } else if resource.present() {
            env::resource_ref(&resource, true, errors);
        } else {
            let place = At { value: item.value, path: at.path.clone() };
            errors.required(&place, "one of fieldRef and resourceFieldRef is required");
        }
        mode(&item.get("mode"), errors);
    }
}

fn projected(at: &At<'_>, errors: &mut Errors) {
    mode(&at.get("defaultMode"), errors);
    for source in at.get("sources").items() {
        let kinds =
            ["secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle", "podCertificate"];
        let count = kinds.iter().filter(|kind| source.get(kind).present()).count();
        for kind in ["secret", "configMap"] {
            let named = source.get(kind);
            if named.present() {
                errors.filled(&named.get("name"));
                files(&named, errors);
            }
        }
        if source.get("downwardAPI").present() {
            downward(&source.get("downwardAPI"), errors);
        }
        let token = source.get("serviceAccountToken");
        if token.present() {
            let seconds = token.get("expirationSeconds");
            if seconds.int().is_some_and(|seconds| seconds < 600) {
                errors.invalid(&seconds, "may not specify a duration less than 10 minutes");
            }
            if seconds.int().is_some_and(|seconds| seconds > 1 << 32) {
                errors.invalid(&seconds, "may not specify a duration larger than 2^32 seconds");
            }
            if errors.filled(&token.get("path")) {
                file_path(&token.get("path"), errors);
            }
        }
        if count > 1 {
            errors.forbidden(&source, "may not specify more than 1 volume type per source");
        }
    }
}

fn ephemeral(at: &At<'_>, volume: &At<'_>, pod_name: &str, errors: &mut Errors) {
    let template = at.get("volumeClaimTemplate");
    if !template.present() {
        errors.required(&template, "");
    }
    let name = volume.get("name");
    if !pod_name.is_empty() && !name.text().is_empty() {
        let claim = format!("{pod_name}-{}", name.text());
        for complaint in names::dns1123_subdomain(&claim) {
            errors.invalid(&name, format!("PVC name {claim:?}: {complaint}"));
        }
    }
}

/// `volumeMounts` and `volumeDevices` of a container.
pub fn mounts(container: &At<'_>, volumes: &Map<String, Value>, errors: &mut Errors) {
    let (mounts, devices) = (container.get("volumeMounts"), container.get("volumeDevices"));
    let mut paths = Vec::new();
    for mount in mounts.items() {
        let (name, path) = (mount.get("name"), mount.get("mountPath"));
        errors.filled(&name);
        if !volumes.contains_key(name.text()) {
            errors.not_found(&name);
        }
        errors.filled(&path);
        if paths.contains(&path.text()) {
            errors.invalid_as(&path, path.text(), "must be unique");
        }
        paths.push(path.text());
        if devices.items().any(|device| device.get("name").text() == name.text()) {
            errors.invalid_as(&name, name.text(), "must not already exist in volumeDevices");
        }
        if devices.items().any(|device| device.get("devicePath").text() == path.text()) {
            errors.invalid_as(&path, path.text(), "must not already exist as a path in volumeDevices");
        }
        sub_path(&mounts, &mount, errors);
        propagation(&mounts, &mount, container, errors);
    }
    let mut seen = Vec::new();
    for device in devices.items() {
        let (name, path) = (device.get("name"), device.get("devicePath"));
        errors.filled(&name);
        match volumes.get(name.text()) {
            None => errors.not_found(&name),
            Some(volume) if volume["persistentVolumeClaim"].is_null() && volume["ephemeral"].is_null() => {
                let detail = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                errors.invalid(&name, detail);
            }
            Some(_) => {}
        }
        if errors.filled(&path) && path.text().split('/').any(|part| part == "..") {
            errors.invalid(&path, "can not contain backsteps ('..')");
        }
        for (at, text) in [(&name, name.text()), (&path, path.text())] {
            if seen.contains(&text) {
                errors.invalid_as(at, text, "must be unique");
            }
        }
        seen.extend([name.text(), path.text()]);
    }
}

/// The paths of these complaints are upstream's: they lack the index.
fn sub_path(mounts: &At<'_>, mount: &At<'_>, errors: &mut Errors) {
    let (plain, expression) = (mount.get("subPath"), mount.get("subPathExpr"));
    if !plain.text().is_empty() {
        errors.descending_path(&At { value: plain.value, path: mounts.path.child("subPath") });
    }
    if !expression.text().is_empty() {
        if !plain.text().is_empty() {
            errors.invalid(&expression, "subPathExpr and subPath are mutually exclusive");
        }
        errors.descending_path(&At { value: expression.value, path: mounts.path.child("subPathExpr") });
    }
}

fn propagation(mounts: &At<'_>, mount: &At<'_>, container: &At<'_>, errors: &mut Errors) {
    let wanted = mount.get("mountPropagation");
    if !wanted.present() {
        return;
    }
    let at = At { value: wanted.value, path: mounts.path.child("mountPropagation") };
    errors.supported(&at, &["Bidirectional", "HostToContainer", "None"]);
    if at.text() == "Bidirectional" && !container.at("securityContext.privileged").flag() {
        errors.forbidden(&at, "Bidirectional mount propagation is available only to privileged containers");
    }
}
