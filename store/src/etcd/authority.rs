//! Clients that name the server by a whole URL. etcdctl 3.4 with `--endpoints=http://host:port`, and with `--cluster`, sends
//! `:authority: http://host:port` with the calls of Maintenance. RFC 9113 (8.3.1) allows no scheme there: hyper's HTTP/2 ends the
//! call, etcd's answers it. Nothing here reads the name, so it only has to be one.
//!
//! It comes in HPACK's Huffman code (RFC 7541, appendix B), where the `:` of `://` takes as many bits as a `j`, and the `/` as many
//! as a `-`. So it is made a valid name, `httpj--host:port`, where it stands and with no change of any length: both sides' tables
//! of headers stay the same. Only frames of headers are touched, and only on connections whose first call names the server so; of
//! all others nothing is looked at after the first call.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A frame's header (RFC 9113, 4.1).
const HEAD: usize = 9;
/// Frame types.
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
/// The field `:authority` of HPACK's static table with a new value, to be remembered or not or never.
const FIELDS: [u8; 3] = [0x41, 0x01, 0x11];
/// The length of a value is that of its Huffman code.
const HUFFMAN: u8 = 0x80;

/// How `http://` and `https://` begin in Huffman code, and with the other characters; of the last byte the bits that belong to it.
struct Scheme {
    code: &'static [u8],
    instead: &'static [u8],
    last: u8,
}

const SCHEMES: [Scheme; 2] = [
    Scheme { code: &[0x9d, 0x29, 0xae, 0xe3, 0x0c, 0x00], instead: &[0x9d, 0x29, 0xaf, 0xa2, 0xcb, 0x00], last: 0x80 },
    Scheme { code: &[0x9d, 0x29, 0xad, 0x17, 0x18, 0x60], instead: &[0x9d, 0x29, 0xad, 0x1d, 0x16, 0x58], last: 0xfc },
];

/// A connection as a server reads it; see the module's header.
pub(super) struct Named<S> {
    stream: S,
    scan: Scan,
}

impl<S> Named<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, scan: Scan::Preface(0) }
    }
}

/// Where in what the client sends the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scan {
    /// So many bytes of the preface have come.
    Preface(usize),
    Frames(Frames),
    /// Nothing more is looked at.
    Off,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Frames {
    head: [u8; HEAD],
    /// Bytes of the head that have come.
    have: usize,
    /// Bytes of the payload that have not.
    left: usize,
    /// A call has named the server by a URL.
    found: bool,
}

impl Scan {
    /// Looks at what comes next, and changes what must be.
    fn mend(&mut self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            match self {
                Self::Off => return,
                Self::Preface(have) => {
                    let step = bytes.len().min(PREFACE.len() - *have);
                    if bytes[..step] != PREFACE[*have..*have + step] {
                        *self = Self::Off;
                        return;
                    }
                    *have += step;
                    bytes = &mut bytes[step..];
                    if *have == PREFACE.len() {
                        *self = Self::Frames(Frames::default());
                    }
                }
                Self::Frames(frames) => {
                    if frames.have < HEAD {
                        let step = bytes.len().min(HEAD - frames.have);
                        frames.head[frames.have..frames.have + step].copy_from_slice(&bytes[..step]);
                        frames.have += step;
                        bytes = &mut bytes[step..];
                        let [one, two, three, ..] = frames.head;
                        frames.left = u32::from_be_bytes([0, one, two, three]) as usize;
                    } else {
                        let (payload, rest) = bytes.split_at_mut(bytes.len().min(frames.left));
                        if matches!(frames.head[3], HEADERS | CONTINUATION) {
                            frames.found |= rename(payload);
                        }
                        frames.left -= payload.len();
                        bytes = rest;
                    }
                    if frames.have == HEAD && frames.left == 0 {
                        if frames.head[3] == HEADERS && !frames.found {
                            *self = Self::Off;
                            return;
                        }
                        frames.have = 0;
                    }
                }
            }
        }
    }
}

