//! The table of commands: name, words, flags, and what runs. A new command is a row here and a function in `cmd`.

use futures::future::LocalBoxFuture;

use crate::cmd;
use crate::error::Result;
use crate::flags::Takes::{Array, Bool, Duration, Int, List, Optional, Text};
use crate::flags::{Flag, flag};
use crate::line::Call;

/// What runs a command.
pub type Run = fn(Call) -> LocalBoxFuture<'static, Result<()>>;

/// One command.
pub struct Command {
    /// Its word.
    pub name: &'static str,
    /// Other words for it.
    pub aliases: &'static [&'static str],
    /// What follows, for the help.
    pub usage: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// Its flags, in groups that commands share.
    pub flags: &'static [&'static [Flag]],
    /// What runs; `None` if it only has commands below it.
    pub run: Option<Run>,
    /// Commands below it.
    pub sub: &'static [Command],
}

/// A row of the table.
const fn command(
    name: &'static str,
    usage: &'static str,
    about: &'static str,
    flags: &'static [&'static [Flag]],
    run: Run,
) -> Command {
    Command { name, aliases: &[], usage, about, flags, run: Some(run), sub: &[] }
}

/// A row with commands below it.
const fn group(name: &'static str, about: &'static str, sub: &'static [Command]) -> Command {
    Command { name, aliases: &[], usage: "SUBCOMMAND", about, flags: &[], run: None, sub }
}

macro_rules! run {
    ($path:path) => {
        |call| Box::pin($path(call))
    };
}

/// Flags of every command.
pub const GLOBAL: &[Flag] = &[
    flag("kubeconfig", "", Text(""), "Path to the kubeconfig file to use for CLI requests."),
    flag("context", "", Text(""), "The name of the kubeconfig context to use"),
    flag("cluster", "", Text(""), "The name of the kubeconfig cluster to use"),
    flag("user", "", Text(""), "The name of the kubeconfig user to use"),
    flag("namespace", "n", Text(""), "If present, the namespace scope for this CLI request"),
    flag("server", "s", Text(""), "The address and port of the Kubernetes API server"),
    flag("token", "", Text(""), "Bearer token for authentication to the API server"),
    flag("as", "", Text(""), "Username to impersonate for the operation."),
    flag("as-group", "", Array, "Group to impersonate for the operation, this flag can be repeated."),
    flag("request-timeout", "", Text("0"), "The length of time to wait before giving up on a single server request."),
    flag("v", "v", Int(0), "number for the log level verbosity"),
    flag(
        "insecure-skip-tls-verify",
        "",
        Bool(false),
        "If true, the server's certificate will not be checked for validity.",
    ),
    flag("certificate-authority", "", Text(""), "Path to a cert file for the certificate authority"),
    flag("cache-dir", "", Text(""), "Default cache directory; nothing is cached on disk."),
    flag("warnings-as-errors", "", Bool(false), "Treat warnings received from the server as errors."),
];

const OUTPUT: &[Flag] = &[
    flag("output", "o", Text(""), "Output format."),
    flag("template", "", Text(""), "Template string or path to template file to use when -o=jsonpath-file."),
    flag("show-managed-fields", "", Bool(false), "If true, keep the managedFields when printing objects."),
    flag(
        "allow-missing-template-keys",
        "",
        Bool(true),
        "If true, ignore any errors in templates when a field is missing.",
    ),
];
const FILES: &[Flag] = &[
    flag("filename", "f", List, "Filename, directory, or URL to files."),
    flag("recursive", "R", Bool(false), "Process the directory used in -f, --filename recursively."),
    flag("kustomize", "k", Text(""), "Not supported."),
];
const LABELS: &[Flag] = &[flag("selector", "l", Text(""), "Selector (label query) to filter on.")];
const FIELDS: &[Flag] = &[flag("field-selector", "", Text(""), "Selector (field query) to filter on.")];
const EVERYWHERE: &[Flag] = &[flag("all-namespaces", "A", Bool(false), "If present, across all namespaces.")];
const ALL: &[Flag] =
    &[flag("all", "", Bool(false), "Select all resources, in the namespace of the specified resource types.")];
const CHUNK: &[Flag] = &[flag("chunk-size", "", Int(500), "Return large lists in chunks rather than all at once.")];
const DRY: &[Flag] =
    &[flag("dry-run", "", Optional("none", "unchanged"), "Must be \"none\", \"server\", or \"client\".")];
