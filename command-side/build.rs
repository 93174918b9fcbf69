//! Generates the Rust of the commands' protocol, for builds that have it. No `protoc` is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    #[cfg(feature = "grpc")]
    {
        let (root, file) = ("../schemas/proto", "colophon/commands/v1/commands.proto");
        println!("cargo::rerun-if-changed={root}");
        let descriptors = protox::compile([file], [root])?;
        tonic_prost_build::configure().compile_fds(descriptors)?;
    }
    println!("cargo::rerun-if-changed=build.rs");
    Ok(())
}
