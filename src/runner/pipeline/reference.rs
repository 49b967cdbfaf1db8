//! Generates docs/pipeline-format.md from prose and the tables of `kind`.
//!
//! Knows nothing beyond these tables: the parser, the schema, this document and `manual` share one text per key.

use std::fmt::Write as _;

use super::value::Value;
use super::words::{expected, written};
use crate::kind::choosing::Score;
use crate::kind::losses::{LEARNING_RATE, LOSSES, Level, LossSpec};
use crate::kind::{
    self, KeySpec, Kind, Literal, Only, Presence, Role, ValueType, Variant, cache, classes, dataset, execution,
    executor, model, pipeline, training,
};

const PROSE: &str = include_str!("reference.md");
/// The position of the tables in the prose.
const MARK: &str = "{{tables}}\n";

/// The whole document.
pub fn text() -> String {
    PROSE.replacen(MARK, &tables(), 1)
}

fn section(kind: &Kind, keys: &str) -> String {
    let mut text = format!("### {}\n\n{}\n\n{keys}", kind.name, kind.summary);
    if let Some(key) = kind.items {
        text += &format!(
            "\nIt processes `{key}` item by item: findings of unchanged images are reused when others are added, removed or \
             changed, and [several jobs](#parallel-stages) can share them.\n"
        );
    }
    if !kind.exactly_one.is_empty() {
        text += &format!("\nExactly one of `{}` is required.\n", kind.exactly_one.join("` and `"));
    }
    if !kind.outputs.is_empty() {
        text += "\n| output | file | contents |\n|---|---|---|\n";
        for output in kind.outputs {
            let slash = if output.folder { "/" } else { "" };
            let only = output.only.map(|only| format!(" (only if {})", condition(only)));
            let (name, path, role) = (output.name, output.path, output.role.words());
            line(&mut text, format_args!("| `{name}` | `{path}{slash}` | {role}{} |", only.unwrap_or_default()));
        }
    }
    text + "\n"
}

fn tables() -> String {
    let mut text = String::from("## `[pipeline]`\n\n") + &keys(&[pipeline::KEYS]);
    text += "\nThe class sets:\n\n| name | classes: rare ones in italics, things in bold |\n|---|---|\n";
    for set in classes::SETS {
        let name = |class: &classes::Class| {
            let marks = [if class.rare { "*" } else { "" }, if class.thing { "**" } else { "" }].concat();
            [&marks, class.name, &marks].concat()
        };
        line(
            &mut text,
            format_args!("| `{}` | {} |", set.name, set.classes.iter().map(name).collect::<Vec<_>>().join(", ")),
        );
    }
    text += "\n## `[resources]`\n\nResources for running stages. Any other name with an integer defines a custom resource, such as `licence = 1`.\n\n";
    text += &keys(&[execution::RESOURCES]);
    text += &variants("[executors.<name>]", "kind", executor::SYSTEMS);
    text += "\n## `[cache]`\n\nShared caches, besides the cache folder: see [shared-cache.md](shared-cache.md).\n\n";
    text += &keys(&[cache::KEYS]);
    text += "\n`upstream` is a list of tables, in the order in which they are asked:\n\n";
    text += &keys(&[cache::UPSTREAM_KEYS]);
    text += "\n## `[[classes]]`\n\nCustom classes: one table per class, 2 to 254, in the order of their indices.\n\n";
    text += &keys(&[pipeline::CLASS_KEYS]);
    text += &variants("[datasets.<name>]", "format", dataset::FORMATS);
    text += &variants("[models.<name>]", "arch", model::ARCHS);
    text += "\n## `[stages.<name>]`\n\n`kind` selects what a stage does and its other keys.\n\n";
    text += &kind::ALL.iter().map(|kind| in_document(kind)).collect::<String>();
    text += "### Keys of every stage\n\nHow it is run, for all kinds.\n\n";
    text += &(keys(&[execution::KEYS]) + "\n");
    text += &("### Keys of every training\n\n".to_owned() + &keys(&[training::KEYS]) + "\n");
    text + &losses() + &scores()
}

/// What stands in a training's `losses.jsonl`.
fn losses() -> String {
    let mut text = format!(
        "### Losses of a training\n\n`losses.jsonl` has a line per iteration: `iteration`, from 0; the losses that the training \
         has, in this order, before their weights; `{LEARNING_RATE}`, the learning rate of the segmentation network's body. Older \
         files have all keys, with `null` for losses that the training lacks.\n\n\
         | loss | head | measures | unit |\n|---|---|---|---|\n"
    );
    for LossSpec { name, doc, unit, level, .. } in LOSSES {
        let head = match level {
            Level::Main => "main",
            Level::Aux => "auxiliary",
        };
        line(&mut text, format_args!("| `{name}` | {head} | {doc} | {unit} |"));
    }
    text + "\n"
}

