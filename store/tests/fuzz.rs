//! A little of what `examples/fuzz` does for hours: every reader, 1,500 changed inputs, no panic, and no more memory
//! than the limit. `FUZZ_INPUTS` for more.

#[path = "../examples/fuzz/limit.rs"]
mod limit;

use store::testing::fuzz::{Fuzzer, TARGETS};

#[global_allocator]
static MEMORY: limit::Limit = limit::Limit;

const INPUTS: u64 = 1500;

#[test]
fn no_input_causes_a_panic() {
    let inputs = std::env::var("FUZZ_INPUTS").ok().and_then(|number| number.parse().ok()).unwrap_or(INPUTS);
    for target in TARGETS {
        let fail = |at: u64, failure: Box<store::testing::fuzz::Failure>| -> ! {
            panic!(
                "{}: {}\nto run it again: cargo run -p store --example fuzz -- --target {} --seed 1 --iterations {at}",
                target.name, failure.what, target.name
            )
        };
        let mut fuzzer = Fuzzer::new(target, 1).unwrap_or_else(|failure| fail(0, failure));
        let seeds = fuzzer.outcomes();
        for at in 1..=inputs {
            limit::about(1, at);
            fuzzer.step().unwrap_or_else(|failure| fail(at, failure));
        }
        println!("{}: {} inputs, {} outcomes, {} KiB", target.name, inputs, fuzzer.outcomes(), limit::peak() >> 10);
        assert!(fuzzer.outcomes() > seeds, "{}: nothing but what good inputs do was seen", target.name);
    }
}
