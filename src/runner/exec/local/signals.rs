//! Signals that this program's caller has set to be ignored, and the signal that a child gets when its parent dies.
//!
//! `nohup` ignores SIGHUP; a shell ignores SIGINT for programs that a script starts with `&`. Ignored signals stay ignored in
//! this program and its children: a handler would undo the caller's wish.

use std::io;
use std::process::Command;

#[cfg(target_os = "linux")]
use rustix::process::Signal;

/// Whether this process ignores a signal now. Before handlers are installed, this is the caller's choice.
pub fn is_ignored(signal: i32) -> bool {
    let mut current = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: no new action is given, and `current` has room for the present one.
    let asked = unsafe { libc::sigaction(signal, std::ptr::null(), current.as_mut_ptr()) };
    // SAFETY: the call succeeded, so it has filled `current`.
    asked == 0 && unsafe { current.assume_init() }.sa_sigaction == libc::SIG_IGN
}

/// Of these signals, those that are not ignored.
pub fn heeded(signals: &[i32]) -> Vec<i32> {
    signals.iter().copied().filter(|signal| !is_ignored(*signal)).collect()
}

/// Has the system kill the child, if it can, when the thread that starts it dies, even by SIGKILL: no child keeps writing into a
/// folder that a restarted run will use.
#[cfg(target_os = "linux")]
pub(super) fn die_with_parent(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    let parent = rustix::process::getpid();
    // SAFETY: between fork and exec only two system calls are made; both are safe after a fork and allocate nothing.
    unsafe {
        command.pre_exec(move || {
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            // The parent may have died before the call above took effect.
            if rustix::process::getppid() != Some(parent) {
                return Err(io::Error::from_raw_os_error(rustix::io::Errno::SRCH.raw_os_error()));
            }
            Ok(())
        });
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn die_with_parent(_: &mut Command) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_with_its_default_action_is_not_ignored_and_one_that_rust_ignores_is() {
        // The start of every Rust program ignores SIGPIPE.
        assert!(is_ignored(libc::SIGPIPE));
        assert_eq!(heeded(&[libc::SIGPIPE, libc::SIGUSR2]), [libc::SIGUSR2]);
    }
}
