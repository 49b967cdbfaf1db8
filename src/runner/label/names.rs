//! The names of files for label tools: what every tool, archive and file system takes.
//!
//! Browsers upload files without their folders, CVAT lists them in a text file with blanks between fields, and Label Studio
//! puts them into an address. So a name has no folder and only letters, digits, `.`, `_` and `-` of ASCII.

use std::collections::HashSet;

use crate::digest::Digest;

/// Hexadecimal digits of a digest in a changed name.
const DIGITS: usize = 8;

/// A name for each of these names of images, without extension, in their order; no two are the same, in whatever letter case.
///
/// A name that had to be changed ends with digits of the digest of the original one: 東京 and 京都 of two folders would both
/// be `__` otherwise, and an export of one folder would be read into the other.
pub fn safe<'a>(images: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut used = HashSet::new();
    let mut unused = |image: &str| {
        let plain: String = image.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
        // Hidden files are skipped by the listing of a data set.
        let plain = if plain.starts_with('.') { format!("_{plain}") } else { plain };
        let unchanged = (plain == image).then(|| plain.clone());
        let changed = format!("{plain}-{}", &Digest::of(image.as_bytes()).to_string()[..DIGITS]);
        let numbered = (2..).map(|number| format!("{changed}-{number}"));
        let mut names = unchanged.into_iter().chain([changed.clone()]).chain(numbered);
        names.find(|name| used.insert(name.to_ascii_lowercase())).expect("there are more numbers than images")
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

    /// What is appended to the name of this image.
    fn digits(image: &str) -> String {
        Digest::of(image.as_bytes()).to_string()[..8].to_owned()
    }

    #[test]
    fn folders_blanks_and_signs_become_lines_and_a_changed_name_ends_with_the_digest_of_the_original_one() {
        let images = ["aachen/a 1", "aachen_a_1", "Aachen_A_1", "ß&?", ".hidden", "plain-1.0"];
        let names = [
            format!("aachen_a_1-{}", digits("aachen/a 1")),
            "aachen_a_1".to_owned(),
            // The same name in another letter case would be the same file for some systems.
            format!("Aachen_A_1-{}", digits("Aachen_A_1")),
            format!("___-{}", digits("ß&?")),
            format!("_.hidden-{}", digits(".hidden")),
            "plain-1.0".to_owned(),
        ];
        assert_eq!(safe(images.into_iter()), names);
    }

    #[test]
    fn images_of_other_names_have_other_names_in_other_folders_too_and_the_same_image_the_same() {
        let alone = |image: &str| safe([image].into_iter()).remove(0);
        assert_ne!(alone("東京"), alone("京都"));
        assert_ne!(alone("a b"), alone("a_b"));
        assert_eq!(alone("a_b"), "a_b");
        assert_eq!(safe(["京都", "東京"].into_iter()), [alone("京都"), alone("東京")]);
        let twice = safe(["a b", "a b"].into_iter());
        assert_eq!(twice, [alone("a b"), format!("{}-2", alone("a b"))]);
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
