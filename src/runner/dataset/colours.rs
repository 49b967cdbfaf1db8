//! Some colours of a label, as messages show them.

use std::fmt;

use intrada_picture::Strange;

use crate::measures::count;

/// Some colours of a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Colours {
    /// The most frequent first, at most [`intrada_picture::STRANGE_KEPT`].
    pub first: Vec<Strange>,
    /// How many there are.
    pub count: usize,
}

impl Colours {
    /// `1 colour`, `7 colours`.
    pub fn counted(&self) -> String {
        if self.count == 1 { "1 colour".to_owned() } else { format!("{} colours", count(self.count as u64)) }
    }
}

impl fmt::Display for Colours {
    /// The first few, each with its pixels and the first of these.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// How many are shown.
        const SHOWN: usize = 3;
        let shown = |one: &Strange| {
            let pixels = if one.pixels == 1 { "pixel" } else { "pixels" };
            let ([column, row], pixels) = (one.first, format!("{} {pixels}", count(one.pixels)));
            format!("{} ({pixels}, first at column {column}, row {row})", colour(one.colour))
        };
        let rest = if self.first.len() > SHOWN { ", …" } else { "" };
        write!(f, "{}{rest}", self.first.iter().take(SHOWN).map(shown).collect::<Vec<_>>().join(", "))
    }
}

/// `128,64,128`, as a palette names it.
pub fn colour([red, green, blue]: [u8; 3]) -> String {
    format!("{red},{green},{blue}")
}