const VALIDATE: &[Flag] =
    &[flag("validate", "", Optional("strict", "strict"), "Must be one of: strict (or true), warn, ignore (or false).")];
const MANAGER: &[Flag] = &[flag("field-manager", "", Text(""), "Name of the manager used to track field ownership.")];
const DELETING: &[Flag] = &[
    flag("grace-period", "", Int(-1), "Period of time in seconds given to the resource to terminate gracefully."),
    flag("force", "", Bool(false), "If true, immediately remove resources from API and bypass graceful deletion."),
    flag("cascade", "", Optional("background", "background"), "Must be \"background\", \"orphan\", or \"foreground\"."),
    flag(
        "timeout",
        "",
        Duration("0s"),
        "The length of time to wait before giving up on a delete, zero means determine a timeout from the size of the object",
    ),
];

const GET: &[Flag] = &[
    flag("watch", "w", Bool(false), "After listing/getting the requested object, watch for changes."),
    flag("watch-only", "", Bool(false), "Watch for changes to the requested object(s), without listing/getting first."),
    flag("output-watch-events", "", Bool(false), "Output watch event objects when --watch or --watch-only is used."),
    flag("sort-by", "", Text(""), "If non-empty, sort list types using this field specification."),
    flag("show-labels", "", Bool(false), "When printing, show all labels as the last column"),
    flag("label-columns", "L", List, "Labels that are going to be presented as columns."),
    flag("show-kind", "", Bool(false), "If present, list the resource type for the requested object(s)."),
    flag("no-headers", "", Bool(false), "When using the default or custom-column output format, don't print headers."),
    flag(
        "ignore-not-found",
        "",
        Bool(false),
        "If the requested object does not exist the command will return exit code 0.",
    ),
    flag("raw", "", Text(""), "Raw URI to request from the server."),
    flag("server-print", "", Bool(true), "If true, have the server return the appropriate table output."),
    flag("subresource", "", Text(""), "If specified, gets the subresource of the requested object."),
];
const APPLY: &[Flag] = &[
    flag("server-side", "", Bool(false), "If true, apply runs in the server instead of the client."),
    flag("force-conflicts", "", Bool(false), "If true, server-side apply will force the changes against conflicts."),
    flag("prune", "", Bool(false), "Not supported."),
    flag("overwrite", "", Bool(true), "Automatically resolve conflicts between the modified and live configuration."),
];
const DELETE: &[Flag] = &[
    flag("wait", "", Bool(true), "If true, wait for resources to be gone before returning."),
    flag("now", "", Bool(false), "If true, resources are signaled for immediate shutdown."),
    flag("ignore-not-found", "", Bool(false), "Treat \"resource not found\" as a successful delete."),
    flag("raw", "", Text(""), "Raw URI to DELETE to the server."),
];
const CREATE: &[Flag] = &[
    flag(
        "save-config",
        "",
        Bool(false),
        "If true, the configuration of current object will be saved in its annotation.",
    ),
    flag("raw", "", Text(""), "Raw URI to POST to the server."),
    flag("edit", "", Bool(false), "Not supported."),
];

const LOGS: &[Flag] = &[
    flag("follow", "f", Bool(false), "Specify if the logs should be streamed."),
    flag(
        "previous",
        "p",
        Bool(false),
        "If true, print the logs for the previous instance of the container in a pod if it exists.",
    ),
    flag("container", "c", Text(""), "Print the logs of this container"),
    flag("all-containers", "", Bool(false), "Get all containers' logs in the pod(s)."),
    flag("all-pods", "", Bool(false), "Get logs from all pod(s)."),
    flag("tail", "", Int(-1), "Lines of recent log file to display."),
    flag("since", "", Duration("0s"), "Only return logs newer than a relative duration like 5s, 2m, or 3h."),
    flag("since-time", "", Text(""), "Only return logs after a specific date (RFC3339)."),
    flag("timestamps", "", Bool(false), "Include timestamps on each line in the log output."),
    flag("prefix", "", Bool(false), "Prefix each log line with the log source (pod name and container name)."),
    flag("limit-bytes", "", Int(0), "Maximum bytes of logs to return."),
    flag("max-log-requests", "", Int(5), "Maximum number of concurrent logs to follow when using a selector."),
    flag(
        "ignore-errors",
        "",
        Bool(false),
        "If watching / following pod logs, allow for any errors that occur to be non-fatal",
    ),
    flag(
        "insecure-skip-tls-verify-backend",
        "",
        Bool(false),
        "Skip verifying the identity of the kubelet that logs are requested from.",
    ),
];
const EXEC: &[Flag] = &[
    flag("container", "c", Text(""), "Container name."),
    flag("stdin", "i", Bool(false), "Pass stdin to the container"),
    flag("tty", "t", Bool(false), "Stdin is a TTY"),
    flag("quiet", "q", Bool(false), "Only print output from the remote session"),
    flag("pod-running-timeout", "", Duration("1m0s"), "The length of time to wait until at least one pod is running"),
];
const DESCRIBE: &[Flag] =
    &[flag("show-events", "", Bool(true), "If true, display events related to the described object.")];

