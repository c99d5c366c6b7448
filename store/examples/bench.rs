//! Measures the store and prints a table: `cargo run --release -p store --example bench [DIRECTORY]`. Rates depend on the
//! disk and the neighbours; CPU per operation (of the whole process) is the steadier figure. The last lines measure the
//! disk itself, to compare with.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use store::testing::{prefix, put, single};
use store::{Kv, Options, Range, Signal, Store, WatchOptions};

const TIME: Duration = Duration::from_secs(2);

fn main() {
    let parent = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    let dir = Path::new(&parent).join(format!("store-bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("create the directory");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("runtime");
    println!("{:<44}{:>12}{:>14}{:>12}", "what", "per s", "CPU µs each", "p50 µs");
    runtime.block_on(async {
        let open = |name: &str, options: Options| {
            Store::open(Options { dir: dir.join(name), ..options }, &base::Context::new()).expect("open")
        };
        // First, while the allocator has nothing to give away.
        memory(&open("memory", Options::new(""))).await;
        for clients in [1, 64, 512] {
            let store = open(&format!("put{clients}"), Options::new(""));
            puts(&format!("put 256 B, {clients} clients"), &store, clients).await;
            store.close().await;
        }
        puts("put 256 B, 512 clients, no disk", &open("x", Options::in_memory()), 512).await;
        puts("put 256 B, 1 client, no disk", &open("x", Options::in_memory()), 1).await;
        let store = open("read", Options::new(""));
        reads(&store).await;
        watches(&store).await;
        store.close().await;
    });
    restart(&dir.join("put512"), &runtime);
    disk(&dir.join("disk"));
    std::fs::remove_dir_all(&dir).expect("remove the directory");
}

/// Runs `work` in `clients` tasks for [`TIME`].
async fn measure<F>(what: &str, clients: u64, work: impl Fn(u64, u64) -> F)
where
    F: Future<Output = u64> + Send + 'static,
{
    let (begin, cpu) = (Instant::now(), cpu());
    let tasks: Vec<_> = (0..clients)
        .map(|client| {
            let first = work(client, 0);
            (client, first)
        })
        .collect();
    let mut pending: futures::stream::FuturesUnordered<_> =
        tasks.into_iter().map(|(client, first)| timed(client, 0, first)).collect();
    let (mut done, mut times) = (0, Vec::new());
    while let Some((client, round, count, took)) = pending.next().await {
        done += count;
        times.push(took);
        if begin.elapsed() < TIME {
            pending.push(timed(client, round + 1, work(client, round + 1)));
        }
    }
    times.sort();
    row(what, done, begin.elapsed(), cpu_since(cpu), times[times.len() / 2]);
}

async fn timed<F>(client: u64, round: u64, work: F) -> (u64, u64, u64, Duration)
where
    F: Future<Output = u64> + Send + 'static,
{
    let begin = Instant::now();
    let count = work.await;
    (client, round, count, begin.elapsed())
}

async fn puts(what: &str, store: &Arc<Store>, clients: u64) {
    let value = Bytes::from(vec![b'v'; 256]);
    measure(what, clients, |client, round| {
        let (store, value) = (Arc::clone(store), value.clone());
        async move {
            let key = format!("/registry/pods/default/pod-{client}-{}", round % 64);
            put(&*store, key, value).await.expect("put");
            1
        }
    })
    .await;
}

async fn reads(store: &Arc<Store>) {
    for at in 0..10_000 {
        let group = at / 500;
        put(&**store, format!("/list/{group:02}/{at:05}"), vec![b'v'; 1024]).await.expect("put");
    }
    measure("get 1 KiB, 64 clients", 64, |client, round| {
        let store = Arc::clone(store);
        async move {
            let at = (client * 7919 + round * 31) % 10_000;
            let page = store.range(single(&format!("/list/{:02}/{at:05}", at / 500), 0)).await.expect("range");
            page.kvs.len() as u64
        }
    })
    .await;
    measure("list 500 x 1 KiB, 8 clients", 8, |client, round| {
        let store = Arc::clone(store);
        async move {
            let page = store.range(prefix(&format!("/list/{:02}/", (client + round) % 20), 0)).await.expect("range");
            assert_eq!(page.kvs.len(), 500);
            1
        }
    })
    .await;
}

/// 1000 watches of one prefix; counts delivered events.
async fn watches(store: &Arc<Store>) {
    let delivered = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..1000)
        .map(|_| {
            let mut stream = store.watch(prefix("/w/", 0), WatchOptions::default());
            let delivered = Arc::clone(&delivered);
            tokio::spawn(async move {
                while let Some(Ok(signal)) = stream.next().await {
                    if let Signal::Events(_, events) = signal {
                        delivered.fetch_add(events.len() as u64, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    for writers in [1u64, 16] {
        let (begin, cpu, before) = (Instant::now(), cpu(), delivered.load(Ordering::Relaxed));
        let mut written = 0;
        while begin.elapsed() < TIME {
            let group = (0..writers).map(|at| put(&**store, format!("/w/{at}"), vec![b'v'; 256]));
            futures::future::join_all(group).await;
            written += writers;
            // Watchers keep up: what is measured is delivery, not a growing backlog.
            while delivered.load(Ordering::Relaxed) - before < written * 1000 {
                tokio::task::yield_now().await;
            }
        }
        let count = delivered.load(Ordering::Relaxed) - before;
        let each = begin.elapsed() / u32::try_from(written / writers).expect("count");
        row(&format!("watch events to 1000, {writers} writers"), count, begin.elapsed(), cpu_since(cpu), each);
    }
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
}

async fn memory(store: &Arc<Store>) {
    const KEYS: u64 = 50_000;
    let before = resident();
    let write = |at: u64| put(&**store, format!("/registry/pods/default/pod-{at:06}"), vec![b'v'; 1024]);
    for first in (0..KEYS).step_by(500) {
        futures::future::join_all((first..first + 500).map(write)).await;
    }
    let each = (resident() - before) / KEYS;
    println!(
        "{:<44}{each:>12} B   (key 33 B + value 1024 B + {} B)",
        "resident memory per put of 1 KiB",
        each as i64 - 1057
    );
    let begin = Instant::now();
    for first in (0..KEYS).step_by(500) {
        futures::future::join_all((first..first + 500).map(write)).await;
    }
    let full = resident();
    let revision = store.revision().await.expect("revision");
    store.compact(revision).await.expect("compact");
    // A read of everything while the compaction is carried out.
    let page = store.range(Range { count_only: true, ..prefix("/", 0) }).await.expect("range");
    assert_eq!(page.count, KEYS);
    println!("{:<44}{:>12.1?}, {} MiB resident before compaction", "the same keys again", begin.elapsed(), full >> 20);
}

fn restart(dir: &Path, runtime: &tokio::runtime::Runtime) {
    let size: u64 =
        std::fs::read_dir(dir).expect("list").flatten().map(|file| file.metadata().map_or(0, |m| m.len())).sum();
    let begin = Instant::now();
    let _guard = runtime.enter();
    let store = Store::open(Options::new(dir), &base::Context::new()).expect("open");
    println!(
        "{:<44}{:>12.1?} ({} MiB, revision {})",
        "start, with the log above",
        begin.elapsed(),
        size >> 20,
        store.local_revision()
    );
}

/// The same writes without a store: append and fdatasync.
fn disk(path: &Path) {
    for (size, rounds) in [(300usize, 500u32), (1024, 500), (100 * 300, 300), (500 * 300, 300)] {
        let file = File::create(path).expect("create");
        let data = vec![1; size];
        let mut times: Vec<_> = (0..rounds)
            .map(|round| {
                let begin = Instant::now();
                file.write_all_at(&data, u64::from(round) * size as u64).expect("write");
                file.sync_data().expect("sync");
                begin.elapsed()
            })
            .collect();
        times.sort();
        println!("{:<68}{:>14.0}", format!("disk: append {size} B + fdatasync"), micros(times[times.len() / 2]));
    }
}

fn row(what: &str, count: u64, took: Duration, cpu: Duration, p50: Duration) {
    let (rate, each) = (count as f64 / took.as_secs_f64(), micros(cpu) / count as f64);
    println!("{what:<44}{rate:>12.0}{each:>14.2}{:>12.0}", micros(p50));
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// CPU time of this process so far, in steps of 10 ms.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("stat");
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("ticks")).sum();
    Duration::from_millis(ticks * 10)
}

fn cpu_since(before: Duration) -> Duration {
    cpu() - before
}

/// Resident bytes of this process.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("kB") << 10
}
