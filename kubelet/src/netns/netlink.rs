//! Just enough rtnetlink, synchronous: build requests, send them together, read the acknowledgements.
//!
//! The shim is single-threaded and small, which is why it does not use the asynchronous rtnetlink crate. A socket belongs to the
//! network namespace it was opened in, whatever namespace its process enters later. Numbers are the kernel's
//! (include/uapi/linux/rtnetlink.h, if_link.h, neighbour.h, veth.h).

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_REPLACE: u16 = 0x100;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
const NLMSG_ERROR: u16 = 2;
const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const RTM_NEWNEIGH: u16 = 28;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFF_UP: u32 = 1;
const NUD_PERMANENT: u16 = 0x80;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_STATIC: u8 = 4;
const RTN_UNICAST: u8 = 1;
const RT_SCOPE_UNIVERSE: u8 = 0;
const RT_SCOPE_LINK: u8 = 253;

/// A hardware address.
pub type Mac = [u8; 6];

/// A socket to the kernel's routing tables.
#[derive(Debug)]
pub struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

/// A request: what is being done, for the error text, and its bytes.
#[derive(Debug)]
pub struct Request {
    what: String,
    bytes: Vec<u8>,
}

impl Netlink {
    /// Opens one in the current network namespace.
    pub fn open() -> io::Result<Self> {
        // Protocol 0 is NETLINK_ROUTE.
        let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, 0))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Sends all requests in one message and waits until the kernel has acknowledged each; the first error counts.
    pub fn apply(&mut self, requests: Vec<Request>) -> io::Result<()> {
        let first = self.sequence + 1;
        let mut bytes = Vec::new();
        for request in &requests {
            self.sequence += 1;
            let start = bytes.len();
            bytes.extend_from_slice(&request.bytes);
            bytes[start + 8..start + 12].copy_from_slice(&self.sequence.to_ne_bytes());
        }
        rustix::net::send(&self.socket, &bytes, SendFlags::empty())?;
        let mut open = requests.len();
        let mut failed = None;
        while open > 0 {
            self.receive(&mut |kind, sequence, body| {
                if kind != NLMSG_ERROR || sequence < first {
                    return;
                }
                open = open.saturating_sub(1);
                let code = body.first_chunk::<4>().map_or(0, |code| i32::from_ne_bytes(*code));
                if code != 0 && failed.is_none() {
                    let what = requests.get((sequence - first) as usize).map_or("", |request| &request.what);
                    let error = io::Error::from_raw_os_error(-code);
                    failed = Some(io::Error::new(error.kind(), format!("{what}: {error}")));
                }
            })?;
        }
        failed.map_or(Ok(()), Err)
    }

    /// The index of an interface, if it exists.
    pub fn index(&mut self, name: &str) -> io::Result<Option<u32>> {
        self.sequence += 1;
        let mut request = Builder::new(RTM_GETLINK, 0);
        request.interface(0, 0).string(IFLA_IFNAME, name);
        let mut bytes = request.finish(String::new()).bytes;
        bytes[8..12].copy_from_slice(&self.sequence.to_ne_bytes());
        rustix::net::send(&self.socket, &bytes, SendFlags::empty())?;
        let (mut answered, mut index) = (false, None);
        while !answered {
            self.receive(&mut |kind, _, body| {
                if kind == RTM_NEWLINK {
                    index =
                        body.get(4..8).and_then(|part| part.first_chunk::<4>()).map(|part| u32::from_ne_bytes(*part));
                } else if kind == NLMSG_ERROR {
                    answered = true;
                }
            })?;
        }
        Ok(index)
    }

    /// Reads one datagram: each message's type, sequence number and body.
    fn receive(&self, each: &mut dyn FnMut(u16, u32, &[u8])) -> io::Result<()> {
        let mut buffer = vec![0u8; 32 << 10];
        let (length, _) = rustix::net::recv(&self.socket, buffer.as_mut_slice(), RecvFlags::empty())?;
        let mut rest = &buffer[..length];
        while let Some(header) = rest.first_chunk::<16>() {
            let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
            if length < 16 || length > rest.len() {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "malformed netlink message"));
            }
            let kind = u16::from_ne_bytes([header[4], header[5]]);
            let sequence = u32::from_ne_bytes([header[8], header[9], header[10], header[11]]);
            each(kind, sequence, &rest[16..length]);
            rest = &rest[length.next_multiple_of(4).min(rest.len())..];
        }
        Ok(())
    }
}