/// What stands in a training's `candidates.jsonl`.
fn scores() -> String {
    let mut text = String::from(
        "### Scores of snapshots\n\nWith `candidates_every`, `candidates.jsonl` has a line per snapshot: `iteration`, the number of \
         steps done; the scores below, null if the network's output is not finite; `images`, how many images it was shown; \
         `pixels`, how many of their pixels were drawn for the density. No label is read. Images and pixels are the same for all \
         trainings on a data set. [paper.md](paper.md#scores-without-labels) has the equations and their sources. Each score can \
         be good for a bad network: the [report](report.md) shows what the choice cost where there are labels.\n\n\
         | score | measures | range | better |\n|---|---|---|---|\n",
    );
    for score in Score::ALL {
        let better = if score.prefers_large() { "more" } else { "less" };
        line(&mut text, format_args!("| `{}` | {} | {} | {better} |", score.key(), score.doc(), score.range()));
    }
    text + "\n"
}

/// In the document, shared keys are listed once.
fn in_document(kind: &Kind) -> String {
    const LINK: &str = "\nAnd the [keys of every training](#keys-of-every-training).\n";
    match kind.keys {
        [own, shared] if shared.len() == training::KEYS.len() => section(kind, &(keys(&[own]) + LINK)),
        all => section(kind, &keys(all)),
    }
}

fn variants(section: &str, by: &str, variants: &[Variant]) -> String {
    let mut text = format!("\n## `{section}`\n\n`{by}` selects one of the following.\n");
    for variant in variants {
        text += &format!("\n### {by} = \"{}\"\n\n{}\n\n{}", variant.name, variant.summary, keys(variant.keys));
    }
    text
}

fn keys(keys: &[&[KeySpec]]) -> String {
    let mut text = String::from("| key | takes | default | meaning |\n|---|---|---|---|\n");
    for key in keys.iter().copied().flatten() {
        let cells = [format!("`{}`", key.name), takes(key), default(key), meaning(key) + &origin(key)];
        line(&mut text, format_args!("| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | ")));
    }
    text
}

fn takes(key: &KeySpec) -> String {
    match key.value_type {
        ValueType::Choice(names) => quoted(names),
        ValueType::Choices(names) => format!("a list of some of {}", quoted(names)),
        value_type => expected(value_type),
    }
}

fn default(key: &KeySpec) -> String {
    match key.presence {
        Presence::Required => "required".to_owned(),
        Presence::Optional => "–".to_owned(),
        Presence::Default(literal) => literal_in_words(literal) + &other_defaults(key),
        Presence::OfPipeline => "the pipeline's".to_owned(),
    }
}

fn literal_in_words(literal: Literal) -> String {
    format!("`{}`", Value::from(literal).to_string().replace(',', ", "))
}

/// "; `0.99` if `method` is `"dacs"`", or nothing.
pub(super) fn other_defaults(key: &KeySpec) -> String {
    let others = key.defaults.iter();
    others.map(|(only, literal)| format!("; {} if {}", literal_in_words(*literal), condition(*only))).collect()
}

fn origin(key: &KeySpec) -> String {
    if key.origin.is_empty() { String::new() } else { format!(" *{}.*", key.origin) }
}

/// In sentences, without the origin of the default.
pub(super) fn meaning(key: &KeySpec) -> String {
    let only = key.only.map(|only| format!(" Only if {}.", condition(only)));
    let role = (key.role == Role::Execution).then_some(" Not part of the cache key.");
    let labels = match key.value_type {
        ValueType::Dataset { labels: true } => " Its labels are read.",
        ValueType::Datasets { labels: true } => " Their labels are read.",
        _ => "",
    };
    [key.doc, ".", labels, &only.unwrap_or_default(), role.unwrap_or_default()].concat()
}

pub(super) fn condition(only: Only) -> String {
    let conditions = only.alternatives().map(|only| match only.is {
        [] => format!("`{}` is set", only.key),
        values => format!("`{}` is {}", only.key, quoted(values)),
    });
    conditions.collect::<Vec<_>>().join(", or if ")
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{}`", written(name))).collect::<Vec<_>>().join(", ")
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("writing to a string can't fail");
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::{env, fs};

    /// The file must be what the tables give; with `INTRADA_BLESS=1` in the environment it is made so.
    fn is_up_to_date(file: &str, text: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(file);
        if env::var_os("INTRADA_BLESS").is_some() {
            fs::write(&path, text).unwrap();
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(found == text, "docs/{file} is out of date: run this test with INTRADA_BLESS=1");
    }

    #[test]
    fn the_document_is_what_the_tables_give() {
        is_up_to_date("pipeline-format.md", &super::text());
    }

    #[test]
    fn the_schema_beside_it_is_what_the_tables_give() {
        is_up_to_date("pipeline.schema.json", &super::super::schema::text());
    }
}