const METADATA: &[Flag] = &[
    flag("overwrite", "", Bool(false), "If true, allow existing values to be overwritten."),
    flag("list", "", Bool(false), "If true, display the labels or annotations for a given resource."),
    flag("resource-version", "", Text(""), "Only change an object of this version."),
];
const SCALE: &[Flag] = &[
    flag("replicas", "", Int(0), "The new desired number of replicas. Required."),
    flag("current-replicas", "", Int(-1), "Precondition for current size."),
    flag("resource-version", "", Text(""), "Precondition for resource version."),
    flag("timeout", "", Duration("0s"), "The length of time to wait before giving up on a scale operation."),
];
const PATCH: &[Flag] = &[
    flag("patch", "p", Text(""), "The patch to be applied to the resource JSON file."),
    flag("patch-file", "", Text(""), "A file containing a patch to be applied to the resource."),
    flag("type", "", Text("strategic"), "The type of patch being provided; one of [json merge strategic]"),
    flag("subresource", "", Text(""), "If specified, patch will operate on the subresource of the requested object."),
    flag("local", "", Bool(false), "Not supported."),
];
const STATUS: &[Flag] = &[
    flag("watch", "w", Bool(true), "Watch the status of the rollout until it's done."),
    flag("revision", "", Int(0), "Pin to a specific revision for showing its status."),
    flag("timeout", "", Duration("0s"), "The length of time to wait before ending watch, zero means never."),
];
const REVISION: &[Flag] =
    &[flag("revision", "", Int(0), "See the details, including podTemplate of the revision specified")];
const TO_REVISION: &[Flag] =
    &[flag("to-revision", "", Int(0), "The revision to rollback to. Default to 0 (last revision).")];
const WAIT: &[Flag] = &[
    flag(
        "for",
        "",
        Text(""),
        "The condition to wait on: [create|delete|condition=condition-name[=condition-value]|jsonpath='{JSONPath expression}'=[JSONPath value]].",
    ),
    flag("timeout", "", Duration("30s"), "The length of time to wait before giving up."),
];

const ROLLOUT: &[Command] = &[
    command(
        "history",
        "(TYPE NAME | TYPE/NAME)",
        "View rollout history",
        &[REVISION, OUTPUT, FILES, LABELS],
        run!(cmd::rollout::history),
    ),
    command(
        "pause",
        "RESOURCE",
        "Mark the provided resource as paused",
        &[OUTPUT, FILES, LABELS, MANAGER],
        run!(cmd::rollout::pause),
    ),
    command(
        "restart",
        "RESOURCE",
        "Restart a resource",
        &[OUTPUT, FILES, LABELS, MANAGER],
        run!(cmd::rollout::restart),
    ),
    command(
        "resume",
        "RESOURCE",
        "Resume a paused resource",
        &[OUTPUT, FILES, LABELS, MANAGER],
        run!(cmd::rollout::resume),
    ),
    command(
        "status",
        "(TYPE NAME | TYPE/NAME)",
        "Show the status of the rollout",
        &[STATUS, FILES, LABELS],
        run!(cmd::rollout::status),
    ),
    command(
        "undo",
        "(TYPE NAME | TYPE/NAME)",
        "Undo a previous rollout",
        &[TO_REVISION, OUTPUT, FILES, LABELS, DRY],
        run!(cmd::rollout::undo),
    ),
];
const SET: &[Command] = &[command(
    "image",
    "(-f FILENAME | TYPE NAME) CONTAINER_NAME_1=CONTAINER_IMAGE_1 ... CONTAINER_NAME_N=CONTAINER_IMAGE_N",
    "Update the image of a pod template",
    &[OUTPUT, FILES, LABELS, ALL, DRY, MANAGER],
    run!(cmd::change::set_image),
)];

