//! The table of cases: what an API server, or many clients, ask of the store.

/// What the clients of a case do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// Put values of so many bytes.
    Put(usize),
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

/// A row.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) work: Work,
    /// Concurrent clients, or watchers.
    pub(super) clients: usize,
}

pub(super) const CASES: &[Case] = &[
    Case { name: "put 256 B, 1 client", work: Work::Put(256), clients: 1 },
    Case { name: "put 256 B, 64 clients", work: Work::Put(256), clients: 64 },
    Case { name: "put 256 B, 512 clients", work: Work::Put(256), clients: 512 },
    Case { name: "put 1 KiB, 1 client", work: Work::Put(1024), clients: 1 },
    Case { name: "put 1 KiB, 64 clients", work: Work::Put(1024), clients: 64 },
    Case { name: "put 1 KiB, 512 clients", work: Work::Put(1024), clients: 512 },
    Case { name: "Kubernetes txn 1 KiB, 64 clients", work: Work::Update, clients: 64 },
    Case { name: "get linearizable, 64 clients", work: Work::Get { serializable: false }, clients: 64 },
    Case { name: "get serializable, 64 clients", work: Work::Get { serializable: true }, clients: 64 },
    Case { name: "list 500 × 1 KiB, 8 clients", work: Work::List, clients: 8 },
    Case { name: "watch event, 100 watchers", work: Work::Watch, clients: 100 },
    Case { name: "watch event, 1000 watchers", work: Work::Watch, clients: 1000 },
];
