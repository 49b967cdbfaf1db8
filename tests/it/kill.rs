//! Whatever is killed whenever: what a pipeline gives in the end is what it gives undisturbed, to the byte.
//!
//! Each round starts the runner and, after a random while, kills it, one process below it, or all of them. When a pipeline
//! has come to its end in spite of that, its outputs are compared and the next one is begun. `INTRADA_KILLS=200 cargo test
//! --test it kill::` is the long form; `INTRADA_SEED` repeats the moments of an earlier one, as far as the machine lets it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::pipelines::{Pipeline, method};
use crate::space::chance::{Chance, number};
use crate::space::processes::{descendants, kill};
use crate::space::{Space, files};

/// Every kind of stage, and commands that resume, that write folders and that need what the worker made.
fn pipeline() -> Pipeline {
    let count = "n=$(cat $INTRADA_CKPT/n 2>/dev/null || echo 0)
        while [ $n -lt 40 ]; do
            n=$((n + 1)); echo $n > $INTRADA_CKPT/new; mv $INTRADA_CKPT/new $INTRADA_CKPT/n; sleep 0.02
        done
        seq $n > numbers.txt";
    let split = "mkdir parts; for n in $(cat numbers.txt); do echo $n > parts/$n; done; sleep 0.2";
    let easy = "runs/p/rank/easy_split.txt";
    let digest = format!("cat {easy} parts/* | cksum > digest.txt; sleep 0.2");
    let steps = "iterations = 24\nschedule_iterations = 24\ncheckpoint_every = 3\n";
    let pipeline = method().with("stages.inter", steps).set("stages.inter.flip", true).with("stages.intra", steps);
    let pipeline = pipeline.command("count", count, [], ["numbers.txt"]);
    let pipeline = pipeline.command("split", split, ["numbers.txt"], ["parts"]);
    pipeline.command("digest", &digest, [easy, "parts"], ["digest.txt"])
}

/// What a person has in the end: path → bytes.
fn outputs(space: &Space) -> BTreeMap<PathBuf, Vec<u8>> {
    let single = ["numbers.txt", "digest.txt"].map(|place| (PathBuf::from(place), space.bytes(place)));
    ["parts", "runs"].iter().flat_map(|place| space.results(place)).chain(single).collect()
}

/// The cache's records of finished stages. Each holds the moment at which its stage began.
fn traces(space: &Space) -> BTreeMap<PathBuf, Vec<u8>> {
    files(&space.path("cache/traces")).into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

/// Starts the pipeline and kills something of it. `None`: it came to its end before.
fn disturbed(space: &Space, chance: &mut Chance) -> Option<&'static str> {
    let mut run = space.start("p.toml");
    std::thread::sleep(chance.while_());
    let below = descendants(run.id());
    let (victims, whom) = match chance.one_of(3) {
        0 => (vec![run.id()], "runner"),
        1 if !below.is_empty() => (vec![below[chance.one_of(below.len())]], "job"),
        _ => (std::iter::once(run.id()).chain(below).collect(), "all"),
    };
    if run.try_wait().unwrap().is_some_and(|status| status.success()) {
        return None;
    }
    let hit = victims.into_iter().filter(|pid| kill(*pid, "-KILL")).count() > 0;
    let status = run.wait().unwrap();
    (hit && !status.success()).then_some(whom)
}

#[test]
fn kills_at_any_moment_change_no_byte_of_what_a_pipeline_gives_and_nothing_finished_runs_again() {
    let (kills, seed) = (number("INTRADA_KILLS").unwrap_or(12), number("INTRADA_SEED").unwrap_or(1));
    let undisturbed = Space::with(pipeline());
    undisturbed.run("p.toml");
    let expected = outputs(&undisturbed);
    let mut chance = Chance(seed);
    let mut counts = BTreeMap::<&str, u64>::new();
    let mut pipelines = 0;
    while counts.values().sum::<u64>() < kills {
        let space = Space::with(pipeline());
        let mut known = BTreeMap::<PathBuf, Vec<u8>>::new();
        while counts.values().sum::<u64>() < kills
            && let Some(whom) = disturbed(&space, &mut chance)
        {
            *counts.entry(whom).or_default() += 1;
            let now = traces(&space);
            for (path, bytes) in &known {
                assert!(now.get(path) == Some(bytes), "{} was made again after it had been published", path.display());
            }
            known = now;
        }
        let ran = space.intrada("p.toml");
        assert_eq!(ran.code, Some(0), "seed {seed}, {counts:?}: {}", ran.stderr);
        let found = outputs(&space);
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        for (path, bytes) in &expected {
            assert!(&found[path] == bytes, "seed {seed}, {counts:?}: {} differs", path.display());
        }
        assert!(files(&space.path("cache/slots")).is_empty(), "slots go when their stages are published");
        let verified = space.intrada("cache verify");
        assert_eq!(verified.code, Some(0), "{}{}", verified.stdout, verified.stderr);
        pipelines += 1;
    }
    println!("{counts:?} kills (seed {seed}) in {pipelines} pipelines: all outputs equal");
}
