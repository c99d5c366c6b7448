//! How TCP connections are accepted, and what each is told, whoever opened it (but for short ones
//! that have deadlines of their own, as probes').

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpStream};

/// Silent for so long, the other side is asked whether it is there, and again after as long each time.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// So many questions in a row without an answer end the connection.
const UNANSWERED: u32 = 9;
/// Until the next attempt where this machine cannot take a connection. Nothing tells when it can again.
const BACKOFF: Duration = Duration::from_millis(50);

/// The next connection, set up, and where it comes from. One that ended while it waited is passed over; where this machine cannot take
/// any (out of descriptors, most likely), they wait in the backlog until others have ended. May be dropped at any time: no connection is
/// lost.
pub async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                prepare(&stream);
                return (stream, from);
            }
            Err(error) if is_of_one_connection(&error) => {
                tracing::debug!(%error, "a connection ended before it was taken")
            }
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted now");
                tokio::time::sleep(BACKOFF).await;
            }
        }
    }
}

/// Whether it says nothing of the next connection (accept(2), "Error handling": errors that are pending on the new socket).
fn is_of_one_connection(error: &io::Error) -> bool {
    use Errno as E;
    let errno = Errno::from_io_error(error);
    let network = [E::NETDOWN, E::NETUNREACH, E::HOSTDOWN, E::HOSTUNREACH, E::NONET, E::PROTO, E::NOPROTOOPT];
    errno.is_some_and(|errno| errno == E::CONNABORTED || network.contains(&errno))
}

/// Makes a connection send what it is given at once, and end when the other side has vanished without a word: 2.5 minutes later, as
/// connections of Go's programs do (package net, KeepAliveConfig). A session whose command says nothing would stay for ever. (While
/// something is being sent it is the kernel's retransmissions that give up, after some 15 minutes.)
pub fn prepare(stream: &TcpStream) {
    if let Err(error) = try_prepare(stream) {
        // It is closed already, which shows when it is used.
        tracing::debug!(%error, "a connection cannot be set up");
    }
}

fn try_prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_tcp_keepidle(stream, KEEP_ALIVE)?;
    sockopt::set_tcp_keepintvl(stream, KEEP_ALIVE)?;
    sockopt::set_tcp_keepcnt(stream, UNANSWERED)?;
    sockopt::set_socket_keepalive(stream, true)?;
    Ok(())
}

/// Asks the other side of a connection, which was prepared, so often while nothing comes whether it is there; ends it when that,
/// or what is sent, has not been acknowledged for twice as long (tcp(7), TCP_USER_TIMEOUT). In whole seconds.
///
/// # Errors
/// When it is closed already.
pub fn probe(stream: &TcpStream, every: Duration) -> io::Result<()> {
    sockopt::set_tcp_keepidle(stream, every)?;
    sockopt::set_tcp_keepintvl(stream, every)?;
    sockopt::set_tcp_user_timeout(stream, 2 * every.as_millis() as u32)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_other_side_is_asked_whether_it_is_there() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (one, other) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        for stream in [one.unwrap(), other.unwrap().0] {
            assert!(!sockopt::socket_keepalive(&stream).unwrap(), "not the system's default");
            prepare(&stream);
            assert!(stream.nodelay().unwrap() && sockopt::socket_keepalive(&stream).unwrap());
            assert_eq!(sockopt::tcp_keepidle(&stream).unwrap(), KEEP_ALIVE);
            assert_eq!(sockopt::tcp_keepintvl(&stream).unwrap(), KEEP_ALIVE);
            assert_eq!(sockopt::tcp_keepcnt(&stream).unwrap(), UNANSWERED);
            probe(&stream, Duration::from_secs(2)).unwrap();
            assert_eq!(sockopt::tcp_keepidle(&stream).unwrap(), Duration::from_secs(2));
            assert_eq!(sockopt::tcp_keepintvl(&stream).unwrap(), Duration::from_secs(2));
            assert_eq!(sockopt::tcp_user_timeout(&stream).unwrap(), 4000);
        }
    }

    #[test]
    fn an_error_is_of_one_connection_or_of_all() {
        let table =
            [(Errno::CONNABORTED, true), (Errno::HOSTUNREACH, true), (Errno::MFILE, false), (Errno::NOBUFS, false)];
        for (errno, one) in table {
            assert_eq!(is_of_one_connection(&errno.into()), one, "{errno}");
        }
    }
}
