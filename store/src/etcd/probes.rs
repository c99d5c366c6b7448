//! Whether this member is well: /livez (is it to be started again?), /readyz (may it be asked?), and /health, the older one
//! that says both in JSON. etcd: server/etcdserver/api/etcdhttp/health.go.

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use proto::log::AlarmKind;

use super::Service;
use super::errors::status;
use crate::kv::{Error, Kv, Range};

/// What a probe may ask for, as often as it likes.
type Asked = Query<Vec<(String, String)>>;

/// One thing that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    /// No alarm CORRUPT.
    DataCorruption,
    /// This member reads what it has.
    SerializableRead,
    /// It reads what the cluster has.
    LinearizableRead,
    /// It has a vote: a learner is not to be asked.
    NonLearner,
}

/// No quorum, and no room, is made by starting a member again.
const LIVEZ: &[Check] = &[Check::SerializableRead];
const READYZ: &[Check] = &[Check::DataCorruption, Check::SerializableRead, Check::LinearizableRead, Check::NonLearner];

impl Check {
    fn name(self) -> &'static str {
        match self {
            Self::DataCorruption => "data_corruption",
            Self::SerializableRead => "serializable_read",
            Self::LinearizableRead => "linearizable_read",
            Self::NonLearner => "non_learner",
        }
    }

    async fn look(self, service: &Service) -> Result<(), String> {
        match self {
            Self::DataCorruption if raised(service).contains(&AlarmKind::AlarmCorrupt) => {
                Err("alarm activated: CORRUPT".into())
            }
            Self::SerializableRead => read(service, true).await.map_err(|error| format!("range error: {error}")),
            Self::LinearizableRead => read(service, false).await.map_err(|error| format!("range error: {error}")),
            Self::NonLearner if service.store.is_learner() => Err("not supported for learner".into()),
            Self::DataCorruption | Self::NonLearner => Ok(()),
        }
    }
}

/// All paths.
pub(super) fn routes() -> Router<Service> {
    let mut routes = Router::new().route("/health", any(health));
    for (root, checks) in [("/livez", LIVEZ), ("/readyz", READYZ)] {
        let all = move |State(service): State<Service>, method: Method, Query(asked): Asked| async move {
            let left_out =
                |check: &&Check| asked.iter().any(|(name, value)| name == "exclude" && value == check.name());
            let checks: Vec<Check> = checks.iter().filter(|check| !left_out(check)).copied().collect();
            answer(&service, &method, &asked, &checks).await
        };
        routes = routes.route(root, any(all));
        for check in checks {
            let one = move |State(service): State<Service>, method: Method, Query(asked): Asked| async move {
                answer(&service, &method, &asked, &[*check]).await
            };
            routes = routes.route(&format!("{root}/{}", check.name()), any(one));
        }
    }
    routes
}

async fn answer(service: &Service, method: &Method, asked: &[(String, String)], checks: &[Check]) -> Response {
    if method != Method::GET {
        return not_allowed();
    }
    let (mut text, mut well) = (String::new(), true);
    for check in checks {
        match check.look(service).await {
            Ok(()) => text.push_str(&format!("[+]{} ok\n", check.name())),
            Err(why) => {
                well = false;
                text.push_str(&format!("[-]{} failed: {why}\n", check.name()));
            }
        }
    }
    if !well {
        // A line of its own ends an error.
        return plain(StatusCode::SERVICE_UNAVAILABLE, text + "\n");
    }
    let verbose = asked.iter().any(|(name, _)| name == "verbose");
    plain(StatusCode::OK, if verbose { text + "ok\n" } else { "ok\n".into() })
}

async fn health(State(service): State<Service>, method: Method, Query(asked): Asked) -> Response {
    if method != Method::GET {
        return not_allowed();
    }
    let excluded = |name: &str| asked.iter().any(|(key, value)| key == "exclude" && value == name);
    let first = asked.iter().find(|(name, _)| name == "serializable");
    let local = first.is_some_and(|(_, value)| value == "true");
    match ailment(&service, excluded, local).await {
        None => plain(StatusCode::OK, r#"{"health":"true","reason":""}"#.into()),
        Some(reason) => {
            let reason = reason.replace('\\', "\\\\").replace('"', "\\\"");
            let body = format!("{{\"health\":\"false\",\"reason\":\"{reason}\"}}\n");
            plain(StatusCode::SERVICE_UNAVAILABLE, body)
        }
    }
}

/// Why the member (`local`), or the cluster behind it, is not healthy; `None` if it is.
async fn ailment(service: &Service, excluded: impl Fn(&str) -> bool, local: bool) -> Option<String> {
    let named = |kind| match kind {
        AlarmKind::AlarmNoSpace => "NOSPACE",
        AlarmKind::AlarmCorrupt => "CORRUPT",
        AlarmKind::AlarmNone => "UNKNOWN",
    };
    if let Some(alarm) = raised(service).into_iter().map(named).find(|alarm| !excluded(alarm)) {
        return Some(format!("ALARM {alarm}"));
    }
    if !local && service.store.leader().is_none() {
        return Some("RAFT NO LEADER".into());
    }
    read(service, local).await.err().map(|error| format!("RANGE ERROR:{error}"))
}

fn raised(service: &Service) -> Vec<AlarmKind> {
    service.store.alarms().iter().map(|alarm| alarm.kind()).collect()
}

/// Reads a key, from here or through the quorum. That CORRUPT closes the keys is for others to say.
async fn read(service: &Service, local: bool) -> Result<(), String> {
    let key = bytes::Bytes::from_static(b"\0");
    let range = Range { key, limit: 1, keys_only: true, serializable: true, ..Range::default() };
    let read = async {
        if !local {
            service.store.revision().await?;
        }
        match service.store.range(range).await {
            Err(Error::CorruptCluster) => Ok(()),
            other => other.map(drop),
        }
    };
    read.await.map_err(|error| status(error).message().to_owned())
}

fn plain(code: StatusCode, text: String) -> Response {
    (code, [(header::X_CONTENT_TYPE_OPTIONS, "nosniff")], text).into_response()
}

fn not_allowed() -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET")], "Method Not Allowed\n").into_response()
}
