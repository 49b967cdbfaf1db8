//! What the server of a bucket can do, as found by asking it.
//!
//! Knows no server.

use std::time::Duration;

/// The answers of a server. An error is in plain words.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Whether an object can be created.
    pub write: Result<(), String>,
    /// Whether creating an object that exists is refused; `None` if nothing can be written.
    pub refuses_to_overwrite: Option<bool>,
    /// Whether an object can be read, with the bytes that were written.
    pub read: Result<(), String>,
    /// Whether objects can be listed.
    pub list: Result<(), String>,
    /// Whether objects can be deleted. A cache never does that itself.
    pub delete: Result<(), String>,
    /// The median time of a request that finds nothing.
    pub latency: Option<Duration>,
    /// Bytes per second, there and back.
    pub throughput: Option<(f64, f64)>,
}
