//! Faults of disks, clocks and people: each ends in a right result or in an error that names the file, and nothing that had
//! finished is lost.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::pipelines::Pipeline;
use crate::space::mounts::with_mounts;
use crate::space::processes::{is_alive, kill};
use crate::space::waiting::{wait_for, wait_until};
use crate::space::{Ran, Space, files};

/// A folder of anything, copied, and the names and kinds of all that is in the copy.
fn copy() -> Pipeline {
    Pipeline::new().program("copied", &["cp", "-a", "data", "copy"], ["data"], ["copy"])
}

fn two_stages(big: &str) -> Pipeline {
    Pipeline::new().command("small", "echo small > small", [], ["small"]).command("big", big, ["small"], ["big"])
}

#[test]
fn a_full_disk_fails_the_stage_keeps_what_had_finished_and_is_no_trouble_once_there_is_room() {
    let space = Space::with(two_stages("head -c 3000000 /dev/zero > big"));
    fs::create_dir(space.path("cache")).unwrap();
    let script = "mount -t tmpfs -o size=1m none cache; touch mounted
        $RUN p.toml --format json > first || echo $? > code
        mount -o remount,size=64m none cache
        $RUN p.toml --format json > second
        $RUN cache verify p.toml > verified";
    let Some(ran) = with_mounts(&space, script) else { return };
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let told = |name: &str| Ran { code: None, stdout: space.read(name), stderr: String::new() };
    let (first, second) = (told("first"), told("second"));
    assert_eq!((space.read("code").trim(), first.outcome("small").outcome.as_str()), ("1", "ran"));
    let big = first.outcome("big");
    assert_eq!(big.outcome, "failed");
    assert!(big.reason.contains("No space left"), "{}", big.reason);
    assert_eq!(second.outcome("small").outcome, "up-to-date");
    assert_eq!(second.outcome("big").outcome, "ran");
    assert_eq!(space.bytes("big").len(), 3_000_000);
    assert!(space.read("verified").contains("all intact"));
}

#[test]
fn a_command_that_finds_no_room_leaves_its_earlier_output_as_it_was() {
    let space = Space::new();
    let file = |size: &str| {
        let shell = format!(r"head -c {size} /dev/zero | tr '\0' {size} > out");
        Pipeline::new().command("a", &shell, [], ["out"])
    };
    space.write("first.toml", file("500000"));
    space.write("second.toml", file("9000000"));
    fs::create_dir(space.path("work")).unwrap();
    let script = "mount -t tmpfs -o size=2m none work; touch mounted
        cp first.toml work/p.toml; $RUN work/p.toml
        cp second.toml work/p.toml; $RUN work/p.toml || echo $? > code
        cp work/out left; ls -A work > names
        cp first.toml work/p.toml; $RUN work/p.toml --format json > again";
    let Some(ran) = with_mounts(&space, script) else { return };
    assert_eq!((ran.code, space.read("code").trim()), (Some(0), "1"), "{}", ran.stderr);
    assert_eq!(space.bytes("left"), [b'5'; 500_000]);
    assert_eq!(space.read("names"), "cache\nout\np.toml\nruns\n");
    let again = Ran { code: None, stdout: space.read("again"), stderr: String::new() };
    assert_eq!(again.outcome("a").outcome, "up-to-date", "it has moved, which is looked into, and lies in place");
}

