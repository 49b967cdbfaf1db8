//! Finds files by names that are written differently: with a folder prefix, in another Unicode form, with a second column.
//!
//! Doesn't access the file system: takes existing and wanted names. An exact match always comes first, so results don't
//! change for names that match. An inexact match must be unambiguous. The caller decides whether to report it; a folder
//! prefix or `./` isn't worth reporting.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Component, Path, PathBuf};

use unicode_normalization::UnicodeNormalization;

use super::naming::Naming;

/// How a name differs from that of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Looks equal: `ü` as one character or as `u` and two dots.
    Form,
    /// Letter case.
    Case,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Difference::Form => "in another Unicode form (they look alike)",
            Difference::Case => "in other letter case",
        })
    }
}

/// Names that can be found by others that differ only in Unicode form or letter case.
pub(super) struct Spellings<'a> {
    by_form: HashMap<String, Vec<&'a str>>,
    by_case: HashMap<String, Vec<&'a str>>,
}

impl<'a> Spellings<'a> {
    /// From pairs of a text and the name that it means.
    pub(super) fn of(texts: impl Iterator<Item = (&'a str, &'a str)>) -> Spellings<'a> {
        let mut spellings = Spellings { by_form: HashMap::new(), by_case: HashMap::new() };
        for (text, name) in texts {
            for (map, key) in [(&mut spellings.by_form, form(text)), (&mut spellings.by_case, case(text))] {
                let names = map.entry(key).or_default();
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        spellings
    }

    /// The one matching name, if it is unambiguous.
    pub(super) fn find(&self, wanted: &str) -> Option<(&'a str, Difference)> {
        let one = |names: Option<&Vec<&'a str>>| match names.map(Vec::as_slice) {
            Some([name]) => Some(*name),
            _ => None,
        };
        let by_form = one(self.by_form.get(&form(wanted))).map(|name| (name, Difference::Form));
        by_form.or_else(|| one(self.by_case.get(&case(wanted))).map(|name| (name, Difference::Case)))
    }
}

fn form(text: &str) -> String {
    text.nfc().collect()
}

fn case(text: &str) -> String {
    form(&form(text).to_lowercase())
}

/// The meaning of a list's line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meant<'a> {
    /// This image.
    Image(&'a str),
    /// This image, spelled differently.
    Spelled(&'a str, Difference),
    /// One of these two, which differ in their extension.
    Either(&'a str, &'a str),
    /// None that exists; possibly a suggestion.
    Nothing(Option<String>),
}

/// The images that lines of a list may name.
pub(super) struct Images<'a> {
    names: &'a [String],
    naming: &'a Naming,
    /// The folder of the images, absolute.
    folder: PathBuf,
    /// Whether labels are read: then a second column must name the label.
    labels: bool,
    whole: HashSet<&'a str>,
    by_stem: HashMap<&'a str, Vec<&'a str>>,
    spellings: OnceCell<Spellings<'a>>,
}

