//! The keys and leases of an etcd as the state of a new cluster: out of one snapshot of its database, so that all is of one
//! revision R, with the order of writes within a transaction, which no read tells. R becomes the compact revision.
//!
//! That what arrived is what the etcd has is checked before the history goes: HashKV of both at R must be equal.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use bytes::Bytes;
use prost::Message as _;
use proto::etcd::etcdserverpb as pb;
use proto::etcd::etcdserverpb::kv_client::KvClient;
use proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use proto::etcd::mvccpb;
use proto::log::{Item, LeaseGrant, SnapshotHead};
use tonic::transport::Channel;

use super::ToolError;
use super::backup::{self, Kind};
use super::bolt::Bolt;
use super::flags::Import;
use super::save::{Part, connect, receive};
use crate::remote::unsigned;
use crate::state::State;

/// A running etcd may compact between its snapshot and its HashKV: then both are asked for again.
const ATTEMPTS: usize = 3;

/// What an etcd had at one revision.
pub(super) struct Imported {
    /// With its history, as the etcd has it.
    pub(super) state: State,
    /// Of the database.
    digest: [u8; 32],
}

/// Runs `import`.
pub(super) async fn import(flags: &Import) -> Result<String, ToolError> {
    let target = flags.founders.target()?;
    let (from, Imported { mut state, digest }, proof) = match &flags.from_file {
        Some(file) => (file.display().to_string(), read(file, flags.skip_hash_check)?, String::new()),
        None => {
            let (endpoint, channel) = connect(&flags.source).await?;
            let path = target.dir()?.join("import.tmp");
            let (imported, proof) = copy(&endpoint, &channel, &path, flags.skip_hash_check).await?;
            (endpoint, imported, proof)
        }
    };
    let (revision, keys, leases) = (state.revision(), state.live_keys(), state.leases().iter().count());
    state.move_on(revision);
    let hash = state.hash_now().hash;
    let made = target.found(state, &digest)?;
    Ok(format!(
        "Imported {keys} keys and {leases} leases of {from} at revision {revision}{proof} into {made}\n\
         HashKV at revision and compact revision {revision}: {hash}\n"
    ))
}

/// Copies what a running etcd has, and makes sure of it.
async fn copy(endpoint: &str, channel: &Channel, path: &Path, unsure: bool) -> Result<(Imported, String), ToolError> {
    let remote = |what: String| ToolError::Remote { endpoint: endpoint.into(), what };
    let mut why = String::new();
    for _ in 0..ATTEMPTS {
        // A linearizable read: this member then has everything that was acknowledged.
        let nothing = pb::RangeRequest { key: "\0".into(), count_only: true, ..pb::RangeRequest::default() };
        let asked = KvClient::new(channel.clone()).range(nothing).await;
        asked.map_err(|status| remote(status.message().to_owned()))?;
        receive(endpoint, channel.clone(), Part::create(path)?).await?;
        let imported = read(path, false)?;
        std::fs::remove_file(path).map_err(|error| ToolError::io(path, "remove", error))?;
        if unsure {
            return Ok((imported, String::new()));
        }
        let (revision, compacted) = (imported.state.revision(), imported.state.compacted());
        // etcd 3.4 refuses the compact revision, unless it is the present one and is not named.
        let asked = if revision == compacted { 0 } else { i64::try_from(revision).unwrap_or(i64::MAX) };
        let answer = MaintenanceClient::new(channel.clone()).hash_kv(pb::HashKvRequest { revision: asked }).await;
        let answer = match answer {
            Ok(answer) => answer.into_inner(),
            Err(status) => {
                why = status.message().to_owned();
                continue;
            }
        };
        let now = answer.header.as_ref().map_or(0, |header| unsigned(header.revision));
        if unsigned(answer.compact_revision) != compacted || asked == 0 && now != revision {
            why = format!("it went on to revision {now}, compacted at {}, meanwhile", answer.compact_revision);
            continue;
        }
        let hash = imported.state.hash_now().hash;
        if hash == answer.hash {
            return Ok((imported, format!(" (HashKV {hash} as there)")));
        }
        return Err(remote(format!(
            "its HashKV at revision {revision} is {}, that of its snapshot {hash}; --skip-hash-check takes it all the same",
            answer.hash
        )));
    }
    Err(remote(format!("its HashKV cannot be compared: {why}; --skip-hash-check goes without")))
}

/// Reads an etcd's snapshot.
pub(super) fn read(path: &Path, skip_hash_check: bool) -> Result<Imported, ToolError> {
    let checked = backup::check(path, skip_hash_check)?;
    if checked.kind != Kind::Etcd {
        return Err(ToolError::damaged(path, "not a snapshot of an etcd"));
    }
    let file = File::open(path).map_err(|error| ToolError::io(path, "open", error))?;
    let state = Bolt::open(&file, checked.size).and_then(|bolt| load(&bolt));
    let state = state.map_err(|what| ToolError::damaged(path, what))?;
    Ok(Imported { state, digest: checked.digest })
}

