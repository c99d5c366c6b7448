//! The framing of `v4.channel.k8s.io` and `v5.channel.k8s.io`: the first byte of each message says which stream the rest
//! belongs to (k8s.io/apimachinery/pkg/util/remotecommand). Pure.

use serde::Deserialize;
use serde_json::{Value, json};

/// Protocols that are spoken, best first.
pub const PROTOCOLS: [&str; 2] = ["v5.channel.k8s.io", "v4.channel.k8s.io"];

/// Standard input, to the container.
pub const STDIN: u8 = 0;
/// Standard output.
pub const STDOUT: u8 = 1;
/// Standard error.
pub const STDERR: u8 = 2;
/// How it ended.
pub const ERROR: u8 = 3;
/// Sizes of the terminal, to the container.
pub const RESIZE: u8 = 4;
/// Closes the stream named by the next byte; v5 only.
pub const CLOSE: u8 = 255;

/// A message from the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// Data for standard input.
    Stdin(Vec<u8>),
    /// Standard input ends.
    CloseStdin,
    /// The terminal has this size: columns, rows.
    Resize(u16, u16),
    /// Nothing that matters.
    Ignored,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Size {
    width: u16,
    height: u16,
}

/// Takes a message apart.
pub fn parse(message: &[u8], v5: bool) -> Incoming {
    match message.split_first() {
        Some((&STDIN, data)) if !data.is_empty() => Incoming::Stdin(data.to_vec()),
        Some((&RESIZE, data)) => match serde_json::from_slice::<Size>(data) {
            Ok(size) => Incoming::Resize(size.width, size.height),
            Err(_) => Incoming::Ignored,
        },
        Some((&CLOSE, [STDIN])) if v5 => Incoming::CloseStdin,
        _ => Incoming::Ignored,
    }
}

/// A message to the client.
pub fn frame(channel: u8, data: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(data.len() + 1);
    message.push(channel);
    message.extend_from_slice(data);
    message
}

/// What the error channel says of an exit code.
pub fn exit_status(code: i32) -> Value {
    if code == 0 {
        return json!({"metadata": {}, "status": "Success"});
    }
    json!({"metadata": {}, "status": "Failure",
        "message": format!("command terminated with non-zero exit code: exit status {code}"),
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]}})
}

/// What the error channel says of a failure.
pub fn failure(message: &str) -> Value {
    json!({"metadata": {}, "status": "Failure", "message": message, "reason": "InternalError", "code": 500,
        "details": {"causes": [{"message": message}]}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_apart() {
        let table: [(&[u8], bool, Incoming); 9] = [
            (b"\0abc", false, Incoming::Stdin(b"abc".to_vec())),
            (b"\0", false, Incoming::Ignored),
            (b"", false, Incoming::Ignored),
            (b"\x04{\"Width\":80,\"Height\":24}", false, Incoming::Resize(80, 24)),
            (b"\x04garbage", false, Incoming::Ignored),
            (b"\x01abc", false, Incoming::Ignored),
            (b"\xff\0", true, Incoming::CloseStdin),
            (b"\xff\0", false, Incoming::Ignored),
            (b"\xff\x01", true, Incoming::Ignored),
        ];
        for (message, v5, expected) in table {
            assert_eq!(parse(message, v5), expected, "{message:?}");
        }
        assert_eq!(frame(STDOUT, b"x"), b"\x01x");
        assert_eq!(exit_status(0)["status"], "Success");
        assert_eq!(exit_status(3)["details"]["causes"][0], json!({"reason": "ExitCode", "message": "3"}));
    }
}
