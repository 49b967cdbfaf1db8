//! Which folder is the workspace, which folder may be a cache, and that a command which is refused leaves nothing behind.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;

use crate::pipelines::Pipeline;
use crate::space::{Space, files};

fn stage() -> Pipeline {
    Pipeline::new().command("a", "cat in.txt > out.txt", ["in.txt"], ["out.txt"])
}

/// What backup programs know a cache by, and many programs write.
const PUBLIC_TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n";

/// A pipeline in `work/proj`.
fn project() -> Space {
    let space = Space::new();
    space.write("work/proj/p.toml", stage());
    space.write("work/proj/in.txt", "hello\n");
    space
}

/// All names below a folder.
fn names(space: &Space, folder: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut open = vec![space.path(folder)];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            names.insert(entry.path().strip_prefix(space.path("")).unwrap().display().to_string());
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            }
        }
    }
    names
}

#[test]
fn a_cache_of_another_program_is_no_root_and_is_never_written_into() {
    for foreign in [
        &[("CACHEDIR.TAG", PUBLIC_TAG), ("precious", "x")][..],
        &[("CACHEDIR.TAG", PUBLIC_TAG)],
        &[("CACHEDIR.TAG", PUBLIC_TAG), ("version", "1"), ("objects/ab/cd", "git")],
        &[("version", "2"), ("config", "")],
        &[("notes.txt", "mine")],
    ] {
        let space = project();
        foreign.iter().for_each(|(name, text)| space.write(&format!("work/cache/{name}"), text));
        let before = names(&space, "work/cache");
        let ran = space.intrada("work/proj/p.toml");
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_eq!(names(&space, "work/cache"), before, "{foreign:?}");
        assert!(space.path("work/proj/cache/version").exists() && space.path("work/proj/out.txt").exists());

        // Where it is asked for, or stands where the cache would, it is refused, and nothing is written.
        let all = names(&space, "work");
        for asked in ["work/proj/p.toml --cache work/cache", "plan work/proj/p.toml --cache work/cache"] {
            let ran = space.intrada(asked);
            assert_eq!(ran.code, Some(2), "{foreign:?}: {}{}", ran.stdout, ran.stderr);
            assert!(
                ran.stderr.contains("is no cache and not empty") && ran.stderr.contains("--cache"),
                "{}",
                ran.stderr
            );
        }
        space.write("work/q.toml", stage());
        space.write("work/in.txt", "hello\n");
        let ran = space.intrada("work/q.toml");
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        space.remove("work/q.toml");
        space.remove("work/in.txt");
        assert_eq!(names(&space, "work"), all);
    }
}

#[test]
fn a_cache_that_is_named_does_not_move_the_root_of_the_next_command() {
    for named in ["--cache ../cache", "--cache ../../work/cache", "--cache ../cache/"] {
        let space = project();
        for round in 0..2 {
            let mut command = space.command(&format!("p.toml {named} --format json"));
            let ran = crate::space::Ran::of(command.current_dir(space.path("work/proj")).output().unwrap());
            assert_eq!(ran.code, Some(0), "{named}, round {round}: {}", ran.stderr);
        }
        assert!(space.path("work/proj/out.txt").exists() && !space.path("work/out.txt").exists());
        let mut command = space.command("p.toml");
        command.env("INTRADA_CACHE", space.path("work/cache")).current_dir(space.path("work/proj"));
        let ran = crate::space::Ran::of(command.output().unwrap());
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert!(!space.path("work/proj/cache").exists());
    }
}

#[test]
fn the_cache_of_a_workspace_marks_its_root_for_all_pipelines_below_even_when_one_mark_is_lost() {
    let space = Space::new();
    space.write("p.toml", stage());
    space.write("in.txt", "hello\n");
    assert_eq!(space.outcomes(), ["a:ran"]);
    space.write("deep/er/p.toml", stage());
    let at_root = |space: &Space| {
        let settled = space.run("deep/er/p.toml");
        assert_eq!(settled[0].outcome, "up-to-date");
        assert!(!space.path("deep/er/cache").exists());
    };
    at_root(&space);
    for (lost, text) in [("version", ""), ("CACHEDIR.TAG", ""), ("version", "garbage"), ("CACHEDIR.TAG", PUBLIC_TAG)] {
        fs::remove_file(space.path("cache").join(lost)).unwrap();
        space.write(&format!("cache/{lost}"), text);
        at_root(&space);
    }
    // A nested workspace is its own.
    space.write("deep/p.toml", stage());
    space.write("deep/cache/CACHEDIR.TAG", fs::read(space.path("cache/CACHEDIR.TAG")).unwrap());
    let ran = space.intrada("deep/p.toml");
    assert_eq!(ran.code, Some(2), "its own in.txt is missing: {}", ran.stdout);
    let root = format!("paths are relative to the workspace root, `{}`", space.path("deep").display());
    assert!(ran.stderr.contains(&root), "{}", ran.stderr);
}

