//! Carries compactions out, in portions, behind the readers' back: nothing that can still be read changes.

use std::sync::Arc;

use bytes::Bytes;

use super::{State, Versions};
use crate::kv::{KeyValue, Revision};

impl State {
    /// Looks at up to `budget` changes that compaction has made superfluous. Returns whether there is more to do.
    pub(crate) fn sweep(&mut self, budget: usize) -> bool {
        self.sweep_into(budget, &mut Vec::new())
    }

    /// As [`State::sweep`]; what is superfluous goes to `gone`, to be freed when nobody waits for the state any more.
    pub(crate) fn sweep_into(&mut self, budget: usize, gone: &mut Vec<Arc<KeyValue>>) -> bool {
        let limit = self.pins.iter().map(|(revision, _)| *revision).min().unwrap_or(self.compacted).min(self.compacted);
        if self.swept >= limit {
            return false;
        }
        for _ in 0..budget {
            match self.history.pop_front_if(|change| change.item.mod_revision < limit) {
                Some(change) => {
                    self.clean(&change.item.key, limit, gone);
                    gone.push(change.item);
                    gone.extend(change.prev);
                }
                None => {
                    self.sweep_boundary(limit, gone);
                    self.swept = limit;
                    return false;
                }
            }
        }
        true
    }

    /// What revision `limit` itself did stays, for a watch that begins there; what was before it does not.
    fn sweep_boundary(&mut self, limit: Revision, gone: &mut Vec<Arc<KeyValue>>) {
        let at_limit = self.history.partition_point(|change| change.item.mod_revision <= limit);
        let mut keys: Vec<Bytes> = Vec::with_capacity(at_limit);
        for change in self.history.range_mut(..at_limit) {
            gone.extend(change.prev.take());
            keys.push(change.item.key.clone());
        }
        keys.iter().for_each(|key| self.clean(key, limit, gone));
        if self.history.capacity() > 4 * self.history.len() + 1024 {
            self.history.shrink_to(2 * self.history.len());
        }
    }

    /// Drops the versions of a key that no read at or after `limit` sees. A deletion by `limit` itself stays until the
    /// next compaction, as it does in the history.
    fn clean(&mut self, key: &[u8], limit: Revision, gone: &mut Vec<Arc<KeyValue>>) {
        let Some(versions) = self.index.get_mut(key) else { return };
        let items = versions.all();
        // By halves: of a key that is written often there may be thousands of newer ones.
        let seen = items.partition_point(|item| item.mod_revision <= limit).saturating_sub(1);
        let deleted = items[seen].version == 0 && items[seen].mod_revision < limit;
        let drop = seen + usize::from(deleted);
        if drop == 0 {
            return;
        }
        let first = gone.len();
        gone.extend_from_slice(&items[..drop]);
        match versions {
            Versions::Many(items) if drop < items.len() => {
                items.drain(..drop);
                match items.as_slice() {
                    [only] => *versions = Versions::One(only.clone()),
                    _ => items.shrink_to(2 * items.len()),
                }
            }
            _ => {
                self.index.remove(key);
            }
        }
        gone[first..].iter().for_each(|item| self.dropped(item));
    }
}