const RESOURCES: &[Flag] = &[
    flag("output", "o", Text(""), "Output format. One of: (wide, name)."),
    flag("no-headers", "", Bool(false), "When using the default or custom-column output format, don't print headers."),
    flag("namespaced", "", Bool(true), "If false, non-namespaced resources will be returned."),
    flag("api-group", "", Text(""), "Limit to resources in the specified API group."),
    flag("verbs", "", List, "Limit to resources that support the specified verbs."),
    flag("categories", "", List, "Limit to resources that belong to the specified categories."),
    flag("sort-by", "", Text(""), "If non-empty, sort list of resources using specified field: 'name' or 'kind'."),
    flag("cached", "", Bool(false), "Nothing is cached on disk."),
];
const VERSION: &[Flag] = &[
    flag("client", "", Bool(false), "If true, shows client version only (no server required)."),
    flag("output", "o", Text(""), "One of 'yaml' or 'json'."),
];
const CAN_I: &[Flag] = &[
    flag("quiet", "q", Bool(false), "If true, suppress output and just return the exit code."),
    flag("subresource", "", Text(""), "SubResource such as pod/log or deployment/scale"),
    flag("list", "", Bool(false), "Not supported."),
    flag("no-headers", "", Bool(false), "If true, prints allowed actions without headers"),
];
const DRAIN: &[Flag] = &[
    flag("force", "", Bool(false), "Continue even if there are pods that do not declare a controller."),
    flag("ignore-daemonsets", "", Bool(false), "Ignore DaemonSet-managed pods."),
    flag("delete-emptydir-data", "", Bool(false), "Continue even if there are pods using emptyDir."),
    flag("grace-period", "", Int(-1), "Period of time in seconds given to each pod to terminate gracefully."),
    flag("timeout", "", Duration("0s"), "The length of time to wait before giving up, zero means infinite"),
    flag("pod-selector", "", Text(""), "Label selector to filter pods on the node"),
    flag("disable-eviction", "", Bool(false), "Not supported."),
];
const TAINT: &[Flag] = &[flag("overwrite", "", Bool(false), "If true, allow taints to be overwritten.")];

const AUTH: &[Command] = &[
    command(
        "can-i",
        "VERB [TYPE | TYPE/NAME | NONRESOURCEURL]",
        "Check whether an action is allowed",
        &[CAN_I, EVERYWHERE],
        run!(cmd::info::can_i),
    ),
    command("whoami", "", "Experimental: Check self subject attributes", &[OUTPUT], run!(cmd::info::who_am_i)),
];

