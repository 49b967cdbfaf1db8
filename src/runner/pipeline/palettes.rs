//! `palette` of a data set: which class each colour of its labels means.
//!
//! Opens no label. A palette is typed as colours with the names of classes, or named; here the names become the indices of the
//! pipeline's classes.

use intrada_picture::Palette;

use super::names::known_names;
use super::near::did_you_mean;
use super::problem::Problem;
use super::read::Values;
use super::typed::Typed;
use super::value::Value;
use super::{Class, Span};
use crate::kind::palettes::{self, IGNORE};

/// The value of ignored pixels.
const IGNORED: u8 = u8::MAX;

/// The palette of a data set, empty without one, and what is wrong with it.
pub(super) fn palette_of(values: &Values, classes: &[Class]) -> (Palette, Vec<Problem>) {
    // Without classes, which has been reported, every name would be wrong.
    let Some(typed) = values.get("palette").filter(|_| !classes.is_empty()) else {
        return (Palette::default(), Vec::new());
    };
    let (pairs, mut problems) = match &typed.value {
        Value::Text(name) => named(name, typed.span, classes),
        _ => own(typed, classes),
    };
    if let Some(map) = values.get("map") {
        let problem =
            Problem::error("`map` and `palette` contradict each other").at(map.span, "replaces values of indices");
        let problem = problem.beside(typed.span, "reads colours, each of which names its class");
        problems.push(problem.help("with a `palette`, a colour that is to be ignored is \"ignore\" in it"));
    }
    if problems.is_empty() && pairs.iter().all(|(_, value)| *value == IGNORED) {
        problems
            .push(Problem::error("no colour of `palette` is a class").at(typed.span, "every pixel would be ignored"));
    }
    (Palette::new(pairs), problems)
}

type Pairs = Vec<([u8; 3], u8)>;

/// A published palette; colours of classes that the pipeline doesn't have are ignored.
fn named(name: &str, span: Span, classes: &[Class]) -> (Pairs, Vec<Problem>) {
    let palette = palettes::find(name).expect("the key takes the names of palettes only");
    let pairs = palette
        .colours
        .iter()
        .map(|(colour, class)| (*colour, class.map_or(IGNORED, |name| index(name, classes).unwrap_or(IGNORED))));
    let has = |class: &&Class| palette.colours.iter().any(|(_, name)| *name == Some(&class.name));
    let missing: Vec<String> =
        classes.iter().filter(|class| !has(class)).map(|class| format!("`{}`", class.name)).collect();
    let problem = (!missing.is_empty()).then(|| {
        let noun = if missing.len() == 1 { "class" } else { "classes" };
        let title = format!("the palette `{name}` has no {noun} {}", missing.join(", "));
        let mut known: Vec<&str> = palette.colours.iter().filter_map(|(_, class)| *class).collect();
        known.dedup();
        let problem = Problem::error(title).at(span, "").note(format!("its classes are {}", known.join(", ")));
        problem.help("name the colours yourself: `palette = { \"128,64,128\" = \"road\" }`")
    });
    (pairs.collect(), problem.into_iter().collect())
}

/// Colours of the file, in its order.
fn own(typed: &Typed, classes: &[Class]) -> (Pairs, Vec<Problem>) {
    let (mut pairs, mut problems) = (Vec::new(), Vec::new());
    for (pair, span) in typed.value.elements().iter().zip(&typed.elements) {
        let [red, green, blue, class] = pair.elements() else { continue };
        let byte = |value: &Value| value.as_integer().and_then(|number| u8::try_from(number).ok()).unwrap_or_default();
        let name = class.as_text().unwrap_or_default();
        let value = match (index(name, classes), name == IGNORE) {
            (Some(_), true) => {
                let problem =
                    Problem::error(format!("`{IGNORE}` in a palette means no class, but a class has this name"));
                problems.push(problem.at(*span, "").help("give the class another name"));
                IGNORED
            }
            (Some(value), false) => value,
            (None, true) => IGNORED,
            (None, false) => {
                problems.push(no_class(name, *span, classes));
                IGNORED
            }
        };
        pairs.push(([byte(red), byte(green), byte(blue)], value));
    }
    (pairs, problems)
}

fn no_class(name: &str, span: Span, classes: &[Class]) -> Problem {
    let names = || classes.iter().map(|class| class.name.as_str());
    let problem = Problem::error(format!("`palette` names `{name}`, which is not a class"));
    let problem = problem.at(span, "expected a class, or \"ignore\"");
    problem.help_if(did_you_mean(name, names()).or_else(|| known_names("the classes", names())))
}

fn index(name: &str, classes: &[Class]) -> Option<u8> {
    classes.iter().position(|class| class.name == name).and_then(|index| u8::try_from(index).ok())
}
