//! Where each entry stands, and in which term it was written, with little memory: pure, no I/O.
//!
//! Worked example: two terms, segment 1 full at entry 200, entries 150-300 replaced by term 3 while segment 2 is written:
//! ```text
//! stream   segment 1: 1 … 200   segment 2: 201 … 300 | 150 (replaces the rest) … 400
//! points   1 -> segment 1       150 -> segment 2, byte 9000        and one each STRIDE bytes in between
//! terms    1 -> 1               150 -> 3
//! ```
//! From one point up to the index of the next, entries lie one behind the other; so an entry is found by reading from
//! the last point at or before it, and what was replaced is never read.

use std::collections::VecDeque;

/// Bytes of a segment between two points: what is read in vain for one entry, at most.
const STRIDE: u64 = 64 << 10;

/// Where a frame begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The segment's number.
    pub(super) segment: u32,
    pub(super) offset: u64,
}

/// See the module's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Index {
    /// (index, where the frame begins that holds it first).
    points: VecDeque<(u64, Place)>,
    /// (index of the first entry of a term, the term).
    terms: VecDeque<(u64, u64)>,
    /// The first entry that can be read.
    first: u64,
    /// Term of the entry before `first`.
    base: u64,
    next: u64,
}

impl Index {
    /// Of a log whose first entry will be `first`, behind an entry of term `base`.
    pub(super) fn new(first: u64, base: u64) -> Self {
        Self { points: VecDeque::new(), terms: VecDeque::new(), first, base, next: first }
    }

    pub(super) fn first(&self) -> u64 {
        self.first
    }

    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// The term of an entry, or of the one before the first; `None` for what is not known (any more, or yet).
    pub(super) fn term(&self, index: u64) -> Option<u64> {
        if index + 1 == self.first {
            return Some(self.base);
        }
        if index < self.first || index >= self.next {
            return None;
        }
        let behind = self.terms.partition_point(|(first, _)| *first <= index);
        self.terms.get(behind.checked_sub(1)?).map(|(_, term)| *term)
    }

    /// The term of the last entry.
    pub(super) fn last_term(&self) -> u64 {
        self.terms.back().map_or(self.base, |(_, term)| *term)
    }

    /// Notes a frame at `place` whose entries begin at `first` and have these terms; what it replaces is forgotten.
    pub(super) fn add(&mut self, first: u64, terms: impl Iterator<Item = u64>, place: Place) {
        let replaces = first < self.next;
        let from_before = first < self.first;
        if replaces {
            self.cut(first);
        }
        let far = self.points.back().is_none_or(|(_, last)| {
            last.segment != place.segment || place.offset.saturating_sub(last.offset) >= STRIDE
        });
        if replaces || far {
            self.points.push_back((first, place));
        }
        for term in terms {
            if self.terms.is_empty() || self.last_term() != term {
                self.terms.push_back((self.next, term));
            }
            self.next += 1;
        }
        if from_before {
            // Replaced from before the first: only possible for what a snapshot holds (see `recover`). The term of the
            // one before `first` is not known, that of `first` is.
            self.first = first;
            self.forget(first + 1);
        }
    }

    /// Forgets the entries from `from` on.
    fn cut(&mut self, from: u64) {
        while self.points.back().is_some_and(|(index, _)| *index >= from) {
            self.points.pop_back();
        }
        while self.terms.back().is_some_and(|(index, _)| *index >= from) {
            self.terms.pop_back();
        }
        self.next = from;
    }

    /// Forgets the entries before `first`.
    pub(super) fn forget(&mut self, first: u64) {
        if first <= self.first {
            return;
        }
        self.base = self.term(first - 1).unwrap_or(self.base);
        self.first = first;
        while self.points.get(1).is_some_and(|(index, _)| *index <= first) {
            self.points.pop_front();
        }
        while self.terms.get(1).is_some_and(|(index, _)| *index <= first) {
            self.terms.pop_front();
        }
        if let Some((index, _)) = self.terms.front_mut() {
            *index = (*index).max(first);
        }
    }

    /// Where to begin to read `index`, and up to which index reading on from there gives the log's entries.
    pub(super) fn find(&self, index: u64) -> Option<(Place, u64)> {
        if index < self.first || index >= self.next {
            return None;
        }
        let behind = self.points.partition_point(|(first, _)| *first <= index);
        let (_, place) = self.points.get(behind.checked_sub(1)?)?;
        Some((*place, self.points.get(behind).map_or(self.next, |(next, _)| *next)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(segment: u32, offset: u64) -> Place {
        Place { segment, offset }
    }

    #[test]
    fn replaced_entries_are_never_found() {
        let mut index = Index::new(1, 0);
        index.add(1, [1, 1, 1, 2].into_iter(), place(1, 32));
        index.add(5, [2, 2].into_iter(), place(1, 100));
        index.add(7, [2].into_iter(), place(1, 32 + STRIDE));
        index.add(8, [2, 2].into_iter(), place(2, 32));
        index.add(4, [3].into_iter(), place(2, 500));
        index.add(5, [3, 5].into_iter(), place(2, 600));
        assert_eq!((index.first(), index.next(), index.last_term()), (1, 7, 5));
        let terms: Vec<_> = (0..=7).map(|at| index.term(at)).collect();
        assert_eq!(terms, [Some(0), Some(1), Some(1), Some(1), Some(3), Some(3), Some(5), None]);
        assert_eq!(index.find(3), Some((place(1, 32), 4)));
        assert_eq!(index.find(6), Some((place(2, 500), 7)));
        assert_eq!((index.find(0), index.find(7)), (None, None));
    }

    #[test]
    fn what_is_forgotten_leaves_the_term_before_the_first() {
        let mut index = Index::new(1, 0);
        index.add(1, [1, 1, 4, 4, 4].into_iter(), place(1, 32));
        index.add(6, [6].into_iter(), place(2, 32));
        index.forget(4);
        assert_eq!((index.term(2), index.term(3), index.term(4), index.term(6)), (None, Some(4), Some(4), Some(6)));
        assert_eq!(index.find(5), Some((place(1, 32), 6)));
        index.forget(7);
        assert_eq!((index.term(5), index.term(6), index.term(7), index.last_term()), (None, Some(6), None, 6));
        index.add(7, [6, 7].into_iter(), place(3, 32));
        assert_eq!((index.term(7), index.term(8), index.next()), (Some(6), Some(7), 9));
        assert_eq!(index.find(7), Some((place(3, 32), 9)));
        index.add(5, [8, 8].into_iter(), place(3, 99));
        assert_eq!((index.first(), index.term(4), index.term(5), index.term(6)), (6, None, Some(8), Some(8)));
        assert_eq!(index.find(6), Some((place(3, 99), 7)));
    }
}
