//! Why a worker didn't start, and what to do: the messages of the system and of the dynamic loader, with a remedy.
//!
//! Knows neither jobs nor stages. A missing library ends the worker before its first line, so only the loader can name it.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use super::super::{Failure, shown};
use super::installed::{self, Installed};

const FETCH: &str =
    "`./fetch-libtorch` fetches the libtorch that the worker was built for to the place where it is looked for";
const AGAIN: &str = "install torch again: python3 -m pip install --force-reinstall 'torch==2.11.*'";
const PATH: &str = "or LD_LIBRARY_PATH names the folder of the libraries, if they lie elsewhere";
const REBUILD: &str = "build both programs from the same sources, for this machine: cargo build --release";

/// The system didn't start the process.
pub(super) fn refused(worker: &Path, error: &io::Error) -> Failure {
    let failure = Failure::new(format!("failed to start {}: {error}", worker.display()));
    /// ENOEXEC: the system can't run files of this format.
    const NO_PROGRAM_HERE: i32 = 8;
    match (error.raw_os_error(), error.kind()) {
        (Some(NO_PROGRAM_HERE), _) => {
            let arch = std::env::consts::ARCH;
            failure
                .with_help(format!("it is no program for this machine ({arch}), or a damaged one"))
                .with_help(REBUILD)
        }
        (_, io::ErrorKind::PermissionDenied) => {
            failure.with_help(format!("is it executable? `chmod +x {}`", worker.display()))
        }
        // The file exists, so the loader that it names is missing.
        (_, io::ErrorKind::NotFound) if worker.exists() => {
            failure.with_help("the dynamic loader that it was built for is not on this machine").with_help(REBUILD)
        }
        _ => failure,
    }
}

/// The failure for a worker that printed this. `None` if the loader printed none of it.
pub(super) fn by_loader(worker: &Path, said: &str) -> Option<Failure> {
    let line = said.lines().find_map(complaint)?;
    let failure = Failure::new(format!("{} doesn't start: {}", worker.display(), shown(line)));
    if let Some((library, reason)) =
        line.strip_prefix("error while loading shared libraries: ").and_then(|rest| rest.split_once(": "))
    {
        let missing = reason.contains("No such file");
        let others = if missing { all_missing(worker) } else { Vec::new() };
        let failure = match &others[..] {
            [] | [_] => failure,
            several => failure.with_help(format!("missing in all: {}", several.join(", "))),
        };
        return Some(cure(failure, library, missing, Installed::of(worker).is_some()));
    }
    if line.contains("GLIBC") {
        return Some(
            failure.with_help("it was built on a system with a newer C library than this one").with_help(REBUILD),
        );
    }
    // A library of another version lacks symbols.
    let failure = failure.with_help("a library of another version was found; LD_LIBRARY_PATH may name its folder");
    Some(match Installed::of(worker) {
        Some(_) => failure.with_help(AGAIN),
        None => failure.with_help(FETCH).with_help(REBUILD),
    })
}

/// `is_installed`: the worker is that of a Python package.
fn cure(failure: Failure, library: &str, missing: bool, is_installed: bool) -> Failure {
    let name = library.rsplit('/').next().unwrap_or(library);
    let failure =
        if missing { failure } else { failure.with_help("the file is there, but damaged or for another machine") };
    match name {
        "libcuda.so.1" => failure.with_help("it comes with the driver of NVIDIA's GPUs"),
        _ if is_installed && missing => failure.with_help(installed::CURE).with_help(PATH),
        _ if is_installed => failure.with_help(AGAIN),
        _ if ["libtorch", "libc10", "libgomp", "libshm"].iter().any(|own| name.starts_with(own)) => {
            failure.with_help(FETCH).with_help(PATH)
        }
        _ if ["libcu", "libnv", "libnccl"].iter().any(|cuda| name.starts_with(cuda)) => {
            failure.with_help("it belongs to a CUDA build of libtorch: `./fetch-libtorch --cuda`").with_help(PATH)
        }
        _ => failure.with_help(PATH),
    }
}

/// The loader's message on a line like `PROGRAM: error while loading shared libraries: …`.
fn complaint(line: &str) -> Option<&str> {
    const BEGINNINGS: [&str; 3] =
        ["error while loading shared libraries: ", "symbol lookup error: ", "relocation error: "];
    let from = BEGINNINGS.iter().find_map(|beginning| line.find(beginning)).or_else(|| {
        let is_version = line.contains("version `") && line.contains("' not found");
        is_version.then(|| line.find(": ").map_or(0, |at| at + 2))
    })?;
    Some(&line[from..])
}

