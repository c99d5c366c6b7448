//! `run` (kubectl, pkg/cmd/run): one pod, perhaps attached to, perhaps gone afterwards.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::create::{metadata, submit_to};
use crate::command::{Call, Command, command, run};
use crate::common::{DELETING, DRY, PRINT, RUNNING, SAVE, TERMINAL, manager};
use crate::error::{Error, Result, fail};
use crate::flags::Takes::{Array, Bool, Text};
use crate::flags::{Flag, Flags, flag, refused};
use crate::locate::Found;
use crate::overrides::{OVERRIDES, overridden};
use crate::pairs::map_of;
use crate::remote;
use crate::removal::{Removal, gone};
use crate::session::{line, say};
use crate::watch::{Lines, follow};
use crate::write::{DryRun, Report, Write};

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
    let attach = flags.is("attach") || !flags.given("attach") && flags.is("stdin");
    refuse(&call, attach)?;
    let object = overridden(pod(name, metadata(&call, name)?, flags, words)?, flags)?;
    let mut report = Report::of(flags)?;
    if flags.is("expose") {
        let service = service(name, metadata(&call, name)?, flags)?;
        submit_to(&mut report, &call, service, "", "created").await?;
    }
    if !attach {
        return submit_to(&mut report, &call, object, "", "created").await;
    }
    let pods = call.session.resources().await?.find("pods")?;
    let write = Write::of(flags)?;
    let created = write.create(&call.session, &pods, &call.session.namespace()?, &object).await?;
    let created = Found::live(&pods, created);
    let ended = attached(&call, &created).await;
    if flags.is("rm") {
        let removal = Removal { dry: DryRun::No, ..Removal::of(flags)? };
        let uid = removal.delete(&call.session, &created.target()).await?;
        if !flags.is("quiet") {
            line(&format!("pod {:?} deleted", created.name));
        }
        if flags.is("wait") {
            gone(&call.session, &created.target(), &uid, None).await?;
        }
    }
    ended
}

fn refuse(call: &Call, attach: bool) -> Result<()> {
    let flags = &call.session.flags;
    let policy = flags.text("image-pull-policy");
    if !["", "Always", "IfNotPresent", "Never"].contains(&policy) {
        return Err(call.usage(&format!("invalid image pull policy: {policy}")));
    }
    if flags.is("tty") && !flags.is("stdin") {
        return Err(call.usage("-i/--stdin is required for containers with -t/--tty=true"));
    }
    if flags.is("expose") && flags.some("port").is_none() {
        return Err(call.usage("--port must be set when exposing a service"));
    }
    if !["Always", "OnFailure", "Never"].contains(&flags.text("restart")) {
        return Err(call.usage(&format!("invalid restart policy: {}", flags.text("restart"))));
    }
    if flags.is("rm") && !attach {
        return Err(call.usage("--rm should only be used for attached containers"));
    }
    if (attach || flags.is("tty")) && DryRun::of(flags)? != DryRun::No {
        return Err(call.usage(
            "--dry-run=[server|client] can't be used with attached containers options (--attach, --stdin, or --tty)",
        ));
    }
    Ok(())
}

/// Waits for the pod, attaches to it or shows its log, and fails as its container did.
async fn attached(call: &Call, created: &Found) -> Result<()> {
    let session = &call.session;
    let limit = Duration::try_from(session.flags.duration("pod-running-timeout")).unwrap_or_default();
    let phase = |pod: &Value| api::object::text(pod, "/status/phase").to_string();
    let mut pod = Value::Null;
    let target = created.target();
    let running = follow(session, &target, |now| {
        pod = now.cloned().unwrap_or_default();
        Ok(["Running", "Succeeded", "Failed"].contains(&phase(&pod).as_str()))
    });
    let waited = tokio::time::timeout(limit, running).await;
    waited.unwrap_or_else(|_| Err(fail!("timed out waiting for the condition")))?;
    let mut over = phase(&pod) != "Running";
    if !over && let Err(error) = remote::attach(session, &pod).await {
        let why = format!("unable to upgrade connection: {error}");
        eprintln!("warning: couldn't attach to pod/{}, falling back to streaming logs: {why}", created.name);
        over = true;
    }
    if over {
        let request = http::Request::builder().uri(format!("{}/log?follow=true", created.path())).body(Bytes::new());
        let request = request.map_err(|error| fail!("{error}"))?;
        let answer = session.client()?.stream(request).await.map_err(|error| session.unreachable(error))?;
        let mut lines = Lines::new(answer.into_body());
        while let Some(line) = lines.next().await? {
            say(&String::from_utf8_lossy(&line));
        }
    }
    let policy = api::object::text(&pod, "/spec/restartPolicy");
    if session.flags.is("leave-stdin-open") || policy == "Always" {
        return Ok(());
    }
    follow(session, &target, |now| {
        pod = now.cloned().unwrap_or_default();
        Ok(["Succeeded", "Failed"].contains(&phase(&pod).as_str()))
    })
    .await?;
    outcome(&pod)
}

