//! `config`: what the kubeconfig says, and small changes to it (kubectl, pkg/cmd/config). Changes go to the first file that
//! exists, or where the first would be.

use std::path::PathBuf;

use client::kubeconfig::{ContextEntry, Kubeconfig, Named};
use serde_json::{Value, json};

use super::missing::unsupported;
use crate::command::{Call, Command, command, parent, run};
use crate::common::PRINT;
use crate::error::{Result, fail};
use crate::flags::Takes::{Bool, Text};
use crate::flags::{Flag, flag, refused};
use crate::kubeconfigs;
use crate::output::tab::Tabs;
use crate::output::{self, Format};
use crate::session::{line, say};

/// `config`.
pub const COMMAND: Command = parent(
    "config",
    "Modify kubeconfig files",
    &[
        command("current-context", "", "Display the current-context", &[], &[], run!(current_context)),
        command(
            "get-contexts",
            "[(-o|--output=)name)]",
            "Describe one or many contexts",
            CONTEXTS,
            &[],
            run!(get_contexts),
        ),
        command("delete-cluster", "NAME", "Delete the specified cluster from the kubeconfig", &[], &[], run!(delete)),
        command("delete-context", "NAME", "Delete the specified context from the kubeconfig", &[], &[], run!(delete)),
        command("delete-user", "NAME", "Delete the specified user from the kubeconfig", &[], &[], run!(delete)),
        command("get-clusters", "", "Display clusters defined in the kubeconfig", &[], &[], run!(names)),
        command("get-users", "", "Display users defined in the kubeconfig", &[], &[], run!(names)),
        command(
            "rename-context",
            "CONTEXT_NAME NEW_NAME",
            "Rename a context from the kubeconfig file",
            &[],
            &[],
            run!(rename),
        ),
        unsupported("set", "Set an individual value in a kubeconfig file", "edit the file"),
        unsupported("set-cluster", "Set a cluster entry in kubeconfig", "edit the file"),
        unsupported("set-credentials", "Set a user entry in kubeconfig", "edit the file"),
        unsupported("unset", "Unset an individual value in a kubeconfig file", "edit the file"),
        command(
            "set-context",
            "[NAME | --current] [--cluster=cluster_nickname] [--user=user_nickname] [--namespace=namespace]",
            "Set a context entry in kubeconfig",
            CURRENT,
            &[],
            run!(set_context),
        ),
        command(
            "use-context",
            "CONTEXT_NAME",
            "Set the current-context in a kubeconfig file",
            &[],
            &[],
            run!(use_context),
        )
        .also(&["use"]),
        command(
            "view",
            "",
            "Display merged kubeconfig settings or a specified kubeconfig file",
            VIEW,
            &[PRINT],
            run!(view),
        ),
    ],
);

const VIEW: &[Flag] = &[
    flag("raw", "", Bool(false), "Show certificates, keys and tokens, too."),
    flag("minify", "", Bool(false), "Only what the current context needs."),
    refused("flatten", "", Bool(false), "use --raw, files stay files"),
    flag("merge", "", Bool(true), "Show all kubeconfig files as one; they always are."),
    flag("output", "o", Text("yaml"), "Output format."),
];
const CONTEXTS: &[Flag] = &[
    flag("output", "o", Text(""), "\"name\" for names only."),
    flag("no-headers", "", Bool(false), "Print no first line."),
];
const CURRENT: &[Flag] = &[
    flag("current", "", Bool(false), "Change the current context."),
    flag("cluster", "", Text(""), "Its cluster."),
    flag("namespace", "", Text(""), "Its namespace."),
    flag("user", "", Text(""), "Its user."),
];

async fn view(call: Call) -> Result<()> {
    let flags = &call.session.flags;
    let mut file = kubeconfigs::load(flags)?;
    if flags.is("minify") {
        minify(&mut file, flags.some("context"))?;
    }
    let text = file.to_yaml()?;
    let mut document = api::yaml::read(&text).map_err(|error| fail!("{error}"))?;
    complete(&mut document);
    if !flags.is("raw") {
        hide(&mut document);
    }
    match Format::of(flags)? {
        Format::Human { .. } | Format::Yaml => say(&api::yaml::write(&document)),
        Format::Json => line(&output::json(&document)),
        other => say(&other.object(&document)?),
    }
    Ok(())
}

