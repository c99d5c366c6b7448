//! `logs` (kubectl, pkg/cmd/logs): of a pod, of a workload's pods, of all that a selector finds; one after the other, or all at
//! once while they are followed.

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use http::Request;
use serde_json::Value;

use crate::command::{Call, Command, command, run};
use crate::common::LABELS;
use crate::error::{Error, Result, fail};
use crate::flags::Takes::{Bool, Duration, Int, Text};
use crate::flags::{Flag, flag};
use crate::locate::{self, Options, Target};
use crate::pods;
use crate::session::{JSON, Session, say, with_query};
use crate::watch::Lines;

const FLAGS: &[Flag] = &[
    flag("follow", "f", Bool(false), "Go on with what comes."),
    flag("previous", "p", Bool(false), "The log of the container's run before this one."),
    flag("container", "c", Text(""), "The container."),
    flag("all-containers", "", Bool(false), "All containers of the pods."),
    flag("all-pods", "", Bool(false), "All pods of the workload, with a prefix."),
    flag("tail", "", Int(-1), "Only so many last lines; with a selector 10 unless said."),
    flag("since", "", Duration("0s"), "Only what is not older than this."),
    flag("since-time", "", Text(""), "Only what came after this moment (RFC 3339)."),
    flag("timestamps", "", Bool(false), "The time before each line."),
    flag("prefix", "", Bool(false), "Pod and container before each line."),
    flag("limit-bytes", "", Int(0), "At most so many bytes."),
    flag("max-log-requests", "", Int(5), "How many logs may be followed at once."),
    flag("ignore-errors", "", Bool(false), "Go on when one of several logs fails."),
    flag("insecure-skip-tls-verify-backend", "", Bool(false), "Do not check the kubelet's certificate."),
    flag("pod-running-timeout", "", Duration("20s"), "How long to wait for a pod of a workload."),
];

/// `logs`.
pub const COMMAND: Command = command(
    "logs",
    "[-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]",
    "Print the logs for a container in a pod",
    FLAGS,
    &[LABELS],
    run!(run),
);

const EXPECTED: &str = "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or TYPE/NAME is a required argument for the logs command";

/// One container's log.
struct Source {
    namespace: String,
    pod: String,
    container: String,
}

async fn run(call: Call) -> Result<()> {
    let session = &call.session;
    let flags = &session.flags;
    let selector = flags.text("selector");
    let mut asked = flags.text("container").to_string();
    match (call.args.as_slice(), selector) {
        ([], "") => return Err(call.usage(EXPECTED)),
        ([_], "") | ([], _) => {}
        ([_], _) => return Err(call.usage("only a selector (-l) or a POD name is allowed")),
        ([_, container], "") => {
            if !asked.is_empty() {
                return Err(call.usage("only one of -c or an inline [CONTAINER] arg is allowed"));
            }
            asked = container.clone();
        }
        _ => return Err(call.usage(EXPECTED)),
    }
    if flags.given("since") && flags.given("since-time") {
        return Err(fail!("at most one of `sinceTime` or `sinceSeconds` may be specified"));
    }
    if flags.int("tail") < -1 {
        return Err(fail!("--tail must be greater than or equal to -1"));
    }
    let sources = sources(session, &call.args, selector, &asked).await?;
    let follow = flags.is("follow");
    let most = flags.int("max-log-requests");
    if follow && sources.len() > 1 && sources.len() as i64 > most {
        let count = sources.len();
        return Err(fail!(
            "you are attempting to follow {count} log streams, but maximum allowed concurrency is {most}, use --max-log-requests to increase the limit"
        ));
    }
    let prefix = flags.is("prefix") || flags.is("all-pods");
    if !follow || sources.len() == 1 {
        for source in &sources {
            copy(session, source, prefix).await?;
        }
        return Ok(());
    }
    let mut all: FuturesUnordered<_> = sources.iter().map(|source| copy(session, source, prefix)).collect();
    while let Some(ended) = all.next().await {
        ended?;
    }
    Ok(())
}

async fn sources(session: &Session, words: &[String], selector: &str, asked: &str) -> Result<Vec<Source>> {
    let mut chosen: Vec<Value> = Vec::new();
    if let Some(word) = words.first() {
        let found =
            locate::one(session, std::slice::from_ref(word), "pods").await.map_err(|error| missing(session, error))?;
        let title = found.title();
        let mut all = pods::of(session, found).await?;
        let count = all.len();
        if session.flags.is("all-pods") {
            chosen = all;
        } else if count > 1 {
            let best = pods::best(std::mem::take(&mut all), pods::Purpose::Logs).unwrap_or_default();
            eprintln!("Found {count} pods, using pod/{}", api::object::name(&best));
            chosen.push(best);
        } else if all.is_empty() {
            return Err(fail!("timed out waiting for the condition on {title}"));
        } else {
            chosen = all;
        }
    } else {
        let resource = session.resources().await?.find("pods")?;
        let options = Options { labels: selector.into(), ..Options::default() };
        let target = Target { resource: resource.clone(), namespace: session.namespace()?, name: None };
        for page in locate::fetch(session, &target, &options, JSON, &[]).await? {
            chosen.extend(locate::unlist(&resource, page).into_iter().map(|found| found.object));
        }
        if chosen.is_empty() {
            eprintln!("No resources found in {} namespace.", session.namespace()?);
        }
    }
    let mut sources = Vec::new();
    for pod in &chosen {
        let names = match session.flags.is("all-containers") {
            true => in_log_order(pod),
            false => vec![logged(pod, asked)?],
        };
        sources.extend(names.into_iter().map(|container| Source {
            namespace: api::object::namespace(pod).to_string(),
            pod: api::object::name(pod).to_string(),
            container,
        }));
    }
    Ok(sources)
}