/// How an ended pod ended.
fn outcome(pod: &Value) -> Result<()> {
    if api::object::text(pod, "/status/phase") == "Succeeded" {
        return Ok(());
    }
    let title = format!("{}/{}", api::object::namespace(pod), api::object::name(pod));
    let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    match ended["exitCode"].as_i64().and_then(|code| i32::try_from(code).ok()) {
        None | Some(0) => Err(fail!("pod {title} failed with unknown exit code")),
        Some(code) => {
            let part = |pointer: &str| api::object::text(ended, pointer);
            let said = format!("pod {title} terminated ({})\n{}", part("/reason"), part("/message"));
            Err(Error::Exit(code, said))
        }
    }
}

/// The Service of `--expose`.
fn service(name: &str, metadata: Value, flags: &Flags) -> Result<Value> {
    let port = port(flags)?;
    let ports = json!([{"port": port, "protocol": "TCP", "targetPort": port}]);
    Ok(json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata,
        "spec": {"ports": ports, "selector": {"run": name}}, "status": {"loadBalancer": {}}}))
}

fn port(flags: &Flags) -> Result<Value> {
    let text = flags.text("port");
    let number: i64 = text.parse().map_err(|_| fail!("strconv.Atoi: parsing {text:?}: invalid syntax"))?;
    Ok(json!(number))
}

/// The pod of `run`.
fn pod(name: &str, metadata: Value, flags: &Flags, words: &[String]) -> Result<Value> {
    let mut container = json!({"image": flags.text("image"), "name": name, "resources": {}});
    if !words.is_empty() {
        container[if flags.is("command") { "command" } else { "args" }] = json!(words);
    }
    if flags.some("port").is_some() {
        container["ports"] = json!([{"containerPort": port(flags)?}]);
    }
    if flags.is("privileged") {
        container["securityContext"] = json!({"privileged": true});
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
    let mut meta = metadata;
    meta["labels"] = match flags.some("labels") {
        None => json!({"run": name}),
        Some(pairs) => map_of(&[pairs.to_string()])?,
    };
    if !flags.list("annotations").is_empty() {
        meta["annotations"] = map_of(flags.list("annotations"))?;
    }
    Ok(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": meta,
        "spec": {"containers": [container], "dnsPolicy": "ClusterFirst", "restartPolicy": flags.text("restart")}, "status": {},
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::parse;

    fn made(line: &str, words: &[&str]) -> Result<Value> {
        let table: Vec<Flag> = COMMAND.all_flags().copied().collect();
        let given: Vec<String> = line.split_whitespace().map(str::to_string).collect();
        let words: Vec<String> = words.iter().map(|word| word.to_string()).collect();
        pod("p", json!({"name": "p"}), &parse(&table, &given).unwrap().flags, &words)
    }

    #[test]
    fn pods_are_made_of_flags() {
        let pod =
            made("--image=i --port=80 --env=A=1 --labels=a=b --restart=Never -it --privileged", &["x", "y"]).unwrap();
        assert_eq!(
            pod["spec"]["containers"][0],
            json!({"name": "p", "image": "i", "args": ["x", "y"], "ports": [{"containerPort": 80}], "env": [{"name": "A", "value": "1"}],
                "stdin": true, "stdinOnce": true, "tty": true, "resources": {}, "securityContext": {"privileged": true}})
        );
        assert_eq!((&pod["metadata"]["labels"], &pod["spec"]["restartPolicy"]), (&json!({"a": "b"}), &json!("Never")));
        assert_eq!(made("--image=i --command", &["x"]).unwrap()["spec"]["containers"][0]["command"], json!(["x"]));
        assert!(made("--image=i --port=x", &[]).is_err() && made("--image=i --env=x", &[]).is_err());
    }

    #[test]
    fn a_failed_pod_hands_on_its_exit_code() {
        let pod = |phase: &str, ended: Value| json!({"metadata": {"name": "p", "namespace": "n"}, "status": {"phase": phase, "containerStatuses": [{"state": {"terminated": ended}}]}});
        assert!(outcome(&pod("Succeeded", Value::Null)).is_ok());
        let error = outcome(&pod("Failed", json!({"exitCode": 3, "reason": "Error"}))).unwrap_err();
        assert_eq!((error.code(), error.to_string().as_str()), (3, "pod n/p terminated (Error)\n"));
        assert_eq!(
            outcome(&pod("Failed", Value::Null)).unwrap_err().to_string(),
            "pod n/p failed with unknown exit code"
        );
    }
}
