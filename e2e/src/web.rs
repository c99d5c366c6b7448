//! A plain HTTP client that opens a connection for every request, as the clients do that a rolling update hurts first; and
//! steady load with it. Keeps nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// Longest a request may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// GETs `path`.
///
/// # Errors
/// When the connection breaks or the answer is not 200.
pub async fn get(to: SocketAddr, path: &str) -> anyhow::Result<String> {
    request(to, "GET", path).await
}

/// POSTs nothing to `path`.
///
/// # Errors
/// As [`get`].
pub async fn post(to: SocketAddr, path: &str) -> anyhow::Result<String> {
    request(to, "POST", path).await
}

async fn request(to: SocketAddr, method: &str, path: &str) -> anyhow::Result<String> {
    let exchange = async {
        let mut stream = TcpStream::connect(to).await.context("connecting")?;
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.context("sending")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.context("receiving")?;
        anyhow::Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = timeout(DEADLINE, exchange).await.with_context(|| format!("{to}: no answer in time"))??;
    let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("{to}: cut off: {answer:?}"))?;
    ensure!(head.starts_with("HTTP/1.1 200 "), "{to}{path}: {}", head.lines().next().unwrap_or_default());
    Ok(body.to_string())
}

/// What steady load saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// Requests answered with 200.
    pub answered: usize,
    /// Every failure.
    pub failures: Vec<String>,
    /// Answers per pod.
    pub pods: BTreeMap<String, usize>,
}

/// Load that goes on until it is ended.
pub struct Load {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<Seen>,
}

impl Load {
    /// Sends `per_second` requests to `to`, whatever becomes of the earlier ones.
    pub fn start(to: SocketAddr, per_second: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(drive(to, per_second, stop.clone()));
        Self { stop, task }
    }

    /// Ends it, after the answers to what was sent.
    ///
    /// # Errors
    /// When the load itself broke.
    pub async fn end(self) -> anyhow::Result<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.context("load")
    }
}

async fn drive(to: SocketAddr, per_second: u32, stop: Arc<AtomicBool>) -> Seen {
    let mut tick = interval(Duration::from_secs(1) / per_second.max(1));
    // A busy machine delays ticks: they are sent in a burst, as the rate is what is promised.
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let begun = Instant::now();
    let (mut requests, mut seen) = (JoinSet::new(), Seen::default());
    while !stop.load(Ordering::Relaxed) {
        tick.tick().await;
        requests.spawn(async move { get(to, "/hostname").await });
        while let Some(done) = requests.try_join_next() {
            note(&mut seen, done, begun);
        }
    }
    while let Some(done) = requests.join_next().await {
        note(&mut seen, done, begun);
    }
    seen
}

fn note(seen: &mut Seen, done: Result<anyhow::Result<String>, tokio::task::JoinError>, begun: Instant) {
    match done {
        Ok(Ok(pod)) => {
            seen.answered += 1;
            *seen.pods.entry(pod.trim().to_string()).or_default() += 1;
        }
        Ok(Err(error)) => seen.failures.push(format!("{:.2} s: {error:#}", begun.elapsed().as_secs_f32())),
        Err(error) => seen.failures.push(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;
    use tokio::sync::watch;

    async fn server(answer: &'static str) -> SocketAddr {
        counting_server(answer).await.0
    }

    /// A server, and how many requests it has answered.
    async fn counting_server(answer: &'static str) -> (SocketAddr, watch::Receiver<u64>) {
        let (count, answered) = watch::channel(0);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = [0; 256];
                let _ = stream.read(&mut head).await;
                let _ = stream.write_all(answer.as_bytes()).await;
                count.send_modify(|count| *count += 1);
            }
        });
        (address, answered)
    }

    #[tokio::test]
    async fn only_whole_answers_of_200_count() {
        let good = server("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\npod-1\n").await;
        assert_eq!(get(good, "/").await.unwrap(), "pod-1\n");
        let bad = server("HTTP/1.1 503 Service Unavailable\r\n\r\n").await;
        assert!(get(bad, "/").await.unwrap_err().to_string().contains("503"));
        let cut = server("HTTP/1.1 200 OK").await;
        assert!(get(cut, "/").await.unwrap_err().to_string().contains("cut off"));
    }

    #[tokio::test]
    async fn load_counts_what_it_saw() {
        let (address, mut answered) = counting_server("HTTP/1.1 200 OK\r\n\r\npod-1").await;
        let load = Load::start(address, 100);
        answered.wait_for(|count| *count >= 3).await.unwrap();
        let seen = load.end().await.unwrap();
        assert!(seen.answered >= 3 && seen.failures.is_empty(), "{seen:?}");
        assert_eq!(seen.pods["pod-1"], seen.answered);
    }
}
