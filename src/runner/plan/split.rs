//! Whether λ leaves images in both parts, checked before hours of training.
//!
//! Knows how many images a data set has, and no score: the ranking itself determines which are easy, and makes the final
//! check if the data set is made by another stage.

use crate::pipeline::{DatasetId, InputSource, OutputId, Pipeline, Problem, Stage, StageId, Value};

/// The rankings among `stages` that would leave a part empty. `images`: their number, if known.
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
    // Computed like in the ranking: truncated, in double precision.
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
