//! Reads container logs in the CRI format: `<RFC 3339 time> <stdout|stderr> <F|P> <text>`, where `P` marks a part of a
//! line whose rest follows. Reading is synchronous and bounded; following waits for the file to grow.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use jiff::Timestamp;

/// What part of a log is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Only so many last lines.
    pub tail: Option<usize>,
    /// Only lines from then on.
    pub since: Option<Timestamp>,
    /// Prefix lines with their time.
    pub timestamps: bool,
    /// Stop after so many bytes.
    pub limit: Option<usize>,
    /// Go on as the log grows.
    pub follow: bool,
    /// Only this stream (`stdout` or `stderr`).
    pub stream: Option<String>,
}

/// One line of the file, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// As written.
    pub time: &'a str,
    /// `stdout` or `stderr`.
    pub stream: &'a str,
    /// Whether the rest of the line follows.
    pub partial: bool,
    /// The text.
    pub text: &'a [u8],
}

/// Takes a line (without its newline) apart; `None` if it is not in the CRI format.
pub fn parse(line: &[u8]) -> Option<Line<'_>> {
    let mut parts = line.splitn(4, |b| *b == b' ');
    let time = std::str::from_utf8(parts.next()?).ok()?;
    let stream = std::str::from_utf8(parts.next()?).ok().filter(|s| matches!(*s, "stdout" | "stderr"))?;
    let tag = parts.next()?;
    let partial = tag.split(|b| *b == b':').any(|t| t == b"P");
    Some(Line { time, stream, partial, text: parts.next().unwrap_or_default() })
}

/// Turns lines of the file into what the reader sees, keeping to the options.
#[derive(Debug)]
pub struct Renderer {
    options: LogOptions,
    left: usize,
    /// The last piece was partial: the next one of the line gets no time.
    within_line: bool,
}

impl Renderer {
    /// A renderer for `options`.
    pub fn new(options: LogOptions) -> Self {
        let left = options.limit.unwrap_or(usize::MAX);
        Self { options, left, within_line: false }
    }

    /// Whether the limit is reached.
    pub fn is_full(&self) -> bool {
        self.left == 0
    }

    /// Appends what the reader sees of one line of the file.
    pub fn render(&mut self, raw: &[u8], out: &mut Vec<u8>) {
        let Some(line) = parse(raw) else { return };
        if self.options.stream.as_deref().is_some_and(|wanted| wanted != line.stream) {
            return;
        }
        let early = |since| line.time.parse::<Timestamp>().is_ok_and(|time| time < since);
        if self.options.since.is_some_and(early) {
            return;
        }
        let before = out.len();
        if self.options.timestamps && !self.within_line {
            out.extend_from_slice(line.time.as_bytes());
            out.push(b' ');
        }
        out.extend_from_slice(line.text);
        if !line.partial {
            out.push(b'\n');
        }
        self.within_line = line.partial;
        let added = out.len() - before;
        out.truncate(before + added.min(self.left));
        self.left -= added.min(self.left);
    }
}

const BLOCK: u64 = 64 * 1024;

/// The offset at which the last `lines` lines of the file begin; a line in parts counts once.
///
/// # Errors
/// I/O errors.
pub fn tail_offset(file: &mut File, lines: usize) -> io::Result<u64> {
    let length = file.seek(SeekFrom::End(0))?;
    if lines == 0 {
        return Ok(length);
    }
    let mut found = 0;
    let mut position = length;
    let mut carry: Vec<u8> = Vec::new();
    // Ends of raw lines from the last one back; one that is `F` ends a line of the reader's.
    let mut next_start = length;
    while position > 0 {
        let start = position.saturating_sub(BLOCK);
        let mut block = vec![0; usize::try_from(position - start).unwrap_or(0)];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut block)?;
        block.extend_from_slice(&carry);
        let mut end = block.len();
        while let Some(newline) = block[..end.saturating_sub(1)].iter().rposition(|b| *b == b'\n') {
            let line_start = start + newline as u64 + 1;
            if whole(&block[newline + 1..end]) {
                if found == lines {
                    return Ok(next_start);
                }
                found += 1;
            }
            next_start = line_start;
            end = newline + 1;
        }
        carry = block[..end].to_vec();
        position = start;
    }
    // The first line of the file.
    if whole(&carry) && found == lines { Ok(next_start) } else { Ok(0) }
}

/// Whether a raw line ends a line of the reader's.
fn whole(raw: &[u8]) -> bool {
    parse(raw.strip_suffix(b"\n").unwrap_or(raw)).is_none_or(|line| !line.partial)
}

/// Reads whole lines that a writer may still be adding to: what follows the last newline waits.
#[derive(Debug)]
pub struct Reader {
    file: BufReader<File>,
    pending: Vec<u8>,
}

