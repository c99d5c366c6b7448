//! A member on disks that refuse, and with snapshots that come at once.

use std::sync::Arc;

use proto::log::{Entry, EntryKind};
use proto::peer::Reason;
use proto::peer::parcel::Body as Said;
use proto::raft::{Append, AppendReply, Heartbeat, HeartbeatReply, VoteReply};

use super::*;
use crate::cluster::Cluster;
use crate::disk::{Disk, MemoryDisk};
use crate::kv::Txn;
use crate::options::Options;
use crate::raft::{Body, Message, Snapshot, State};
use crate::store::{Bare, bare};
use crate::testing::put_op;
use crate::{request, snapshot};

/// Takes what goes out.
#[derive(Default)]
struct Post {
    answers: Vec<(u64, Result<Done, Error>)>,
    sent: Vec<Said>,
}

impl Port for Post {
    type Ticket = u64;

    fn send(&mut self, _: u64, parcel: Parcel) {
        self.sent.extend(parcel.body);
    }

    fn flush(&mut self) {}

    fn answer(&mut self, ticket: u64, result: Result<Done, Error>) {
        self.answers.push((ticket, result));
    }

    fn send_snapshot(&mut self, _: u64, _: SnapshotHead, _: Message) {}

    fn save(&mut self, _: SnapshotHead) {}

    fn members_changed(&mut self, _: &Members) {}

    fn standing_changed(&mut self, _: Standing) {}
}

fn on(disk: &MemoryDisk) -> Options {
    Options { disk: Arc::new(disk.clone()), segment_bytes: 64 << 10, ..Options::in_memory() }
}

fn dir() -> std::path::PathBuf {
    Options::in_memory().dir
}

fn write(key: &str) -> Bytes {
    request::encode_txn(&Txn { then: vec![put_op(key.to_owned(), "v")], ..Txn::default() })
}

/// Gives a member its inputs, and then lets it do what follows from all of them.
fn work(store: &mut Bare<u64>, inputs: impl IntoIterator<Item = Input<u64>>) -> Result<Post, Fatal> {
    let mut post = Post::default();
    for input in inputs {
        store.member.input(input, &mut post)?;
    }
    store.member.advance(&mut post)?;
    Ok(post)
}

fn applied(store: &Bare<u64>) -> u64 {
    store.core.state.read().applied().index
}

/// A member alone, which leads.
fn leader() -> Bare<u64> {
    let mut store = bare(&Options::in_memory(), None, 1).unwrap();
    store.member.campaign();
    work(&mut store, []).unwrap();
    store
}

/// A member that has been added to the cluster of another, and knows nothing yet.
fn joiner(disk: &MemoryDisk) -> Bare<u64> {
    let cluster = Cluster { existing: true, ..Cluster::new("joiner", "http://joiner:1") };
    bare(&Options { cluster: Some(cluster), ..on(disk) }, Some((7, 9)), 1).unwrap()
}

/// The leader's state as it comes to the joiner.
fn arrival(leader: &mut Bare<u64>, disk: &MemoryDisk, name: &str) -> Box<Arrived> {
    let head = leader.core.state.write().begin_save();
    let file = Temporary::new(Arc::new(disk.clone()), dir().join(format!("{name}.tmp")));
    snapshot::write(&leader.core, disk, file.path(), &head).unwrap();
    leader.core.state.write().end_save(&head);
    let (state, head) = snapshot::load_file(disk, file.path(), head.index).unwrap();
    let (standing, membership) = (leader.member.raft().standing(), leader.member.raft().membership().clone());
    let snapshot = Snapshot { index: head.index, term: head.term, membership: Some(membership) };
    let message = Message { from: standing.leader, to: 9, term: standing.term, body: Some(Body::Snapshot(snapshot)) };
    Box::new(Arrived { file, head, state, message })
}

fn temporary(disk: &MemoryDisk) -> Vec<String> {
    disk.list(&dir()).unwrap().into_iter().filter(|name| name.ends_with(".tmp")).collect()
}

#[test]
fn of_snapshots_that_come_at_once_the_newest_is_taken() {
    for (what, order) in [("newer first", [1, 0]), ("older first", [0, 1]), ("twice the same", [1, 1])] {
        let (mut leader, disk) = (leader(), MemoryDisk::new());
        let mut joiner = joiner(&disk);
        let mut made = Vec::new();
        for key in ["a", "b"] {
            work(&mut leader, [Input::Propose(write(key), 0)]).unwrap();
            made.push([1, 2].map(|copy| Some(arrival(&mut leader, &disk, &format!("{key}{copy}")))));
        }
        let newest = applied(&leader);
        let inputs: Vec<_> = order.into_iter().enumerate().map(|(copy, at)| made[at][copy].take().unwrap()).collect();
        drop(made);
        work(&mut joiner, inputs.into_iter().map(Input::Arrived)).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(applied(&joiner), newest, "{what}");
        assert_eq!(temporary(&disk), Vec::<String>::new(), "{what}");
        // And it is what the next start begins with.
        let Bare { core, member, _lock } = joiner;
        drop((core, member, _lock));
        assert_eq!(applied(&self::joiner(&disk)), newest, "{what}");
    }
}