/// Changes the scheme in these bytes of a block of headers. Whether there is one. (One that is cut by the end of what has come is
/// not seen: a call's headers are a few bytes, which come at once.)
fn rename(block: &mut [u8]) -> bool {
    let mut found = false;
    for scheme in &SCHEMES {
        let (length, last) = (scheme.code.len(), scheme.code.len() - 1);
        for at in 0..block.len().saturating_sub(length + 1) {
            let [field, size, value @ ..] = &mut block[at..] else { break };
            let here = FIELDS.contains(field)
                && *size & HUFFMAN != 0
                && value[..last] == scheme.code[..last]
                && value[last] & scheme.last == scheme.code[last];
            if here {
                value[..last].copy_from_slice(&scheme.instead[..last]);
                value[last] = scheme.instead[last] | value[last] & !scheme.last;
                found = true;
            }
        }
    }
    found
}

impl<S: AsyncRead + Unpin> AsyncRead for Named<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        if this.scan != Scan::Off {
            this.scan.mend(&mut buffer.filled_mut()[before..]);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Named<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value that names the server in Huffman code: `http://a`, `https://a`, or `a`, which ends with ones.
    const HTTP: &[u8] = &[0x41, 0x86, 0x9d, 0x29, 0xae, 0xe3, 0x0c, 0x1f];
    const HTTPS: &[u8] = &[0x41, 0x87, 0x9d, 0x29, 0xad, 0x17, 0x18, 0x60, 0xff];
    const PLAIN: &[u8] = &[0x41, 0x81, 0x1f];

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = (payload.len() as u32).to_be_bytes();
        [&length[1..], &[kind, 4, 0, 0, 0, 1], payload].concat()
    }

    /// What the server reads of these frames, if they come in pieces of such sizes.
    fn read(sent: &[u8], sizes: usize) -> (Vec<u8>, Scan) {
        let (mut bytes, mut scan) = (sent.to_vec(), Scan::Preface(0));
        bytes.chunks_mut(sizes).for_each(|piece| scan.mend(piece));
        (bytes, scan)
    }

    #[test]
    fn a_url_becomes_a_name_and_nothing_else_changes() {
        let http: &[u8] = &[0x41, 0x86, 0x9d, 0x29, 0xaf, 0xa2, 0xcb, 0x1f];
        let https: &[u8] = &[0x41, 0x87, 0x9d, 0x29, 0xad, 0x1d, 0x16, 0x58, 0xff];
        for (sent, expected) in [(HTTP, http), (HTTPS, https)] {
            // In a value that is written it stays what it is, also after a call that names the server so.
            let before = [PREFACE, &frame(4, b"settings"), &frame(0, HTTP)].concat();
            let after = [frame(0, HTTP), frame(8, &[0; 4]), frame(0, HTTPS)].concat();
            let all = |names: &[u8]| {
                let again = frame(HEADERS, &[&[0x83][..], names].concat());
                let late = frame(CONTINUATION, &[&[0x82][..], names].concat());
                [&before[..], &frame(HEADERS, &[&[0x83, 0x86][..], names, b"more"].concat()), &after, &again, &late]
                    .concat()
            };
            let sent = all(sent);
            assert_eq!(read(&sent, sent.len()).0, all(expected));
            // However the rest is cut.
            let first = before.len();
            for cut in 1..first {
                let (mut bytes, mut scan) = (sent.clone(), Scan::Preface(0));
                let (one, two) = bytes.split_at_mut(cut);
                scan.mend(one);
                scan.mend(two);
                assert_eq!(bytes, all(expected), "cut at {cut}");
            }
        }
    }

    #[test]
    fn others_are_left_alone() {
        let call = |block: &[u8]| [PREFACE, &frame(4, b""), &frame(HEADERS, block), &frame(HEADERS, HTTP)].concat();
        let table = [
            ("a name", call(PLAIN)),
            ("no name", call(&[0x83, 0x86])),
            ("not in Huffman code", call(b"\x41\x08http://a")),
            ("another field", call(&[&[0x42][..], &HTTP[1..]].concat())),
            ("cut short", call(&HTTP[..7])),
            ("HTTP/1.1", [b"PRI / HTTP/1.1\r\n\r\n", HTTP].concat()),
        ];
        for (what, sent) in table {
            for sizes in [sent.len(), 7, 1] {
                assert_eq!(read(&sent, sizes), (sent.clone(), Scan::Off), "{what}, {sizes} at a time");
            }
        }
    }
}
