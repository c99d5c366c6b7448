//! `explain`: the fields of a kind, from the server's OpenAPI v3 document (kubectl, pkg/explain/v2).

use serde_json::Value;

use crate::command::{Call, Command, command, run};
use crate::error::{Error, Result, fail};
use crate::flags::Takes::{Bool, Text};
use crate::flags::{Flag, flag};
use crate::session::say;

const FLAGS: &[Flag] = &[
    flag("api-version", "", Text(""), "Explain this group and version of the resource."),
    flag("output", "", Text("plaintext"), "plaintext."),
    flag("recursive", "", Bool(false), "List the fields of the fields, too."),
];

/// `explain`.
pub const COMMAND: Command =
    command("explain", "TYPE [--recursive=FALSE|TRUE]", "Get documentation for a resource", FLAGS, &[], run!(run));

/// Where the schemas are in a document.
const SCHEMAS: &str = "#/components/schemas/";

async fn run(call: Call) -> Result<()> {
    let session = &call.session;
    if session.flags.text("output") != "plaintext" {
        return Err(fail!(
            "unrecognized format: {}: only plaintext is supported by mkubectl",
            session.flags.text("output")
        ));
    }
    let [path] = call.args.as_slice() else {
        return Err(match call.args.len() {
            0 => fail!(
                "You must specify the type of resource to explain. Use \"kubectl api-resources\" for a complete list of supported resources."
            ),
            _ => fail!("We accept only this format: explain RESOURCE"),
        });
    };
    let mut words = path.split('.');
    let resources = session.resources().await?;
    let word = words.next().unwrap_or_default();
    // kubectl says this one without its usual "error: ".
    let mut resource = resources.find(word).map_err(|error| Error::Said(error.to_string()))?;
    if let Some(version) = session.flags.some("api-version") {
        let of_version = resources.all.iter().find(|one| one.plural == resource.plural && one.api_version() == version);
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let missing = || fail!("couldn't find resource for \"{group}/{version}, Resource={}\"", resource.plural);
        resource = of_version.cloned().ok_or_else(missing)?;
    }
    let root = if resource.group.is_empty() { "api".to_string() } else { format!("apis/{}", resource.group) };
    let document = session.get(&format!("/openapi/v3/{root}/{}", resource.version)).await?;
    let schemas = &document["components"]["schemas"];
    let of_kind = |schema: &&Value| {
        let kinds = schema["x-kubernetes-group-version-kind"].as_array();
        kinds.into_iter().flatten().any(|kind| {
            kind["kind"] == resource.kind.as_str()
                && kind["group"] == resource.group.as_str()
                && kind["version"] == resource.version.as_str()
        })
    };
    let found = schemas.as_object().and_then(|all| all.values().find(of_kind));
    let Some(schema) = found else {
        return Err(fail!("couldn't find resource for \"{}/{}\"", resource.api_version(), resource.kind));
    };
    let mut text = match resource.group.as_str() {
        "" => String::new(),
        group => format!("GROUP:      {group}\n"),
    };
    text += &format!("KIND:       {}\nVERSION:    {}\n\n", resource.kind, resource.version);
    say(&text);
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    say(&explained(schemas, schema, &words, session.flags.is("recursive"))?);
    Ok(())
}

