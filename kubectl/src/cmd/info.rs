//! What the server is and can do: `api-resources`, `api-versions`, `version`, `cluster-info`, `auth can-i`, `auth whoami`,
//! `options`, `completion`, `top` (kubectl, pkg/cmd/apiresources, version, auth).

use http::Method;
use serde_json::json;

use crate::commands::{COMMANDS, Command, GLOBAL};
use crate::error::{Error, Result, fail};
use crate::flags::{Flag, bare};
use crate::line::Call;
use crate::output::tab::Tabs;
use crate::output::{self, Format, go};
use crate::resources::Resource;
use crate::session::{JSON, line, say};

/// Runs `api-resources`.
pub async fn api_resources(call: Call) -> Result<()> {
    let flags = &call.session.flags;
    if !call.args.is_empty() {
        return Err(call.usage(&format!("unexpected arguments: [{}]", call.args.join(" "))));
    }
    let form = flags.text("output");
    if !["", "wide", "name"].contains(&form) {
        return Err(fail!("--output {form} is not available in kubectl api-resources"));
    }
    let resources = call.session.resources().await?;
    let mut seen: Vec<&Resource> = Vec::new();
    for resource in &resources.all {
        let wanted = (!flags.given("namespaced") || flags.is("namespaced") == resource.namespaced)
            && (!flags.given("api-group") || flags.text("api-group") == resource.group)
            && flags.list("verbs").iter().all(|verb| resource.verbs.contains(verb))
            && flags.list("categories").iter().all(|category| resource.categories.contains(category));
        let preferred = !seen.iter().any(|known| known.is(&resource.group, &resource.plural));
        if wanted && preferred && !resource.verbs.is_empty() {
            seen.push(resource);
        }
    }
    match flags.text("sort-by") {
        "name" => seen.sort_by(|a, b| a.plural.cmp(&b.plural)),
        "kind" => seen.sort_by(|a, b| a.kind.cmp(&b.kind)),
        "" => seen.sort_by(|a, b| (&a.group, &a.plural).cmp(&(&b.group, &b.plural))),
        _ => return Err(fail!("--sort-by accepts only name or kind")),
    }
    say(&listed(&seen, form, flags.is("no-headers")));
    Ok(())
}

fn listed(all: &[&Resource], form: &str, no_headers: bool) -> String {
    if form == "name" {
        return all.iter().map(|resource| resource.qualified() + "\n").collect();
    }
    let mut text = String::new();
    if !no_headers {
        text.push_str("NAME\tSHORTNAMES\tAPIVERSION\tNAMESPACED\tKIND");
        text.push_str(if form == "wide" { "\tVERBS\tCATEGORIES\n" } else { "\n" });
    }
    for resource in all {
        let (short, version) = (resource.short.join(","), resource.api_version());
        text.push_str(&format!("{}\t{short}\t{version}\t{}\t{}", resource.plural, resource.namespaced, resource.kind));
        if form == "wide" {
            text.push_str(&format!("\t{}\t{}", resource.verbs.join(","), resource.categories.join(",")));
        }
        text.push('\n');
    }
    Tabs::table().align(&text)
}

/// Runs `api-versions`.
pub async fn api_versions(call: Call) -> Result<()> {
    let mut all: Vec<String> =
        call.session.resources().await?.all.iter().map(|resource| resource.api_version()).collect();
    all.sort();
    all.dedup();
    all.iter().for_each(|version| line(version));
    Ok(())
}

/// Runs `version`.
pub async fn version(call: Call) -> Result<()> {
    let flags = &call.session.flags;
    let ours = format!("v{}+mkube", env!("CARGO_PKG_VERSION"));
    let mut document = json!({"clientVersion": {"gitVersion": ours, "major": "1", "minor": "33", "platform": "linux/amd64"}, "kustomizeVersion": "none"});
    let server = if flags.is("client") { None } else { Some(call.session.get("/version").await?) };
    if let Some(server) = &server {
        document["serverVersion"] = server.clone();
    }
    match flags.text("output") {
        "" => {
            line(&format!("Client Version: {ours}\nKustomize Version: none"));
            if let Some(server) = server {
                line(&format!("Server Version: {}", server["gitVersion"].as_str().unwrap_or_default()));
            }
        }
        "json" => line(&output::json(&document).replace("    ", "  ")),
        "yaml" => say(&api::yaml::write(&document)),
        _ => return Err(fail!("--output must be 'yaml' or 'json'")),
    }
    Ok(())
}

/// Runs `cluster-info`.
pub async fn cluster_info(call: Call) -> Result<()> {
    call.session.get("/version").await?;
    line(&format!("Kubernetes control plane is running at {}", call.session.config()?.server));
    line("\nTo further debug and diagnose cluster problems, use 'kubectl cluster-info dump'.");
    Ok(())
}

