//! Compiles the .proto files in Rust alone (protox), so that nobody needs an installed protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(["proto/log.proto"], ["proto"])?;
    // `Bytes` rather than `Vec<u8>`: a decoded value shares the buffer that it was read into.
    prost_build::Config::new().bytes(["."]).compile_fds(files)?;
    Ok(())
}
