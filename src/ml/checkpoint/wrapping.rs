//! Finds the network in a file, whatever prefixes training programs put before its names.
//!
//! PyTorch's own wrappers prefix every name (`module.`, `_orig_mod.`), Lightning and others store the network as an
//! attribute (`model.`, `net.`, `backbone.`), and a training checkpoint puts it into a dictionary together with an
//! optimiser's state (`state_dict`, `model_state`). All of these are prefixes. So no list of wrappers is needed: the
//! network is the one prefix under which all expected names exist.
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::{self, Display, Formatter};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::CheckpointError;
use super::nearest::Nearest;
use crate::pth::Contents;
use intrada_weights::shown::{Shown, some_of};

/// Where in a file a network was found, and what else there was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Wrapping {
    /// The prefix of the names, such as `state_dict.module.`; empty if there is none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub below: String,
    /// What else the file has, such as an optimiser's state.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<Beside>,
    /// Where the file has another complete network, such as a moving average, which was not used.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also_below: Vec<String>,
}

/// A part of a file that is not the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Beside {
    /// The prefix of its names.
    pub name: String,
    /// How many tensors it has.
    pub tensors: usize,
}

impl Display for Wrapping {
    /// As a clause after what was loaded; empty if there is nothing to report.
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        let Wrapping { below, beside, also_below } = self;
        if !below.is_empty() {
            write!(f, "; read below `{}`", Shown(below))?;
        }
        if !beside.is_empty() {
            let part = |beside: &Beside| format!("`{}` ({} tensors)", Shown(&beside.name), beside.tensors);
            write!(f, "; beside it and not read: {}", beside.iter().map(part).collect::<Vec<_>>().join(", "))?;
        }
        if !also_below.is_empty() {
            let names: Vec<String> = also_below.iter().map(|below| format!("`{}`", Shown(below))).collect();
            write!(f, "; a whole network is also below {} and was not taken", names.join(", "))?;
        }
        Ok(())
    }
}

/// Which network of a file that has several, as files of self-training have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Member {
    /// The one that gradients move; in a file without a teacher, the network.
    #[default]
    Student,
    /// Its moving average: `ema_model` of DACS, DAFormer, HRDA and MIC.
    Teacher,
}

/// The attributes under which released programs of self-training keep the two.
const STUDENT: &str = "model.";
const TEACHER: &str = "ema_model.";

/// Like [`find`], but also searches lists if there is no other match, as in `torch.save((state_dict, …))`.
///
/// # Errors
/// Those of [`find`].
pub(super) fn find_with_lists(
    path: &Path,
    contents: &mut Contents,
    wanted: &[Vec<String>],
    member: Member,
) -> Result<Wrapping, CheckpointError> {
    match find(path, contents, wanted, member) {
        Err(CheckpointError::Unfitting { .. }) if !contents.in_lists.is_empty() => {
            contents.arrays.append(&mut contents.in_lists);
            find(path, contents, wanted, member)
        }
        found => found,
    }
}