impl Reader {
    /// Opens a log where `options` say that reading begins.
    ///
    /// # Errors
    /// I/O errors.
    pub fn open(path: &Path, options: &LogOptions) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let offset = match options.tail {
            Some(lines) => tail_offset(&mut file, lines)?,
            None => 0,
        };
        file.seek(SeekFrom::Start(offset))?;
        Ok(Self { file: BufReader::new(file), pending: Vec::new() })
    }

    /// Appends what is there now to `out`, at most about `most` bytes. Returns whether the end was reached.
    ///
    /// # Errors
    /// I/O errors.
    pub fn read(&mut self, renderer: &mut Renderer, out: &mut Vec<u8>, most: usize) -> io::Result<bool> {
        while out.len() < most && !renderer.is_full() {
            if self.file.read_until(b'\n', &mut self.pending)? == 0 || self.pending.last() != Some(&b'\n') {
                return Ok(true);
            }
            self.pending.pop();
            renderer.render(&self.pending, out);
            self.pending.clear();
        }
        Ok(renderer.is_full())
    }
}

/// The last lines of a log as text: at most `lines` and `bytes`.
///
/// # Errors
/// I/O errors.
pub fn tail_text(path: &Path, lines: usize, bytes: usize) -> io::Result<String> {
    let options = LogOptions { tail: Some(lines), ..LogOptions::default() };
    let mut reader = Reader::open(path, &options)?;
    let mut renderer = Renderer::new(options);
    let mut out = Vec::new();
    while !reader.read(&mut renderer, &mut out, usize::MAX)? {}
    let cut = out.len().saturating_sub(bytes);
    Ok(String::from_utf8_lossy(&out[cut..]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn log(lines: &[(&str, &str, &str)]) -> String {
        let each = lines.iter().enumerate();
        each.map(|(i, (stream, tag, text))| format!("2026-11-20T10:00:{i:02}.5Z {stream} {tag} {text}\n")).collect()
    }

    fn read(content: &str, options: LogOptions) -> String {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        let mut reader = Reader::open(file.path(), &options).unwrap();
        let mut renderer = Renderer::new(options);
        let mut out = Vec::new();
        while !reader.read(&mut renderer, &mut out, usize::MAX).unwrap() {}
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn options_select_what_is_read() {
        let text = log(&[
            ("stdout", "F", "one"),
            ("stderr", "F", "two"),
            ("stdout", "P", "thr"),
            ("stdout", "F", "ee"),
            ("stdout", "F", ""),
        ]);
        let at = |s: &str| Some(format!("2026-11-20T10:00:{s}Z").parse().unwrap());
        let default = LogOptions::default;
        let table = [
            (default(), "one\ntwo\nthree\n\n"),
            (LogOptions { tail: Some(0), ..default() }, ""),
            (LogOptions { tail: Some(1), ..default() }, "\n"),
            (LogOptions { tail: Some(2), ..default() }, "three\n\n"),
            (LogOptions { tail: Some(3), ..default() }, "two\nthree\n\n"),
            (LogOptions { tail: Some(4), ..default() }, "one\ntwo\nthree\n\n"),
            (LogOptions { tail: Some(99), ..default() }, "one\ntwo\nthree\n\n"),
            (LogOptions { since: at("01"), ..default() }, "two\nthree\n\n"),
            (LogOptions { limit: Some(5), ..default() }, "one\nt"),
            (LogOptions { stream: Some("stderr".into()), ..default() }, "two\n"),
            (
                LogOptions { timestamps: true, tail: Some(2), ..default() },
                "2026-11-20T10:00:02.5Z three\n2026-11-20T10:00:04.5Z \n",
            ),
        ];
        for (options, expected) in table {
            assert_eq!(read(&text, options.clone()), expected, "{options:?}");
        }
    }

    #[test]
    fn tails_of_long_logs_cross_blocks() {
        let lines: Vec<String> = (0..5000).map(|i| format!("line {i} {}", "x".repeat(i % 90))).collect();
        let text: String = lines.iter().map(|l| format!("2026-11-20T10:00:00Z stdout F {l}\n")).collect();
        for tail in [1, 2, 499, 2500, 4999, 5000] {
            let expected: String = lines[5000 - tail..].iter().map(|l| format!("{l}\n")).collect();
            assert_eq!(read(&text, LogOptions { tail: Some(tail), ..LogOptions::default() }), expected, "{tail}");
        }
    }

    #[test]
    fn an_unfinished_line_waits() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut reader = Reader::open(file.path(), &LogOptions::default()).unwrap();
        let mut renderer = Renderer::new(LogOptions::default());
        let mut out = Vec::new();
        file.write_all(b"2026-11-20T10:00:00Z stdout F hel").unwrap();
        assert!(reader.read(&mut renderer, &mut out, 100).unwrap() && out.is_empty());
        file.write_all(b"lo\n").unwrap();
        assert!(reader.read(&mut renderer, &mut out, 100).unwrap());
        assert_eq!(out, b"hello\n");
    }

    #[test]
    fn what_is_not_a_log_line_is_left_out() {
        assert_eq!(read("garbage\n2026-11-20T10:00:00Z stdout F ok\n\n", LogOptions::default()), "ok\n");
    }
}
