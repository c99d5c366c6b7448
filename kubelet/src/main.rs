//! `mkubelet`: the kubelet as a program of its own. The shim's subcommands come first: they must run before any thread exists.

fn main() {
    if let Some(code) = kubelet::shim::dispatch(std::env::args_os()) {
        std::process::exit(code);
    }
    eprintln!("mkubelet: this build has the process runtime only");
    std::process::exit(64);
}
