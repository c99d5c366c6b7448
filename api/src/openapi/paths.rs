//! Paths and operations. Clients read three things from them: the kind behind a path, the action, and whether an operation
//! takes `dryRun` and `fieldValidation`.

use serde_json::{Map, Value, json};

use super::Style;
use crate::kinds::{Kind, KindRef, Subresource, Verbs};

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// Parameters by what an operation does.
const WRITE: &[(&str, &str)] =
    &[("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string"), ("pretty", "string")];
const DELETE: &[(&str, &str)] = &[
    ("dryRun", "string"),
    ("gracePeriodSeconds", "integer"),
    ("orphanDependents", "boolean"),
    ("propagationPolicy", "string"),
];
const LIST: &[(&str, &str)] = &[
    ("allowWatchBookmarks", "boolean"),
    ("continue", "string"),
    ("fieldSelector", "string"),
    ("labelSelector", "string"),
    ("limit", "integer"),
    ("resourceVersion", "string"),
    ("resourceVersionMatch", "string"),
    ("sendInitialEvents", "boolean"),
    ("timeoutSeconds", "integer"),
    ("watch", "boolean"),
];
const READ: &[(&str, &str)] = &[("pretty", "string")];

/// One operation: verb of discovery, HTTP method, action, first word of its id, parameters.
struct Action {
    verb: &'static str,
    method: &'static str,
    action: &'static str,
    word: &'static str,
    parameters: &'static [(&'static str, &'static str)],
}

const COLLECTION: &[Action] = &[
    Action { verb: "list", method: "get", action: "list", word: "list", parameters: LIST },
    Action { verb: "create", method: "post", action: "post", word: "create", parameters: WRITE },
    Action { verb: "deletecollection", method: "delete", action: "deletecollection", word: "delete", parameters: LIST },
];
const ITEM: &[Action] = &[
    Action { verb: "get", method: "get", action: "get", word: "read", parameters: READ },
    Action { verb: "update", method: "put", action: "put", word: "replace", parameters: WRITE },
    Action { verb: "patch", method: "patch", action: "patch", word: "patch", parameters: WRITE },
    Action { verb: "delete", method: "delete", action: "delete", word: "delete", parameters: DELETE },
];
const BELOW: &[Action] = &[
    Action { verb: "get", method: "get", action: "get", word: "read", parameters: READ },
    Action { verb: "update", method: "put", action: "put", word: "replace", parameters: WRITE },
    Action { verb: "patch", method: "patch", action: "patch", word: "patch", parameters: WRITE },
    Action { verb: "create", method: "post", action: "post", word: "create", parameters: WRITE },
];

/// The paths of the kinds of one group and version.
pub(super) fn paths(style: Style, group: &str, version: &str, kinds: &[KindRef]) -> Map<String, Value> {
    let mut paths = Map::new();
    for kind in kinds.iter().filter(|kind| kind.verbs != Verbs::BodyOnly) {
        let Some(served) = kind.served_as(group, version) else { continue };
        Writer { style, kind, group, version, definition: served.definition }.paths(&mut paths);
    }
    paths
}

struct Writer<'a> {
    style: Style,
    kind: &'a Kind,
    group: &'a str,
    version: &'a str,
    definition: &'static str,
}

/// What is behind a path.
struct Target<'a> {
    group: &'a str,
    version: &'a str,
    kind: &'a str,
    definition: Option<String>,
    /// Words of operation ids: before and after the kind.
    scope: &'a str,
    suffix: String,
}