const SOURCES: &[Flag] = &[
    flag("from-literal", "", Array, "Specify a key and literal value to insert (i.e. mykey=somevalue)"),
    flag(
        "from-file",
        "",
        Array,
        "Key files can be specified using their file path, optionally as key=path, or a directory.",
    ),
    flag("from-env-file", "", Array, "Specify the path to a file to read lines of key=val pairs."),
    flag("append-hash", "", Bool(false), "Not supported."),
];
const SECRET_TYPE: &[Flag] = &[flag("type", "", Text(""), "The type of secret to create")];
const TLS: &[Flag] = &[
    flag("cert", "", Text(""), "Path to PEM encoded public key certificate."),
    flag("key", "", Text(""), "Path to private key associated with given certificate."),
];
const REGISTRY: &[Flag] = &[
    flag("docker-username", "", Text(""), "Username for Docker registry authentication"),
    flag("docker-password", "", Text(""), "Password for Docker registry authentication"),
    flag("docker-server", "", Text("https://index.docker.io/v1/"), "Server location for Docker registry"),
    flag("docker-email", "", Text(""), "Email for Docker registry"),
];
const DEPLOYMENT: &[Flag] = &[
    flag("image", "", List, "Image names to run."),
    flag("replicas", "r", Int(1), "Number of replicas to create."),
    flag("port", "", Int(-1), "The containerPort that this deployment exposes."),
];
const SERVICE: &[Flag] = &[
    flag("tcp", "", List, "Port pairs can be specified as '<port>:<targetPort>'."),
    flag("node-port", "", Int(0), "Port used to expose the service on each node in a cluster."),
    flag("clusterip", "", Text(""), "Assign your own ClusterIP or set to 'None' for a 'headless' service."),
    flag("external-name", "", Text(""), "External name of service"),
];
const ROLE: &[Flag] = &[
    flag("verb", "", List, "Verb that applies to the resources contained in the rule"),
    flag("resource", "", List, "Resource that the rule applies to"),
    flag("resource-name", "", Array, "Resource in the white list that the rule applies to"),
    flag("non-resource-url", "", List, "A partial url that user should have access to."),
];
const BINDING: &[Flag] = &[
    flag("clusterrole", "", Text(""), "ClusterRole this binding should reference"),
    flag("role", "", Text(""), "Role this binding should reference"),
    flag("user", "", Array, "Usernames to bind to the role."),
    flag("group", "", Array, "Groups to bind to the role."),
    flag("serviceaccount", "", Array, "Service accounts to bind to the role, in the format <namespace>:<name>."),
];
const TOKEN: &[Flag] = &[
    flag("audience", "", Array, "Audience of the requested token."),
    flag("duration", "", Duration("0s"), "Requested lifetime of the issued token."),
];
const RUN: &[Flag] = &[
    flag("image", "", Text(""), "The image for the container to run."),
    flag("env", "", Array, "Environment variables to set in the container."),
    flag("labels", "l", List, "Comma separated labels to apply to the pod."),
    flag("annotations", "", Array, "Annotations to apply to the pod."),
    flag("port", "", Text(""), "The port that this container exposes."),
    flag("restart", "", Text("Always"), "The restart policy for this Pod."),
    flag("command", "", Bool(false), "If true and extra arguments are present, use them as the 'command' field."),
    flag("image-pull-policy", "", Text(""), "The image pull policy for the container."),
    flag("stdin", "i", Bool(false), "Keep stdin open on the container in the pod."),
    flag("tty", "t", Bool(false), "Allocate a TTY for the container in the pod."),
    flag("leave-stdin-open", "", Bool(false), "Leave stdin open after the first attach completes."),
    flag("rm", "", Bool(false), "Not supported."),
    flag("attach", "", Bool(false), "Not supported."),
];
const EXPOSE: &[Flag] = &[
    flag("name", "", Text(""), "The name for the newly created object."),
    flag("port", "", Text(""), "The port that the service should serve on."),
    flag(
        "target-port",
        "",
        Text(""),
        "Name or number for the port on the container that the service should direct traffic to.",
    ),
    flag("protocol", "", Text(""), "The network protocol for the service to be created."),
    flag("type", "", Text(""), "Type for this service: ClusterIP, NodePort, LoadBalancer, or ExternalName."),
    flag("cluster-ip", "", Text(""), "ClusterIP to be assigned to the service."),
    flag("selector", "", Text(""), "A label selector to use for this service."),
];
const MAKING: &[&[Flag]] = &[SAVE, OUTPUT, DRY, VALIDATE, MANAGER];
const SAVE: &[Flag] = &[flag(
    "save-config",
    "",
    Bool(false),
    "If true, the configuration of current object will be saved in its annotation.",
)];

