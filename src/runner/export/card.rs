//! The model card: `README.md` with the metadata that model hubs read.
//!
//! Makes no judgement: results of a single seed, and of networks chosen with labels, are marked as such. Names come from other
//! people's files, so they are escaped for YAML, Markdown and HTML. The terms of the data sets aren't known here, only mentioned.

use std::fmt::Write;

use serde_json::json;

use super::config::{arch, config};
use super::provenance;
use super::seeds::Repeated;
use super::subject::{Found, Network};
use crate::kind::Role;
use crate::kind::choosing::Score;
use crate::kind::dataset::Fit;
use crate::kind::training::CHOOSE_BY;
use crate::measures::plural;
use crate::pipeline::{InputSource, Parameter, Stage, Value, Which};
use crate::shown::{STAND_IN, is_harmful};
use intrada_statistics::spread::Spread;

/// `README.md`; `usage` is the section on how the folder is used.
pub(super) fn card(network: &Network<'_>, usage: &str) -> String {
    let mut text = head(network);
    let pipeline = network.pipeline();
    let (stage, count) = (network.stage(), pipeline.classes.len());
    let which = match (network.is_trained(), network.which(network.output)) {
        (false, _) => "imported from a published file",
        (true, Which::Best) => "the best network of the training by mIoU on labelled images",
        (true, Which::Last) => "the network after the last step of the training",
        (true, Which::Chosen) => "the network of the training that had the best score on images without labels",
        (true, Which::Teacher) => {
            "the teacher of the training: the average of its network over time, after the last step"
        }
    };
    let _ = write!(
        text,
        "# {} of {}\n\nSemantic segmentation into {count} classes: {}. This is {which}, `{}` by {}.\n\n{usage}",
        inline(&stage.name),
        inline(&pipeline.name),
        listed(pipeline.classes.iter().map(|class| inline(&class.name))),
        arch(network),
        inline(&method(network)),
    );
    let about = &pipeline.about;
    if !about.description.is_empty() {
        let _ = write!(text, "\n## The experiment\n\n{}\n", inline(&about.description));
    }
    text += &results(network);
    text += &trained_on(network);
    text += &parameters(network);
    text += &lineage(network);
    text
}

fn method(network: &Network<'_>) -> String {
    let stage = network.stage();
    match stage.parameter("method").and_then(Value::as_text) {
        Some(method) => format!("{} ({method})", stage.kind.name),
        None => stage.kind.name.to_owned(),
    }
}

/// JSON is valid YAML, so any text is safe as a JSON string.
fn head(network: &Network<'_>) -> String {
    let name = format!("{}-{}", network.pipeline().name, network.stage().name);
    let own = network.results.iter().filter(|found| found.output == network.output);
    let results: Vec<_> = own
        .filter_map(|found| {
            let dataset = network.pipeline().dataset(found.dataset);
            let metric = json!({"type": "mean_iou", "name": "mIoU", "value": found.measured.miou?});
            Some(json!({
                "task": {"type": "image-segmentation"},
                "dataset": {"name": dataset.name, "type": dataset.format_name()},
                "metrics": [metric],
            }))
        })
        .collect();
    let mut head = String::from("---\npipeline_tag: image-segmentation\ntags:\n");
    let usual = ["semantic-segmentation", "domain-adaptation", "intrada"];
    let own = network.pipeline().about.tags.iter().filter(|tag| !usual.contains(&tag.as_str()));
    for tag in usual.into_iter().map(str::to_owned).chain(own.map(|tag| json!(tag).to_string())) {
        let _ = writeln!(head, "- {tag}");
    }
    // Hubs refuse an index without results.
    if !results.is_empty() {
        let _ = writeln!(head, "model-index: {}", json!([{"name": name, "results": results}]));
    }
    head + "---\n\n"
}

