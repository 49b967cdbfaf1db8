//! For this crate's unit tests: where libtorch is. A library's link arguments don't reach the programs that use it; the
//! worker program's are in the build script of the root package.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // For the worker, which compares it with what it finds when it starts.
    if let Some(version) = intrada_libtorch::version() {
        println!("cargo::rustc-env=INTRADA_LIBTORCH={version}");
    }
    for argument in intrada_libtorch::link_arguments() {
        println!("cargo::rustc-link-arg={argument}");
    }
}
