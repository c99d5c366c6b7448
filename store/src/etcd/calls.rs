//! Counts calls under the names of etcd's interceptors (go-grpc-prometheus): begun and ended ones, by service, method and code.
//! Only methods that there are: nonsense in paths makes no new time series. Unlike there, messages that are too large or cannot be
//! decoded count, and so does what a learner refuses of KV.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body::{Frame, SizeHint};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};
use tonic::{Code, Status};

use super::forward::MARK as FORWARDED;
use super::front::is_grpc;

/// How many codes gRPC has, from 0 on.
const CODES: i32 = 17;
const UNARY: &str = "unary";
const SERVER_STREAM: &str = "server_stream";
const BIDI_STREAM: &str = "bidi_stream";

/// Services, and their methods with their types.
const SERVICES: &[(&str, &[(&str, &str)])] = &[
    (
        "etcdserverpb.KV",
        &[("Range", UNARY), ("Put", UNARY), ("DeleteRange", UNARY), ("Txn", UNARY), ("Compact", UNARY)],
    ),
    ("etcdserverpb.Watch", &[("Watch", BIDI_STREAM)]),
    (
        "etcdserverpb.Lease",
        &[
            ("LeaseGrant", UNARY),
            ("LeaseRevoke", UNARY),
            ("LeaseKeepAlive", BIDI_STREAM),
            ("LeaseTimeToLive", UNARY),
            ("LeaseLeases", UNARY),
        ],
    ),
    (
        "etcdserverpb.Cluster",
        &[
            ("MemberAdd", UNARY),
            ("MemberRemove", UNARY),
            ("MemberUpdate", UNARY),
            ("MemberList", UNARY),
            ("MemberPromote", UNARY),
        ],
    ),
    (
        "etcdserverpb.Maintenance",
        &[
            ("Alarm", UNARY),
            ("Status", UNARY),
            ("Defragment", UNARY),
            ("Hash", UNARY),
            ("HashKV", UNARY),
            ("Snapshot", SERVER_STREAM),
            ("MoveLeader", UNARY),
            ("Downgrade", UNARY),
        ],
    ),
    ("v3lockpb.Lock", &[("Lock", UNARY), ("Unlock", UNARY)]),
    (
        "v3electionpb.Election",
        &[("Campaign", UNARY), ("Proclaim", UNARY), ("Leader", UNARY), ("Observe", SERVER_STREAM), ("Resign", UNARY)],
    ),
    ("grpc.health.v1.Health", &[("Check", UNARY), ("Watch", SERVER_STREAM)]),
];

/// See the module's header.
pub(super) struct Calls {
    registry: Registry,
    /// By the path.
    methods: HashMap<String, Arc<Method>>,
}

struct Method {
    kind: &'static str,
    started: IntCounter,
    /// By the code's number: all of them from the start, so that the first one is an increase.
    handled: Vec<IntCounter>,
}

impl Calls {
    pub(super) fn new() -> Self {
        Self::register(Registry::new()).expect("constant names in an empty registry")
    }

    fn register(registry: Registry) -> prometheus::Result<Self> {
        let labels = ["grpc_type", "grpc_service", "grpc_method"];
        let started = IntCounterVec::new(Opts::new("grpc_server_started_total", "Calls begun."), &labels)?;
        let [kind, service, method] = labels;
        let labels = [kind, service, method, "grpc_code"];
        let handled = IntCounterVec::new(Opts::new("grpc_server_handled_total", "Calls ended, by code."), &labels)?;
        registry.register(Box::new(started.clone()))?;
        registry.register(Box::new(handled.clone()))?;
        let mut methods = HashMap::new();
        for (service, of_service) in SERVICES {
            for (name, kind) in *of_service {
                let ended = |code| handled.with_label_values(&[*kind, *service, *name, &said(Code::from_i32(code))]);
                let method = Method {
                    kind,
                    started: started.with_label_values(&[*kind, *service, *name]),
                    handled: (0..CODES).map(ended).collect(),
                };
                methods.insert(format!("/{service}/{name}"), Arc::new(method));
            }
        }
        Ok(Self { registry, methods })
    }

    /// All of it, as of now.
    pub(super) fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }

    /// A call begins; `None`: there is no such method, or another member hands on what it has counted itself.
    pub(super) fn begin<B>(&self, request: &Request<B>) -> Option<Call> {
        let method = self.methods.get(request.uri().path())?;
        if !is_grpc(request) || request.headers().contains_key(FORWARDED) {
            return None;
        }
        method.started.inc();
        let deadline = timeout(request.headers()).and_then(|timeout| Instant::now().checked_add(timeout));
        Some(Call { method: Arc::clone(method), code: None, deadline })
    }
}

/// A call under way. Counted as ended when it is dropped: if nobody has said how, its caller has given it up.
pub(super) struct Call {
    method: Arc<Method>,
    code: Option<Code>,
    /// When the caller does so by himself.
    deadline: Option<Instant>,
}

