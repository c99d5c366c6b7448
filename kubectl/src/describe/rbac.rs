//! Roles and their bindings (kubectl, pkg/describe/describe.go).

use api::object::{list, text};
use serde_json::Value;

use super::text::Out;

/// A Role or ClusterRole.
pub fn role(object: &Value) -> Out {
    let mut out = Out::default();
    out.field(0, "Name", api::object::name(object));
    out.labels("", "Labels", api::object::labels(object));
    out.annotations("", api::object::annotations(object));
    out.line(0, "PolicyRule:");
    out.line(1, "Resources\tNon-Resource URLs\tResource Names\tVerbs");
    out.line(1, "---------\t-----------------\t--------------\t-----");
    rules(list(object, "/rules")).iter().for_each(|row| out.line(1, row));
    out
}

/// Rules as rows of a table: resources, URLs, names, verbs.
pub fn rules(rules: &[Value]) -> Vec<String> {
    let mut rows = Vec::new();
    for ((group, resource, names), verbs) in compact(rules) {
        let (resource, sub) =
            resource.split_once('/').map_or((resource.as_str(), None), |(name, sub)| (name, Some(sub)));
        let mut shown = if group.is_empty() { resource.to_string() } else { format!("{resource}.{group}") };
        if let Some(sub) = sub {
            shown += &format!("/{sub}");
        }
        rows.push(format!("{shown}\t[]\t[{}]\t[{}]", names.join(" "), verbs.join(" ")));
    }
    for rule in rules {
        let urls = words(rule, "nonResourceURLs");
        if !urls.is_empty() {
            rows.push(format!("\t[{}]\t[]\t[{}]", urls.join(" "), words(rule, "verbs").join(" ")));
        }
    }
    rows
}

fn words(rule: &Value, key: &str) -> Vec<String> {
    rule[key].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_string).collect()
}

/// Group, resource and names of a rule about one resource.
type About = (String, String, Vec<String>);

/// The rules taken apart by resource, those about the same resource joined, in the order of their printed form
/// (component-helpers, auth/rbac/validation: CompactRules; rbac/v1 helpers: SortableRuleSlice).
fn compact(rules: &[Value]) -> Vec<(About, Vec<String>)> {
    let mut all: Vec<(About, Vec<String>)> = Vec::new();
    for rule in rules {
        let names = words(rule, "resourceNames");
        for group in words(rule, "apiGroups") {
            for resource in words(rule, "resources") {
                let about = (group.clone(), resource, names.clone());
                let verbs = words(rule, "verbs");
                match all.iter_mut().find(|(known, _)| *known == about) {
                    Some((_, known)) => {
                        known.extend(verbs.into_iter().filter(|verb| !known.contains(verb)).collect::<Vec<_>>())
                    }
                    None => all.push((about, verbs)),
                }
            }
        }
    }
    let printed = |((group, resource, names), verbs): &(About, Vec<String>)| {
        format!("[{}],[{group}],[{resource}],[{}]", verbs.join(" "), names.join(" "))
    };
    all.sort_by_key(printed);
    all
}

/// A RoleBinding or ClusterRoleBinding.
pub fn binding(object: &Value) -> Out {
    let mut out = Out::default();
    out.field(0, "Name", api::object::name(object));
    out.labels("", "Labels", api::object::labels(object));
    out.annotations("", api::object::annotations(object));
    out.line(0, "Role:");
    out.field(1, "Kind", text(object, "/roleRef/kind"));
    out.field(1, "Name", text(object, "/roleRef/name"));
    out.line(0, "Subjects:");
    out.line(1, "Kind\tName\tNamespace");
    out.line(1, "----\t----\t---------");
    for subject in list(object, "/subjects") {
        let part = |pointer: &str| text(subject, pointer);
        out.line(1, &format!("{}\t{}\t{}", part("/kind"), part("/name"), part("/namespace")));
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::output::tab::Tabs;

    #[test]
    fn roles_are_tables() {
        let object = json!({"metadata": {"name": "r"}, "rules": [{"apiGroups": ["", "apps"], "resources": ["pods"], "verbs": ["get", "list"]}]});
        let text = Tabs::describe().align(&role(&object).0);
        assert!(text.contains("  pods       []                 []              [get list]\n  pods.apps  []"), "{text}");
    }
}
