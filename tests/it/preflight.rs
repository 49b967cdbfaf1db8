//! What ./intrada, ./check and ./fetch-libtorch say where something is missing for a build: one sentence, before anything starts.
//!
//! The real scripts, with a PATH that has the few programs that they use, and a `cargo` that only notes how it was called.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::space::{Ran, Space};

/// What the scripts use besides compilers, Rust and Python.
const TOOLS: &[&str] = &["sh", "env", "dirname", "sed", "cat", "head", "find", "readlink", "pwd", "sleep", "touch"];
const CARGO: &str = "#!/bin/sh\n\
    case $1 in --version) echo 'cargo 1.95.0 (123 2026-01-01)' ;; *) echo \"$*\" >> \"$NOTES\" ;; esac\n";
const ROOM: &str = "#!/bin/sh\necho 'Filesystem 1024-blocks Used Available Capacity Mounted on'\n\
    echo \"/dev/a disk 99999999 1 ${FREE:-50000000} 16% /\"\n";
const DOES_NOTHING: &str = "#!/bin/sh\n";

/// A checkout of the scripts, and a folder of programs.
fn checkout() -> Space {
    let space = Space::new();
    for name in ["intrada", "check", "preflight", "fetch-libtorch", "Cargo.toml", "Cargo.lock", "build.rs"] {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        fs::copy(from, space.path(name)).unwrap();
    }
    space.write(".cargo/config.toml", "");
    space.write("src/main.rs", "");
    fs::create_dir_all(space.path("bin")).unwrap();
    for tool in TOOLS {
        let of_system = ["/bin", "/usr/bin"].map(|folder| Path::new(folder).join(tool));
        let found = of_system.iter().find(|path| path.exists()).unwrap_or_else(|| panic!("there is no {tool}"));
        symlink(found, space.path(&format!("bin/{tool}"))).unwrap();
    }
    for (name, text) in
        [("cargo", CARGO), ("df", ROOM), ("c++", DOES_NOTHING), ("cc", DOES_NOTHING), ("python3", DOES_NOTHING)]
    {
        program(&space, &format!("bin/{name}"), text);
    }
    space
}

fn program(space: &Space, path: &str, text: &str) {
    space.write(path, text);
    fs::set_permissions(space.path(path), fs::Permissions::from_mode(0o755)).unwrap();
}

fn run(space: &Space, script: &str, variables: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(space.path(script));
    command.env_clear().env("PATH", space.path("bin")).env("NOTES", space.path("notes"));
    command.envs(variables.iter().copied()).current_dir(space.path(""));
    Ran::of(command.output().unwrap())
}

/// What a script says when it refuses, which must be one line.
fn refusal(space: &Space, script: &str, variables: &[(&str, &str)]) -> String {
    let ran = run(space, script, variables);
    assert_ne!(ran.code, Some(0), "{script}: {}", ran.stderr);
    assert_eq!(ran.stderr.lines().count(), 1, "{script}: {}", ran.stderr);
    assert!(!space.path("notes").exists(), "{script} has started cargo");
    ran.stderr.trim_end().to_owned()
}

#[test]
fn what_a_build_lacks_is_one_sentence_before_anything_starts() {
    for script in ["intrada", "check"] {
        for (missing, expected) in [
            ("cargo", "intrada: there is no cargo on the PATH; Rust 1.95 or newer is needed, which rustup installs"),
            ("python3", "intrada: there is no python3 on the PATH; it fetches libtorch"),
            ("c++", "intrada: there is no C++ compiler: `c++` is not on the PATH"),
            ("cc", "intrada: there is no C++ compiler: `cc` is not on the PATH"),
        ] {
            let space = checkout();
            space.remove(&format!("bin/{missing}"));
            let said = refusal(&space, script, &[]);
            assert!(said.starts_with(expected), "{script} without {missing}: {said}");
        }
        let space = checkout();
        for (version, expected) in [
            (
                "cargo 1.94.1 (456 2025-12-01)",
                "intrada: cargo 1.94.1 is too old: Rust 1.95 or newer is needed; `rustup update`",
            ),
            ("cargo 0.99.0", "intrada: cargo 0.99.0 is too old"),
            ("no toolchain", "intrada: cargo does not tell its version"),
        ] {
            program(&space, "bin/cargo", &format!("#!/bin/sh\necho '{version}'\n"));
            assert!(refusal(&space, script, &[]).starts_with(expected), "{version}");
        }
        let space = checkout();
        let said = refusal(&space, script, &[("FREE", "51200")]);
        assert!(said.contains(" has 50 MiB free, and a build needs about "), "{said}");
        let said = refusal(&space, script, &[("CXX", "clang++-99 -stdlib=libc++")]);
        assert!(said.contains("`clang++-99` is not on the PATH"), "{said}");
    }
    let space = checkout();
    space.remove("bin/python3");
    assert_eq!(refusal(&space, "fetch-libtorch", &[]), "fetch-libtorch: there is no python3 on the PATH");
}

