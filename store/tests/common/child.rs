//! A test program started again as the process that is killed: only its test [`child`](CHILD) runs there, and says on a pipe what
//! happened, so that what reached the pipe had certainly happened.
#![allow(clippy::unwrap_used, dead_code)]

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

/// The test that is the other process.
pub const CHILD: &str = "child";

/// Starts this program again with only its test [`CHILD`], and these variables in its environment; and what it says.
pub fn start<'a>(variables: impl IntoIterator<Item = (&'a str, String)>) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", CHILD, "--nocapture", "--test-threads=1"])
        .envs(variables)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, said)
}

/// Says something to whoever started this process; not through the test harness's capture of print!.
pub fn say(line: std::fmt::Arguments<'_>) {
    // Fails when nobody listens any more. The harness prints "test child ... " without an end of line before the first.
    let _ = std::io::stdout().write_all(format!("\n{line}\n").as_bytes());
}

/// Starts the process, gives the words of each line that it says to `heard` until that says so, kills it with SIGKILL, and gives
/// the rest of what had reached the pipe to `heard` too.
pub fn run_and_kill<'a>(
    variables: impl IntoIterator<Item = (&'a str, String)>,
    mut heard: impl FnMut(&[&str]) -> bool,
) {
    let (mut child, said) = start(variables);
    for line in said {
        let Ok(line) = line else { break };
        if heard(&line.split(' ').collect::<Vec<_>>()) {
            // Further kills of the dead process, while its pipe is read empty, do no harm.
            let _ = child.kill();
        }
    }
    assert!(!child.wait().unwrap().success(), "the child was to be killed, not to end");
}

/// How often to kill: as `STORE_KILL_ROUNDS` says.
pub fn rounds(usual: u64) -> u64 {
    std::env::var("STORE_KILL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(usual)
}

/// A value that says how often its key was written, and is long now and then.
pub fn counted(count: u64) -> String {
    format!("{count}{}", ".".repeat(count as usize * 61 % 900))
}

/// How often, by the value.
pub fn count(value: &[u8]) -> u64 {
    std::str::from_utf8(value).unwrap().trim_end_matches('.').parse().unwrap()
}

/// Each key of `acknowledged` is there, written at least so often, and its twin, which is written in the same transaction, is
/// as it is.
pub fn verify_twins<'a>(page: &store::Page, acknowledged: impl IntoIterator<Item = (&'a String, &'a u64)>, when: &str) {
    let values: std::collections::BTreeMap<_, _> =
        page.kvs.iter().map(|kv| (kv.key.as_ref(), (count(&kv.value), kv.mod_revision))).collect();
    for (key, least) in acknowledged {
        let found = values.get(key.as_bytes()).map_or(0, |(count, _)| *count);
        assert!(found >= *least, "{when}: {key} was acknowledged as {least} and is {found}");
        let twin = values.get(format!("twin/{key}").as_bytes());
        assert_eq!(values.get(key.as_bytes()), twin, "{when}: half a transaction");
    }
}
