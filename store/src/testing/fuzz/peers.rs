//! What other members say to one: whole conversations, changed. Ticks and own requests come between, so that the member is
//! follower, candidate and leader in turn.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use proto::log::SnapshotHead;
use proto::peer::Parcel;

use super::requests::{samples, use_state};
use super::{Input, Target};
use crate::cluster::Cluster;
use crate::disk::MemoryDisk;
use crate::kv::Error;
use crate::member::{Done, Input as Told, Port};
use crate::options::Options;
use crate::raft::{Message, Standing};
use crate::state::Members;
use crate::store::{Bare, bare};

pub(super) const PARCELS: Target = Target { name: "parcels", seeds: conversations, mend: |_| {}, read: converse };

/// Changes that a compaction removes at a time.
const PORTION: usize = 64;

/// What a member wants of its surroundings.
#[derive(Default)]
pub(super) struct Post {
    parcels: Vec<(u64, Parcel)>,
    snapshots: Vec<(u64, u64, u64)>,
    pub(super) saves: Vec<SnapshotHead>,
    answers: usize,
}

impl Port for Post {
    type Ticket = u64;

    fn send(&mut self, to: u64, parcel: Parcel) {
        self.parcels.push((to, parcel));
    }

    fn flush(&mut self) {}

    fn answer(&mut self, _ticket: u64, _result: Result<Done, Error>) {
        self.answers += 1;
    }

    fn send_snapshot(&mut self, to: u64, head: SnapshotHead, message: Message) {
        self.snapshots.push((to, message.term, head.index));
    }

    fn save(&mut self, head: SnapshotHead) {
        self.saves.push(head);
    }

    fn members_changed(&mut self, _members: &Members) {}

    fn standing_changed(&mut self, _standing: Standing) {}
}

/// Gives a member an input and lets it do what follows; how it ends if it must.
pub(super) fn work(store: &mut Bare<u64>, told: Option<Told<u64>>, post: &mut Post) -> String {
    let all = || {
        if let Some(told) = told {
            store.member.input(told, post)?;
        }
        store.member.advance(post)?;
        while store.member.has_more() {
            store.member.advance(post)?;
        }
        Ok::<(), crate::member::Fatal>(())
    };
    let result = all();
    store.core.state.write().sweep(PORTION);
    result.map_or_else(|fatal| fatal.to_string(), |()| String::new())
}

fn founder(number: u64) -> Bare<u64> {
    let initial: Vec<(String, String)> = (1..=3).map(|n| (format!("n{n}"), format!("http://n{n}:1"))).collect();
    let cluster = Cluster { initial, ..Cluster::new(&format!("n{number}"), &format!("http://n{number}:1")) };
    let options = Options {
        disk: Arc::new(MemoryDisk::new()),
        cluster: Some(cluster),
        segment_bytes: 4 << 10,
        trim_bytes: 8 << 10,
        ..Options::in_memory()
    };
    bare(&options, None, number).unwrap_or_else(|error| panic!("a founder does not start: {error}"))
}

/// By name, what a member is told.
fn told(name: &str, bytes: &[u8]) -> Option<Told<u64>> {
    Some(match name.split_once(' ').unwrap_or((name, "")) {
        ("tick", _) => Told::Tick,
        ("read", _) => Told::Read(1),
        ("request", _) => Told::Propose(Bytes::copy_from_slice(bytes), 2),
        ("lost", from) => Told::Unreachable(from.parse().ok()?),
        ("from", from) => Told::Peer(from.parse().ok()?, Parcel::decode(bytes).ok()?),
        _ => return None,
    })
}

/// What each of three members is told in a short life: an election, writes here and there, reads, another election.
fn conversations() -> Vec<Input> {
    let mut members: Vec<Bare<u64>> = (1..=3).map(founder).collect();
    // The founders' names are known to all.
    let places: Vec<u64> = {
        let state = members[0].core.state.read();
        let named = |number| state.members().iter().find(|member| member.name == format!("n{number}"));
        (1..=members.len()).map(|number| named(number).map_or(0, |member| member.id)).collect()
    };
    let mut heard = vec![Input::default(); members.len()];
    let mut way: VecDeque<(usize, String, Vec<u8>)> = VecDeque::new();
    for round in 0..60 {
        for at in 0..members.len() {
            // The first is silent for a while: another one is elected.
            if !(at == 0 && (25..45).contains(&round)) {
                way.push_back((at, "tick".into(), Vec::new()));
            }
        }
        if round % 3 == 0 {
            way.push_back((round % 2, "read".into(), Vec::new()));
        }
        if let Some(request) = samples().get(round / 4).filter(|_| round % 4 == 0) {
            way.push_back((round % 3, "request".into(), request.clone()));
        }
        while let Some((at, name, bytes)) = way.pop_front() {
            let mut post = Post::default();
            let ended = work(&mut members[at], told(&name, &bytes), &mut post);
            assert!(ended.is_empty(), "{ended}");
            heard[at].0.push((name, bytes));
            for (to, parcel) in post.parcels {
                let Some(to) = places.iter().position(|place| *place == to) else { continue };
                if (25..45).contains(&round) && (at == 0 || to == 0) {
                    continue;
                }
                way.push_back((to, format!("from {}", places[at]), parcel.encode_to_vec()));
            }
        }
    }
    heard.into_iter().enumerate().map(|(at, input)| named(at, input)).collect()
}

/// The first piece says which member it is that is told all this.
fn named(at: usize, mut input: Input) -> Input {
    input.0.insert(0, (format!("member {}", at + 1), Vec::new()));
    input
}

fn converse(input: &Input) -> String {
    let number = input.0.iter().find_map(|(name, _)| name.strip_prefix("member ")?.parse().ok()).unwrap_or(1);
    let mut store = founder(number);
    let mut outcome = String::new();
    for (name, bytes) in &input.0 {
        let mut post = Post::default();
        let ended = work(&mut store, told(name, bytes), &mut post);
        if !ended.is_empty() {
            outcome.push_str(&ended);
            break;
        }
        for (to, term, index) in post.snapshots {
            work(&mut store, Some(Told::Sent { to, term, index, ok: false }), &mut Post::default());
        }
        for head in post.saves {
            store.core.state.write().end_save(&head);
            let failed = Err(std::io::Error::other("not now"));
            work(&mut store, Some(Told::Saved(head.index, failed)), &mut Post::default());
        }
    }
    use_state(&mut store.core.state.write());
    let standing = *store.core.standing.borrow();
    format!("{outcome} {:?} {}", standing.role, store.core.state.read().revision())
}
