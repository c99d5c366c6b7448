//! Which of a cluster's API servers is asked: the first, until it cannot be reached; then the next, and so on in a circle. All
//! clones of a client go together, so that one failed request spares the others theirs.

use std::sync::atomic::{AtomicUsize, Ordering};

use http::{StatusCode, Uri};

use crate::config::Config;
use crate::error::{Error, Result};

/// The servers in the order in which they are tried.
#[derive(Debug)]
pub(crate) struct Servers {
    all: Vec<Uri>,
    current: AtomicUsize,
}

/// A choice: what was asked, to be told if it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn(usize);

impl Servers {
    /// # Errors
    /// When one is no URL.
    pub(crate) fn new(config: &Config) -> Result<Self> {
        let all = std::iter::once(&config.server).chain(&config.alternatives).map(|server| parse(server));
        Ok(Self { all: all.collect::<Result<_>>()?, current: AtomicUsize::new(0) })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// The one whose turn it is.
    pub(crate) fn turn(&self) -> Turn {
        Turn(self.current.load(Ordering::Relaxed))
    }

    /// Its URL.
    pub(crate) fn url(&self, turn: Turn) -> &Uri {
        &self.all[turn.0 % self.all.len()]
    }

    /// It could not be reached: it is the next one's turn, unless somebody else has found that out already.
    pub(crate) fn failed(&self, turn: Turn) {
        let next = turn.0.wrapping_add(1) % self.all.len();
        let _ = self.current.compare_exchange(turn.0, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// What it answered: a server that cannot do anything now is left for the next one.
    pub(crate) fn answered(&self, turn: Turn, code: StatusCode) {
        if matches!(code, StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT) {
            self.failed(turn);
        }
    }
}

fn parse(server: &str) -> Result<Uri> {
    let url = if server.contains("://") { server.to_string() } else { format!("http://{server}") };
    url.trim_end_matches('/').parse().map_err(|error| Error::Config(format!("invalid server URL \"{url}\": {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(all: &[&str]) -> Servers {
        let mut all = all.iter().map(ToString::to_string);
        let config = Config { server: all.next().unwrap(), alternatives: all.collect(), ..Config::default() };
        Servers::new(&config).unwrap()
    }

    #[test]
    fn the_next_server_has_its_turn_once_however_many_requests_failed() {
        let servers = servers(&["https://a:1", "b:2/", "https://c:3/x"]);
        let first = servers.turn();
        assert_eq!(servers.url(first).to_string(), "https://a:1/");
        servers.failed(first);
        servers.failed(first);
        assert_eq!(servers.url(servers.turn()).to_string(), "http://b:2/");
        servers.failed(servers.turn());
        assert_eq!(servers.url(servers.turn()).path(), "/x");
        servers.failed(servers.turn());
        assert_eq!(servers.turn(), first);
    }

    #[test]
    fn a_server_that_is_unavailable_is_left_and_one_that_refuses_is_not() {
        let servers = servers(&["a:1", "b:2"]);
        let first = servers.turn();
        for code in [StatusCode::OK, StatusCode::NOT_FOUND, StatusCode::TOO_MANY_REQUESTS] {
            servers.answered(first, code);
            assert_eq!(servers.turn(), first, "{code}");
        }
        servers.answered(first, StatusCode::SERVICE_UNAVAILABLE);
        assert_ne!(servers.turn(), first);
    }

    #[test]
    fn a_single_server_keeps_its_turn() {
        let servers = servers(&["a:1"]);
        servers.failed(servers.turn());
        assert_eq!(servers.turn(), Turn(0));
        assert!(Servers::new(&Config { server: "http://a b".into(), ..Config::default() }).is_err());
    }
}
