//! Compiles the .proto files in Rust alone (protox), so that nobody needs an installed protoc.

/// Files that hold messages only.
const MESSAGES: &[&str] = &["proto/log.proto", "proto/raft.proto"];
/// Files that hold gRPC services too.
const SERVICES: &[&str] = &[
    "proto/peer.proto",
    "proto/etcd_rpc.proto",
    "proto/etcd_lock.proto",
    "proto/etcd_election.proto",
    "proto/grpc_health.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    // `Bytes` rather than `Vec<u8>`: a decoded value shares the buffer that it was read into.
    prost_build::Config::new().bytes(["."]).compile_fds(protox::compile(MESSAGES, ["proto"])?)?;
    let mut config = prost_build::Config::new();
    config.bytes(["."]);
    let services = tonic_prost_build::configure().codec_path("crate::codec::Codec");
    services.compile_fds_with_config(protox::compile(SERVICES, ["proto"])?, config)?;
    Ok(())
}