/// Only what the current context needs.
fn minify(file: &mut Kubeconfig, context: Option<&str>) -> Result<()> {
    let name = context.unwrap_or(&file.current_context).to_string();
    file.contexts.retain(|entry| entry.name == name);
    let Some(context) = file.contexts.first() else { return Err(fail!("cannot locate context {name}")) };
    let (cluster, user) = (context.content.cluster.clone(), context.content.user.clone());
    file.clusters.retain(|entry| entry.name == cluster);
    file.users.retain(|entry| entry.name == user);
    file.current_context = name;
    Ok(())
}

/// What kubectl writes even where there is nothing, in its order.
fn complete(document: &mut Value) {
    for list in ["clusters", "contexts", "users"] {
        match document[list].as_array_mut() {
            Some(entries) if !entries.is_empty() => {
                entries.sort_by_key(|entry| entry["name"].as_str().unwrap_or_default().to_string());
            }
            _ => document[list] = Value::Null,
        }
    }
    if document["preferences"].is_null() {
        document["preferences"] = json!({});
    }
}

/// Secrets are not shown.
fn hide(document: &mut Value) {
    for user in document["users"].as_array_mut().into_iter().flatten() {
        for (key, hidden) in [
            ("client-certificate-data", "DATA+OMITTED"),
            ("client-key-data", "DATA+OMITTED"),
            ("token", "REDACTED"),
            ("password", "REDACTED"),
        ] {
            if !user["user"][key].is_null() {
                user["user"][key] = json!(hidden);
            } else if let Some(map) = user["user"].as_object_mut() {
                map.remove(key);
            }
        }
    }
    for cluster in document["clusters"].as_array_mut().into_iter().flatten() {
        if cluster["cluster"].get("certificate-authority-data").is_some() {
            cluster["cluster"]["certificate-authority-data"] = json!("DATA+OMITTED");
        }
    }
}

async fn current_context(call: Call) -> Result<()> {
    let file = kubeconfigs::load(&call.session.flags)?;
    if file.current_context.is_empty() {
        return Err(fail!("current-context is not set"));
    }
    line(&file.current_context);
    Ok(())
}

async fn get_contexts(call: Call) -> Result<()> {
    let flags = &call.session.flags;
    let mut file = kubeconfigs::load(flags)?;
    file.contexts.sort_by(|a, b| a.name.cmp(&b.name));
    let shown = file.contexts.iter().filter(|context| call.args.is_empty() || call.args.contains(&context.name));
    if flags.text("output") == "name" {
        shown.for_each(|context| line(&context.name));
        return Ok(());
    }
    let mut text = String::new();
    if !flags.is("no-headers") {
        text.push_str("CURRENT\tNAME\tCLUSTER\tAUTHINFO\tNAMESPACE\n");
    }
    for context in shown {
        let mark = if context.name == file.current_context { "*" } else { "" };
        let entry = &context.content;
        let namespace = entry.namespace.as_deref().unwrap_or_default();
        text.push_str(&format!("{mark}\t{}\t{}\t{}\t{namespace}\n", context.name, entry.cluster, entry.user));
    }
    say(&Tabs::table().align(&text));
    let unknown = |name: &&String| !file.contexts.iter().any(|context| context.name == **name);
    match call.args.iter().find(unknown) {
        Some(name) => Err(fail!("context {name} not found")),
        None => Ok(()),
    }
}

/// Names of the clusters or users.
async fn names(call: Call) -> Result<()> {
    let file = kubeconfigs::load(&call.session.flags)?;
    let mut names: Vec<String> = match call.word() {
        "get-clusters" => file.clusters.into_iter().map(|cluster| cluster.name).collect(),
        _ => file.users.into_iter().map(|user| user.name).collect(),
    };
    names.sort();
    line("NAME");
    names.iter().for_each(|name| line(name));
    Ok(())
}

/// Takes an entry away.
async fn delete(call: Call) -> Result<()> {
    let what = call.word().trim_start_matches("delete-").to_string();
    let [name] = call.args.as_slice() else { return Err(fail!("accepts 1 arg(s), received {}", call.args.len())) };
    let (path, mut file) = changed(&call)?;
    let shown = path.display();
    let before = (file.clusters.len(), file.contexts.len(), file.users.len());
    match what.as_str() {
        "cluster" => file.clusters.retain(|entry| entry.name != *name),
        "context" => file.contexts.retain(|entry| entry.name != *name),
        _ => file.users.retain(|entry| entry.name != *name),
    }
    if before == (file.clusters.len(), file.contexts.len(), file.users.len()) {
        return Err(fail!("cannot delete {what} {name}, not in {shown}"));
    }
    if what == "context" && file.current_context == *name {
        eprintln!(
            "warning: this removed your active context, use \"kubectl config use-context\" to select a different one"
        );
    }
    write(&path, &file)?;
    line(&format!("deleted {what} {name} from {shown}"));
    Ok(())
}

