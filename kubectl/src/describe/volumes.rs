//! Volumes (kubectl, pkg/describe/describe.go: describeVolumes).

use api::object::{flag, integer, list, text};
use serde_json::Value;

use super::text::Out;

/// The volumes of a pod or template.
pub fn volumes(out: &mut Out, volumes: &[Value], space: &str) {
    if volumes.is_empty() {
        out.line(0, &format!("{space}Volumes:\t<none>"));
        return;
    }
    out.line(0, &format!("{space}Volumes:"));
    let indent = if space.is_empty() { "" } else { " " };
    for volume in volumes {
        out.line(1, &format!("{indent}{}:", text(volume, "/name")));
        match volume.as_object().and_then(|fields| fields.iter().find(|(key, _)| *key != "name")) {
            Some((kind, source)) => one(out, kind, source),
            None => out.line(2, "<unknown>"),
        }
    }
}

/// What a kind of volume is called and which fields it shows.
type Row = (&'static str, &'static str, &'static [(&'static str, &'static str, &'static str)]);

/// Key, what it is, fields with their pointer and what stands for nothing.
const KINDS: &[Row] = &[
    (
        "emptyDir",
        "EmptyDir (a temporary directory that shares a pod's lifetime)",
        &[("Medium", "/medium", ""), ("SizeLimit", "/sizeLimit", "<unset>")],
    ),
    ("hostPath", "HostPath (bare host directory volume)", &[("Path", "/path", ""), ("HostPathType", "/type", "")]),
    (
        "configMap",
        "ConfigMap (a volume populated by a ConfigMap)",
        &[("Name", "/name", ""), ("Optional", "/optional", "false")],
    ),
    (
        "secret",
        "Secret (a volume populated by a Secret)",
        &[("SecretName", "/secretName", ""), ("Optional", "/optional", "false")],
    ),
    (
        "persistentVolumeClaim",
        "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)",
        &[("ClaimName", "/claimName", ""), ("ReadOnly", "/readOnly", "false")],
    ),
    (
        "nfs",
        "NFS (an NFS mount that lasts the lifetime of a pod)",
        &[("Server", "/server", ""), ("Path", "/path", ""), ("ReadOnly", "/readOnly", "false")],
    ),
];

fn one(out: &mut Out, kind: &str, source: &Value) {
    if let Some((_, what, fields)) = KINDS.iter().find(|(key, _, _)| *key == kind) {
        out.field(2, "Type", what);
        for (name, pointer, nothing) in *fields {
            let value = source.pointer(pointer).map(crate::output::go);
            out.field(2, name, value.as_deref().unwrap_or(nothing));
        }
        return;
    }
    match kind {
        "projected" => projected(out, source),
        "downwardAPI" => {
            out.field(2, "Type", "DownwardAPI (a volume populated by information about the pod)");
            out.line(2, "Items:");
            for item in list(source, "/items") {
                let from = [text(item, "/fieldRef/fieldPath"), text(item, "/resourceFieldRef/resource")];
                let from = from.into_iter().find(|from| !from.is_empty()).unwrap_or_default();
                out.line(3, &format!("{from} -> {}", text(item, "/path")));
            }
        }
        _ => out.line(2, "<unknown>"),
    }
}

fn projected(out: &mut Out, source: &Value) {
    out.field(2, "Type", "Projected (a volume that contains injected data from multiple sources)");
    for part in list(source, "/sources") {
        if let Some(secret) = part.get("secret") {
            out.field(2, "SecretName", text(secret, "/name"));
            out.field(2, "Optional", &flag(secret, "/optional").to_string());
        } else if part.get("downwardAPI").is_some() {
            out.field(2, "DownwardAPI", "true");
        } else if let Some(map) = part.get("configMap") {
            out.field(2, "ConfigMapName", text(map, "/name"));
            out.field(2, "Optional", &flag(map, "/optional").to_string());
        } else if let Some(token) = part.get("serviceAccountToken") {
            let seconds = integer(token, "/expirationSeconds").unwrap_or(0);
            out.field(2, "TokenExpirationSeconds", &seconds.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn kinds_show_their_fields() {
        let all = json!([
            {"name": "e", "emptyDir": {}},
            {"name": "c", "configMap": {"name": "x"}},
            {"name": "p", "projected": {"sources": [{"serviceAccountToken": {"expirationSeconds": 3607}}, {"downwardAPI": {}}]}},
        ]);
        let mut out = Out::default();
        volumes(&mut out, all.as_array().unwrap(), "");
        assert!(out.0.contains("  e:\n    Type:\tEmptyDir (a temporary directory that shares a pod's lifetime)\n    Medium:\t\n    SizeLimit:\t<unset>\n"));
        assert!(out.0.contains("    Name:\tx\n    Optional:\tfalse\n"));
        assert!(out.0.ends_with("    TokenExpirationSeconds:\t3607\n    DownwardAPI:\ttrue\n"));
    }
}
