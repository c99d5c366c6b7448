//! Looks at what members have applied: whether they agree, who takes part by it, and who may go.

use super::leases;
use super::world::{Event, World};
use crate::kv::Revision;
use crate::state::{Members, State};
use crate::testing::history::History;

impl World {
    /// Compares what a member has applied with what others have.
    pub(super) fn look(&mut self, id: u64) -> Result<(), String> {
        let Some(life) = self.hosts.get_mut(&id).and_then(|host| host.life.as_mut()) else { return Ok(()) };
        let state = life.core.state.read();
        let applied = state.applied().index;
        if std::mem::replace(&mut life.applied, applied) == applied {
            return Ok(());
        }
        if state.revision() > life.seen {
            absorb(&mut self.history, id, &state, life.seen + 1)?;
            life.seen = state.revision();
        }
        let has = leases::ids(&state);
        let members = (applied > self.membership.0).then(|| state.members().clone());
        drop(state);
        self.look_at_leases(applied, &has)?;
        if let Some(members) = members {
            self.look_at_members(applied, &members);
        }
        Ok(())
    }

    /// Takes note of who takes part as of an entry that nobody had applied before.
    fn look_at_members(&mut self, applied: u64, members: &Members) {
        for id in self.members().into_iter().filter(|id| members.was_removed(*id)) {
            self.removed.insert(id, applied);
            let time = self.random.below(10_000);
            self.after(time, Event::Retire(id));
        }
        let membership = members.membership();
        if membership != self.membership.1 {
            self.note("membership changed");
        }
        self.membership = (applied, membership);
    }

    /// A member that was removed ends, as the writer does it; whoever looks after it may start it again.
    pub(super) fn let_go(&mut self, id: u64) {
        let life = self.hosts.get(&id).and_then(|host| host.life.as_ref());
        if life.is_some_and(|life| life.member.was_removed()) {
            self.note("removed member ended itself");
            self.crash(id);
            let time = 1000 + self.random.below(5000);
            self.after(time, Event::Start(id));
        }
    }

    /// Stops a removed member once a quorum without it knows durably that it is removed (see `Raft::apply_membership`).
    pub(super) fn retire(&mut self, id: u64) {
        let Some(removal) = self.removed.get(&id).copied() else { return };
        let voters = self.membership.1.voters.clone();
        let knows = |id: &&u64| {
            self.hosts
                .get(id)
                .and_then(|host| host.life.as_ref())
                .is_some_and(|life| life.core.state.read().applied().index >= removal)
        };
        if voters.iter().filter(knows).count() == voters.len() {
            self.crash(id);
            self.hosts.remove(&id);
        } else {
            self.after(1000, Event::Retire(id));
        }
    }
}

/// Compares what a member did from revision `from` on with what is known, or learns it.
fn absorb(history: &mut History, id: u64, state: &State, from: Revision) -> Result<(), String> {
    let from = from.max(state.compacted());
    let mut changes = state.changes(from).map(|change| (*change.item).clone()).peekable();
    while let Some(first) = changes.peek() {
        let revision = first.mod_revision;
        let mut done = Vec::new();
        while let Some(change) = changes.next_if(|change| change.mod_revision == revision) {
            done.push(change);
        }
        history.learn(&format!("{id:x}"), revision, done)?;
    }
    Ok(())
}
