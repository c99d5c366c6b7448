//! Flags that several commands share, and the global ones.

use crate::flags::Takes::{Array, Bool, Duration, Int, List, Optional, Text};
use crate::flags::{Flag, flag, refused};

/// Flags of every command.
pub const GLOBAL: &[Flag] = &[
    flag("as", "", Text(""), "Act as this user."),
    flag("as-group", "", Array, "Act as a member of this group; may be repeated."),
    refused("as-uid", "", Text(""), "use --as and --as-group"),
    flag("cache-dir", "", Text("~/.kube/cache"), "Taken for compatibility: nothing is cached on disk."),
    flag("certificate-authority", "", Text(""), "File with the certificates that may have signed the server's."),
    flag("client-certificate", "", Text(""), "File with the client's certificate."),
    flag("client-key", "", Text(""), "File with the key of the client's certificate."),
    flag("cluster", "", Text(""), "Cluster of the kubeconfig to talk to."),
    flag("context", "", Text(""), "Context of the kubeconfig to use."),
    flag("disable-compression", "", Bool(false), "Taken for compatibility: answers are not compressed."),
    flag("insecure-skip-tls-verify", "", Bool(false), "Do not check the server's certificate."),
    flag("kubeconfig", "", Text(""), "The kubeconfig file."),
    flag("log-flush-frequency", "", Duration("5s"), "Taken for compatibility: logs are not buffered."),
    refused("match-server-version", "", Bool(false), "client and server are never of the same version"),
    flag("namespace", "n", Text(""), "The namespace to work in."),
    refused("password", "", Text(""), "the API server knows no passwords"),
    refused("profile", "", Text("none"), "profiles of Go programs have no counterpart here"),
    refused("profile-output", "", Text("profile.pprof"), "profiles of Go programs have no counterpart here"),
    flag("request-timeout", "", Text("0"), "How long one request may take; 0 is for ever."),
    flag("server", "s", Text(""), "Address of the API server."),
    flag("tls-server-name", "", Text(""), "Name to check the server's certificate for."),
    flag("token", "", Text(""), "Bearer token to show to the server."),
    flag("user", "", Text(""), "User of the kubeconfig to be."),
    refused("username", "", Text(""), "the API server knows no passwords"),
    flag("v", "v", Int(0), "How much to tell: 6 shows requests, 8 their bodies."),
    refused("vmodule", "", Text(""), "verbosity is the same for all modules"),
    flag("warnings-as-errors", "", Bool(false), "Fail when the server sent a warning."),
];

/// How objects are printed.
pub const PRINT: &[Flag] = &[
    flag("output", "o", Text(""), "Output format."),
    flag("template", "", Text(""), "Template, or file with one, of a template format."),
    flag("show-managed-fields", "", Bool(false), "Print metadata.managedFields, too."),
    flag("allow-missing-template-keys", "", Bool(true), "A template may name fields that are not there."),
];
/// Objects from files.
pub const FILES: &[Flag] = &[
    flag("filename", "f", List, "File, directory, URL, or - for standard input."),
    flag("recursive", "R", Bool(false), "Read the directories below, too."),
    KUSTOMIZE,
];
/// Objects from files by commands that go into directories by themselves.
pub const FILES_BELOW: &[Flag] = &[
    flag("filename", "f", List, "File, directory, URL, or - for standard input."),
    flag("recursive", "R", Bool(true), "Read the directories below, too."),
];
/// Kustomizations.
pub const KUSTOMIZE: Flag = refused(
    "kustomize",
    "k",
    Text(""),
    "build the kustomization with the kustomize program and pass the result to -f -",
);
/// `-l`.
pub const LABELS: &[Flag] = &[flag("selector", "l", Text(""), "Only objects with these labels.")];
/// `--field-selector`.
pub const FIELDS: &[Flag] = &[flag("field-selector", "", Text(""), "Only objects with these fields.")];
/// `-A`.
pub const EVERYWHERE: &[Flag] = &[flag("all-namespaces", "A", Bool(false), "In all namespaces.")];
/// `--all`.
pub const ALL: &[Flag] = &[flag("all", "", Bool(false), "All objects of the types, in the namespace.")];
/// `--chunk-size`.
pub const CHUNK: &[Flag] =
    &[flag("chunk-size", "", Int(500), "Fetch long lists in pieces of so many; 0 for all at once.")];
/// `--dry-run`.
pub const DRY: &[Flag] =
    &[flag("dry-run", "", Optional("none", "unchanged"), "none, or client or server: only show what would be done.")];
/// `--validate`.
pub const VALIDATE: &[Flag] = &[flag(
    "validate",
    "",
    Optional("strict", "strict"),
    "strict (or true), warn, ignore (or false): what becomes of unknown fields.",
)];
/// `--local`.
pub const LOCAL: &[Flag] = &[flag("local", "", Bool(false), "Change only what is read, ask no server.")];
/// `--save-config`.
pub const SAVE: &[Flag] =
    &[flag("save-config", "", Bool(false), "Keep the configuration in an annotation, as apply does.")];
/// A container of a pod.
pub const CONTAINER: &[Flag] = &[flag("container", "c", Text(""), "The container; else the pod's default one.")];
/// Streams to and from a container.
pub const TERMINAL: &[Flag] = &[
    flag("stdin", "i", Bool(false), "Pass standard input."),
    flag("tty", "t", Bool(false), "Standard input is a terminal."),
    flag("quiet", "q", Bool(false), "Print only what the other side prints."),
];
/// `--pod-running-timeout`.
pub const RUNNING: &[Flag] =
    &[flag("pod-running-timeout", "", Duration("1m0s"), "How long to wait for a running pod.")];

/// Flags of all commands that delete.
pub const DELETING: &[Flag] = &[
    flag("grace-period", "", Int(-1), "Seconds that objects get to end; -1 for their own choice, 0 only with --force."),
    flag("force", "", Bool(false), "Forget objects at once, without waiting for their end."),
    flag(
        "cascade",
        "",
        Optional("background", "background"),
        "background, foreground or orphan: what becomes of what an object owns.",
    ),
    flag("timeout", "", Duration("0s"), "How long to wait for the end; 0 for as long as it takes."),
];

/// `--field-manager` with its default.
pub const fn manager(default: &'static str) -> Flag {
    flag("field-manager", "", Text(default), "Who owns the written fields.")
}
