//! OpenAPI documents, made on demand from the schema table and the table of kinds, and not kept: version 3, one per group
//! and version with an index, and the version 2 document of old clients, as JSON and in gnostic's protobuf (which is the
//! only form kubectl and Helm take it in).
//!
//! They say what `kubectl explain`, `kubectl apply` and client-side validation look for: fields and types, lists' keys,
//! merge keys, required fields, the kind behind every path, and which parameters an operation takes. There is no prose.

mod gnostic;
mod paths;
mod schemas;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::kinds::{GROUPS, KINDS, KindRef, api_version, split_api_version};

/// What clients ask for when they want the version 2 document in protobuf.
pub const V2_PROTOBUF_ACCEPT: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

/// The content type of the answer: Go's parser of media types refuses the `@`, so upstream answers without it
/// (kube-openapi, pkg/handler).
pub const V2_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// Changed whenever the documents change for another reason than the schema table, so that clients fetch them anew.
const REVISION: &str = "1";

/// Which version of OpenAPI is being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    V2,
    V3,
}

impl Style {
    fn reference(self, definition: &str) -> String {
        match self {
            Self::V2 => format!("#/definitions/{definition}"),
            Self::V3 => format!("#/components/schemas/{definition}"),
        }
    }
}

/// Every group and version that is served, in the order of discovery.
fn group_versions() -> Vec<(&'static str, &'static str)> {
    let mut found: Vec<(&str, &str)> = vec![];
    for group in GROUPS {
        for served in KINDS.iter().flat_map(|kind| kind.all_served()).filter(|served| served.group == *group) {
            if !found.contains(&(served.group, served.version)) {
                found.push((served.group, served.version));
            }
        }
    }
    found
}

/// `api/v1` or `apis/<group>/<version>`.
fn path_of(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

/// The kinds that are served under a group and version.
fn kinds_of(group: &str, version: &str) -> Vec<KindRef> {
    KINDS.iter().filter(|kind| kind.served_as(group, version).is_some()).collect()
}

/// `/openapi/v3`: where the documents are. The hash in an address changes when the document does, so that clients and
/// caches may keep a document for ever.
pub fn v3_index() -> Value {
    let mut paths = Map::new();
    let table = Sha256::digest(include_str!("../schema/schema.txt"));
    for (group, version) in group_versions() {
        let path = path_of(group, version);
        let seed = [REVISION, env!("CARGO_PKG_VERSION"), &path].join("\n");
        let digest = Sha256::new().chain_update(table).chain_update(seed).finalize();
        let hash = digest.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02X}");
            text
        });
        paths.insert(path.clone(), json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash={hash}")}));
    }
    json!({"paths": paths})
}

/// `/openapi/v3/<path>`, e.g. `apis/apps/v1`.
pub fn v3_document(path: &str) -> Option<Vec<u8>> {
    let (group, version) = match path.split_once('/')? {
        ("api", version) => ("", version),
        ("apis", rest) => split_api_version(rest),
        _ => return None,
    };
    let kinds = kinds_of(group, version);
    if kinds.is_empty() {
        return None;
    }
    let definitions = schemas::reachable(&kinds, group, version);
    let document = json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.37.0"},
        "paths": paths::paths(Style::V3, group, version, &kinds),
        "components": {"schemas": schemas::schemas(Style::V3, &definitions)},
    });
    serde_json::to_vec(&document).ok()
}

/// `/openapi/v2`.
pub fn v2() -> Vec<u8> {
    serde_json::to_vec(&v2_document()).unwrap_or_default()
}

/// `/openapi/v2` in protobuf ([`V2_PROTOBUF`]).
pub fn v2_protobuf() -> Vec<u8> {
    gnostic::encode(&v2_document())
}

fn v2_document() -> Value {
    let (mut all, mut definitions) = (Map::new(), BTreeSet::new());
    for (group, version) in group_versions() {
        let kinds = kinds_of(group, version);
        definitions.extend(schemas::reachable(&kinds, group, version));
        all.extend(paths::paths(Style::V2, group, version, &kinds));
    }
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": "v1.37.0"},
        "paths": all,
        "definitions": schemas::schemas(Style::V2, &definitions),
    })
}

/// The definition of a body by its group, version and kind, if it is one that documents contain.
fn body_definition(group: &str, version: &str, kind: &str) -> Option<String> {
    let found = crate::schema::of_object(&api_version(group, version), kind)?;
    found.open.then(|| found.name())
}

#[cfg(test)]
mod tests;
