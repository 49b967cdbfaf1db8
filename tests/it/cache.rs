//! Looking after the cache: verifying, letting go, pinning, and a cache that can't be written to.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::pipelines::Pipeline;
use crate::space::{Ran, Space, files};

/// Two stages, the second of a parameter that tests vary.
fn pair() -> Space {
    let pipeline = Pipeline::new().named("demo");
    let pipeline = pipeline.command("upper", "tr a-z A-Z < words.txt > upper.txt", ["words.txt"], ["upper.txt"]);
    let space = Space::with(pipeline.command("first", "head -n 1 upper.txt > first.txt", ["upper.txt"], ["first.txt"]));
    space.write("words.txt", "b\na\nc\n");
    space
}

fn overwrite(path: &Path, bytes: &[u8]) {
    fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
    fs::write(path, bytes).unwrap();
}

/// As if nobody had used anything for so many days.
fn age_traces(space: &Space, days: u64) {
    let then = SystemTime::now() - Duration::from_secs(days * 24 * 3600);
    for trace in files(&space.path("cache/traces")) {
        File::open(trace).unwrap().set_modified(then).unwrap();
    }
}

fn json(ran: &Ran) -> serde_json::Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", ran.stdout, ran.stderr))
}

fn results(ran: &Ran, goes: bool) -> Vec<String> {
    let collection = json(ran);
    let all = collection["results"].as_array().unwrap().iter().filter(|result| result["goes"] == goes);
    let mut names: Vec<String> = all
        .map(|result| format!("{}: {}", result["stage"].as_str().unwrap(), result["reason"].as_str().unwrap()))
        .collect();
    names.sort();
    names
}

#[test]
fn verify_heals_what_lies_in_place_and_names_what_runs_again() {
    let space = pair();
    space.outcomes();
    let well = space.intrada("cache verify p.toml");
    assert_eq!((well.code, well.stdout.contains("all intact")), (Some(0), true), "{}", well.stdout);

    space.objects().iter().for_each(|object| overwrite(object, b"damaged"));
    let healed = space.intrada("cache verify p.toml");
    assert_eq!((healed.code, healed.stdout.contains("all repaired")), (Some(0), true), "{}", healed.stdout);
    space.remove("upper.txt");
    assert_eq!(space.outcomes(), ["first:up-to-date", "upper:hit"]);

    space.remove("first.txt");
    space.objects().iter().for_each(|object| overwrite(object, b"damaged"));
    let lost = space.intrada("cache verify p.toml");
    assert_eq!(lost.code, Some(1), "{}", lost.stdout);
    assert!(lost.stdout.contains("re-run") && lost.stdout.contains("  demo/first\n"), "{}", lost.stdout);
    assert!(!lost.stdout.contains("demo/upper"), "its output lies in place: {}", lost.stdout);
    assert_eq!(space.outcomes(), ["first:ran", "upper:up-to-date"]);
    assert_eq!(space.intrada("cache verify p.toml --sample 50%").code, Some(0));
}

#[test]
fn gc_lets_go_of_old_results_and_says_of_each_why_before_it_does() {
    let space = pair();
    space.outcomes();
    space.edit("p.toml", "head -n 1", "head -n 2");
    assert_eq!(space.outcomes(), ["first:ran", "upper:up-to-date"]);
    age_traces(&space, 60);
    let dry = space.intrada("cache gc p.toml --older-than 30d --dry-run --format json");
    assert_eq!(results(&dry, true), ["first: old"]);
    assert_eq!(results(&dry, false), ["first: in-place", "upper: in-place"]);
    let table = space.intrada("cache gc p.toml --older-than 30d --dry-run").stdout;
    assert!(table.contains("demo/first shell head -n 1"), "what tells it apart: {table}");
    assert!(table.contains("not used for 30 d 0 h") && table.contains("1 of 3 results would be deleted"), "{table}");
    assert_eq!(json(&space.intrada("cache stats p.toml --format json"))["traces"]["files"], 3);

    let went = space.intrada("cache gc p.toml --older-than 30d");
    assert!(went.stdout.contains("1 of 3 results deleted"), "{}", went.stdout);
    assert_eq!(space.outcomes(), ["first:up-to-date", "upper:up-to-date"]);
    space.edit("p.toml", "head -n 2", "head -n 1");
    assert_eq!(space.outcomes(), ["first:ran", "upper:up-to-date"]);
}

#[test]
fn a_result_that_is_served_counts_as_used() {
    let space = pair();
    space.outcomes();
    age_traces(&space, 60);
    space.remove("first.txt");
    assert_eq!(space.outcomes(), ["first:hit", "upper:up-to-date"]);
    space.remove("first.txt");
    space.remove("upper.txt");
    let dry = space.intrada("cache gc p.toml --older-than 30d --dry-run --format json");
    assert_eq!(results(&dry, false), ["first: recent", "upper: needed"]);
    let all = space.intrada("cache gc p.toml --max-size 0 --format json");
    assert_eq!(results(&all, true), ["first: over-size", "upper: over-size"]);
    assert_eq!(space.objects().len(), 0);
}

#[test]
fn pinned_results_stay_until_they_are_unpinned() {
    let space = pair();
    let nothing = space.intrada("cache pin p.toml first");
    assert_eq!(nothing.code, Some(2));
    assert!(nothing.stderr.contains("first"), "{}", nothing.stderr);
    space.outcomes();
    assert_eq!(space.intrada("cache pin p.toml first").stdout, "1 result pinned\n");
    space.remove("first.txt");
    space.remove("upper.txt");
    let gc = space.intrada("cache gc p.toml --max-size 0 --all --format json");
    assert_eq!(results(&gc, false), ["first: pinned", "upper: recent"]);
    assert_eq!(space.intrada("cache unpin p.toml").stdout, "1 result unpinned\n");
    let gc = space.intrada("cache gc p.toml --max-size 0 --all --format json");
    assert_eq!(results(&gc, false), [""; 0]);
}

