//! One run of a command: the flags, the connection (opened when first needed), the namespace, and requests with warnings,
//! deadline and logging as kubectl does them.

use std::cell::{OnceCell, RefCell};
use std::collections::HashSet;
use std::io::Write;

use bytes::Bytes;
use client::Client;
use client::rest::{check, percent_encode};
use http::{Method, Request, Response, header};
use serde_json::Value;

use crate::error::{Error, Result, fail};
use crate::flags::Flags;
use crate::kubeconfigs;
use crate::resources::{self, Resources};

/// JSON, plainly.
pub const JSON: &str = "application/json";
/// A Table if the server can.
pub const TABLE: &str =
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";

/// One run of a command.
pub struct Session {
    /// Flags of the command and global ones.
    pub flags: Flags,
    config: OnceCell<client::Config>,
    client: OnceCell<Client>,
    resources: tokio::sync::OnceCell<Resources>,
    warned: RefCell<HashSet<String>>,
}

/// A body and its media type.
pub type Body<'a> = Option<(&'a str, &'a Value)>;

impl Session {
    /// Nothing is opened yet.
    pub fn new(flags: Flags) -> Self {
        Self {
            flags,
            config: OnceCell::new(),
            client: OnceCell::new(),
            resources: tokio::sync::OnceCell::new(),
            warned: RefCell::default(),
        }
    }

    /// Where the server is.
    pub fn config(&self) -> Result<&client::Config> {
        if self.config.get().is_none() {
            let config = kubeconfigs::config(&self.flags)?;
            return Ok(self.config.get_or_init(|| config));
        }
        self.config.get().ok_or_else(|| fail!("no configuration"))
    }

    /// The connection.
    pub fn client(&self) -> Result<&Client> {
        if self.client.get().is_none() {
            let client = Client::new(self.config()?)?;
            return Ok(self.client.get_or_init(|| client));
        }
        self.client.get().ok_or_else(|| fail!("no client"))
    }

    /// What the server serves; asked for once.
    pub async fn resources(&self) -> Result<&Resources> {
        self.resources.get_or_try_init(|| self.discover()).await
    }

    /// Asks for the aggregated discovery and, where a server does not know it, for the older documents.
    async fn discover(&self) -> Result<Resources> {
        let mut all = Vec::new();
        for path in ["/api", "/apis"] {
            let document = self.json(Method::GET, path, resources::AGGREGATED, None).await?;
            if document["kind"] == "APIGroupDiscoveryList" {
                resources::aggregated(&document, &mut all);
                continue;
            }
            for (group, version) in resources::group_versions(&document) {
                let path =
                    if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
                all.extend(resources::resource_list(&self.get(&path).await?, &group, &version));
            }
        }
        Ok(Resources { all })
    }

    /// How many different warnings the server sent.
    pub fn warnings(&self) -> usize {
        self.warned.borrow().len()
    }

    /// The namespace in question.
    pub fn namespace(&self) -> Result<String> {
        match self.flags.some("namespace") {
            Some(namespace) => Ok(namespace.to_string()),
            None => Ok(self.config()?.namespace.clone()),
        }
    }

    /// Whether the namespace was said on the command line.
    pub fn namespace_given(&self) -> bool {
        self.flags.some("namespace").is_some()
    }

    /// The verbosity.
    pub fn verbosity(&self) -> i64 {
        self.flags.int("v")
    }

