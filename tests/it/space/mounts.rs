//! Programs in a mount namespace of their own, so that a test may have a small disk, or one that can't be written to.

use std::process::Command;

use super::{Ran, Space};

/// Runs a shell script in the workspace, with `$RUN` for the program. It mounts what it needs and then makes the file `mounted`.
/// `None`, with a reason, where nothing can be mounted.
pub fn with_mounts(space: &Space, script: &str) -> Option<Ran> {
    let mut command = Command::new("unshare");
    command
        .args(["-rm", "sh", "-ec", script])
        .current_dir(space.path(""))
        .env("RUN", env!("CARGO_BIN_EXE_intrada-run"));
    command.env_remove("INTRADA_CACHE").env_remove("INTRADA_SHARED_CACHES");
    match command.output() {
        Ok(output) if space.path("mounted").exists() => Some(Ran::of(output)),
        Ok(output) => {
            eprintln!("skipped: nothing can be mounted here: {}", String::from_utf8_lossy(&output.stderr));
            None
        }
        Err(error) => {
            eprintln!("skipped: there is no `unshare`: {error}");
            None
        }
    }
}
