//! Listings: the files of an input, stored with its digest for people, for `why` and for reports.
//!
//! Knows names and digests, no file. One line per file with its digest and its name, after a header line. Not the store's
//! folder listings, which have another format: these are readable, and a data set is not a folder.

use std::collections::{BTreeMap, BTreeSet};

use crate::digest::Digest;

/// The files of an input: name → short content digest.
pub type Files = BTreeMap<String, String>;

const HEAD: &str = "intrada files 1\n";
/// Before an image's name, for its label.
const LABEL: &str = "label of ";

/// The name of an image's label in a listing.
pub fn label_of(image: &str) -> String {
    format!("{LABEL}{image}")
}

/// A listing of names and digests.
pub fn encode<Name: AsRef<str>>(files: impl Iterator<Item = (Name, Digest)>) -> Vec<u8> {
    let mut text = HEAD.to_owned();
    for (name, digest) in files {
        digest.with_digits(|digits| text.push_str(digits));
        text.push(' ');
        let name = name.as_ref();
        let breaks = ['\n', '\r'];
        if name.contains(breaks) {
            text.push_str(&name.replace(breaks, "?"))
        } else {
            text.push_str(name)
        }
        text.push('\n');
    }
    text.into_bytes()
}

/// Parses it, with short digests.
pub fn decode(bytes: &[u8]) -> Option<Files> {
    Some(lines(bytes)?.map(|(digest, name)| (name.to_owned(), digest.chars().take(6).collect())).collect())
}

/// The number of images in the listing of a data set.
pub fn images(bytes: &[u8]) -> Option<usize> {
    Some(lines(bytes)?.filter(|(_, name)| !name.starts_with(LABEL)).count())
}

/// Whether two listings of one data set hold the same images: one of them may lack some, as images without label are left out,
/// but an image in both has the same content. `None` if one of them isn't readable.
pub fn agree_on_images(one: &[u8], other: &[u8]) -> Option<bool> {
    let images = |bytes| Some(lines(bytes)?.filter(|(_, name)| !name.starts_with(LABEL)).collect::<BTreeSet<_>>());
    let (one, other) = (images(one)?, images(other)?);
    Some(one.is_subset(&other) || other.is_subset(&one))
}

fn lines(bytes: &[u8]) -> Option<impl Iterator<Item = (&str, &str)>> {
    let text = std::str::from_utf8(bytes).ok()?.strip_prefix(HEAD)?;
    Some(text.lines().filter_map(|line| line.split_once(' ')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_reads_back_with_short_digests_and_labels_are_no_images() {
        let [image, label] = [b"image", b"label"].map(|content| Digest::of(content));
        let bytes = encode([("a b.png".to_owned(), image), (label_of("a b.png"), label)].into_iter());
        let read = [("a b.png".to_owned(), image.short()), ("label of a b.png".to_owned(), label.short())];
        assert_eq!(decode(&bytes).unwrap(), read.into());
        assert!(encode([("a\nb\r", image)].into_iter()).ends_with(b" a?b?\n"));
        assert_eq!(images(&bytes), Some(1));
        assert!(decode(b"something else").is_none());
    }

    #[test]
    fn listings_agree_on_images_if_those_in_both_are_equal_and_one_has_all_of_the_other() {
        let listing = |files: &[(&str, &str)]| {
            encode(files.iter().map(|(name, content)| (*name, Digest::of(content.as_bytes()))))
        };
        let all = listing(&[("a", "1"), ("b", "2")]);
        let labelled = listing(&[("a", "1"), (&label_of("a"), "9")]);
        assert_eq!(agree_on_images(&all, &labelled), Some(true), "`b` has no label");
        assert_eq!(agree_on_images(&labelled, &all), Some(true));
        assert_eq!(agree_on_images(&all, &listing(&[("a", "1"), ("b", "3")])), Some(false), "`b` was edited");
        assert_eq!(agree_on_images(&all, &listing(&[("a", "1"), ("c", "2")])), Some(false));
        assert_eq!(agree_on_images(&all, b"something else"), None);
    }
}