impl Writer<'_> {
    fn paths(&self, paths: &mut Map<String, Value>) {
        let base = format!("/{}", super::path_of(self.group, self.version));
        let plural = self.kind.plural;
        let scope = if self.kind.namespaced { "Namespaced" } else { "" };
        let collection = if self.kind.namespaced {
            format!("{base}/namespaces/{{namespace}}/{plural}")
        } else {
            format!("{base}/{plural}")
        };
        if self.kind.namespaced && self.kind.verbs.stored() {
            let list = COLLECTION.iter().filter(|action| action.verb == "list");
            let target = self.own("", "ForAllNamespaces".into());
            paths.insert(format!("{base}/{plural}"), self.item(list, &target, &[]));
        }
        let namespace: &[&str] = if self.kind.namespaced { &["namespace"] } else { &[] };
        let verbs = self.kind.verbs.names();
        let actions = COLLECTION.iter().filter(|action| verbs.contains(&action.verb));
        paths.insert(collection.clone(), self.item(actions, &self.own(scope, String::new()), namespace));
        if !self.kind.verbs.stored() {
            return;
        }
        let named: Vec<&str> = std::iter::once("name").chain(namespace.iter().copied()).collect();
        let one = format!("{collection}/{{name}}");
        paths.insert(one.clone(), self.item(ITEM.iter(), &self.own(scope, String::new()), &named));
        for subresource in self.kind.subresources.iter().filter(|subresource| !subresource.streams()) {
            let actions = BELOW.iter().filter(|action| subresource.verbs().contains(&action.verb));
            let target = self.below(*subresource, scope);
            paths.insert(format!("{one}/{}", subresource.name()), self.item(actions, &target, &named));
        }
    }

    fn own<'b>(&'b self, scope: &'b str, suffix: String) -> Target<'b> {
        let definition = Some(self.definition.to_owned());
        Target { group: self.group, version: self.version, kind: self.kind.kind, definition, scope, suffix }
    }

    fn below<'b>(&'b self, subresource: Subresource, scope: &'b str) -> Target<'b> {
        let suffix = capital(subresource.name());
        match subresource.body(self.kind) {
            Some((group, version, kind)) => {
                Target { group, version, kind, definition: super::body_definition(group, version, kind), scope, suffix }
            }
            None => self.own(scope, suffix),
        }
    }

    fn item<'b>(&self, actions: impl Iterator<Item = &'b Action>, target: &Target<'_>, in_path: &[&str]) -> Value {
        let mut item = Map::new();
        for action in actions {
            item.insert(action.method.into(), self.operation(action, target));
        }
        if !in_path.is_empty() {
            let parameter = |name: &&str| {
                let mut parameter = self.parameter(name, "string", "path");
                parameter["required"] = true.into();
                parameter
            };
            item.insert("parameters".into(), in_path.iter().map(parameter).collect());
        }
        Value::Object(item)
    }

    fn parameter(&self, name: &str, ty: &str, place: &str) -> Value {
        match self.style {
            Style::V2 => json!({"name": name, "in": place, "type": ty, "uniqueItems": true}),
            Style::V3 => json!({"name": name, "in": place, "schema": {"type": ty, "uniqueItems": true}}),
        }
    }

    fn operation(&self, action: &Action, target: &Target<'_>) -> Value {
        let query = action.parameters.iter().map(|(name, ty)| self.parameter(name, ty, "query"));
        let mut parameters: Vec<Value> = query.collect();
        if action.action == "patch" {
            parameters.push(self.parameter("force", "boolean", "query"));
        }
        let collection = if action.action == "deletecollection" { "Collection" } else { "" };
        let id = [
            action.word,
            &camel(self.group),
            &capital(self.version),
            collection,
            target.scope,
            self.kind.kind,
            &target.suffix,
        ]
        .concat();
        let mut operation = json!({
            "operationId": id,
            "tags": [format!("{}_{}", camel(self.group).to_lowercase(), self.version)],
            "x-kubernetes-action": action.action,
            "x-kubernetes-group-version-kind":
                {"group": target.group, "version": target.version, "kind": target.kind},
        });
        let body = match action.action {
            "post" | "put" => target.definition.clone(),
            "patch" => Some(format!("{META}.Patch")),
            "delete" | "deletecollection" => Some(format!("{META}.DeleteOptions")),
            _ => None,
        };
        let answer = match action.action {
            "list" => Some(format!("{}List", self.definition)),
            "delete" | "deletecollection" => Some(format!("{META}.Status")),
            _ => target.definition.clone(),
        };
        self.bodies(&mut operation, parameters, action, body, answer);
        operation
    }

    fn bodies(
        &self,
        operation: &mut Value,
        mut parameters: Vec<Value>,
        action: &Action,
        body: Option<String>,
        answer: Option<String>,
    ) {
        let media: &[&str] = &["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
        let patches: &[&str] =
            &["application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json"];
        let reads = if action.action == "patch" { patches } else { media };
        let reference = |name: String| json!({"$ref": self.style.reference(&name)});
        let required = action.word != "delete";
        let mut response = json!({"description": "OK"});
        match self.style {
            Style::V3 => {
                let content = |media: &[&str], schema: Value| -> Map<String, Value> {
                    media.iter().map(|media| ((*media).to_owned(), json!({"schema": schema}))).collect()
                };
                if let Some(body) = body {
                    operation["requestBody"] =
                        json!({"required": required, "content": content(reads, reference(body))});
                }
                if let Some(answer) = answer {
                    response["content"] = content(media, reference(answer)).into();
                }
            }
            Style::V2 => {
                if let Some(body) = body {
                    let schema = reference(body);
                    parameters.push(json!({"name": "body", "in": "body", "required": required, "schema": schema}));
                    operation["consumes"] = json!(reads);
                }
                operation["produces"] = json!(media);
                if let Some(answer) = answer {
                    response["schema"] = reference(answer);
                }
            }
        }
        operation["parameters"] = parameters.into();
        operation["responses"] = json!({"200": response});
    }
}

/// `rbac.authorization.k8s.io` → `RbacAuthorization`, core is `Core`.
fn camel(group: &str) -> String {
    if group.is_empty() {
        return "Core".into();
    }
    group.trim_end_matches(".k8s.io").split('.').map(capital).collect()
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}
