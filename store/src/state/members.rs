//! Who takes part, with names, addresses and nonces: as much a function of the log as the keys are. Who votes is raft's to
//! judge; this follows it.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;
use proto::log::{self, Member, MemberUpdate, MembershipChange};

use super::{At, State};
use crate::kv::{ClusterError, Error};
use crate::raft::{self, ChangeError, ChangeKind, Membership};

/// See the module's header.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Members {
    all: BTreeMap<u64, Member>,
    /// Never to return.
    removed: BTreeSet<u64>,
}

impl Members {
    /// In the order of their IDs.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.all.values()
    }

    pub(crate) fn get(&self, id: u64) -> Option<&Member> {
        self.all.get(&id)
    }

    /// Whether the member was removed.
    pub(crate) fn was_removed(&self, id: u64) -> bool {
        self.removed.contains(&id)
    }

    /// As raft needs it.
    pub(crate) fn membership(&self) -> Membership {
        let ids = |learner| self.all.values().filter(move |member| member.learner == learner).map(|member| member.id);
        Membership { voters: ids(false).collect(), learners: ids(true).collect() }
    }

    fn change(&mut self, change: &MembershipChange) -> Result<(), ChangeError> {
        if self.removed.contains(&change.id) && !matches!(change.kind(), ChangeKind::Remove) {
            return Err(ChangeError::Exists);
        }
        raft::changed(&self.membership(), change)?;
        match change.kind() {
            kind @ (ChangeKind::AddVoter | ChangeKind::AddLearner) => {
                let member = Member::decode(change.context.clone()).unwrap_or_default();
                let learner = kind == ChangeKind::AddLearner;
                self.all.insert(change.id, Member { id: change.id, learner, ..member });
            }
            ChangeKind::Promote => {
                if let Some(member) = self.all.get_mut(&change.id) {
                    member.learner = false;
                }
            }
            ChangeKind::Remove => {
                self.all.remove(&change.id);
                self.removed.insert(change.id);
            }
        }
        Ok(())
    }

    /// Takes what a member, or an operator, says of a member. The first nonce stays.
    fn update(&mut self, update: MemberUpdate) -> Result<Vec<Member>, Error> {
        let urls = &update.peer_urls;
        if self.all.values().any(|other| other.id != update.id && other.peer_urls.iter().any(|url| urls.contains(url)))
        {
            return Err(Error::Cluster(ClusterError::UrlExists));
        }
        let member = self.all.get_mut(&update.id).ok_or(Error::Cluster(ClusterError::NoMember))?;
        if !update.peer_urls.is_empty() {
            member.peer_urls = update.peer_urls;
        }
        if let Some(published) = update.published {
            member.name = published.name;
            member.client_urls = published.client_urls;
            if member.nonce == 0 {
                member.nonce = published.nonce;
            }
        }
        Ok(self.all.values().cloned().collect())
    }

    pub(super) fn to_log(&self) -> log::Members {
        log::Members { members: self.all.values().cloned().collect(), removed: self.removed.iter().copied().collect() }
    }

    pub(super) fn from_log(members: log::Members) -> Self {
        Self {
            all: members.members.into_iter().map(|member| (member.id, member)).collect(),
            removed: members.removed.into_iter().collect(),
        }
    }
}

impl State {
    /// Who takes part.
    pub(crate) fn members(&self) -> &Members {
        &self.members
    }

    /// Applies the membership change of the entry at `at`. One that does not fit changes nothing.
    pub(crate) fn change_member(&mut self, at: At, change: &MembershipChange) -> Result<(), ChangeError> {
        self.skip(at);
        self.members.change(change)
    }

    pub(super) fn update_member(&mut self, update: MemberUpdate) -> Result<Vec<Member>, Error> {
        self.members.update(update)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(kind: ChangeKind, id: u64) -> MembershipChange {
        let member = Member { peer_urls: vec![format!("http://m{id}")], ..Member::default() };
        MembershipChange { kind: kind.into(), id, context: member.encode_to_vec().into() }
    }

    #[test]
    fn changes_follow_rafts_rules_and_the_removed_never_return() {
        let mut members = Members::default();
        members.change(&change(ChangeKind::AddVoter, 1)).unwrap();
        members.change(&change(ChangeKind::AddLearner, 2)).unwrap();
        assert_eq!(members.membership(), Membership { voters: vec![1], learners: vec![2] });
        assert_eq!(members.change(&change(ChangeKind::Remove, 1)), Err(ChangeError::LastVoter));
        members.change(&change(ChangeKind::Promote, 2)).unwrap();
        members.change(&change(ChangeKind::Remove, 1)).unwrap();
        assert_eq!(members.change(&change(ChangeKind::AddVoter, 1)), Err(ChangeError::Exists));
        assert!(members.was_removed(1) && members.get(2).is_some_and(|member| !member.learner));
        assert_eq!(Members::from_log(members.to_log()), members);
    }

    #[test]
    fn a_member_speaks_for_itself_and_keeps_its_first_nonce() {
        let mut members = Members::default();
        members.change(&change(ChangeKind::AddVoter, 1)).unwrap();
        members.change(&change(ChangeKind::AddVoter, 2)).unwrap();
        let published = |nonce| log::Published { name: "a".into(), client_urls: vec!["http://c".into()], nonce };
        let update = |id, url: &str, nonce| MemberUpdate {
            id,
            peer_urls: if url.is_empty() { Vec::new() } else { vec![url.into()] },
            published: Some(published(nonce)),
        };
        members.update(update(1, "", 7)).unwrap();
        members.update(update(1, "http://new", 8)).unwrap();
        let one = members.get(1).unwrap();
        assert_eq!((one.nonce, one.name.as_str(), one.peer_urls[0].as_str()), (7, "a", "http://new"));
        assert_eq!(members.update(update(2, "http://new", 1)), Err(Error::Cluster(ClusterError::UrlExists)));
        assert_eq!(members.update(update(9, "", 1)), Err(Error::Cluster(ClusterError::NoMember)));
    }
}
