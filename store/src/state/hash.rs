//! etcd's HashKV: a checksum of the keys and their history up to a revision, equal on every store that holds the same ones,
//! ours or etcd. It runs over what etcd's backend would hold: (revision and number of the change within it, the change).
//! etcd: server/storage/mvcc/hash.go, server/storage/mvcc/kvstore.go (hashByRev).

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use proto::etcd::mvccpb;

use super::State;
use crate::kv::{Error, KeyValue, Revision};

/// Name of the bucket, with which etcd's checksum begins.
const BUCKET: &[u8] = b"key";

/// An answer to HashKV.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashKv {
    /// The checksum (CRC-32C).
    pub hash: u32,
    /// Of the history after this revision, and of the keys as they were at it; 0 = never compacted.
    pub compacted: Revision,
    /// Up to this revision.
    pub revision: Revision,
}

/// A checksum being taken.
pub(crate) struct HashScan {
    revision: Revision,
    compacted: Revision,
    /// The last key looked at.
    resume: Option<Bytes>,
    /// (revision, number within it, the change): of the time after the compaction.
    newer: Vec<(Revision, u32, Arc<KeyValue>)>,
    /// What the compaction left of the time before it; whether a read at `revision` sees it.
    older: Vec<(Revision, u32, Arc<KeyValue>, bool)>,
    any_live: bool,
}

impl State {
    /// Begins the checksum at a revision, 0 = now.
    ///
    /// # Errors
    /// As a read at that revision.
    pub(crate) fn begin_hash(&self, revision: Revision) -> Result<HashScan, Error> {
        Ok(HashScan { revision: self.readable(revision)?, ..self.begin_hash_now() })
    }

    /// Begins the checksum of now.
    pub(super) fn begin_hash_now(&self) -> HashScan {
        HashScan {
            revision: self.revision,
            compacted: self.compacted,
            resume: None,
            newer: Vec::new(),
            older: Vec::new(),
            any_live: false,
        }
    }

    /// Goes on for at most `budget` keys. Returns whether all have been seen.
    ///
    /// # Errors
    /// When a compaction came between: begin anew.
    pub(crate) fn advance_hash(&self, scan: &mut HashScan, budget: usize) -> Result<bool, Error> {
        if scan.compacted != self.compacted {
            return Err(Error::Compacted(self.compacted));
        }
        let low = scan.resume.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut last = None;
        for (key, versions) in self.index.range::<[u8], _>((low, Bound::Unbounded)).take(budget) {
            last = Some(key);
            let all = versions.all();
            let seen = all.iter().rposition(|item| item.mod_revision <= scan.revision);
            let base = all.iter().rposition(|item| item.mod_revision <= scan.compacted);
            for (at, item) in all.iter().enumerate() {
                let live = Some(at) == seen && item.version > 0;
                scan.any_live |= live;
                if item.mod_revision > scan.compacted && item.mod_revision <= scan.revision {
                    scan.newer.push((item.mod_revision, self.sub(item), Arc::clone(item)));
                } else if Some(at) == base && item.version > 0 {
                    scan.older.push((item.mod_revision, self.sub(item), Arc::clone(item), live));
                }
            }
        }
        scan.resume = last.cloned();
        Ok(scan.resume.is_none())
    }
}

impl HashScan {
    /// The checksum, once all keys have been seen.
    pub(crate) fn finish(self) -> HashKv {
        let mut items = self.newer;
        // etcd leaves out what a read at the revision does not see, unless that sees nothing at all.
        let kept = self.older.into_iter().filter(|(.., live)| *live || !self.any_live);
        items.extend(kept.map(|(revision, sub, item, _)| (revision, sub, item)));
        items.sort_unstable_by_key(|(revision, sub, _)| (*revision, *sub));
        let mut hash = crc32c::crc32c(BUCKET);
        for (revision, sub, item) in items {
            hash = crc32c::crc32c_append(hash, &change_key(revision, sub, item.version == 0));
            hash = crc32c::crc32c_append(hash, &change_value(&item));
        }
        HashKv { hash, compacted: self.compacted, revision: self.revision }
    }
}

/// etcd: server/storage/mvcc/revision.go: main, `_`, sub, and a `t` for a deletion.
fn change_key(revision: Revision, sub: u32, deleted: bool) -> Vec<u8> {
    let mut key = Vec::with_capacity(18);
    key.extend_from_slice(&revision.to_be_bytes());
    key.push(b'_');
    key.extend_from_slice(&u64::from(sub).to_be_bytes());
    if deleted {
        key.push(b't');
    }
    key
}

fn change_value(item: &KeyValue) -> Vec<u8> {
    let kv = if item.version == 0 {
        mvccpb::KeyValue { key: item.key.clone(), ..mvccpb::KeyValue::default() }
    } else {
        mvccpb::KeyValue {
            key: item.key.clone(),
            value: item.value.clone(),
            create_revision: item.create_revision as i64,
            mod_revision: item.mod_revision as i64,
            version: item.version as i64,
            lease: item.lease,
        }
    };
    kv.encode_to_vec()
}

#[cfg(test)]
impl State {
    /// Changes a value behind the log's back, as broken memory would.
    pub(crate) fn tamper(&mut self, key: &[u8]) {
        let Some(versions) = self.index.get_mut(key) else { panic!("there is no such key") };
        let mut items = versions.all().to_vec();
        if let Some(last) = items.last_mut() {
            *last = Arc::new(KeyValue { value: Bytes::from_static(b"tampered"), ..(**last).clone() });
        }
        *versions = super::Versions::Many(items);
    }
}