/// Runs `auth can-i`.
pub async fn can_i(call: Call) -> Result<()> {
    let session = &call.session;
    let flags = &session.flags;
    if flags.is("list") {
        return Err(fail!("--list is not supported by mkubectl yet"));
    }
    let (verb, what, name) = match call.args.as_slice() {
        [verb, what] => (verb, what, ""),
        [verb, what, name] => (verb, what, name.as_str()),
        _ => {
            return Err(fail!(
                "you must specify two arguments: verb resource or verb resource/resourceName.\nSee 'kubectl auth can-i -h' for help and examples."
            ));
        }
    };
    let namespace = if flags.is("all-namespaces") { String::new() } else { session.namespace()? };
    let mut spec = json!({});
    if what.starts_with('/') {
        spec["nonResourceAttributes"] = json!({"verb": verb, "path": what});
    } else {
        let (word, slashed) = what.split_once('/').unwrap_or((what, ""));
        let name = if name.is_empty() { slashed } else { name };
        let (group, plural, namespaced) = match session.resources().await?.find(word) {
            Ok(found) => (found.group.clone(), found.plural.clone(), found.namespaced),
            Err(_) if word == "*" => ("*".into(), "*".into(), true),
            Err(_) => {
                eprintln!("Warning: the server doesn't have a resource type '{word}'\n");
                (String::new(), word.to_string(), true)
            }
        };
        if !namespaced && !plural.is_empty() {
            let group = if group.is_empty() { String::new() } else { format!(" in group '{group}'") };
            eprintln!("Warning: resource '{plural}' is not namespace scoped{group}\n");
        }
        spec["resourceAttributes"] = json!({"namespace": namespace, "verb": verb, "group": group, "resource": plural,
            "subresource": flags.text("subresource"), "name": name});
    }
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec});
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let answer = session.json(Method::POST, path, JSON, Some((JSON, &review))).await?;
    let allowed = api::object::flag(&answer, "/status/allowed");
    if !flags.is("quiet") {
        let mut said = if allowed { "yes".to_string() } else { "no".to_string() };
        for (pointer, before) in [("/status/reason", " - "), ("/status/evaluationError", " - ")] {
            let why = api::object::text(&answer, pointer);
            if !why.is_empty() && !allowed {
                said += &format!("{before}{why}");
            }
        }
        line(&said);
    }
    if allowed { Ok(()) } else { Err(Error::Exit(1, String::new())) }
}

/// Runs `auth whoami`.
pub async fn who_am_i(call: Call) -> Result<()> {
    let session = &call.session;
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let answer = session.json(Method::POST, path, JSON, Some((JSON, &review))).await?;
    let format = Format::of(&session.flags)?;
    if !format.human() {
        say(&format.object(&answer)?);
        return Ok(());
    }
    let info = answer.pointer("/status/userInfo").cloned().unwrap_or_default();
    let mut text = "ATTRIBUTE\tVALUE\n".to_string();
    for (title, key) in [("Username", "username"), ("UID", "uid"), ("Groups", "groups")] {
        let shown = info.get(key).map(go).unwrap_or_default();
        if !shown.is_empty() && shown != "[]" {
            text.push_str(&format!("{title}\t{shown}\n"));
        }
    }
    for (key, value) in info["extra"].as_object().into_iter().flatten() {
        text.push_str(&format!("Extra: {key}\t{}\n", go(value)));
    }
    say(&Tabs::table().align(&text));
    Ok(())
}

/// Runs `options`.
pub async fn options(_call: Call) -> Result<()> {
    let text: String = GLOBAL.iter().map(crate::line::option).collect();
    say(&format!("The following options can be passed to any command:\n\n{text}"));
    Ok(())
}

/// Runs `top`.
pub async fn top(_call: Call) -> Result<()> {
    Err(fail!("Metrics API not available"))
}

/// Runs `completion`.
pub async fn completion(call: Call) -> Result<()> {
    let [shell] = call.args.as_slice() else { return Err(call.usage("Shell not specified.")) };
    let Ok(shell) = shell.parse::<clap_complete::Shell>() else {
        return Err(call.usage(&format!("Unsupported shell type {shell:?}.")));
    };
    let mut root = clap::Command::new("kubectl").args(GLOBAL.iter().map(|flag| argument(flag).global(true)));
    root = COMMANDS.iter().fold(root, |root, command| root.subcommand(described(command)));
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut root, "mkubectl", &mut text);
    say(&String::from_utf8_lossy(&text));
    Ok(())
}

/// The table's command as the completion generator wants it.
fn described(command: &Command) -> clap::Command {
    let own = command.flags.iter().flat_map(|group| group.iter()).map(argument);
    let described = clap::Command::new(command.name).about(command.about).disable_help_flag(true).args(own);
    command.sub.iter().fold(described, |described, sub| described.subcommand(self::described(sub)))
}

fn argument(flag: &Flag) -> clap::Arg {
    let mut argument = clap::Arg::new(flag.name).long(flag.name).help(flag.about);
    if let Some(short) = flag.short.chars().next() {
        argument = argument.short(short);
    }
    match bare(flag.takes) {
        Some(_) => argument.action(clap::ArgAction::SetTrue),
        None => argument.action(clap::ArgAction::Append),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_a_table() {
        let resources = crate::resources::tests::served();
        let pods = resources.find("pods").unwrap();
        let text = listed(&[&pods], "", false);
        assert_eq!(
            text,
            "NAME   SHORTNAMES   APIVERSION   NAMESPACED   KIND\npods   po           v1           true         Pod\n"
        );
        assert_eq!(listed(&[&resources.find("deploy").unwrap()], "name", false), "deployments.apps\n");
    }

    #[test]
    fn the_table_of_commands_makes_completions() {
        for command in COMMANDS {
            described(command).build();
        }
    }
}
