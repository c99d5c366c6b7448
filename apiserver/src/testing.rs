//! A whole API over a store in memory, for component tests of those who talk to it: the real verbs, admission, watches and
//! first objects behind plain HTTP on a loopback port. Left out: TLS, authentication and authorization (everybody is an
//! administrator), streams and reviews.
//!
//! Meant for a runtime whose time is paused: the server's clock moves with tokio's ([`base::RuntimeClock`]). While a
//! [`Server`] lives, time moves only when [`pass`] says so; it never jumps because everybody waits, as a request that waits
//! for the store's thread would then time out at once.

use std::cell::Cell;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Context, RuntimeClock};
use client::{Client, Config};
use futures::future::BoxFuture;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use store::testing::Over;
use store::{Error, Kv, Page, Range, Revision, Store, Txn, TxnReply};
use tokio::net::{TcpListener, TcpStream};

use crate::bootstrap::{self, Facts};
use crate::front::discovery;
use crate::registry::Registry;
use crate::request::{Body, RequestInfo, User};
use crate::storage::Storage;
use crate::{answer, handlers};

/// How often a condition is looked at before it counts as not coming about: ten seconds on the clock, and in reality as
/// long as the machine needs.
const LOOKS: usize = 10_000;
/// Real time in which nobody did anything, twice in a row: then all have done what they had to.
const QUIET: Duration = Duration::from_millis(1);
/// How many of these pass before somebody counts as never at rest.
const PATIENCE: usize = 5_000;
/// Time moves in steps of this, so that what happens in between happens in order.
const STEP: Duration = Duration::from_secs(1);

/// See the module.
pub struct Server {
    /// The verbs themselves.
    pub registry: Arc<Registry>,
    /// Wall time for everybody: moves with the runtime's.
    pub clock: Arc<dyn Clock>,
    address: SocketAddr,
    context: Context,
    /// Dropped with the server: lets go of the thread that keeps time from jumping.
    _hold: std::sync::mpsc::Sender<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.context.stop();
    }
}

impl Server {
    /// Starts one with the objects that every cluster starts with.
    ///
    /// # Errors
    /// When the loopback has no port left or a first object is refused.
    pub async fn start() -> anyhow::Result<Self> {
        let (context, clock) = (Context::new(), RuntimeClock::shared());
        // A blocking task under way keeps a paused clock from moving by itself.
        let (hold, held) = std::sync::mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || held.recv());
        let storage = Storage::new(Arc::new(Watched(Store::in_memory())), context.clone());
        let registry = Registry::with_clock(storage, clock.clone());
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let address = listener.local_addr()?;
        let facts = Facts {
            advertise: IpAddr::from([192, 0, 2, 1]),
            port: address.port(),
            service_range: "10.96.0.0/16".into(),
            client_ca: None,
        };
        bootstrap::run(&registry, &facts).await?;
        let (accepting, shared) = (context.clone(), registry.clone());
        context.spawn("accept", async move {
            while let Ok((stream, _)) = listener.accept().await {
                // As the real one does: what waits in a socket for the other side's delayed acknowledgement looks like rest.
                base::tcp::prepare(&stream);
                accepting.spawn("connection", connection(shared.clone(), stream, address));
            }
        });
        Ok(Self { registry, clock, address, context, _hold: hold })
    }

    /// A client of its own; connections are not shared with others.
    ///
    /// # Errors
    /// Never for an address of the loopback.
    pub fn client(&self) -> Result<Client, client::Error> {
        Client::new(&Config { server: format!("http://{}", self.address), ..Config::default() })
    }
}

async fn connection(registry: Arc<Registry>, stream: TcpStream, address: SocketAddr) {
    let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let registry = registry.clone();
        async move { Ok::<_, Infallible>(respond(registry, request.map(Body::new), address).await) }
    });
    // A client that goes is no error here.
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

async fn respond(registry: Arc<Registry>, request: http::Request<Body>, address: SocketAddr) -> http::Response<Body> {
    let info = RequestInfo::parse(request.method(), request.uri().path(), request.uri().query());
    if info.is_resource {
        return handlers::serve(registry, info, User::new("tester", &["system:masters"]), request).await;
    }
    discovery::answer(&info.path, &address.to_string(), request.headers())
        .unwrap_or_else(|| answer::status(&api::Status::no_such_path()))
}