    /// One request; the answer as it is, errors as Status.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        body: Option<(&str, Bytes)>,
    ) -> Result<Response<Bytes>> {
        let mut request = Request::builder().method(method.clone()).uri(path).header(header::ACCEPT, accept);
        let mut bytes = Bytes::new();
        if let Some((media_type, content)) = body {
            request = request.header(header::CONTENT_TYPE, media_type);
            bytes = content;
        }
        if self.verbosity() >= 8 && !bytes.is_empty() {
            eprintln!("Request Body: {}", String::from_utf8_lossy(&bytes));
        }
        let request = request.body(bytes).map_err(|error| fail!("invalid request {path}: {error}"))?;
        let began = std::time::Instant::now();
        let answer = self.within(self.client()?.raw(request)).await;
        let answer = answer?.map_err(|error| self.unreachable(error))?;
        if self.verbosity() >= 6 {
            let server = &self.config()?.server;
            eprintln!("{method} {server}{path} {} in {} milliseconds", answer.status(), began.elapsed().as_millis());
        }
        if self.verbosity() >= 8 {
            eprintln!("Response Body: {}", String::from_utf8_lossy(answer.body()));
        }
        self.warn(&answer);
        check(answer.status(), answer.body()).map_err(Error::from)?;
        Ok(answer)
    }

    /// `--raw` of the commands that send a file: sends it as it is; the answer's text.
    pub async fn send_file(&self, method: Method, path: &str, usage: impl Fn(&str) -> Error) -> Result<String> {
        let [file] = self.flags.list("filename") else {
            return Err(usage("--raw can only use a single local file or stdin"));
        };
        let text =
            if file == "-" { std::io::read_to_string(std::io::stdin())? } else { std::fs::read_to_string(file)? };
        let answer = self.send(method, path, "*/*", Some((JSON, text.into()))).await?;
        Ok(String::from_utf8_lossy(answer.body()).into_owned())
    }

    /// The future within `--request-timeout`.
    async fn within<T>(&self, future: impl Future<Output = T>) -> Result<T> {
        let text = self.flags.text("request-timeout");
        let limit = match text.parse::<i64>() {
            Ok(seconds) => jiff::SignedDuration::from_secs(seconds),
            Err(_) => api::duration::parse_go(text).map_err(|_| {
                fail!(
                    "Invalid timeout value. Timeout must be a single integer in seconds, or an integer followed by a corresponding time unit (e.g. 1s | 2m | 3h)"
                )
            })?,
        };
        match std::time::Duration::try_from(limit) {
            Ok(limit) if !limit.is_zero() => tokio::time::timeout(limit, future).await.map_err(|_| {
                Error::Unreachable("net/http: request canceled (Client.Timeout exceeded while awaiting headers)".into())
            }),
            _ => Ok(future.await),
        }
    }

    /// A transport error in kubectl's words.
    pub fn unreachable(&self, error: client::Error) -> Error {
        let text = match &error {
            client::Error::Status(_) | client::Error::Config(_) => return error.into(),
            other => other.chain(),
        };
        let server = self.config().map(|config| config.server.clone()).unwrap_or_default();
        let host = server.split("://").last().unwrap_or_default().trim_end_matches('/').to_string();
        if text.contains("onnection refused") {
            return Error::Refused(host);
        }
        Error::Unreachable(match text.contains("invalid peer certificate: UnknownIssuer") {
            true => "tls: failed to verify certificate: x509: certificate signed by unknown authority".into(),
            false => text,
        })
    }

    /// Says the server's warnings, each once.
    fn warn(&self, answer: &Response<Bytes>) {
        for value in answer.headers().get_all(header::WARNING) {
            let Some(text) = value.to_str().ok().and_then(warning) else { continue };
            if self.warned.borrow_mut().insert(text.clone()) {
                eprintln!("Warning: {text}");
            }
        }
    }

    /// One request with a JSON answer.
    pub async fn json(&self, method: Method, path: &str, accept: &str, body: Body<'_>) -> Result<Value> {
        let body = match body {
            Some((media_type, value)) => Some((media_type, encode(value)?)),
            None => None,
        };
        let answer = self.send(method, path, accept, body).await?;
        serde_json::from_slice(answer.body()).map_err(|error| fail!("decoding the answer to {path}: {error}"))
    }

    /// Reads a JSON document.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.json(Method::GET, path, JSON, None).await
    }
}

fn encode(value: &Value) -> Result<Bytes> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|error| fail!("{error}"))
}

/// The text of a Warning header: `299 - "text"`.
fn warning(header: &str) -> Option<String> {
    let text = header.strip_prefix("299 ")?.split_once(' ')?.1.strip_prefix('"')?;
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => out.extend(chars.next()),
            '"' => break,
            other => out.push(other),
        }
    }
    Some(out)
}

/// Adds query parameters to a path that may have some.
pub fn with_query(path: &str, pairs: &[(&str, &str)]) -> String {
    let mut out = path.to_string();
    for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        out.push(if out.contains('?') { '&' } else { '?' });
        out.push_str(name);
        out.push('=');
        percent_encode(value, &mut out);
    }
    out
}

/// Writes to stdout. When nobody reads any more there is nothing left to do.
pub fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        std::process::exit(1);
    }
}

/// Writes a line to stdout.
pub fn line(text: &str) {
    say(&format!("{text}\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_taken_out_of_their_header() {
        assert_eq!(warning("299 - \"unknown field \\\"spec.x\\\"\""), Some("unknown field \"spec.x\"".into()));
        assert_eq!(warning("199 - \"x\""), None);
    }

    #[test]
    fn queries_are_added() {
        assert_eq!(with_query("/a", &[("b", ""), ("c", "x=y")]), "/a?c=x%3Dy");
        assert_eq!(with_query("/a?z=1", &[("c", "d")]), "/a?z=1&c=d");
    }
}
