//! The table: a row per case, a column per server, and how the first stands to the second.

use std::time::Duration;

use super::load::Seen;

/// One row.
pub(super) struct Row {
    name: String,
    cells: Vec<String>,
    ratios: String,
}

impl Row {
    /// A case under load. For watches a latency is that of a put until every watcher has heard of it.
    pub(super) fn load(name: &str, seen: &[Seen], watch: bool) -> Self {
        let figures: Vec<Figures> = seen.iter().map(Figures::of).collect();
        let ratios = match figures.as_slice() {
            [one, two, ..] => one.against(two),
            _ => String::new(),
        };
        let cells = figures.iter().map(|figures| figures.text(watch)).collect();
        Self { name: name.to_owned(), cells, ratios }
    }

    /// A row of texts.
    pub(super) fn plain(name: String, cells: Vec<String>) -> Self {
        Self { name, cells, ratios: String::new() }
    }
}

struct Figures {
    rate: f64,
    p50: u32,
    p99: u32,
    cpu: Option<f64>,
    disturbances: u64,
}

impl Figures {
    fn of(seen: &Seen) -> Self {
        let mut latencies = seen.latencies.clone();
        latencies.sort_unstable();
        let at = |part: f64| latencies.get((latencies.len() as f64 * part) as usize).copied().unwrap_or(0);
        Self {
            rate: seen.count as f64 / seen.time.as_secs_f64().max(f64::EPSILON),
            p50: at(0.5),
            p99: at(0.99),
            cpu: seen.cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / (seen.count.max(1) as f64)),
            disturbances: seen.disturbances,
        }
    }

    fn text(&self, watch: bool) -> String {
        let cpu = self.cpu.map_or_else(|| "?".to_owned(), |cpu| format!("{cpu:.1}"));
        let last = if watch { " to the last" } else { "" };
        let meanwhile = match self.disturbances {
            0 => String::new(),
            times => format!(", {times} times"),
        };
        format!("{:.0}/s, {cpu} µs CPU, p50 {} p99 {} µs{last}{meanwhile}", self.rate, self.p50, self.p99)
    }

    fn against(&self, other: &Self) -> String {
        let cpu = match (self.cpu, other.cpu) {
            (Some(one), Some(two)) if two > 0.0 => format!("CPU {:.2}x, ", one / two),
            _ => String::new(),
        };
        let ratio = |one: f64, two: f64| if two > 0.0 { one / two } else { 0.0 };
        let p99 = ratio(f64::from(self.p99), f64::from(other.p99));
        format!("{cpu}rate {:.2}x, p99 {p99:.2}x", ratio(self.rate, other.rate))
    }
}

/// A time in milliseconds.
pub(super) fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

/// The rows so far.
pub(super) struct Table {
    servers: Vec<String>,
    rows: Vec<Row>,
}

impl Table {
    pub(super) fn new(servers: Vec<String>) -> Self {
        Self { servers, rows: Vec::new() }
    }

    /// Adds a row, and tells it at once: a run takes minutes.
    pub(super) fn row(&mut self, row: Row) {
        let told = self.servers.iter().zip(&row.cells).map(|(server, cell)| format!("{server}: {cell}"));
        eprintln!("{}: {}; {}", row.name, told.collect::<Vec<_>>().join("; "), row.ratios);
        self.rows.push(row);
    }

    /// As Markdown.
    pub(super) fn text(&self) -> String {
        let head = format!(
            "| what | {} | ratio |\n|---|{}---|\n",
            self.servers.join(" | "),
            "---|".repeat(self.servers.len())
        );
        let rows =
            self.rows.iter().map(|row| format!("| {} | {} | {} |\n", row.name, row.cells.join(" | "), row.ratios));
        head + &rows.collect::<String>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_per_operation_and_compared() {
        let seen = |count, cpu| Seen {
            count,
            time: Duration::from_secs(2),
            cpu: Some(Duration::from_micros(cpu)),
            latencies: (1..=100).collect(),
            disturbances: 0,
        };
        let row = Row::load("put", &[seen(1000, 5000), seen(500, 5000)], false);
        assert_eq!(row.cells, ["500/s, 5.0 µs CPU, p50 51 p99 100 µs", "250/s, 10.0 µs CPU, p50 51 p99 100 µs"]);
        assert_eq!(row.ratios, "CPU 0.50x, rate 2.00x, p99 1.00x");
        assert_eq!(Row::load("put", &[Seen::default()], false).ratios, "");
        let mut table = Table::new(vec!["one".into(), "two".into()]);
        table.row(row);
        let lines: Vec<String> = table.text().lines().map(str::to_owned).collect();
        assert_eq!(lines[0], "| what | one | two | ratio |");
        assert!(lines.len() == 3 && lines.iter().all(|line| line.matches('|').count() == 5), "{lines:?}");
    }
}
