//! Sources that are not here: an unmounted disk, a cache copied to another machine. What the pipeline file says of one, and whether
//! what a result recorded of it contradicts that.
//!
//! Knows no cache. The files can't be compared; compared are all other parts of the digest (size, meaning of the labels), how the
//! file names the source's place and part, as another place holds other files, and what is here of it: its images, if only the
//! labels are away.

use std::collections::{BTreeMap, BTreeSet};

use super::files::away::{self, LIST};
use super::files::{DECODERS, ORDER, Survey};
use super::found::Surveyor;
use super::manifest::Ingredient;
use super::sources::Origin;
use crate::pipeline::{Format, Problem, Span, StageId};

/// What isn't here of a source, for people.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Away {
    /// The images of this data set.
    Images(String),
    /// The labels of this data set; its images are here.
    Labels(String),
    /// The file or folder at this path.
    Path(String),
}

/// A source that isn't here, as the pipeline file describes it.
#[derive(Debug)]
pub struct Absent {
    /// What is away.
    pub away: Away,
    /// The listing of its images, if they are here.
    pub images: Option<Vec<u8>>,
    /// Its name in manifests.
    what: String,
    options: BTreeMap<String, String>,
    named: BTreeMap<String, String>,
}

impl Surveyor<'_> {
    /// The source, if it isn't here. `is_late`: stages write into it, and have not put their outputs in place here.
    ///
    /// # Errors
    /// What is here of it is wrong.
    pub fn absent(
        &self,
        origin: &Origin,
        is_late: bool,
        readers: &[(StageId, Span)],
    ) -> Result<Option<Absent>, Vec<Problem>> {
        let (dataset, labels) = match origin {
            Origin::Path(path) => {
                let what = path.display().to_string();
                let is_away = is_late || matches!(self.pipeline.root.join(path).try_exists(), Ok(false));
                let absent = || Absent {
                    away: Away::Path(what.clone()),
                    images: None,
                    what: what.clone(),
                    options: BTreeMap::new(),
                    named: BTreeMap::new(),
                };
                return Ok(is_away.then(absent));
            }
            Origin::Dataset { dataset, labels } => (*dataset, *labels),
        };
        let described = self.pipeline.dataset(dataset);
        if matches!(described.format, Format::Scenes { .. }) {
            return Ok(None);
        }
        let survey = Survey::new(self, described, labels, readers)?;
        let (away, images) = match survey.away() {
            Some(away::Away::Images) => (Away::Images(described.name.clone()), None),
            Some(away::Away::Labels) => {
                let images = self.look(&Origin::Dataset { dataset, labels: false }, readers)?;
                (Away::Labels(described.name.clone()), images.listing)
            }
            None if is_late => (Away::Images(described.name.clone()), None),
            None => return Ok(None),
        };
        let what = format!("data set {}", described.name);
        Ok(Some(Absent { away, images, what, options: survey.options_known(), named: survey.named() }))
    }
}

impl Absent {
    /// Whether this input of a result was the source, by its name.
    pub fn is(&self, recorded: &Ingredient) -> bool {
        recorded.what == self.what
    }

    /// Whether a record says how the source was named, where that can differ: those of older programs don't.
    pub fn is_named_in(&self, recorded: &Ingredient) -> bool {
        self.named.is_empty() || !recorded.named.is_empty()
    }

    /// In what the source as recorded isn't the one that the file now describes.
    pub fn contradiction(&self, recorded: &Ingredient) -> Option<String> {
        if !self.named.is_empty() && recorded.options.is_empty() {
            return Some("the record is of an earlier version, without the data set's options".to_owned());
        }
        // Only the files tell their order, and which decoders they need; these must decode as they did.
        let order = recorded.options.get(ORDER).map(|order| (ORDER, order.clone()));
        let needed = DECODERS.iter().filter(|(name, _)| recorded.options.contains_key(*name));
        let of_files = order.into_iter().chain(needed.map(|(name, revision)| (*name, revision.to_string())));
        let mut options = self.options.clone();
        options.extend(of_files.map(|(name, value)| (name.to_owned(), value)));
        first_difference(&recorded.options, &options).or_else(|| self.other_place(recorded))
    }

    /// In what the source as recorded was named otherwise: then it may have been others. `None` as well for records that don't say it.
    pub fn other_place(&self, recorded: &Ingredient) -> Option<String> {
        let mut named = self.named.clone();
        if let Some(content) = recorded.named.get(LIST).filter(|_| !named.contains_key(LIST)) {
            // The list is away too.
            named.insert(LIST.to_owned(), content.clone());
        }
        first_difference(&recorded.named, &named).filter(|_| !recorded.named.is_empty())
    }
}

/// The first difference between what was recorded and what holds now.
fn first_difference(was: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Option<String> {
    let names: BTreeSet<&String> = was.keys().chain(now.keys()).collect();
    let name = names.into_iter().find(|name| was.get(*name) != now.get(*name))?;
    let text = |value: Option<&String>| value.map_or_else(|| "not set".to_owned(), |value| format!("`{value}`"));
    Some(format!("the last results had {name} {}, now {}", text(was.get(name)), text(now.get(name))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{ArtifactDigest, Digest};

    fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn absent(named: &[(&str, &str)]) -> Absent {
        let (what, options) = ("data set t".to_owned(), map(&[("size", "[64, 32]")]));
        Absent { away: Away::Images("t".to_owned()), images: None, what, options, named: map(named) }
    }

    fn recorded(options: &[(&str, &str)], named: &[(&str, &str)]) -> Ingredient {
        let (digest, what) = (ArtifactDigest(Digest::of(b"t")), "data set t".to_owned());
        Ingredient { digest, what, listing: None, options: map(options), named: map(named) }
    }

    #[test]
    fn what_only_the_files_tell_contradicts_nothing_but_another_decoder_does() {
        let absent = absent(&[("images", "t")]);
        for (decoder, now) in DECODERS {
            let of = |revision: u32| {
                let revision = revision.to_string();
                let options = [("size", "[64, 32]"), (ORDER, "abcdef"), (decoder, &revision)];
                absent.contradiction(&recorded(&options, &[("images", "t")]))
            };
            assert_eq!(of(now), None);
            assert!(of(now + 1).unwrap().contains(&format!("had {decoder} `{}`, now `{now}`", now + 1)));
        }
    }

    #[test]
    fn a_list_is_compared_by_its_content_where_it_is_here() {
        let options = [("size", "[64, 32]"), (ORDER, "abcdef")];
        let of = |named: &[(&str, &str)]| {
            absent(named).contradiction(&recorded(&options, &[("list", "l.txt"), (LIST, "111111")]))
        };
        assert_eq!(of(&[("list", "l.txt")]), None, "it is away too");
        assert_eq!(of(&[("list", "l.txt"), (LIST, "111111")]), None);
        assert!(of(&[("list", "l.txt"), (LIST, "222222")]).unwrap().contains("`111111`, now `222222`"));
        assert!(of(&[("list", "other.txt")]).unwrap().contains("had list `l.txt`, now `other.txt`"));
        assert!(of(&[]).unwrap().contains("now not set"));
    }

    #[test]
    fn a_record_of_an_older_program_is_taken_without_a_place_and_not_without_options() {
        let absent = absent(&[("images", "t")]);
        let nameless = recorded(&[("size", "[64, 32]"), (ORDER, "abcdef")], &[]);
        assert!(!absent.is_named_in(&nameless) && absent.contradiction(&nameless).is_none());
        assert!(absent.contradiction(&recorded(&[], &[])).unwrap().contains("an earlier version"));
    }
}
