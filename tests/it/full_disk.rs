//! A disk without room: what can be done without any is done, and the reason of a failure never travels through the disk that is
//! full.

use std::fs;

use crate::pipelines::Pipeline;
use crate::space::mounts::with_mounts;
use crate::space::{Ran, Space};

fn random() -> Pipeline {
    let pipeline = Pipeline::new().command("a", "head -c 1000000 /dev/urandom > a", [], ["a"]);
    pipeline.command("b", "wc -c < a > b", ["a"], ["b"])
}

/// What a script has written into a file, with the exit status in another one.
fn told(space: &Space, name: &str) -> Ran {
    let code = space.read(&format!("{name}.code")).trim().parse().ok();
    Ran { code, stdout: space.read(name), stderr: space.read(&format!("{name}.err")) }
}

/// Lines of a script that run the program and keep what it says outside the small disk.
fn run(name: &str, arguments: &str) -> String {
    format!("c=0; $RUN {arguments} > ../{name} 2> ../{name}.err || c=$?; echo $c > ../{name}.code\n")
}

#[test]
fn gc_makes_room_on_a_disk_that_is_full_to_the_last_byte() {
    for collect in ["cache gc", "cache gc p.toml", "cache gc --cache cache --older-than 0s"] {
        let space = Space::with(random());
        fs::create_dir(space.path("disk")).unwrap();
        let script = "mount -t tmpfs -o size=8m none disk; touch mounted; cp p.toml disk; cd disk
            for i in 1 2 3; do $RUN run p.toml --quiet --force a; done
            head -c 40000000 /dev/zero > fill 2> /dev/null || true
            df --output=avail . | tail -1 > ../before\n"
            .to_owned()
            + &run("gc", collect)
            + "df --output=avail . | tail -1 > ../after\n"
            + &run("again", "p.toml --format json");
        let Some(ran) = with_mounts(&space, &script) else { return };
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let free = |name: &str| space.read(name).trim().parse::<u64>().unwrap();
        assert!(free("before") < 50, "{} KiB are free", free("before"));
        assert_eq!(told(&space, "gc").code, Some(0), "{collect}: {}", told(&space, "gc").stderr);
        assert!(free("after") > 1500, "{collect}: {} KiB are free", free("after"));
        assert_eq!(told(&space, "again").code, Some(0));
    }
}

#[test]
fn what_needs_no_room_works_on_a_full_disk() {
    let space = Space::with(random());
    fs::create_dir(space.path("disk")).unwrap();
    let commands = [
        ("run", "p.toml --format json"),
        ("forced", "p.toml b --quiet"),
        ("plan", "plan p.toml"),
        ("why", "why p.toml b"),
        ("log", "log p.toml b"),
        ("stats", "cache stats"),
        ("stats-of", "cache stats p.toml"),
        ("verify", "cache verify"),
        ("verify-of", "cache verify p.toml"),
        ("dry", "cache gc --dry-run"),
        ("graph", "graph p.toml"),
        ("report", "report p.toml"),
    ];
    let script = "mount -t tmpfs -o size=4m none disk; touch mounted; cp p.toml disk; cd disk
        $RUN p.toml --quiet
        head -c 40000000 /dev/zero > fill 2> /dev/null || true\n"
        .to_owned()
        + &commands.map(|(name, arguments)| run(name, arguments)).concat()
        // Without an index each file is looked at again, and without a report it would be written.
        + "rm -r cache/workspaces/*/index runs; cat fill >> fill 2> /dev/null || true\n"
        + "head -c 40000000 /dev/zero >> fill 2> /dev/null || true\n"
        + &run("hits", "p.toml --format json");
    let Some(ran) = with_mounts(&space, &script) else { return };
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for (name, arguments) in commands {
        let ran = told(&space, name);
        // A report may say that it can't be written; nothing may fail by accident.
        let is_well = ran.code == Some(0) || name == "report" && ran.stderr.contains("No space left");
        assert!(is_well, "{arguments}: {:?} {}{}", ran.code, ran.stdout, ran.stderr);
    }
    assert!(told(&space, "run").settled().iter().all(|stage| stage.outcome == "up-to-date"));
    let hits = told(&space, "hits");
    assert_eq!(hits.code, Some(0), "{}{}", hits.stdout, hits.stderr);
    assert!(hits.settled().iter().all(|stage| stage.outcome == "hit"), "{}", hits.stdout);
}

