//! Fuzzes what reads files, other members and clients ([`store::testing::fuzz`]), for as long as one likes, under an allocator with
//! a limit.
//!
//! ```text
//! cargo run --release -p store --example fuzz -- --minutes 60                  every target for 60 minutes
//! cargo run --release -p store --example fuzz -- --target snapshot --seed 7 --iterations 100000
//! cargo run --release -p store --example fuzz -- --target snapshot --input FILE   what a failure has left
//! ```
//! A failure leaves its input in a file, says the command that reads it again, and exits with 1. Built with
//! `CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS=true CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true` it also finds sums that overflow.

mod limit;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use store::testing::fuzz::{Failure, Fuzzer, Input, TARGETS, Target, read};

#[global_allocator]
static MEMORY: limit::Limit = limit::Limit;

/// Between two lines.
const REPORT: Duration = Duration::from_secs(60);

/// Fuzzes the store's readers.
#[derive(Parser)]
struct Options {
    /// Only this one; else all, one after the other.
    #[arg(long)]
    target: Option<String>,
    /// Minutes for each target.
    #[arg(long, default_value_t = 1)]
    minutes: u64,
    /// Iterations for each target, instead of minutes.
    #[arg(long)]
    iterations: Option<u64>,
    /// What the changes are drawn from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Reads this file as the target's input, and nothing else.
    #[arg(long)]
    input: Option<PathBuf>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let wanted = |target: &&Target| options.target.as_ref().is_none_or(|name| name == target.name);
    let targets: Vec<&'static Target> = TARGETS.iter().filter(wanted).collect();
    if targets.is_empty() {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!("no such target; there are: {}", names.join(", "));
        return ExitCode::from(64);
    }
    if let (Some(file), [target]) = (&options.input, targets.as_slice()) {
        let read_again = std::fs::read(file).map_err(|error| error.to_string());
        let input = read_again.and_then(|bytes| Input::from_bytes(&bytes).map_err(str::to_owned));
        return match input.map(|input| read(target, &input)) {
            Ok(Ok(outcome)) => {
                println!("{outcome}");
                ExitCode::SUCCESS
            }
            Ok(Err(failure)) => {
                eprintln!("FAILED: {}", failure.what);
                ExitCode::FAILURE
            }
            Err(error) => {
                eprintln!("{}: {error}", file.display());
                ExitCode::from(64)
            }
        };
    }
    for target in targets {
        if let Err((iteration, failure)) = fuzz(target, &options) {
            say(target, options.seed, iteration, &failure);
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn fuzz(target: &'static Target, options: &Options) -> Result<(), (u64, Box<Failure>)> {
    let (began, had) = (Instant::now(), cpu());
    let mut reported = began;
    let mut fuzzer = Fuzzer::new(target, options.seed).map_err(|failure| (0, failure))?;
    limit::peak();
    let over = |iterations: u64| match options.iterations {
        Some(most) => iterations >= most,
        None => began.elapsed() >= Duration::from_secs(options.minutes * 60),
    };
    let report = |fuzzer: &Fuzzer| {
        let seconds = began.elapsed().as_secs_f64();
        println!(
            "{:<10} seed {} {:>10} inputs in {:>6.0} s ({:>5.0} s of CPU), {:>7.0}/s, {:>5} outcomes, at most {} KiB in use",
            target.name,
            options.seed,
            fuzzer.iterations,
            seconds,
            cpu().saturating_sub(had).as_secs_f64(),
            fuzzer.iterations as f64 / seconds,
            fuzzer.outcomes(),
            limit::peak() >> 10,
        );
    };
    while !over(fuzzer.iterations) {
        limit::about(options.seed, fuzzer.iterations + 1);
        fuzzer.step().map_err(|failure| (fuzzer.iterations, failure))?;
        if reported.elapsed() > REPORT {
            reported = Instant::now();
            report(&fuzzer);
        }
    }
    report(&fuzzer);
    Ok(())
}

/// What this thread has had of a processor (`/proc/PID/schedstat`): beside other work far less than what has passed.
fn cpu() -> Duration {
    let file = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(file.split(' ').next().and_then(|nanoseconds| nanoseconds.parse().ok()).unwrap_or_default())
}

fn say(target: &Target, seed: u64, iteration: u64, failure: &Failure) {
    let file = std::env::temp_dir().join(format!("fuzz-{}-{seed}-{iteration}", target.name));
    let written = std::fs::write(&file, failure.input.to_bytes());
    eprintln!("FAILED: {} at input {iteration} of seed {seed}: {}", target.name, failure.what);
    match written {
        Ok(()) => {
            let (name, file) = (target.name, file.display());
            eprintln!("to read it again: cargo run -p store --example fuzz -- --target {name} --input {file}");
        }
        Err(error) => eprintln!("{}: {error}", file.display()),
    }
}
