//! Commands that kubectl has and we have not: each is refused with the reason or what to do instead.

use crate::command::{Call, Command, command, parent, run};
use crate::error::{Result, fail};

const fn refused(name: &'static str, about: &'static str) -> Command {
    command(name, "", about, &[], &[], run!(refuse))
}

async fn refuse(call: Call) -> Result<()> {
    let why = match call.word() {
        "port-forward" => "Services and pods can be reached from the host: use their addresses",
        "proxy" => "use get --raw, or curl with the kubeconfig's certificate",
        "cp" => "pipe through exec, e.g. exec -i POD -- tar xf - < FILE.tar",
        "debug" => "the kubelet runs no ephemeral containers: use exec, or run a pod of your own",
        "kustomize" => "build with the kustomize program and pass the result to apply -f -",
        "plugin" => "call the plugin by its own name",
        _ => return Err(fail!("Metrics API not available")),
    };
    Err(fail!("{} is not supported by mkubectl: {why}", call.word()))
}

/// `top`.
pub const TOP: Command = parent(
    "top",
    "Display resource (CPU/memory) usage",
    &[
        refused("node", "Display resource (CPU/memory) usage of nodes").also(&["nodes", "no"]),
        refused("pod", "Display resource (CPU/memory) usage of pods").also(&["pods", "po"]),
    ],
);
/// `port-forward`.
pub const PORT_FORWARD: Command = refused("port-forward", "Forward one or more local ports to a pod");
/// `proxy`.
pub const PROXY: Command = refused("proxy", "Run a proxy to the Kubernetes API server");
/// `cp`.
pub const CP: Command = refused("cp", "Copy files and directories to and from containers");
/// `debug`.
pub const DEBUG: Command = refused("debug", "Create debugging sessions for troubleshooting workloads and nodes");
/// `kustomize`.
pub const KUSTOMIZE: Command = refused("kustomize", "Build a kustomization target from a directory or URL");
/// `plugin`.
pub const PLUGIN: Command = refused("plugin", "Provides utilities for interacting with plugins");
