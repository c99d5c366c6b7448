//! Applies what is committed and durable here, tells the watches, and answers.

use std::sync::atomic::Ordering;

use prost::Message as _;
use proto::log::{Entry, EntryKind, MembershipChange};

use super::waiting::Fate;
use super::{APPLY_BYTES, Done, Fatal, Member, Port};
use crate::kv::Error;
use crate::raft::{ChangeKind, Role};
use crate::request::{self, Request};
use crate::shared::Fault;
use crate::state::{At, State};

/// Entries applied while the state is locked.
const PORTION: usize = 32;

/// An entry, decoded.
enum Work {
    Request(Request),
    Change(MembershipChange),
    Nothing,
}

impl<T> Member<T> {
    /// Applies the entries up to `to`.
    pub(super) fn apply(&mut self, to: u64, port: &mut impl Port<Ticket = T>) -> Result<(), Fatal> {
        while self.applied < to {
            let (next, alone) = (self.applied + 1, self.solitary());
            let entries = match alone {
                true => self.log.take(next, to + 1, APPLY_BYTES),
                false => self.log.entries(next, to + 1, APPLY_BYTES),
            };
            let entries = entries.map_err(Fatal::Read)?;
            let Some((last, term)) = entries.last().map(|entry| (entry.index, entry.term)) else {
                return Err(Fatal::Broken(format!("entry {} is not in the log", self.applied + 1)));
            };
            self.apply_entries(entries, port)?;
            self.applied = last;
            self.raft.applied(last);
            self.decided(term, port);
            self.log.release(last, if alone { 0 } else { self.keep });
        }
        Ok(())
    }

    fn apply_entries(&mut self, entries: Vec<Entry>, port: &mut impl Port<Ticket = T>) -> Result<(), Fatal> {
        let standing = self.raft.standing();
        let began = |entry: &Entry| entry.kind() == EntryKind::Empty && entry.term == standing.term;
        let leads = standing.role == Role::Leader && entries.iter().any(began);
        let mut outcomes = Vec::with_capacity(entries.len());
        let mut changes = Vec::new();
        let mut rest = entries.into_iter();
        while rest.len() > 0 {
            let portion = rest.by_ref().take(PORTION);
            let work = portion.map(decode).collect::<Result<Vec<_>, _>>().map_err(Fatal::Broken)?;
            let mut state = self.core.state.write();
            let before = state.revision();
            for (at, work) in work {
                let outcome = match work {
                    Work::Request(request) => state.apply(at, request).map(Done::Applied),
                    Work::Nothing => {
                        state.skip(at);
                        Err(Error::TimedOut)
                    }
                    Work::Change(change) => {
                        let result = state.change_member(at, &change);
                        changes.push(change);
                        result.map(|()| Done::Changed).map_err(super::change_error)
                    }
                };
                outcomes.push((at, outcome));
            }
            self.publish(&state, before);
        }
        if leads {
            self.core.lead(standing.term);
        }
        for change in changes {
            self.change_membership(&change, port);
        }
        for (at, outcome) in outcomes {
            if let Ok(Done::Applied(outcome)) = &outcome {
                self.core.heed(outcome);
            }
            match self.waiting.applied(at.index, at.term) {
                Fate::Nobody => {}
                Fate::Found(ticket) => port.answer(ticket, outcome),
                // Certainly not applied; but whoever waits is told what etcd tells him.
                Fate::Lost(ticket) => port.answer(ticket, Err(Error::TimedOut)),
            }
        }
        Ok(())
    }

    /// Who still waits for a leader before that of this term need not any longer.
    pub(super) fn decided(&mut self, term: u64, port: &mut impl Port<Ticket = T>) {
        for ticket in self.waiting.decided(term) {
            port.answer(ticket, Err(Error::TimedOut));
        }
    }

    fn change_membership(&mut self, change: &MembershipChange, port: &mut impl Port<Ticket = T>) {
        match self.raft.apply_membership(change) {
            Ok(membership) => tracing::info!(?membership, "the store's membership has changed"),
            Err(error) => tracing::debug!(%error, "a membership change without effect"),
        }
        if change.id == self.id && change.kind() == ChangeKind::Remove {
            self.removed = Some(self.ticks);
        }
        self.note_membership();
        port.members_changed(self.core.state.read().members());
    }

    /// Tells the watches what came after revision `before`: while nobody can look at the state, so that nobody sees in it, or hears
    /// from a watch, what the revision that the store says it is at does not contain.
    fn publish(&self, state: &State, before: u64) {
        if state.revision() > before {
            let dropped = self.core.planted(Fault::DropEvent) && state.revision().is_multiple_of(64);
            if !self.core.hub.is_empty() && !dropped {
                self.core.hub.mark(state.changes(before + 1));
            }
            self.core.published.store(state.revision(), Ordering::Release);
        }
    }
}

/// Applies a committed entry to a state that nobody uses yet: at start.
pub(crate) fn replay(state: &mut State, entry: Entry) -> Result<(), String> {
    match decode(entry)? {
        // What failed then fails now, and changed nothing both times.
        (at, Work::Request(request)) => drop(state.apply(at, request)),
        (at, Work::Change(change)) => drop(state.change_member(at, &change)),
        (at, Work::Nothing) => state.skip(at),
    }
    Ok(())
}

fn decode(entry: Entry) -> Result<(At, Work), String> {
    let at = At { index: entry.index, term: entry.term };
    let work = match entry.kind() {
        EntryKind::Empty => Work::Nothing,
        EntryKind::Membership => {
            Work::Change(MembershipChange::decode(entry.request).map_err(|error| error.to_string())?)
        }
        EntryKind::Request => request::decode(entry.request)?.map_or(Work::Nothing, Work::Request),
    };
    Ok((at, work))
}