#[test]
fn an_edited_output_is_not_lost_where_the_cache_is_on_another_file_system() {
    let space = Space::with(two_stages("cat small > big"));
    fs::create_dir(space.path("cache")).unwrap();
    let script = "mount -t tmpfs none cache; touch mounted
        for edit in one two three; do
            $RUN p.toml --quiet
            echo $edit > big
            sed -i 's/cat small/cat small small/' p.toml
        done
        $RUN p.toml --quiet";
    let Some(ran) = with_mounts(&space, script) else { return };
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let mut edits: Vec<String> =
        files(&space.path(".intrada/orphans")).iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    edits.sort();
    assert_eq!(edits, ["one\n", "three\n", "two\n"]);
    let beside = fs::read_dir(space.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(beside.into_iter().all(|name| !name.to_string_lossy().contains("orphan")));
}

#[test]
fn nothing_of_the_program_s_own_stays_in_data_on_another_file_system() {
    let pipeline = Pipeline::new().command("one", "echo 1 > data/one.txt", [], ["data/one.txt"]);
    let space = Space::with(pipeline.command("list", "find data -type f | sort > list.txt", ["data"], ["list.txt"]));
    fs::create_dir(space.path("data")).unwrap();
    let script = "mount -t tmpfs none data; touch mounted
        $RUN p.toml --quiet
        echo edited > data/one.txt
        $RUN p.toml
        find data > left";
    let Some(ran) = with_mounts(&space, script) else { return };
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!((space.read("list.txt"), space.read("left")), ("data/one.txt\n".into(), "data\ndata/one.txt\n".into()));
    let kept = files(&space.path("cache/orphans"));
    assert_eq!(kept.iter().map(|path| fs::read_to_string(path).unwrap()).collect::<Vec<_>>(), ["edited\n"]);
    assert!(ran.stderr.contains("cache/orphans/"), "{}", ran.stderr);
}

#[test]
fn a_read_only_mount_serves_as_a_shared_cache() {
    let space = Space::with(two_stages("cat small small > big"));
    assert_eq!(space.outcomes(), ["big:ran", "small:ran"]);
    space.remove("small");
    space.remove("big");
    let script = "mkdir team; mount --bind cache team; mount -o remount,bind,ro team; touch mounted
        INTRADA_SHARED_CACHES=$PWD/team $RUN p.toml --cache own --format json
        $RUN p.toml --cache team 2> refused || echo $? > code";
    let Some(ran) = with_mounts(&space, script) else { return };
    let settled = ran.settled();
    assert!(settled.iter().all(|stage| stage.outcome == "hit"), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("/team\""), "where it came from is told: {}", ran.stdout);
    assert_eq!(space.read("big"), "small\nsmall\n");
    assert_eq!(space.read("code").trim(), "2");
    assert!(space.read("refused").contains("is not writable"), "{}", space.read("refused"));
}

#[test]
fn a_shared_cache_is_taken_from_and_what_is_wrong_with_it_is_only_a_warning() {
    let space = Space::with(two_stages("cat small small > big"));
    space.outcomes();
    fs::rename(space.path("cache"), space.path("team")).unwrap();
    let clear = || {
        ["small", "big", "cache"].iter().for_each(|name| {
            if space.path(name).exists() {
                space.remove(name)
            }
        })
    };
    clear();
    let plan = space.intrada("plan p.toml --shared-cache team --format json");
    assert!(plan.events().iter().all(|event| event["decision"] == "hit"), "{}", plan.stdout);
    let hit = space.intrada("p.toml --shared-cache team");
    assert!(hit.stderr.contains("from ") && hit.stderr.contains("/team"), "{}", hit.stderr);
    fs::rename(space.path("team"), space.path("away")).unwrap();
    space.remove("big");
    assert_eq!(space.outcomes(), ["big:hit", "small:up-to-date"], "by now it is our own");

    clear();
    for object in files(&space.path("away/objects")) {
        fs::set_permissions(&object, Permissions::from_mode(0o644)).unwrap();
        fs::write(&object, "damaged").unwrap();
    }
    let ran = space.intrada("run p.toml --shared-cache away --shared-cache nowhere --format json");
    assert_eq!((ran.code, ran.outcome("big").outcome.as_str()), (Some(0), "ran"), "{}", ran.stderr);
    let warnings: Vec<_> = ran.events().into_iter().filter(|event| event["event"] == "warning").collect();
    assert!(warnings.iter().any(|warning| warning.to_string().contains("nowhere")), "{warnings:?}");
    assert!(warnings.iter().any(|warning| warning.to_string().contains("is damaged")), "{warnings:?}");
    assert_eq!(space.read("big"), "small\nsmall\n");
    for looks in ["plan p.toml", "why p.toml big", "inspect p.toml big", "report p.toml", "log p.toml big"] {
        let told = space.intrada(&format!("{looks} --shared-cache nowhere")).stderr;
        let warning = "warning: the shared cache `nowhere` is not used: there is no such folder";
        assert_eq!(told.lines().filter(|line| *line == warning).count(), 1, "{looks}: {told}");
    }
}

#[test]
fn records_that_were_cut_short_cost_time_and_nothing_else() {
    let space = Space::with(two_stages("cat small small > big"));
    space.outcomes();
    let cut = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        fs::remove_file(path).unwrap();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    };
    let index = files(&space.path("cache/workspaces")).into_iter().find(|path| path.ends_with("index")).unwrap();
    cut(&index);
    assert_eq!(space.outcomes(), ["big:hit", "small:hit"]);
    files(&space.path("cache/traces")).iter().for_each(|trace| cut(trace));
    assert_eq!(space.outcomes(), ["big:up-to-date", "small:up-to-date"], "they lie in place");
    space.remove("big");
    assert_eq!(space.outcomes(), ["big:ran", "small:up-to-date"]);
    assert_eq!(space.read("big"), "small\nsmall\n");
}