/// A pod that does not exist is told with its namespace.
fn missing(session: &Session, error: Error) -> Error {
    match &error {
        Error::Status(status) if status.is("NotFound") => {
            let namespace = session.namespace().unwrap_or_default();
            fail!("error from server (NotFound): {} in namespace {namespace:?}", status.message)
        }
        _ => error,
    }
}

/// Logs of all containers begin with those that ran first.
fn in_log_order(pod: &Value) -> Vec<String> {
    let mut all = pods::containers(pod);
    all.sort_by_key(|(list, _)| ["init", "", "ephem"].iter().position(|known| known == list));
    all.into_iter().map(|(_, name)| name).collect()
}

/// The server judges the name asked for, but here is said what there is instead.
fn logged(pod: &Value, asked: &str) -> Result<String> {
    if !asked.is_empty() && !pods::containers(pod).iter().any(|(_, name)| name == asked) {
        return Err(fail!("container {asked} is not valid for pod {}", api::object::name(pod)));
    }
    pods::container(pod, asked, false)
}

/// Path and query of a log.
fn path(session: &Session, source: &Source) -> Result<String> {
    let flags = &session.flags;
    let yes = |name: &str| if flags.is(name) { "true" } else { "" };
    let tail = match flags.int("tail") {
        -1 if flags.some("selector").is_some() && !flags.given("tail") => "10".to_string(),
        -1 => String::new(),
        lines => lines.to_string(),
    };
    let since = match flags.duration("since").as_secs() {
        0 => String::new(),
        seconds => seconds.to_string(),
    };
    let limit = match flags.int("limit-bytes") {
        0 => String::new(),
        bytes => bytes.to_string(),
    };
    let pairs = [
        ("container", source.container.as_str()),
        ("follow", yes("follow")),
        ("insecureSkipTLSVerifyBackend", yes("insecure-skip-tls-verify-backend")),
        ("limitBytes", &limit),
        ("previous", yes("previous")),
        ("sinceSeconds", &since),
        ("sinceTime", flags.text("since-time")),
        ("tailLines", &tail),
        ("timestamps", yes("timestamps")),
    ];
    let path = format!("/api/v1/namespaces/{}/pods/{}/log", source.namespace, source.pod);
    Ok(with_query(&path, &pairs))
}

/// Copies one log to stdout.
async fn copy(session: &Session, source: &Source, prefix: bool) -> Result<()> {
    let path = path(session, source)?;
    let request = Request::builder().uri(&path).header("accept", "application/json, */*").body(Bytes::new());
    let request = request.map_err(|error| fail!("invalid request {path}: {error}"))?;
    let answer = session.client()?.stream(request).await;
    let answer = match answer.map_err(|error| session.unreachable(error)) {
        Err(error @ Error::Status(_)) if session.flags.is("ignore-errors") => {
            eprintln!("error: {error}");
            return Ok(());
        }
        other => other?,
    };
    let mut lines = Lines::new(answer.into_body());
    let mark = if prefix { format!("[pod/{}/{}] ", source.pod, source.container) } else { String::new() };
    while let Some(line) = lines.next().await? {
        say(&format!("{mark}{}", String::from_utf8_lossy(&line)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags;

    fn asked(line: &str) -> String {
        let table: Vec<Flag> = COMMAND.all_flags().copied().collect();
        let words: Vec<String> = line.split_whitespace().map(str::to_string).collect();
        let session = Session::new(flags::parse(&table, &words).unwrap().flags);
        let source = Source { namespace: "n".into(), pod: "p".into(), container: "c".into() };
        path(&session, &source).unwrap()
    }

    #[test]
    fn flags_become_parameters() {
        let start = "/api/v1/namespaces/n/pods/p/log?container=c";
        for (line, more) in [
            ("", ""),
            ("-f", "&follow=true"),
            ("-p --timestamps", "&previous=true&timestamps=true"),
            ("--tail=0", "&tailLines=0"),
            ("--tail=5 --since=1m", "&sinceSeconds=60&tailLines=5"),
            ("-l a=b", "&tailLines=10"),
            ("-l a=b --tail=-1", ""),
            ("--since-time=2024-01-01T00:00:00Z", "&sinceTime=2024-01-01T00%3A00%3A00Z"),
        ] {
            assert_eq!(asked(line), format!("{start}{more}"), "{line}");
        }
    }
}
