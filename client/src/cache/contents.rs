//! The data of a cache: objects by key, and indexes over them. Pure; the locks are its owner's.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use super::{Applied, Change};
use crate::object::{Key, Object};

struct Index<K> {
    values: fn(&K) -> Vec<String>,
    keys: HashMap<String, BTreeSet<Key>>,
}

/// Objects and indexes.
pub(super) struct Contents<K> {
    objects: BTreeMap<Key, Arc<K>>,
    indexes: HashMap<&'static str, Index<K>>,
}

impl<K> Default for Contents<K> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), indexes: HashMap::new() }
    }
}

impl<K: Object> Contents<K> {
    pub(super) fn get(&self, key: &Key) -> Option<Arc<K>> {
        self.objects.get(key).cloned()
    }

    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }

    pub(super) fn list(&self) -> Vec<Arc<K>> {
        self.objects.values().cloned().collect()
    }

    pub(super) fn namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        let from = Bound::Included(Key::new(namespace, ""));
        let range = self.objects.range((from, Bound::Unbounded));
        range.take_while(|(key, _)| key.namespace == namespace).map(|(_, object)| object.clone()).collect()
    }

    pub(super) fn add_index(&mut self, name: &'static str, values: fn(&K) -> Vec<String>) {
        if self.indexes.contains_key(name) {
            return;
        }
        let mut index = Index { values, keys: HashMap::new() };
        for (key, object) in &self.objects {
            index.add(key, object);
        }
        self.indexes.insert(name, index);
    }

    pub(super) fn by(&self, name: &str, value: &str) -> Vec<Arc<K>> {
        let keys = self.indexes.get(name).and_then(|index| index.keys.get(value));
        keys.into_iter().flatten().filter_map(|key| self.get(key)).collect()
    }

    /// Applies `event`; returns what changed, and the revision up to which everything has then been seen, if it says.
    pub(super) fn apply(&mut self, event: Applied<K>) -> (Option<Change<K>>, Option<u64>) {
        match event {
            Applied::Present(object) => (self.put(object), None),
            Applied::Changed(object) => {
                let revision = object.revision();
                (self.put(object), Some(revision))
            }
            Applied::Deleted(object) => (self.remove(&object.key()), Some(object.revision())),
            Applied::Gone(key) => (self.remove(&key), None),
            Applied::Bookmark(revision) => (None, Some(revision)),
        }
    }

    fn put(&mut self, object: K) -> Option<Change<K>> {
        let key = object.key();
        let new = Arc::new(object);
        let old = self.objects.get(&key).cloned();
        if let Some(old) = &old {
            let same_object = old.uid() == new.uid();
            if same_object && old.revision() >= new.revision() && new.revision() != 0 {
                return None;
            }
            self.indexes.values_mut().for_each(|index| index.remove(&key, old));
        }
        self.indexes.values_mut().for_each(|index| index.add(&key, &new));
        self.objects.insert(key, new.clone());
        Some(match old {
            Some(old) => Change::Updated { old, new },
            None => Change::Added(new),
        })
    }

    fn remove(&mut self, key: &Key) -> Option<Change<K>> {
        let old = self.objects.remove(key)?;
        self.indexes.values_mut().for_each(|index| index.remove(key, &old));
        Some(Change::Deleted(old))
    }
}

impl<K> Index<K> {
    fn add(&mut self, key: &Key, object: &K) {
        for value in (self.values)(object) {
            self.keys.entry(value).or_default().insert(key.clone());
        }
    }

    fn remove(&mut self, key: &Key, object: &K) {
        for value in (self.values)(object) {
            if let Some(keys) = self.keys.get_mut(&value) {
                keys.remove(key);
                if keys.is_empty() {
                    self.keys.remove(&value);
                }
            }
        }
    }
}