/// etcd's buckets: server/storage/schema/bucket.go.
fn load(bolt: &Bolt<'_>) -> Result<State, String> {
    let mut compacted = 0;
    bolt.bucket(b"meta", &mut |key, value| {
        if key == b"scheduledCompactRev" || key == b"finishedCompactRev" {
            compacted = compacted.max(place(value)?.0);
        }
        Ok(())
    })?;
    let mut leases = Vec::new();
    bolt.bucket(b"lease", &mut |_, value| {
        // leasepb.Lease: ID and TTL have the same numbers.
        leases.push(LeaseGrant::decode(value).map_err(|error| format!("a lease: {error}"))?);
        Ok(())
    })?;
    let mut loading = Loading { state: begin(compacted, leases), base: Some(BTreeMap::new()), last: 0 };
    if !bolt.bucket(b"key", &mut |key, value| loading.take(key, value))? {
        return Err("it has no keys' bucket".into());
    }
    loading.end_base();
    let mut state = loading.state;
    state.end_import(loading.last.max(compacted).max(1));
    Ok(state)
}

fn begin(compacted: u64, leases: Vec<LeaseGrant>) -> State {
    State::begin_load(&SnapshotHead { compacted, leases, ..SnapshotHead::default() })
}

struct Loading {
    state: State,
    /// The newest of each key at or before the compact revision, while later ones have not come.
    base: Option<BTreeMap<Bytes, Item>>,
    last: u64,
}

impl Loading {
    /// Takes the next change, in the order of revisions.
    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let (revision, sub, deleted) = place(key)?;
        let kv = mvccpb::KeyValue::decode(Bytes::copy_from_slice(value));
        let kv = kv.map_err(|error| format!("the change of revision {revision}: {error}"))?;
        if revision < self.last {
            return Err(format!("revision {revision} comes after {}", self.last));
        }
        self.last = revision;
        if kv.key.is_empty() {
            // etcdutl's mark of a bumped revision.
            return Ok(());
        }
        let number =
            |value: i64| u64::try_from(value).map_err(|_| format!("revision {revision} has a negative number"));
        let item = Item {
            create_revision: number(kv.create_revision)?,
            mod_revision: revision,
            version: if deleted { 0 } else { number(kv.version)? },
            key: kv.key,
            value: kv.value,
            lease: kv.lease,
            sub,
        };
        if revision > self.state.compacted() {
            self.end_base();
            self.state.load(item);
        } else if let Some(base) = &mut self.base {
            // What a compaction under way has not removed yet: only the newest counts, and a deletion only if it is of the
            // compact revision itself, where a watch may begin.
            if deleted && revision < self.state.compacted() {
                base.remove(&item.key);
            } else {
                base.insert(item.key.clone(), item);
            }
        }
        Ok(())
    }

    fn end_base(&mut self) {
        for (_, item) in self.base.take().into_iter().flatten() {
            self.state.load(item);
        }
    }
}

/// A change's revision, its number within that, and whether it is a deletion. etcd: server/storage/mvcc/revision.go.
fn place(key: &[u8]) -> Result<(u64, u32, bool), String> {
    let long = |part: &[u8]| part.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    match key {
        [rest @ .., b't'] if rest.len() == 17 => place(rest).map(|(revision, sub, _)| (revision, sub, true)),
        key if key.len() == 17 && key[8] == b'_' => {
            let sub = u32::try_from(long(&key[9..])).map_err(|_| "a change's number is too large")?;
            Ok((long(&key[..8]), sub, false))
        }
        _ => Err(format!("a revision of {} bytes", key.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_are_read_as_etcd_writes_them() {
        let mut key = [0, 0, 0, 0, 0, 0, 1, 2, b'_', 0, 0, 0, 0, 0, 0, 0, 3].to_vec();
        assert_eq!(place(&key), Ok((258, 3, false)));
        // A 't' as the last byte of a number is no mark.
        key[16] = b't';
        assert_eq!(place(&key), Ok((258, 116, false)));
        key.push(b't');
        assert_eq!(place(&key), Ok((258, 116, true)));
        assert!(place(&key[..16]).is_err() && place(b"").is_err());
    }

    #[test]
    fn of_what_a_compaction_left_only_the_newest_counts() {
        let mut loading = Loading { state: begin(5, Vec::new()), base: Some(BTreeMap::new()), last: 0 };
        let rev = |revision: u64, deleted: bool| {
            let mut key = revision.to_be_bytes().to_vec();
            key.extend_from_slice(b"_\0\0\0\0\0\0\0\0");
            key.extend_from_slice(if deleted { b"t" } else { b"" });
            key
        };
        let put = |key: &'static str, version, create_revision| {
            mvccpb::KeyValue { key: key.into(), value: "v".into(), version, create_revision, ..Default::default() }
                .encode_to_vec()
        };
        let gone = |key: &'static str| mvccpb::KeyValue { key: key.into(), ..Default::default() }.encode_to_vec();
        let changes = [
            (rev(2, false), put("a", 1, 2)),
            (rev(3, false), put("a", 2, 2)),
            (rev(4, true), gone("b")),
            (rev(5, true), gone("c")),
            (rev(6, false), put("d", 1, 6)),
            (rev(7, true), gone("d")),
        ];
        for (key, value) in changes {
            loading.take(&key, &value).unwrap();
        }
        assert!(loading.take(&rev(6, false), &put("e", 1, 6)).is_err());
        let Loading { mut state, .. } = loading;
        state.end_import(7);
        assert_eq!((state.revision(), state.live_keys(), state.keys()), (7, 1, 3));
        state.move_on(7);
        assert_eq!((state.compacted(), state.live_keys()), (7, 1));
    }
}
