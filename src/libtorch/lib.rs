//! What this workspace's build scripts know about libtorch: whether it is present, where its headers are, and how a program finds it.
//!
//! This crate's own build script checks the first, and stops a build without libtorch with one sentence. It knows nothing
//! of what libtorch is used for and depends on nothing. As a build dependency of all crates that link libtorch, it comes
//! before the binding in cargo's queue, which orders by number of dependents; so its message comes first. The binding would
//! answer a missing header with pages of C++.
#![warn(missing_docs)]

use std::env;
use std::path::{Path, PathBuf};

/// The version of the libtorch that was found when this crate was built, if its files say so.
pub fn version() -> Option<&'static str> {
    option_env!("FOUND_LIBTORCH")
}

/// The linker arguments needed beyond those of torch-sys, for each program and test that links libtorch.
///
/// Only for build scripts of packages that depend on torch-sys directly: it publishes its library folder to direct
/// dependents (`DEP_TCH_LIBTORCH_LIB`). Empty if it was not built.
pub fn link_arguments() -> Vec<String> {
    let Some(lib) = library_folder() else { return Vec::new() };
    // Without links: `.libtorch` is one in the checkout, and an installed program outlives that.
    arguments_for(&lib.canonicalize().unwrap_or(lib))
}

/// The folder of libtorch's headers, where torch-sys looks for them; for the same build scripts. `None` if it was not built.
pub fn include_folder() -> Option<PathBuf> {
    let lib = library_folder()?;
    // A PyTorch has them beside its libraries, and torch-sys asks for that first.
    let is_of_python = env::var_os("LIBTORCH_USE_PYTORCH").is_some();
    let root = ["LIBTORCH_INCLUDE", "LIBTORCH"].into_iter().find_map(env::var_os).filter(|_| !is_of_python);
    let root = root.map(PathBuf::from).or_else(|| lib.parent().map(Path::to_owned))?;
    Some(root.join("include"))
}

fn library_folder() -> Option<PathBuf> {
    let lib = env::var_os("DEP_TCH_LIBTORCH_LIB")?;
    Some(std::path::absolute(lib).expect("the library folder that torch-sys names is not empty"))
}

/// As [`link_arguments`], for a known library folder.
fn arguments_for(lib: &Path) -> Vec<String> {
    // The run path, so that nobody has to export LD_LIBRARY_PATH and the program starts from any folder.
    let mut arguments = vec![format!("-Wl,-rpath,{}", lib.display())];
    let cuda = lib.join("libtorch_cuda.so");
    if cuda.exists() {
        // The CUDA library registers its kernels on loading and no code calls it by name, so the linker would omit it and
        // the program would see no GPU.
        arguments.push(format!("-Wl,--no-as-needed,{},--as-needed", cuda.display()));
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cuda_library_is_linked_exactly_where_there_is_one() {
        let lib = std::env::temp_dir().join(format!("intrada-libtorch-{}", std::process::id()));
        std::fs::create_dir_all(&lib).unwrap();
        let run_path = format!("-Wl,-rpath,{}", lib.display());
        assert_eq!(arguments_for(&lib), std::slice::from_ref(&run_path));

        std::fs::write(lib.join("libtorch_cuda.so"), "").unwrap();
        let cuda = format!("-Wl,--no-as-needed,{}/libtorch_cuda.so,--as-needed", lib.display());
        assert_eq!(arguments_for(&lib), [run_path, cuda]);
        std::fs::remove_dir_all(&lib).unwrap();
    }
}
