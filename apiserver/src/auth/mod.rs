//! Who asks, and whether they may.
//!
//! | module | what it decides |
//! |---|---|
//! | [`attributes`] | the question to authorization, and the words of a refusal |
//! | [`peer`], [`x509`] | client certificates |
//! | [`tokens`], [`claims`], [`jwt`] | service account tokens: service, content (pure), signatures |
//! | [`rbac`], [`policy`] | roles and bindings: rules (pure), and a current snapshot of them |
//! | [`node`] | what a kubelet may see |
//! | [`defaults`] | the roles and bindings that every cluster starts with, pure |

pub mod attributes;
pub mod claims;
pub mod defaults;
pub mod jwt;
pub mod node;
pub mod peer;
pub mod policy;
pub mod rbac;
pub mod tokens;
pub mod x509;

use std::sync::Arc;

use anyhow::Context as _;
use api::Status;
use base::{Context, SystemClock};

pub use attributes::{Attributes, Decision};
pub use peer::Peer;
pub use x509::Lenient;

use crate::options::Options;
use crate::storage::Storage;
use policy::Policies;
use rbac::Policy;
use tokens::Tokens;

/// Members may do everything (upstream: `user.SystemPrivilegedGroup`).
pub const MASTERS: &str = "system:masters";

/// Authentication and authorization of one server.
pub struct Auth {
    /// Service account tokens.
    pub tokens: Arc<Tokens>,
    /// Judges client certificates; `None` = certificates say nothing.
    pub clients: Option<Arc<Lenient>>,
    policies: Arc<Policies>,
    nodes: node::Nodes,
}

impl Auth {
    /// Reads the keys and follows roles and bindings in `context`.
    ///
    /// # Errors
    /// Files that cannot be read or hold no usable keys.
    pub async fn new(options: &Options, storage: Arc<Storage>, context: &Context) -> anyhow::Result<Self> {
        let clients = match &options.client_ca_file {
            Some(path) => {
                let pem = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
                Some(Lenient::new(&pem).with_context(|| format!("{} holds no authority", path.display()))?)
            }
            None => None,
        };
        let tokens = Arc::new(Tokens::new(options, storage.clone(), SystemClock::shared())?);
        let policies = Policies::follow(storage.clone(), context).await?;
        Ok(Self { tokens, clients, policies, nodes: node::Nodes::new(storage) })
    }

    /// Whether roles and bindings are known.
    pub fn is_synced(&self) -> bool {
        self.policies.is_synced()
    }

    /// The roles and bindings of now.
    pub fn policy(&self) -> Arc<Policy> {
        self.policies.current()
    }

    /// Whether they may: masters, then the node authorizer, then RBAC.
    ///
    /// # Errors
    /// When the storage cannot be read.
    pub async fn authorize(&self, asked: &Attributes) -> Result<Decision, Status> {
        if asked.user.in_group(MASTERS) {
            return Ok(Decision::Allow(String::new()));
        }
        let node = self.nodes.authorize(asked).await?;
        if matches!(node, Decision::Allow(_)) {
            return Ok(node);
        }
        if let Some(reason) = self.policy().allowed(asked) {
            return Ok(Decision::Allow(reason));
        }
        Ok(node)
    }
}