#[test]
fn a_program_that_finds_no_room_is_told_with_its_words_and_with_the_disk() {
    let space = Space::with(Pipeline::new().command(
        "a",
        "head -c 40000000 /dev/zero > a 2> /dev/null; echo my last words >&2; exit 3",
        [],
        ["a"],
    ));
    fs::create_dir(space.path("disk")).unwrap();
    let script = "mount -t tmpfs -o size=4m none disk; touch mounted; cp p.toml disk; cd disk\n".to_owned()
        + &run("first", "p.toml")
        + &run("log", "log p.toml a");
    let Some(ran) = with_mounts(&space, &script) else { return };
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let first = told(&space, "first");
    assert_eq!(first.code, Some(1));
    let said = first.stdout + &first.stderr;
    assert!(said.contains("my last words"), "{said}");
    assert!(said.contains("the disk of the cache and the workspace is full (") && said.contains("free)"), "{said}");
    assert!(told(&space, "log").stdout.contains("my last words"));
}

#[test]
fn a_disk_without_room_for_another_file_is_told_and_gc_works_on_it() {
    let space = Space::with(Pipeline::new().command(
        "a",
        "mkdir many; i=0; while [ $i -lt 400 ]; do echo > many/$i || exit 3; i=$((i+1)); done",
        [],
        ["many"],
    ));
    space.write("small.toml", random());
    fs::create_dir(space.path("disk")).unwrap();
    let script = "mount -t tmpfs -o nr_inodes=200 none disk; touch mounted; cp p.toml small.toml disk; cd disk
        for i in 1 2 3; do $RUN small.toml --quiet --force a; done\n"
        .to_owned()
        + &run("first", "p.toml")
        + "mkdir fill; i=0; while echo > fill/$i; do i=$((i+1)); done 2> /dev/null || true\n"
        + &run("gc", "cache gc")
        + &run("nothing", "small.toml --format json");
    let Some(ran) = with_mounts(&space, &script) else { return };
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let first = told(&space, "first");
    assert_eq!(first.code, Some(1));
    assert!((first.stdout.clone() + &first.stderr).contains("inodes"), "{}{}", first.stdout, first.stderr);
    assert_eq!(told(&space, "gc").code, Some(0), "{}", told(&space, "gc").stderr);
    let nothing = told(&space, "nothing");
    assert_eq!(nothing.code, Some(0), "{}", nothing.stderr);
}

#[test]
fn a_limit_on_the_size_of_files_fails_the_stage_with_its_name_and_not_the_run() {
    let pipeline = Pipeline::new().command("small", "echo small > small", [], ["small"]);
    let space = Space::with(pipeline.command("big", "head -c 3000000 /dev/zero > big", [], ["big"]));
    let mut command = std::process::Command::new("sh");
    // In blocks of 512 or 1024 bytes, as the shell likes.
    command.args(["-c", "ulimit -f 1000; exec \"$RUN\" p.toml"]).current_dir(space.path(""));
    let ran = Ran::of(command.env("RUN", env!("CARGO_BIN_EXE_intrada-run")).output().unwrap());
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!((ran.stdout.clone() + &ran.stderr).contains("ulimit -f"), "{}{}", ran.stdout, ran.stderr);
    assert_eq!(space.read("small"), "small\n");
    // Where the runner itself may not write, its own words come through, too.
    space.edit("p.toml", "head -c 3000000 /dev/zero > big", "cp huge big");
    space.write("huge", vec![7; 3_000_000]);
    space.edit("p.toml", "inputs = []\noutputs = [\"big\"]", "inputs = [\"huge\"]\noutputs = [\"big\"]");
    let ran = Ran::of(command.output().unwrap());
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
}

#[test]
fn a_run_whose_records_cannot_be_written_fails_no_stage() {
    let space = Space::with(random());
    space.outcomes();
    // A file where `runs/` would be, and folders where index, history and notes would be.
    fs::remove_dir_all(space.path("runs")).unwrap();
    space.write("runs", "mine");
    let ran = space.intrada("p.toml --force a --format json");
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stdout.contains("warning") || ran.stderr.contains("warning"),
        "it is told: {}{}",
        ran.stdout,
        ran.stderr
    );
    assert_eq!(space.read("runs"), "mine");
}

/// A stage that reads no more than its key says, with outputs of a megabyte each.
fn chain() -> Pipeline {
    let pipeline = Pipeline::new().command("a", "head -c 1000000 in.txt > a", ["in.txt"], ["a"]);
    pipeline.command("b", "cat a a > b", ["a"], ["b"])
}

