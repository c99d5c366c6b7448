//! Reads entries back while the log is in use: from memory if they are new, else from the files; bounded by bytes.

use std::io;

use proto::log::Entry;

use super::index::Place;
use super::reader::{Found, Reader};
use super::tail::weight;
use super::{Log, segment_path};
use crate::options::OpenError;

/// Why entries cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// They are in a snapshot only.
    #[error("the entries are no longer in the log")]
    Gone,
    /// The files cannot be read, or do not hold what was written.
    #[error("the log cannot be read")]
    File(#[source] OpenError),
}

impl Log {
    /// Entries for another member: none if they cannot be read, which [`Log::take_read_failure`] then tells.
    pub(crate) fn entries_or_note(&self, from: u64, to: u64, most_bytes: u64) -> Vec<Entry> {
        match self.entries(from, to, most_bytes) {
            Ok(entries) => entries,
            Err(ReadError::Gone) => Vec::new(),
            Err(error) => {
                self.read_failure.set(Some(error));
                Vec::new()
            }
        }
    }

    /// The first entry that is in memory, or the log's next one: what comes before it is read from the files.
    pub(crate) fn in_memory_from(&self) -> u64 {
        self.tail.first()
    }

    /// Why entries for another member could not be read, if that has happened since the last time this was asked.
    pub(crate) fn take_read_failure(&self) -> Option<ReadError> {
        self.read_failure.take()
    }

    /// As [`Log::entries`], for the last reader that these entries have: what is in memory of them leaves it.
    pub(crate) fn take(&mut self, from: u64, to: u64, most_bytes: u64) -> Result<Vec<Entry>, ReadError> {
        if from == self.tail.first() { Ok(self.tail.take(to, most_bytes)) } else { self.entries(from, to, most_bytes) }
    }

    /// Entries from `from` to before `to`: at least one if there is one, and not beyond about `most_bytes`.
    pub(crate) fn entries(&self, from: u64, to: u64, most_bytes: u64) -> Result<Vec<Entry>, ReadError> {
        if from < self.index.first() {
            return Err(ReadError::Gone);
        }
        let to = to.min(self.index.next());
        let mut found = Vec::new();
        let mut bytes = 0;
        let mut next = from;
        while next < to && next < self.tail.first() && (bytes == 0 || bytes < most_bytes) {
            let to = to.min(self.tail.first());
            self.read_segment(next, to, most_bytes, &mut bytes, &mut found).map_err(ReadError::File)?;
            next = from + found.len() as u64;
        }
        if next < self.tail.first() {
            return Ok(found);
        }
        for entry in self.tail.since(next) {
            if entry.index >= to || bytes > 0 && bytes + weight(entry) > most_bytes {
                break;
            }
            bytes += weight(entry);
            found.push(entry.clone());
        }
        Ok(found)
    }

    /// Reads on from one point of the index, and over the next ones, for as long as nothing was replaced between them and the
    /// segment goes on. Reads at least one entry.
    fn read_segment(
        &self,
        from: u64,
        to: u64,
        most_bytes: u64,
        bytes: &mut u64,
        found: &mut Vec<Entry>,
    ) -> Result<(), OpenError> {
        let lost = || OpenError::io(&self.dir, "read the log", io::Error::other(format!("entry {from} is not found")));
        let (place, mut until) = self.index.find(from).ok_or_else(lost)?;
        let all = self.sealed.iter().chain([&self.current]);
        let segment = all.clone().find(|segment| segment.number == place.segment).ok_or_else(lost)?;
        let path = segment_path(&self.dir, segment);
        let file = self.disk.open(&path).map_err(|error| OpenError::io(&path, "open", error))?;
        let mut reader = Reader::resume(&path, &*file, place.offset, from)?;
        let before = found.len();
        while reader.expected < to {
            if reader.expected >= until {
                let here = Place { offset: reader.at, ..place };
                match self.index.find(until) {
                    Some((next, end)) if next == here && reader.expected == until => until = end,
                    _ => return Ok(()),
                }
            }
            let Found::Frame(header, mut payload) = reader.next()? else { return Err(lost()) };
            for _ in 0..header.count {
                let entry: Entry = prost::Message::decode_length_delimited(&mut payload)
                    .map_err(|error| reader.damaged(error.to_string(), None))?;
                let full = found.len() > before && *bytes + weight(&entry) > most_bytes;
                if entry.index >= to.min(until) || full {
                    return Ok(());
                }
                if entry.index >= from {
                    *bytes += weight(&entry);
                    found.push(entry);
                }
            }
        }
        Ok(())
    }
}
