//! Names, logs and messages that try to command a terminal: whatever any command prints, none of it gets there.
//!
//! One pipeline whose every text from outside is hostile, and each command over it. What a program prints for people has no
//! character that a terminal obeys, no line that a name began, and no line that a name makes endless.

use crate::pipelines::{Pipeline, toml, training};
use crate::space::{Ran, Space};

/// An escape sequence, a line break with a line that looks like one of this program, an 8-bit command, a direction override.
const BAD: &str = "\u{1b}]0;pwned\u{7}\u{1b}[31m\nFAKE ok\r\u{9b}2J\u{202e}\u{2066}\u{2028}\u{8}end";

fn pipeline() -> Pipeline {
    let make = format!("printf '%s' '{BAD}' >&2; mkdir -p d; printf x > \"{}\"", made());
    let fails = format!("printf '%s\\n' '{BAD}' >&2; exit 3");
    let members = r#"[{ n = 1, v = "\u202E\u009B" }, { n = 2, v = "b" }]"#;
    let wide = "道路".repeat(20);
    let names = [BAD, "two\nFAKE lines", "a\u{85}b", &"x".repeat(10_000), &wide, "plain", "\u{7f}", "سماء"];
    let pipeline = training().set("pipeline.device", "cpu").evaluated().classes(names);
    let pipeline = pipeline.command("make", &make, [], [&made()]).set("stages.make.env", ["HOSTILE"]);
    let pipeline = pipeline.command("fails", &fails, [&made()], ["never"]);
    let pipeline = pipeline.command("sweep", "echo ${matrix.v} > o-${matrix.n}", [], ["o-${matrix.n}"]);
    pipeline.add(&format!("[stages.sweep.matrix]\ninclude = {members}\n"))
}

/// A path that can't be worse: only `/` and NUL may not stand in a name.
fn made() -> String {
    format!("d/{}", BAD.replace('\'', ""))
}

fn is_harmful(c: char) -> bool {
    let moves = matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    moves || c.is_control() && c != '\n' && c != '\t'
}

fn expect_harmless(what: &str, text: &str) {
    let at = text.find(is_harmful);
    assert_eq!(at.map(|at| text[at..].chars().take(40).collect::<String>()), None, "{what}:\n{text:?}");
    let fake = text.lines().find(|line| line.trim_start_matches(['|', ' ']).starts_with("FAKE"));
    assert_eq!(fake, None, "{what}:\n{text}");
}

fn ran(space: &Space, arguments: &str) -> Ran {
    Ran::of(space.command(arguments).env("HOSTILE", BAD.replace('\0', "")).output().unwrap())
}

#[test]
fn no_command_passes_on_what_a_terminal_would_obey() {
    let space = Space::with(pipeline());
    // It fails where it is meant to; the others are there to be looked at.
    let first = ran(&space, "run p.toml");
    assert!(
        first.stderr.contains("exit status 3") && first.stdout.contains("mIoU"),
        "{}{}",
        first.stdout,
        first.stderr
    );
    expect_harmless("run", &first.stderr);
    expect_harmless("run", &first.stdout);
    let longest = first.stdout.lines().map(|line| line.chars().count()).max();
    assert!(longest.is_some_and(|longest| longest < 100), "{}", first.stdout);
    let commands = "plan p.toml|plan p.toml --format json|run p.toml evaluate --format json|why p.toml make|why p.toml fails
        why p.toml make --format json|compare p.toml|compare p.toml --classes|compare p.toml --classes --format markdown
        compare p.toml --classes --format latex|compare p.toml --classes --format csv|compare p.toml --classes --format json
        compare p.toml --classes --long|compare p.toml --all|graph p.toml|graph p.toml --format dot
        graph p.toml --format mermaid|graph p.toml --format json|inspect p.toml make|inspect p.toml inter
        inspect p.toml make --format json|inspect p.toml evaluate --image 0|inspect p.toml inter --tensors|report p.toml
        export p.toml inter out|lineage p.toml make|lineage p.toml make --format openlineage|cache stats p.toml
        cache verify p.toml|cache gc p.toml --dry-run|cache pin p.toml make|cache unpin p.toml make|doctor p.toml
        log p.toml nothing|run p.toml nothing|why p.toml make --set stages.make.outputs=['y']
        run p.toml make --set stages.make.env=['HOSTILE','PATH']|schema|help ranking";
    for command in commands.split(['|', '\n']).map(str::trim) {
        let shown = ran(&space, command);
        assert!(!shown.stdout.is_empty() || !shown.stderr.is_empty(), "{command} says nothing");
        expect_harmless(command, &shown.stderr);
        expect_harmless(command, &shown.stdout);
    }
    for file in ["out/README.md", "out/load.py", "out/model.py"] {
        expect_harmless(file, &space.read(file));
    }
}

#[test]
fn a_log_goes_into_a_pipe_byte_by_byte() {
    let space = Space::with(pipeline());
    ran(&space, "run p.toml make --quiet");
    assert_eq!(ran(&space, "log p.toml make").stdout, BAD);
}

#[test]
fn mistakes_name_hostile_texts_without_obeying_them() {
    let space = Space::new();
    let file = format!("a{BAD}.toml");
    let texts = [
        format!("format = 1\n[stages.{}]\nkind = \"command\"\n", toml(BAD)),
        format!("format = 1\n[stages.a]\nkind = {}\n", toml(BAD)),
        format!("format = 1\n[stages.a]\nkind = \"command\"\n{} = 1\n", toml(BAD)),
        format!("format = 1\n[stages.a]\nkind = \"ranking\"\nscores = {}\n", toml(BAD)),
        "format = 1\nx = \"\u{9b}2J\u{202e}\u{2028}\"\ny = \u{1b}[2J\r\n".to_owned(),
        pipeline().dataset("source", &format!("format = \"folder\"\nroot = {}\n", toml(BAD))).to_string(),
    ];
    for text in texts {
        space.write(&file, &text);
        let shown = Ran::of(space.command("plan").arg(&file).output().unwrap());
        assert_eq!(shown.code, Some(2), "{}{}", shown.stdout, shown.stderr);
        expect_harmless(&text, &shown.stderr);
    }
    // Words of the command line, as a shell's `*` makes them out of the names of files.
    for words in [vec![BAD], vec!["--\u{1b}[2J"], vec!["plan", "p.toml", "--format", BAD], vec!["help", BAD]] {
        let shown = Ran::of(space.command("").args(&words).output().unwrap());
        assert_eq!(shown.code, Some(2), "{}{}", shown.stdout, shown.stderr);
        assert!(!shown.stderr.contains(is_harmful), "{words:?}: {:?}", shown.stderr);
    }
}
