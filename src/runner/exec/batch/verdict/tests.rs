//! What follows from what is known of a job, for every state and every outcome.

use super::*;

/// A job that was submitted a moment ago.
fn seen() -> Seen {
    Seen {
        outcome: None,
        standing: None,
        since: Duration::ZERO,
        latency: Duration::from_secs(60),
        lost_after: Duration::from_secs(300),
        is_cancelled: false,
        kept: [None, None],
        again: 0,
        printed: Vec::new(),
        job: "job 15 of `cluster`".to_owned(),
    }
}

fn standing(phase: Phase) -> Option<Standing> {
    Some(Standing { phase, node: None, reason: "Resources".to_owned(), restarts: 0 })
}

fn outcome(end: End) -> Option<Outcome> {
    let elsewhere = Elsewhere { machine: "n1".to_owned(), seconds: 3.0, earlier: 0.0 };
    Some(Outcome { attempt: "15.0.a".to_owned(), end, elsewhere })
}

fn ended(how: How) -> End {
    End::Ended { how, out_of_memory: None, timed_out: false }
}

fn interrupted(is_warning: bool) -> End {
    End::Interrupted { how: How::Status(130), is_warning }
}

const EXIT: Exit = Exit { status: Some(0), signal: Some(0) };
const LONG: Duration = Duration::from_secs(100_000);

fn phases() -> Vec<Phase> {
    let lost = Phase::Lost("Slurm says NODE_FAIL".to_owned());
    let unknown = Phase::Unknown("DREAMING".to_owned());
    let mut phases =
        vec![Phase::Waiting, Phase::Held, Phase::Stuck, Phase::NotLaunched, Phase::Running, Phase::Ended(EXIT)];
    phases.extend([Phase::OutOfMemory, Phase::OutOfTime, lost, Phase::Cancelled, unknown]);
    phases
}

fn message(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Fail { failure: Failure::Failed { message, .. }, .. } => message.clone(),
        other => format!("{other:?}"),
    }
}

#[test]
fn what_a_job_left_counts_whatever_the_batch_system_says() {
    let answers = phases().into_iter().map(standing).chain([None]);
    for standing in answers {
        for since in [Duration::ZERO, LONG] {
            let seen = Seen { outcome: outcome(ended(How::Status(1))), standing: standing.clone(), since, ..seen() };
            let Verdict::Take(taken) = of(&seen) else { panic!("{standing:?}") };
            assert_eq!((taken.how, taken.elsewhere.unwrap().seconds), (How::Status(1), 3.0));
        }
    }
}

#[test]
fn a_job_that_waits_or_runs_or_is_in_an_unknown_state_is_waited_for_however_long_that_takes() {
    for phase in [Phase::Waiting, Phase::Held, Phase::Running, Phase::Unknown("DREAMING".into())] {
        for outcome in [None, outcome(interrupted(false)), outcome(interrupted(true))] {
            let seen = Seen { outcome, standing: standing(phase.clone()), since: LONG, ..seen() };
            assert_eq!(of(&seen), Verdict::Wait, "{phase:?}");
        }
    }
}

#[test]
fn no_end_is_believed_before_the_job_s_files_had_time_to_become_visible() {
    for phase in phases() {
        let seen = Seen { standing: standing(phase), since: Duration::from_secs(4), ..seen() };
        assert_eq!(of(&seen), Verdict::Wait, "{seen:?}");
    }
    assert_eq!(of(&Seen { since: Duration::from_secs(299), ..seen() }), Verdict::Wait);
}

#[test]
fn a_job_that_nobody_knows_any_more_is_submitted_again() {
    let verdict = of(&Seen { since: LONG, ..seen() });
    assert!(matches!(verdict, Verdict::Again { counts: true, .. }), "{verdict:?}");
}

#[test]
fn a_loss_of_the_infrastructure_is_no_failure_of_the_stage_until_it_has_happened_often() {
    let lost = |again| {
        let standing = standing(Phase::Lost("Slurm says NODE_FAIL".into()));
        of(&Seen { standing, since: LONG, again, ..seen() })
    };
    assert_eq!(lost(9), Verdict::Again { why: "Slurm says NODE_FAIL".into(), counts: true, cancel: false });
    assert_eq!(message(&lost(10)), "job 15 of `cluster` was lost 11 times; the last time: Slurm says NODE_FAIL");
}

#[test]
fn a_time_limit_is_followed_by_another_submission_only_if_the_last_one_got_further() {
    for outcome in [None, outcome(interrupted(true))] {
        let at = |kept| {
            let standing = standing(Phase::OutOfTime);
            of(&Seen { outcome: outcome.clone(), standing, since: LONG, kept, ..seen() })
        };
        assert!(matches!(at([None, Some(100)]), Verdict::Again { counts: false, .. }));
        assert!(matches!(at([Some(100), Some(101)]), Verdict::Again { counts: false, .. }));
        for none in [[None, None], [Some(100), Some(100)]] {
            assert!(message(&at(none)).contains("before it had saved anything"), "{:?}", at(none));
        }
    }
}

