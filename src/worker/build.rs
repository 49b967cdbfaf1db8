//! Tells this crate's unit tests where libtorch is. A library's link arguments don't reach the programs that use it; the
//! root package's build script holds those of the worker.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The worker compares this with the version that it loads at start.
    if let Some(version) = intrada_libtorch::version() {
        println!("cargo::rustc-env=INTRADA_LIBTORCH={version}");
    }
    for argument in intrada_libtorch::link_arguments() {
        println!("cargo::rustc-link-arg={argument}");
    }
}
