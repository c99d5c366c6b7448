//! The query parameters of logs and streams: read as upstream reads PodLogOptions, PodExecOptions, PodAttachOptions and
//! PodPortForwardOptions, checked, and written as the kubelet wants them. Pure.

use api::Status;
use api::field::{FieldError, Path};
use jiff::Timestamp;
use serde_json::json;

use crate::request::{Query, encode};

/// Of `pods/log`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Log {
    pairs: Vec<(&'static str, String)>,
}

const FLAGS: &[&str] = &["follow", "previous", "timestamps"];
/// Name, least value, what upstream says if it is less.
const NUMBERS: &[(&str, i64, &str)] = &[
    ("sinceSeconds", 1, "must be greater than 0"),
    ("tailLines", 0, "must be greater than or equal to 0"),
    ("limitBytes", 1, "must be greater than 0"),
];

impl Log {
    /// Reads and checks (upstream: pkg/apis/core/validation, ValidatePodLogOptions).
    ///
    /// # Errors
    /// 400 for what is no number or time, 422 for values out of range.
    pub fn read(query: &Query, pod: &str) -> Result<Self, Status> {
        let (mut pairs, mut errors) = (Vec::new(), Vec::new());
        for flag in FLAGS {
            if query.flag(flag) {
                pairs.push((*flag, "true".to_string()));
            }
        }
        for (name, least, why) in NUMBERS {
            let Some(text) = query.get(name) else { continue };
            let number: i64 = text.parse().map_err(|_| unreadable(name, text))?;
            if number < *least {
                errors.push(FieldError::invalid(&Path::new(name), &json!(number), why));
            }
            pairs.push((*name, number.to_string()));
        }
        if let Some(text) = query.get("sinceTime") {
            text.parse::<Timestamp>().map_err(|_| unreadable("sinceTime", text))?;
            pairs.push(("sinceTime", text.to_string()));
            if query.get("sinceSeconds").is_some() {
                let why = "at most one of `sinceTime` or `sinceSeconds` may be specified";
                errors.push(FieldError::forbidden(&Path::root(), why));
            }
        }
        if errors.is_empty() { Ok(Self { pairs }) } else { Err(Status::invalid("", "PodLogOptions", pod, &errors)) }
    }

    /// As the kubelet wants it, with the question mark.
    pub fn query(&self) -> String {
        joined(self.pairs.iter().map(|(name, value)| (*name, value.as_str())))
    }
}

fn unreadable(name: &str, text: &str) -> Status {
    Status::bad_request(format!("unable to decode query parameter {name}: invalid value {text:?}"))
}

fn joined<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let parts: Vec<String> = pairs.map(|(name, value)| format!("{name}={}", encode(value))).collect();
    if parts.is_empty() { String::new() } else { format!("?{}", parts.join("&")) }
}

/// Of `pods/exec` and `pods/attach`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Stream {
    command: Vec<String>,
    stdin: bool,
    stdout: bool,
    stderr: bool,
    tty: bool,
}

impl Stream {
    /// Reads and checks. `exec` needs a command.
    ///
    /// # Errors
    /// 400 if there is nothing to do.
    pub fn read(query: &Query, exec: bool) -> Result<Self, Status> {
        let stream = Self {
            command: if exec { query.all("command").map(Into::into).collect() } else { Vec::new() },
            stdin: query.flag("stdin"),
            stdout: query.flag("stdout"),
            stderr: query.flag("stderr"),
            tty: query.flag("tty"),
        };
        if exec && stream.command.is_empty() {
            return Err(Status::bad_request("you must specify at least 1 command for the pod"));
        }
        if !(stream.stdin || stream.stdout || stream.stderr) {
            return Err(Status::bad_request("you must specify at least 1 of stdin, stdout, stderr"));
        }
        if stream.tty && stream.stderr {
            // With a terminal both are one.
            return Ok(Self { stderr: false, ..stream });
        }
        Ok(stream)
    }

    /// As the kubelet wants it, with the question mark.
    pub fn query(&self) -> String {
        let flags = [("input", self.stdin), ("output", self.stdout), ("error", self.stderr), ("tty", self.tty)];
        let command = self.command.iter().map(|word| ("command", word.as_str()));
        joined(command.chain(flags.iter().filter(|(_, set)| *set).map(|(name, _)| (*name, "1"))))
    }
}

/// Of `pods/portforward`, as the kubelet wants it.
///
/// # Errors
/// 400 for what is no port.
pub fn ports(query: &Query) -> Result<String, Status> {
    let mut pairs = Vec::new();
    for text in query.all("ports").flat_map(|ports| ports.split(',')) {
        match text.parse::<u16>() {
            Ok(port) if port > 0 => pairs.push(("port", text)),
            _ => return Err(unreadable("ports", text)),
        }
    }
    Ok(joined(pairs.into_iter()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_options_are_checked_and_passed_on() {
        let table = [
            ("", Ok("")),
            ("follow=true&tailLines=10&container=a", Ok("?follow=true&tailLines=10")),
            ("previous=1&timestamps=true&limitBytes=5", Ok("?previous=true&timestamps=true&limitBytes=5")),
            ("sinceTime=2026-01-01T00:00:00Z", Ok("?sinceTime=2026-01-01T00%3A00%3A00Z")),
            (
                "tailLines=-1",
                Err("PodLogOptions \"p\" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0"),
            ),
            (
                "sinceSeconds=0",
                Err("PodLogOptions \"p\" is invalid: sinceSeconds: Invalid value: 0: must be greater than 0"),
            ),
            ("tailLines=x", Err("unable to decode query parameter tailLines: invalid value \"x\"")),
            (
                "sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z",
                Err(
                    "PodLogOptions \"p\" is invalid: <nil>: Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified",
                ),
            ),
        ];
        for (query, expected) in table {
            let read = Log::read(&Query::parse(query), "p").map(|log| log.query()).map_err(|status| status.message);
            assert_eq!(read.as_deref().map_err(String::as_str), expected, "{query}");
        }
    }

    #[test]
    fn stream_options_are_checked_and_passed_on() {
        let table = [
            (
                "command=sh&command=-c&command=a+b&stdout=true",
                true,
                Ok("?command=sh&command=-c&command=a%20b&output=1"),
            ),
            ("command=sh&stdin=true&stdout=true&stderr=true&tty=true", true, Ok("?command=sh&input=1&output=1&tty=1")),
            ("stdout=1&stderr=1", false, Ok("?output=1&error=1")),
            ("stdout=1", true, Err("you must specify at least 1 command for the pod")),
            ("command=sh", true, Err("you must specify at least 1 of stdin, stdout, stderr")),
        ];
        for (query, exec, expected) in table {
            let read = Stream::read(&Query::parse(query), exec).map(|s| s.query()).map_err(|status| status.message);
            assert_eq!(read.as_deref().map_err(String::as_str), expected, "{query}");
        }
    }

    #[test]
    fn ports_are_numbers() {
        assert_eq!(ports(&Query::parse("ports=80,443&ports=8080")).unwrap(), "?port=80&port=443&port=8080");
        assert!(ports(&Query::parse("ports=0")).is_err());
        assert!(ports(&Query::parse("ports=http")).is_err());
    }
}
