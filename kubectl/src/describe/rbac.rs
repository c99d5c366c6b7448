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
    let row = |(about, verbs): (About, Vec<String>)| {
        let (resource, sub) =
            about.resource.split_once('/').map_or((about.resource.as_str(), None), |(name, sub)| (name, Some(sub)));
        let mut shown =
            if about.group.is_empty() { resource.to_string() } else { format!("{resource}.{}", about.group) };
        if let Some(sub) = sub {
            shown += &format!("/{sub}");
        }
        format!("{shown}\t[{}]\t[{}]\t[{}]", about.url, about.names.join(" "), verbs.join(" "))
    };
    compact(rules).into_iter().map(row).collect()
}

fn words(rule: &Value, key: &str) -> Vec<String> {
    rule[key].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_string).collect()
}

/// What a rule is about: one resource, or one URL.
#[derive(Debug, Clone, Default, PartialEq)]
struct About {
    group: String,
    resource: String,
    names: Vec<String>,
    url: String,
}

/// The rules taken apart by resource and URL, those about the same joined, in the order of their printed form
/// (component-helpers, auth/rbac/validation: BreakdownRule; rbac/v1 helpers: CompactRules, SortableRuleSlice).
fn compact(rules: &[Value]) -> Vec<(About, Vec<String>)> {
    let mut all: Vec<(About, Vec<String>)> = Vec::new();
    for rule in rules {
        let (names, verbs) = (words(rule, "resourceNames"), words(rule, "verbs"));
        for group in words(rule, "apiGroups") {
            for resource in words(rule, "resources") {
                let about = About { group: group.clone(), resource, names: names.clone(), ..About::default() };
                match all.iter_mut().find(|(known, _)| *known == about) {
                    Some((_, known)) => {
                        known.extend(verbs.iter().filter(|verb| !known.contains(verb)).cloned().collect::<Vec<_>>())
                    }
                    None => all.push((about, verbs.clone())),
                }
            }
        }
        all.extend(
            words(rule, "nonResourceURLs").into_iter().map(|url| (About { url, ..About::default() }, verbs.clone())),
        );
    }
    let printed = |(about, verbs): &(About, Vec<String>)| {
        let About { group, resource, names, url } = about;
        format!("[{}],[{group}],[{resource}],[{}],[{url}]", verbs.join(" "), names.join(" "))
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
