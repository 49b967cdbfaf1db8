//! Whether λ leaves images in both parts, told before hours of training and not after.
//!
//! Knows how many images a data set has, and no score: which images are easy is found out by the ranking itself, which has
//! the last word where the data set is made by another stage.

use crate::pipeline::{DatasetId, InputSource, OutputId, Pipeline, Problem, Stage, StageId, Value};

/// The rankings among `stages` that would leave a part empty. `images`: how many there are, where that is known.
pub fn problems(
    pipeline: &Pipeline,
    stages: impl Iterator<Item = StageId>,
    images: impl Fn(DatasetId) -> Option<usize>,
) -> Vec<Problem> {
    stages.filter_map(|stage| problem(pipeline, pipeline.stage(stage), &images)).collect()
}

fn problem(pipeline: &Pipeline, stage: &Stage, images: &impl Fn(DatasetId) -> Option<usize>) -> Option<Problem> {
    let lambda = stage.parameters.iter().find(|parameter| parameter.name == "lambda")?;
    let Value::Number(share) = lambda.value else { return None };
    let InputSource::Output { output: OutputId { stage: scored, .. }, .. } = stage.input("scores")?.from else {
        return None;
    };
    let scored = pipeline.stage(scored);
    let scored_images = scored.input(scored.kind.items?)?;
    let InputSource::Dataset { dataset, .. } = scored_images.from else { return None };
    let all = images(dataset)?;
    // As the ranking cuts: truncated, in double precision.
    let easy = (all as f64 * share) as usize;
    if (1..all).contains(&easy) {
        return None;
    }
    let noun = if all == 1 { "image" } else { "images" };
    let title =
        format!("λ = {share} makes {easy} of {all} {noun} easy and {} hard; each part needs at least one", all - easy);
    let name = &pipeline.dataset(dataset).name;
    Some(Problem::error(title).at(lambda.span, "").beside(scored_images.span, format!("`{name}` has {all} {noun}")))
}
