//! Runs a folder's `verify.py`, where there is a Python with ONNX Runtime, and judges what it says.
//!
//! Knows no graph. Python is a program like any other here: nothing of it is needed for an export.

use std::env;
use std::ffi::OsString;
use std::fmt::{self, Display, Formatter};
use std::path::Path;
use std::process::Command;

use serde::Deserialize;

use super::super::Error;
use crate::measures::count;
use crate::shell::word;
use crate::shown;

/// The environment's name of the Python to use; `python3` without it.
const PYTHON: &str = "INTRADA_PYTHON";

/// The share of equal pixels from which on a graph is called good.
const LEAST: f64 = 0.9999;

/// What `verify.py` exits with where nothing could be compared.
const UNCHECKED: i32 = 3;
/// What it exits with where the classes are others; Python itself, too, where a program fails.
const DIFFERENT: i32 = 1;

/// What came of the comparison.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It was made.
    Compared(Compared),
    /// It couldn't be made, and why.
    Unchecked(String),
}

/// What `verify.py --json` prints.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Compared {
    onnxruntime: String,
    pictures: usize,
    equal: u64,
    pixels: u64,
}

impl Compared {
    pub(super) fn is_good(&self) -> bool {
        self.equal as f64 >= LEAST * self.pixels as f64
    }
}

impl Display for Compared {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        let Compared { onnxruntime, pictures, equal, pixels } = self;
        // Rounded down, so that one pixel that differs is not called 100 %.
        let share = (*equal as f64 / *pixels as f64 * 1e6).floor() / 1e4;
        write!(
            f,
            "ONNX Runtime {} gives {share:.4} % equal pixels on {pictures} test pictures ({} of {} differ)",
            shown::brief(onnxruntime, 40),
            count(pixels - equal),
            count(*pixels)
        )
    }
}

impl Verdict {
    /// For people; `place` is the folder.
    pub(super) fn told(&self, place: &Path) -> String {
        match self {
            Verdict::Compared(compared) if compared.is_good() => format!("verified: {compared}"),
            Verdict::Compared(compared) => {
                format!("NOT verified, under {} %: {compared}; half precision costs that much here", 100.0 * LEAST)
            }
            Verdict::Unchecked(why) => {
                let program = place.join("verify.py").to_string_lossy().into_owned();
                format!("not verified: {why}; to check it: pip install onnxruntime numpy; python3 {}", word(&program))
            }
        }
    }
}

/// Runs `verify.py` in the `folder` of a network of `stage`.
///
/// # Errors
/// The graph's classes can't be compared with the expected ones, as they are others or of another size.
pub(super) fn verdict(folder: &Path, stage: &str) -> Result<Verdict, Error> {
    let python = env::var_os(PYTHON).filter(|name| !name.is_empty()).unwrap_or_else(|| OsString::from("python3"));
    let called = shown::brief(&python.to_string_lossy(), 200).into_owned();
    let ran = match Command::new(&python).arg(folder.join("verify.py")).arg("--json").output() {
        Ok(ran) => ran,
        Err(error) => return Ok(Verdict::Unchecked(format!("{called} doesn't start: {error}"))),
    };
    let said = String::from_utf8_lossy(&ran.stdout);
    let compared = said.lines().rev().find_map(|line| serde_json::from_str::<Compared>(line).ok());
    if let Some(compared) = compared.filter(|compared| compared.pixels > 0) {
        return Ok(Verdict::Compared(compared));
    }
    let talk = String::from_utf8_lossy(&ran.stderr);
    let last = talk.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
    let last = shown::brief(last, 300).into_owned();
    match ran.status.code() {
        Some(UNCHECKED) => Ok(Verdict::Unchecked(last)),
        Some(DIFFERENT) if !talk.contains("Traceback") => {
            Err(Error::Disagrees { stage: stage.to_owned(), compared: last })
        }
        _ => Ok(Verdict::Unchecked(format!("{called} failed with {}: {last}", ran.status))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(equal: u64, pixels: u64) -> Compared {
        Compared { onnxruntime: "1.20.1".to_owned(), pictures: 3, equal, pixels }
    }

    #[test]
    fn one_pixel_that_differs_is_told_and_too_many_are_not_called_good() {
        let (all, one, many) = (compared(1_000_000, 1_000_000), compared(999_999, 1_000_000), compared(9_998, 10_000));
        assert!(all.is_good() && one.is_good() && !many.is_good());
        assert!(all.to_string().contains("100.0000 %") && all.to_string().contains("(0 of 1,000,000 differ)"), "{all}");
        assert!(one.to_string().contains("99.9999 %") && one.to_string().contains("(1 of"), "{one}");
        let told = |compared| Verdict::Compared(compared).told(Path::new("out"));
        assert!(told(all).starts_with("verified: ") && told(many).starts_with("NOT verified"));
        let told = Verdict::Unchecked("python3 has no onnxruntime".to_owned()).told(Path::new("a b"));
        assert!(told.contains("pip install onnxruntime numpy; python3 'a b/verify.py'"), "{told}");
    }
}
