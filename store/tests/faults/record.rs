//! What clients asked for and were told, in the order of real time, and its judgement when all is over.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::StreamExt;
use parking_lot::Mutex;
use proto::etcd::etcdserverpb as pb;
use proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use store::testing::everything;
use store::testing::history::{History, mark};
use store::{Error, Event, KeyValue, Kv, Page, Revision, Signal, Txn, TxnReply, WatchOptions};

use super::Counts;
use super::member::Member;

/// One thing that a client did or learned.
enum Said {
    Begun(Option<Txn>),
    Wrote(u64, TxnReply),
    Read(u64, Page, bool),
    Failed(u64, Error),
}

/// What a watch is sent.
pub(crate) enum Seen {
    Signal(Signal),
    /// It was told that what comes before this revision is gone.
    Gap(Revision),
}

impl Seen {
    fn revision(&self) -> Option<Revision> {
        match self {
            Self::Signal(Signal::Events(revision, _)) => Some(*revision),
            _ => None,
        }
    }
}

/// A watch of everything, from revision 2 on.
struct Watcher {
    /// It goes on with another member.
    roams: bool,
    seen: Vec<Seen>,
    /// The last revision that it was sent.
    at: Revision,
}

#[derive(Default)]
struct Inner {
    said: Vec<Said>,
    operations: u64,
    watchers: Vec<Watcher>,
    /// Nobody asked for a compaction beyond this.
    compacted: Revision,
    violations: Vec<String>,
    /// The last revision of which somebody was told.
    known: Revision,
}

/// See the module's header. Operations have their numbers in the order in which they begin.
#[derive(Default)]
pub(crate) struct Record(Mutex<Inner>);

impl Record {
    /// A write begins: its number, and what to send.
    pub(crate) fn begin(&self, txn: Txn) -> (u64, Txn) {
        let mut inner = self.0.lock();
        let number = inner.operations;
        inner.operations += 1;
        let mut marked = txn.clone();
        marked.then.push(mark(number));
        inner.said.push(Said::Begun(Some(txn)));
        (number, marked)
    }

    /// A read begins.
    pub(crate) fn begin_reading(&self) -> u64 {
        let mut inner = self.0.lock();
        inner.operations += 1;
        inner.said.push(Said::Begun(None));
        inner.operations - 1
    }

    pub(crate) fn wrote(&self, number: u64, result: Result<TxnReply, Error>) {
        let mut inner = self.0.lock();
        inner.known = inner.known.max(result.as_ref().map_or(0, |reply| reply.revision));
        inner.said.push(match result {
            Ok(reply) => Said::Wrote(number, reply),
            Err(error) => Said::Failed(number, error),
        });
    }

    pub(crate) fn read(&self, number: u64, result: Result<Page, Error>, linearizable: bool) {
        let mut inner = self.0.lock();
        inner.said.push(match result {
            Ok(page) => Said::Read(number, page, linearizable),
            Err(error) => Said::Failed(number, error),
        });
    }

    /// Another watch.
    pub(crate) fn watcher(&self, roams: bool) -> usize {
        let mut inner = self.0.lock();
        inner.watchers.push(Watcher { roams, seen: Vec::new(), at: 1 });
        inner.watchers.len() - 1
    }

    pub(crate) fn watched(&self, watcher: usize, seen: Seen) {
        let watcher = &mut self.0.lock().watchers[watcher];
        watcher.at = seen.revision().unwrap_or(watcher.at);
        watcher.seen.push(seen);
    }

    /// A compaction begins, if there is something to forget.
    pub(crate) fn begin_compacting(&self) -> Option<Revision> {
        let mut inner = self.0.lock();
        let upto = inner.watchers.iter().filter(|watcher| watcher.roams).map(|watcher| watcher.at).min()?;
        inner.compacted = inner.compacted.max(upto);
        (upto > 1).then_some(upto)
    }

    /// Something that must not be.
    pub(crate) fn violation(&self, what: String) {
        println!("VIOLATION {what}");
        self.0.lock().violations.push(what);
    }