#[test]
fn a_link_named_cache_marks_the_folder_that_it_lies_in_and_not_the_one_that_it_leads_to() {
    let space = project();
    fs::create_dir_all(space.path("disk/cache")).unwrap();
    symlink(space.path("disk/cache"), space.path("work/proj/cache")).unwrap();
    space.run("work/proj/p.toml");
    assert!(space.path("disk/cache/version").exists());
    space.write("work/proj/deep/p.toml", stage());
    assert_eq!(space.run("work/proj/deep/p.toml")[0].outcome, "up-to-date");
    space.write("disk/other/p.toml", stage());
    space.write("disk/other/in.txt", "other\n");
    space.run("disk/other/p.toml");
    assert!(space.path("disk/other/out.txt").exists() && !space.path("disk/out.txt").exists());
    // One that leads nowhere is named.
    let space = project();
    symlink("nowhere", space.path("work/proj/cache")).unwrap();
    let ran = space.intrada("work/proj/p.toml");
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("work/proj/cache") && ran.stderr.contains("--cache"), "{}", ran.stderr);
}

#[test]
fn a_pipeline_that_is_reached_through_a_link_belongs_where_the_link_lies() {
    let space = project();
    space.write("shared/p.toml", stage());
    space.remove("work/proj/p.toml");
    symlink(space.path("shared/p.toml"), space.path("work/proj/p.toml")).unwrap();
    space.run("work/proj/p.toml");
    assert!(space.path("work/proj/out.txt").exists() && !space.path("shared/out.txt").exists());
    assert_eq!(names(&space, "shared").len(), 1);
}

#[test]
fn a_command_that_is_refused_leaves_nothing_behind() {
    let space = project();
    let before = names(&space, "");
    let refused = [
        "work/proj/p.toml nosuchstage",
        "work/proj/p.toml --force nosuchstage",
        "work/proj/p.toml --cache new/deep/cache nosuchstage",
        "cache pin work/proj/p.toml",
        "cache stats work/nowhere.toml",
        "cache gc --cache new",
        "cache stats --cache new",
        "why work/proj/p.toml nosuchstage",
        "log work/proj/p.toml nosuchstage",
        "export work/proj/p.toml a out",
        "work/proj/p.toml --set stages.a.nosuchkey=1",
    ];
    for arguments in refused {
        let ran = space.intrada(arguments);
        assert!(matches!(ran.code, Some(1 | 2)), "{arguments}: {}{}", ran.stdout, ran.stderr);
        assert_eq!(names(&space, ""), before, "{arguments}");
    }
    space.remove("work/proj/in.txt");
    let before = names(&space, "");
    for arguments in ["work/proj/p.toml", "work/proj/p.toml --cache new/cache", "plan work/proj/p.toml"] {
        let ran = space.intrada(arguments);
        assert_eq!(ran.code, Some(2), "{arguments}: {}", ran.stderr);
        let root = format!("relative to the workspace root, `{}`", space.path("work/proj").display());
        assert!(ran.stderr.contains(&root), "{}", ran.stderr);
        assert_eq!(names(&space, ""), before, "{arguments}");
    }
}

#[test]
fn a_command_that_only_looks_makes_no_cache_and_needs_no_room_for_one() {
    let space = project();
    let before = names(&space, "");
    for arguments in
        ["plan work/proj/p.toml", "why work/proj/p.toml a", "doctor work/proj/p.toml", "compare work/proj/p.toml"]
    {
        let mut command = space.command(arguments);
        command.env("TMPDIR", space.path("nowhere"));
        let ran = crate::space::Ran::of(command.output().unwrap());
        assert!(ran.code != Some(101), "{arguments}: {}", ran.stderr);
        assert_eq!(names(&space, ""), before, "{arguments}: {}", ran.stderr);
    }
}

#[test]
fn no_output_may_lie_in_the_cache_that_is_named_nor_hold_it() {
    let space = project();
    space.run("work/proj/p.toml --cache work/proj/store");
    let count = files(&space.path("work/proj/store")).len();
    space.edit("work/proj/p.toml", "outputs = [\"out.txt\"]", "outputs = [\"store/out.txt\"]");
    let inside = space.intrada("plan work/proj/p.toml --cache work/proj/store");
    assert_eq!(inside.code, Some(2), "{}", inside.stdout);
    assert!(
        inside.stderr.contains("work/proj/p.toml:6:12") && inside.stderr.contains("the cache"),
        "{}",
        inside.stderr
    );
    space.edit("work/proj/p.toml", "store/out.txt", "store");
    assert_eq!(space.intrada("work/proj/p.toml --cache work/proj/store/deep").code, Some(2));
    assert_eq!(files(&space.path("work/proj/store")).len(), count);
}