thread_local! {
    /// Requests that a store's thread has yet to answer. Of this thread: a runtime whose time is paused has no other.
    static UNANSWERED: Cell<usize> = const { Cell::new(0) };
}

/// Counts a request for as long as it lives.
struct Unanswered;

impl Unanswered {
    fn new() -> Self {
        UNANSWERED.set(UNANSWERED.get() + 1);
        Self
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        UNANSWERED.set(UNANSWERED.get() - 1);
    }
}

/// A store of which one can see whether it owes somebody an answer: its thread may stand still for as long as the machine
/// is busy, and then everybody waits without being at rest.
struct Watched<K>(Arc<K>);

impl<K: Kv> Over for Watched<K> {
    fn below(&self) -> &dyn Kv {
        &*self.0
    }

    fn range(&self, range: Range) -> BoxFuture<'_, Result<Page, Error>> {
        counted(self.0.range(range))
    }

    fn txn(&self, txn: Txn) -> BoxFuture<'_, Result<TxnReply, Error>> {
        counted(self.0.txn(txn))
    }

    fn compact(&self, upto: Revision) -> BoxFuture<'_, Result<(), Error>> {
        counted(self.0.compact(upto))
    }

    fn revision(&self) -> BoxFuture<'_, Result<Revision, Error>> {
        counted(self.0.revision())
    }
}

fn counted<T: 'static>(answer: BoxFuture<'_, T>) -> BoxFuture<'_, T> {
    Box::pin(async move {
        let _unanswered = Unanswered::new();
        answer.await
    })
}

/// Lets `duration` pass on a paused clock, step by step, with real time in between for everybody to act on each.
pub async fn pass(duration: Duration) {
    let mut left = duration;
    while !left.is_zero() {
        let step = left.min(STEP);
        tokio::time::advance(step).await;
        left -= step;
        breathe().await;
    }
}

/// Waits until `look` finds something. Time moves by a millisecond between two looks, so that what is tried again after a
/// moment is tried again; nothing that takes seconds comes about.
///
/// # Panics
/// When that takes too long: `what` says what was waited for.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..LOOKS {
        if let Some(found) = look().await {
            return found;
        }
        breathe().await;
    }
    panic!("not after {LOOKS} looks: {what}")
}

/// A millisecond of the clock's, and as much real time as all others need until they wait for something: for each other
/// across a connection, for the store's thread, for a later time.
pub async fn breathe() {
    tokio::time::advance(Duration::from_millis(1)).await;
    let runtime = tokio::runtime::Handle::current().metrics();
    let mut quiet = 0;
    for _ in 0..PATIENCE {
        let before = runtime.worker_park_count(0);
        let _ = tokio::task::spawn_blocking(|| std::thread::sleep(QUIET)).await;
        // The runtime has parked once, for this sleep, and woke for nothing else; and nothing is to come from a store.
        let idle = runtime.worker_park_count(0) - before == 1 && UNANSWERED.get() == 0;
        quiet = if idle { quiet + 1 } else { 0 };
        if quiet == 2 {
            return;
        }
    }
    panic!("somebody is never at rest")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// A store whose thread stands still before it answers.
    struct Busy(Arc<Store>);

    impl Over for Busy {
        fn below(&self) -> &dyn Kv {
            &*self.0
        }

        fn revision(&self) -> BoxFuture<'_, Result<Revision, Error>> {
            let (tell, told) = tokio::sync::oneshot::channel();
            // Fifty times what counts as rest.
            std::thread::spawn(move || {
                std::thread::sleep(QUIET * 50);
                tell.send(7)
            });
            Box::pin(async move { Ok(told.await.unwrap()) })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_store_that_stands_still_is_not_at_rest() {
        let (kv, done) = (Watched(Arc::new(Busy(Store::in_memory()))), Arc::new(AtomicBool::new(false)));
        let told = done.clone();
        tokio::spawn(async move { told.store(Kv::revision(&kv).await.unwrap() == 7, Ordering::SeqCst) });
        tokio::task::yield_now().await;
        breathe().await;
        assert!(done.load(Ordering::SeqCst));
    }
}
