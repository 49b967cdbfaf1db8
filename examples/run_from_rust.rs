//! Runs a pipeline from Rust, with a custom reporter: `cargo run --example run_from_rust -- examples/words.toml`.
//!
//! `intrada-run` is a thin command line over the same crate; a notebook server or a scheduler can use it the same way.

use std::path::Path;

use intrada_runner::event::{Event, Reporter};
use intrada_runner::graph;
use intrada_runner::sched::session::{Access, Caches, Session};
use intrada_runner::sched::{self, Interrupt, Options};

/// Collects the outcome of each stage.
#[derive(Default)]
struct Tally(Vec<String>);

impl Reporter for Tally {
    fn tell(&mut self, event: &Event) {
        if let Event::Finished(finished) = event {
            self.0.push(format!("{} {}", finished.outcome.name(), finished.stage));
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args().nth(1).ok_or("name a pipeline file")?;
    let (pipeline, graph) = graph::load(Path::new(&file), &[])?;
    let mut session = Session::open(pipeline, graph, Caches::default(), Access::Run)?;
    let mut tally = Tally::default();
    let ended = sched::run(&mut session, &Options::default(), &mut tally, &Interrupt::default())?;
    println!("{}", tally.0.join("\n"));
    println!("{} of {} stages ran", ended.totals.ran, tally.0.len());
    Ok(())
}