/// What is said about a field of a schema, or about the schema itself.
fn explained(schemas: &Value, schema: &Value, path: &[&str], recursive: bool) -> Result<String> {
    let (mut at, mut text) = (schema, String::new());
    for (index, word) in path.iter().enumerate() {
        let properties = &inner(schemas, at)["properties"];
        at = properties.get(*word).ok_or_else(|| fail!("field {word:?} does not exist"))?;
        if index + 1 == path.len() {
            text = format!("FIELD: {word} <{}>\n\n\n", type_of(schemas, at));
        }
    }
    text += &format!("DESCRIPTION:\n    {}\n", described(at, "<empty>"));
    let object = inner(schemas, at);
    let fields = object["properties"].as_object().filter(|fields| !fields.is_empty());
    let Some(fields) = fields else { return Ok(text + "\n") };
    text.push_str("FIELDS:\n");
    if recursive {
        below(schemas, object, &mut Vec::new(), &mut text);
        return Ok(text + "\n");
    }
    for (name, field) in fields {
        let required = object["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name.as_str()));
        let mark = if required { " -required-" } else { "" };
        text +=
            &format!("  {name}\t<{}>{mark}\n    {}\n\n", type_of(schemas, field), described(field, "<no description>"));
    }
    Ok(text + "\n")
}

/// All fields with theirs, each a level deeper; a schema inside itself is not opened again.
fn below(schemas: &Value, object: &Value, inside: &mut Vec<String>, text: &mut String) {
    for (name, field) in object["properties"].as_object().into_iter().flatten() {
        let required = object["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name.as_str()));
        let mark = if required { " -required-" } else { "" };
        let indent = "  ".repeat(inside.len() + 1);
        text.push_str(&format!("{indent}{name}\t<{}>{mark}\n", type_of(schemas, field)));
        let target = element(field);
        let known = reference(target).unwrap_or_default().to_string();
        if known.is_empty() || !inside.contains(&known) {
            inside.push(known);
            below(schemas, inner(schemas, field), inside, text);
            inside.pop();
        }
    }
}

/// What a list or map holds.
fn element(schema: &Value) -> &Value {
    ["items", "additionalProperties"]
        .iter()
        .find(|key| schema[**key].is_object())
        .map_or(schema, |key| element(&schema[*key]))
}

fn described<'a>(schema: &'a Value, nothing: &'static str) -> &'a str {
    schema["description"].as_str().filter(|text| !text.is_empty()).unwrap_or(nothing)
}

/// The name of the schema that one refers to.
fn reference(schema: &Value) -> Option<&str> {
    let direct = schema["$ref"].as_str();
    direct.or_else(|| schema["allOf"][0]["$ref"].as_str())?.strip_prefix(SCHEMAS)
}

/// The object behind references, lists and maps.
fn inner<'a>(schemas: &'a Value, schema: &'a Value) -> &'a Value {
    if let Some(found) = reference(schema).and_then(|name| schemas.get(name)) {
        return found;
    }
    for key in ["items", "additionalProperties"] {
        if schema[key].is_object() {
            return inner(schemas, &schema[key]);
        }
    }
    schema
}

/// `[]Container`, `map[string]string`, `integer`.
fn type_of(schemas: &Value, schema: &Value) -> String {
    if let Some(name) = reference(schema) {
        // A time is a text to the reader.
        return match schemas[name]["type"].as_str() {
            Some(simple @ ("string" | "integer" | "number" | "boolean")) => simple.to_string(),
            _ => name.rsplit('.').next().unwrap_or_default().to_string(),
        };
    }
    match schema["type"].as_str() {
        Some("array") => format!("[]{}", type_of(schemas, &schema["items"])),
        Some("object") if schema["additionalProperties"].is_object() => {
            format!("map[string]{}", type_of(schemas, &schema["additionalProperties"]))
        }
        None | Some("object") => "Object".into(),
        Some(simple) => simple.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_found_through_lists_and_references() {
        let schemas = json!({
            "x.Spec": {"type": "object", "required": ["list"], "properties": {
                "list": {"type": "array", "items": {"allOf": [{"$ref": "#/components/schemas/x.Item"}]}},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}}}},
            "x.Item": {"type": "object", "properties": {"n": {"type": "integer", "description": "How many."}}},
        });
        let spec = &schemas["x.Spec"];
        assert_eq!(
            explained(&schemas, spec, &[], false).unwrap(),
            "DESCRIPTION:\n    <empty>\nFIELDS:\n  labels\t<map[string]string>\n    <no description>\n\n  list\t<[]Item> -required-\n    <no description>\n\n\n"
        );
        assert_eq!(
            explained(&schemas, spec, &["list", "n"], false).unwrap(),
            "FIELD: n <integer>\n\n\nDESCRIPTION:\n    How many.\n\n"
        );
        assert_eq!(
            explained(&schemas, spec, &["nope"], false).unwrap_err().to_string(),
            "field \"nope\" does not exist"
        );
        assert!(
            explained(&schemas, spec, &[], true)
                .unwrap()
                .ends_with("FIELDS:\n  labels\t<map[string]string>\n  list\t<[]Item> -required-\n    n\t<integer>\n\n")
        );
    }
}
