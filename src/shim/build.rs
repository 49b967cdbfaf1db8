//! Compiles the C++ files against the headers of the libtorch that torch-sys found, with the flags that torch-sys compiles its own with.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Calls into libtorch: optimising them gains nothing and costs time.
    const CALLS: [&str; 2] = ["shim.cpp", "convolution.cpp"];
    // Loops over numbers.
    const LOOPS: [&str; 2] = ["elementwise.cpp", "upsample.cpp"];
    for file in CALLS.iter().chain(&LOOPS).chain(&["guarded.h", "widest.h"]) {
        println!("cargo::rerun-if-changed={file}");
    }
    for variable in ["LIBTORCH", "LIBTORCH_CXX11_ABI", "LIBTORCH_INCLUDE", "LIBTORCH_USE_PYTORCH"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let abi = env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".to_owned());
    if let Some(include) = intrada_libtorch::include_folder() {
        let compile = |sources: [&str; 2], optimisation, name| {
            cc::Build::new()
                .cpp(true)
                .std("c++17")
                .warnings(false)
                .opt_level(optimisation)
                // Equal bytes on every width of vectors.
                .flag("-ffp-contract=off")
                .debug(false)
                .define("_GLIBCXX_USE_CXX11_ABI", abi.as_str())
                .include(&include)
                .files(sources)
                .compile(name);
        };
        compile(CALLS, 0, "intrada_shim");
        compile(LOOPS, 3, "intrada_shim_loops");
    }
    // For this crate's unit tests.
    for argument in intrada_libtorch::link_arguments() {
        println!("cargo::rustc-link-arg={argument}");
    }
}
