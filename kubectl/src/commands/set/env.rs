//! `set env` (kubectl, pkg/cmd/set/set_env.go).

use serde_json::{Value, json};

use super::{pod_spec, update};
use crate::command::{Call, Command, command, run};
use crate::common::{ALL, DRY, FILES, LABELS, LOCAL, PRINT, manager};
use crate::error::{Result, fail};
use crate::flags::Takes::{Array, Bool, List, Text};
use crate::flags::{Flag, flag, refused};
use crate::locate::{self, each};
use crate::output::go;
use crate::pairs::{Changes, changes, matches};
use crate::session::{Session, line};

const FLAGS: &[Flag] = &[
    manager("kubectl-set"),
    flag("containers", "c", Text("*"), "Containers whose names match."),
    flag("env", "e", Array, "NAME=VALUE."),
    flag("from", "", Text(""), "ConfigMap or Secret whose keys become variables: secret/NAME."),
    flag("keys", "", List, "Only these keys of --from."),
    flag("list", "", Bool(false), "Print the variables."),
    flag("overwrite", "", Bool(true), "Variables that are there may be changed."),
    flag("prefix", "", Text(""), "What the names of variables of --from begin with."),
    refused("resolve", "", Bool(false), "look at the ConfigMap or Secret itself"),
];

/// `set env`.
pub const COMMAND: Command = command(
    "env",
    "RESOURCE/NAME KEY_1=VAL_1 ... KEY_N=VAL_N",
    "Update environment variables on a pod template",
    FLAGS,
    &[PRINT, FILES, LABELS, ALL, DRY, LOCAL],
    run!(env),
);

async fn env(call: Call) -> Result<()> {
    let session = &call.session;
    let flags = &session.flags;
    let mut changes = changes(&call.args, "environment variable")?;
    for pair in flags.list("env") {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| fail!("environment variables must be of the form key=value, but is {pair:?}"))?;
        changes.set.push((name.into(), value.into()));
    }
    if changes.words.is_empty() && flags.list("filename").is_empty() {
        return Err(fail!("one or more resources must be specified as <resource> <name> or <resource>/<name>"));
    }
    if flags.is("list") && flags.some("output").is_some() {
        return Err(fail!("--list and --output may not be specified together"));
    }
    if !flags.list("keys").is_empty() && flags.some("from").is_none() {
        return Err(fail!("when specifying --keys, a configmap or secret must be provided with --from"));
    }
    if flags.is("list") {
        return list(session, &changes).await;
    }
    let mut wanted: Vec<Value> = references(session).await?;
    wanted.extend(changes.set.iter().map(|(name, value)| match value.is_empty() {
        true => json!({"name": name}),
        false => json!({"name": name, "value": value}),
    }));
    let pattern = flags.text("containers").to_string();
    let overwrite = flags.is("overwrite");
    update(&call, &changes.words, "env", "env updated", |object| {
        with_env(object, &pattern, &wanted, &changes.remove, overwrite)
    })
    .await
}

/// The keys of `--from` as variables that refer to them.
async fn references(session: &Session) -> Result<Vec<Value>> {
    let flags = &session.flags;
    let Some(from) = flags.some("from") else { return Ok(Vec::new()) };
    let found = locate::one(session, &[from.to_string()], "").await?;
    let field = match found.resource.kind.as_str() {
        "Secret" => "secretKeyRef",
        "ConfigMap" => "configMapKeyRef",
        kind => return Err(fail!("unsupported resource specified in --from: {kind}")),
    };
    let keys = found.object["data"].as_object().into_iter().flatten().map(|(key, _)| key);
    let keys = keys.filter(|key| flags.list("keys").is_empty() || flags.list("keys").contains(key));
    let variable = |key: &String| {
        let name = variable_name(key);
        if name != *key {
            eprintln!("Warning: key {key} transferred to {name}");
        }
        let name = format!("{}{name}", flags.text("prefix"));
        json!({"name": name, "valueFrom": {field: {"key": key, "name": found.name}}})
    };
    Ok(keys.map(variable).collect())
}

/// `db.host` as `DB_HOST`.
fn variable_name(key: &str) -> String {
    let legal = key.chars().map(|char| if char.is_ascii_alphanumeric() || char == '_' { char } else { '_' });
    legal.collect::<String>().to_uppercase()
}

