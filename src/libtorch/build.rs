//! Looks for libtorch where torch-sys will look, in the same order, and stops the build with one sentence if it is missing
//! or has another version. It downloads nothing: a build must not fetch half a gigabyte unasked.

use std::env;
use std::path::Path;
use std::process::Command;

/// The libtorch that tch 0.24 is generated for. `fetch-libtorch` pins the same.
const WANTED: &str = "2.11.0";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    match check() {
        Ok(Some(version)) => println!("cargo::rustc-env=FOUND_LIBTORCH={version}"),
        Ok(None) => {}
        Err(sentence) => println!("cargo::error={sentence}"),
    }
}

/// The version found, if known.
fn check() -> Result<Option<String>, String> {
    let found = if variable("LIBTORCH_USE_PYTORCH").is_some() { of_python()? } else { of_folder()? };
    // PyTorch's own builds append their platform: 2.11.0+cu130.
    let release = found.as_deref().map(|version| version.split('+').next().unwrap_or(version));
    match found.as_deref() {
        Some(version) if release != Some(WANTED) && variable("LIBTORCH_BYPASS_VERSION_CHECK").is_none() => {
            Err(format!("libtorch {version} was found, but {WANTED} is needed: {}", what_to_do()))
        }
        _ => Ok(found.clone()),
    }
}

/// The version of the libtorch in a folder; `None` if the folder doesn't say, which torch-sys accepts too.
fn of_folder() -> Result<Option<String>, String> {
    let root = variable("LIBTORCH").unwrap_or_else(|| "/usr".to_owned());
    let lib = Path::new(&variable("LIBTORCH_LIB").unwrap_or_else(|| root.clone())).join("lib");
    let library = ["so", "dylib"].map(|ending| lib.join(format!("libtorch_cpu.{ending}")));
    // Re-run when the library is removed or replaced.
    let version = Path::new(&root).join("build-version");
    println!("cargo::rerun-if-changed={}", version.display());
    if !library.iter().any(|file| file.exists()) {
        return Err(format!("there is no libtorch in {}: {}", lib.display(), what_to_do()));
    }
    Ok(std::fs::read_to_string(version).ok().map(|text| text.trim().to_owned()))
}

/// The version of PyTorch in the Python on the PATH, from its metadata, as importing torch takes seconds.
fn of_python() -> Result<Option<String>, String> {
    let python = if variable("VIRTUAL_ENV").is_some() { "python" } else { "python3" };
    let script = "from importlib import metadata; print(metadata.version('torch'))";
    let answer = Command::new(python).args(["-c", script]).output();
    match answer {
        Ok(output) if output.status.success() => Ok(Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())),
        _ => Err(format!("LIBTORCH_USE_PYTORCH is set, but {python} has no torch: {}", what_to_do())),
    }
}

fn what_to_do() -> String {
    format!(
        "run ./fetch-libtorch, or set LIBTORCH to the folder of a libtorch {WANTED}, \
         or build the runner alone with --no-default-features"
    )
}

/// Reads an environment variable; the build script re-runs when it changes.
fn variable(name: &str) -> Option<String> {
    println!("cargo::rerun-if-env-changed={name}");
    env::var(name).ok()
}
