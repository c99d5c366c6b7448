//! What a request asks for and who asks: the facts that filters, authorization, admission and handlers share.
//!
//! Relies on the table of kinds. Follows upstream's rules for telling resource paths from others
//! (apiserver, pkg/endpoints/request/requestinfo.go): verbs are those that RBAC rules name.

use std::collections::BTreeMap;

use api::kinds::{self, KindRef, Served};
use http::Method;

/// Request and response bodies everywhere in the server.
pub type Body = axum::body::Body;

/// Who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// User name, e.g. `system:node:n1`.
    pub name: String,
    /// UID, where the authenticator knows one.
    pub uid: String,
    /// Groups, in the order in which the authenticator gave them.
    pub groups: Vec<String>,
    /// Further facts, e.g. `authentication.kubernetes.io/pod-name`.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// A user of this name and these groups.
    pub fn new(name: &str, groups: &[&str]) -> Self {
        Self { name: name.into(), groups: groups.iter().map(|g| (*g).into()).collect(), ..Self::default() }
    }

    /// The server itself: what bootstrap and in-process callers act as.
    pub fn loopback() -> Self {
        Self::new("system:apiserver", &["system:masters", "system:authenticated"])
    }

    /// Nobody in particular.
    pub fn anonymous() -> Self {
        Self::new("system:anonymous", &["system:unauthenticated"])
    }

    /// Whether the user is in `group`.
    pub fn in_group(&self, group: &str) -> bool {
        self.groups.iter().any(|g| g == group)
    }
}

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct RequestInfo {
    /// Whether the path leads to a resource (`/api/v1/…`, `/apis/<group>/<version>/…`).
    pub is_resource: bool,
    /// RBAC verb: get, list, watch, create, update, patch, delete, deletecollection; for other paths the lower-case method.
    pub verb: String,
    /// `api` or `apis`; empty for non-resource paths.
    pub prefix: String,
    /// API group; empty for core.
    pub api_group: String,
    /// API version, e.g. `v1`.
    pub api_version: String,
    /// The plural in the path, also if no kind has it.
    pub resource_name: String,
    /// The kind, if this server has it in this group and version.
    pub resource: Option<KindRef>,
    /// Under which group, version and schema the kind is served here.
    pub served: Option<Served>,
    /// E.g. `status`; empty if none.
    pub subresource: String,
    /// Namespace; empty for cluster-scoped requests and for those over all namespaces.
    pub namespace: String,
    /// Name; empty for collections. Also set by `fieldSelector=metadata.name=x` on a list or watch, as upstream does.
    pub name: String,
    /// Whether `name` stands in the path (and not only in a field selector).
    pub named: bool,
    /// The field selector of the query, undecoded further; empty if none.
    pub field_selector: String,
    /// What follows the subresource (`proxy/<rest>`), without the leading slash.
    pub rest: String,
    /// The decoded path.
    pub path: String,
}

impl RequestInfo {
    /// Reads method, raw path and raw query.
    pub fn parse(method: &Method, raw_path: &str, raw_query: Option<&str>) -> Self {
        let path = decode(raw_path, false);
        let mut info = Self { verb: method.as_str().to_ascii_lowercase(), path, ..Self::default() };
        let path = info.path.clone();
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let tail = match parts.as_slice() {
            ["api", version, tail @ ..] if !tail.is_empty() => {
                (info.prefix, info.api_version) = ("api".into(), (*version).into());
                tail
            }
            ["apis", group, version, tail @ ..] if !tail.is_empty() => {
                (info.prefix, info.api_group, info.api_version) = ("apis".into(), (*group).into(), (*version).into());
                tail
            }
            _ => return info,
        };
        info.is_resource = true;
        info.verb = method_verb(method).into();
        let query = Query::parse(raw_query.unwrap_or_default());
        info.field_selector = query.get("fieldSelector").unwrap_or_default().into();
        info.read_tail(tail);
        info.refine_verb(&query);
        if let Some((kind, served)) = kinds::find(&info.api_group, &info.api_version, &info.resource_name) {
            (info.resource, info.served) = (Some(kind), Some(served));
        }
        info
    }

    /// `[watch/][namespaces/<ns>/]<resource>[/<name>[/<subresource>[/<rest>]]]`.
    fn read_tail(&mut self, mut tail: &[&str]) {
        // The deprecated form /api/v1/watch/pods; still allowed upstream.
        if tail[0] == "watch" && tail.len() > 1 {
            self.verb = "watch".into();
            tail = &tail[1..];
        }
        if let ["namespaces", namespace, rest @ ..] = tail {
            self.namespace = (*namespace).into();
            // status and finalize are subresources of the namespace itself, everything else a resource in it.
            if let [resource, ..] = rest
                && !matches!(*resource, "status" | "finalize")
            {
                tail = rest;
            }
        }
        self.resource_name = tail[0].into();
        if let Some(name) = tail.get(1) {
            (self.name, self.named) = ((*name).into(), true);
        }
        if let Some(subresource) = tail.get(2) {
            self.subresource = (*subresource).into();
        }
        if tail.len() > 3 {
            let from = self.path.split('/').filter(|part| !part.is_empty()).count() - (tail.len() - 3);
            self.rest = after_segments(&self.path, from);
        }
    }

