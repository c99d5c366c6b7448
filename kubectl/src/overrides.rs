//! `--overrides`: a patch to what a generator made (kubectl, pkg/cmd/util/override_options.go).

use serde_json::Value;

use crate::error::{Result, fail};
use crate::flags::Takes::Text;
use crate::flags::{Flag, Flags, flag};

/// Its flags.
pub const OVERRIDES: &[Flag] = &[
    flag("overrides", "", Text(""), "A patch to the object that is made."),
    flag("override-type", "", Text("merge"), "json, merge or strategic: what kind of patch it is."),
];

/// The object with the patch.
pub fn overridden(object: Value, flags: &Flags) -> Result<Value> {
    let Some(text) = flags.some("overrides") else { return Ok(object) };
    let patch = api::yaml::read(text).map_err(|error| fail!("Invalid JSON Patch: {error}"))?;
    match flags.text("override-type") {
        "merge" => Ok(api::patch::merge_patch(object, &patch)?),
        "json" => Ok(api::patch::json_patch(object, &patch)?),
        "strategic" => {
            let (group, version) = api::object::group_version(&object);
            let kind = api::kinds::by_kind(group, version, api::object::kind(&object));
            let definition =
                kind.map(|(_, served)| served.definition).ok_or_else(|| fail!("no schema of the object"))?;
            Ok(api::patch::strategic_merge(definition, object, patch)?)
        }
        other => Err(fail!("invalid override type: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::flags::parse;

    #[test]
    fn overrides_are_patches() {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "c", "image": "i"}]}});
        for (kind, patch, expected) in [
            ("merge", r#"{"spec":{"containers":[{"name":"d"}]}}"#, json!([{"name": "d"}])),
            (
                "strategic",
                r#"{"spec":{"containers":[{"name":"c","tty":true}]}}"#,
                json!([{"name": "c", "image": "i", "tty": true}]),
            ),
            ("json", r#"[{"op":"remove","path":"/spec/containers/0"}]"#, json!([])),
        ] {
            let words = [format!("--overrides={patch}"), format!("--override-type={kind}")];
            let flags = parse(OVERRIDES, &words).unwrap().flags;
            assert_eq!(overridden(pod.clone(), &flags).unwrap()["spec"]["containers"], expected, "{kind}");
        }
    }
}
