//! Counts calls under the names of etcd's interceptors (go-grpc-prometheus): begun and ended ones, by service, method and code.
//! Only methods that there are: nonsense in paths makes no new time series.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, HttpBody};
use axum::response::Response;
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};
use tonic::{Code, Status};

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
    service: &'static str,
    name: &'static str,
    started: IntCounter,
    /// Most calls are this.
    ok: IntCounter,
    handled: IntCounterVec,
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
                let method = Method {
                    kind,
                    service,
                    name,
                    started: started.with_label_values(&[*kind, *service, *name]),
                    ok: handled.with_label_values(&[*kind, *service, *name, "OK"]),
                    handled: handled.clone(),
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

    /// A call of this path begins; `None`: there is no such method.
    pub(super) fn begin(&self, path: &str) -> Option<Call> {
        let method = self.methods.get(path)?;
        method.started.inc();
        Some(Call { method: Arc::clone(method), code: Code::Cancelled })
    }
}

/// A call under way. Counted as ended when it is dropped: as canceled, if nobody has said how it ended.
pub(super) struct Call {
    method: Arc<Method>,
    code: Code,
}

impl Call {
    /// The answer to it, which is watched to its end if it is a stream.
    pub(super) fn answered(mut self, response: Response) -> Response {
        match (code(response.headers()), self.method.kind) {
            // Said at once: nothing follows.
            (Some(code), _) => self.code = code,
            (None, UNARY) => self.code = Code::Ok,
            (None, _) => return response.map(|body| Body::new(Streamed { body, call: self })),
        }
        response
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let Method { kind, service, name, ok, handled, .. } = &*self.method;
        match self.code {
            Code::Ok => ok.inc(),
            code => handled.with_label_values(&[*kind, *service, *name, &said(code)]).inc(),
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
            self.call.code = code;
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

/// As Go's gRPC names it.
fn said(code: Code) -> String {
    match code {
        Code::Ok => "OK".into(),
        Code::Cancelled => "Canceled".into(),
        code => format!("{code:?}"),
    }
}
