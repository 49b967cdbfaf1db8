//! Tells the dynamic loader where libtorch is, for the one program that links it: the runner gets nothing.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "worker")]
    {
        // An installed bundle first (bin/intrada-worker, lib/intrada/libtorch_cpu.so), then the place it was built against.
        let origin = match std::env::var("CARGO_CFG_TARGET_OS").as_deref() {
            Ok("macos") => "@loader_path",
            _ => "$ORIGIN",
        };
        println!("cargo::rustc-link-arg-bin=intrada-worker=-Wl,-rpath,{origin}/../lib/intrada");
        for argument in intrada_libtorch::link_arguments() {
            println!("cargo::rustc-link-arg-bin=intrada-worker={argument}");
        }
    }
}