/// `--list`.
async fn list(session: &Session, changes: &Changes) -> Result<()> {
    let (found, errors) = locate::chosen(session, &changes.words).await?;
    let pattern = session.flags.text("containers").to_string();
    each(found, errors, async |found| {
        let base = pod_spec(&found.object)?;
        for (kind, key) in [("init container", "initContainers"), ("container", "containers")] {
            for container in api::object::list(&found.object, &format!("{base}/{key}")) {
                let name = api::object::text(container, "/name");
                if matches(&pattern, name) {
                    line(&format!("# {} {}, {kind} {name}", found.resource.kind, found.name));
                    api::object::list(container, "/env").iter().for_each(|variable| line(&shown(variable)));
                }
            }
        }
        Ok(())
    })
    .await
}

fn shown(variable: &Value) -> String {
    let name = api::object::text(variable, "/name");
    let text = |pointer: &str| api::object::text(variable, pointer);
    let from = &variable["valueFrom"];
    if from.is_null() {
        return format!("{name}={}", variable.get("value").map(go).unwrap_or_default());
    }
    for (field, what) in [("configMapKeyRef", "configmap"), ("secretKeyRef", "secret")] {
        if from.get(field).is_some() {
            let (object, key) = (text(&format!("/valueFrom/{field}/name")), text(&format!("/valueFrom/{field}/key")));
            return format!("# {name} from {what} {object}, key {key}");
        }
    }
    if from.get("fieldRef").is_some() {
        return format!("# {name} from field path {}", text("/valueFrom/fieldRef/fieldPath"));
    }
    format!("# {name} from resource field path {}", text("/valueFrom/resourceFieldRef/resource"))
}

/// The object with other variables in the containers that match.
fn with_env(object: &Value, pattern: &str, set: &[Value], remove: &[String], overwrite: bool) -> Result<Value> {
    let mut wanted = object.clone();
    let base = pod_spec(object)?;
    let mut hit = false;
    for list in ["initContainers", "containers"] {
        let containers = wanted.pointer_mut(&format!("{base}/{list}")).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            if !matches(pattern, container["name"].as_str().unwrap_or_default()) {
                continue;
            }
            hit = true;
            let mut env = container["env"].as_array().cloned().unwrap_or_default();
            env.retain(|variable| !remove.iter().any(|name| variable["name"] == name.as_str()));
            for variable in set {
                match env.iter_mut().find(|known| known["name"] == variable["name"]) {
                    Some(known) if overwrite => *known = variable.clone(),
                    Some(_) => {
                        let name = api::object::text(variable, "/name");
                        return Err(fail!("'{name}' already has a value, and --overwrite is false"));
                    }
                    None => env.push(variable.clone()),
                }
            }
            match (env.is_empty(), container.as_object_mut()) {
                (true, Some(fields)) => drop(fields.remove("env")),
                _ => container["env"] = Value::Array(env),
            }
        }
    }
    match hit {
        true => Ok(wanted),
        false => Err(fail!("no container matches {pattern:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_come_and_go() {
        let object = json!({"kind": "Pod", "spec": {"containers": [{"name": "a", "env": [{"name": "A", "value": "1"}]}, {"name": "b"}]}});
        let set = [json!({"name": "B", "value": "2"})];
        let env = |object: Value| object["spec"]["containers"].clone();
        assert_eq!(
            env(with_env(&object, "*", &set, &["A".into()], true).unwrap()),
            json!([{"name": "a", "env": [{"name": "B", "value": "2"}]}, {"name": "b", "env": [{"name": "B", "value": "2"}]}])
        );
        assert_eq!(env(with_env(&object, "a", &[], &["A".into()], true).unwrap())[0], json!({"name": "a"}));
        assert!(with_env(&object, "x", &set, &[], true).is_err());
        assert!(with_env(&object, "a", &[json!({"name": "A", "value": "2"})], &[], false).is_err());
    }

    #[test]
    fn variables_in_words() {
        for (variable, expected) in [
            (json!({"name": "A", "value": "1"}), "A=1"),
            (json!({"name": "A"}), "A="),
            (
                json!({"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}),
                "# A from secret s, key k",
            ),
            (
                json!({"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}),
                "# A from field path metadata.name",
            ),
        ] {
            assert_eq!(shown(&variable), expected);
        }
        assert_eq!(variable_name("db.host-name"), "DB_HOST_NAME");
    }
}
