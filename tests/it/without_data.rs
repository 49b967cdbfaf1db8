//! Results shown without the data that they come from: a copied cache, an unmounted disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::pipelines::{Pipeline, training};
use crate::space::{Ran, Space, files, grey_png};

/// A training on a folder with labels, which adapts to a folder without, and its evaluation on a third; from a file of weights.
fn pipeline() -> Pipeline {
    let pipeline = training().adapted().evaluated();
    let pipeline = ["source", "target", "test"].into_iter().fold(pipeline, |all, set| {
        all.dataset(set, &format!("format = \"folder\"\nroot = \"data/{set}\"\nsize = [64, 32]\n"))
    });
    pipeline.with("stages.inter", "iterations = 1\nbatch = 1\n")
}

/// With images and labels, two of each.
fn space() -> Space {
    let space = Space::with(pipeline());
    for (place, set) in ["source", "target", "test"].into_iter().enumerate() {
        for image in 0..2 {
            space.write(&format!("data/{set}/images/{image}.png"), grey_png(64, 32, (40 * place + image) as u8));
            space.write(&format!("data/{set}/labels/{image}.png"), grey_png(64, 32, image as u8));
        }
    }
    space
}

fn copy(from: &Path, to: &Path) {
    let status = std::process::Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(status.success());
}

/// Another machine's workspace: this one's cache and pipeline file.
fn elsewhere(space: &Space) -> Space {
    let other = Space::with(space.read("p.toml"));
    copy(&space.path("cache"), &other.path("cache"));
    other
}

/// What an exported folder holds.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let name = |path: &PathBuf| path.strip_prefix(folder).unwrap().to_owned();
    files(folder).iter().map(|path| (name(path), std::fs::read(path).unwrap())).collect()
}

fn must(space: &Space, arguments: &str) -> Ran {
    let ran = space.intrada(arguments);
    assert_eq!(ran.code, Some(0), "{arguments}: {}\n{}", ran.stdout, ran.stderr);
    ran
}

/// The lines that say what isn't here.
fn notes(ran: &Ran) -> Vec<&str> {
    ran.stderr.lines().filter_map(|line| line.strip_prefix("note: ")).collect()
}

const RECORDED: &str = "are not here and could not be compared: these are the results recorded for them";

#[test]
fn a_copied_cache_shows_and_exports_the_results_it_has_and_says_that_the_images_could_not_be_compared() {
    let space = space();
    space.run("p.toml");
    let [compared, lineage] = ["compare p.toml --format json", "lineage p.toml"].map(|asked| must(&space, asked));
    assert!(notes(&compared).is_empty(), "{}", compared.stderr);
    must(&space, "export p.toml inter out");
    let exported = contents(&space.path("out"));

    let other = elsewhere(&space);
    for (asked, there) in [("compare p.toml --format json", &compared), ("lineage p.toml", &lineage)] {
        let here = must(&other, asked);
        assert_eq!(here.stdout, there.stdout, "{asked}");
        let [note] = notes(&here)[..] else { panic!("one line: {}", here.stderr) };
        assert!(note.starts_with("the images of `source`, `target` and `test` "), "{note}");
        assert!(note.contains(RECORDED), "{note}");
    }
    let export = must(&other, "export p.toml inter out");
    assert_eq!(notes(&export).len(), 1, "{}", export.stderr);
    assert!(contents(&other.path("out")) == exported, "the same bytes");
    let inspected = must(&other, "inspect p.toml inter");
    assert!(notes(&inspected).len() == 1 && inspected.stdout.contains("not restored here"), "{}", inspected.stdout);
    let whole = must(&other, "inspect p.toml --format json");
    assert_eq!((notes(&whole).len(), whole.stdout.matches("\"decision\":\"hit\"").count()), (1, 2), "{}", whole.stdout);
    let report = must(&other, "report p.toml");
    assert_eq!(notes(&report).len(), 1, "{}", report.stderr);
    let page = other.read("runs/p/report.html");
    assert!(page.contains(RECORDED) && page.contains("done, 2 stages"), "the page says it too");
    assert!(!other.path("runs/p/inter").exists(), "showing restores nothing");

    // What computes, or says what would be computed, needs the images.
    for asked in ["run p.toml", "plan p.toml", "why p.toml inter"] {
        let refused = other.intrada(asked);
        assert_eq!(refused.code, Some(2), "{asked}: {}", refused.stderr);
        assert!(refused.stderr.contains("`data/source/images` does not exist"), "{asked}: {}", refused.stderr);
    }
}

