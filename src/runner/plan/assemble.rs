//! A stage and what its inputs turned out to be → its manifest.
//!
//! Knows which parameters have a meaning and which facts about the classes a kind reads; asks nothing of the file system.
//! Only what a stage reads enters: renaming a class leaves a training alone, a new colour redraws pictures and no more.

use std::collections::BTreeMap;
use std::ffi::OsString;

use crate::kind::{ClassFact, Role, Runs};
use crate::spec::{Class, Pipeline, Stage, Value};

use super::manifest::{Ingredient, Manifest};

/// The manifest of `stage` with `inputs` by role.
pub fn manifest(pipeline: &Pipeline, stage: &Stage, inputs: BTreeMap<String, Ingredient>) -> Manifest {
    let meaning = stage.parameters.iter().filter(|parameter| parameter.role == Role::Meaning);
    let mut parameters: BTreeMap<String, String> =
        meaning.map(|parameter| (parameter.name.clone(), shown(&parameter.value))).collect();
    for fact in stage.kind.classes {
        let (name, value) = class_fact(*fact, &pipeline.classes);
        parameters.insert(name.to_owned(), value);
    }
    let outputs = match stage.kind.runs {
        Runs::Worker => stage.outputs.iter().map(|output| output.name.clone()).collect(),
        Runs::Command => stage.outputs.iter().map(|output| output.path.to_string_lossy().into_owned()).collect(),
    };
    Manifest {
        kind: stage.kind.name.to_owned(),
        revision: stage.kind.revision,
        parameters,
        inputs,
        outputs,
        environment: environment(stage).into_iter().map(|(name, value)| (name, value.map(as_text))).collect(),
    }
}

/// The value of a variable as text, different for different values. One that isn't UTF-8 is escaped behind a zero character,
/// which no variable can hold.
fn as_text(value: OsString) -> String {
    value.into_string().unwrap_or_else(|value| format!("\0{}", value.as_encoded_bytes().escape_ascii()))
}

/// The declared environment variables of a command, as they are now.
pub fn environment(stage: &Stage) -> BTreeMap<String, Option<OsString>> {
    let Some(Value::List(names)) = stage.parameter("env") else { return BTreeMap::new() };
    let names = names.iter().filter_map(|name| match name {
        Value::Text(name) => Some(name.clone()),
        _ => None,
    });
    names
        .map(|name| {
            let value = std::env::var_os(&name);
            (name, value)
        })
        .collect()
}

/// Texts go in bare, so that `why` reads `normalize none → rare-classes-code`; the field says that it is a text.
fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        value => value.canonical(),
    }
}

fn class_fact(fact: ClassFact, classes: &[Class]) -> (&'static str, String) {
    let list = |of: &dyn Fn(&Class) -> Value| Value::List(classes.iter().map(of).collect()).canonical();
    match fact {
        ClassFact::Count => ("classes.count", classes.len().to_string()),
        ClassFact::Names => ("classes.names", list(&|class| Value::Text(class.name.clone()))),
        ClassFact::Rare => ("classes.rare", list(&|class| Value::Flag(class.rare))),
        ClassFact::Colours => {
            let hex = |[r, g, b]: [u8; 3]| Value::Text(format!("{r:02x}{g:02x}{b:02x}"));
            ("classes.colours", list(&|class| hex(class.colour)))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn two_values_of_a_variable_have_two_texts_though_neither_is_text() {
        let text = |bytes: &[u8]| as_text(OsString::from_vec(bytes.to_vec()));
        assert_eq!(text("Zürich".as_bytes()), "Zürich");
        let values: [&[u8]; 5] = [b"\xff", b"\xfe", b"\\xff", b"\xff\\", "\u{fffd}".as_bytes()];
        let texts: std::collections::BTreeSet<String> = values.into_iter().map(text).collect();
        assert_eq!(texts.len(), values.len());
    }
}
