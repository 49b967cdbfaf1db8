//! What a shell is offered at the press of a key. Fish asks with nothing but the words of the line, so it is the one asked as.

use crate::pipelines::Pipeline;
use crate::space::{Ran, Space};

fn pipeline() -> Pipeline {
    let pipeline = Pipeline::new().command("fetch", "date > words", [], ["words"]);
    pipeline.command("count", "wc words > number", ["words"], ["number"])
}

/// The candidates for the last word of a line, without their help.
fn offered(space: &Space, line: &str) -> Vec<String> {
    let mut command = space.command("--");
    command.args(line.split(' ')).env("INTRADA_COMPLETE", "fish");
    let ran = Ran::of(command.output().unwrap());
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let words = ran.stdout.lines().map(|line| line.split('\t').next().unwrap().to_owned());
    // Where a value could be an option, those are offered, too.
    words.filter(|word| !word.starts_with("--")).collect()
}

#[test]
fn stages_values_and_pipelines_are_completed_from_the_file_on_the_line() {
    let space = Space::with(pipeline());
    space.write("notes.txt", "");
    assert_eq!(offered(&space, "intrada-run why p.toml "), ["fetch", "count"]);
    assert_eq!(offered(&space, "intrada-run p.toml cou"), ["count"]);
    assert_eq!(offered(&space, "intrada-run p.toml --force f"), ["fetch"]);
    assert_eq!(offered(&space, "intrada-run plan p.toml --set stages.count."), ["stages.count.shell="]);
    assert_eq!(offered(&space, "intrada-run plan p"), ["p.toml"]);
    assert_eq!(offered(&space, "intrada-run why missing.toml "), Vec::<String>::new());
    assert_eq!(offered(&space, "intrada-run help ran"), ["ranking"]);
    assert!(offered(&space, "intrada-run in").contains(&"inspect".to_owned()));
}

#[test]
fn the_script_of_every_shell_calls_the_program() {
    let space = Space::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = space.intrada(&format!("completions {shell}"));
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert!(ran.stdout.contains("INTRADA_COMPLETE") && ran.stdout.contains("intrada-run"), "{}", ran.stdout);
    }
    assert_eq!(space.intrada("completions csh").code, Some(2));
}

#[test]
fn zsh_gets_its_completion_system_loaded_where_nobody_did() {
    let space = Space::new();
    let script = space.intrada("completions zsh").stdout;
    assert!(script.starts_with("#compdef intrada-run\n") && script.contains("compinit"), "{script}");
    space.write("script", &script);
    // A shell that has read no file of its own, as with an empty ~/.zshrc.
    let zsh = std::process::Command::new("zsh")
        .args(["-f", "-c", "source ./script && print -r -- $_comps[intrada-run]"])
        .current_dir(space.path(""))
        .env("HOME", space.path(""))
        .output();
    let Ok(zsh) = zsh else { return println!("skipped: there is no zsh") };
    let said = String::from_utf8_lossy(&zsh.stdout);
    assert!(zsh.status.success() && said.contains("intrada"), "{said}{}", String::from_utf8_lossy(&zsh.stderr));
}
