//! Container output as lines of the CRI log format, which kubelets and log collectors read:
//!
//! ```text
//! 2026-11-20T18:42:26.123456789Z stdout F a whole line
//! 2026-11-20T18:42:26.123456789Z stderr P the first 16 KiB of a longer one, or what had no newline at its end
//! ```
//! Pure; the shim does the writing. Format: kubernetes design-proposals, kubelet-cri-logging; the sizes and the tag of an unended last
//! line as containerd has them.

use jiff::Timestamp;

/// Longer lines are cut into parts.
pub const MAX_LINE: usize = 16 << 10;

/// The name of a stream in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// As it stands in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// Cuts one stream into log lines. Holds at most [`MAX_LINE`] bytes.
#[derive(Debug)]
pub struct Splitter {
    stream: Stream,
    held: Vec<u8>,
}

impl Splitter {
    /// For one stream.
    pub fn new(stream: Stream) -> Self {
        Self { stream, held: Vec::new() }
    }

    /// Takes output that arrived at `time`; appends the lines that are complete to `log`.
    pub fn push(&mut self, bytes: &[u8], time: Timestamp, log: &mut Vec<u8>) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (mut text, ended) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            while self.held.len() + text.len() > MAX_LINE {
                let (now, later) = text.split_at(MAX_LINE - self.held.len());
                self.line(now, "P", time, log);
                text = later;
            }
            if ended {
                self.line(text, "F", time, log);
            } else {
                self.held.extend_from_slice(text);
            }
        }
    }

    /// The stream has ended; what had no newline is written as a part.
    pub fn finish(&mut self, time: Timestamp, log: &mut Vec<u8>) {
        if !self.held.is_empty() {
            self.line(b"", "P", time, log);
        }
    }

    fn line(&mut self, text: &[u8], tag: &str, time: Timestamp, log: &mut Vec<u8>) {
        log.extend_from_slice(format!("{time:.9} {} {tag} ", self.stream.as_str()).as_bytes());
        log.extend_from_slice(&self.held);
        log.extend_from_slice(text);
        log.push(b'\n');
        self.held = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<String> {
        let time = Timestamp::new(1_700_000_000, 5).unwrap();
        let (mut splitter, mut log) = (Splitter::new(Stream::Stdout), Vec::new());
        for chunk in chunks {
            splitter.push(chunk, time, &mut log);
        }
        splitter.finish(time, &mut log);
        let prefix = "2023-11-14T22:13:20.000000005Z stdout ";
        let log = String::from_utf8(log).unwrap();
        log.lines().map(|line| line.strip_prefix(prefix).unwrap_or_else(|| panic!("{line}")).to_owned()).collect()
    }

    #[test]
    fn lines_come_out_whole_however_they_arrive() {
        for (chunks, expected) in [
            (vec![&b"a\nb\n"[..]], vec!["F a", "F b"]),
            (vec![&b"a"[..], b"b", b"c\nd"], vec!["F abc", "P d"]),
            (vec![&b"\n\n"[..]], vec!["F ", "F "]),
            (vec![&b"x"[..], b"\n"], vec!["F x"]),
            (vec![], vec![]),
        ] {
            assert_eq!(split(&chunks), expected);
        }
    }

    #[test]
    fn long_lines_are_cut() {
        let exact = vec![b'x'; MAX_LINE];
        let tags =
            |chunks: &[&[u8]]| split(chunks).iter().map(|l| format!("{}{}", &l[..1], l.len() - 2)).collect::<Vec<_>>();
        assert_eq!(tags(&[&exact, b"\n"]), ["F16384"]);
        assert_eq!(tags(&[&exact, b"yz\n"]), ["P16384", "F2"]);
        let long = vec![b'x'; 3 * MAX_LINE + 5];
        assert_eq!(tags(&[&long]), ["P16384", "P16384", "P16384", "P5"]);
        assert_eq!(tags(&[b"abc", &long, b"\n"]), ["P16384", "P16384", "P16384", "F8"]);
    }
}
