//! The JSON Schema of the pipeline file, for editors: completion, hover texts, red underlines while typing.
//!
//! Generated from the tables of `kind`, so it agrees with the parser. Self-contained, draft 2020-12. It covers single tables;
//! only the program checks names and rules across stages.

use serde_json::{Map, Value as Json, json};

use super::reference::other_defaults;
use super::value::Value;
use crate::kind::{
    self, Interval, KeySpec, Keys, Presence, Runs, ValueType, Variant, all, cache, dataset, execution, executor, model,
    pipeline,
};

/// The names of stages, data sets, models and pipelines.
const NAME: &str = "^[A-Za-z0-9_-]{1,100}$";

/// The schema, as printed by `intrada-run schema`. Ends with a line feed.
pub fn text() -> String {
    format!("{:#}\n", schema())
}

/// The schema.
pub fn schema() -> Json {
    let kinds = kind::ALL.iter().map(|kind| Form {
        name: kind.name,
        summary: kind.summary,
        keys: kind.keys,
        shared: execution::KEYS,
        exactly_one: kind.exactly_one,
        sweeps: Some(kind.runs == Runs::Command),
    });
    let variants = |variants: &'static [Variant]| {
        variants.iter().map(|variant| Form {
            name: variant.name,
            summary: variant.summary,
            keys: variant.keys,
            shared: &[],
            exactly_one: &[],
            sweeps: None,
        })
    };
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "intrada pipeline",
        "description": "A pipeline for unsupervised intra-domain adaptation of semantic segmentation.",
        "type": "object",
        "required": ["format", "stages"],
        "additionalProperties": false,
        "properties": {
            "format": { "const": pipeline::FORMAT, "description": "The version of the file format." },
            "pipeline": table(&[pipeline::KEYS], &[], "Settings for all stages."),
            "resources": resources(),
            "executors": named("Batch systems to run stages on.", choice("kind", variants(executor::SYSTEMS))),
            "cache": cache(),
            "classes": {
                "description": "The classes by index, if `classes` of [pipeline] names no set.",
                "type": "array",
                "minItems": pipeline::CLASS_COUNT.start(),
                "maxItems": pipeline::CLASS_COUNT.end(),
                "items": table(&[pipeline::CLASS_KEYS], &[], "A class."),
            },
            "datasets": named("Where images come from.", choice("format", variants(dataset::FORMATS))),
            "models": named("The networks.", choice("arch", variants(model::ARCHS))),
            "stages": named("The stages. A stage that names another runs after it.", choice("kind", kinds)),
        },
    })
}

/// `[resources]`: its own keys, and any other name with a number.
fn resources() -> Json {
    let mut table = table(&[execution::RESOURCES], &[], "Resources for running stages.");
    table["additionalProperties"] = json!({ "type": "integer", "minimum": 1 });
    table
}

/// `[cache]`.
fn cache() -> Json {
    let mut section =
        table(&[cache::KEYS], &[], "Shared caches, besides the cache folder, and who vouches for their results.");
    section["properties"][cache::UPSTREAM] = json!({
        "description": "Shared caches, in the order in which they are asked.",
        "type": "array",
        "items": table(&[cache::UPSTREAM_KEYS], &[], "A shared cache."),
    });
    section
}

/// A form of a table that a key selects.
struct Form {
    name: &'static str,
    summary: &'static str,
    keys: Keys,
    /// Additional keys, the same for every form.
    shared: &'static [KeySpec],
    exactly_one: &'static [&'static str],
    /// Whether its matrix may have axes that aren't keys; `None`: it has no matrix.
    sweeps: Option<bool>,
}

/// A section that holds tables by name.
fn named(description: &str, table: Json) -> Json {
    json!({
        "description": description,
        "type": "object",
        "additionalProperties": false,
        "patternProperties": { NAME: table },
    })
}

/// A table whose form the key `by` selects.
fn choice(by: &str, forms: impl Iterator<Item = Form> + Clone) -> Json {
    let then = |form: Form| {
        let mut table = table(form.keys, form.exactly_one, form.summary);
        if let Some(is_free) = form.sweeps {
            may_be_swept(&mut table, matrix(form.keys, is_free));
        }
        table["properties"][by] = json!({ "const": form.name, "description": form.summary });
        for key in form.shared {
            table["properties"][key.name] = property(key);
        }
        json!({ "if": { "properties": { by: { "const": form.name } }, "required": [by] }, "then": table })
    };
    let summaries: Vec<String> = forms.clone().map(|form| format!("{}: {}", form.name, form.summary)).collect();
    json!({
        "type": "object",
        "required": [by],
        "properties": {
            by: {
                "enum": forms.clone().map(|form| form.name).collect::<Vec<_>>(),
                "description": summaries.join("\n"),
            },
        },
        "allOf": forms.map(then).collect::<Vec<_>>(),
    })
}