    /// The first thing that must not be and was, so far.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.0.lock().violations.first().map_or(Ok(()), |what| Err(what.clone()))
    }

    /// The last revision of which a writer was told.
    pub(crate) fn known(&self) -> Revision {
        self.0.lock().known
    }

    /// Compares what everybody was told, what the watches sent and what the members hold in the end.
    pub(crate) async fn judge(&self, members: &[Member], end: Instant, counts: &mut Counts) -> Result<(), String> {
        let last = self.last(members, end).await?;
        while let Some(behind) = self.behind(last) {
            if Instant::now() > end {
                return Err(format!("watch {behind} has not come to revision {last}"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.check()?;
        let (said, watchers, compacted) = self.take();
        let mut history = begun(&said);
        let mut truth: BTreeMap<Revision, Vec<KeyValue>> = BTreeMap::new();
        for seen in watchers.iter().flat_map(|watcher| &watcher.seen) {
            if let Seen::Signal(Signal::Events(revision, events)) = seen {
                truth.entry(*revision).or_insert_with(|| changes(events));
            }
        }
        for (revision, done) in truth {
            history.learn("seen by a watch", revision, done)?;
        }
        let mut gaps = 0;
        for (number, watcher) in watchers.iter().enumerate() {
            let mut next = 2;
            for seen in &watcher.seen {
                next = match seen {
                    Seen::Signal(signal) => {
                        history.watched(next, signal).map_err(|what| format!("watcher {number}: {what}"))?
                    }
                    Seen::Gap(oldest) => *oldest,
                };
                gaps += u64::from(matches!(seen, Seen::Gap(_)));
            }
        }
        answers(&mut history, &said, counts)?;
        for member in members {
            same(&mut history, member, (compacted.max(2), last), end).await?;
        }
        counts.insert("revisions", last);
        counts.insert("compacted up to revision", compacted);
        counts.insert("watch signals", watchers.iter().map(|watcher| watcher.seen.len() as u64).sum());
        counts.insert("watches passed by a compaction", gaps);
        hashes(members, last).await
    }

    fn take(&self) -> (Vec<Said>, Vec<Watcher>, Revision) {
        let mut inner = self.0.lock();
        (std::mem::take(&mut inner.said), std::mem::take(&mut inner.watchers), inner.compacted)
    }

    fn behind(&self, last: Revision) -> Option<usize> {
        self.0.lock().watchers.iter().position(|watcher| watcher.at < last)
    }

    /// The revision that is the last one, once nobody writes.
    async fn last(&self, members: &[Member], end: Instant) -> Result<Revision, String> {
        let mut last = 0;
        for member in members {
            let (context, kv) = member.client().await?;
            last = loop {
                match kv.revision().await {
                    Ok(revision) => break revision.max(last),
                    Err(error) if Instant::now() > end => return Err(format!("{}: {error}", member.url())),
                    Err(_) => {}
                }
            };
            context.shutdown(Duration::from_secs(5)).await;
        }
        Ok(last)
    }
}

/// The operations with what was known when each began.
fn begun(said: &[Said]) -> History {
    let mut history = History::default();
    for said in said {
        match said {
            Said::Begun(txn) => {
                history.begin(txn.clone());
            }
            Said::Wrote(_, reply) => history.knows(reply.revision),
            Said::Read(_, page, true) => history.knows(page.revision),
            Said::Read(..) | Said::Failed(..) => {}
        }
    }
    history
}

fn answers(history: &mut History, said: &[Said], counts: &mut Counts) -> Result<(), String> {
    let mut refused = 0;
    for said in said {
        match said {
            Said::Begun(_) => {}
            Said::Wrote(number, reply) => history.wrote(*number, reply)?,
            Said::Read(number, page, linearizable) => history.read(*number, page, *linearizable)?,
            Said::Failed(number, error) => {
                refused += u64::from(matches!(error, Error::NoSpace));
                history.failed(*number, error)?;
            }
        }
    }
    counts.insert("operations", history.operations() as u64);
    counts.insert("operations: writes answered", history.answered);
    counts.insert("operations: reads answered", history.reads);
    counts.insert("operations: refused", refused);
    counts.insert("operations: failed or unknown", history.unknown);
    if history.answered < 50 || history.reads < 50 {
        return Err(format!("hardly anything was answered: {counts:?}"));
    }
    Ok(())
}

/// What a revision did, as the judge has it.
fn changes(events: &[Event]) -> Vec<KeyValue> {
    events.iter().map(|event| event.kv.clone()).collect()
}

/// Whether a member has the history from one revision to another.
async fn same(
    history: &mut History,
    member: &Member,
    (first, last): (Revision, Revision),
    end: Instant,
) -> Result<(), String> {
    let (context, kv) = member.client().await?;
    let mut watch = kv.watch(everything(0), WatchOptions { from: first, progress: false });
    let mut seen = first - 1;
    while seen < last {
        let signal = tokio::time::timeout_at(end.into(), watch.next()).await;
        match signal.map_err(|_| format!("{} does not say what revision {} did", member.url(), seen + 1))? {
            Some(Ok(Signal::Events(revision, events))) => {
                history.learn(member.url(), revision, changes(&events))?;
                seen = revision;
            }
            Some(Ok(_)) => {}
            other => return Err(format!("a watch of {} ended at {seen} with {other:?}", member.url())),
        }
    }
    context.shutdown(Duration::from_secs(5)).await;
    Ok(())
}

/// Whether the members' hashes agree.
async fn hashes(members: &[Member], last: Revision) -> Result<(), String> {
    let mut hashes = Vec::new();
    for member in members {
        let channel = member.channel().await?;
        let request = pb::HashKvRequest { revision: last as i64 };
        let answer = MaintenanceClient::new(channel).hash_kv(request).await.map_err(|status| status.to_string())?;
        hashes.push(answer.into_inner().hash);
    }
    if hashes.iter().any(|hash| *hash != hashes[0]) {
        return Err(format!("the members' hashes at revision {last} differ: {hashes:x?}"));
    }
    Ok(())
}
