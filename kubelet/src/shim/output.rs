//! Container output on its way: from the pipes (or the terminal) into the log file and to those attached.
//!
//! Keeps: somebody attached who does not read stops the container's output rather than losing it, as upstream's runtimes do; nothing is
//! held beyond one read and one log line per stream.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::logs::write::{Splitter, Stream};

/// One stream of a container.
#[derive(Debug)]
pub struct Source {
    /// Where it is read from; non-blocking.
    pub fd: OwnedFd,
    splitter: Splitter,
}

/// What one read brought.
#[derive(Debug)]
pub enum Read {
    /// Bytes, already in the log.
    Some(Vec<u8>),
    /// Nothing now.
    Later,
    /// The stream has ended.
    End,
}

impl Source {
    /// Reads from `fd`.
    pub fn new(fd: OwnedFd, stream: Stream) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&fd, true)?;
        Ok(Self { fd, splitter: Splitter::new(stream) })
    }

    /// Reads once, and writes what came to the log.
    pub fn pump(&mut self, log: &mut File) -> Read {
        let mut buffer = [0u8; 16 << 10];
        let mut lines = Vec::new();
        let now = jiff::Timestamp::now();
        let read = match to_the_end(|| rustix::io::read(&self.fd, &mut buffer)) {
            Ok(0) => Read::End,
            Ok(length) => {
                self.splitter.push(&buffer[..length], now, &mut lines);
                Read::Some(buffer[..length].to_vec())
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Read::Later,
            Err(_) => Read::End,
        };
        if matches!(read, Read::End) {
            self.splitter.finish(now, &mut lines);
        }
        // A full disk must not stop the container; upstream loses these lines too.
        let _ = log.write_all(&lines);
        read
    }

    /// The container ended: what has no newline yet is written.
    pub fn finish(&mut self, log: &mut File) {
        let mut lines = Vec::new();
        self.splitter.finish(jiff::Timestamp::now(), &mut lines);
        let _ = log.write_all(&lines);
    }
}

/// A read of a pipe, or of our side of a terminal; 0 at the end. A terminal whose other side is closed says EIO, and may say so although
/// something is left: the kernel looks for what has come first and whether the other side is closed afterwards (drivers/tty/n_tty.c,
/// n_tty_read), and both may have happened in between. Nothing comes after that, so that the second read knows.
pub fn to_the_end(mut read: impl FnMut() -> rustix::io::Result<usize>) -> rustix::io::Result<usize> {
    match read() {
        Err(rustix::io::Errno::IO) => match read() {
            Err(rustix::io::Errno::IO) => Ok(0),
            second => second,
        },
        first => first,
    }
}

/// Somebody who wants a copy of a stream.
#[derive(Debug)]
pub struct Tap {
    fd: OwnedFd,
    pending: Vec<u8>,
}

impl Tap {
    /// Writes to `fd`.
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&fd, true)?;
        Ok(Self { fd, pending: Vec::new() })
    }

    /// Whether it has yet to take what it was given.
    pub fn blocked(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Gives it more; false if nobody reads any more.
    #[must_use]
    pub fn give(&mut self, bytes: &[u8]) -> bool {
        self.pending.extend_from_slice(bytes);
        self.flush()
    }

    /// Goes on writing; false if nobody reads any more.
    #[must_use]
    pub fn flush(&mut self) -> bool {
        while !self.pending.is_empty() {
            match rustix::io::write(&self.fd, &self.pending) {
                Ok(written) => {
                    self.pending.drain(..written);
                }
                Err(rustix::io::Errno::AGAIN) => return true,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return false,
            }
        }
        self.pending = Vec::new();
        true
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn the_end_of_a_terminal_is_not_believed_at_once() {
        // (what the reads say, what comes of it)
        let table: [(&[_], _); 6] = [
            (&[Ok(5)], Ok(5)),
            (&[Ok(0)], Ok(0)),
            (&[Err(Errno::AGAIN)], Err(Errno::AGAIN)),
            (&[Err(Errno::IO), Ok(5)], Ok(5)),
            (&[Err(Errno::IO), Err(Errno::IO)], Ok(0)),
            (&[Err(Errno::IO), Err(Errno::INTR)], Err(Errno::INTR)),
        ];
        for (says, expected) in table {
            let mut reads = says.iter();
            assert_eq!(to_the_end(|| *reads.next().unwrap()), expected, "{says:?}");
            assert_eq!(reads.len(), 0, "{says:?}");
        }
    }
}
