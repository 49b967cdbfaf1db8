//! The program of a `command` stage: what is run, where, with which environment.
//!
//! Knows no cache, and not how a program is started. The environment is minimal on purpose: a program that needs a variable
//! which isn't declared (and so isn't in the key) fails at once, instead of causing a wrong cache hit later. Variables that say
//! where to compute or how to reach the network, not what to compute, are passed on.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Visible;

/// Always passed on: without these few most programs don't start.
pub(super) const MINIMAL: [&str; 4] = ["PATH", "HOME", "LANG", "TMPDIR"];

/// Passed on, though not part of the key: proxies, certificates, credentials.
pub const SURROUNDINGS: [&str; 18] = [
    "http_proxy",
    "https_proxy",
    "ftp_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "SSH_AUTH_SOCK",
    "KRB5CCNAME",
    "XDG_RUNTIME_DIR",
];

/// Passed on, though not part of the key: which GPUs to use. Not if the pipeline assigns GPUs to stages itself.
pub const DEVICES: [&str; 8] = [
    "CUDA_VISIBLE_DEVICES",
    "CUDA_DEVICE_ORDER",
    "NVIDIA_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "GPU_DEVICE_ORDINAL",
    "ONEAPI_DEVICE_SELECTOR",
    "ZE_AFFINITY_MASK",
];

/// A program with its folder and environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// The program and its arguments.
    pub arguments: Vec<String>,
    /// The folder that it runs in.
    pub folder: PathBuf,
    /// Declared variables with their values; `None` if unset.
    pub environment: BTreeMap<String, Option<OsString>>,
    /// Its resume slot, passed as `INTRADA_CKPT`.
    pub slot: PathBuf,
    /// Its GPUs.
    pub gpus: Visible,
}

impl Program {
    /// A `shell = "…"` line, as `sh` runs it.
    pub fn shell(line: &str) -> Vec<String> {
        vec!["/bin/sh".to_owned(), "-c".to_owned(), line.to_owned()]
    }

    /// The variables that it sees, with their values. `own` tells a variable of the process that starts it.
    pub(super) fn variables(&self, own: impl Fn(&str) -> Option<OsString>) -> BTreeMap<String, OsString> {
        let devices = if self.gpus == Visible::All { &DEVICES[..] } else { &[] };
        let passed_on = MINIMAL.iter().chain(&SURROUNDINGS).chain(devices);
        let passed_on = passed_on.filter_map(|name| Some(((*name).to_owned(), own(name)?)));
        let declared = self.environment.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?)));
        let slot = ("INTRADA_CKPT".to_owned(), self.slot.clone().into_os_string());
        passed_on.chain(declared).chain([slot]).collect()
    }

    /// Its name in messages.
    pub(super) fn shown(&self) -> String {
        let shown = match &self.arguments[..] {
            [sh, c, line] if sh == "/bin/sh" && c == "-c" => line.clone(),
            arguments => arguments.join(" "),
        };
        format!("`{}`", super::shown(shown.lines().next().unwrap_or("")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_that_is_passed_on_is_named_in_the_reference() {
        let reference = include_str!("../pipeline/reference.md");
        let is_named = |name: &&&str| reference.contains(&format!("`{name}`"));
        let in_capitals = |name: &&&str| is_named(&&&*name.to_lowercase());
        for name in MINIMAL.iter().chain(&SURROUNDINGS).chain(&DEVICES) {
            assert!(is_named(&name) || in_capitals(&name), "{name}");
        }
    }
}
