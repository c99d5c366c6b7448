//! How long a pod takes from "run it" to "its program runs", with the process runtime. Prints a table; fails only if it is absurd.
#![allow(clippy::unwrap_used)] // A panic is how a test fails, in its helpers too.

mod node;

use std::time::{Duration, Instant};

use kubelet::runtime::Runtime;
use node::{Node, echo};

/// One measurement at a time.
static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

#[test]
fn from_sandbox_to_running() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    Node::run("latency", async |node| {
        let mut rows: Vec<[Duration; 5]> = Vec::new();
        for round in 0..30 {
            let begun = Instant::now();
            let sandbox = node.sandbox(&format!("p{round}"), |_| {}).await;
            let made = begun.elapsed();
            let id = node.runtime.create_container(&sandbox.id, &echo(node, "main")).await.unwrap();
            let created = begun.elapsed();
            node.runtime.start_container(&id).await.unwrap();
            let started = begun.elapsed();
            let stop = Instant::now();
            node.runtime.stop_sandbox(&sandbox.id).await.unwrap();
            let stopped = stop.elapsed();
            node.runtime.remove_sandbox(&sandbox.id).await.unwrap();
            rows.push([made, created - made, started - created, started, stopped]);
        }
        for (column, name) in ["sandbox", "create", "start", "sum", "stop"].iter().enumerate() {
            let mut values: Vec<Duration> = rows.iter().map(|row| row[column]).collect();
            values.sort();
            eprintln!("{name:8} p50 {:>9.2?}  p90 {:>9.2?}  max {:>9.2?}", values[15], values[27], values[29]);
        }
        let mut sums: Vec<Duration> = rows.iter().map(|row| row[3]).collect();
        sums.sort();
        assert!(sums[15] < Duration::from_secs(2), "{sums:?}");
    });
}

#[test]
fn many_at_once() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    Node::run("many", async |node| {
        let begun = Instant::now();
        let names: Vec<String> = (0..40).map(|number| format!("m{number}")).collect();
        let one = async |name: &String| {
            let sandbox = node.sandbox(name, |_| {}).await;
            node.start_container(&sandbox.id, &echo(node, name)).await;
            sandbox
        };
        let sandboxes = futures::future::join_all(names.iter().map(one)).await;
        eprintln!("40 pods at once: all run after {:.2?}", begun.elapsed());
        let addresses: std::collections::BTreeSet<_> = sandboxes.iter().map(|sandbox| sandbox.ips[0]).collect();
        assert_eq!(addresses.len(), 40);
        let answers =
            futures::future::join_all(sandboxes.iter().map(|sandbox| node.get(sandbox.ips[0], 8080, "/hostname")));
        for (answer, name) in answers.await.iter().zip(&names) {
            assert!(answer.ends_with(&format!("\r\n\r\n{name}\n")), "{answer}");
        }
        let stop = Instant::now();
        futures::future::join_all(sandboxes.iter().map(|sandbox| node.runtime.remove_sandbox(&sandbox.id))).await;
        eprintln!("40 pods at once: all removed after {:.2?}", stop.elapsed());
    });
}