    /// get without a name is list or watch; delete without a name is deletecollection.
    fn refine_verb(&mut self, query: &Query) {
        if self.name.is_empty() && self.verb == "get" {
            self.verb = if query.flag("watch") { "watch" } else { "list" }.into();
        } else if self.name.is_empty() && self.verb == "delete" {
            self.verb = "deletecollection".into();
        }
        if !self.named
            && matches!(self.verb.as_str(), "list" | "watch" | "deletecollection")
            && let Some(name) = query.get("fieldSelector").and_then(selected_name)
        {
            self.name = name;
        }
    }

    /// `resource` or `resource/subresource`, as RBAC rules and messages write it.
    pub fn qualified_resource(&self) -> String {
        if self.subresource.is_empty() {
            self.resource_name.clone()
        } else {
            format!("{}/{}", self.resource_name, self.subresource)
        }
    }

    /// Whether the request lives as long as the client wants: no timeout, not counted as in flight.
    pub fn long_running(&self) -> bool {
        self.is_resource
            && (self.verb == "watch"
                || matches!(self.subresource.as_str(), "log" | "exec" | "attach" | "portforward" | "proxy"))
    }

    /// Whether the request only reads.
    pub fn read_only(&self) -> bool {
        matches!(self.verb.as_str(), "get" | "list" | "watch" | "head" | "options")
    }

    /// namespace, cluster or resource: the scope label of metrics.
    pub fn scope(&self) -> &'static str {
        match (self.is_resource, self.named || self.verb == "create", self.namespace.is_empty()) {
            (false, _, _) => "",
            (true, true, _) => "resource",
            (true, false, false) => "namespace",
            (true, false, true) => "cluster",
        }
    }
}

fn method_verb(method: &Method) -> &'static str {
    match *method {
        Method::POST => "create",
        Method::GET | Method::HEAD => "get",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "",
    }
}

/// The name in a field selector that consists of `metadata.name=<name>` and perhaps others.
fn selected_name(selector: &str) -> Option<String> {
    let mut found = None;
    for term in selector.split(',') {
        let name = term.strip_prefix("metadata.name==").or_else(|| term.strip_prefix("metadata.name="));
        if let Some(name) = name.filter(|name| !name.is_empty() && !name.contains('/')) {
            found = Some(name.to_string());
        }
    }
    found
}

/// What follows the first `count` non-empty segments of `path`, without the slash between.
fn after_segments(path: &str, count: usize) -> String {
    let mut seen = 0;
    let mut inside = false;
    for (at, byte) in path.bytes().enumerate() {
        if byte == b'/' {
            if inside && seen == count {
                return path[at + 1..].to_string();
            }
            inside = false;
        } else if !inside {
            inside = true;
            seen += 1;
        }
    }
    String::new()
}

/// The parameters after the `?`, decoded, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Splits and decodes; a parameter without `=` is empty.
    pub fn parse(raw: &str) -> Self {
        let pairs = raw.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode(name, true), decode(value, true))
                })
                .collect(),
        )
    }

    /// The first value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// All values of `name`.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// A boolean as upstream reads one: absent, `false` and `0` are false, anything else is true
    /// (apimachinery, pkg/runtime/converter: Convert_Slice_string_To_bool).
    pub fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| !value.eq_ignore_ascii_case("false") && value != "0")
    }

    /// All pairs in order.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Percent-decodes; what is no valid escape stays as it is. `plus` turns `+` into a space (queries only).