impl<'a> Images<'a> {
    pub(super) fn new(names: &'a [String], naming: &'a Naming, folder: PathBuf, labels: bool) -> Images<'a> {
        let mut by_stem: HashMap<&str, Vec<&str>> = HashMap::new();
        for name in names {
            by_stem.entry(naming.stem(name)).or_default().push(name);
        }
        let whole = names.iter().map(String::as_str).collect();
        Images { names, naming, folder, labels, whole, by_stem, spellings: OnceCell::new() }
    }

    /// The meaning of a non-blank line.
    pub(super) fn meant(&self, line: &str) -> Meant<'a> {
        if let Some(meant) = self.exactly(line) {
            return meant;
        }
        if let Some(meant) = self.below_a_folder(line) {
            return meant;
        }
        let Some((first, second)) = columns(line) else { return Meant::Nothing(self.similar(line)) };
        let meant = self.exactly(first).or_else(|| self.below_a_folder(first));
        let (Some(Meant::Image(image)) | Some(Meant::Spelled(image, _))) = meant else {
            return meant.unwrap_or_else(|| Meant::Nothing(self.similar(first)));
        };
        let stem = self.naming.stem(image);
        let second_form = form(&second.replace('\\', "/"));
        let label = self.naming.label_of(stem);
        if self.labels && !Path::new(&second_form).ends_with(form(&label)) {
            return Meant::Nothing(Some(format!(
                "a list has one image per line: the label of `{image}` is found by its name, `{label}`, not `{second}`"
            )));
        }
        meant.unwrap_or(Meant::Image(image))
    }

    /// With or without its extension, as written.
    fn exactly(&self, text: &str) -> Option<Meant<'a>> {
        if let Some(image) = self.whole.get(text) {
            return Some(Meant::Image(image));
        }
        match self.by_stem.get(text).map(Vec::as_slice) {
            Some([image]) => Some(Meant::Image(image)),
            Some([first, second, ..]) => Some(Meant::Either(first, second)),
            _ => None,
        }
    }

    /// Relative to the folder of the images, or spelled differently.
    fn below_a_folder(&self, text: &str) -> Option<Meant<'a>> {
        let candidates = self.without_folder(text);
        let exactly = candidates.iter().find_map(|text| self.exactly(text).or_else(|| self.without_last_ending(text)));
        exactly.or_else(|| {
            let spelled = |text: &String| self.spellings().find(text);
            candidates.iter().find_map(spelled).map(|(image, difference)| Meant::Spelled(image, difference))
        })
    }

    /// `a_leftImg8bit` where images end in `_leftImg8bit.png`.
    fn without_last_ending(&self, text: &str) -> Option<Meant<'a>> {
        let last = |ending: &&'static str| ending.rfind('.').map(|dot| &ending[dot..]);
        let endings = self.naming.images.iter().filter_map(last);
        endings.filter_map(|ending| self.whole.get(format!("{text}{ending}").as_str())).map(|i| Meant::Image(i)).next()
    }

    /// The text with `/` between its parts and no `./`, and its remainder after a possible images folder.
    fn without_folder(&self, text: &str) -> Vec<String> {
        let text = text.replace('\\', "/");
        let path = Path::new(&text);
        if path.is_absolute() {
            return path.strip_prefix(&self.folder).ok().and_then(joined).into_iter().collect();
        }
        let parts: PathBuf = path.components().filter(|part| *part != Component::CurDir).collect();
        let mut found: Vec<String> = joined(&parts).into_iter().collect();
        let count = parts.components().count();
        for length in 1..count {
            let folder: PathBuf = parts.components().take(length).collect();
            if self.folder.ends_with(&folder) {
                found.extend(joined(&parts.components().skip(length).collect::<PathBuf>()));
            }
        }
        found
    }

    /// Suggestions: the same name in another folder, or with another extension.
    fn similar(&self, text: &str) -> Option<String> {
        let quotes = ['"', '\'', '`', '[', ']', '<', '>', ','];
        let base = |text: &'_ str| text.trim_matches(quotes).rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
        let bare = |name: &str| {
            let stem = self.naming.stem(name);
            case(&base(if stem == name { name.rsplit_once('.').map_or(name, |(stem, _)| stem) } else { stem }))
        };
        let wanted = bare(text);
        let mut similar = self.names.iter().filter(|name| bare(name) == wanted);
        let first = similar.next()?;
        let others = similar.count();
        let more = if others == 0 { String::new() } else { format!(" and {others} more of that name") };
        Some(format!("for `{text}` there is `{first}`{more}: a list names images relative to that folder"))
    }

    fn spellings(&self) -> &Spellings<'a> {
        self.spellings.get_or_init(|| {
            let both = |name: &'a String| [(name.as_str(), name.as_str()), (self.naming.stem(name), name.as_str())];
            Spellings::of(self.names.iter().flat_map(both))
        })
    }
}

