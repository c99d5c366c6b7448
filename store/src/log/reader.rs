//! Reads a log file, a snapshot or a manifest frame by frame through a window, so that recovery needs little memory.

use std::io;
use std::path::Path;

use bytes::Bytes;

use super::frame::{
    FileHeader, FileKind, FrameHeader, HEADER, Verdict, judge, newer_version, read_file_header, read_frame_header,
};
use crate::disk::ReadAt;
use crate::options::OpenError;

/// Bytes that are read at once: no more, as a reader of a few entries reads the rest of the last one in vain.
const WINDOW: usize = 256 << 10;

/// A file being read.
pub(crate) struct Reader<'a> {
    path: &'a Path,
    file: &'a dyn ReadAt,
    size: u64,
    /// Where the next frame should begin.
    pub(crate) at: u64,
    window: Vec<u8>,
    window_at: u64,
    /// Header crc of the last frame.
    pub(crate) chain: u32,
    /// Index that should come next.
    pub(crate) expected: u64,
    /// Whether frames may replace what came before.
    kind: FileKind,
    /// Whether the next frame is the first one read, of which nothing is known.
    resumed: bool,
}

/// What [`Reader::next`] found.
pub(crate) enum Found {
    /// A good frame: its header and its payload.
    Frame(FrameHeader, Bytes),
    /// The end, perhaps behind a torn frame, which begins at [`Reader::at`].
    End { torn: bool },
}

impl<'a> Reader<'a> {
    /// Begins to read: checks the file header.
    pub(crate) fn open(kind: FileKind, path: &'a Path, file: &'a dyn ReadAt) -> Result<Self, OpenError> {
        Self::with_header(kind, path, file).map(|(reader, _)| reader)
    }

    /// The same, with what the header says.
    pub(crate) fn with_header(
        kind: FileKind,
        path: &'a Path,
        file: &'a dyn ReadAt,
    ) -> Result<(Self, FileHeader), OpenError> {
        let mut reader = Self::new(kind, path, file)?;
        let bytes = reader.bytes(HEADER)?.to_vec();
        if let Some(version) = newer_version(kind, &bytes) {
            return Err(OpenError::Newer { path: path.to_owned(), version });
        }
        let header = read_file_header(kind, &bytes).map_err(|what| reader.damaged(what, None))?;
        (reader.expected, reader.chain, reader.at) = (header.first, header.chain, HEADER as u64);
        Ok((reader, header))
    }

    /// Begins to read a log file at a frame that is known to be good and to hold the entry `index`.
    pub(crate) fn resume(path: &'a Path, file: &'a dyn ReadAt, at: u64, index: u64) -> Result<Self, OpenError> {
        let reader = Self::new(FileKind::Log, path, file)?;
        Ok(Self { at, expected: index, resumed: true, ..reader })
    }

    fn new(kind: FileKind, path: &'a Path, file: &'a dyn ReadAt) -> Result<Self, OpenError> {
        let size = file.size().map_err(|error| OpenError::io(path, "get the size", error))?;
        let (window, window_at) = (Vec::new(), 0);
        Ok(Self { path, file, size, at: 0, window, window_at, chain: 0, expected: 0, kind, resumed: false })
    }

    /// The next frame. A frame that does not follow the one before is damage; so is a bad one that cannot be torn.
    pub(crate) fn next(&mut self) -> Result<Found, OpenError> {
        let Some(header) = read_frame_header(self.bytes(HEADER)?) else { return self.end() };
        let bytes = self.bytes(header.span())?;
        let Some(payload) = bytes.get(HEADER..HEADER + header.length) else { return self.end() };
        if bytes.len() < header.span() || crc32c::crc32c(payload) != header.payload_crc {
            return self.end();
        }
        let payload = Bytes::copy_from_slice(payload);
        let follows = match self.kind {
            FileKind::Log => header.first <= self.expected,
            FileKind::Snapshot | FileKind::Manifest => header.first == self.expected,
        };
        if !self.resumed && (!follows || header.chain != self.chain) {
            let next = (header.first > self.expected).then_some(header.first);
            return Err(self.damaged("a frame does not follow the one before it".into(), next));
        }
        let Some(expected) = header.first.checked_add(u64::from(header.count)) else {
            return Err(self.damaged("a frame holds more entries than can be numbered".into(), None));
        };
        self.resumed = false;
        self.chain = header.crc;
        self.expected = expected;
        self.at += header.span() as u64;
        Ok(Found::Frame(header, payload))
    }

    fn end(&mut self) -> Result<Found, OpenError> {
        let rest = usize::try_from(self.size - self.at).map_err(|error| self.io(io::Error::other(error)))?;
        let (at, expected) = (self.at, self.expected);
        let verdict = judge(self.bytes(rest)?, at, expected);
        self.window = Vec::new();
        match verdict {
            Verdict::End => Ok(Found::End { torn: false }),
            Verdict::Torn => Ok(Found::End { torn: true }),
            Verdict::Damaged { what, next } => Err(self.damaged(what.into(), next)),
        }
    }

    /// Up to `length` bytes from `at`; less only at the end of the file.
    fn bytes(&mut self, length: usize) -> Result<&[u8], OpenError> {
        let have = self.window_at + self.window.len() as u64;
        // It may have grown since.
        while self.at + length as u64 > self.size {
            let size = self.file.size().map_err(|error| self.io(error))?;
            if std::mem::replace(&mut self.size, size) == size {
                break;
            }
        }
        let want = (self.at + length as u64).min(self.size);
        if self.at < self.window_at || want > have {
            let rest = usize::try_from(self.size - self.at).unwrap_or(usize::MAX);
            let mut window = std::mem::take(&mut self.window);
            // What is there already of what is wanted stays.
            let there =
                self.at.checked_sub(self.window_at).map_or(window.len(), |skip| window.len().min(skip as usize));
            window.drain(..there);
            let mut done = window.len();
            window.resize(length.max(WINDOW).min(rest).max(done), 0);
            while done < window.len() {
                match self.file.read_at(self.at + done as u64, &mut window[done..]) {
                    Ok(0) => window.truncate(done),
                    Ok(read) => done += read,
                    Err(error) => return Err(self.io(error)),
                }
            }
            (self.window, self.window_at) = (window, self.at);
        }
        let from = (self.at - self.window_at) as usize;
        let to = (from + length).min(self.window.len());
        Ok(self.window.get(from..to).unwrap_or_default())
    }

    /// The error for what is wrong at the current place; `next` is the first index that can be read again.
    pub(crate) fn damaged(&self, what: String, next: Option<u64>) -> OpenError {
        OpenError::Damaged {
            path: self.path.to_owned(),
            offset: self.at,
            first: self.expected,
            last: next.map(|next| next - 1),
            what,
        }
    }

    fn io(&self, error: io::Error) -> OpenError {
        OpenError::io(self.path, "read", error)
    }
}