#[test]
fn a_clock_that_was_set_back_or_runs_ahead_hides_no_change() {
    let space = Space::with(copy());
    let set = |time: SystemTime| {
        File::options().append(true).open(space.path("data/file")).unwrap().set_modified(time).unwrap()
    };
    let far_ahead = SystemTime::now() + Duration::from_secs(50 * 365 * 24 * 3600);
    for (round, time) in [far_ahead, UNIX_EPOCH, far_ahead, UNIX_EPOCH].into_iter().enumerate() {
        // Of one size throughout, and twice with the very time of the round before the last.
        space.write("data/file", format!("round {round}"));
        set(time);
        assert_eq!(space.outcomes(), ["copied:ran"]);
        assert_eq!(space.outcomes(), ["copied:up-to-date"]);
        assert_eq!(space.read("copy/file"), format!("round {round}"));
    }
}

#[test]
fn what_a_stage_writes_and_does_not_declare_is_its_own_affair() {
    let space = Space::with(two_stages("echo log > undeclared; cat small > big"));
    space.outcomes();
    space.remove("undeclared");
    space.remove("big");
    assert_eq!(space.outcomes(), ["big:hit", "small:up-to-date"]);
    assert!(!space.path("undeclared").exists());
}

#[test]
fn odd_names_empty_folders_links_and_executable_bits_go_through_the_cache_unharmed() {
    let space = Space::with(copy());
    let odd = OsStr::from_bytes(b"na\xffme \n\xc3\xa9");
    fs::create_dir_all(space.path("data/empty/deep")).unwrap();
    fs::write(space.path("data").join(odd), "odd").unwrap();
    space.write("data/program", "#!/bin/sh\n");
    fs::set_permissions(space.path("data/program"), Permissions::from_mode(0o755)).unwrap();
    symlink("nowhere", space.path("data/dangling")).unwrap();
    symlink("../data", space.path("data/loop")).unwrap();
    assert_eq!(space.outcomes(), ["copied:ran"]);
    space.remove("copy");
    assert_eq!(space.outcomes(), ["copied:hit"]);
    assert_eq!(fs::read(space.path("copy").join(odd)).unwrap(), b"odd");
    assert!(space.path("copy/empty/deep").is_dir());
    let mode = |name: &str| fs::metadata(space.path(name)).unwrap().permissions().mode() & 0o100;
    assert_eq!(mode("copy/program"), 0o100);
    assert_eq!(fs::read_link(space.path("copy/loop")).unwrap(), Path::new("../data"));

    fs::set_permissions(space.path("data/program"), Permissions::from_mode(0o644)).unwrap();
    let why = space.intrada("why p.toml copied");
    assert!(why.stdout.contains("inputs[0] (data)"), "{}", why.stdout);
    assert_eq!(space.outcomes(), ["copied:ran"]);
    assert_eq!(mode("copy/program"), 0);
    // A link counts by where it says it leads.
    fs::remove_file(space.path("data/dangling")).unwrap();
    symlink("elsewhere", space.path("data/dangling")).unwrap();
    assert_eq!(space.outcomes(), ["copied:ran"]);
}