#[test]
fn a_snapshot_that_cannot_be_taken_takes_no_room() {
    let (mut leader, disk) = (leader(), MemoryDisk::new());
    drop(joiner(&disk));
    // Without what was reserved in its log.
    let disk = disk.copy();
    let mut joiner = joiner(&disk);
    let arrived = arrival(&mut leader, &disk, "received");
    disk.fill_after(0);
    // The term cannot be written, so everything waits.
    let from = arrived.message.from;
    let said = Message { from, to: 9, term: 5, body: Some(Body::Heartbeat(Heartbeat::default())) };
    work(&mut joiner, [Input::Peer(from, Parcel { body: Some(Said::Raft(said)) })]).unwrap();
    assert!(joiner.member.unwritten.is_some());
    work(&mut joiner, [Input::Arrived(arrived)]).unwrap();
    assert_eq!(temporary(&disk), Vec::<String>::new());
}

/// Installing it has ended what it was to be part of, which says nothing of the disk.
#[test]
fn a_checkpoint_that_a_snapshot_has_overtaken_has_not_failed() {
    let (mut leader, disk) = (leader(), MemoryDisk::new());
    let mut joiner = joiner(&disk);
    work(&mut leader, [Input::Propose(write("a"), 0)]).unwrap();
    let arrived = arrival(&mut leader, &disk, "received");
    let index = arrived.head.index;
    work(&mut joiner, [Input::Arrived(arrived)]).unwrap();
    for (of, failed) in [(index - 1, false), (index, false), (index + 1, true)] {
        work(&mut joiner, [Input::Saved(of, Err(std::io::Error::other("replaced")))]).unwrap();
        assert_eq!(joiner.core.checkpoint_failure.lock().is_some(), failed, "{of} of {index}");
    }
}

/// A member of three, and the ID of another one.
fn follower(disk: &MemoryDisk) -> (Bare<u64>, u64, u64) {
    let initial: Vec<(String, String)> = (1..=3).map(|n| (format!("n{n}"), format!("http://n{n}:1"))).collect();
    let cluster = Cluster { initial, ..Cluster::new("n1", "http://n1:1") };
    let store = bare(&Options { cluster: Some(cluster), ..on(disk) }, None, 1).unwrap();
    let (me, other) = {
        let state = store.core.state.read();
        let named = |name: &str| state.members().iter().find(|member| member.name == name).unwrap().id;
        (named("n1"), named("n2"))
    };
    (store, me, other)
}

#[test]
fn what_is_durable_is_applied_although_more_cannot_be_written() {
    let disk = MemoryDisk::new();
    let (mut store, me, leader) = follower(&disk);
    let from_leader = |term, body| {
        let message = Message { from: leader, to: me, term, body: Some(body) };
        Input::Peer(leader, Parcel { body: Some(Said::Raft(message)) })
    };
    let at = store.core.state.read().applied();
    let index = at.index + 1;
    let entry = Entry { term: 2, index, request: write("a"), kind: EntryKind::Request.into() };
    let append =
        Append { prev_index: at.index, prev_term: at.term, entries: vec![entry], commit: at.index, quiet: false };
    work(&mut store, [from_leader(2, Body::Append(append))]).unwrap();
    assert_eq!(applied(&store), at.index);
    drop(store);
    // Started again, without what was reserved in its log, under another leader.
    let disk = disk.copy();
    let (mut store, ..) = follower(&disk);
    assert_eq!(applied(&store), at.index, "it did not know that more was committed");
    disk.fill_after(0);
    work(&mut store, [from_leader(3, Body::Heartbeat(Heartbeat { commit: index, round: 0 }))]).unwrap();
    assert!(store.member.unwritten.is_some());
    assert_eq!(applied(&store), index);
    // Nobody says it again.
    disk.free_space();
    work(&mut store, [Input::Tick]).unwrap();
    assert!(store.member.unwritten.is_none());
    assert_eq!((applied(&store), store.core.published()), (index, 2));
}