#[test]
fn a_result_keeps_what_was_made_into_a_folder_that_it_reads() {
    let pipeline = Pipeline::new().named("demo");
    let pipeline = pipeline.command("make", "cat raw/* > data/made", ["raw"], ["data/made"]);
    let space = Space::with(pipeline.command("use", "cat data/* > used", ["data"], ["used"]));
    space.write("raw/a", "a");
    space.write("data/own", "own");
    assert_eq!(space.outcomes(), ["make:ran", "use:ran"]);
    space.intrada("cache pin p.toml use");
    let gc = space.intrada("cache gc p.toml --max-size 0 --all --format json");
    assert_eq!(results(&gc, true), [""; 0]);
    space.remove("data/made");
    space.remove("used");
    assert_eq!(space.outcomes(), ["make:hit", "use:hit"]);
}

#[test]
fn gc_without_a_limit_takes_leftovers_only_and_all_needs_one() {
    let space = pair();
    space.outcomes();
    age_traces(&space, 1000);
    let gc = space.intrada("cache gc p.toml --format json");
    assert_eq!((gc.code, results(&gc, true).len()), (Some(0), 0));
    assert_eq!(space.outcomes(), ["first:up-to-date", "upper:up-to-date"]);
    assert_eq!(space.intrada("cache gc p.toml --all").code, Some(2));
    for wrong in ["--older-than 30", "--max-size 5", "--keep-last x"] {
        assert_eq!(space.intrada(&format!("cache gc p.toml {wrong}")).code, Some(2), "{wrong}");
    }
}

#[test]
fn runs_and_gcs_that_go_on_at_once_leave_every_output_right() {
    let space = pair();
    space.edit("p.toml", "tr a-z A-Z < words.txt", "cat words.txt | tr a-z A-Z");
    let stop = space.path("stop");
    /// Also where an assertion fails: else the other thread would go on forever.
    struct Stop<'a>(&'a Path);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            let _ = fs::write(self.0, "");
        }
    }
    std::thread::scope(|scope| {
        let gc = scope.spawn(|| {
            let mut rounds = 0;
            while !stop.exists() {
                let gc = space.intrada("cache gc p.toml --max-size 0 --all");
                assert_eq!(gc.code, Some(0), "{}", gc.stderr);
                rounds += 1;
            }
            rounds
        });
        let stopping = Stop(&stop);
        for round in 0..12 {
            // Each content comes three times, so that what gc takes was wanted again.
            let word = ["x", "y", "z", "w"][round % 4];
            space.write("words.txt", format!("{word}\n{word}\n"));
            if round % 3 == 0 {
                let _ = fs::remove_file(space.path("upper.txt"));
            }
            space.outcomes();
            assert_eq!(space.read("first.txt"), format!("{}\n", word.to_uppercase()));
        }
        drop(stopping);
        assert!(gc.join().unwrap() > 0);
    });
    let verify = space.intrada("cache verify p.toml");
    assert_eq!(verify.code, Some(0), "{}", verify.stdout);
}

/// As a user who may read the workspace and write nothing there. `None`, with a reason, where this can't be tried.
fn as_reader(space: &Space, arguments: &str) -> Option<Ran> {
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::process::CommandExt;
    let nobody = 65534;
    if space.path("").metadata().unwrap().uid() != 0 {
        // Our own files: without the bits for writing we are a reader.
        let all = files(&space.path("cache"))
            .into_iter()
            .flat_map(|file| file.ancestors().map(Path::to_owned).collect::<Vec<_>>());
        for path in all.filter(|path| path.starts_with(space.path("cache"))) {
            let mode = path.metadata().unwrap().permissions().mode();
            fs::set_permissions(&path, Permissions::from_mode(mode & 0o555)).unwrap();
        }
        return Some(space.intrada(arguments));
    }
    fs::set_permissions(space.path(""), Permissions::from_mode(0o755)).unwrap();
    let mut command = space.command(arguments);
    match command.uid(nobody).gid(nobody).output() {
        Ok(output) => Some(Ran::of(output)),
        Err(error) => {
            eprintln!("skipped: the program can't be run as another user: {error}");
            None
        }
    }
}

#[test]
fn a_cache_that_cannot_be_written_to_can_be_looked_at_and_a_run_says_what_to_do() {
    let space = pair();
    space.outcomes();
    for arguments in [
        "plan p.toml",
        "why p.toml first",
        "log p.toml first",
        "inspect p.toml first",
        "cache stats p.toml",
        "cache gc p.toml --max-size 0 --dry-run",
    ] {
        let Some(ran) = as_reader(&space, arguments) else { return };
        assert_eq!(ran.code, Some(0), "{arguments}: {}", ran.stderr);
    }
    for arguments in ["p.toml", "cache gc p.toml --max-size 0", "cache verify p.toml", "cache pin p.toml"] {
        let Some(ran) = as_reader(&space, arguments) else { return };
        assert_eq!(ran.code, Some(2), "{arguments}: {}", ran.stderr);
        assert!(ran.stderr.contains("is not writable") && ran.stderr.contains("--cache"), "{}", ran.stderr);
        assert!(ran.stderr.contains(&*space.path("cache").to_string_lossy()), "{}", ran.stderr);
    }
}