/// Adds `matrix`. Keys that it sets may be missing in the table, so the program checks for missing keys then.
fn may_be_swept(table: &mut Json, matrix: Json) {
    table["properties"]["matrix"] = matrix;
    let mut rules = Map::new();
    for rule in ["required", "allOf", "oneOf"] {
        rules.extend(table.as_object_mut().and_then(|table| table.remove(rule)).map(|value| (rule.to_owned(), value)));
    }
    table["if"] = json!({ "not": { "required": ["matrix"] } });
    table["then"] = json!(rules);
}

/// `matrix`: any key of the stage may be an axis; a command's are free.
fn matrix(keys: Keys, is_free: bool) -> Json {
    let scalar = || json!({ "type": ["string", "number", "boolean"] });
    let others = |value: Json| if is_free { value } else { json!(false) };
    let axis = |items: Json| json!({ "type": "array", "items": items, "minItems": 1, "uniqueItems": true });
    let mut axes: Map<String, Json> =
        all(keys).map(|key| (key.name.to_owned(), axis(values(key.value_type)))).collect();
    let cells: Map<String, Json> = all(keys).map(|key| (key.name.to_owned(), values(key.value_type))).collect();
    let list = |additional: Json, description: &str| {
        json!({
            "description": description,
            "type": "array",
            "items": {
                "type": "object",
                "minProperties": 1,
                "additionalProperties": additional,
                "properties": cells,
            },
        })
    };
    let include = "extends each combination of the axes that it doesn't contradict, else adds a new one";
    axes.insert("include".to_owned(), list(others(scalar()), include));
    // May name axes of other stages, so any name is valid.
    let exclude = "combinations to remove; may name axes of the stages that are read";
    axes.insert("exclude".to_owned(), list(scalar(), exclude));
    json!({
        "description": "Turns the stage into a sweep: a list of values for each key that varies. Dependents are generated per \
                        member.",
        "type": "object",
        "minProperties": 1,
        "additionalProperties": others(axis(scalar())),
        "properties": axes,
    })
}

fn table(keys: Keys, exactly_one: &[&str], description: &str) -> Json {
    let properties: Map<String, Json> = all(keys).map(|key| (key.name.to_owned(), property(key))).collect();
    let required = |key: &&KeySpec| key.presence == Presence::Required;
    let always: Vec<&str> = all(keys).filter(required).filter(|key| key.only.is_none()).map(|key| key.name).collect();
    let sometimes = all(keys).filter(required).filter_map(|key| {
        let only = key.only?;
        let conditions = only.alternatives().map(|only| match only.is {
            [] => json!({ "required": [only.key] }),
            values => {
                let values: Vec<Json> = values.iter().map(|value| condition_value(value)).collect();
                json!({ "properties": { only.key: { "enum": values } }, "required": [only.key] })
            }
        });
        let mut conditions: Vec<Json> = conditions.collect();
        let condition = if conditions.len() == 1 { conditions.remove(0) } else { json!({ "anyOf": conditions }) };
        Some(json!({ "if": condition, "then": { "required": [key.name] } }))
    });
    let mut table = json!({
        "description": description,
        "type": "object",
        "additionalProperties": false,
        "required": always,
        "properties": properties,
    });
    let sometimes: Vec<Json> = sometimes.collect();
    if !sometimes.is_empty() {
        table["allOf"] = json!(sometimes);
    }
    if !exactly_one.is_empty() {
        table["oneOf"] = exactly_one.iter().map(|key| json!({ "required": [key] })).collect();
    }
    table
}

/// A value of a condition: a boolean, or a string.
fn condition_value(value: &str) -> Json {
    value.parse::<bool>().map_or_else(|_| json!(value), |flag| json!(flag))
}

fn property(key: &KeySpec) -> Json {
    let mut property = values(key.value_type);
    let mut description = key.doc.to_owned();
    if let Some(only) = key.only {
        let conditions = only.alternatives().map(|only| {
            let condition = if only.is.is_empty() { "set".to_owned() } else { only.is.join(" or ") };
            format!("{} is {condition}", only.key)
        });
        description += &format!(" (only if {})", conditions.collect::<Vec<_>>().join(", or "));
    }
    match key.presence {
        Presence::Default(literal) => property["default"] = json!(Value::from(literal)),
        Presence::OfPipeline => description += "; default: that of [pipeline]",
        Presence::Required | Presence::Optional => {}
    }
    description += &other_defaults(key).replace('`', "");
    if !key.origin.is_empty() {
        description += &format!(" — {}", key.origin);
    }
    property["description"] = json!(description);
    property
}

