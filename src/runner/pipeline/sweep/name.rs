//! Names of sweep members, and references to one or several of them: `rank[lambda=0.6].easy`.
//!
//! Knows no stage. A name is also a folder below `runs/` and a part of `a.b`, so special characters (`/`, `,`, `]`, control
//! characters) are escaped as `%2F`: distinct values have distinct names, each valid as a folder name.

use std::fmt::Write as _;

use super::super::Coordinate;
use super::super::value::Value;
use crate::shown::is_harmful;

/// Maximum bytes of a name: folder names have at most 255, and related files have extensions.
pub(in crate::pipeline) const LONGEST: usize = 200;

/// A value in a name: a string without quotes, the elements of a list joined by `+`.
pub(super) fn text_of(value: &Value) -> String {
    match value {
        Value::Text(text) => escaped(text),
        Value::List(elements) => elements.iter().map(text_of).collect::<Vec<_>>().join("+"),
        value => value.to_string(),
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if is_harmful(character) || "/\\%,=[]+*".contains(character) {
            let mut bytes = [0; 4];
            for byte in character.encode_utf8(&mut bytes).bytes() {
                write!(out, "%{byte:02X}").expect("writing to a string can't fail");
            }
        } else {
            out.push(character);
        }
    }
    out
}

/// Whether a typed value equals a coordinate: `0.60` is `0.6`.
pub(in crate::pipeline) fn is_same(typed: &str, text: &str) -> bool {
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
    typed == text || number(typed).is_some_and(|typed| number(text) == Some(typed))
}

/// `rank[lambda=0.6,seed=3]`; without coordinates, `rank`.
pub(in crate::pipeline) fn member_name<'a>(
    family: &str,
    coordinates: impl IntoIterator<Item = &'a Coordinate>,
) -> String {
    let texts: Vec<String> = coordinates.into_iter().map(ToString::to_string).collect();
    if texts.is_empty() { family.to_owned() } else { format!("{family}[{}]", texts.join(",")) }
}

/// A typed reference to a stage, to members of its sweep, or to one of their outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pipeline) struct Reference<'a> {
    pub family: &'a str,
    /// The contents of the brackets.
    pub chosen: Vec<Chosen<'a>>,
    pub output: Option<&'a str>,
}

/// The selected members along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pipeline) enum Chosen<'a> {
    /// `lambda=0.6`: those with this value.
    At(&'a str, &'a str),
    /// `lambda=*`: those of every value.
    Along(&'a str),
    /// `*`: all.
    All,
}

impl<'a> Reference<'a> {
    /// Other syntax (an unclosed bracket) is read as a stage name, which is then unknown.
    pub(in crate::pipeline) fn parse(typed: &'a str) -> Reference<'a> {
        let plain = |typed: &'a str| {
            let (family, output) = typed.split_once('.').map_or((typed, None), |(name, part)| (name, Some(part)));
            Reference { family, chosen: Vec::new(), output }
        };
        let Some((family, rest)) = typed.split_once('[') else { return plain(typed) };
        let Some((inside, rest)) = rest.split_once(']') else { return plain(typed) };
        let output = match (rest, rest.strip_prefix('.')) {
            ("", _) => None,
            (_, Some(output)) => Some(output),
            _ => return plain(typed),
        };
        let chosen = |part: &'a str| match part.trim().split_once('=') {
            Some((axis, value)) if value.trim() == "*" => Some(Chosen::Along(axis.trim())),
            Some((axis, value)) => Some(Chosen::At(axis.trim(), value.trim())),
            None => (part.trim() == "*").then_some(Chosen::All),
        };
        match inside.split(',').map(chosen).collect() {
            Some(chosen) => Reference { family, chosen, output },
            None => plain(typed),
        }
    }

    /// Whether it selects a member with these coordinates.
    pub(in crate::pipeline) fn admits(&self, coordinates: &[Coordinate]) -> bool {
        let at = |axis: &str| coordinates.iter().find(|coordinate| coordinate.axis == axis);
        self.chosen.iter().all(|chosen| match chosen {
            Chosen::At(axis, value) => at(axis).is_some_and(|coordinate| is_same(value, &coordinate.value)),
            Chosen::Along(axis) => at(axis).is_some(),
            Chosen::All => true,
        })
    }

    /// Whether the brackets name this axis.
    pub(in crate::pipeline) fn names(&self, axis: &str) -> bool {
        self.chosen.iter().any(|chosen| match chosen {
            Chosen::At(named, _) | Chosen::Along(named) => *named == axis,
            Chosen::All => true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::any;
    use proptest::{prop_assert, prop_assert_eq, proptest};

    fn text(text: &str) -> String {
        text_of(&Value::Text(text.to_owned()))
    }

    #[test]
    fn values_are_shown_without_quotes_and_lists_with_a_plus() {
        assert_eq!(text("advent"), "advent");
        assert_eq!(text("a/b, [c]=1+1"), "a%2Fb%2C %5Bc%5D%3D1%2B1");
        assert_eq!(text_of(&Value::Number(0.6)), "0.6");
        assert_eq!(text_of(&Value::List([256, 128].map(Value::Integer).to_vec())), "256+128");
    }

    #[test]
    fn a_reference_may_choose_members_and_an_output() {
        let parse = Reference::parse;
        let whole = parse("rank[lambda=0.6, seed=*].easy");
        assert_eq!((whole.family, whole.output), ("rank", Some("easy")));
        assert_eq!(whole.chosen, [Chosen::At("lambda", "0.6"), Chosen::Along("seed")]);
        assert_eq!(parse("rank[*]").chosen, [Chosen::All]);
        assert_eq!(parse("rank.easy"), Reference { family: "rank", chosen: Vec::new(), output: Some("easy") });
        for broken in ["rank[lambda=0,6", "rank[lambda]", "rank[a=1]x"] {
            assert!(parse(broken).family.contains('['), "{broken}");
        }
    }

    #[test]
    fn equal_numbers_are_equal_however_they_were_typed() {
        assert!(is_same("0.60", "0.6") && is_same("1", "1.0") && is_same("a", "a"));
        assert!(!is_same("0.61", "0.6") && !is_same("nan", "nano") && !is_same("a", "b"));
    }

    proptest! {
        #[test]
        fn every_text_fits_one_folder_and_reads_back_as_one_value(value in any::<String>(), other in any::<String>()) {
            let shown = text(&value);
            prop_assert!(!shown.contains(['/', '\0', '\n', ',', ']']));
            let name = format!("rank[a={shown}].easy");
            let reference = Reference::parse(&name);
            prop_assert_eq!(reference.output, Some("easy"));
            let coordinate = Coordinate { axis: "a".to_owned(), value: shown.trim().to_owned() };
            prop_assert!(reference.admits(&[coordinate]), "{}", name);
            prop_assert_eq!(text(&other) == shown, other == value);
        }
    }
}