#[test]
fn an_input_that_is_a_link_to_itself_or_cannot_be_read_is_named() {
    let space = Space::with(copy());
    symlink("data", space.path("data")).unwrap();
    let ran = space.intrada("p.toml");
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("data"), "{}", ran.stderr);

    space.remove("data");
    space.write("data/readable", "");
    space.write("data/secret", "");
    fs::set_permissions(space.path("data/secret"), Permissions::from_mode(0o000)).unwrap();
    if fs::read(space.path("data/secret")).is_ok() {
        return eprintln!("skipped: this user may read everything");
    }
    let ran = space.intrada("p.toml");
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("data/secret") && ran.stderr.contains("Permission denied"), "{}", ran.stderr);
}

#[test]
fn files_that_come_and_go_while_they_are_read_are_named_or_read_whole() {
    let space = Space::with(copy());
    (0..200).for_each(|i| space.write(&format!("data/{i}"), "content"));
    let stop = space.path("stop");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0.. {
                if stop.exists() {
                    break;
                }
                let path = space.path(&format!("data/{}", round % 200));
                let away = space.path("away");
                // It vanishes for a moment, and comes back with other content.
                fs::rename(&path, &away).unwrap();
                fs::write(&away, format!("content {round}")).unwrap();
                fs::rename(&away, &path).unwrap();
            }
        });
        for _ in 0..20 {
            let plan = space.intrada("plan p.toml");
            let is_told = plan.stderr.contains("data") && plan.code == Some(2);
            assert!(plan.code == Some(0) || is_told, "{:?}: {}", plan.code, plan.stderr);
        }
        space.write("stop", "");
    });
    assert_eq!(space.outcomes(), ["copied:ran"]);
}

/// The process that a stage wrote into this file, once it has.
fn process_in(space: &Space, file: &str) -> u32 {
    wait_for(file, || fs::read_to_string(space.path(file)).ok()?.strip_suffix('\n')?.parse().ok())
}

#[test]
fn a_job_that_ignores_being_asked_is_killed_by_the_second_interrupt() {
    let space = Space::with(Pipeline::new().command(
        "deaf",
        "trap '' TERM INT; echo $$ > pid; while :; do sleep 0.05; done",
        [],
        ["out"],
    ));
    let run = space.command("p.toml").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let job = process_in(&space, "pid");
    assert!(kill(run.id(), "-INT"));
    // Two within 0.3 s count as one.
    std::thread::sleep(Duration::from_millis(500));
    assert!(is_alive(job) && kill(run.id(), "-INT"));
    let ran = Ran::of(run.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(130), "{}", ran.stderr);
    wait_until("the end of the job", || !is_alive(job));
    assert!(!space.path("out").exists());
}

#[test]
fn what_a_finished_command_left_running_keeps_nobody_waiting() {
    let space =
        Space::with(Pipeline::new().command("parent", "sleep 600 & echo $! > pid; echo done > out", [], ["out"]));
    let start = Instant::now();
    assert_eq!(space.outcomes(), ["parent:ran"]);
    assert!(start.elapsed() < Duration::from_secs(300), "it waited for what holds its log open");
    assert_eq!(space.read("out"), "done\n");
    kill(process_in(&space, "pid"), "-KILL");
}