#[test]
fn a_newer_cargo_serves_and_so_does_a_file_system_that_does_not_tell_its_room() {
    let space = checkout();
    for version in ["1.95.0", "1.120.0-nightly (1 2027-01-01)", "2.0.0"] {
        program(&space, "bin/cargo", &CARGO.replace("1.95.0 (123 2026-01-01)", version));
        assert_eq!(run(&space, "preflight", &[]).stderr, "", "{version}");
    }
    program(&space, "bin/df", DOES_NOTHING);
    assert_eq!(run(&space, "preflight", &[]).code, Some(0));
}

#[test]
fn a_full_disk_is_told_before_libtorch_is_fetched() {
    let space = checkout();
    let script = "import sys, shutil, collections\n\
        shutil.disk_usage = lambda path: collections.namedtuple('Usage', 'free')(5_000_000)\n\
        sys.argv = ['fetch-libtorch']\n\
        exec(compile(open('fetch-libtorch').read(), 'fetch-libtorch', 'exec'), {'__name__': '__main__', '__file__': 'fetch-libtorch'})\n";
    let mut python = Command::new("python3");
    python.args(["-c", script]).current_dir(space.path("")).env("XDG_CACHE_HOME", space.path("home"));
    python.env_remove("LIBTORCH").env_remove("LIBTORCH_USE_PYTORCH");
    let Ok(output) = python.output() else { return println!("skipped: there is no python3") };
    let ran = Ran::of(output);
    if ran.stderr.contains("no wheel known for") {
        return println!("skipped: there is no libtorch for this machine");
    }
    let said = ran.stderr.trim_end();
    assert!(said.starts_with("fetch-libtorch: the disk of "), "{said}");
    assert!(said.contains(" has 5 MB free, and the CPU build needs 1200 MB while it is fetched; "), "{said}");
    assert_eq!((ran.code, said.lines().count()), (Some(1), 1), "{said}");
}

/// The lines with which `cargo` was called by `./intrada` since the last time.
fn builds(space: &Space) -> Vec<String> {
    assert_eq!(run(space, "intrada", &[]).stderr, "");
    let notes = space.read("notes");
    space.remove("notes");
    notes.lines().map(str::to_owned).collect()
}

#[test]
fn a_build_shows_its_progress_unless_nothing_has_changed() {
    const SHOWN: &str = "build --release --target-dir target";
    const QUIET: &str = "build --release --target-dir target --quiet";
    let space = checkout();
    program(&space, "target/release/intrada-run", DOES_NOTHING);
    assert_eq!(builds(&space), [SHOWN], "by another way");
    assert_eq!(builds(&space), [QUIET]);
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
    fs::File::options().write(true).open(space.path("src/main.rs")).unwrap().set_modified(later).unwrap();
    assert_eq!(builds(&space), [SHOWN], "after a pull");
    let earlier = later - std::time::Duration::from_secs(60);
    fs::File::options().write(true).open(space.path("src/main.rs")).unwrap().set_modified(earlier).unwrap();
    assert_eq!(builds(&space), [QUIET]);
    program(&space, "bin/cargo", &CARGO.replace("1.95.0", "1.96.0"));
    assert_eq!(builds(&space), [SHOWN], "with another compiler");
    space.remove("target/release/intrada-run");
    let ran = run(&space, "intrada", &[]);
    assert_eq!(space.read("notes").trim_end(), SHOWN, "{}", ran.stderr);
}