const SECRETS: &[Command] = &[
    command(
        "docker-registry",
        "NAME --docker-username=user --docker-password=password",
        "Create a secret for use with a Docker registry",
        &[REGISTRY, SAVE, OUTPUT, DRY, VALIDATE, MANAGER],
        run!(cmd::create::kinds::registry_secret),
    ),
    command(
        "generic",
        "NAME [--type=string] [--from-file=[key=]source] [--from-literal=key1=value1]",
        "Create a secret from a local file, directory, or literal value",
        &[SOURCES, SECRET_TYPE, SAVE, OUTPUT, DRY, VALIDATE, MANAGER],
        run!(cmd::create::kinds::secret),
    ),
    command(
        "tls",
        "NAME --cert=path/to/cert/file --key=path/to/key/file",
        "Create a TLS secret",
        &[TLS, SAVE, OUTPUT, DRY, VALIDATE, MANAGER],
        run!(cmd::create::kinds::tls_secret),
    ),
];
const SERVICES: &[Command] = &[
    command(
        "clusterip",
        "NAME [--tcp=<port>:<targetPort>]",
        "Create a ClusterIP service",
        &[SERVICE, SAVE, OUTPUT, DRY, VALIDATE, MANAGER],
        run!(cmd::create::kinds::service),
    ),
    command(
        "externalname",
        "NAME --external-name external.name",
        "Create an ExternalName service",
        &[SERVICE, SAVE, OUTPUT, DRY, VALIDATE, MANAGER],
        run!(cmd::create::kinds::service),
    ),
    command(
        "loadbalancer",
        "NAME [--tcp=port:targetPort]",
        "Create a LoadBalancer service",
        &[SERVICE, SAVE, OUTPUT, DRY, VALIDATE, MANAGER],
        run!(cmd::create::kinds::service),
    ),
    command(
        "nodeport",
        "NAME [--tcp=port:targetPort]",
        "Create a NodePort service",
        &[SERVICE, SAVE, OUTPUT, DRY, VALIDATE, MANAGER],
        run!(cmd::create::kinds::service),
    ),
];
const CREATES: &[Command] = &[
    command(
        "clusterrole",
        "NAME --verb=verb --resource=resource.group",
        "Create a cluster role",
        &[ROLE, SAVE, OUTPUT, DRY, VALIDATE, MANAGER],
        run!(cmd::create::kinds::role),
    ),
    command(
        "clusterrolebinding",
        "NAME --clusterrole=NAME [--user=username]",
        "Create a cluster role binding for a particular cluster role",
        &[BINDING, SAVE, OUTPUT, DRY, VALIDATE, MANAGER],
        run!(cmd::create::kinds::binding),
    ),
    Command {
        aliases: &["cm"],
        ..command(
            "configmap",
            "NAME [--from-file=[key=]source] [--from-literal=key1=value1]",
            "Create a config map from a local file, directory or literal value",
            &[SOURCES, SAVE, OUTPUT, DRY, VALIDATE, MANAGER],
            run!(cmd::create::kinds::config_map),
        )
    },
    Command {
        aliases: &["deploy"],
        ..command(
            "deployment",
            "NAME --image=image -- [COMMAND] [args...]",
            "Create a deployment with the specified name",
            &[DEPLOYMENT, SAVE, OUTPUT, DRY, VALIDATE, MANAGER],
            run!(cmd::create::kinds::deployment),
        )
    },
    Command {
        aliases: &["ns"],
        ..command(
            "namespace",
            "NAME",
            "Create a namespace with the specified name",
            MAKING,
            run!(cmd::create::kinds::namespace),
        )
    },
    command(
        "role",
        "NAME --verb=verb --resource=resource.group/subresource",
        "Create a role with single rule",
        &[ROLE, SAVE, OUTPUT, DRY, VALIDATE, MANAGER],
        run!(cmd::create::kinds::role),
    ),
    command(
        "rolebinding",
        "NAME --clusterrole=NAME|--role=NAME [--user=username]",
        "Create a role binding for a particular role or cluster role",
        &[BINDING, SAVE, OUTPUT, DRY, VALIDATE, MANAGER],
        run!(cmd::create::kinds::binding),
    ),
    group("secret", "Create a secret using a specified subcommand", SECRETS),
    Command { aliases: &["svc"], ..group("service", "Create a service using a specified subcommand", SERVICES) },
    Command {
        aliases: &["sa"],
        ..command(
            "serviceaccount",
            "NAME",
            "Create a service account with the specified name",
            MAKING,
            run!(cmd::create::kinds::service_account),
        )
    },
    command(
        "token",
        "SERVICE_ACCOUNT_NAME",
        "Request a service account token",
        &[TOKEN, OUTPUT],
        run!(cmd::create::kinds::token),
    ),
];

const VIEW: &[Flag] = &[
    flag("raw", "", Bool(false), "Display raw byte data and sensitive data"),
    flag("minify", "", Bool(false), "Remove all information not used by current-context from the output"),
    flag("flatten", "", Bool(false), "Not supported."),
    flag("merge", "", Bool(true), "Merge the full hierarchy of kubeconfig files"),
];
const CONTEXTS: &[Flag] = &[
    flag("output", "o", Text(""), "Output format. One of: (name)."),
    flag("no-headers", "", Bool(false), "When using the default or custom-column output format, don't print headers."),
];
const CURRENT: &[Flag] = &[flag("current", "", Bool(false), "Modify the current context")];

