//! Sources that are not here, as the cache last recorded them: for commands that only show finished results.
//!
//! A result's record has the digests of all its inputs. If a source is away, the last one recorded takes the place of its digest,
//! and the keys follow from it as ever: a stage that differs in anything else is not up to date. Which record is the last one is
//! decided by no clock: the workspace's index says it, else the other workspaces of the cache, else there must be one state only.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::digest::{ArtifactDigest, Key};
use crate::inputs::listing;
use crate::measures::date;
use crate::pipeline::{Pipeline, StageId};
use crate::plan::away::{Absent, Away};
use crate::plan::manifest::{Ingredient, Manifest};
use crate::store::index::{Index, record_name};
use crate::store::{Store, Trace};

/// A source as it was last recorded.
#[derive(Clone, Debug)]
pub struct Recalled {
    /// For the manifests.
    pub ingredient: Ingredient,
    /// Its listing, if the cache has it.
    pub listing: Option<Vec<u8>>,
    /// When the result was made that recorded it, in seconds since the Unix epoch.
    at: f64,
    /// Whether the record doesn't say which place and part the source was.
    is_nameless: bool,
}

impl Recalled {
    /// The number of its images, if it is a data set.
    pub fn images(&self) -> Option<usize> {
        listing::images(self.listing.as_deref()?).filter(|images| *images > 0)
    }
}

/// The records of a cache.
pub struct Records<'a> {
    /// Of the stages that read the sources.
    pub pipeline: &'a Pipeline,
    /// The cache.
    pub store: &'a Store,
    /// The index of the workspace.
    pub own: &'a Index,
    /// What has been read so far.
    pub read: &'a Read,
}

/// Records that have been read: only if they are asked for, and once.
#[derive(Default)]
pub struct Read {
    others: OnceCell<Vec<Index>>,
    all: OnceCell<Vec<Rc<Record>>>,
}

/// A result's record.
struct Record {
    trace: Trace,
    manifest: Manifest,
}

/// A record and the role that the source may have in it.
type Witness = (Rc<Record>, String);

/// What records tell of a source.
#[derive(Default)]
struct Told {
    /// The different states that can stand for it.
    states: Vec<Recalled>,
    /// Images of the same place in results with other options: earlier results with other images are out of date.
    others: Vec<Vec<u8>>,
    /// The first contradiction.
    why: Option<String>,
}

/// A reader of a source, and its role there.
pub type Reader<'a> = (StageId, &'a str);

impl Records<'_> {
    /// The source as its readers last recorded it. `after`: the outputs that stages have written into it.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub fn find(&self, absent: &Absent, readers: &[Reader<'_>], after: &[ArtifactDigest]) -> Result<Recalled, String> {
        let levels: [&dyn Fn() -> Vec<Witness>; 3] = [
            &|| self.of_index(self.own, readers),
            &|| self.others().iter().flat_map(|index| self.of_index(index, readers)).collect(),
            &|| self.of_kinds(readers),
        ];
        let (mut why, mut later) = (None, Vec::new());
        for witnesses in levels {
            let mut told = self.told(absent, &witnesses(), after, &later);
            match told.states.len() {
                0 => later.append(&mut told.others),
                1 => return Ok(told.states.remove(0)),
                states => return Err(format!("the cache has results of {states} states of them")),
            }
            why = why.or(told.why);
        }
        Err(why.unwrap_or_else(|| "no result in the cache was made with them".to_owned()))
    }

    /// What some records tell of the source; `later`: images of its later states.
    fn told(&self, absent: &Absent, witnesses: &[Witness], after: &[ArtifactDigest], later: &[Vec<u8>]) -> Told {
        let mut told = Told::default();
        for (record, role) in witnesses {
            let Record { trace, manifest } = &**record;
            let ingredient = manifest.inputs.get(role).filter(|ingredient| absent.is(ingredient));
            let is_after = after.iter().all(|output| trace.after.contains(output));
            let Some(ingredient) = ingredient.filter(|_| is_after) else { continue };
            let recalled = self.recalled(absent, trace, ingredient);
            if let Some(other) = contradiction(absent, later, &recalled) {
                told.why.get_or_insert(other);
                told.others.extend(recalled.listing.filter(|_| absent.other_place(ingredient).is_none()));
                continue;
            }
            match told.states.iter_mut().find(|known| known.ingredient.digest == ingredient.digest) {
                // Several data sets may be one; a record that says more is the better one.
                Some(known) if known.is_nameless && !recalled.is_nameless => *known = recalled,
                Some(known) => known.at = known.at.max(recalled.at),
                None => told.states.push(recalled),
            }
        }
        told
    }

    fn recalled(&self, absent: &Absent, trace: &Trace, ingredient: &Ingredient) -> Recalled {
        let listing = ingredient.listing.and_then(|listing| self.store.read(listing).ok()?);
        let is_nameless = !absent.is_named_in(ingredient);
        Recalled { ingredient: ingredient.clone(), listing, at: trace.started + trace.seconds, is_nameless }
    }

    /// The last result of each reader, as an index has it.
    fn of_index(&self, index: &Index, readers: &[Reader<'_>]) -> Vec<Witness> {
        let last = |(stage, role): &Reader<'_>| {
            let record = index.stages.get(&record_name(&self.pipeline.name, &self.pipeline.stage(*stage).name))?;
            Some((self.record(record.key)?, (*role).to_owned()))
        };
        readers.iter().filter_map(last).collect()
    }

    /// All results of stages of the readers' kinds.
    fn of_kinds(&self, readers: &[Reader<'_>]) -> Vec<Witness> {
        let kind = |(stage, role): &Reader<'_>| (self.pipeline.stage(*stage).kind.name, (*role).to_owned());
        let roles: BTreeSet<(&str, String)> = readers.iter().map(kind).collect();
        let of = |(kind, role): (&'static str, String)| {
            let of_kind = self.all().iter().filter(move |record| record.trace.kind == kind);
            of_kind.map(move |record| (Rc::clone(record), role.clone()))
        };
        roles.into_iter().flat_map(of).collect()
    }

    fn others(&self) -> &[Index] {
        self.read.others.get_or_init(|| self.store.indexes().unwrap_or_default())
    }

    fn all(&self) -> &[Rc<Record>] {
        let keys = || self.store.keys().unwrap_or_default();
        self.read.all.get_or_init(|| keys().into_iter().filter_map(|key| self.record(key)).collect())
    }

    fn record(&self, key: Key) -> Option<Rc<Record>> {
        let trace = self.store.load(key).ok()??;
        let manifest = serde_json::from_value(trace.manifest.clone()).ok()?;
        Some(Rc::new(Record { trace, manifest }))
    }
}

