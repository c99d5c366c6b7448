//! Who has which node port, as it is recorded: below `/registry/mkube/nodeports/` one record for each block of 64 ports, that maps
//! the ports given out to their Services. A transaction of the store takes 128 operations (etcd: `--max-txn-ops`): with a record
//! for each port, a Service of more could neither be written nor removed. The default range of node ports is 44 blocks.
//!
//! Worked example: `…/nodeports/0468` = `{"30000":"default/web","30001":"shop/cart"}`. Whoever gives out or takes back a port of
//! the block changes the record as it was read; of two who do so at once the second begins again.

use std::collections::BTreeMap;

use bytes::Bytes;
use store::{KeyValue, Revision};

use crate::storage::Claim;

/// Below it are the records.
pub const PREFIX: &str = "/registry/mkube/nodeports/";
const BLOCK: u16 = 64;

/// One block as it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Block {
    /// 0 = there is no record.
    revision: Revision,
    owners: BTreeMap<u16, String>,
}

/// The records as they were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodePorts(BTreeMap<u16, Block>);

impl NodePorts {
    /// From the store. What is no record of this form counts as empty, and is written over.
    pub fn of(records: impl IntoIterator<Item = KeyValue>) -> Self {
        let blocks = records.into_iter().filter_map(|record| {
            let block = std::str::from_utf8(&record.key).ok()?.strip_prefix(PREFIX)?.parse().ok()?;
            let owners = serde_json::from_slice(&record.value).unwrap_or_default();
            (key(block) == record.key).then_some((block, Block { revision: record.mod_revision, owners }))
        });
        Self(blocks.collect())
    }

    /// The Service, as `namespace/name`, that has the port.
    pub fn owner(&self, port: u16) -> Option<&str> {
        self.0.get(&(port / BLOCK))?.owners.get(&port).map(String::as_str)
    }

    /// All ports and their Services.
    pub fn all(&self) -> impl Iterator<Item = (u16, &str)> {
        self.0.values().flat_map(|block| block.owners.iter().map(|(port, owner)| (*port, owner.as_str())))
    }

    /// The claims by which ports change hands, each to a Service or to nobody: one for each block.
    pub fn claims(&self, changes: &BTreeMap<u16, Option<String>>) -> Vec<Claim> {
        let mut changed: BTreeMap<u16, Block> = BTreeMap::new();
        for (port, owner) in changes {
            let number = port / BLOCK;
            let block = changed.entry(number).or_insert_with(|| self.0.get(&number).cloned().unwrap_or_default());
            match owner {
                Some(owner) => block.owners.insert(*port, owner.clone()),
                None => block.owners.remove(port),
            };
        }
        changed
            .into_iter()
            .map(|(number, block)| Claim::record(key(number), block.revision, value(&block.owners)))
            .collect()
    }
}

/// First and last key of the records that hold these ports; `None` if there are no ports.
pub fn span(ports: impl IntoIterator<Item = u16>) -> Option<(Bytes, Bytes)> {
    let (first, last) = ports.into_iter().fold(None, |span: Option<(u16, u16)>, port| {
        Some(span.map_or((port, port), |(first, last)| (first.min(port), last.max(port))))
    })?;
    Some((key(first / BLOCK), key(last / BLOCK)))
}

/// Of one length, so that the order of the keys is that of the blocks.
fn key(block: u16) -> Bytes {
    format!("{PREFIX}{block:04}").into()
}

/// A block with nobody in it has no record.
fn value(owners: &BTreeMap<u16, String>) -> Option<Bytes> {
    let entries = owners.iter().map(|(port, owner)| (port.to_string(), owner.as_str().into()));
    (!owners.is_empty()).then(|| serde_json::Value::Object(entries.collect()).to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, value: &str, mod_revision: u64) -> KeyValue {
        KeyValue { key: key.to_string().into(), value: value.to_string().into(), mod_revision, ..KeyValue::default() }
    }

    fn two() -> NodePorts {
        NodePorts::of([
            record("/registry/mkube/nodeports/0468", r#"{"30000":"a/x","30001":"a/y"}"#, 7),
            record("/registry/mkube/nodeports/0511", r#"{"32767":"a/x"}"#, 9),
            record("/registry/mkube/nodeports/0470", "a/z", 11),
            record("/registry/mkube/nodeports/30000", "a/z", 12),
        ])
    }

    #[test]
    fn records_say_whose_a_port_is() {
        let all: Vec<(u16, String)> = two().all().map(|(port, owner)| (port, owner.to_string())).collect();
        assert_eq!(all, [(30000, "a/x".into()), (30001, "a/y".into()), (32767, "a/x".into())]);
        let table = [(30000, Some("a/x")), (30002, None), (30080, None), (32767, Some("a/x")), (0, None)];
        for (port, owner) in table {
            assert_eq!(two().owner(port), owner, "{port}");
        }
    }

    #[test]
    fn each_block_that_changes_is_one_claim() {
        let take = |port| (port, Some("b/n".to_string()));
        // changes → (block, revision, value) of each claim
        type Row = (Vec<(u16, Option<String>)>, Vec<(&'static str, u64, Option<&'static str>)>);
        let table: [Row; 5] = [
            (vec![], vec![]),
            (vec![take(30002), (30001, None)], vec![("0468", 7, Some(r#"{"30000":"a/x","30002":"b/n"}"#))]),
            (vec![(32767, None)], vec![("0511", 9, None)]),
            // A record that cannot be read is written over; a block without one gets one.
            (
                vec![take(30080), take(30144)],
                vec![("0470", 11, Some(r#"{"30080":"b/n"}"#)), ("0471", 0, Some(r#"{"30144":"b/n"}"#))],
            ),
            (
                vec![take(1), take(65535)],
                vec![("0000", 0, Some(r#"{"1":"b/n"}"#)), ("1023", 0, Some(r#"{"65535":"b/n"}"#))],
            ),
        ];
        for (changes, expected) in table {
            let claims = two().claims(&changes.iter().cloned().collect());
            let told: Vec<(String, u64, Option<String>)> = claims
                .into_iter()
                .map(|claim| {
                    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
                    (text(&claim.key).replace(PREFIX, ""), claim.expected, claim.value.as_ref().map(text))
                })
                .collect();
            let expected: Vec<_> =
                expected.into_iter().map(|(key, at, value)| (key.to_string(), at, value.map(String::from))).collect();
            assert_eq!(told, expected, "{changes:?}");
        }
    }

    #[test]
    fn the_span_of_ports_is_that_of_their_blocks() {
        assert_eq!(span([]), None);
        assert_eq!(span([30100, 30000, 32767]), Some((key(468), key(511))));
        assert!(key(9) < key(10) && key(99) < key(100), "read in order");
    }
}