#[test]
fn what_no_member_could_apply_does_not_come_into_the_log() {
    let mut store = leader();
    let before = applied(&store);
    let term = store.member.raft().standing().term;
    let forward = |ticket, request: Bytes, kind: EntryKind, term| {
        let body = Said::Forward(proto::peer::Forward { ticket, request, kind: kind.into(), term });
        Input::Peer(7, Parcel { body: Some(body) })
    };
    let inputs = [
        forward(1, Bytes::from_static(b"\xff\xff"), EntryKind::Request, term),
        forward(2, write("a"), EntryKind::Empty, term),
        forward(3, write("a"), EntryKind::Request, term),
        // Who handed it on may have told his client since that nobody knows what became of it.
        forward(5, write("a"), EntryKind::Request, term - 1),
        forward(4, Bytes::from_static(b"\xff\xff"), EntryKind::Membership, term),
    ];
    let post = work(&mut store, inputs).unwrap();
    let said: Vec<_> = post
        .sent
        .into_iter()
        .filter_map(|body| match body {
            Said::Refused(refused) => Some((refused.ticket, Some(refused.reason()))),
            Said::Placed(placed) => Some((placed.ticket, None)),
            _ => None,
        })
        .collect();
    let expected = [
        (1, Some(Reason::Unknown)),
        (2, Some(Reason::Unknown)),
        (5, Some(Reason::NotLeader)),
        (3, None),
        (4, Some(Reason::ChangeMissing)),
    ];
    assert_eq!(said, expected);
    assert_eq!(applied(&store), before + 1);
}

#[test]
fn who_waits_for_a_leader_that_is_lost_hears_of_it_from_the_next_one() {
    let (mut store, me, leader) = follower(&MemoryDisk::new());
    let said = |term, body| {
        let message = Message { from: leader, to: me, term, body: Some(body) };
        Input::Peer(leader, Parcel { body: Some(Said::Raft(message)) })
    };
    let inputs = [
        said(2, Body::Heartbeat(Heartbeat { commit: 0, round: 0 })),
        Input::Propose(write("without a word"), 5),
        Input::Propose(write("placed"), 6),
    ];
    let post = work(&mut store, inputs).unwrap();
    let handed = post.sent.iter().filter_map(|body| match body {
        Said::Forward(forward) => Some((forward.ticket, forward.term)),
        _ => None,
    });
    let [(_, 2), (second, 2)] = handed.collect::<Vec<_>>()[..] else { panic!("handed on: {:?}", post.sent) };
    let at = store.core.state.read().applied();
    let placed = proto::peer::Placed { ticket: second, term: 2, index: at.index + 9 };
    work(&mut store, [Input::Peer(leader, Parcel { body: Some(Said::Placed(placed)) })]).unwrap();
    let append = |term, commit| {
        let entry = Entry { term, index: at.index + 1, request: Bytes::new(), kind: EntryKind::Empty.into() };
        Append { prev_index: at.index, prev_term: at.term, entries: vec![entry], commit, quiet: false }
    };
    let post = work(&mut store, [said(3, Body::Append(append(3, at.index)))]).unwrap();
    assert_eq!(post.answers, [], "what a quorum has of the former log is not known yet");
    let post = work(&mut store, [said(3, Body::Append(append(3, at.index + 1)))]).unwrap();
    assert_eq!(post.answers, [(6, Err(Error::TimedOut)), (5, Err(Error::TimedOut))]);
}

/// Of three members the one that leads, in term 2: another one has all that it wrote, the third one none of it. With what one of the others says to it.
struct Uneven {
    store: Bare<u64>,
    me: u64,
    other: u64,
    third: u64,
}

impl Uneven {
    /// After so many entries of so many bytes.
    fn new(disk: &MemoryDisk, count: u64, bytes: usize) -> Self {
        let (store, me, other) = follower(disk);
        let third = store.core.state.read().members().iter().find(|member| member.name == "n3").unwrap().id;
        let mut uneven = Self { store, me, other, third };
        uneven.store.member.campaign();
        for pre in [true, false] {
            let vote = uneven.said(other, Body::VoteReply(VoteReply { granted: true, pre }));
            work(&mut uneven.store, [vote]).unwrap();
        }
        assert_eq!(uneven.store.member.raft().status().role, Role::Leader);
        (0..count).for_each(|_| drop(uneven.write(bytes)));
        uneven
    }

    fn said(&self, from: u64, body: Body) -> Input<u64> {
        let message = Message { from, to: self.me, term: 2, body: Some(body) };
        Input::Peer(from, Parcel { body: Some(Said::Raft(message)) })
    }

    fn answer(&self, from: u64, index: u64, rejected: bool) -> Input<u64> {
        self.said(from, Body::AppendReply(AppendReply { index, rejected, hint_index: 0, hint_term: 0 }))
    }

    fn beat(&self, from: u64) -> Input<u64> {
        self.said(from, Body::HeartbeatReply(HeartbeatReply { round: 0 }))
    }

