//! Compiles the C++ files against the headers of the libtorch that torch-sys found, with the flags that torch-sys compiles its own with.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Calls into libtorch: optimising them gains nothing and costs time.
    const CALLS: &str = "shim.cpp";
    // Loops over numbers.
    const LOOPS: &str = "loops.cpp";
    const INCLUDED: [&str; 7] =
        ["convolution.cpp", "elementwise.cpp", "upsample.cpp", "guarded.h", "product.h", "widest.h", "winograd.h"];
    for file in [CALLS, LOOPS].iter().chain(&INCLUDED) {
        println!("cargo::rerun-if-changed={file}");
    }
    for variable in ["LIBTORCH", "LIBTORCH_CXX11_ABI", "LIBTORCH_INCLUDE", "LIBTORCH_USE_PYTORCH"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let abi = env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".to_owned());
    if let Some(include) = intrada_libtorch::include_folder() {
        let compile = |source, optimisation, name| {
            let mut build = cc::Build::new();
            // ATen's parallel loops are in its headers, and without OpenMP they are loops. Other compilers have another OpenMP than the
            // libtorch that torch-sys links with it.
            let is_gnu = build.get_compiler().is_like_gnu();
            if is_gnu {
                build.flag("-fopenmp");
            }
            build
                .cpp(true)
                .std("c++17")
                .warnings(false)
                .opt_level(optimisation)
                // Equal bytes on every width of vectors.
                .flag("-ffp-contract=off")
                .debug(false)
                .define("_GLIBCXX_USE_CXX11_ABI", abi.as_str())
                .include(&include)
                .file(source)
                .compile(name);
        };
        compile(CALLS, 0, "intrada_shim");
        compile(LOOPS, 3, "intrada_shim_loops");
        if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") {
            println!("cargo::rustc-link-lib=gomp");
        }
    }
    // For this crate's unit tests.
    for argument in intrada_libtorch::link_arguments() {
        println!("cargo::rustc-link-arg={argument}");
    }
}