fn values(value_type: ValueType) -> Json {
    let text = || json!({ "type": "string", "minLength": 1 });
    let texts = |least: usize| json!({ "type": "array", "items": text(), "minItems": least });
    let several =
        |items: Json, count: usize| json!({ "type": "array", "items": items, "minItems": count, "maxItems": count });
    let byte = || json!({ "type": "integer", "minimum": 0, "maximum": 255 });
    let cpu = json!({ "type": "integer", "minimum": 1, "description": "CPU threads" });
    let mut memory = size();
    memory["description"] = json!("memory, with unit");
    let mut time = duration();
    time["description"] = json!("time limit of its job, on an executor other than `local`");
    match value_type {
        ValueType::Flag => json!({ "type": "boolean" }),
        ValueType::Integer { min, max: i64::MAX } => json!({ "type": "integer", "minimum": min }),
        ValueType::Integer { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        ValueType::OneOf(numbers) => json!({ "enum": numbers }),
        ValueType::Number(interval) => number(interval),
        ValueType::Pair(interval) => several(number(interval), 2),
        ValueType::Numbers(interval) => json!({ "type": "array", "items": number(interval), "minItems": 1 }),
        ValueType::Size => several(json!({ "type": "integer", "minimum": 1, "maximum": crate::kind::MAX_SIDE }), 2),
        ValueType::Colour => several(byte(), 3),
        ValueType::Choice(names) => json!({ "enum": names }),
        ValueType::Choices(names) => json!({ "type": "array", "items": { "enum": names }, "minItems": 1 }),
        ValueType::Text | ValueType::Path | ValueType::Folder | ValueType::Executor => text(),
        ValueType::Dataset { .. } | ValueType::Model => text(),
        ValueType::Stage(_) | ValueType::StageOrFile(_) => text(),
        ValueType::Datasets { .. } | ValueType::Stages(_) | ValueType::StagesOrFiles(_) => {
            json!({ "anyOf": [text(), texts(1)] })
        }
        ValueType::Texts | ValueType::OutputPaths => texts(1),
        ValueType::Paths => texts(0),
        ValueType::Duration => duration(),
        ValueType::Bytes => size(),
        ValueType::Amounts => json!({
            "type": "object",
            "properties": { "memory": memory, "cpu": cpu, "time": time },
            "additionalProperties": { "type": "integer", "minimum": 0 },
        }),
        ValueType::LabelMap => json!({
            "type": "object",
            "propertyNames": { "pattern": "^(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])$" },
            "additionalProperties": byte(),
        }),
        ValueType::Palette(names) => {
            let part = "(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])";
            let colours = json!({
                "type": "object",
                "minProperties": 1,
                "propertyNames": { "pattern": format!("^ *{part} *, *{part} *, *{part} *$") },
                "additionalProperties": text(),
            });
            json!({ "anyOf": [{ "enum": names }, colours] })
        }
    }
}

fn duration() -> Json {
    json!({ "type": "string", "pattern": "^([0-9.]+ *(s|min|h|d|w) *)+$" })
}

fn size() -> Json {
    json!({ "type": "string", "pattern": r"^[0-9.]+ *(bytes|kB|MB|GB|TB|KiB|MiB|GiB|TiB)$" })
}

fn number(interval: Interval) -> Json {
    let mut number = json!({ "type": "number" });
    number[if interval.open_below { "exclusiveMinimum" } else { "minimum" }] = json!(interval.min);
    if interval.max.is_finite() {
        number[if interval.open_above { "exclusiveMaximum" } else { "maximum" }] = json!(interval.max);
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys of a table with what the schema says of each, wherever the table stands.
    fn properties<'a>(schema: &'a Json, found: &mut Vec<(&'a str, &'a Json)>) {
        match schema {
            Json::Object(map) => {
                for (name, inner) in map {
                    match (name.as_str(), inner) {
                        ("properties", Json::Object(keys)) if map.get("description").is_some() => {
                            found.extend(keys.iter().map(|(key, value)| (key.as_str(), value)));
                            // A matrix holds the keys of its stage again.
                            let others = keys.iter().filter(|(key, _)| *key != "matrix");
                            others.for_each(|(_, value)| properties(value, found));
                        }
                        _ => properties(inner, found),
                    }
                }
            }
            Json::Array(list) => list.iter().for_each(|inner| properties(inner, found)),
            _ => {}
        }
    }

    #[test]
    fn every_key_has_a_description_and_every_default_of_the_tables_is_told() {
        let schema = schema();
        let mut found = Vec::new();
        properties(&schema, &mut found);
        assert!(found.len() > 150, "{}", found.len());
        for (key, value) in &found {
            assert!(value["description"].as_str().is_some_and(|text| text.len() > 2), "{key}: {value}");
        }
        let kinds = kind::ALL.iter().flat_map(|kind| all(kind.keys));
        let others = all(&[pipeline::KEYS, pipeline::CLASS_KEYS, execution::KEYS, execution::RESOURCES]);
        let variants =
            dataset::FORMATS.iter().chain(model::ARCHS).chain(executor::SYSTEMS).flat_map(|variant| all(variant.keys));
        for key in kinds.chain(others).chain(variants) {
            if let Presence::Default(literal) = key.presence {
                let default = json!(Value::from(literal));
                let is_told = found.iter().any(|(name, value)| *name == key.name && value["default"] == default);
                assert!(is_told, "{} = {default}", key.name);
            }
        }
    }
}