const CONFIG: &[Command] = &[
    command("current-context", "", "Display the current-context", &[], run!(cmd::config::current_context)),
    command(
        "get-contexts",
        "[(-o|--output=)name)]",
        "Describe one or many contexts",
        &[CONTEXTS],
        run!(cmd::config::get_contexts),
    ),
    command(
        "set-context",
        "[NAME | --current] [--cluster=cluster_nickname] [--user=user_nickname] [--namespace=namespace]",
        "Set a context entry in kubeconfig",
        &[CURRENT],
        run!(cmd::config::set_context),
    ),
    Command {
        aliases: &["use"],
        ..command(
            "use-context",
            "CONTEXT_NAME",
            "Set the current-context in a kubeconfig file",
            &[],
            run!(cmd::config::use_context),
        )
    },
    command(
        "view",
        "",
        "Display merged kubeconfig settings or a specified kubeconfig file",
        &[VIEW, OUTPUT],
        run!(cmd::config::view),
    ),
];

const EXPLAIN: &[Flag] = &[flag("recursive", "", Bool(false), "Not supported.")];

/// All commands.
pub static COMMANDS: &[Command] = &[
    Command {
        name: "create",
        aliases: &[],
        usage: "-f FILENAME",
        about: "Create a resource from a file or from stdin",
        flags: &[CREATE, OUTPUT, FILES, LABELS, DRY, VALIDATE, MANAGER],
        run: Some(run!(cmd::create::run)),
        sub: CREATES,
    },
    command(
        "expose",
        "(-f FILENAME | TYPE NAME) [--port=port] [--protocol=TCP|UDP|SCTP] [--target-port=number-or-name] [--name=name] [--type=type]",
        "Take a replication controller, service, deployment or pod and expose it as a new Kubernetes service",
        &[EXPOSE, SAVE, OUTPUT, DRY, MANAGER],
        run!(cmd::create::kinds::expose),
    ),
    command(
        "run",
        "NAME --image=image [--env=\"key=value\"] [--port=port] [--dry-run=server|client] [--command] -- [COMMAND] [args...]",
        "Run a particular image on the cluster",
        &[RUN, SAVE, OUTPUT, DRY, MANAGER],
        run!(cmd::create::kinds::run),
    ),
    group("set", "Set specific features on objects", SET),
    command(
        "explain",
        "TYPE [--recursive=FALSE|TRUE]",
        "Get documentation for a resource",
        &[EXPLAIN],
        run!(cmd::explain::run),
    ),
    command(
        "get",
        "[TYPE[.VERSION][.GROUP] [NAME | -l label] | TYPE/NAME ...]",
        "Display one or many resources",
        &[GET, OUTPUT, FILES, LABELS, FIELDS, EVERYWHERE, CHUNK],
        run!(cmd::get::run),
    ),
    command(
        "delete",
        "([-f FILENAME] | TYPE [(NAME | -l label | --all)])",
        "Delete resources by file names, stdin, resources and names, or by resources and label selector",
        &[DELETE, DELETING, OUTPUT, FILES, LABELS, FIELDS, EVERYWHERE, ALL, DRY],
        run!(cmd::delete::run),
    ),
    group("rollout", "Manage the rollout of a resource", ROLLOUT),
    command(
        "scale",
        "[--resource-version=version] [--current-replicas=count] --replicas=COUNT (-f FILENAME | TYPE NAME)",
        "Set a new size for a deployment, replica set, or replication controller",
        &[SCALE, OUTPUT, FILES, LABELS, ALL, DRY],
        run!(cmd::change::scale),
    ),
    command("cluster-info", "", "Display cluster information", &[], run!(cmd::info::cluster_info)),
    command("top", "", "Display resource (CPU/memory) usage", &[], run!(cmd::info::top)),
    command("cordon", "NODE", "Mark node as unschedulable", &[LABELS, DRY], run!(cmd::nodes::cordon)),
    command("uncordon", "NODE", "Mark node as schedulable", &[LABELS, DRY], run!(cmd::nodes::uncordon)),
    command(
        "drain",
        "NODE",
        "Drain node in preparation for maintenance",
        &[DRAIN, LABELS, DRY, CHUNK],
        run!(cmd::nodes::drain),
    ),
    command(
        "taint",
        "NODE NAME KEY_1=VAL_1:TAINT_EFFECT_1 ... KEY_N=VAL_N:TAINT_EFFECT_N",
        "Update the taints on one or more nodes",
        &[TAINT, OUTPUT, LABELS, ALL, DRY],
        run!(cmd::nodes::taint),
    ),
    command(
        "describe",
        "(-f FILENAME | TYPE [NAME_PREFIX | -l label] | TYPE/NAME)",
        "Show details of a specific resource or group of resources",
        &[DESCRIBE, FILES, LABELS, EVERYWHERE, CHUNK],
        run!(cmd::describe::run),
    ),
    command(
        "logs",
        "[-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]",
        "Print the logs for a container in a pod",
        &[LOGS, LABELS],
        run!(cmd::logs::run),
    ),
    command(
        "attach",
        "(POD | TYPE/NAME) -c CONTAINER",
        "Attach to a running container",
        &[EXEC],
        run!(cmd::exec::attach),
    ),
    command(
        "exec",
        "(POD | TYPE/NAME) [-c CONTAINER] [flags] -- COMMAND [args...]",
        "Execute a command in a container",
        &[EXEC, FILES],
        run!(cmd::exec::exec),
    ),
    command(
        "apply",
        "(-f FILENAME | -k DIRECTORY)",
        "Apply a configuration to a resource by file name or stdin",
        &[APPLY, OUTPUT, FILES, LABELS, ALL, DRY, VALIDATE, MANAGER, DELETING],
        run!(cmd::apply::run),
    ),
    command(
        "patch",
        "(-f FILENAME | TYPE NAME) [-p PATCH|--patch-file FILE]",
        "Update fields of a resource",
        &[PATCH, OUTPUT, FILES, DRY, MANAGER],
        run!(cmd::change::patch),
    ),
    command(
        "replace",
        "-f FILENAME",
        "Replace a resource by file name or stdin",
        &[OUTPUT, FILES, DRY, VALIDATE, MANAGER, DELETING],
        run!(cmd::change::replace),
    ),
    command(
        "wait",
        "([-f FILENAME] | resource.group/resource.name | resource.group [(-l label | --all)]) [--for=create|--for=delete|--for condition=available|--for=jsonpath='{}'[=value]]",
        "Wait for a specific condition on one or many resources",
        &[WAIT, OUTPUT, FILES, LABELS, FIELDS, EVERYWHERE, ALL],
        run!(cmd::wait::run),
    ),
    command(
        "label",
        "[--overwrite] (-f FILENAME | TYPE NAME) KEY_1=VAL_1 ... KEY_N=VAL_N [--resource-version=version]",
        "Update the labels on a resource",
        &[METADATA, OUTPUT, FILES, LABELS, FIELDS, EVERYWHERE, ALL, DRY, MANAGER],
        run!(cmd::change::label),
    ),
    command(
        "annotate",
        "[--overwrite] (-f FILENAME | TYPE NAME) KEY_1=VAL_1 ... KEY_N=VAL_N [--resource-version=version]",
        "Update the annotations on a resource",
        &[METADATA, OUTPUT, FILES, LABELS, FIELDS, EVERYWHERE, ALL, DRY, MANAGER],
        run!(cmd::change::annotate),
    ),
    command(
        "completion",
        "SHELL",
        "Output shell completion code for the specified shell (bash, zsh, fish, or powershell)",
        &[],
        run!(cmd::info::completion),
    ),
    command(
        "api-resources",
        "",
        "Print the supported API resources on the server",
        &[RESOURCES],
        run!(cmd::info::api_resources),
    ),
    command(
        "api-versions",
        "",
        "Print the supported API versions on the server, in the form of \"group/version\"",
        &[],
        run!(cmd::info::api_versions),
    ),
    group("config", "Modify kubeconfig files", CONFIG),
    command("version", "", "Print the client and server version information", &[VERSION], run!(cmd::info::version)),
    group("auth", "Inspect authorization", AUTH),
    command("options", "", "Print the list of flags inherited by all commands", &[], run!(cmd::info::options)),
];

/// All flags of a command, the global ones too; for tests.
#[cfg(test)]
pub fn flags_of(name: &str) -> Vec<Flag> {
    let own = COMMANDS.iter().filter(|command| command.name == name).flat_map(|command| command.flags.concat());
    own.chain(GLOBAL.iter().copied()).collect()
}
