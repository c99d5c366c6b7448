//! The cluster, as the store's users see and change it.

use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::Duration;

use prost::Message as _;
use proto::log::request::Body;
use proto::log::{Member, MemberUpdate, MembershipChange, Published};

use super::Store;
use crate::cluster::Cluster;
use crate::kv::{ClusterError, Error};
use crate::member::Input;
use crate::raft::{ChangeKind, Role};
use crate::random::random;
use crate::request;
use crate::state::Outcome;

/// Between attempts to tell the cluster about oneself.
const PAUSE: Duration = Duration::from_millis(200);

/// One member of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberInfo {
    /// Its ID.
    pub id: u64,
    /// Its name; empty until it has started.
    pub name: String,
    /// Where other members reach it.
    pub peer_urls: Vec<String>,
    /// Where clients reach it; empty until it has started.
    pub client_urls: Vec<String>,
    /// Whether it only listens.
    pub learner: bool,
}

/// What a member says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreStatus {
    /// Who leads; 0: not known.
    pub leader: u64,
    /// raft's term.
    pub term: u64,
    /// The last entry that is known to be committed and durable here.
    pub index: u64,
    /// The last entry that the state contains.
    pub applied_index: u64,
    /// Its term.
    pub applied_term: u64,
    /// Whether this member only listens.
    pub learner: bool,
    /// Bytes of all keys and values with their history.
    pub db_size: u64,
    /// Bytes of the keys and values that live now.
    pub db_size_in_use: u64,
}

impl From<&Member> for MemberInfo {
    fn from(member: &Member) -> Self {
        Self {
            id: member.id,
            name: member.name.clone(),
            peer_urls: member.peer_urls.clone(),
            client_urls: member.client_urls.clone(),
            learner: member.learner,
        }
    }
}

impl Store {
    /// What this member says of itself; local.
    pub fn status(&self) -> StoreStatus {
        let standing = *self.core().standing.borrow();
        let state = self.core().state.read();
        let applied = state.applied();
        StoreStatus {
            leader: standing.leader,
            term: standing.term,
            index: applied.index,
            applied_index: applied.index,
            applied_term: applied.term,
            learner: state.members().get(self.member_id()).is_some_and(|member| member.learner),
            db_size: state.resident(),
            db_size_in_use: state.live_bytes(),
        }
    }

    /// Whether this member only listens.
    pub(crate) fn is_learner(&self) -> bool {
        self.core().learner.load(Ordering::Acquire)
    }

    /// Whether this member leads.
    pub fn is_leader(&self) -> bool {
        self.core().standing.borrow().role == Role::Leader
    }

    /// Returns when the leader, or the term, is another than in `status`. False: the store has stopped.
    pub async fn leader_changed(&self, status: &StoreStatus) -> bool {
        let mut standing = self.core().standing.subscribe();
        let other = |now: &crate::raft::Standing| (now.leader, now.term) != (status.leader, status.term);
        let mut ended = self.ended.clone();
        tokio::select! {
            changed = standing.wait_for(other) => changed.is_ok(),
            _ = ended.wait_for(|ended| *ended) => false,
        }
    }

    /// All members as this member knows them, in the order of their IDs.
    pub fn members(&self) -> Vec<MemberInfo> {
        self.core().state.read().members().iter().map(MemberInfo::from).collect()
    }

    /// The members, with all changes that were acknowledged.
    ///
    /// # Errors
    /// When no leader answers.
    pub async fn current_members(&self) -> Result<Vec<MemberInfo>, Error> {
        self.catch_up().await?;
        Ok(self.members())
    }

    /// Adds a member, which is then to be started with the cluster state "existing". Returns it.
    ///
    /// # Errors
    /// When an address is taken, a change is under way, too few members are there, there is a learner already and another is
    /// to be added, or the leader is lost.
    pub async fn member_add(&self, peer_urls: Vec<String>, learner: bool) -> Result<MemberInfo, Error> {
        let taken = |info: &MemberInfo| info.peer_urls.iter().any(|url| peer_urls.contains(url));
        if self.current_members().await?.iter().any(taken) {
            return Err(Error::Cluster(ClusterError::UrlExists));
        }
        let member = Member { id: random(), peer_urls, learner, ..Member::default() };
        let kind = if learner { ChangeKind::AddLearner } else { ChangeKind::AddVoter };
        self.change(kind, member.id, member.encode_to_vec().into()).await?;
        Ok(MemberInfo::from(&member))
    }

    /// Removes a member for ever.
    ///
    /// # Errors
    /// When there is no such member, a change is under way, too few members would be there, or the leader is lost.
    pub async fn member_remove(&self, id: u64) -> Result<(), Error> {
        self.change(ChangeKind::Remove, id, bytes::Bytes::new()).await
    }

    /// Lets a learner vote.
    ///
    /// # Errors
    /// When it is no learner, or is far behind; and as for [`Store::member_remove`].
    pub async fn member_promote(&self, id: u64) -> Result<(), Error> {
        self.change(ChangeKind::Promote, id, bytes::Bytes::new()).await
    }

    /// Changes where a member is reached by others.
    ///
    /// # Errors
    /// When there is no such member, an address is taken, or the leader is lost.
    pub async fn member_update(&self, id: u64, peer_urls: Vec<String>) -> Result<Vec<MemberInfo>, Error> {
        self.update(MemberUpdate { id, peer_urls, published: None }).await
    }

    /// Hands the leadership to another voter, and returns when it leads.
    ///
    /// # Errors
    /// When this member does not lead, the other one cannot, or it does not come to it in time.
    pub async fn move_leader(&self, to: u64) -> Result<(), Error> {
        self.tell(None, |ticket| Input::Transfer(to, ticket)).await.map(|_| ())
    }

    async fn change(&self, kind: ChangeKind, id: u64, context: bytes::Bytes) -> Result<(), Error> {
        let change = MembershipChange { kind: kind.into(), id, context };
        self.tell(None, |ticket| Input::Change(change, ticket)).await.map(|_| ())
    }

    async fn update(&self, update: MemberUpdate) -> Result<Vec<MemberInfo>, Error> {
        match self.propose(request::encode(Body::Member(update))).await? {
            Outcome::Members(members) => Ok(members.iter().map(MemberInfo::from).collect()),
            other => Err(Error::Corrupt(format!("a member's update was answered with {other:?}"))),
        }
    }
}

/// Tells the cluster this member's name, nonce and addresses for clients, until the log has them.
pub(super) async fn publish(store: Weak<Store>, cluster: Cluster) {
    loop {
        let Some(store) = store.upgrade() else { return };
        if store.core().open().is_err() {
            return;
        }
        let (id, nonce) = (store.identity.member, store.identity.nonce);
        let known = store.core().state.read().members().get(id).cloned();
        if let Some(known) = known {
            if (known.nonce, &known.name, &known.client_urls) == (nonce, &cluster.name, &cluster.advertise_client_urls)
            {
                return;
            }
            let (name, client_urls) = (cluster.name.clone(), cluster.advertise_client_urls.clone());
            let published = Some(Published { name, client_urls, nonce });
            match store.update(MemberUpdate { id, peer_urls: Vec::new(), published }).await {
                Ok(_) => continue,
                Err(error) => tracing::debug!(%error, "the cluster has not taken note of this member yet"),
            }
        }
        drop(store);
        tokio::time::sleep(PAUSE).await;
    }
}