/// Why a recorded state can't stand for a source; `later`: images of its later states.
fn contradiction(absent: &Absent, later: &[Vec<u8>], recalled: &Recalled) -> Option<String> {
    let known = absent.images.iter().chain(later);
    let of_images = |images: &Vec<u8>| {
        let recorded = recalled.listing.as_deref();
        match recorded.and_then(|recorded| listing::agree_on_images(images, recorded)) {
            Some(true) => None,
            Some(false) => Some("the last results were made with other images".to_owned()),
            None => Some("the cache has lost the list of their images".to_owned()),
        }
    };
    absent.contradiction(&recalled.ingredient).or_else(|| known.into_iter().find_map(of_images))
}

/// What is to be said of the sources that are not here.
#[derive(Debug, Default)]
pub struct NotHere {
    known: BTreeMap<Away, Recalled>,
    unknown: BTreeMap<Away, String>,
}

impl NotHere {
    /// A source isn't here: its last recorded state, or why nothing stands for it.
    pub fn note(&mut self, away: Away, found: Result<Recalled, String>) {
        match found {
            Ok(recalled) => drop(self.known.insert(away, recalled)),
            Err(why) => drop(self.unknown.insert(away, why)),
        }
    }

    /// Whether the last recorded state of a source stands for it.
    pub fn is_any_known(&self) -> bool {
        !self.known.is_empty()
    }

    /// One line on all that are known, and one on each other.
    pub fn lines(&self) -> Vec<String> {
        let known = self.is_any_known().then(|| {
            let last = date(self.known.values().map(|recalled| recalled.at).fold(0.0, f64::max));
            let (what, are) = (all_of(self.known.keys()), are(self.known.keys()));
            let stand = format!("these are the results recorded for them, the last of {last}");
            let nameless = self.known.values().any(|recalled| recalled.is_nameless);
            let more =
                if nameless { ", some by an earlier version, which didn't record their folders and parts" } else { "" };
            format!("{what} {are} not here and could not be compared: {stand}{more}")
        });
        let unknown = self.unknown.iter().map(|(away, why)| {
            let (what, are) = (all_of([away].into_iter()), are([away].into_iter()));
            format!("{what} {are} not here, and {why}: stages that read them don't count as up to date")
        });
        known.into_iter().chain(unknown).collect()
    }
}

/// ``the images of `a` and `b`, the labels of `c`, `w.pth` ``.
fn all_of<'a>(away: impl Iterator<Item = &'a Away> + Clone) -> String {
    let [mut images, mut labels, mut paths] = [const { Vec::new() }; 3];
    for one in away {
        match one {
            Away::Images(name) => images.push(format!("`{name}`")),
            Away::Labels(name) => labels.push(format!("`{name}`")),
            Away::Path(path) => paths.push(format!("`{path}`")),
        }
    }
    let of = |what: &str, names: &[String]| (!names.is_empty()).then(|| format!("the {what} of {}", joined(names)));
    let parts = [of("images", &images), of("labels", &labels), (!paths.is_empty()).then(|| joined(&paths))];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn joined(names: &[String]) -> String {
    match names {
        [all @ .., last] if !all.is_empty() => format!("{} and {last}", all.join(", ")),
        names => names.join(", "),
    }
}

fn are<'a>(away: impl Iterator<Item = &'a Away> + Clone) -> &'static str {
    let is_one_path = matches!((away.clone().next(), away.count()), (Some(Away::Path(_)), 1));
    if is_one_path { "is" } else { "are" }
}