/// All missing libraries: the loader stops at the first one unless it is asked to list them.
fn all_missing(worker: &Path) -> Vec<String> {
    let mut command = Command::new(worker);
    command.env("LD_TRACE_LOADED_OBJECTS", "1").stdin(Stdio::null()).stderr(Stdio::null());
    let Ok(output) = command.output() else { return Vec::new() };
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().filter_map(|line| Some(line.trim().strip_suffix(" => not found")?.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help(said: &str) -> (String, String) {
        match by_loader(Path::new("/no/such/worker"), said) {
            Some(Failure::Failed { message, help }) => (message, help.join("\n")),
            other => panic!("{said:?} gives {other:?}"),
        }
    }

    #[test]
    fn a_library_that_is_missing_is_named_with_where_it_comes_from() {
        let missing = |name: &str| {
            let why = "cannot open shared object file: No such file or directory";
            help(&format!("target/debug/intrada-worker: error while loading shared libraries: {name}: {why}\n"))
        };
        let (message, cure) = missing("libtorch_cpu.so");
        assert!(message.contains("libtorch_cpu.so: cannot open"), "{message}");
        assert!(cure.contains("./fetch-libtorch`") && cure.contains("LD_LIBRARY_PATH"), "{cure}");
        assert!(missing("libcudart.so.13").1.contains("--cuda"));
        assert!(missing("libcuda.so.1").1.contains("driver"));
        assert!(missing("libstdc++.so.6").1.contains("LD_LIBRARY_PATH"));
    }

    #[test]
    fn a_damaged_library_one_of_another_version_and_an_older_system_are_told_apart() {
        let (_, cure) = help("w: error while loading shared libraries: /a/libtorch_cpu.so: file too short");
        assert!(cure.contains("damaged") && cure.contains("fetch-libtorch"), "{cure}");
        let (message, cure) = help("noise\nw: symbol lookup error: w: undefined symbol: _ZN2at4sumE\n");
        assert!(
            message.contains("undefined symbol: _ZN2at4sumE") && cure.contains("another version"),
            "{message} {cure}"
        );
        let (_, cure) = help("w: /lib/libc.so.6: version `GLIBC_2.38' not found (required by w)");
        assert!(cure.contains("newer C library"), "{cure}");
        assert_eq!(by_loader(Path::new("w"), "the job said: error"), None);
    }

    #[test]
    fn a_worker_of_a_python_package_is_cured_by_pip_and_not_by_a_checkout() {
        for said in [
            "w: error while loading shared libraries: libtorch_cpu.so: cannot open shared object file: No such file",
            "w: error while loading shared libraries: libcudart.so.13: cannot open shared object file: No such file",
            "w: symbol lookup error: w: undefined symbol: _ZN2at4sumE",
        ] {
            let packages = tempfile::tempdir().unwrap();
            std::fs::create_dir(packages.path().join("intrada")).unwrap();
            std::fs::write(packages.path().join("intrada/__init__.py"), "").unwrap();
            let worker = packages.path().join("intrada/bin/intrada-worker");
            let Some(Failure::Failed { help, .. }) = by_loader(&worker, said) else { panic!("{said}") };
            let help = help.join("\n");
            assert!(help.contains("pip install") && !help.contains("fetch-libtorch"), "{said}: {help}");
        }
    }

    #[test]
    fn a_file_that_is_no_program_here_is_called_so() {
        let dir = tempfile::tempdir().unwrap();
        let worker = dir.path().join("worker");
        std::fs::write(&worker, "").unwrap();
        let told = |error: io::Error| match refused(&worker, &error) {
            Failure::Failed { help, .. } => help.join("\n"),
            Failure::Cancelled { .. } | Failure::Left(_) => unreachable!("nobody cancelled it"),
        };
        assert!(told(io::Error::from_raw_os_error(8)).contains("no program for this machine"));
        assert!(told(io::ErrorKind::PermissionDenied.into()).contains("chmod +x"));
        assert!(told(io::ErrorKind::NotFound.into()).contains("dynamic loader"));
    }
}