/// `a/b` of a path that has neither `..` nor anything before its first name.
fn joined(path: &Path) -> Option<String> {
    let names: Option<Vec<&str>> = path
        .components()
        .map(|part| match part {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .collect();
    names.filter(|names| !names.is_empty()).map(|names| names.join("/"))
}

/// The two names on a line with two.
fn columns(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split([' ', '\t', ',', ';']).filter(|word| !word.is_empty());
    let (first, second) = (words.next()?, words.next()?);
    words.next().is_none().then_some((first, second))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dataset::folder::NAMING;
    use crate::dataset::published;

    fn meant(names: &[&str], labels: bool, line: &str) -> String {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        match Images::new(&names, &NAMING, PathBuf::from("/w/target/images"), labels).meant(line) {
            Meant::Image(name) => name.to_owned(),
            Meant::Spelled(name, difference) => format!("{name} {difference:?}"),
            Meant::Either(first, second) => format!("{first}|{second}"),
            Meant::Nothing(hint) => hint.unwrap_or_default(),
        }
    }

    #[test]
    fn a_folder_before_a_name_is_left_off_where_it_is_that_of_the_images() {
        for line in
            ["./0.png", "images/0.png", "target/images/0", "/w/target/images/0.png", ".//images//0.png", "images\\0"]
        {
            assert_eq!(meant(&["0.png"], false, line), "0.png", "{line}");
        }
        for line in ["source/images/0.png", "/elsewhere/images/0.png", "valid/0.png", "../images/0.png", "0.tif"] {
            assert!(meant(&["0.png"], false, line).starts_with(&format!("for `{line}` there is `0.png`")), "{line}");
        }
        assert_eq!(
            meant(&["images/0.png", "0.png"], false, "images/0.png"),
            "images/0.png",
            "as it stands comes first"
        );
    }

    #[test]
    fn a_second_column_must_be_the_label_where_labels_are_read() {
        for line in ["images/0.png labels/0.png", "0.png\t/far/labels/0.png", "0.png,0.png"] {
            assert_eq!(meant(&["0.png"], true, line), "0.png", "{line}");
        }
        assert_eq!(meant(&["0.png"], false, "0.png labels/1.png"), "0.png");
        assert!(
            meant(&["0.png"], true, "0.png labels/1.png").contains("found by its name, `0.png`, not `labels/1.png`")
        );
        assert_eq!(meant(&["0 labels.png"], true, "0 labels.png"), "0 labels.png", "a name may hold a blank");
    }

    #[test]
    fn another_form_or_case_is_read_where_one_alone_is_meant() {
        let (composed, decomposed) = ("\u{fc}bung.png", "u\u{308}bung.png");
        assert_eq!(meant(&[decomposed], false, composed), format!("{decomposed} Form"));
        assert_eq!(meant(&[composed], false, "images/u\u{308}bung"), format!("{composed} Form"));
        assert_eq!(meant(&[composed, decomposed], false, decomposed), decomposed);
        assert_eq!(meant(&["a.png"], false, "A.PNG"), "a.png Case");
        assert!(meant(&["a.png", "A.png"], false, "a.PNG").starts_with("for `a.PNG` there is `a.png` and 1 more"));
    }

    #[test]
    fn an_ending_may_be_left_off_in_part() {
        let names = ["ulm/ulm_000000_000019_leftImg8bit.png".to_owned()];
        let naming = &published("cityscapes").unwrap().naming;
        let images = Images::new(&names, naming, PathBuf::from("/w/C/leftImg8bit/train"), false);
        for line in
            ["ulm/ulm_000000_000019_leftImg8bit", "ulm/ulm_000000_000019", "leftImg8bit/train/ulm/ulm_000000_000019"]
        {
            assert_eq!(images.meant(line), Meant::Image(&names[0]), "{line}");
        }
        assert!(matches!(images.meant("ulm_000000_000019_leftImg8bit.png"), Meant::Nothing(Some(_))));
    }

    proptest! {
        #[test]
        fn a_name_as_it_stands_always_means_itself(names in prop::collection::hash_set("[aAü/. b-]{1,6}\\.png", 1..6)) {
            let names: Vec<String> = names.into_iter().collect();
            let images = Images::new(&names, &NAMING, PathBuf::from("/w/b/a"), true);
            for name in &names {
                prop_assert_eq!(images.meant(name), Meant::Image(name));
            }
        }
    }
}
