//! The names under which other programs save networks of ours: what a table of such names is, and how a file is read by one.
//!
//! A network has a table for each program: for each of our tensors which tensor of a file it is, or which part of one, or
//! which of them stacked. Knows no network.
use std::collections::{BTreeMap, HashMap, HashSet};

use tch::Tensor;

use crate::checkpoint::{self, Checkpoint, CheckpointError, Member, Restored, Rule, Wrapping};
use crate::input_file::InputFile;

/// What is before our names of the encoder's tensors, and before those of the head's.
pub(super) const BACKBONE: &str = "backbone.";
pub(super) const HEAD: &str = "decode_head.";

/// How much of a network a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// Encoder and head.
    Whole,
    /// The encoder, with nothing before its names.
    Encoder,
}

/// A program's names.
pub(super) struct Convention {
    /// After "the names of".
    pub name: &'static str,
    /// Before the encoder's names in a file of a whole network.
    pub backbone: &'static str,
    /// Our names → the program's; empty if they are ours. `{i}` is the stage from 1, `{s}` from 0, `{b}` the block in it from
    /// 0, `{l}` the rest: `weight`, `bias`, a statistic. Without it a pattern is a whole name.
    pub encoder: &'static [(&'static str, Stored)],
    /// The same for heads, without what is before them; empty if they are ours.
    pub head: &'static [(&'static str, Stored)],
}

/// Where one of our tensors is in a file.
#[derive(Clone, Copy)]
pub(super) enum Stored<T = &'static str> {
    /// A tensor; for a linear layer it may be a 1×1 convolution.
    As(T),
    /// Two tensors, the rows of the first before those of the second.
    Both(T, T),
    /// Three tensors, rows after rows.
    Three(T, T, T),
    /// The first third of its rows.
    FirstThird(T),
    /// The other rows.
    LastThirds(T),
    /// A tensor whose inputs are those of the four stages in the opposite order.
    Reversed(T),
}

use Stored::{As, Both, FirstThird, LastThirds, Reversed, Three};

/// What a pattern of a table found in a name.
#[derive(Clone, Copy)]
struct Place<'k> {
    stage: usize,
    block: usize,
    leaf: &'k str,
}

impl<'k> Place<'k> {
    fn of(key: &'k str, pattern: &str) -> Option<Place<'k>> {
        let (mut stage, mut block, mut rest) = (0, 0, Some(key));
        for segment in pattern.split('.') {
            let all = rest?;
            if segment == "{l}" {
                return Some(Place { stage, block, leaf: all });
            }
            let (first, after) = all.split_once('.').map_or((all, None), |(first, after)| (first, Some(after)));
            match (segment, segment.strip_suffix("{i}")) {
                ("{s}", _) => stage = first.parse().ok()?,
                ("{b}", _) => block = first.parse().ok()?,
                (_, Some(literal)) => stage = first.strip_prefix(literal)?.parse::<usize>().ok()?.checked_sub(1)?,
                (literal, None) if literal == first => {}
                _ => return None,
            }
            rest = after;
        }
        rest.is_none().then_some(Place { stage, block, leaf: "" })
    }

    fn fill(&self, pattern: &str) -> String {
        let Place { stage, block, leaf } = self;
        pattern.replace("{s}", &stage.to_string()).replace("{b}", &block.to_string()).replace("{l}", leaf)
    }
}

impl<T> Stored<T> {
    fn map<U>(self, change: impl Fn(T) -> U) -> Stored<U> {
        match self {
            As(name) => As(change(name)),
            Both(first, second) => Both(change(first), change(second)),
            Three(first, second, third) => Three(change(first), change(second), change(third)),
            FirstThird(name) => FirstThird(change(name)),
            LastThirds(name) => LastThirds(change(name)),
            Reversed(name) => Reversed(change(name)),
        }
    }

    pub(super) fn names(self) -> Vec<T> {
        match self {
            As(name) | FirstThird(name) | LastThirds(name) | Reversed(name) => vec![name],
            Both(first, second) => vec![first, second],
            Three(first, second, third) => vec![first, second, third],
        }
    }
}

impl Stored<&Tensor> {
    /// Our tensor. One that can't be cut or joined stays as it is; its shape tells what is wrong.
    fn tensor(self, shape: &[i64]) -> Tensor {
        match self {
            As(tensor) => {
                let size = tensor.size();
                let is_pointwise = size.len() == shape.len() + 2 && size[shape.len()..] == [1, 1];
                if is_pointwise { tensor.reshape(&size[..shape.len()]) } else { tensor.shallow_clone() }
            }
            Both(first, second) => stacked(&[first, second]),
            Three(first, second, third) => stacked(&[first, second, third]),
            FirstThird(tensor) => match tensor.size().first() {
                Some(rows) => tensor.narrow(0, 0, rows / 3),
                None => tensor.shallow_clone(),
            },
            LastThirds(tensor) => match tensor.size().first() {
                Some(rows) => tensor.narrow(0, rows / 3, rows - rows / 3),
                None => tensor.shallow_clone(),
            },
            Reversed(tensor) => match tensor.size()[..] {
                [_, inputs, ..] if inputs % 4 == 0 => {
                    let mut parts = tensor.split(inputs / 4, 1);
                    parts.reverse();
                    Tensor::cat(&parts, 1)
                }
                _ => tensor.shallow_clone(),
            },
        }
    }
}

/// Rows after rows; the first alone if they don't fit.
fn stacked(parts: &[&Tensor]) -> Tensor {
    let [first, others @ ..] = parts else { panic!("nothing to stack") };
    let fits =
        |other: &&Tensor| other.dim() > 0 && other.size()[1..] == first.size()[1..] && other.kind() == first.kind();
    if first.dim() > 0 && others.iter().all(fits) { Tensor::cat(parts, 0) } else { first.shallow_clone() }
}

impl Convention {
    /// Where our tensor of this name is; `None` if the program's networks don't have it.
    pub(super) fn stored(&self, own: &str, extent: Extent) -> Option<Stored<String>> {
        let (part, rows) = match own.strip_prefix(BACKBONE) {
            Some(part) => (part, self.encoder),
            None => (own.strip_prefix(HEAD)?, self.head),
        };
        let is_encoder = own.starts_with(BACKBONE);
        let before = match (extent, is_encoder) {
            (Extent::Whole, true) => self.backbone,
            (Extent::Whole, false) => HEAD,
            (Extent::Encoder, true) => "",
            (Extent::Encoder, false) => return None,
        };
        if rows.is_empty() {
            return Some(As(format!("{before}{part}")));
        }
        let (place, stored) = rows.iter().find_map(|(pattern, stored)| Some((Place::of(part, pattern)?, *stored)))?;
        Some(stored.map(|pattern| format!("{before}{}", place.fill(pattern))))
    }

