//! Three lines for a shell: what is put into them, and what their answers mean.

use std::path::Path;

use super::*;

fn system(submit: &str, status: &str) -> Commands {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    Commands(Options {
        submit: submit.into(),
        status: status.into(),
        cancel: "true {jobs}".into(),
        time: None,
        waiting: words("Q"),
        running: words("R"),
        ended: words("C"),
    })
}

fn submit(system: &Commands) -> Result<String, NotSubmitted> {
    let request = Request { threads: 3, memory: Some(5 << 20), ..Request::default() };
    let (script, log) = (Path::new("/a b/job.sh"), Path::new("/c/log"));
    system.submit(&Submission { script, label: "n", comment: "c", log, request: &request, tasks: 1, is_step: true })
}

#[test]
fn placeholders_become_quoted_words_and_the_last_word_is_the_number() {
    let asked = submit(&system("printf '%s\\n' {script} {cpus} {memory_mb} | tr '\\n' '+'", ""));
    assert_eq!(asked, Ok("b/job.sh+3+5+".into()));
    assert_eq!(submit(&system("echo Your job 77", "")), Ok("77".into()));
}

#[test]
fn no_number_leaves_it_open_whether_the_job_was_submitted_and_an_error_does_not() {
    assert!(matches!(submit(&system("true", "")), Err(NotSubmitted::Unsure(_))));
    assert_eq!(submit(&system("echo no queue >&2; exit 1", "")), Err(NotSubmitted::Refused("no queue".into())));
}

#[test]
fn a_status_is_a_number_and_a_word_a_line_and_a_job_without_one_is_unknown() {
    let system = system("", "printf '1 q\\n2 R on n1\\n3 C\\n4 X\\n9 R\\nnoise\\n'; : {jobs}");
    let jobs: Vec<String> = ["1", "2", "3", "4", "5"].map(String::from).into();
    let standings = system.standings(&jobs).unwrap();
    let phases: Vec<_> = standings.iter().map(|(job, standing)| (job.as_str(), standing.phase.clone())).collect();
    assert_eq!(
        phases,
        [
            ("1", Phase::Waiting),
            ("2", Phase::Running),
            ("3", Phase::Ended(Exit::default())),
            ("4", Phase::Unknown("X".into()))
        ]
    );
    assert_eq!(standings["2"].reason, "on n1");
}

#[test]
fn a_job_with_several_lines_has_ended_once_all_its_lines_say_so() {
    let jobs = ["1".to_owned(), "2".to_owned()];
    let standings = system("", "printf '1 C\\n1 R\\n1 C\\n2 C\\n2 C\\n'").standings(&jobs).unwrap();
    assert_eq!(standings["1"].phase, Phase::Running);
    assert_eq!(standings["2"].phase, Phase::Ended(Exit::default()));
}

#[test]
fn an_end_that_is_called_a_cancellation_is_one() {
    let mut system = system("", "echo 1 CANCELED");
    system.0.ended.push("Canceled".into());
    assert_eq!(system.standings(&["1".into()]).unwrap()["1"].phase, Phase::Cancelled);
}

#[test]
fn a_failed_status_is_no_answer_unless_it_speaks_of_the_jobs() {
    let standings = |status: &str| system("", status).standings(&["1".into(), "12.pbs".into(), "13".into()]);
    let unknown = Ok(BTreeMap::new());
    for reached in [
        "true",
        "echo 'Job id  Name  S'",
        "echo 'qstat: Unknown Job Id 12.pbs' >&2; exit 153",
        "echo 'qstat: 12.pbs Job has finished, use -x or -H' >&2; exit 35",
        "echo 'Job <13> is not found' >&2; exit 255",
        "printf 'Following jobs do not exist: \\n13\\n' >&2; exit 1",
        "echo 'Error from server (NotFound): jobs.batch \"13\" not found' >&2; exit 1",
        "(echo 'qstat: Unknown Job Id 12.pbs' >&2; exit 153) | cat",
    ] {
        assert_eq!(standings(reached), unknown, "{reached}");
    }
    for away in [
        "exit 1",
        "echo 'cannot connect to server pbs' >&2; exit 1",
        "no-such-client",
        "no-such-client | cat",
        "(echo 'cannot connect to server pbs' >&2; exit 1) | cat",
        "echo 'Job <99> is not found' >&2; exit 255",
        "echo 99 R; exit 1",
    ] {
        assert!(standings(away).is_err(), "{away}: {:?}", standings(away));
    }
    let one = standings("echo 13 R; echo 'qstat: Unknown Job Id 12.pbs' >&2; exit 153").unwrap();
    assert_eq!(one.keys().collect::<Vec<_>>(), ["13"], "the others are unknown");
}
