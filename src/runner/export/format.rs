//! The table of export formats.
//!
//! A format is a file with a [`Format`], and a line in [`ALL`]. The command line and its help are generated from this.

use super::{Format, onnx, pytorch, submission, transformers};

/// All formats; the first is the default.
pub const ALL: &[&Format] = &[&pytorch::FORMAT, &onnx::FORMAT, &transformers::FORMAT, &submission::FORMAT];

/// Former names, which are still taken, and the formats that have them.
const FORMER: &[(&str, &str)] = &[("network", "pytorch")];

/// The format of this name.
pub fn named(name: &str) -> Option<&'static Format> {
    let name = FORMER.iter().find(|(former, _)| *former == name).map_or(name, |(_, now)| now);
    ALL.iter().copied().find(|format| format.name == name)
}

/// The former names of a format.
pub fn former(format: &Format) -> impl Iterator<Item = &'static str> {
    FORMER.iter().filter(|(_, now)| *now == format.name).map(|(former, _)| *former)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_found_by_its_own_name() {
        for format in ALL {
            assert_eq!(named(format.name).map(|found| found.about), Some(format.about));
        }
        assert!(named("pickle").is_none());
        for (name, now) in FORMER {
            assert_eq!(named(name).map(|found| found.name), Some(*now));
            assert!(former(named(name).unwrap()).any(|former| former == *name));
        }
    }
}
