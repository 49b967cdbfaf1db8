//! For this crate's unit tests: where libtorch is. A library's link arguments don't reach the programs that use it; the
//! worker program's are in the build script of the root package.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for argument in intrada_libtorch::link_arguments() {
        println!("cargo::rustc-link-arg={argument}");
    }
}
