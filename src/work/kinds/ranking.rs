//! `ranking`: scores → an easy and a hard list (IntraDA, eq. 4).

use intrada_data::rank::{self, Normalize, files};
use serde::Deserialize;

use super::summary;
use crate::work::{Failure, Notes, Work};

#[derive(Deserialize)]
struct Parameters {
    lambda: f64,
    normalize: Normalize,
}

pub(super) fn perform(work: &Work) -> Result<Notes, Failure> {
    let parameters: Parameters = work.parameters()?;
    let scores = files::read_scores(work.output_of_stage("scores")?)?;
    let rare = work.job.classes.iter().filter(|class| class.rare).count() as u32;
    let ranking = rank::rank(&scores, parameters.lambda, parameters.normalize, rare)?;
    let names = |part: &[rank::Ranked]| files::split_text(part.iter().map(|ranked| ranked.image.as_str()));
    std::fs::write(work.output("easy_split.txt")?, names(&ranking.easy))?;
    std::fs::write(work.output("hard_split.txt")?, names(&ranking.hard))?;
    std::fs::write(work.output("ranking.csv")?, files::ranking_csv(&ranking))?;
    let cut = ranking.hard.first().map_or(f64::NAN, |first| first.score);
    Ok(summary(format!("{} easy, {} hard, cut at {cut:.4}", ranking.easy.len(), ranking.hard.len())))
}