pub fn decode(text: &str, plus: bool) -> String {
    if !text.contains('%') && (!plus || !text.contains('+')) {
        return text.into();
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (escape, bytes[at]) {
            (Some(byte), _) => {
                out.push(byte);
                at += 2;
            }
            (None, b'+') if plus => out.push(b' '),
            (None, byte) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Percent-encodes everything but unreserved characters, for a query parameter or a path segment.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// method, url → verb, group, version, namespace, resource, subresource, name (the table of requestinfo_test.go, by content).
    #[test]
    fn resource_paths_are_read_as_upstream_reads_them() {
        let table = [
            ("GET", "/api/v1/namespaces", "list|||v1||namespaces||"),
            ("GET", "/api/v1/namespaces/other", "get|||v1|other|namespaces||other"),
            ("GET", "/api/v1/namespaces/other/pods", "list|||v1|other|pods||"),
            ("GET", "/api/v1/namespaces/other/pods/foo", "get|||v1|other|pods||foo"),
            ("HEAD", "/api/v1/namespaces/other/pods/foo", "get|||v1|other|pods||foo"),
            ("GET", "/api/v1/pods", "list|||v1||pods||"),
            ("GET", "/api/v1/pods?watch=true", "watch|||v1||pods||"),
            ("GET", "/api/v1/pods?watch=1", "watch|||v1||pods||"),
            ("GET", "/api/v1/pods?watch=false", "list|||v1||pods||"),
            ("GET", "/api/v1/pods?watch=0", "list|||v1||pods||"),
            ("GET", "/api/v1/watch/pods", "watch|||v1||pods||"),
            ("GET", "/api/v1/watch/namespaces/other/pods", "watch|||v1|other|pods||"),
            ("GET", "/api/v1/namespaces/other/pods?fieldSelector=metadata.name%3Dfoo", "list|||v1|other|pods||foo"),
            (
                "GET",
                "/api/v1/namespaces/other/pods?fieldSelector=a=b,metadata.name=foo&watch=1",
                "watch|||v1|other|pods||foo",
            ),
            (
                "DELETE",
                "/api/v1/namespaces/other/pods?fieldSelector=metadata.name=foo",
                "deletecollection|||v1|other|pods||foo",
            ),
            ("GET", "/api/v1/namespaces/other/pods/foo/status", "get|||v1|other|pods|status|foo"),
            ("POST", "/api/v1/namespaces/other/pods/foo/exec?command=a", "create|||v1|other|pods|exec|foo"),
            ("PUT", "/api/v1/namespaces/other/finalize", "update|||v1|other|namespaces|finalize|other"),
            ("PATCH", "/api/v1/namespaces/other/status", "patch|||v1|other|namespaces|status|other"),
            ("PUT", "/api/v1/namespaces/other/pods/foo", "update|||v1|other|pods||foo"),
            ("PATCH", "/api/v1/namespaces/other/pods/foo", "patch|||v1|other|pods||foo"),
            ("DELETE", "/api/v1/namespaces/other/pods/foo", "delete|||v1|other|pods||foo"),
            ("DELETE", "/api/v1/nodes", "deletecollection|||v1||nodes||"),
            ("POST", "/apis/apps/v1/namespaces/a/deployments", "create||apps|v1|a|deployments||"),
            ("PUT", "/apis/apps/v1/namespaces/a/deployments/d/scale", "update||apps|v1|a|deployments|scale|d"),
            (
                "GET",
                "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode",
                "get||rbac.authorization.k8s.io|v1||clusterroles||system:node",
            ),
            ("GET", "/apis/nobody.example/v7/widgets", "list||nobody.example|v7||widgets||"),
        ];
        for (method, url, expected) in table {
            let (path, query) = url.split_once('?').map_or((url, None), |(path, query)| (path, Some(query)));
            let info = RequestInfo::parse(&Method::from_bytes(method.as_bytes()).unwrap(), path, query);
            let got = format!(
                "{}||{}|{}|{}|{}|{}|{}",
                info.verb,
                info.api_group,
                info.api_version,
                info.namespace,
                info.resource_name,
                info.subresource,
                info.name
            );
            assert_eq!(got, expected, "{method} {url}");
            assert!(info.is_resource);
        }
    }

    #[test]
    fn other_paths_keep_their_method_as_verb() {
        for path in [
            "/",
            "/healthz",
            "/api",
            "/api/v1",
            "/apis",
            "/apis/apps",
            "/apis/apps/v1",
            "/apis/apps/v1/",
            "/version",
            "/foo/bar/baz",
        ] {
            let info = RequestInfo::parse(&Method::GET, path, None);
            assert!(!info.is_resource, "{path}");
            assert_eq!((info.verb.as_str(), info.path.as_str()), ("get", path));
        }
        assert_eq!(RequestInfo::parse(&Method::POST, "/foo", None).verb, "post");
    }

    #[test]
    fn proxies_keep_the_rest_of_their_path() {
        let info = RequestInfo::parse(&Method::GET, "/api/v1/namespaces/a/services/http:web:80/proxy/x//y/", None);
        assert_eq!(
            (info.subresource.as_str(), info.name.as_str(), info.rest.as_str()),
            ("proxy", "http:web:80", "x//y/")
        );
        assert!(info.long_running());
        assert_eq!(RequestInfo::parse(&Method::GET, "/api/v1/nodes/n/proxy/", None).rest, "");
    }

    #[test]
    fn kinds_are_found_where_the_server_has_them() {
        let pods = RequestInfo::parse(&Method::GET, "/api/v1/pods", None);
        assert_eq!(pods.resource.map(|kind| kind.kind), Some("Pod"));
        assert!(RequestInfo::parse(&Method::GET, "/api/v1/widgets", None).resource.is_none());
    }

    #[test]
    fn queries_and_escapes_decode() {
        let query = Query::parse("command=echo&command=a+b%20c&tty&x=%zz&e=%C3%A9");
        assert_eq!(query.all("command").collect::<Vec<_>>(), ["echo", "a b c"]);
        assert_eq!((query.get("tty"), query.get("x"), query.get("e")), (Some(""), Some("%zz"), Some("é")));
        assert!(query.flag("tty") && !query.flag("none"));
        assert_eq!(encode("a b/é"), "a%20b%2F%C3%A9");
        assert_eq!(decode("a+b%", false), "a+b%");
    }
}
