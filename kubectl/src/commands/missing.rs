//! Commands that kubectl has and we have not: each is refused with what to do instead.

use crate::command::{Call, Command, command, parent, run};
use crate::common::{EVERYWHERE, FIELDS, LABELS};
use crate::error::{Result, fail};
use crate::flags::Takes::{Bool, Text};
use crate::flags::{Flag, flag};

/// A row whose command only says what to do instead of it; the help shows it, too.
pub const fn unsupported(name: &'static str, about: &'static str, instead: &'static str) -> Command {
    command(name, instead, about, &[], &[], run!(refuse)).lenient()
}

async fn refuse(call: Call) -> Result<()> {
    let command = call.path.strip_prefix("kubectl ").unwrap_or(&call.path);
    Err(fail!("{command} is not supported by mkubectl: {}", call.row.usage))
}

/// What `top` says where nobody measures.
async fn no_metrics(_call: Call) -> Result<()> {
    Err(fail!("Metrics API not available"))
}

const MEASURED: &[Flag] = &[
    flag("no-headers", "", Bool(false), "Print no first line."),
    flag("sort-by", "", Text(""), "cpu or memory."),
    flag("use-protocol-buffers", "", Bool(true), "How to ask for metrics."),
];

/// `top`.
pub const TOP: Command = parent(
    "top",
    "Display resource (CPU/memory) usage",
    &[
        command(
            "node",
            "[NAME | -l label]",
            "Display resource (CPU/memory) usage of nodes",
            &[flag("show-capacity", "", Bool(false), "Compare with the capacity.")],
            &[MEASURED, LABELS],
            run!(no_metrics),
        )
        .also(&["nodes", "no"]),
        command(
            "pod",
            "[NAME | -l label]",
            "Display resource (CPU/memory) usage of pods",
            &[
                flag("containers", "", Bool(false), "A row for each container."),
                flag("sum", "", Bool(false), "A last row with the sum."),
            ],
            &[MEASURED, LABELS, FIELDS, EVERYWHERE],
            run!(no_metrics),
        )
        .also(&["pods", "po"]),
    ],
);
/// `port-forward`.
pub const PORT_FORWARD: Command = unsupported(
    "port-forward",
    "Forward one or more local ports to a pod",
    "pods and Services can be reached from the host at their own addresses",
);
/// `proxy`.
pub const PROXY: Command = unsupported(
    "proxy",
    "Run a proxy to the Kubernetes API server",
    "use get --raw, or curl with the certificate in the kubeconfig",
);
/// `cp`.
pub const CP: Command = unsupported(
    "cp",
    "Copy files and directories to and from containers",
    "pipe through exec: tar cf - DIR | mkubectl exec -i POD -- tar xf - -C /",
);
/// `debug`.
pub const DEBUG: Command = unsupported(
    "debug",
    "Create debugging sessions for troubleshooting workloads and nodes",
    "the kubelet runs no ephemeral containers: use exec, or run a pod of your own",
);
/// `kustomize`.
pub const KUSTOMIZE: Command = unsupported(
    "kustomize",
    "Build a kustomization target from a directory or URL",
    "build with the kustomize program and pass the result to apply -f -",
);
/// `plugin`.
pub const PLUGIN: Command = unsupported("plugin", "Provides utilities for interacting with plugins", BY_ITSELF)
    .with(&[unsupported("list", "List all visible plugin executables on a user's PATH", BY_ITSELF)]);
const BY_ITSELF: &str = "call the plugin's program itself";
