//! Tells this crate's unit tests where libtorch is. A library's link arguments don't reach the programs that use it; the
//! root package's build script holds those of the worker.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for argument in intrada_libtorch::link_arguments() {
        println!("cargo::rustc-link-arg={argument}");
    }
}