fn results(network: &Network<'_>) -> String {
    let mut text = String::from("\n## Results\n\n");
    let few: Vec<String> = network.target_labels().into_iter().map(inline).collect();
    if !few.is_empty() {
        let _ = write!(
            text,
            "This network has learnt from labels of target images, {}, so no result of it is that of a method without target \
             labels.\n\n",
            few.join(", ")
        );
    }
    if network.results.is_empty() {
        return text + "No evaluation of this training in the pipeline is up to date.\n";
    }
    text += &repeated(network);
    let column = |found: &Found| {
        let which = match (network.is_trained(), network.which(found.output)) {
            (false, _) => "imported",
            (true, Which::Best) => "best",
            (true, Which::Last) => "last",
            (true, Which::Chosen) => "chosen without labels",
            (true, Which::Teacher) => "teacher",
        };
        let this = if found.output == network.output { ", this file" } else { "" };
        let dataset = &network.pipeline().dataset(found.dataset).name;
        let images = plural(found.measured.images as usize, "image");
        format!("{which}{this}: {}, {} ({images})", inline(&found.evaluation), inline(dataset))
    };
    let mut row = |name: &str, cell: &dyn Fn(&Found) -> String| {
        let cells: Vec<String> = network.results.iter().map(cell).collect();
        let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
    };
    let percent = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{:.1}", 100.0 * value));
    row("", &column);
    row("---", &|_| "---:".to_owned());
    row("mIoU", &|found| percent(found.measured.miou));
    for class in &network.pipeline().classes {
        row(&inline(&class.name), &|found| percent(found.measured.iou.get(&class.name).copied().flatten()));
    }
    let has = |which: Which| network.results.iter().any(|found| network.which(found.output) == which);
    if let Some(labelled) = network.chosen_on().filter(|_| has(Which::Best)) {
        let labelled = inline(labelled);
        let _ = write!(
            text,
            "\n*Best* was chosen by its mIoU on the labelled images of {labelled}, so it is not the result of a \
             method without target labels. *Last* was not chosen.\n"
        );
    }
    if network.which(network.output) == Which::Chosen || has(Which::Chosen) {
        text += &chosen_without_labels(network).unwrap_or_default();
    }
    text
}

/// How the network was chosen that no label has chosen.
fn chosen_without_labels(network: &Network<'_>) -> Option<String> {
    let (pipeline, stage) = (network.pipeline(), network.stage());
    let dataset = inline(&pipeline.dataset(pipeline.scored_on(stage)?).name);
    let score = Score::find(stage.parameter(CHOOSE_BY)?.as_text()?)?.words();
    Some(format!(
        "\n*Chosen without labels* is the snapshot of the training with the best {score} on images of {dataset}, of which no label \
         was read.\n"
    ))
}

/// The seeds behind the numbers.
fn repeated(network: &Network<'_>) -> String {
    let Repeated { seeds, rows } = &network.repeated;
    if rows.is_empty() {
        return "IoU in %, single seed; a difference between two single runs says little.\n\n".to_owned();
    }
    let seeds = listed(seeds.iter().map(|seed| inline(seed)));
    let mut text = format!("mIoU in %, mean ± standard deviation over the trainings with the seeds {seeds}:\n\n");
    text += "| evaluation | trainings | last | best |\n| --- | ---: | ---: | ---: |\n";
    let cell = |spread: Option<Spread>| spread.map_or("–".to_owned(), |spread| spread.percent());
    for row in rows {
        let (evaluation, dataset) = (inline(&row.evaluation), inline(&row.dataset));
        let (last, best) = (cell(row.last), cell(row.best));
        let _ = writeln!(text, "| {evaluation}, {dataset} | {} | {last} | {best} |", row.measured);
    }
    text + "\nThis network only, IoU in %:\n\n"
}

fn trained_on(network: &Network<'_>) -> String {
    let mut text = String::from("\n## Trained on\n\n");
    // Description of a data set → its roles, in order of first use.
    let mut said: Vec<(String, Vec<String>)> = Vec::new();
    for done in &network.lineage {
        let stage = network.pipeline().stage(done.stage);
        for input in &stage.inputs {
            let InputSource::Dataset { dataset, labels } = input.from else { continue };
            let dataset = network.pipeline().dataset(dataset);
            let count = done.samples.iter().find(|(role, _)| *role == input.role).map(|(_, count)| *count);
            let count = count.map(|count| format!(", {count} images")).unwrap_or_default();
            let labels = if labels { "with labels" } else { "labels not read" };
            let what = format!("{}: {}{count}, {labels}", inline(&dataset.name), dataset.format_name());
            let role = format!("`{}` of {}", input.role, inline(&stage.name));
            match said.iter_mut().find(|(said, _)| *said == what) {
                Some((_, roles)) => roles.push(role),
                None => said.push((what, vec![role])),
            }
        }
    }
    for (what, roles) in &said {
        let _ = writeln!(text, "* {what}, as {}", roles.join(", "));
    }
    if said.is_empty() {
        text += "Unknown: the weights come from a file.\n";
    }
    text + "\nMost published data sets allow research only, which may extend to networks trained on them. No licence is \
         stated here; check the terms before you distribute this network. It was not evaluated on images other than those of \
         the results: it is not for safety-critical use.\n"
}