/// Finds the network whose names are one of these lists, each for one file format of it.
///
/// # Errors
/// It is missing, exists several times with different values, or part of it can't be read; there is no teacher.
fn find(path: &Path, contents: &Contents, wanted: &[Vec<String>], member: Member) -> Result<Wrapping, CheckpointError> {
    let names: Vec<&str> = contents.arrays.iter().map(|(name, _)| name.as_str()).collect();
    let odd: HashMap<&str, String> = contents.odd.iter().map(|(name, odd)| (name.as_str(), odd.to_string())).collect();
    let all: HashSet<&str> = names.iter().chain(odd.keys()).copied().collect();
    let whole = |below: &&str| wanted.iter().any(|form| is_below(&all, below, form));
    let mut fitting: Vec<&str> = places(&all, wanted).into_keys().filter(whole).collect();
    fitting.sort_by_key(|below| (below.len(), *below));
    let usual = usual(&names);
    let all_fitting = fitting.clone();
    if member == Member::Teacher && !fitting.is_empty() {
        let is_teachers = |below: &str| below.starts_with(TEACHER) || below.contains(&format!(".{TEACHER}"));
        fitting.retain(|below| is_teachers(below));
        if fitting.is_empty() {
            return Err(CheckpointError::NoTeacher { path: path.to_owned() });
        }
    }
    let is_students = |below: &&&str| below.strip_prefix(usual.as_str()).is_some_and(|rest| rest.starts_with(STUDENT));
    let students: Vec<&str> = fitting.iter().filter(is_students).copied().collect();
    let below = match fitting[..] {
        [] => {
            let path = path.to_owned();
            return Err(CheckpointError::Unfitting { path, nearest: Box::new(nearest(&names, &all, &odd, wanted)) });
        }
        [one] => one,
        _ if fitting.contains(&usual.as_str()) => usual.as_str(),
        _ if students.len() == 1 => students[0],
        [first, ref others @ ..] if others.iter().all(|other| are_equal(contents, first, other)) => first,
        _ => {
            let below = fitting.iter().map(|below| (*below).to_owned()).collect();
            return Err(CheckpointError::Ambiguous { path: path.to_owned(), below });
        }
    };
    readable(path, below, &odd, &all, wanted)?;
    let also_below = all_fitting.iter().filter(|other| **other != below && !below.starts_with(**other));
    let also_below = also_below.map(|other| (*other).to_owned()).collect();
    Ok(Wrapping { below: below.to_owned(), beside: beside(&names, below), also_below })
}

/// Possible prefixes of the network's names, with the number of names that have it.
fn places<'a>(all: &HashSet<&'a str>, wanted: &[Vec<String>]) -> HashMap<&'a str, usize> {
    let known: HashSet<&str> = wanted.iter().flatten().map(String::as_str).collect();
    let longest = known.iter().map(|name| name.len()).max().unwrap_or(0);
    let mut places = HashMap::new();
    for name in all {
        // A name in a file may be as long as the file; only a suffix of it can be a name of the network.
        let from = name.len().saturating_sub(longest);
        let dots = name.bytes().enumerate().skip(from.saturating_sub(1)).filter(|(_, byte)| *byte == b'.');
        let starts = dots.map(|(at, _)| at + 1).chain((from == 0).then_some(0));
        for start in starts.filter(|start| name.get(*start..).is_some_and(|rest| known.contains(rest))) {
            *places.entry(&name[..start]).or_insert(0) += 1;
        }
    }
    places
}

fn is_below(all: &HashSet<&str>, below: &str, form: &[String]) -> bool {
    form.iter().all(|name| all.contains(format!("{below}{name}").as_str()))
}

/// Where known released programs store the network: has priority over other matches.
fn usual(names: &[&str]) -> String {
    let records = ["state_dict.", "model_state_dict.", "model."];
    let record = records.into_iter().find(|record| names.iter().any(|name| name.starts_with(record))).unwrap_or("");
    let mut inside = names.iter().filter_map(|name| name.strip_prefix(record));
    let parallel = "module.";
    let is_parallel = inside.all(|name| name.starts_with(parallel));
    format!("{record}{}", if is_parallel { parallel } else { "" })
}

/// Whether two parts of a file are equal, as when a program saves one network under two attributes.
fn are_equal(contents: &Contents, one: &str, other: &str) -> bool {
    let part = |below: &str| -> BTreeMap<&str, _> {
        contents.arrays.iter().filter_map(|(name, array)| Some((name.strip_prefix(below)?, array))).collect()
    };
    part(one) == part(other)
}

