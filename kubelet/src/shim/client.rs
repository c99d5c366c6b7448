//! A connection from a kubelet: frames in, frames out, neither ever blocking the shim.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::wire::{Push, frame, recv_fds, send_fds};

/// A client that does not read its answers is dropped when this much waits for it.
const MAX_WAITING: usize = 1 << 20;

/// A connection from a kubelet.
#[derive(Debug)]
pub struct Client {
    /// Non-blocking.
    pub socket: OwnedFd,
    /// What came and is no whole frame yet.
    pub input: Vec<u8>,
    /// File descriptors that came and belong to the next frame.
    pub fds: Vec<OwnedFd>,
    /// What the other side has yet to take.
    pub output: Vec<u8>,
    /// Whether it hears of every change.
    pub subscribed: bool,
    /// Whether it is dropped when all has been taken.
    pub closing: bool,
}

impl Client {
    /// Reads what is there; false if the other side closed.
    pub fn read(&mut self) -> bool {
        let mut buffer = [0u8; 8 << 10];
        loop {
            match recv_fds(self.socket.as_fd(), &mut buffer, &mut self.fds) {
                Ok(0) => return false,
                Ok(length) => self.input.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }

    /// Sends a message, now or when the other side reads; false if it is to be dropped.
    pub fn send(&mut self, message: &Push, fd: Option<BorrowedFd<'_>>) -> bool {
        let Ok(bytes) = frame(message) else { return false };
        if let Some(fd) = fd {
            // A session's first answer: nothing can be waiting before it.
            return match send_fds(self.socket.as_fd(), &bytes, &[fd]) {
                Ok(sent) => {
                    self.output.extend_from_slice(&bytes[sent..]);
                    true
                }
                Err(_) => false,
            };
        }
        self.output.extend_from_slice(&bytes);
        self.flush() && self.output.len() <= MAX_WAITING
    }

    /// Goes on sending; false if the other side closed.
    pub fn flush(&mut self) -> bool {
        while !self.output.is_empty() {
            match send_fds(self.socket.as_fd(), &self.output, &[]) {
                Ok(sent) => {
                    self.output.drain(..sent);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        self.output = Vec::new();
        true
    }
}