fn parameters(network: &Network<'_>) -> String {
    let mut text =
        String::from("\n## Parameters that differ from the defaults\n\n| stage | parameter | value | default |\n");
    text += "| --- | --- | --- | --- |\n";
    for done in &network.lineage {
        let stage = network.pipeline().stage(done.stage);
        for parameter in stage.parameters.iter().filter(|parameter| parameter.role == Role::Meaning) {
            let Some(default) = differs(stage, parameter) else { continue };
            let value = inline(&parameter.value.canonical());
            let _ = writeln!(text, "| {} | `{}` | {value} | {default} |", inline(&stage.name), parameter.name);
        }
    }
    text
}

/// The default of a parameter, if its value differs. Always given for the seed.
fn differs(stage: &Stage, parameter: &Parameter) -> Option<String> {
    stage.key_of(parameter)?;
    match stage.default_of(parameter) {
        Some(default) if default == parameter.value => None,
        Some(default) => Some(inline(&default.canonical())),
        None => Some("–".to_owned()),
    }
}

fn lineage(network: &Network<'_>) -> String {
    let config = config(network);
    let size = match network.size() {
        Some([width, height]) if network.scaling().fit == Fit::Box => {
            format!("in a box of {width} × {height} pixels, aspect ratio kept")
        }
        Some([width, height]) => format!("{width} × {height} pixels"),
        None => "as stored".to_owned(),
    };
    let seed = network.stage().parameter("seed").map(Value::canonical).unwrap_or_default();
    let made_with = network.made_with().map(|line| format!("| computed with | {} |\n", inline(&line)));
    let commit = network.commit().map(|commit| format!("| commit of the workspace | {} |\n", inline(&commit)));
    format!(
        "\n## Provenance\n\n| | |\n| --- | --- |\n| seed | {seed} |\n{}{}| image size | {size} |\n| preprocessing | {} |\n\
         | key | `{}` |\n| lineage digest | `{}` |\n\n\
         `{}` (RO-Crate 1.1) lists this stage and all before it with inputs, outputs, parameters and times. The key identifies \
         the computation in the cache of intrada; the lineage digest is a hash over the keys and outputs of these stages.\n",
        commit.unwrap_or_default(),
        made_with.unwrap_or_default(),
        inline(&config["preprocessing"]["channel_order"].as_str().unwrap_or_default().to_uppercase())
            + &format!(", (x − {}) / {}", config["preprocessing"]["mean"], config["preprocessing"]["scale"]),
        network.done().key,
        provenance::digest(&network.lineage),
        provenance::FILE,
    )
}

fn listed(words: impl Iterator<Item = String>) -> String {
    words.collect::<Vec<_>>().join(", ")
}

/// Escapes characters special to Markdown or HTML as entities.
fn inline(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            '\n' | '\r' | '\t' => out.push(' '),
            '&' | '<' | '>' | '|' | '`' | '*' | '\\' | '[' | ']' | '!' | '~' | '$' | '#' => {
                let _ = write!(out, "&#{};", u32::from(character));
            }
            // Harmless inside words, and frequent in names.
            '_' if !out.ends_with(|before: char| before.is_alphanumeric()) => out.push_str("&#95;"),
            harmful if is_harmful(harmful) => out.push(STAND_IN),
            character => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_is_markup() {
        let hostile = "<script>alert(1)</script>|`x`[a](javascript:b)\n# ![](c) **d** \u{1b}[31m";
        let shown = inline(hostile);
        assert!(!shown.contains(['<', '>', '|', '`', '[', ']', '\n', '*', '\u{1b}']), "{shown}");
        assert_eq!(inline("traffic light, größer_als-1"), "traffic light, größer_als-1", "plain names stay readable");
    }
}
