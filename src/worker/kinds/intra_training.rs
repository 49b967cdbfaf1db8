//! `intra-training`: from the easy part of the target, with its pseudo-labels, to the hard part. The same loop.

use std::collections::HashMap;

use intrada_data::order::Order;
use intrada_data::rank;
use intrada_data::source;
use intrada_work::datasets::Part;
use intrada_work::{Failure, Notes, Work};
use serde::Deserialize;

use crate::training;

pub(super) fn perform(work: &Work) -> Result<Notes, Failure> {
    let labels = work.linked_folder("easy")?;
    let labelled = |name: &String| source::map_file(name).is_ok_and(|file| labels.join(file).exists());
    let names = work.sample_names("images")?;
    let easy: Vec<String> = names.iter().filter(|name| labelled(name)).cloned().collect();
    let all = work.folder("easy")?.len();
    if easy.len() != all {
        let message = format!("{all} images have pseudo-labels, but {} of the data set do", easy.len());
        return Err(Failure::advised(message, "pseudo-labels and images must come from the same data set"));
    }
    let easy = work.part("images", Part { names: easy, labels: Some(labels) })?;
    let hard = match work.output_of_stage("hard").ok() {
        Some(list) => {
            let names = in_order(rank::files::read_split(list)?, &names, work.parameters::<Visited>()?.order);
            Some(work.part("images", Part { names, labels: None })?)
        }
        None => None,
    };
    training::train(work, vec![easy], hard.as_ref())
}

#[derive(Deserialize)]
struct Visited {
    order: Order,
}

/// Both parts are read in the order of the data set if the pipeline asks for it. A shuffle permutes positions in the list,
/// which are ranks.
fn in_order(mut hard: Vec<String>, all: &[String], order: Order) -> Vec<String> {
    if order == Order::Sequential {
        let places: HashMap<&str, usize> = all.iter().enumerate().map(|(place, name)| (name.as_str(), place)).collect();
        // A missing one is reported later.
        hard.sort_by_key(|name| places.get(name.as_str()).copied().unwrap_or(usize::MAX));
    }
    hard
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequential_is_the_order_of_the_data_set_whatever_the_ranks_are() {
        let names = |names: [&str; 3]| names.map(str::to_owned).to_vec();
        let all = names(["a", "b", "c"]);
        assert_eq!(in_order(names(["c", "a", "b"]), &all, Order::Sequential), all);
        assert_eq!(in_order(names(["c", "x", "a"]), &all, Order::Sequential), names(["a", "c", "x"]));
        assert_eq!(in_order(names(["c", "a", "b"]), &all, Order::Shuffle), names(["c", "a", "b"]));
    }
}
