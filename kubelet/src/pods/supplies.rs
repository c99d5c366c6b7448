//! What a pod needs before its containers start: volumes, with service account tokens that are renewed at 80 % of their
//! life (pkg/kubelet/token/token_manager.go).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use crate::cluster::Interest;
use crate::env::{Scope, fields::Facts};
use crate::node::Node;
use crate::pod;
use crate::volumes::{mounts::Volumes, payload, setup};

/// Seconds that a token lives unless the pod says otherwise.
const TOKEN_SECONDS: i64 = 3600;
/// A token is renewed after a day even if it lives longer.
const TOKEN_OLDEST: Duration = Duration::from_secs(24 * 3600);

/// A token and when it is to be renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    token: String,
    renew: Timestamp,
}

/// Volumes and tokens of one pod.
#[derive(Debug, Clone, Default)]
pub struct Supplies {
    /// Where the volumes are.
    pub volumes: Volumes,
    tokens: BTreeMap<(String, String), Held>,
}

impl Supplies {
    /// When the first token is to be renewed.
    pub fn renew(&self) -> Option<Timestamp> {
        self.tokens.values().map(|held| held.renew).min()
    }
}

/// Makes the volumes or brings them up to date.
///
/// # Errors
/// For people, one per event `FailedMount`.
pub async fn provide(
    node: &Node,
    pod: &Pod,
    interest: &Arc<dyn Interest>,
    before: Supplies,
) -> Result<Supplies, Vec<String>> {
    let mut tokens = BTreeMap::new();
    for volume in pod::spec(pod).volumes.iter().flatten() {
        for wanted in payload::tokens_wanted(volume) {
            let key = (volume.name.clone(), wanted.path.clone());
            let held = match before.tokens.get(&key).filter(|held| held.renew > node.now()) {
                Some(held) => held.clone(),
                None => {
                    let audience = wanted.audience.as_deref().unwrap_or_default();
                    let seconds = wanted.expiration_seconds.unwrap_or(TOKEN_SECONDS);
                    let fresh = fetch_token(node, pod, audience, seconds).await;
                    fresh.map_err(|why| {
                        vec![format!("MountVolume.SetUp failed for volume \"{}\" : {why}", volume.name)]
                    })?
                }
            };
            tokens.insert(key, held);
        }
    }
    let fetched = interest.fetch().await.map_err(|why| vec![why])?;
    let facts = Facts { pod_ips: Vec::new(), host_ips: node.ips.clone(), allocatable: node.allocatable.clone() };
    let scope = Scope { pod, fetched: &fetched, services: &[], facts: &facts };
    let texts = tokens.iter().map(|(key, held)| (key.clone(), held.token.clone())).collect();
    let volumes = setup::prepare(&node.paths, &scope, &texts, node.now());
    let volumes = volumes.map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    Ok(Supplies { volumes, tokens })
}

async fn fetch_token(node: &Node, pod: &Pod, audience: &str, seconds: i64) -> Result<Held, String> {
    let asked = node.now();
    let token = node.cluster.token(pod, audience, seconds).await?;
    Ok(Held { renew: renewal(asked, token.expires), token: token.token })
}

fn renewal(asked: Timestamp, expires: Timestamp) -> Timestamp {
    let life = Duration::try_from(expires.duration_since(asked)).unwrap_or_default();
    asked.saturating_add(life.mul_f64(0.8).min(TOKEN_OLDEST)).unwrap_or(expires)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_renewed_at_four_fifths_of_their_life_but_daily() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        assert_eq!(renewal(at(0), at(3600)), at(2880));
        assert_eq!(renewal(at(0), at(365 * 24 * 3600)), at(24 * 3600));
        assert_eq!(renewal(at(100), at(50)), at(100));
    }
}