impl Call {
    /// The answer to it, which is watched to its end if it is a stream.
    pub(super) fn answered(mut self, response: Response) -> Response {
        match (code(response.headers()), self.method.kind) {
            // Said at once: nothing follows.
            (Some(code), _) => self.code = Some(code),
            (None, UNARY) => self.code = Some(Code::Ok),
            (None, _) => return response.map(|body| Body::new(Streamed { body, call: self })),
        }
        response
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let given_up = || match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Code::DeadlineExceeded,
            _ => Code::Cancelled,
        };
        let code = self.code.unwrap_or_else(given_up);
        if let Some(counter) = self.method.handled.get(code as usize) {
            counter.inc();
        }
    }
}

/// A stream of answers, which ends with a code.
struct Streamed {
    body: Body,
    call: Call,
}

impl HttpBody for Streamed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(code) = frame.trailers_ref().and_then(code)
        {
            self.call.code = Some(code);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn code(headers: &HeaderMap) -> Option<Code> {
    Status::from_header_map(headers).map(|status| status.code())
}

/// How long the caller waits (gRPC over HTTP/2: Timeout).
fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u32 = number.parse().ok()?;
    let unit = match unit {
        "H" => Duration::from_secs(3600),
        "M" => Duration::from_secs(60),
        "S" => Duration::from_secs(1),
        "m" => Duration::from_millis(1),
        "u" => Duration::from_micros(1),
        "n" => Duration::from_nanos(1),
        _ => return None,
    };
    unit.checked_mul(number)
}

/// As Go's gRPC names it.
fn said(code: Code) -> String {
    match code {
        Code::Ok => "OK".into(),
        Code::Cancelled => "Canceled".into(),
        code => format!("{code:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What ended, and how often, as `code count`.
    fn ended(calls: &Calls) -> Vec<String> {
        let families = calls.gather();
        let handled = families.iter().filter(|family| family.name() == "grpc_server_handled_total");
        let counters = handled.flat_map(|family| family.get_metric());
        let counters = counters.filter(|metric| metric.get_counter().get_value() > 0.0);
        let said = counters.map(|metric| {
            let label = |name: &str| metric.get_label().iter().find(|label| label.name() == name).unwrap().value();
            format!("{} {} {}", label("grpc_method"), label("grpc_code"), metric.get_counter().get_value())
        });
        said.collect()
    }

    #[test]
    fn calls_that_are_given_up_are_told_apart() {
        let request = |path: &str, headers: &[(&'static str, &'static str)]| {
            let mut request = Request::new(());
            *request.uri_mut() = path.parse().unwrap();
            for (name, value) in headers {
                request.headers_mut().insert(*name, value.parse().unwrap());
            }
            request
        };
        let (put, grpc) = ("/etcdserverpb.KV/Put", ("content-type", "application/grpc"));
        // (path, headers, what has ended)
        let table: [(&str, &[_], &[&str]); 9] = [
            (put, &[], &[]),
            ("/etcdserverpb.KV/Pot", &[grpc], &[]),
            (put, &[grpc, (FORWARDED, "1")], &[]),
            (put, &[grpc], &["Put Canceled 1"]),
            (put, &[grpc, ("grpc-timeout", "5H")], &["Put Canceled 1"]),
            (put, &[grpc, ("grpc-timeout", "99999999999S")], &["Put Canceled 1"]),
            (put, &[grpc, ("grpc-timeout", "")], &["Put Canceled 1"]),
            (put, &[grpc, ("grpc-timeout", "1n")], &["Put DeadlineExceeded 1"]),
            ("/etcdserverpb.Watch/Watch", &[grpc], &["Watch Canceled 1"]),
        ];
        for (path, headers, expected) in table {
            let calls = Calls::new();
            drop(calls.begin(&request(path, headers)));
            assert_eq!(ended(&calls), expected, "{path} {headers:?}");
        }
    }

    #[test]
    fn an_answer_says_how_a_call_ended() {
        let calls = Calls::new();
        let grpc = |path: &str| {
            let mut request = Request::new(());
            *request.uri_mut() = path.parse().unwrap();
            request.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
            calls.begin(&request).unwrap()
        };
        let refused = || Status::not_found("no").into_http::<Body>();
        drop(grpc("/etcdserverpb.KV/Put").answered(Response::default()));
        drop(grpc("/etcdserverpb.KV/Put").answered(refused()));
        drop(grpc("/etcdserverpb.Watch/Watch").answered(refused()));
        let stream = grpc("/etcdserverpb.Watch/Watch").answered(Response::default());
        assert_eq!(ended(&calls), ["Put NotFound 1", "Watch NotFound 1", "Put OK 1"]);
        drop(stream);
        assert!(ended(&calls).contains(&"Watch Canceled 1".to_owned()));
    }
}
