//! Signed results of shared caches: whole programs, in a bucket and in folders.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::bucket::server::Server;
use super::pipelines::Pipeline;
use super::space::{Ran, Space, files};

/// `small` and, made from it, `big`. `cache` is the section of this name.
fn two_stages(cache: &str) -> String {
    let pipeline = Pipeline::new().command("small", "echo small > small", [], ["small"]);
    let pipeline = pipeline.command("big", "cat small small > big", ["small"], ["big"]);
    pipeline.add(&format!("[cache]\n{cache}\n")).to_string()
}

fn run(machine: &Space) -> (Vec<String>, Vec<String>) {
    machine.intrada("run p.toml --format json").outcomes_and_warnings()
}

/// Creates a key in the file `key` and returns the public one.
fn new_key(machine: &Space) -> String {
    let made = machine.intrada("cache key new key");
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    made.stdout.trim().to_owned()
}

const HITS: [&str; 2] = ["big:hit", "small:hit"];
const RAN: [&str; 2] = ["big:ran", "small:ran"];

#[test]
fn results_in_a_colleague_s_folder_count_if_a_trusted_key_has_signed_them() {
    let [maker, trusts, doubts] = [(); 3].map(|()| Space::new());
    let public = new_key(&maker);
    let other = new_key(&doubts);
    maker.write("p.toml", two_stages("sign = \"key\""));
    assert_eq!(run(&maker), (RAN.map(String::from).to_vec(), vec![]));
    let upstream = format!("upstream = [{{ url = \"{}\" }}]", maker.path("cache").display());
    trusts.write("team.keys", format!("# anna\n{public}\n"));
    trusts.write("p.toml", two_stages(&format!("trust = [\"team.keys\"]\n{upstream}")));
    assert_eq!(run(&trusts), (HITS.map(String::from).to_vec(), vec![]));

    doubts.write("p.toml", two_stages(&format!("sign = \"key\"\ntrust = [\"{other}\"]\n{upstream}")));
    let planned = doubts.intrada("plan p.toml");
    assert!(planned.stderr.contains("has 1 result that nobody in `trust` has signed"), "{}", planned.stderr);
    let (settled, warnings) = run(&doubts);
    assert_eq!(settled, RAN);
    assert!(
        warnings.len() == 1 && warnings[0].contains("has 2 results that nobody in `trust` has signed"),
        "{warnings:?}"
    );
    assert_eq!(doubts.read("big"), trusts.read("big"));
    assert_eq!(run(&doubts), (vec!["big:up-to-date".into(), "small:up-to-date".into()], vec![]));

    doubts.remove("cache");
    doubts.remove("big");
    doubts.remove("small");
    doubts.edit("p.toml", " }]", ", trusted = true }]");
    assert_eq!(run(&doubts), (HITS.map(String::from).to_vec(), vec![]), "it is trusted as a whole");
}

struct Bucket {
    _dir: tempfile::TempDir,
    server: Server,
}

impl Bucket {
    fn new() -> Bucket {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(&dir.path().join("server"));
        Bucket { _dir: dir, server }
    }

    fn on(&self, machine: &Space, arguments: &str) -> Ran {
        Ran::of(machine.command(arguments).envs(self.server.environment()).output().unwrap())
    }

    fn run(&self, machine: &Space) -> (Vec<String>, Vec<String>) {
        self.on(machine, "run p.toml --format json").outcomes_and_warnings()
    }

    fn signatures(&self) -> Vec<PathBuf> {
        files(&self.server.file("team/v1/signatures"))
    }
}

const PUSHES: &str = "upstream = [{ url = \"s3://cache/team\", push = true }]";
const READS: &str = "upstream = [{ url = \"s3://cache/team\" }]";

#[test]
fn a_changed_signature_in_a_bucket_is_a_miss_that_is_told_once_and_the_stage_computes_the_same_bytes() {
    let bucket = Bucket::new();
    let [maker, one, other] = [(); 3].map(|()| Space::new());
    let public = new_key(&maker);
    maker.write("p.toml", two_stages(&format!("sign = \"key\"\n{PUSHES}")));
    assert_eq!(bucket.run(&maker), (RAN.map(String::from).to_vec(), vec![]));
    assert_eq!(bucket.signatures().len(), 2);
    for machine in [&one, &other] {
        machine.write("p.toml", two_stages(&format!("trust = [\"{public}\"]\n{READS}")));
    }
    assert_eq!(bucket.run(&one), (HITS.map(String::from).to_vec(), vec![]));
    for path in bucket.signatures() {
        let text = fs::read_to_string(&path).unwrap();
        let at = text.len() - 10;
        let digit = if &text[at..=at] == "0" { "1" } else { "0" };
        fs::write(&path, format!("{}{digit}{}", &text[..at], &text[at + 1..])).unwrap();
    }
    let (settled, warnings) = bucket.run(&other);
    assert_eq!(settled, RAN);
    assert!(warnings.len() == 1 && warnings[0].contains("(2 with a signature that does not fit"), "{warnings:?}");
    assert_eq!(other.read("big"), one.read("big"));
}

