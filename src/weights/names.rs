//! The names under which programs save networks of ours: for each of our tensors which tensor of a file it is, or which part of
//! one, or which of them stacked. Files are read by these tables, and written by them.
//!
//! Our own names are those of released code. Knows names, no network, no tensor and no file.
use std::collections::BTreeMap;

pub mod dinov2;
pub mod segformer;

/// What is before our names of an encoder's tensors.
pub const BACKBONE: &str = "backbone.";
/// What is before our names of a head's tensors.
pub const HEAD: &str = "decode_head.";

/// How much of a network a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Encoder and head.
    Whole,
    /// The encoder, with nothing before its names.
    Encoder,
}

/// A program's names.
#[derive(Clone, Copy)]
pub struct Convention {
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
pub enum Stored<T = &'static str> {
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
    /// The same of other names.
    pub fn map<U>(self, change: impl Fn(T) -> U) -> Stored<U> {
        match self {
            As(name) => As(change(name)),
            Both(first, second) => Both(change(first), change(second)),
            Three(first, second, third) => Three(change(first), change(second), change(third)),
            FirstThird(name) => FirstThird(change(name)),
            LastThirds(name) => LastThirds(change(name)),
            Reversed(name) => Reversed(change(name)),
        }
    }

    /// The tensors of the file, in the order of their rows.
    pub fn names(self) -> Vec<T> {
        match self {
            As(name) | FirstThird(name) | LastThirds(name) | Reversed(name) => vec![name],
            Both(first, second) => vec![first, second],
            Three(first, second, third) => vec![first, second, third],
        }
    }
}

impl Convention {
    /// Where our tensor of this name is; `None` if the program's networks don't have it.
    pub fn stored(&self, own: &str, extent: Extent) -> Option<Stored<String>> {
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

    /// The shape of our tensor `own` of the encoder (or of the first part of it), whatever is before its name in a file of
    /// tensors of these names and shapes.
    pub fn shape_in<'f>(&self, file: &'f BTreeMap<String, Vec<i64>>, own: &str) -> Option<&'f Vec<i64>> {
        let name = self.stored(&format!("{BACKBONE}{own}"), Extent::Encoder)?.names().swap_remove(0);
        let is_it = |found: &&String| {
            found.strip_suffix(name.as_str()).is_some_and(|before| before.is_empty() || before.ends_with('.'))
        };
        file.keys().find(is_it).map(|found| &file[found])
    }
}
