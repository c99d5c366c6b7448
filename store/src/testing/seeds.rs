//! Runs simulations over many seeds (tests only).
//!
//! `SEEDS` says how many, `SEED` runs one and shows what happens in it. A seed that fails says how to run it again.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use base::panics::catch;

/// What a simulation went through: how often, by name.
pub(crate) type Coverage = BTreeMap<&'static str, u64>;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs a simulation for `count` seeds (or as the environment says). Panics with the command that repeats the first that
/// fails; prints in how many seeds each thing of its coverage happened.
pub(crate) fn all_hold(test: &str, count: u64, run: impl Fn(u64, bool) -> Result<Coverage, String> + Sync) {
    if let Some(seed) = number("SEED") {
        let coverage = run(seed, true).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
        println!("{coverage:#?}");
        return;
    }
    let count = number("SEEDS").unwrap_or(count);
    let totals = Mutex::new(BTreeMap::<&'static str, (u64, u64)>::new());
    let failed = first_failure(count, |seed| {
        let coverage = run(seed, false)?;
        let mut totals = totals.lock().unwrap();
        for (what, times) in coverage {
            let total = totals.entry(what).or_default();
            total.0 += u64::from(times > 0);
            total.1 += times;
        }
        Ok(())
    });
    if let Some((seed, what)) = failed {
        panic!("seed {seed}: {what}\nto run it again: SEED={seed} cargo test -p store --lib {test} -- --nocapture");
    }
    println!("{test}: {count} seeds hold");
    for (what, (seeds, times)) in totals.into_inner().unwrap() {
        println!("  {what:<24} in {seeds:>6} seeds, {times:>10} times");
        assert!(seeds > 0 || count < 50, "no seed went through: {what}");
    }
}

/// Runs a simulation with a planted fault until a seed finds it. Panics if none of `most` does.
pub(crate) fn one_fails(fault: &str, most: u64, run: impl Fn(u64) -> Result<Coverage, String> + Sync) {
    match first_failure(most, |seed| run(seed).map(|_| ())) {
        Some((seed, what)) => {
            let what: String = what.lines().next().unwrap_or_default().chars().take(120).collect();
            println!("{fault}: found after {} seeds: {what}", seed + 1);
        }
        None => panic!("{fault}: not found in {most} seeds"),
    }
}

/// The lowest seed below `count` that fails, and how.
fn first_failure(count: u64, run: impl Fn(u64) -> Result<(), String> + Sync) -> Option<(u64, String)> {
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let failures = Mutex::new(BTreeMap::new());
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= count {
                return;
            }
            if let Err(what) = catch(|| run(seed)).unwrap_or_else(Err) {
                failures.lock().unwrap().insert(seed, what);
                stop.store(true, Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        (0..threads).for_each(|_| drop(scope.spawn(work)));
    });
    failures.into_inner().unwrap().into_iter().next()
}
