//! `api-resources` and `api-versions` (kubectl, pkg/cmd/apiresources).

use crate::command::{Call, Command, command, run};
use crate::error::{Result, fail};
use crate::flags::Takes::{Bool, List, Text};
use crate::flags::{Flag, flag};
use crate::output::tab::Tabs;
use crate::resources::Resource;
use crate::session::{line, say};

const FLAGS: &[Flag] = &[
    flag("output", "o", Text(""), "wide or name."),
    flag("no-headers", "", Bool(false), "Print no first line."),
    flag("namespaced", "", Bool(true), "Only what lives in namespaces, or with =false only what does not."),
    flag("api-group", "", Text(""), "Only this API group."),
    flag("verbs", "", List, "Only what has these verbs."),
    flag("categories", "", List, "Only what is in these categories."),
    flag("sort-by", "", Text(""), "name or kind."),
    flag("cached", "", Bool(false), "Taken for compatibility: nothing is cached on disk."),
];

/// `api-resources`.
pub const COMMAND: Command =
    command("api-resources", "", "Print the supported API resources on the server", FLAGS, &[], run!(api_resources));
/// `api-versions`.
pub const VERSIONS: Command = command(
    "api-versions",
    "",
    "Print the supported API versions on the server, in the form of \"group/version\"",
    &[],
    &[],
    run!(api_versions),
);

async fn api_resources(call: Call) -> Result<()> {
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

async fn api_versions(call: Call) -> Result<()> {
    if !call.args.is_empty() {
        return Err(call.usage(&format!("unexpected arguments: [{}]", call.args.join(" "))));
    }
    let mut all: Vec<String> =
        call.session.resources().await?.all.iter().map(|resource| resource.api_version()).collect();
    all.sort();
    all.dedup();
    all.iter().for_each(|version| line(version));
    Ok(())
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
}
