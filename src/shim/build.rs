//! Compiles shim.cpp against the headers of the libtorch that torch-sys found, with the flags that torch-sys compiles its own with.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    const SOURCES: [&str; 2] = ["shim.cpp", "convolution.cpp"];
    for file in SOURCES.iter().chain(&["guarded.h"]) {
        println!("cargo::rerun-if-changed={file}");
    }
    for variable in ["LIBTORCH", "LIBTORCH_CXX11_ABI", "LIBTORCH_INCLUDE", "LIBTORCH_USE_PYTORCH"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let abi = env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".to_owned());
    if let Some(include) = intrada_libtorch::include_folder() {
        // Each function is one call into libtorch: optimising them gains nothing and costs time.
        cc::Build::new()
            .cpp(true)
            .std("c++17")
            .warnings(false)
            .opt_level(0)
            .debug(false)
            .define("_GLIBCXX_USE_CXX11_ABI", abi.as_str())
            .include(include)
            .files(SOURCES)
            .compile("intrada_shim");
    }
    // For this crate's unit tests.
    for argument in intrada_libtorch::link_arguments() {
        println!("cargo::rustc-link-arg={argument}");
    }
}
