//! Several members: what one is told at its first start, and the names that all of them derive from it. Pure.
//!
//! Founders must agree on everything before they have talked: so the IDs of the cluster and of its founders are hashes of
//! what each is told alike (etcd: server/etcdserver/api/membership, computeMemberId). Members that are added later get
//! random IDs.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use proto::log::Member;
use sha2::{Digest, Sha256};

use crate::tls::TlsFiles;

/// A member of a cluster, as etcd's flags describe it.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// `--name`.
    pub name: String,
    /// `--initial-cluster`: names and peer URLs; a name stands once per URL.
    pub initial: Vec<(String, String)>,
    /// `--initial-cluster-token`.
    pub token: String,
    /// `--initial-cluster-state existing`: joins a cluster that has added this member, instead of founding one.
    pub existing: bool,
    /// `--listen-peer-urls`.
    pub listen_peer_urls: Vec<String>,
    /// `--initial-advertise-peer-urls`.
    pub advertise_peer_urls: Vec<String>,
    /// `--advertise-client-urls`.
    pub advertise_client_urls: Vec<String>,
    /// `--peer-cert-file`, `--peer-key-file`, `--peer-trusted-ca-file`: with these, peers must show a certificate of that
    /// authority.
    pub tls: TlsFiles,
    /// `--heartbeat-interval`.
    pub heartbeat: Duration,
    /// `--election-timeout`.
    pub election: Duration,
}

impl Cluster {
    /// A cluster of this one member, which listens on `peer_url`.
    pub fn new(name: &str, peer_url: &str) -> Self {
        Self {
            name: name.into(),
            initial: vec![(name.into(), peer_url.into())],
            token: "etcd-cluster".into(),
            existing: false,
            listen_peer_urls: vec![peer_url.into()],
            advertise_peer_urls: vec![peer_url.into()],
            advertise_client_urls: Vec::new(),
            tls: TlsFiles::default(),
            heartbeat: Duration::from_millis(100),
            election: Duration::from_secs(1),
        }
    }

    /// Reads `--initial-cluster`: `name=url,name=url`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse_initial(text: &str) -> Result<Vec<(String, String)>, String> {
        let mut initial: Vec<(String, String)> = Vec::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some((name, url)) if !name.is_empty() && is_url(url) => initial.push((name.into(), url.into())),
                _ => return Err(format!("{part:?} in the initial cluster is not NAME=URL")),
            }
        }
        // Members of one URL would be one member. (etcd: server/config/config.go, hasDuplicateURLs.)
        let urls: BTreeSet<&String> = initial.iter().map(|(_, url)| url).collect();
        if urls.len() < initial.len() {
            return Err(format!("initial cluster {text} has duplicated url"));
        }
        Ok(initial)
    }

    /// The founders: their IDs, in order, with what the log says of each; and the cluster's ID.
    pub(crate) fn founders(&self) -> (u64, Vec<(u64, Member)>) {
        let names: BTreeSet<&str> = self.initial.iter().map(|(name, _)| name.as_str()).collect();
        let member = |name: &str| {
            let urls: BTreeSet<&str> =
                self.initial.iter().filter(|(other, _)| other == name).map(|(_, url)| url.as_str()).collect();
            let id = hash([self.token.as_str()].into_iter().chain(urls.iter().copied()));
            let peer_urls = urls.into_iter().map(str::to_owned).collect();
            (id, Member { id, name: name.to_owned(), peer_urls, ..Member::default() })
        };
        let mut founders: Vec<_> = names.into_iter().map(member).collect();
        founders.sort_unstable_by_key(|(id, _)| *id);
        let ids: Vec<String> = founders.iter().map(|(id, _)| id.to_string()).collect();
        (hash([self.token.as_str()].into_iter().chain(ids.iter().map(String::as_str))), founders)
    }

    /// This member's ID, if it is a founder.
    pub(crate) fn founder_id(&self) -> Option<u64> {
        self.founders().1.into_iter().find(|(_, member)| member.name == self.name).map(|(id, _)| id)
    }
}

/// Whether a member can be reached there, as far as the URL goes. etcd: client/pkg/types/urls.go.
pub(crate) fn is_url(url: &str) -> bool {
    match url.split_once("://") {
        Some(("http" | "https", rest)) => {
            rest.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        }
        _ => false,
    }
}

/// What raft's first entries say of the founders.
pub(crate) fn contexts(founders: &[(u64, Member)]) -> Vec<(u64, Bytes)> {
    founders.iter().map(|(id, member)| (*id, member.encode_to_vec().into())).collect()
}

fn hash<'a>(parts: impl Iterator<Item = &'a str>) -> u64 {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let digest = hasher.finalize();
    digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn founders_agree_whatever_the_order_in_which_they_are_told() {
        let cluster = |name: &str, text: &str| Cluster {
            initial: Cluster::parse_initial(text).unwrap(),
            ..Cluster::new(name, "http://unused")
        };
        let one = cluster("a", "a=http://h:1,b=http://h:2,b=http://h:3,c=http://h:4");
        let two = cluster("b", "c=http://h:4,b=http://h:3,a=http://h:1,b=http://h:2");
        assert_eq!(one.founders(), two.founders());
        assert_eq!(one.founders().1.len(), 3);
        assert_ne!(one.founder_id(), two.founder_id());
        assert_eq!(cluster("d", "a=http://h:1").founder_id(), None);
        assert_ne!(one.founders().0, Cluster { token: "other".into(), ..one.clone() }.founders().0);
        let wrong =
            ["a", "=http://h:1", "a=1", "a=http://h", "a=ftp://h:1", "a=http://h:1,b=http://h:1", "a=http://h:1/x"];
        for text in wrong {
            assert!(Cluster::parse_initial(text).is_err(), "{text}");
        }
        let listed = |text: &str| Cluster::parse_initial(text).unwrap().len();
        assert_eq!((listed(""), listed("a=http://h:1,"), listed("a=https://[::1]:1,a=https://h:1")), (0, 1, 2));
    }
}