/// Whatever the run says on a disk of this size, it says what to do, and the next one with room goes on from there.
fn told_and_goes_on(kibibytes: u32, separate: bool) -> Option<()> {
    let space = Space::with(chain());
    space.write("in.txt", vec![b'7'; 1_000_000]);
    ["disk", "far"].iter().for_each(|name| fs::create_dir(space.path(name)).unwrap());
    let cache = if separate { "--cache ../far/cache" } else { "" };
    let (disk, far) = if separate { (kibibytes, 65_536) } else { (kibibytes, 64) };
    let script = format!(
        "mount -t tmpfs -o size={disk}k none disk; mount -t tmpfs -o size={far}k none far; touch mounted
        cp p.toml in.txt disk 2> /dev/null || exit 0; cd disk\n"
    ) + &run("first", &format!("run p.toml {cache}"))
        + "mount -o remount,size=64m .\n"
        + &run("second", &format!("run p.toml {cache} --format json"))
        + &run("verify", &format!("cache verify --cache {}", if separate { "../far/cache" } else { "cache" }))
        + "cmp b ../whole\n";
    space.write("whole", vec![b'7'; 2_000_000]);
    let ran = with_mounts(&space, &script)?;
    assert_eq!(ran.code, Some(0), "{kibibytes} KiB: {}{}", ran.stdout, ran.stderr);
    if !space.path("first.code").exists() {
        return Some(());
    }
    let first = told(&space, "first");
    let said = first.stdout.clone() + &first.stderr;
    let has_cure = said.contains("free some space, ");
    assert!(first.code == Some(0) || has_cure, "{kibibytes} KiB: {:?} {said}", first.code);
    assert!(!said.contains("No space left") || has_cure, "{kibibytes} KiB: {said}");
    assert!(!said.contains("panicked"), "{kibibytes} KiB: {said}");
    let second = told(&space, "second");
    assert_eq!(second.code, Some(0), "{kibibytes} KiB: {}{}", second.stdout, second.stderr);
    // What the first run said that it had finished is not made again.
    for stage in second.settled().iter().filter(|stage| stage.outcome == "ran") {
        let line = format!("ran        {}", stage.stage);
        assert!(!said.contains(&line), "{kibibytes} KiB: {} again\n{said}", stage.stage);
    }
    assert_eq!(told(&space, "verify").code, Some(0), "{kibibytes} KiB: {}", told(&space, "verify").stdout);
    Some(())
}

#[test]
fn wherever_the_disk_fills_up_the_cure_is_told_and_the_next_run_goes_on() {
    for size in
        [1_000, 1_020, 1_060, 1_100, 1_500, 1_990, 2_050, 2_500, 3_000, 3_500, 4_000, 4_500, 5_000, 5_900, 6_200]
    {
        let Some(()) = told_and_goes_on(size, false) else { return };
    }
    for size in [1_000, 1_500, 2_000, 2_500, 3_000, 3_500, 4_000, 4_500, 5_000] {
        let Some(()) = told_and_goes_on(size, true) else { return };
    }
}

#[test]
fn cached_outputs_that_find_no_room_fail_their_stage_and_are_not_made_again() {
    let space =
        Space::with(Pipeline::new().command("a", "echo >> ../runs-of-a; head -c 3000000 /dev/zero > a", [], ["a"]));
    fs::create_dir(space.path("disk")).unwrap();
    let script = "mount -t tmpfs -o size=8m none disk; touch mounted; cp p.toml disk; cd disk
        $RUN p.toml --quiet --cache ../cache; rm a; head -c 40000000 /dev/zero > fill 2> /dev/null || true\n"
        .to_owned()
        + &run("full", "run p.toml --cache ../cache")
        + "rm fill\n"
        + &run("again", "run p.toml --cache ../cache --format json");
    let Some(ran) = with_mounts(&space, &script) else { return };
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let full = told(&space, "full");
    assert_eq!(full.code, Some(1), "{}{}", full.stdout, full.stderr);
    assert!(full.stderr.contains("its cached outputs can't be restored"), "{}", full.stderr);
    assert!(full.stderr.contains(" is full (") && full.stderr.contains("help:"), "{}", full.stderr);
    assert_eq!(told(&space, "again").settled()[0].outcome, "hit");
    assert_eq!(space.read("runs-of-a").lines().count(), 1);
}
