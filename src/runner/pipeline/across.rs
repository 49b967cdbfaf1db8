//! Rules across the keys of one stage.
//!
//! Knows its kind and its values, and no other stage.

use super::problem::Problem;
use super::read::{Reader, Values};
use super::value::Value;
use super::words::stage_of;
use crate::kind::Kind;
use crate::kind::training::{ASKS_TEACHER, LEARNT_FROM, SHARES};

/// Checks the rules across the keys of one stage.
pub(super) fn check(reader: &mut Reader<'_>, kind: &Kind, values: &Values) {
    let alternatives: Vec<&str> = kind.exactly_one.iter().copied().filter(|key| values.has(key)).collect();
    match (kind.exactly_one, alternatives.as_slice()) {
        ([], _) | (_, [_]) => {}
        (keys, []) => {
            let title = format!("{} needs `{}`", stage_of(kind), keys.join("` or `"));
            reader.problems.push(Problem::error(title).at(values.header, "neither is there"));
        }
        (_, [first, second, ..]) => {
            let title = format!("{} takes `{first}` or `{second}`, not both", stage_of(kind));
            reader.problems.push(Problem::error(title).at(values.span(second), "").beside(values.span(first), ""));
        }
    }
    if let (Some(iterations), Some(schedule)) = (values.integer("iterations"), values.integer("schedule_iterations"))
        && iterations > schedule
    {
        let title =
            format!("`iterations` is more than `schedule_iterations`, {schedule}: the learning rate would be negative");
        let problem = Problem::error(title).at(values.span("iterations"), iterations.to_string());
        reader.problems.push(problem.help(format!("set schedule_iterations = {iterations} as well")));
    }
    if let (Some(iterations), Some(warmup)) = (values.integer("iterations"), values.integer("warmup_iterations"))
        && warmup > 0
        && warmup >= iterations
    {
        let title = format!(
            "the learning rate is still rising when the training ends: `warmup_iterations` is {warmup}, `iterations` {iterations}"
        );
        let problem = Problem::warning(title).at(values.span("iterations"), "");
        reader.problems.push(problem.help("set `warmup_iterations` to a small part of the iterations, or to 0"));
    }
    if let Some(sigma) = values.value("strong_blur_sigma")
        && let [Value::Number(least), Value::Number(most)] = sigma.elements()
        && least > most
    {
        let problem = Problem::error("`strong_blur_sigma` takes the least and then the largest deviation");
        reader.problems.push(problem.at(values.span("strong_blur_sigma"), format!("{least} is more than {most}")));
    }
    for apart in ["discriminator_init_main", "discriminator_init_aux"] {
        if values.has("discriminator_init") && values.has(apart) {
            let title = format!("`discriminator_init` initialises both levels, so it excludes `{apart}`");
            let problem =
                Problem::error(title).at(values.span(apart), "").beside(values.span("discriminator_init"), "");
            reader.problems.push(problem);
        }
    }
    if values.value("teacher") == Some(Value::Flag(false)) && values.applies(Some(ASKS_TEACHER)) == Some(true) {
        let title = "`teacher` is false, but this training learns from a teacher's labels";
        let problem = Problem::error(title).at(values.span("teacher"), "");
        reader.problems.push(
            problem.help("leave it out; or set `mixed = false`, and `masked = false` if target images are masked"),
        );
    }
    if let (Some(shares), Some(sources)) = (values.get(SHARES), values.get(LEARNT_FROM)) {
        let (count, shares_count) = (sources.texts().len(), shares.value.elements().len());
        if count != shares_count {
            let title = format!("`{SHARES}` has {shares_count} numbers for {count} data sets");
            reader.problems.push(Problem::error(title).at(shares.span, "").beside(sources.span, "the data sets"));
        }
    }
    if values.has("shards") && values.has("shard_items") {
        let title = "`shards` and `shard_items` both say how to split the images";
        let problem = Problem::error(title).at(values.span("shard_items"), "").beside(values.span("shards"), "");
        reader.problems.push(problem.help("keep one of them"));
    }
    if let Some(env) = values.get("env") {
        for (name, span) in env.texts() {
            if name.contains('=') {
                let problem =
                    Problem::error(format!("`env` takes names of variables, but `{name}` sets one")).at(span, "");
                reader.problems.push(problem.help("give only the name; the value comes from the environment"));
            }
        }
    }
}
