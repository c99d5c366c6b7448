//! Whom this member believes to be who it says it is. Pure.

use std::collections::HashMap;

use proto::log::Identity;
use proto::peer::Hello;

use crate::state::Members;

/// What a member that was removed is told (etcd's words).
pub(super) const REMOVED: &str = "the member has been permanently removed from the cluster";

/// Whether the caller may talk; why not, otherwise. `heard`: nonces of callers whose nonce the log does not know yet.
pub(super) fn admit(
    me: &Identity,
    members: &Members,
    heard: &mut HashMap<u64, u64>,
    hello: &Hello,
) -> Result<(), String> {
    if hello.cluster != me.cluster {
        return Err(format!("the caller belongs to cluster {:x}, this member to {:x}", hello.cluster, me.cluster));
    }
    if hello.to != me.member {
        return Err(format!("this is member {:x}, not {:x}", me.member, hello.to));
    }
    if hello.from == me.member || hello.from == 0 || hello.nonce == 0 {
        return Err("the caller does not say who it is".into());
    }
    if members.was_removed(hello.from) {
        return Err(REMOVED.into());
    }
    let known = members.get(hello.from).map(|member| member.nonce).filter(|nonce| *nonce != 0);
    let known = known.unwrap_or_else(|| *heard.entry(hello.from).or_insert(hello.nonce));
    if known != hello.nonce {
        return Err(format!(
            "member {:x} has lost its data, and with them its votes: remove it, and add a new member",
            hello.from
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proto::log::{Member, MembershipChange};

    use super::*;
    use crate::raft::ChangeKind;
    use crate::state::{At, State};

    #[test]
    fn strangers_the_removed_and_those_without_memory_are_refused() {
        let mut state = State::default();
        let mut change = |kind: ChangeKind, id: u64, nonce: u64| {
            let context = prost::Message::encode_to_vec(&Member { nonce, ..Member::default() }).into();
            state.change_member(At::default(), &MembershipChange { kind: kind.into(), id, context }).unwrap();
        };
        change(ChangeKind::AddVoter, 1, 0);
        change(ChangeKind::AddVoter, 2, 5);
        change(ChangeKind::AddVoter, 3, 0);
        change(ChangeKind::AddVoter, 4, 0);
        change(ChangeKind::Remove, 4, 0);
        let me = Identity { cluster: 9, member: 1, nonce: 1 };
        let hello = |cluster, from, to, nonce| Hello { cluster, from, to, nonce };
        // In this order: what was heard counts.
        let table = [
            ("as it once was", hello(9, 2, 1, 5), ""),
            ("another cluster's", hello(8, 2, 1, 5), "belongs to cluster 8"),
            ("for another", hello(9, 2, 3, 5), "this is member 1"),
            ("myself", hello(9, 1, 1, 1), "who it is"),
            ("without a nonce", hello(9, 2, 1, 0), "who it is"),
            ("removed", hello(9, 4, 1, 7), "permanently removed"),
            ("with a new disk", hello(9, 2, 1, 6), "lost its data"),
            ("for the first time", hello(9, 3, 1, 6), ""),
            ("again", hello(9, 3, 1, 6), ""),
            ("another before the log knew it", hello(9, 3, 1, 7), "lost its data"),
            ("not yet known to be added", hello(9, 5, 1, 6), ""),
        ];
        let mut heard = HashMap::new();
        for (what, hello, refusal) in table {
            let answer = admit(&me, state.members(), &mut heard, &hello);
            assert_eq!(answer.is_ok(), refusal.is_empty(), "{what}: {answer:?}");
            assert!(answer.err().unwrap_or_default().contains(refusal), "{what}");
        }
    }
}
