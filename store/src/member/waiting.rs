//! Who waits for what: requests by where they stand in the log, requests handed to the leader, reads. Pure.
//!
//! ```text
//! propose ──► placed[index] = (term, ticket)          applied at that index with that term: answered; with another: lost
//! hand on ──► handed[name] = (term, ticket) ── Placed(name, term, index) ──► placed[index]
//! read ─────► asked[name] = tickets ── confirmed at index ──► readable[index] ── applied ≥ index ──► answered
//! ```

use std::collections::{BTreeMap, VecDeque};

use proto::peer::Parcel;
use proto::peer::parcel::Body;

use crate::raft::Read;

/// Ticks after which an unanswered read is asked for again.
const READ_AGAIN: u64 = 10;

/// See the module's header. `T` is a ticket.
pub(super) struct Waiting<T> {
    /// Ticks that a request may wait for its leader (etcd: 5 s and two election timeouts).
    patience: u64,
    now: u64,
    /// In the order of their indices, which is that of their coming but for what another leader replaces.
    placed: VecDeque<Placed<T>>,
    /// By name.
    handed: BTreeMap<u64, Handed<T>>,
    asked: BTreeMap<u64, Asked<T>>,
    /// By index: since when, and who.
    readable: BTreeMap<u64, Vec<(u64, T)>>,
    last_name: u64,
    /// The term of the last entry that was applied.
    decided: u64,
}

struct Placed<T> {
    index: u64,
    term: u64,
    since: u64,
    ticket: T,
}

struct Handed<T> {
    /// Whose leader has it.
    term: u64,
    since: u64,
    ticket: T,
}

struct Asked<T> {
    since: u64,
    /// When it was last asked for; `None`: it is to be asked for again now.
    asked: Option<u64>,
    tickets: Vec<T>,
}

/// What became of an entry's ticket.
pub(super) enum Fate<T> {
    /// Nobody waits.
    Nobody,
    /// This is the entry that the ticket waits for.
    Found(T),
    /// Another entry took its place: it will never be applied.
    Lost(T),
}

impl<T> Waiting<T> {
    /// `life`: another one at each start. What a former life of this member has handed on may be answered to this one; by names
    /// that begin somewhere else, the answer is nobody's.
    pub(super) fn new(patience: u64, life: u64) -> Self {
        Self {
            patience,
            now: 0,
            placed: VecDeque::new(),
            handed: BTreeMap::new(),
            asked: BTreeMap::new(),
            readable: BTreeMap::new(),
            last_name: life,
            decided: 0,
        }
    }

    /// Ticks that a request may wait for its leader.
    pub(super) fn patience(&self) -> u64 {
        self.patience
    }

    fn name(&mut self) -> u64 {
        self.last_name = self.last_name.wrapping_add(1);
        self.last_name
    }

    /// A request stands at `index`. Returns whoever waited for an entry that stood there before.
    pub(super) fn place(&mut self, index: u64, term: u64, ticket: T) -> Option<T> {
        let placed = Placed { index, term, since: self.now, ticket };
        if self.placed.back().is_none_or(|last| last.index < index) {
            self.placed.push_back(placed);
            return None;
        }
        let at = self.placed.partition_point(|other| other.index < index);
        match self.placed.get_mut(at).filter(|other| other.index == index) {
            Some(other) => Some(std::mem::replace(other, placed).ticket),
            None => {
                self.placed.insert(at, placed);
                None
            }
        }
    }

    /// The entry at `index`, of this term, is being applied.
    pub(super) fn applied(&mut self, index: u64, term: u64) -> Fate<T> {
        match self.placed.pop_front_if(|first| first.index == index) {
            Some(placed) if placed.term == term => Fate::Found(placed.ticket),
            Some(placed) => Fate::Lost(placed.ticket),
            None => Fate::Nobody,
        }
    }

    /// Entries up to one of this term have been applied. What leaders of former terms were asked for stands before it, or nowhere
    /// and will never: whoever still waits for that need not do so until his patience ends.
    pub(super) fn decided(&mut self, term: u64) -> Vec<T> {
        if std::mem::replace(&mut self.decided, term) == term {
            return Vec::new();
        }
        let former = |placed: &Placed<T>| placed.term < term;
        let mut gone = self.extract_placed(former);
        // Terms grow with names.
        while self.handed.first_key_value().is_some_and(|(_, handed)| handed.term < term) {
            gone.extend(self.handed.pop_first().map(|(_, handed)| handed.ticket));
        }
        gone
    }

