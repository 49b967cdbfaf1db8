//! The table of export formats.
//!
//! A format is a file with a [`Format`], and a line in [`ALL`]. The command line and its help are generated from this.

use super::{Format, network, submission};

/// All formats; the first is the default.
pub const ALL: &[&Format] = &[&network::FORMAT, &submission::FORMAT];

/// The format of this name.
pub fn named(name: &str) -> Option<&'static Format> {
    ALL.iter().copied().find(|format| format.name == name)
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
    }
}
