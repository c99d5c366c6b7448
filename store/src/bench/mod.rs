//! `mkube store bench`: one load generator against several servers of etcd's v3 API in one run, case by case in turn, so that a
//! busy machine hits all alike. What counts is the ratio, and the server's CPU per operation; rates depend on the disk and on the
//! generator, which shares the machine.
//!
//! | module | what it is |
//! |---|---|
//! | `cases` | the table of cases |
//! | `load` | clients in closed loops, watchers; what they saw |
//! | `disturb` | what goes on beside a load |
//! | `server` | the servers: started, looked at from outside (/proc), ended |
//! | `report` | the table that is printed |

mod cases;
mod disturb;
mod load;
mod report;
mod server;

use std::path::PathBuf;
use std::time::Duration;

use cases::{CASES, Case, Meanwhile, Work};
use disturb::disturb;
use load::Seen;
use report::{Row, Table};
use server::{Program, Server};

/// How long the overwriting may take.
const OVERWRITING: Duration = Duration::from_secs(1800);

/// Flags of the measurement.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// The program that is mkube-store, with arguments that come before its flags, e.g. `target/release/mkube store`; by default
    /// the one that measures.
    #[arg(long)]
    pub store: Option<String>,
    /// The etcd to compare with; empty: none.
    #[arg(long, default_value = "etcd")]
    pub etcd: String,
    /// Measure these endpoints instead of servers of our own (NAME=URL; CPU and memory stay unknown).
    #[arg(long, value_name = "NAME=URL", value_parser = named)]
    pub endpoint: Vec<(String, String)>,
    /// Directory for the servers' files; its disk is measured along.
    #[arg(long, default_value = ".")]
    pub dir: PathBuf,
    /// Seconds of each case, for each server and round.
    #[arg(long, default_value_t = 2)]
    pub seconds: u64,
    /// How often each case is run on each server, in turn.
    #[arg(long, default_value_t = 2)]
    pub rounds: usize,
    /// Members of each server.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=7))]
    pub members: u8,
    /// Keys of 1 KiB for the cases about memory and starting, and overwrites for the one about the disk.
    #[arg(long, default_value_t = 100_000)]
    pub keys: u64,
    /// Only cases whose name contains one of these.
    #[arg(value_name = "CASE")]
    pub only: Vec<String>,
}

fn named(text: &str) -> Result<(String, String), String> {
    let (name, url) = text.split_once('=').ok_or("not NAME=URL")?;
    Ok((name.to_owned(), url.to_owned()))
}

/// Why there is no measurement.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A server does not start, or nobody answers at an endpoint.
    #[error("{0} cannot be measured")]
    Server(String, #[source] std::io::Error),
    /// A server refuses what a case asks.
    #[error("{0} refuses a request")]
    Refused(String, #[source] Box<tonic::Status>),
}

impl Options {
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| name.contains(only.as_str()))
    }

    fn time(&self) -> Duration {
        Duration::from_secs(self.seconds.clamp(1, 600))
    }

    fn programs(&self) -> Vec<Program> {
        if !self.endpoint.is_empty() {
            return self.endpoint.iter().map(|(name, url)| Program::running(name, url)).collect();
        }
        let words = |command: &str| command.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let ours = self.store.as_deref().map_or_else(this_program, words);
        let both = [(server::OURS, ours), ("etcd", words(&self.etcd))];
        both.into_iter()
            .filter(|(_, command)| !command.is_empty())
            .map(|(name, command)| Program::command(name, command))
            .collect()
    }
}

/// This program as a server: whatever it is called, with what it was told before `bench` (`mkube store bench` serves as `mkube store`).
fn this_program() -> Vec<String> {
    let path = std::env::current_exe().unwrap_or_else(|_| "mkube-store".into());
    let told = std::env::args().skip(1).take_while(|argument| argument != "bench");
    std::iter::once(path.to_string_lossy().into_owned()).chain(told).collect()
}

/// A directory for the time of the measurement.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing is there if only endpoints were measured.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Measures, prints rows as they come to stderr, and returns the table.
///
/// # Errors
/// A server that does not start or refuses requests.
pub async fn run(options: Options) -> Result<String, Error> {
    let programs = options.programs();
    let mut table = Table::new(programs.iter().map(|program| program.name.clone()).collect());
    let dir = Scratch(options.dir.join(format!("store-bench-{}", std::process::id())));
    measure(&options, &programs, &dir.0, &mut table).await?;
    Ok(table.text())
}