#[test]
fn a_team_that_begins_to_sign_later_keeps_its_results_and_signs_nobody_else_s() {
    let bucket = Bucket::new();
    let [maker, copies, trusts] = [(); 3].map(|()| Space::new());
    maker.write("p.toml", two_stages(PUSHES));
    copies.write("p.toml", two_stages(READS));
    bucket.run(&maker);
    assert_eq!(bucket.run(&copies).0, HITS);
    let public = new_key(&maker);
    trusts.write("p.toml", two_stages(&format!("trust = [\"{public}\"]\n{READS}")));

    copies.write("key", fs::read(maker.path("key")).unwrap());
    fs::set_permissions(copies.path("key"), fs::Permissions::from_mode(0o600)).unwrap();
    let pushed = bucket.on(&copies, "cache push s3://cache/team --all --sign key");
    assert_eq!(pushed.code, Some(0), "{}", pushed.stderr);
    assert!(pushed.stderr.contains("note: 2 results not signed"), "{}", pushed.stderr);
    assert_eq!(bucket.signatures(), Vec::<PathBuf>::new());

    let pushed = bucket.on(&maker, "cache push s3://cache/team --all --sign key");
    assert_eq!((pushed.code, pushed.stderr.as_str()), (Some(0), ""));
    assert_eq!(bucket.run(&trusts), (HITS.map(String::from).to_vec(), vec![]));
}

#[test]
fn a_key_is_shown_again_and_never_overwritten() {
    let space = Space::new();
    let public = new_key(&space);
    let text = space.read("key");
    let again = space.intrada("cache key new key");
    assert!(again.code == Some(2) && again.stderr.contains("there is something at `key`"), "{}", again.stderr);
    assert_eq!(space.read("key"), text);
    let shown = space.intrada("cache key show key");
    assert_eq!((shown.code, shown.stdout), (Some(0), format!("{public}\n")));
    space.write("team", &public);
    assert_eq!(space.intrada("cache key show team").stdout, format!("{public}\n"));
    assert_eq!(space.intrada("cache key show p.toml").code, Some(2));
    assert_eq!(space.intrada("cache key new none/key").code, Some(1));
    assert!(!public.is_empty() && text.contains(&public));
}

#[test]
fn a_key_that_can_not_be_used_is_told_with_its_place_in_the_file() {
    let space = Space::new();
    let public = new_key(&space);
    space.write("empty", "");
    space.write("p.toml", two_stages("sign = \"none\"\ntrust = [\"missing\", \"key\", \"empty\"]"));
    for command in ["run p.toml", "plan p.toml", "doctor p.toml"] {
        let ran = space.intrada(command);
        assert_eq!(ran.code, Some(2), "{command}: {}{}", ran.stdout, ran.stderr);
        let line = 1 + space.read("p.toml").lines().position(|line| line.starts_with("sign")).unwrap();
        for (place, text) in [
            (format!("p.toml:{line}:8"), "the key `none`: there is no such file"),
            (format!("p.toml:{}:10", line + 1), "`missing`: there is no such file"),
            (format!("p.toml:{}:21", line + 1), "`key`: it holds a private key"),
            (format!("p.toml:{}:28", line + 1), "`empty`: it holds no public key"),
        ] {
            assert!(ran.stderr.contains(&place) && ran.stderr.contains(text), "{place} {text}: {}", ran.stderr);
        }
        assert!(ran.stderr.contains("intrada-run cache key new"), "{}", ran.stderr);
    }
    space.write("p.toml", two_stages(&format!("sign = \"key\"\ntrust = [\"{public}\"]")));
    fs::set_permissions(space.path("key"), fs::Permissions::from_mode(0o640)).unwrap();
    let ran = space.intrada("run p.toml");
    assert!(
        ran.code == Some(2) && ran.stderr.contains("its mode is 0640") && ran.stderr.contains("chmod 600"),
        "{}",
        ran.stderr
    );
    fs::set_permissions(space.path("key"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(run(&space), (RAN.map(String::from).to_vec(), vec![]));
}
