//! What a cluster with nothing to do uses.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::Table;
use crate::cluster::{Cluster, cpu, pss};

/// After the start, until all have written what they had to.
const SETTLE: Duration = Duration::from_secs(5);
const WINDOW: Duration = Duration::from_secs(20);

/// Measures memory and CPU per component (the components of all nodes added up) and in sum.
pub async fn measure(cluster: &Cluster, nodes: u8, table: &mut Table) -> anyhow::Result<()> {
    tokio::time::sleep(SETTLE).await;
    let processes = cluster.processes()?;
    let begun = Instant::now();
    let before = processes.iter().map(|(_, pid)| cpu(*pid)).collect::<anyhow::Result<Vec<_>>>()?;
    tokio::time::sleep(WINDOW).await;
    let passed = begun.elapsed();
    let mut components: BTreeMap<String, (u64, Duration, usize)> = BTreeMap::new();
    for ((name, pid), before) in processes.iter().zip(before) {
        let name = name.split("-node-").next().unwrap_or(name).to_string();
        let component = components.entry(name).or_default();
        component.0 += pss(*pid)?;
        component.1 += cpu(*pid)?.saturating_sub(before);
        component.2 += 1;
    }
    let mut sum = (0, Duration::ZERO);
    for (name, (kib, used, count)) in components {
        sum = (sum.0 + kib, sum.1 + used);
        let what = if count == 1 { name } else { format!("{name} × {count}") };
        table.row(format!("idle, {nodes} node(s): {what}"), usage(kib, used, passed), "");
    }
    let beside = "aim ≤ 100 MB with 3 nodes, ≤ 1 % of a core; k3s server 500-1600 MB, 5-20 %";
    table.row(format!("idle, {nodes} node(s): all"), usage(sum.0, sum.1, passed), beside);
    Ok(())
}

fn usage(kib: u64, used: Duration, passed: Duration) -> String {
    let share = used.as_secs_f64() / passed.as_secs_f64() * 100.0;
    format!("{:.1} MB PSS, {share:.2} % of a core", kib as f64 * 1024.0 / 1e6)
}