async fn measure(
    options: &Options,
    programs: &[Program],
    dir: &std::path::Path,
    table: &mut Table,
) -> Result<(), Error> {
    let loads: Vec<&Case> = CASES.iter().filter(|case| options.wants(case.name)).collect();
    // Those that write checkpoints all the time are servers of their own.
    let (apart, together): (Vec<&Case>, Vec<&Case>) =
        loads.into_iter().partition(|case| case.meanwhile == Meanwhile::Checkpoints);
    load_cases(options, together, programs, &dir.join("load"), table).await?;
    if options.endpoint.is_empty() {
        let eager: Vec<Program> = programs.iter().map(Program::eager).collect();
        load_cases(options, apart, &eager, &dir.join("checkpoints"), table).await?;
    }
    if options.endpoint.is_empty() && options.wants("memory and start") {
        memory_and_start(options, programs, dir, table).await?;
    }
    if options.endpoint.is_empty() && options.wants("overwritten") {
        overwritten(options, programs, dir, table).await?;
    }
    Ok(())
}

async fn load_cases(
    options: &Options,
    cases: Vec<&Case>,
    programs: &[Program],
    dir: &std::path::Path,
    table: &mut Table,
) -> Result<(), Error> {
    if cases.is_empty() {
        return Ok(());
    }
    let mut servers = Vec::new();
    for program in programs {
        servers.push(program.start(&dir.join(&program.name), usize::from(options.members)).await?);
    }
    for case in cases {
        table.row(load_case(options, case, &mut servers).await?);
    }
    Ok(())
}

/// One case on all servers, in turn.
async fn load_case(options: &Options, case: &Case, servers: &mut [Server]) -> Result<Row, Error> {
    let mut seen: Vec<Seen> = servers.iter().map(|_| Seen::default()).collect();
    for _ in 0..options.rounds.max(1) {
        for (server, seen) in servers.iter_mut().zip(&mut seen) {
            let name = server.name.clone();
            let refused = |status| Error::Refused(name.clone(), Box::new(status));
            let clients = load::Clients::connect(&server.urls, case).await.map_err(refused)?;
            clients.prepare(case).await.map_err(refused)?;
            let processes = server.processes();
            let before = processes.cpu();
            let run = async {
                let run = clients.run(case, options.time()).await?;
                // Not what is finished after the load.
                let cpu = processes.cpu().zip(before).map(|(after, before)| after.saturating_sub(before));
                Ok::<_, tonic::Status>(Seen { cpu, ..run })
            };
            let disturbed = disturb(case.meanwhile, server, tokio::time::Instant::now() + options.time());
            let (run, disturbances) = tokio::try_join!(run, disturbed).map_err(refused)?;
            seen.add(Seen { disturbances, ..run });
            server.clear().map_err(|error| Error::Server(server.name.clone(), error))?;
        }
    }
    Ok(Row::load(case.name, &seen, case.work == Work::Watch))
}

/// Memory empty and full, and how long a start takes, empty and full.
async fn memory_and_start(
    options: &Options,
    programs: &[Program],
    dir: &std::path::Path,
    table: &mut Table,
) -> Result<(), Error> {
    let mut rows: [Vec<String>; 4] = Default::default();
    for program in programs {
        let path = dir.join("memory").join(&program.name);
        let mut server = program.start(&path, 1).await?;
        rows[0].push(report::millis(server.started_in));
        rows[1].push(server.memory());
        let refused = |status| Error::Refused(program.name.clone(), Box::new(status));
        load::fill(&server.urls[0], options.keys, options.keys).await.map_err(refused)?;
        rows[2].push(server.memory());
        let files = server.disk();
        server.end();
        let mut server = program.start(&path, 1).await?;
        rows[3].push(format!("{} from {files}", report::millis(server.started_in)));
        server.end();
    }
    let keys = options.keys;
    let names = [
        "start, empty".into(),
        "memory, empty".into(),
        format!("memory, {keys} keys of 1 KiB"),
        format!("start, {keys} keys"),
    ];
    for (name, values) in names.into_iter().zip(rows) {
        table.row(Row::plain(name, values));
    }
    Ok(())
}

/// Memory and disk when a hundredth as many keys have been overwritten again and again, then compacted.
async fn overwritten(
    options: &Options,
    programs: &[Program],
    dir: &std::path::Path,
    table: &mut Table,
) -> Result<(), Error> {
    let (puts, mut memory, mut disk) = (options.keys, Vec::new(), Vec::new());
    for program in programs {
        let mut server = program.start(&dir.join("overwritten").join(&program.name), 1).await?;
        let end = tokio::time::Instant::now() + OVERWRITING;
        let url = server.urls[0].clone();
        // Compacted as an API server would, only more often, until all is written.
        let done = load::fill(&url, puts, puts / 100);
        let refused = |status| Error::Refused(program.name.clone(), Box::new(status));
        tokio::select! {
            written = done => written.map_err(refused)?,
            disturbed = disturb(Meanwhile::Compactions, &mut server, end) => drop(disturbed.map_err(refused)?),
        }
        memory.push(server.memory());
        disk.push(server.disk());
        server.end();
    }
    table.row(Row::plain(format!("memory after {puts} overwrites of 1 KiB, compacted"), memory));
    table.row(Row::plain("disk then".into(), disk));
    Ok(())
}
