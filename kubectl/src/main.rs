//! The program `mkubectl`.

fn main() {
    // Arguments that are no text are no arguments of ours.
    let arguments = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
    std::process::exit(kubectl::main(arguments));
}
