//! `/healthz`, `/livez`, `/readyz`: a table of named checks; alone, with `?verbose`, or one by one (`/readyz/<check>`), in
//! upstream's format (apiserver, pkg/server/healthz).

use std::collections::BTreeSet;
use std::time::Duration;

use http::{Response, StatusCode};

use crate::answer;
use crate::request::{Body, Query};
use crate::state::Front;

/// A check: its name, whether only readiness depends on it, and how it is made.
struct Check {
    name: &'static str,
    ready_only: bool,
    run: for<'a> fn(&'a Front) -> futures::future::BoxFuture<'a, Result<(), String>>,
}

const STORE_PATIENCE: Duration = Duration::from_secs(2);

static CHECKS: &[Check] = &[
    Check { name: "ping", ready_only: false, run: |_| Box::pin(async { Ok(()) }) },
    Check { name: "log", ready_only: false, run: |_| Box::pin(async { Ok(()) }) },
    Check { name: "etcd", ready_only: false, run: |front| Box::pin(store(front)) },
    Check {
        name: "poststarthook/bootstrap",
        ready_only: true,
        run: |front| Box::pin(async { or(front.health.is_bootstrapped(), "not finished") }),
    },
    Check {
        name: "poststarthook/rbac/bootstrap-roles",
        ready_only: true,
        run: |front| Box::pin(async { or(front.health.is_bootstrapped(), "not finished") }),
    },
    Check {
        name: "informer-sync",
        ready_only: true,
        run: |front| Box::pin(async { or(front.auth.is_synced(), "policy caches not synced") }),
    },
    Check {
        name: "shutdown",
        ready_only: true,
        run: |front| Box::pin(async { or(!front.context.is_stopped(), "process is shutting down") }),
    },
];

fn or(good: bool, why: &str) -> Result<(), String> {
    if good { Ok(()) } else { Err(why.into()) }
}

async fn store(front: &Front) -> Result<(), String> {
    match tokio::time::timeout(STORE_PATIENCE, front.registry.storage().kv().revision()).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the store does not answer".into()),
    }
}

/// Answers `/<group>` or `/<group>/<check>`; `None` if there is no such check.
pub async fn answer(front: &Front, group: &str, one: Option<&str>, query: &Query) -> Option<Response<Body>> {
    let belongs = |check: &&Check| group == "readyz" || !check.ready_only;
    if let Some(name) = one {
        let check = CHECKS.iter().filter(belongs).find(|check| check.name == name)?;
        return Some(match (check.run)(front).await {
            Ok(()) => answer::text(StatusCode::OK, "ok"),
            Err(why) => {
                tracing::warn!(check = check.name, why, "health check failed");
                answer::text(StatusCode::INTERNAL_SERVER_ERROR, "internal server error: reason withheld\n".to_string())
            }
        });
    }
    let mut excluded: BTreeSet<&str> = query.all("exclude").collect();
    let mut results = Vec::new();
    for check in CHECKS.iter().filter(belongs) {
        if excluded.remove(check.name) {
            results.push((check.name, None));
        } else {
            results.push((check.name, Some((check.run)(front).await)));
        }
    }
    let (passed, report) = report(group, &results, &excluded);
    Some(match (passed, query.get("verbose").is_some()) {
        (true, false) => answer::text(StatusCode::OK, "ok"),
        (true, true) => answer::text(StatusCode::OK, report),
        (false, _) => answer::text(StatusCode::INTERNAL_SERVER_ERROR, report),
    })
}

type Outcome<'a> = (&'a str, Option<Result<(), String>>);

fn report(group: &str, results: &[Outcome<'_>], unknown: &BTreeSet<&str>) -> (bool, String) {
    let mut text = String::new();
    let mut passed = true;
    for (name, result) in results {
        match result {
            None => text.push_str(&format!("[+]{name} excluded: ok\n")),
            Some(Ok(())) => text.push_str(&format!("[+]{name} ok\n")),
            Some(Err(why)) => {
                tracing::warn!(check = name, why, "health check failed");
                passed = false;
                text.push_str(&format!("[-]{name} failed: reason withheld\n"));
            }
        }
    }
    if !unknown.is_empty() {
        let names: Vec<String> = unknown.iter().map(|name| format!("{name:?}")).collect();
        text.push_str(&format!("warn: some health checks cannot be excluded: no matches for {}\n", names.join(", ")));
    }
    text.push_str(&format!("{group} check {}\n", if passed { "passed" } else { "failed" }));
    (passed, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_have_upstreams_form() {
        let results = [("ping", Some(Ok(()))), ("etcd", Some(Err("disk".into()))), ("log", None)];
        let (passed, text) = report("livez", &results, &BTreeSet::from(["x"]));
        assert!(!passed);
        assert_eq!(
            text,
            "[+]ping ok\n[-]etcd failed: reason withheld\n[+]log excluded: ok\nwarn: some health checks cannot be excluded: no matches for \"x\"\nlivez check failed\n"
        );
        assert_eq!(
            report("readyz", &[("ping", Some(Ok(())))], &BTreeSet::new()),
            (true, "[+]ping ok\nreadyz check passed\n".into())
        );
    }
}
