//! The program `mkube`.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    // Arguments that are no text are no arguments of ours.
    let arguments = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
    std::process::exit(mkube::main(arguments));
}