#[test]
fn what_contradicts_the_records_is_not_shown_as_their_result() {
    let space = space();
    space.run("p.toml");
    let other = elsewhere(&space);
    let is_stale = |asked: &str| {
        let ran = other.intrada(asked);
        assert_eq!(ran.code, Some(2), "{asked}: {}\n{}", ran.stdout, ran.stderr);
        ran.stderr
    };
    // Another parameter: the images of before stand for those that are away, but nothing was computed from them like that.
    let said = is_stale("export p.toml inter out --set stages.inter.seed=9");
    assert!(said.contains("`inter` is not up to date") && said.contains(RECORDED), "{said}");
    // Other options of a data set, another place.
    let said = is_stale("export p.toml inter out --set datasets.target.size=[32,32]");
    assert!(said.contains("`target` are not here, and the last results had size `[64, 32]`, now `[32, 32]`"), "{said}");
    let said = is_stale("export p.toml inter out --set datasets.source.root='data/other'");
    assert!(said.contains("the last results had images `data/source/images`, now `data/other/images`"), "{said}");
    // A source that is here and differs.
    other.write("data/target/images/0.png", grey_png(64, 32, 99));
    other.write("data/target/images/1.png", grey_png(64, 32, 41));
    let said = is_stale("export p.toml inter out");
    assert!(said.contains("`inter` is not up to date") && said.contains("`source`"), "{said}");
    // And one that is here and is the same.
    other.write("data/target/images/0.png", space.bytes("data/target/images/0.png"));
    let exported = must(&other, "export p.toml inter out");
    assert!(notes(&exported)[0].starts_with("the images of `source` and `test` are not here"), "{}", exported.stderr);

    // Labels alone: the images that are here must be those of the record.
    copy(&space.path("data/test"), &other.path("data/test"));
    other.remove("data/test/labels");
    let compared = must(&other, "compare p.toml --format json");
    assert!(notes(&compared)[0].contains("the labels of `test`") && compared.stdout.contains("\"measured\": 1"));
    other.write("data/test/images/0.png", grey_png(64, 32, 3));
    let compared = must(&other, "compare p.toml --format json");
    assert!(compared.stdout.contains("\"measured\": 0"), "{}", compared.stdout);
    assert!(
        compared.stderr.contains("the labels of `test` are not here, and the last results were made with other images")
    );
}

#[test]
fn of_several_states_of_images_the_workspace_shows_its_last_and_a_cache_without_an_index_shows_none() {
    let space = space();
    space.run("p.toml");
    space.write("data/target/images/0.png", grey_png(64, 32, 200));
    let first = must(&space, "compare p.toml --format json --no-group");
    assert!(first.stdout.contains("\"measured\": 0"), "{}", first.stdout);
    space.run("p.toml");
    let last = must(&space, "compare p.toml --format json");

    let other = elsewhere(&space);
    assert_eq!(must(&other, "compare p.toml --format json").stdout, last.stdout, "its workspace's index is copied too");
    std::fs::rename(space.path("data"), space.path("elsewhere")).unwrap();
    std::fs::create_dir_all(space.path("data/target/images")).unwrap();
    let unmounted = must(&space, "compare p.toml --format json");
    assert_eq!((&unmounted.stdout, notes(&unmounted).len()), (&last.stdout, 1), "an empty folder is no data set");

    other.remove("cache/workspaces");
    let unknown = must(&other, "compare p.toml --format json");
    assert!(
        unknown.stderr.contains("the images of `target` are not here, and the cache has results of 2 states of them")
    );
    assert!(unknown.stdout.contains("\"measured\": 0"), "{}", unknown.stdout);
    // Nothing stands for anything: as before.
    other.remove("cache/traces");
    let empty = other.intrada("compare p.toml");
    assert_eq!(empty.code, Some(2), "{}", empty.stderr);
    assert!(empty.stderr.contains("no result in the cache was made with them"), "{}", empty.stderr);
}

#[test]
fn a_result_of_earlier_images_is_not_shown_because_the_last_one_had_another_size() {
    let space = space();
    space.run("p.toml");
    space.write("data/target/images/0.png", grey_png(64, 32, 200));
    space.run("p.toml --set datasets.target.size=[32,32]");
    std::fs::rename(space.path("data"), space.path("elsewhere")).unwrap();
    let compared = must(&space, "compare p.toml --format json");
    assert!(compared.stdout.contains("\"measured\": 0"), "{}", compared.stdout);
    assert!(
        compared.stderr.contains("the images of `target` are not here, and the last results had size"),
        "{}",
        compared.stderr
    );
    let other = must(&space, "compare p.toml --format json --set datasets.target.size=[32,32]");
    assert!(other.stdout.contains("\"measured\": 1"), "{}", other.stdout);
}

#[test]
fn a_file_that_is_not_here_counts_as_it_was_last_read_and_so_does_what_a_stage_has_written_into_a_folder() {
    let pipeline = Pipeline::new().named("p").command(
        "made",
        "mkdir -p data/in && tr a b < raw > data/in/x",
        ["raw"],
        ["data/in/x"],
    );
    let pipeline = pipeline.command("used", "cat data/in/* > used", ["data/in"], ["used"]);
    let space = Space::with(pipeline);
    space.write("raw", "banana");
    space.write("data/in/own", "mine");
    space.run("p.toml");
    let there = must(&space, "lineage p.toml used");
    let other = elsewhere(&space);
    let here = must(&other, "lineage p.toml used");
    assert_eq!(here.stdout, there.stdout);
    let [note] = notes(&here)[..] else { panic!("one line: {}", here.stderr) };
    assert!(note.starts_with("`data/in` and `raw` are not here and could not be compared"), "{note}");
    other.write("raw", "another");
    let stale = other.intrada("lineage p.toml used");
    assert_eq!(stale.code, Some(2), "{}", stale.stderr);
}