/// # Errors
/// In every format something of the network is not a readable tensor.
fn readable(
    path: &Path,
    below: &str,
    odd: &HashMap<&str, String>,
    all: &HashSet<&str>,
    wanted: &[Vec<String>],
) -> Result<(), CheckpointError> {
    let unread = |form: &Vec<String>| -> Vec<String> {
        form.iter().map(|name| format!("{below}{name}")).filter(|name| odd.contains_key(name.as_str())).collect()
    };
    let forms = wanted.iter().filter(|form| is_below(all, below, form)).map(unread);
    let Some(unread) = forms.min_by_key(Vec::len).filter(|unread| !unread.is_empty()) else { return Ok(()) };
    let (key, what) = (unread[0].clone(), odd[unread[0].as_str()].clone());
    Err(CheckpointError::Odd { path: path.to_owned(), key, what, others: unread.len() - 1 })
}

/// The tensors outside of the prefix, counted by part.
fn beside(names: &[&str], below: &str) -> Vec<Beside> {
    const PARTS_AT_MOST: usize = 12;
    let mut parts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in names.iter().filter(|name| !name.starts_with(below)) {
        let ends = name.match_indices('.').map(|(at, _)| at).chain([name.len()]);
        // The shortest prefix that isn't also a prefix of the network's.
        let part = ends.map(|end| &name[..end]).find(|part| !below.starts_with(&format!("{part}.")));
        *parts.entry(part.unwrap_or(name)).or_insert(0) += 1;
    }
    let more: usize = parts.values().skip(PARTS_AT_MOST).sum();
    let mut named: Vec<Beside> = parts
        .into_iter()
        .take(PARTS_AT_MOST)
        .map(|(name, tensors)| Beside { name: Shown(name).to_string(), tensors })
        .collect();
    if more > 0 {
        named.push(Beside { name: "…".to_owned(), tensors: more });
    }
    named
}

fn nearest(names: &[&str], all: &HashSet<&str>, odd: &HashMap<&str, String>, wanted: &[Vec<String>]) -> Nearest {
    let form = &wanted[..wanted.len().min(1)];
    let best = places(all, form).into_iter().max_by_key(|(below, found)| (*found, Reverse((below.len(), *below))));
    let (below, found) = best.unwrap_or_default();
    let form: &[String] = form.first().map_or(&[], |form| form);
    let known: HashSet<&str> = form.iter().map(String::as_str).collect();
    let missing = form.iter().map(String::as_str).filter(|name| !all.contains(format!("{below}{name}").as_str()));
    let is_other = |name: &&&str| name.strip_prefix(below).is_none_or(|rest| !known.contains(rest));
    let mut first_odd: Vec<(&&str, &String)> = odd.iter().collect();
    first_odd.sort();
    Nearest {
        below: below.to_owned(),
        found,
        wanted: form.len(),
        missing: some_of(missing),
        tensors: names.len(),
        others: some_of(names.iter().filter(is_other).copied()),
        odd: first_odd.first().map(|(name, what)| {
            if name.is_empty() { format!("it is {what}") } else { format!("`{}` is {what}", Shown(name)) }
        }),
        are_discriminators: found < form.len() && are_of_discriminators(names),
        wants_discriminators: are_of_discriminators(&form.iter().map(String::as_str).collect::<Vec<_>>()),
        is_network: names.iter().any(|name| is_of_network(name)),
    }
}

/// Whether only segmentation networks have such a tensor: of a norm, a head, an encoder.
fn is_of_network(name: &str) -> bool {
    name.ends_with(".running_mean") || name.contains("conv2d_list.") || name.contains("encoder.")
}

/// Whether all names are discriminators': five layers each, in AdvEnt's files and in ours with numbers.
fn are_of_discriminators(names: &[&str]) -> bool {
    const LAYERS: [&str; 10] = ["0", "2", "4", "6", "8", "conv1", "conv2", "conv3", "conv4", "classifier"];
    let is_one = |name: &&str| {
        let (before, part) = name.rsplit_once('.').unwrap_or_default();
        let layer = before.rsplit('.').next().unwrap_or_default();
        matches!(part, "weight" | "bias") && LAYERS.contains(&layer)
    };
    matches!(names.len(), 10 | 20) && names.iter().all(is_one)
}