/// A pair of virtual interfaces: one here and up, the other, down, in the network namespace `peer_namespace` refers to.
pub fn veth(name: &str, mac: Mac, peer: &str, peer_mac: Mac, peer_namespace: i32) -> Request {
    let mut request = Builder::new(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    request.interface(0, IFF_UP).string(IFLA_IFNAME, name).attribute(IFLA_ADDRESS, &mac);
    request.nest(IFLA_LINKINFO, |info| {
        info.attribute(IFLA_INFO_KIND, b"veth");
        info.nest(IFLA_INFO_DATA, |data| {
            data.nest(VETH_INFO_PEER, |end| {
                // It cannot be brought up yet: at this point of its making the kernel has not joined the two.
                end.interface(0, 0).string(IFLA_IFNAME, peer).attribute(IFLA_ADDRESS, &peer_mac);
                end.attribute(IFLA_NET_NS_FD, &peer_namespace.to_ne_bytes());
            });
        });
    });
    request.finish(format!("making the pair of interfaces {name} and {peer}"))
}

/// Brings an interface up.
pub fn up(index: u32) -> Request {
    let mut request = Builder::new(RTM_NEWLINK, 0);
    request.interface(index, IFF_UP);
    request.finish(format!("bringing interface {index} up"))
}

/// Deletes an interface (and the other end of a pair).
pub fn delete(index: u32) -> Request {
    let mut request = Builder::new(RTM_DELLINK, 0);
    request.interface(index, 0);
    request.finish(format!("deleting interface {index}"))
}

/// Gives an interface an address that has no subnet.
pub fn address(index: u32, address: IpAddr) -> Request {
    let mut request = Builder::new(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE);
    // struct ifaddrmsg: family, prefix length, flags, scope, index.
    request.raw(&[family(address), bits(address), 0, RT_SCOPE_UNIVERSE]).raw(&index.to_ne_bytes());
    request.ip(1 /* IFA_ADDRESS */, address).ip(2 /* IFA_LOCAL */, address);
    request.finish(format!("giving interface {index} the address {address}"))
}

/// A route to one address (or, with `None`, to all), direct or by a gateway.
pub fn route(index: u32, to: Option<IpAddr>, via: Option<IpAddr>) -> Request {
    let mut request = Builder::new(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
    let like = to.or(via).unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED));
    let scope = if via.is_some() { RT_SCOPE_UNIVERSE } else { RT_SCOPE_LINK };
    // struct rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type, flags.
    request.raw(&[
        family(like),
        to.map_or(0, bits),
        0,
        0,
        RT_TABLE_MAIN,
        RTPROT_STATIC,
        scope,
        RTN_UNICAST,
        0,
        0,
        0,
        0,
    ]);
    if let Some(to) = to {
        request.ip(1 /* RTA_DST */, to);
    }
    if let Some(via) = via {
        request.ip(5 /* RTA_GATEWAY */, via);
    }
    request.attribute(4 /* RTA_OIF */, &index.to_ne_bytes());
    request.finish(format!("routing to {} through interface {index}", to.map_or("all".to_owned(), |ip| ip.to_string())))
}

/// Whose hardware address an address is, for good.
pub fn neighbour(index: u32, address: IpAddr, mac: Mac) -> Request {
    let mut request = Builder::new(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE);
    // struct ndmsg: family, padding, index, state, flags, type.
    request.raw(&[family(address), 0, 0, 0]).raw(&index.to_ne_bytes()).raw(&NUD_PERMANENT.to_ne_bytes()).raw(&[0, 0]);
    request.ip(1 /* NDA_DST */, address).attribute(2 /* NDA_LLADDR */, &mac);
    request.finish(format!("telling interface {index} who {address} is"))
}

fn family(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => libc::AF_INET as u8,
        IpAddr::V6(_) => libc::AF_INET6 as u8,
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Writes one message; lengths are filled in when a part ends.
struct Builder {
    bytes: Vec<u8>,
}

impl Builder {
    fn new(kind: u16, flags: u16) -> Self {
        let mut bytes = vec![0; 16];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(NLM_F_REQUEST | NLM_F_ACK | flags).to_ne_bytes());
        Self { bytes }
    }

    fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// struct ifinfomsg: family, type, index, flags, which flags.
    fn interface(&mut self, index: u32, flags: u32) -> &mut Self {
        self.raw(&[0, 0, 0, 0]).raw(&index.to_ne_bytes()).raw(&flags.to_ne_bytes()).raw(&flags.to_ne_bytes())
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let length = (4 + value.len()) as u16;
        self.raw(&length.to_ne_bytes()).raw(&kind.to_ne_bytes()).raw(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    fn string(&mut self, kind: u16, value: &str) -> &mut Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.attribute(kind, &bytes)
    }

    fn ip(&mut self, kind: u16, address: IpAddr) -> &mut Self {
        match address {
            IpAddr::V4(address) => self.attribute(kind, &address.octets()),
            IpAddr::V6(address) => self.attribute(kind, &address.octets()),
        }
    }

    fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.raw(&[0, 0]).raw(&kind.to_ne_bytes());
        fill(self);
        let length = (self.bytes.len() - start) as u16;
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }

    fn finish(mut self, what: String) -> Request {
        let length = self.bytes.len() as u32;
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        Request { what, bytes: self.bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_nests_know_their_length() {
        let mut builder = Builder::new(RTM_NEWLINK, 0);
        builder.attribute(9, &[1, 2, 3, 4, 5, 6]);
        builder.nest(7, |inner| {
            inner.string(3, "ab");
        });
        let bytes = builder.finish(String::new()).bytes;
        assert_eq!(bytes.len() as u32, u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        assert_eq!(bytes[16..28], [10, 0, 9, 0, 1, 2, 3, 4, 5, 6, 0, 0]);
        assert_eq!(bytes[28..40], [12, 0, 7, 0, 7, 0, 3, 0, b'a', b'b', 0, 0]);
    }

    #[test]
    fn the_loopback_interface_is_number_one() {
        let mut netlink = Netlink::open().unwrap();
        assert_eq!(netlink.index("lo").unwrap(), Some(1));
        assert_eq!(netlink.index("no-such-if").unwrap(), None);
    }
}
