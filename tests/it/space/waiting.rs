//! Waiting for what another process does: for a condition, never for a while.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::{Space, files};

/// Far more than anything here takes: reached only where something is wrong.
const DEADLINE: Duration = Duration::from_secs(120);

/// What `look` finds, once it finds something.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < DEADLINE, "{what}: waited for in vain");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until this is so.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    wait_for(what, || is_so().then_some(()));
}

impl Space {
    /// Starts the program, whatever it says.
    pub fn start(&self, arguments: &str) -> Child {
        self.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Waits until there is this file.
    pub fn wait_for_file(&self, name: &str) {
        wait_until(name, || self.path(name).exists());
    }

    /// How many lines that are not empty a stage under way has written into this file of its slot; none before there is a slot.
    pub fn lines_in_slot(&self, file: &str) -> usize {
        let slots = files(&self.path("cache/slots"));
        let log = slots.iter().find(|path| path.ends_with(file));
        log.and_then(|path| std::fs::read_to_string(path).ok())
            .map_or(0, |text| text.lines().filter(|line| !line.is_empty()).count())
    }

    /// Waits until a stage that this run computes has written so many lines into a file of its slot, or the run is over.
    pub fn wait_for_lines(&self, run: &mut Child, file: &str, lines: usize) {
        wait_until(file, || self.lines_in_slot(file) >= lines || run.try_wait().unwrap().is_some());
    }
}
