//! `run` (kubectl, pkg/cmd/run): one pod, perhaps attached to, perhaps gone afterwards.

use serde_json::{Value, json};

use super::create::{metadata, submit};
use crate::command::{Call, Command, command, run};
use crate::common::{DELETING, DRY, PRINT, RUNNING, SAVE, TERMINAL, manager};
use crate::error::{Result, fail};
use crate::flags::Takes::{Array, Bool, Text};
use crate::flags::{Flag, Flags, flag, refused};
use crate::overrides::{OVERRIDES, overridden};
use crate::pairs::map_of;

const FLAGS: &[Flag] = &[
    manager("kubectl-run"),
    flag("annotations", "", Array, "Annotations of the pod."),
    flag("attach", "", Bool(false), "Attach to the pod when it runs; implied by -i."),
    flag("command", "", Bool(false), "The words are the command and not its arguments."),
    flag("env", "", Array, "NAME=VALUE for the container."),
    flag("expose", "", Bool(false), "Make a Service for the port, too."),
    refused("filename", "f", crate::flags::Takes::List, "use create -f"),
    crate::common::KUSTOMIZE,
    refused("recursive", "R", Bool(false), "use create -f"),
    flag("image", "", Text(""), "The container's image. Required."),
    flag("image-pull-policy", "", Text(""), "Always, IfNotPresent or Never."),
    flag("labels", "l", Text(""), "Labels of the pod."),
    flag("leave-stdin-open", "", Bool(false), "Leave standard input open when the first to attach has gone."),
    flag("port", "", Text(""), "Port of the container."),
    flag("privileged", "", Bool(false), "A privileged container."),
    flag("restart", "", Text("Always"), "Always, OnFailure or Never."),
    flag("rm", "", Bool(false), "Delete the pod when it has ended; for attached ones."),
    flag("wait", "", Bool(false), "Wait until a pod deleted by --rm is gone."),
];

/// `run`.
pub const COMMAND: Command = command(
    "run",
    "NAME --image=image [--env=\"key=value\"] [--port=port] [--dry-run=server|client] [--overrides=inline-json] [--command] -- [COMMAND] [args...]",
    "Run a particular image on the cluster",
    FLAGS,
    &[TERMINAL, OVERRIDES, DELETING, RUNNING, SAVE, PRINT, DRY],
    run!(run),
);

async fn run(call: Call) -> Result<()> {
    let flags = &call.session.flags;
    if flags.some("image").is_none() {
        return Err(fail!("required flag(s) \"image\" not set"));
    }
    let Some((name, words)) = call.args.split_first() else { return Err(call.usage("NAME is required for run")) };
    let object = overridden(pod(name, metadata(&call, name)?, flags, words)?, flags)?;
    submit(&call, object, "", "created").await
}

/// The pod of `run`.
fn pod(name: &str, metadata: Value, flags: &Flags, words: &[String]) -> Result<Value> {
    let Some(image) = flags.some("image") else { return Err(fail!("required flag(s) \"image\" not set")) };
    let mut container = json!({"image": image, "name": name, "resources": {}});
    if !words.is_empty() {
        container[if flags.is("command") { "command" } else { "args" }] = json!(words);
    }
    if let Some(port) = flags.some("port") {
        let port: i64 = port.parse().map_err(|_| fail!("strconv.ParseInt: parsing {port:?}: invalid syntax"))?;
        container["ports"] = json!([{"containerPort": port}]);
    }
    let env = flags.list("env").iter().map(|pair| {
        let (name, value) =
            pair.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(|| fail!("invalid env: {pair}"))?;
        Ok(if value.is_empty() { json!({"name": name}) } else { json!({"name": name, "value": value}) })
    });
    let env: Vec<Value> = env.collect::<Result<_>>()?;
    if !env.is_empty() {
        container["env"] = json!(env);
    }
    for (flag, field) in [("stdin", "stdin"), ("tty", "tty")] {
        if flags.is(flag) {
            container[field] = json!(true);
        }
    }
    if flags.is("stdin") && !flags.is("leave-stdin-open") {
        container["stdinOnce"] = json!(true);
    }
    if let Some(policy) = flags.some("image-pull-policy") {
        container["imagePullPolicy"] = json!(policy);
    }
    let restart = flags.text("restart");
    if !["Always", "OnFailure", "Never"].contains(&restart) {
        return Err(fail!("invalid restart policy: {restart}"));
    }
    let mut meta = metadata;
    meta["labels"] = match flags.list("labels") {
        [] => json!({"run": name}),
        pairs => map_of(pairs)?,
    };
    if !flags.list("annotations").is_empty() {
        meta["annotations"] = map_of(flags.list("annotations"))?;
    }
    Ok(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": meta,
        "spec": {"containers": [container], "dnsPolicy": "ClusterFirst", "restartPolicy": restart}, "status": {},
    }))
}
