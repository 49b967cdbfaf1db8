//! Slurm's options and words: what is asked for, and what answers mean.

use super::*;

fn options() -> Options {
    Options {
        partition: Some("gpu".into()),
        account: None,
        qos: None,
        constraint: Some("a100|h100".into()),
        gpu_type: Some("a100".into()),
        time: Some(Duration::from_secs(3600)),
        requeue: true,
        extra: vec!["--reservation=x".into()],
    }
}

fn words(request: &Request, tasks: usize) -> String {
    let paths = ["/c/job.sh", "/c/system.log"].map(std::path::Path::new);
    let submission = Submission {
        script: paths[0],
        label: "intrada-s-1",
        comment: "c",
        log: paths[1],
        request,
        tasks,
        is_step: true,
    };
    let command = Slurm::new(options()).submit_command(&submission);
    command.get_args().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_program_that_a_warning_would_end_is_not_warned() {
    let time = Some(Duration::from_secs(3600));
    let asked = |heeds_warning| words(&Request { threads: 1, time, heeds_warning, ..Request::default() }, 1);
    assert!(asked(true).contains("--signal=USR1@120"));
    assert!(!asked(false).contains("--signal"));
}

#[test]
fn resources_of_a_stage_and_options_of_the_executor_become_options_of_sbatch() {
    let request = Request {
        stage: "s".into(),
        threads: 8,
        gpus: Some(2),
        memory: Some(32 << 30),
        time: Some(Duration::from_secs(90)),
        timeout: None,
        heeds_warning: true,
    };
    let asked = words(&request, 3);
    for option in [
        "--parsable",
        "--requeue",
        "--export=NONE",
        "--job-name=intrada-s-1",
        "--partition=gpu",
        "--constraint=a100|h100",
        "--cpus-per-task=8",
        "--gres=gpu:a100:2",
        "--mem=32768M",
        "--time=2",
        "--signal=USR1@30",
        "--array=0-2",
        "--reservation=x /c/job.sh",
    ] {
        assert!(format!(" {asked} ").contains(&format!(" {option} ")), "{option} in {asked}");
    }
    let little = words(&Request { threads: 1, gpus: Some(0), heeds_warning: true, ..Request::default() }, 1);
    assert!(!["--gres", "--mem", "--array", "--account"].iter().any(|option| little.contains(option)), "{little}");
    assert!(little.contains("--time=60") && little.contains("--signal=USR1@120"), "{little}");
}

#[test]
fn a_line_of_the_queue_is_read_whatever_its_reason_holds() {
    let line = "14_3|RUNNING|0|2|n1|a reason, with | and blanks|";
    let (job, standing) = of_queue(line).unwrap();
    assert_eq!(job, "14_3");
    assert_eq!(
        standing,
        Standing {
            phase: Phase::Running,
            node: Some("n1".into()),
            reason: "a reason, with | and blanks".into(),
            restarts: 2
        }
    );
    let exit = |status, signal| Phase::Ended(Exit { status: Some(status), signal: Some(signal) });
    assert_eq!(of_queue("1|FAILED|768|0|n1|NonZeroExitCode|").unwrap().1.phase, exit(3, 0));
    assert_eq!(of_queue("1|FAILED|11|0|n1|JobLaunchFailure|").unwrap().1.phase, exit(0, 11));
    assert_eq!(of_queue("1|PENDING|0|0||Resources|").unwrap().1.node, None);
    assert!(of_queue("slurm_load_jobs error").is_none());
}

#[test]
fn a_line_of_the_database_is_read_too() {
    let (job, standing) = of_database("3|CANCELLED by 1000|0:15|None assigned").unwrap();
    assert_eq!((job.as_str(), standing.phase, standing.node), ("3", Phase::Cancelled, None));
    let (_, standing) = of_database("1|FAILED|3:0|n1").unwrap();
    assert_eq!(standing.phase, Phase::Ended(Exit { status: Some(3), signal: Some(0) }));
    assert!(of_database("").is_none());
}

#[test]
fn every_state_of_slurm_is_known_and_a_word_that_is_not_counts_as_waiting() {
    let phase = |state| phase(state, "None", Exit::default());
    let known = [
        (
            "BOOT_FAIL CANCELLED COMPLETED DEADLINE FAILED NODE_FAIL OUT_OF_MEMORY PREEMPTED TIMEOUT LAUNCH_FAILED REVOKED",
            false,
        ),
        ("PENDING CONFIGURING REQUEUED REQUEUE_FED REQUEUE_HOLD SPECIAL_EXIT RESV_DEL_HOLD RUNNING COMPLETING", true),
        ("STAGE_OUT SIGNALING RESIZING STOPPED SUSPENDED", true),
    ];
    for (states, is_alive) in known {
        for state in states.split(' ') {
            let phase = phase(state);
            assert_eq!(matches!(phase, Phase::Waiting | Phase::Held | Phase::Running), is_alive, "{state}");
            assert!(!matches!(phase, Phase::Unknown(_)), "{state}");
        }
    }
    assert_eq!(phase("DREAMING"), Phase::Unknown("DREAMING".into()));
}

#[test]
fn a_job_that_waits_for_ever_or_for_a_person_is_told_from_one_that_waits_its_turn() {
    let phase = |reason| phase("PENDING", reason, Exit::default());
    assert_eq!(phase("PartitionTimeLimit"), Phase::Stuck);
    assert_eq!(phase("launch failed requeued held"), Phase::NotLaunched);
    assert_eq!(phase("JobHeldUser"), Phase::Held);
    assert_eq!(phase("Priority"), Phase::Waiting);
    assert_eq!(phase("BeginTime"), Phase::Waiting);
}
