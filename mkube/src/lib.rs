//! One file that is every component, and a local multi-node cluster of them.
//!
//! | module | what it is for |
//! |---|---|
//! | [`commands`] | the table of subcommands; a program name chooses one too |
//! | [`launch`] | the last steps before a component's own code: namespace, listener, life tied to the supervisor |
//! | [`layout`] | a cluster's directory |
//! | [`net`], [`topology`] | network namespaces, devices, address ranges; what a cluster's network is made of |
//! | [`up`], [`down`], [`status`] | the commands for a local cluster |

pub mod commands;
pub mod down;
pub mod launch;
pub mod layout;
pub mod net;
pub mod status;
pub mod topology;
pub mod up;

use std::ffi::OsString;
use std::path::Path;

/// Runs the program with `arguments` (the program's name first); returns its exit code: 0 ok, 1 failed, 64 misuse.
pub fn main(mut arguments: Vec<String>) -> i32 {
    // Before anything else: these run single-threaded, without a runtime.
    if let Some(code) = kubelet::shim::dispatch(arguments.iter().map(OsString::from)) {
        return code;
    }
    if arguments.get(1).is_some_and(|argument| argument == launch::NAME) {
        return report(launch::run(&arguments[2..]).map(|never| match never {}));
    }
    let program = arguments.first().and_then(|path| Path::new(path).file_name()?.to_str().map(String::from));
    if let Some(command) = program.as_deref().and_then(commands::by_program) {
        arguments.insert(1, command.to_string());
    }
    if arguments.get(1).is_some_and(|argument| argument == "kubectl") {
        arguments.remove(0);
        return kubectl::main(arguments);
    }
    match commands::command().try_get_matches_from(arguments) {
        Ok(matches) => report(commands::run(&matches)),
        Err(error) => {
            let _ = error.print();
            if error.use_stderr() { base::process::MISUSE.into() } else { 0 }
        }
    }
}

fn report(result: anyhow::Result<()>) -> i32 {
    match result {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("error: {error:#}");
            1
        }
    }
}
