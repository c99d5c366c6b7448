//! Who votes, and what a quorum of them is. Memberships change by one member at a time, so that any quorum before a change
//! and any quorum after it have a member in common.

use bytes::Bytes;
use prost::Message as _;

use super::{ChangeError, ChangeKind, Entry, EntryKind, HardState, Membership, MembershipChange};

/// The term of the entries that nobody proposed; the first candidate stands in the next one.
pub(super) const FOUNDING_TERM: u64 = 1;

/// What a new cluster's log begins with, the same on each of its founders: one change per voter (with its context), all of
/// them committed. So whoever joins later learns from the log alone who takes part, and starts with an empty membership.
pub fn foundation(voters: &[(u64, Bytes)]) -> (HardState, Vec<Entry>) {
    let entry = |(index, (id, context)): (u64, &(u64, Bytes))| {
        let change = MembershipChange { kind: ChangeKind::AddVoter.into(), id: *id, context: context.clone() };
        Entry { term: FOUNDING_TERM, index, request: change.encode_to_vec().into(), kind: EntryKind::Membership.into() }
    };
    (HardState { term: FOUNDING_TERM, vote: 0, commit: voters.len() as u64 }, (1..).zip(voters).map(entry).collect())
}

/// The membership after a change.
///
/// # Errors
/// If the change does not fit: then there is no change.
pub fn changed(membership: &Membership, change: &MembershipChange) -> Result<Membership, ChangeError> {
    let id = change.id;
    let kind = ChangeKind::try_from(change.kind).map_err(|_| ChangeError::Malformed)?;
    let mut next = membership.clone();
    let (voter, learner) = (membership.voters.contains(&id), membership.learners.contains(&id));
    match kind {
        _ if id == 0 => return Err(ChangeError::Malformed),
        ChangeKind::AddVoter | ChangeKind::AddLearner if voter || learner => return Err(ChangeError::Exists),
        ChangeKind::Promote if voter => return Err(ChangeError::NotLearner),
        ChangeKind::Promote | ChangeKind::Remove if !voter && !learner => return Err(ChangeError::Missing),
        ChangeKind::Remove if membership.voters == [id] => return Err(ChangeError::LastVoter),
        ChangeKind::AddVoter => next.voters.push(id),
        ChangeKind::AddLearner => next.learners.push(id),
        ChangeKind::Promote => {
            next.learners.retain(|other| *other != id);
            next.voters.push(id);
        }
        ChangeKind::Remove => {
            next.learners.retain(|other| *other != id);
            next.voters.retain(|other| *other != id);
        }
    }
    next.voters.sort_unstable();
    next.learners.sort_unstable();
    Ok(next)
}

/// Everybody, voters first.
pub(super) fn members(membership: &Membership) -> impl Iterator<Item = u64> + '_ {
    membership.voters.iter().chain(&membership.learners).copied()
}

/// How many of so many voters are a quorum.
pub(super) fn quorum(voters: usize) -> usize {
    voters / 2 + 1
}

/// The largest value that a quorum has reached, given each voter's; reorders them. Worked example, five voters:
/// ```text
/// matched  9 4 7 7 2   sorted  9 7 7 4 2   a quorum of three has 7
/// ```
pub(super) fn reached(values: &mut [u64]) -> u64 {
    values.sort_unstable_by(|one, other| other.cmp(one));
    values.get(values.len() / 2).copied().unwrap_or(0)
}
