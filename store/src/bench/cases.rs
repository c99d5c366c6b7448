//! The table of cases: what an API server, or many clients, ask of the store.

/// What the clients of a case do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// Put values of so many bytes.
    Put(usize),
    /// Put values of 1 KiB, where there are many others.
    PutAmongMany,
    /// Kubernetes' update: if the key is as it was seen, put; else get. Values of 1 KiB.
    Update,
    /// Get one key of 1 KiB.
    Get {
        /// Whether from the member's own state without asking the others.
        serializable: bool,
    },
    /// List 500 keys of 1 KiB.
    List,
    /// Watch one prefix, all of them, while one client puts 256 B there. An operation is one event at one watcher.
    Watch,
}

/// What goes on beside a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meanwhile {
    Nothing,
    /// All history is given up, several times a second.
    Compactions,
    /// Another client reads snapshots.
    Snapshots,
    /// Empty members join and get everything, one after the other.
    Transfers,
    /// Compactions, and the server writes what it holds to its disk as often as it may. (What an etcd calls a snapshot there is next
    /// to nothing.)
    Checkpoints,
}

/// A row.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) work: Work,
    /// Concurrent clients, or watchers.
    pub(super) clients: usize,
    pub(super) meanwhile: Meanwhile,
}

const fn case(name: &'static str, work: Work, clients: usize) -> Case {
    Case { name, work, clients, meanwhile: Meanwhile::Nothing }
}

/// Among 100,000 keys of 1 KiB.
const fn disturbed(name: &'static str, meanwhile: Meanwhile) -> Case {
    Case { name, work: Work::PutAmongMany, clients: 64, meanwhile }
}

pub(super) const CASES: &[Case] = &[
    case("put 256 B, 1 client", Work::Put(256), 1),
    case("put 256 B, 8 clients", Work::Put(256), 8),
    case("put 256 B, 64 clients", Work::Put(256), 64),
    case("put 256 B, 512 clients", Work::Put(256), 512),
    case("put 1 KiB, 1 client", Work::Put(1024), 1),
    case("put 1 KiB, 64 clients", Work::Put(1024), 64),
    case("put 1 KiB, 512 clients", Work::Put(1024), 512),
    case("Kubernetes txn 1 KiB, 64 clients", Work::Update, 64),
    case("get linearizable, 64 clients", Work::Get { serializable: false }, 64),
    case("get serializable, 64 clients", Work::Get { serializable: true }, 64),
    case("list 500 × 1 KiB, 8 clients", Work::List, 8),
    case("watch event, 100 watchers", Work::Watch, 100),
    case("watch event, 1000 watchers", Work::Watch, 1000),
    disturbed("among many: put 1 KiB, 64 clients", Meanwhile::Nothing),
    disturbed("among many, during compactions", Meanwhile::Compactions),
    disturbed("among many, while snapshots are read", Meanwhile::Snapshots),
    disturbed("among many, while empty members join", Meanwhile::Transfers),
    disturbed("among many, while checkpoints are written", Meanwhile::Checkpoints),
];