    fn extract_placed(&mut self, gone: impl Fn(&Placed<T>) -> bool) -> Vec<T> {
        if !self.placed.iter().any(&gone) {
            return Vec::new();
        }
        let (gone, rest): (VecDeque<_>, _) = std::mem::take(&mut self.placed).into_iter().partition(gone);
        self.placed = rest;
        gone.into_iter().map(|placed| placed.ticket).collect()
    }

    /// A request is handed to the leader of this term: the name to call it by.
    pub(super) fn hand(&mut self, term: u64, ticket: T) -> u64 {
        let name = self.name();
        self.handed.insert(name, Handed { term, since: self.now, ticket });
        name
    }

    /// What was handed on by this name, if somebody still waits for it.
    pub(super) fn take_handed(&mut self, name: u64) -> Option<T> {
        self.handed.remove(&name).map(|handed| handed.ticket)
    }

    /// Reads that wait together, to be asked for now: the name to ask by.
    pub(super) fn read(&mut self, tickets: Vec<T>) -> u64 {
        let name = self.name();
        self.asked.insert(name, Asked { since: self.now, asked: None, tickets });
        name
    }

    /// Nobody could be asked: to be asked again when somebody can be.
    pub(super) fn unasked(&mut self, name: u64) {
        if let Some(asked) = self.asked.get_mut(&name) {
            asked.asked = None;
        }
    }

    /// All reads are to be asked for again.
    pub(super) fn ask_again(&mut self) {
        self.asked.values_mut().for_each(|asked| asked.asked = None);
    }

    /// Names of reads to ask for now.
    pub(super) fn due(&mut self) -> Vec<u64> {
        let now = self.now;
        let is_due = |asked: &Asked<T>| asked.asked.is_none_or(|at| now >= at + READ_AGAIN);
        let mut names = Vec::new();
        for (name, asked) in self.asked.iter_mut().filter(|(_, asked)| is_due(asked)) {
            asked.asked = Some(now);
            names.push(*name);
        }
        names
    }

    /// These reads may be answered once what they name is applied.
    pub(super) fn confirmed(&mut self, reads: Vec<Read>) {
        for Read { context, index } in reads {
            if let Some(asked) = self.asked.remove(&context) {
                let tickets = asked.tickets.into_iter().map(|ticket| (asked.since, ticket));
                self.readable.entry(index).or_default().extend(tickets);
            }
        }
    }

    /// The reads that can be answered when everything up to `applied` is in the state.
    pub(super) fn readable(&mut self, applied: u64) -> impl Iterator<Item = T> + use<T> {
        let ready = match self.readable.first_key_value() {
            Some((index, _)) if *index <= applied => {
                let later = self.readable.split_off(&(applied + 1));
                std::mem::replace(&mut self.readable, later)
            }
            _ => BTreeMap::new(),
        };
        ready.into_values().flatten().map(|(_, ticket)| ticket)
    }

    /// A tick has passed: who has waited too long. `leading`: the term in which this member leads and can write; what it
    /// has placed itself in that term is certain to be decided.
    pub(super) fn tick(&mut self, leading: Option<u64>) -> Vec<T> {
        self.now += 1;
        let (now, patience) = (self.now, self.patience);
        let late = |since: u64| now > since + patience;
        let mut gone = self.extract_placed(|placed| late(placed.since) && Some(placed.term) != leading);
        // Names grow with time.
        while self.handed.first_key_value().is_some_and(|(_, handed)| late(handed.since)) {
            gone.extend(self.handed.pop_first().map(|(_, handed)| handed.ticket));
        }
        while self.asked.first_key_value().is_some_and(|(_, asked)| late(asked.since)) {
            gone.extend(self.asked.pop_first().into_iter().flat_map(|(_, asked)| asked.tickets));
        }
        // Confirmed, but what they must see does not come.
        for waiting in self.readable.values_mut() {
            gone.extend(waiting.extract_if(.., |(since, _)| late(*since)).map(|(_, ticket)| ticket));
        }
        self.readable.retain(|_, waiting| !waiting.is_empty());
        gone
    }

    /// Everybody whose request stands at or before `index`: a snapshot has passed it by, and the answer with it.
    pub(super) fn passed(&mut self, index: u64) -> Vec<T> {
        let count = self.placed.partition_point(|placed| placed.index <= index);
        self.placed.drain(..count).map(|placed| placed.ticket).collect()
    }
}

