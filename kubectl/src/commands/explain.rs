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
    if session.flags.is("recursive") {
        return Err(fail!("--recursive is not supported by mkubectl yet"));
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
    // kubectl says this one without its usual "error: ".
    let resource = session
        .resources()
        .await?
        .find(words.next().unwrap_or_default())
        .map_err(|error| Error::Said(error.to_string()))?;
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
    say(&explained(schemas, schema, &words)?);
    Ok(())
}

/// What is said about a field of a schema, or about the schema itself.
fn explained(schemas: &Value, schema: &Value, path: &[&str]) -> Result<String> {
    let (mut at, mut text) = (schema, String::new());
    for (index, word) in path.iter().enumerate() {
        let properties = &inner(schemas, at)["properties"];
        at = properties.get(*word).ok_or_else(|| fail!("field {word:?} does not exist"))?;
        if index + 1 == path.len() {
            text = format!("FIELD: {word} <{}>\n\n\n", type_of(at));
        }
    }
    text += &format!("DESCRIPTION:\n    {}\n", described(at, "<empty>"));
    let object = inner(schemas, at);
    let fields = object["properties"].as_object().filter(|fields| !fields.is_empty());
    let Some(fields) = fields else { return Ok(text + "\n") };
    text.push_str("FIELDS:\n");
    for (name, field) in fields {
        let required = object["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name.as_str()));
        let mark = if required { " -required-" } else { "" };
        text += &format!("  {name}\t<{}>{mark}\n    {}\n\n", type_of(field), described(field, "<no description>"));
    }
    Ok(text + "\n")
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
fn type_of(schema: &Value) -> String {
    if let Some(name) = reference(schema) {
        return name.rsplit('.').next().unwrap_or_default().to_string();
    }
    match schema["type"].as_str() {
        Some("array") => format!("[]{}", type_of(&schema["items"])),
        Some("object") if schema["additionalProperties"].is_object() => {
            format!("map[string]{}", type_of(&schema["additionalProperties"]))
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
            explained(&schemas, spec, &[]).unwrap(),
            "DESCRIPTION:\n    <empty>\nFIELDS:\n  labels\t<map[string]string>\n    <no description>\n\n  list\t<[]Item> -required-\n    <no description>\n\n\n"
        );
        assert_eq!(
            explained(&schemas, spec, &["list", "n"]).unwrap(),
            "FIELD: n <integer>\n\n\nDESCRIPTION:\n    How many.\n\n"
        );
        assert_eq!(explained(&schemas, spec, &["nope"]).unwrap_err().to_string(), "field \"nope\" does not exist");
    }
}