    /// The names of these tensors of ours in a file, each once; `None` if the program's networks lack one.
    fn names(&self, own: &[String], extent: Extent) -> Option<Vec<String>> {
        let is_meant = |key: &&String| extent == Extent::Whole || key.starts_with(BACKBONE);
        let (mut names, mut seen) = (Vec::new(), HashSet::new());
        for key in own.iter().filter(is_meant) {
            let of_one = self.stored(key, extent)?.names();
            names.extend(of_one.into_iter().filter(|name| seen.insert(name.clone())));
        }
        Some(names)
    }

    /// A file's tensors under our names; those that aren't ours keep theirs. `own`: our tensors with their shapes.
    fn translated(
        &self,
        mut file: HashMap<String, Tensor>,
        own: &[(String, Tensor)],
        extent: Extent,
    ) -> HashMap<String, Tensor> {
        let (mut ours, mut used) = (HashMap::new(), HashSet::new());
        for (key, live) in own {
            let Some(stored) = self.stored(key, extent) else { continue };
            let names = stored.clone().names();
            if names.iter().all(|name| file.contains_key(name)) {
                ours.insert(key.clone(), stored.map(|name| &file[&name]).tensor(&live.size()));
                used.extend(names);
            }
        }
        file.retain(|name, _| !used.contains(name));
        ours.extend(file);
        ours
    }

    /// The shape of our tensor `own` of the encoder (or of the first part of it), whatever is before its name in a file of
    /// tensors of these names and shapes.
    pub(super) fn shape_in<'f>(&self, file: &'f BTreeMap<String, Vec<i64>>, own: &str) -> Option<&'f Vec<i64>> {
        let name = self.stored(&format!("{BACKBONE}{own}"), Extent::Encoder)?.names().swap_remove(0);
        let is_it = |found: &&String| {
            found.strip_suffix(name.as_str()).is_some_and(|before| before.is_empty() || before.ends_with('.'))
        };
        file.keys().find(is_it).map(|found| &file[found])
    }
}

/// Reads a network, or its encoder alone, under the names of one of these programs. Its tensors get our names, others keep
/// theirs. `live`: our tensors.
///
/// # Errors
/// Those of [`checkpoint::read_member`].
pub(super) fn read(
    file: &InputFile,
    member: Member,
    programs: &[Convention],
    live: &[(String, Tensor)],
    rule: Rule,
    extent: Extent,
) -> Result<Checkpoint, CheckpointError> {
    let own = checkpoint::required(live, rule);
    let forms = programs.iter().filter_map(|program| Some((program, program.names(&own, extent)?)));
    let (programs, wanted): (Vec<_>, Vec<_>) = forms.unzip();
    let mut stored = checkpoint::read_member(file, &wanted, member)?;
    let is_it = |names: &&Vec<String>| names.iter().all(|name| stored.tensors.contains_key(name));
    let at = wanted.iter().position(|names| is_it(&names)).expect("one of the forms was found");
    stored.tensors = programs[at].translated(stored.tensors, live, extent);
    Ok(stored)
}

/// What `take` takes of a file: the whole network, or its encoder where that is all that the file has.
///
/// # Errors
/// Those of `take`. Of a file with neither, what is said of a whole network is as good.
pub(super) fn whole_or_encoder(
    take: impl Fn(Extent) -> Result<Restored, CheckpointError>,
) -> Result<Restored, CheckpointError> {
    match take(Extent::Whole) {
        Err(whole @ CheckpointError::Unfitting { .. }) => match take(Extent::Encoder) {
            Err(CheckpointError::Unfitting { .. }) => Err(whole),
            taken => taken,
        },
        taken => taken,
    }
}

/// Whether a network's head lies beside an encoder.
pub(super) fn has_head(wrapping: &Wrapping) -> bool {
    wrapping.beside.iter().any(|beside| beside.name.split('.').next_back() == Some("decode_head"))
}
