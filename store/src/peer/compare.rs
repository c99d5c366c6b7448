//! What the other members' hashes are.

use std::time::Duration;

use proto::peer::HashRequest;

use super::{Peers, client, link};
use crate::state::HashKv;

/// How long a member may take: it reads everything that it has.
const PATIENCE: Duration = Duration::from_secs(60);

impl Peers {
    /// Asks every other member for its hash at `revision`; those that do not answer, or cannot, are left out.
    pub(crate) async fn hashes(&self, revision: u64) -> Vec<(u64, HashKv)> {
        let links: Vec<(u64, Vec<String>)> =
            self.inner.links.lock().iter().map(|(id, link)| (*id, link.urls.clone())).collect();
        let ask = |(id, urls): (u64, Vec<String>)| async move {
            let asked = tokio::time::timeout(PATIENCE, self.hash_of(id, &urls, revision)).await;
            match asked.unwrap_or_else(|_| Err("not in time".into())) {
                Ok(hash) => Some((id, hash)),
                Err(reason) => {
                    tracing::warn!(member = format!("{id:x}"), revision, reason, "a member's hash is not known");
                    None
                }
            }
        };
        futures::future::join_all(links.into_iter().map(ask)).await.into_iter().flatten().collect()
    }

    async fn hash_of(&self, id: u64, urls: &[String], revision: u64) -> Result<HashKv, String> {
        let mut reason = "the member has no address".to_owned();
        for url in urls {
            let channel = match link::connect(url, &self.inner.tls).await {
                Ok(channel) => channel,
                Err(error) => {
                    reason = error;
                    continue;
                }
            };
            let request = HashRequest { hello: Some(self.inner.hello(id)), revision };
            let answer =
                client(channel).hash(request).await.map_err(|status| status.message().to_owned())?.into_inner();
            return Ok(HashKv { hash: answer.hash, compacted: answer.compacted, revision: answer.revision });
        }
        Err(reason)
    }
}
