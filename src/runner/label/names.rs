//! The names of files for label tools: what every tool, archive and file system takes.
//!
//! Browsers upload files without their folders, CVAT lists them in a text file with blanks between fields, and Label Studio
//! puts them into an address. So a name has no folder and only letters, digits, `.`, `_` and `-` of ASCII.

use std::collections::HashSet;

/// A name for each of these names of images, without extension, in their order; no two are the same, in whatever letter case.
pub fn safe<'a>(images: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut used = HashSet::new();
    let mut unused = |image: &str| {
        let plain: String = image.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
        // Hidden files are skipped by the listing of a data set.
        let plain = if plain.starts_with('.') { format!("_{plain}") } else { plain };
        let numbered = (2..).map(|number| format!("{plain}-{number}"));
        let name = std::iter::once(plain.clone()).chain(numbered).find(|name| used.insert(name.to_ascii_lowercase()));
        name.expect("there are more numbers than images")
    };
    images.map(&mut unused).collect()
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn folders_blanks_and_signs_become_lines_and_equal_names_are_numbered() {
        let images = ["aachen/a 1", "aachen/a_1", "Aachen/A_1", "ß&?", ".hidden", "plain-1.0"];
        let names = ["aachen_a_1", "aachen_a_1-2", "Aachen_A_1-3", "___", "_.hidden", "plain-1.0"];
        assert_eq!(safe(images.into_iter()), names);
    }

    proptest! {
        #[test]
        fn names_differ_in_any_letter_case(images in proptest::collection::vec("[aAb/ .ü]{1,3}", 1..20)) {
            let names = safe(images.iter().map(String::as_str));
            let lower: HashSet<String> = names.iter().map(|name| name.to_lowercase()).collect();
            prop_assert_eq!(lower.len(), images.len());
            prop_assert!(names.iter().all(|name| name.chars().all(is_plain) && !name.starts_with('.')));
        }
    }
}
