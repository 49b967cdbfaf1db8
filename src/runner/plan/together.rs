//! Whether images of both domains that come into one image or batch have one size, checked before hours of training.
//!
//! Knows the size that all images of a data set have, and no image: of a data set with several sizes nothing is certain here, and a
//! training that cuts its images cuts all to one size. The rule is that of `ml` (`adapt`).

use crate::kind::Only;
use crate::kind::training::is_learnt_from;
use crate::measures::pixels;
use crate::pipeline::{DatasetId, Input, Pipeline, Problem, Stage, StageId};

/// The trainings that put pixels or images of both domains into one image or batch.
const PUTS_TOGETHER: Only = Only::on("mixed").or(&Only::is("masked_images", &["both"]));

/// The trainings among `stages` that would stop at their first step. `size`: the width and height of all images of a data set, if
/// they have one size.
pub fn problems(
    pipeline: &Pipeline,
    stages: impl Iterator<Item = StageId>,
    size: impl Fn(DatasetId) -> Option<[u32; 2]>,
) -> Vec<Problem> {
    stages.filter_map(|stage| problem(pipeline, pipeline.stage(stage), &size)).collect()
}

fn problem(pipeline: &Pipeline, stage: &Stage, size: &impl Fn(DatasetId) -> Option<[u32; 2]>) -> Option<Problem> {
    if !stage.is_training() || stage.parameter("crop").is_some() || !stage.meets(&PUTS_TOGETHER) {
        return None;
    }
    let of = |input: &Input| size(input.dataset()?);
    let target = stage.input("target")?;
    let target_size = of(target)?;
    let mut sources = stage.inputs.iter().filter(|input| is_learnt_from(&input.role));
    let first = sources.clone().next()?;
    // With several, the first step may draw from one that fits.
    if !sources.all(|source| of(source).is_some_and(|size| size != target_size)) {
        return None;
    }
    let name = |input: &Input| Some(&pipeline.dataset(input.dataset()?).name);
    let title = format!(
        "images of `{}` are {} and those of `{}` {}: `{}` puts both into one image or batch",
        name(first)?,
        pixels(of(first)?),
        name(target)?,
        pixels(target_size),
        stage.family,
    );
    let problem = Problem::error(title).at(target.span, "").beside(first.span, "");
    Some(problem.help("a `crop` in the training, or the same `size` in both data sets"))
}