/// Raft's message, packed.
pub(super) fn parcel(message: crate::raft::Message) -> Parcel {
    Parcel { body: Some(Body::Raft(message)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_belongs_to_the_entry_that_was_placed() {
        let mut waiting = Waiting::new(5, 0);
        assert!(waiting.place(4, 1, 'a').is_none());
        assert!(waiting.place(5, 1, 'b').is_none());
        assert_eq!(waiting.place(5, 2, 'c'), Some('b'), "replaced before it was committed");
        assert!(matches!(waiting.applied(3, 1), Fate::Nobody));
        assert!(matches!(waiting.applied(4, 2), Fate::Lost('a')), "another leader's entry stands there");
        assert!(matches!(waiting.applied(5, 2), Fate::Found('c')));
        let name = waiting.hand(2, 'd');
        assert_eq!((waiting.take_handed(name), waiting.take_handed(name)), (Some('d'), None));
    }

    #[test]
    fn what_a_former_life_handed_on_is_not_answered_to_this_one() {
        let (mut former, mut this) = (Waiting::new(5, 77 << 40), Waiting::new(5, u64::MAX));
        let (before, now) = (former.hand(1, 'a'), this.hand(1, 'b'));
        assert_eq!(this.take_handed(before), None);
        assert_eq!(this.take_handed(now), Some('b'));
    }

    #[test]
    fn a_new_leaders_first_entry_ends_the_wait_for_former_ones() {
        let mut waiting = Waiting::new(70, 0);
        waiting.place(5, 1, 'a');
        waiting.place(9, 1, 'b');
        waiting.hand(1, 'c');
        let later = waiting.hand(2, 'd');
        waiting.place(7, 2, 'e');
        assert_eq!(waiting.decided(1), []);
        assert!(matches!(waiting.applied(5, 1), Fate::Found('a')));
        // The log of term 1 ended before 9; nobody has said where 'c' stands.
        assert_eq!(waiting.decided(2), ['b', 'c']);
        assert_eq!(waiting.decided(2), []);
        assert!(matches!(waiting.applied(7, 2), Fate::Found('e')));
        assert_eq!(waiting.take_handed(later), Some('d'));
    }

    #[test]
    fn reads_wait_for_what_they_must_see() {
        let mut waiting = Waiting::new(50, 0);
        let (one, two) = (waiting.read(vec!['a', 'b']), waiting.read(vec!['c']));
        waiting.confirmed(vec![Read { context: two, index: 7 }, Read { context: 99, index: 1 }]);
        waiting.confirmed(vec![Read { context: one, index: 9 }, Read { context: one, index: 1 }]);
        assert_eq!(waiting.readable(6).count(), 0);
        assert_eq!(waiting.readable(8).collect::<Vec<_>>(), ['c']);
        assert_eq!(waiting.readable(9).collect::<Vec<_>>(), ['a', 'b']);
        let three = waiting.read(vec!['d']);
        assert_eq!((waiting.due(), waiting.due()), (vec![three], vec![]));
        waiting.ask_again();
        assert_eq!((waiting.due(), waiting.due()), (vec![three], vec![]));
        for _ in 0..READ_AGAIN {
            assert!(waiting.tick(None).is_empty());
        }
        assert_eq!(waiting.due(), [three], "lost on the way, perhaps");
    }

    #[test]
    fn nobody_waits_for_ever() {
        let mut waiting = Waiting::new(3, 0);
        waiting.place(1, 1, 'a');
        waiting.hand(1, 'b');
        waiting.read(vec!['c']);
        let confirmed = waiting.read(vec!['f']);
        waiting.confirmed(vec![Read { context: confirmed, index: 7 }]);
        waiting.place(2, 2, 'g');
        let gone: Vec<_> = (0..4).flat_map(|_| waiting.tick(Some(2))).collect();
        // 'g' is a leader's own: decided, or it leads no longer. 'a' was placed by another one, whose log may be lost.
        assert_eq!(gone, ['a', 'b', 'c', 'f']);
        assert_eq!(waiting.readable(7).count(), 0);
        assert_eq!(waiting.tick(None), ['g']);
        waiting.place(8, 1, 'd');
        waiting.place(9, 1, 'e');
        assert_eq!(waiting.passed(8), ['d']);
    }
}
