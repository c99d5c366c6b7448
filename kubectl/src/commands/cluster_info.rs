//! `cluster-info` (kubectl, pkg/cmd/clusterinfo).

use std::io::IsTerminal;

use super::missing::unsupported;
use crate::command::{Call, Command, command, run};
use crate::error::Result;
use crate::locate::{self, Options, Target};
use crate::session::{JSON, line};

/// `cluster-info`.
pub const COMMAND: Command =
    command("cluster-info", "", "Display cluster information", &[], &[], run!(cluster_info)).with(&[DUMP]);

/// Where the control plane is, and Services that call themselves part of it.
async fn cluster_info(call: Call) -> Result<()> {
    let session = &call.session;
    let services = session.resources().await?.find("services")?;
    let target = Target { resource: services.clone(), namespace: "kube-system".into(), name: None };
    let options = Options { labels: "kubernetes.io/cluster-service=true".into(), ..Options::default() };
    let pages = locate::fetch(session, &target, &options, JSON, &[]).await?;
    let server = &session.config()?.server;
    // Colours are for people only.
    let coloured = std::io::stdout().is_terminal();
    let running = |name: &str, link: &str| match coloured {
        true => line(&format!("\x1b[0;32m{name}\x1b[0m is running at \x1b[0;33m{link}\x1b[0m")),
        false => line(&format!("{name} is running at {link}")),
    };
    running("Kubernetes control plane", server);
    for found in pages.into_iter().flat_map(|page| locate::unlist(&services, page)) {
        let name = api::object::label(&found.object, "kubernetes.io/name").unwrap_or(&found.name).to_string();
        let link = format!("{server}/api/v1/namespaces/{}/services/{}/proxy", found.namespace, found.name);
        running(&name, &link);
    }
    line("\nTo further debug and diagnose cluster problems, use 'kubectl cluster-info dump'.");
    Ok(())
}

/// `cluster-info dump`.
const DUMP: Command =
    unsupported("dump", "Dump relevant information for debugging and diagnosis", "use get, events and logs");