    /// Writes an entry, which the other one has, too.
    fn write(&mut self, bytes: usize) -> Post {
        let large = Txn { then: vec![put_op("a".to_owned(), "v".repeat(bytes))], ..Txn::default() };
        let post = work(&mut self.store, [Input::Propose(request::encode_txn(&large), 0)]).unwrap();
        let last = self.store.member.raft().status().last_index;
        let has = self.answer(self.other, last, false);
        work(&mut self.store, [has]).unwrap();
        post
    }

    /// The third one has nothing of what is sent to it.
    fn reject(&mut self) -> Post {
        let third = self.third;
        let prev = self.store.member.raft().status().peers.iter().find(|peer| peer.id == third).unwrap().next - 1;
        let nothing = self.answer(third, prev, true);
        work(&mut self.store, [nothing]).unwrap()
    }
}

/// Who is far behind gets a ration, and the next one when it is told to go on; all at once if no quorum is without it.
#[test]
fn one_far_behind_is_sent_rations_unless_it_is_needed() {
    let disk = MemoryDisk::new();
    let mut uneven = Uneven::new(&disk, 0, 0);
    uneven.store.member.ration(1000);
    (0..60).for_each(|_| drop(uneven.write(100)));
    let bytes = |post: &Post| -> u64 {
        let appended = post.sent.iter().filter_map(|said| match said {
            Said::Raft(Message { body: Some(Body::Append(append)), .. }) => Some(&append.entries),
            _ => None,
        });
        appended.flatten().map(weight).sum()
    };
    let ration = 800..1200;
    let mut sent = bytes(&uneven.reject());
    let accepted = uneven.answer(uneven.third, 1, false);
    sent += bytes(&work(&mut uneven.store, [accepted]).unwrap());
    assert!(ration.contains(&sent) && uneven.store.member.rests(), "{sent}");
    for _ in 0..25 {
        let beat = uneven.beat(uneven.other);
        assert_eq!(bytes(&work(&mut uneven.store, [beat, Input::Tick]).unwrap()), 0);
    }
    for writes in [false, true] {
        if writes {
            // That goes to the other one.
            uneven.write(100);
        }
        uneven.store.member.send_more();
        let sent = bytes(&work(&mut uneven.store, []).unwrap());
        assert!(ration.contains(&sent) && uneven.store.member.rests(), "{sent}");
    }
    // The other one falls silent.
    let mut sent = 0;
    for _ in 0..25 {
        let beat = uneven.beat(uneven.third);
        sent += bytes(&work(&mut uneven.store, [beat, Input::Tick]).unwrap());
    }
    let third = uneven.third;
    let peer = uneven.store.member.raft().status().peers.into_iter().find(|peer| peer.id == third).unwrap();
    assert_eq!(peer.next, uneven.store.member.raft().status().last_index + 1, "everything is on its way: {sent}");
}

/// What has become of a snapshot that it began to send before it was elected again is nothing to the next one on its way.
#[test]
fn the_end_of_an_older_snapshot_does_not_end_the_next_one() {
    let disk = MemoryDisk::new();
    let mut uneven = Uneven::new(&disk, 20, 10_000);
    let last = applied(&uneven.store);
    work(&mut uneven.store, [Input::Saved(last, Ok(last))]).unwrap();
    uneven.reject();
    let third = uneven.third;
    let state = |uneven: &mut Uneven| {
        let status = uneven.store.member.raft().status();
        status.peers.into_iter().find(|peer| peer.id == third).unwrap().state
    };
    for (term, ok, expected) in [(1, false, State::Snapshot), (1, true, State::Snapshot), (2, false, State::Probe)] {
        assert_eq!(state(&mut uneven), State::Snapshot);
        let sent = Input::Sent { to: third, term, index: last, ok };
        uneven.store.member.input(sent, &mut Post::default()).unwrap();
        assert_eq!(state(&mut uneven), expected, "of term {term}");
    }
}

/// A leader that has what another one needs only in its files, and cannot read them, feeds nobody: it must not keep others from
/// leading.
#[test]
fn a_leader_that_cannot_read_what_others_need_ends() {
    for readable in [true, false] {
        let disk = MemoryDisk::new();
        let mut uneven = Uneven::new(&disk, KEEP / (1 << 20) + 2, 1 << 20);
        if !readable {
            for log in disk.list(&dir()).unwrap().into_iter().filter(|name| name.starts_with("log-")) {
                disk.plant(&dir().join(log), vec![0; 1 << 20]);
            }
        }
        uneven.reject();
        let ended = (0..200).find_map(|tick| {
            let again = [uneven.beat(uneven.other), uneven.beat(uneven.third), Input::Tick];
            work(&mut uneven.store, again).err().map(|error| (tick, error))
        });
        match ended {
            None => assert!(readable, "it goes on"),
            Some((tick, Fatal::Read(_))) => assert!(!readable && tick > 10, "at tick {tick}"),
            Some((_, error)) => panic!("{error}"),
        }
    }
}