/// Gives a context another name.
async fn rename(call: Call) -> Result<()> {
    let [old, new] = call.args.as_slice() else { return Err(fail!("Unexpected args: [{}]", call.args.join(" "))) };
    let (path, mut file) = changed(&call)?;
    if file.contexts.iter().any(|entry| entry.name == *new) {
        return Err(fail!(
            "cannot rename the context {old:?}, the context {new:?} already exists in {}",
            path.display()
        ));
    }
    let Some(entry) = file.contexts.iter_mut().find(|entry| entry.name == *old) else {
        return Err(fail!("cannot rename the context {old:?}, it's not in {}", path.display()));
    };
    entry.name = new.clone();
    if file.current_context == *old {
        file.current_context = new.clone();
    }
    write(&path, &file)?;
    line(&format!("Context {old:?} renamed to {new:?}."));
    Ok(())
}

/// The file that changes go to, and its content.
fn changed(call: &Call) -> Result<(PathBuf, Kubeconfig)> {
    let paths = kubeconfigs::paths(&call.session.flags);
    let path = paths.iter().find(|path| path.exists()).or(paths.first()).cloned();
    let path = path.ok_or_else(|| fail!("no kubeconfig file is named"))?;
    let empty = || Kubeconfig { api_version: "v1".into(), kind: "Config".into(), ..Kubeconfig::default() };
    let file = if path.exists() { Kubeconfig::read(&path)? } else { empty() };
    Ok((path, file))
}

/// Writes a kubeconfig, readable by its owner only, in one step.
fn write(path: &PathBuf, file: &Kubeconfig) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let next = path.with_extension(format!("new.{}", std::process::id()));
    let text = file.to_yaml()?;
    let mut out = std::fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&next)?;
    out.write_all(text.as_bytes())?;
    std::fs::rename(&next, path)?;
    Ok(())
}

async fn use_context(call: Call) -> Result<()> {
    let [name] = call.args.as_slice() else { return Err(fail!("accepts 1 arg(s), received {}", call.args.len())) };
    if !kubeconfigs::load(&call.session.flags)?.contexts.iter().any(|context| context.name == *name) {
        return Err(fail!("no context exists with the name: {name:?}"));
    }
    let (path, mut file) = changed(&call)?;
    file.current_context = name.clone();
    write(&path, &file)?;
    line(&format!("Switched to context {name:?}."));
    Ok(())
}

async fn set_context(call: Call) -> Result<()> {
    let flags = &call.session.flags;
    let (path, mut file) = changed(&call)?;
    let name = match (call.args.as_slice(), flags.is("current")) {
        ([name], false) => name.clone(),
        ([], true) => file.current_context.clone(),
        _ => return Err(call.usage("Unexpected args: expected a name or --current")),
    };
    let known = file.contexts.iter().position(|context| context.name == name);
    let index = known.unwrap_or_else(|| {
        file.contexts.push(Named { name: name.clone(), content: ContextEntry::default() });
        file.contexts.len() - 1
    });
    let entry = &mut file.contexts[index].content;
    if let Some(cluster) = flags.some("cluster") {
        entry.cluster = cluster.into();
    }
    if let Some(user) = flags.some("user") {
        entry.user = user.into();
    }
    if let Some(namespace) = flags.some("namespace") {
        entry.namespace = Some(namespace.into());
    }
    write(&path, &file)?;
    line(&format!("Context {name:?} {}.", if known.is_some() { "modified" } else { "created" }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden() {
        let mut document = json!({
            "users": [{"name": "u", "user": {"token": "t", "client-key-data": "k"}}],
            "clusters": [{"name": "c", "cluster": {"certificate-authority-data": "x", "server": "s"}}],
        });
        complete(&mut document);
        hide(&mut document);
        assert_eq!(document["users"][0]["user"], json!({"token": "REDACTED", "client-key-data": "DATA+OMITTED"}));
        assert_eq!(document["clusters"][0]["cluster"]["certificate-authority-data"], "DATA+OMITTED");
        assert!(document["contexts"].is_null());
    }

    #[test]
    fn a_kubeconfig_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        write(&path, &Kubeconfig::single("m", "https://x", "ca", "cert", "key")).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Kubeconfig::read(&path).unwrap().current_context, "m");
    }
}