#[test]
fn a_cancellation_is_ours_or_somebody_else_s() {
    let cancelled = |is_cancelled, outcome| {
        of(&Seen { outcome, standing: standing(Phase::Cancelled), since: LONG, is_cancelled, ..seen() })
    };
    assert_eq!(message(&cancelled(false, None)), "somebody else cancelled job 15 of `cluster`");
    assert_eq!(message(&cancelled(false, outcome(interrupted(false)))), "somebody else cancelled job 15 of `cluster`");
    assert!(matches!(cancelled(true, None), Verdict::Fail { failure: Failure::Cancelled { .. }, .. }));
    assert!(matches!(cancelled(true, outcome(interrupted(false))), Verdict::Take(_)));
}

#[test]
fn a_job_that_we_cancel_is_waited_for_until_it_has_left_its_node() {
    let seen = Seen {
        outcome: outcome(interrupted(false)),
        standing: standing(Phase::Running),
        is_cancelled: true,
        since: LONG,
        ..seen()
    };
    assert_eq!(of(&seen), Verdict::Wait);
}

#[test]
fn an_end_without_a_result_says_how_it_ended_and_what_was_printed() {
    let silent = |status, signal, printed: &[&str]| {
        let exit = Exit { status: Some(status), signal: Some(signal) };
        let printed = printed.iter().map(|line| (*line).to_owned()).collect();
        of(&Seen { standing: standing(Phase::Ended(exit)), since: LONG, printed, ..seen() })
    };
    assert_eq!(message(&silent(3, 0, &[])), "job 15 of `cluster` ended without a result: it ended with exit status 3");
    for (status, signal) in [(139, 0), (0, 11)] {
        assert!(message(&silent(status, signal, &[])).contains("signal 11"), "{status} {signal}");
    }
    let memory = ["slurmstepd: error: Exceeded job memory limit"];
    for (status, signal) in [(137, 0), (0, 9)] {
        assert!(message(&silent(status, signal, &memory)).contains("needed more memory"));
        assert!(message(&silent(status, signal, &[])).contains("signal 9"));
    }
    let Verdict::Fail { failure: Failure::Failed { help, .. }, .. } = silent(1, 0, &["no such file"]) else { panic!() };
    assert_eq!(help, ["it printed: no such file"]);
}

#[test]
fn a_job_that_can_never_start_is_cancelled_after_a_second_look() {
    let stuck = |seconds| of(&Seen { standing: standing(Phase::Stuck), since: Duration::from_secs(seconds), ..seen() });
    assert_eq!(stuck(1), Verdict::Wait);
    assert!(matches!(stuck(6), Verdict::Fail { cancel: true, .. }));
}

#[test]
fn a_job_that_its_node_failed_to_start_is_submitted_anew_and_the_held_one_cancelled() {
    let standing = standing(Phase::NotLaunched);
    let verdict = of(&Seen { standing, since: Duration::from_secs(6), ..seen() });
    assert!(matches!(verdict, Verdict::Again { counts: true, cancel: true, .. }), "{verdict:?}");
}

#[test]
fn a_preempted_job_that_left_by_itself_is_submitted_again_if_its_system_does_not_do_that() {
    for phase in [Phase::Lost("Slurm says PREEMPTED".into()), Phase::Ended(Exit { status: Some(75), signal: Some(0) })]
    {
        let seen = Seen { outcome: outcome(interrupted(false)), standing: standing(phase), ..seen() };
        assert!(matches!(of(&seen), Verdict::Again { counts: true, .. }), "{seen:?}");
    }
}

#[test]
fn an_end_that_we_asked_for_is_a_cancellation_whatever_the_system_calls_it() {
    let ends = [Phase::Cancelled, Phase::Ended(EXIT), Phase::OutOfTime, Phase::OutOfMemory, Phase::Lost("gone".into())];
    for end in ends {
        let verdict = of(&Seen { standing: standing(end.clone()), is_cancelled: true, ..seen() });
        assert!(matches!(verdict, Verdict::Fail { failure: Failure::Cancelled { .. }, .. }), "{end:?}: {verdict:?}");
    }
}

#[test]
fn a_job_that_was_asked_to_end_counts_as_lost_only_if_it_got_no_further() {
    let counts = |kept| {
        let standing = standing(Phase::Ended(EXIT));
        match of(&Seen { outcome: outcome(interrupted(false)), standing, since: LONG, kept, ..seen() }) {
            Verdict::Again { counts, .. } => counts,
            other => panic!("{other:?}"),
        }
    };
    assert!(!counts([None, Some(4)]) && !counts([Some(4), Some(6)]));
    assert!(counts([None, None]) && counts([Some(4), Some(4)]));
}
