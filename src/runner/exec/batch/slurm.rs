//! Slurm as a batch system: `sbatch`, one `squeue` for all jobs, `sacct` for those that it has forgotten, `scancel`.
//!
//! Knows Slurm's words and options. Each state of the manual page of `squeue` (JOB STATE CODES) is in [`phase`]; a word that isn't
//! counts as waiting, since every program that took an unknown word for a failure has computed something twice.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::super::executor::Request;
use super::client::{Answer, call};
use super::queue::{Exit, NotSubmitted, Phase, Queue, Standing, Submission};
use crate::pipeline::Slurm as Options;

/// How long before its time limit a job is warned, in seconds. Slurm's clock is coarse by half a minute.
const WARNING_SECONDS: u64 = 120;
/// The database of finished jobs is asked at most this often.
const DATABASE_INTERVAL: Duration = Duration::from_secs(60);
/// Slurm's default for `MaxArraySize` is 1001: indices 0 to 1000.
const MOST_TASKS: usize = 1000;

/// One line per job: number, state, exit status as `wait` returns it, restarts, node, reason. The reason comes last, as it is free
/// text.
const FIELDS: &str = "JobArrayID:|,State:|,exit_code:|,RestartCnt:|,NodeList:|,Reason:|";

/// A cluster with Slurm.
pub(super) struct Slurm {
    options: Options,
    /// When the database was asked last; `None` inside: it doesn't work.
    database: Mutex<Option<Instant>>,
}

impl Slurm {
    pub(super) fn new(options: Options) -> Slurm {
        Slurm { options, database: Mutex::new(None) }
    }

    fn submit_command(&self, submission: &Submission<'_>) -> Command {
        let Submission { script, label, comment, log, request, tasks, is_step } = submission;
        let mut command = Command::new("sbatch");
        command.args(["--parsable", "--open-mode=append", "--export=NONE", "--input=/dev/null"]);
        command.arg(if self.options.requeue { "--requeue" } else { "--no-requeue" });
        command.arg(format!("--job-name={label}")).arg(format!("--comment={comment}"));
        command.arg(format!("--output={}", log.display()));
        // To all processes of the step by default.
        let whom = if *is_step { "" } else { "B:" };
        if request.heeds_warning {
            command.arg(format!("--signal={whom}USR1@{}", self.warning(request)));
        }
        command.args(self.asks(request));
        if *tasks > 1 {
            command.arg(format!("--array=0-{}", tasks - 1));
        }
        command.args(&self.options.extra).arg(script);
        command
    }

    /// A short job needs a later warning, or it would end as soon as it begins.
    fn warning(&self, request: &Request) -> u64 {
        let time = request.time.or(self.options.time);
        time.map_or(WARNING_SECONDS, |time| WARNING_SECONDS.min(60 * minutes(time) / 4))
    }

    fn asks(&self, request: &Request) -> Vec<String> {
        let Options { partition, account, qos, constraint, gpu_type, time, .. } = &self.options;
        let named = [("partition", partition), ("account", account), ("qos", qos), ("constraint", constraint)];
        let mut asks: Vec<String> =
            named.iter().filter_map(|(name, value)| Some(format!("--{name}={}", value.as_ref()?))).collect();
        asks.extend(["--nodes=1".to_owned(), "--ntasks=1".to_owned()]);
        asks.push(format!("--cpus-per-task={}", request.threads.max(1)));
        if let Some(gpus) = request.gpus.filter(|gpus| *gpus > 0) {
            let kind = gpu_type.as_ref().map(|kind| format!("{kind}:")).unwrap_or_default();
            asks.push(format!("--gres=gpu:{kind}{gpus}"));
        }
        asks.extend(request.memory.map(|bytes| format!("--mem={}M", bytes.div_ceil(1 << 20))));
        let time = request.time.or(*time);
        asks.extend(time.map(|time| format!("--time={}", minutes(time))));
        asks
    }

    /// What the database of finished jobs says of those that the controller has forgotten, if there is one.
    fn forgotten(&self, jobs: &[&String]) -> BTreeMap<String, Standing> {
        let mut asked = self.database.lock().expect("no code panics while it holds this lock");
        if jobs.is_empty() || asked.is_some_and(|at| at.elapsed() < DATABASE_INTERVAL) {
            return BTreeMap::new();
        }
        *asked = Some(Instant::now());
        let mut command = Command::new("sacct");
        command.args(["-X", "-n", "-P", "-o", "JobID,State,ExitCode,NodeList", "-j"]);
        command.arg(jobs.iter().map(|job| job.as_str()).collect::<Vec<_>>().join(","));
        let Answer::Said(text) = call(command) else { return BTreeMap::new() };
        text.lines().filter_map(of_database).collect()
    }
}

impl Queue for Slurm {
    fn submit(&self, submission: &Submission<'_>) -> Result<String, NotSubmitted> {
        match call(self.submit_command(submission)) {
            // On a federation, the cluster follows.
            Answer::Said(text) => match text.lines().next_back().and_then(|line| line.split(';').next()).map(str::trim)
            {
                Some(job) if !job.is_empty() && job.bytes().all(|byte| byte.is_ascii_digit()) => Ok(job.to_owned()),
                _ => Err(NotSubmitted::Unsure(format!("`sbatch` printed no number: {}", text.trim()))),
            },
            Answer::Silent(why) => Err(NotSubmitted::Unsure(why)),
            Answer::Refused(why) if is_of_controller(&why) => Err(NotSubmitted::Unsure(why)),
            Answer::Refused(why) => Err(NotSubmitted::Refused(why)),
            Answer::NoClient(why) => Err(NotSubmitted::NoClient(why)),
        }
    }

    fn task(&self, job: &str, task: usize) -> String {
        format!("{job}_{task}")
    }

    fn most_tasks(&self) -> usize {
        MOST_TASKS
    }

    /// As a step, the program hears of a preemption at once; the script itself only when the grace is over. Since Slurm 22.05
    /// `srun` doesn't take over the number of CPUs by itself.
    fn starter(&self, request: &Request) -> String {
        format!("SLURM_EXPORT_ENV=ALL exec srun --mpi=none --ntasks=1 --cpus-per-task={} ", request.threads.max(1))
    }

    fn tells_labels(&self) -> bool {
        true
    }

    fn standings(&self, jobs: &[String]) -> Result<BTreeMap<String, Standing>, String> {
        let mut command = Command::new("squeue");
        command.args(["--me", "--noheader", "--array", "--states=all", "-O", FIELDS]);
        let text = call(command).said()?;
        let mut standings: BTreeMap<String, Standing> = text.lines().filter_map(of_queue).collect();
        standings.retain(|job, _| jobs.contains(job));
        let missing: Vec<&String> = jobs.iter().filter(|job| !standings.contains_key(*job)).collect();
        standings.extend(self.forgotten(&missing));
        Ok(standings)
    }

    fn labelled(&self, label: &str) -> Result<Option<String>, String> {
        let mut command = Command::new("squeue");
        command.args(["--me", "--noheader", "--states=all", "-o", "%F"]).arg(format!("--name={label}"));
        let text = call(command).said()?;
        Ok(text.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned))
    }

    /// After a requeue Slurm holds a job back for two minutes; its owner may shorten that.
    fn hasten(&self, job: &str) {
        let mut command = Command::new("scontrol");
        command.args(["update", &format!("jobid={job}"), "StartTime=now"]);
        // It only waits longer.
        let _ = call(command);
    }

    fn cancel(&self, jobs: &[String]) -> Result<(), String> {
        let mut command = Command::new("scancel");
        command.arg("--quiet").args(jobs);
        call(command).said().map(|_| ())
    }
}

/// Slurm counts in minutes, and a limit of 0 is none.
fn minutes(time: Duration) -> u64 {
    time.as_secs().div_ceil(60).max(1)
}

/// Whether an error is about reaching the controller: whether the job was submitted is then not known.
fn is_of_controller(why: &str) -> bool {
    [
        "Unable to contact slurm controller",
        "Socket timed out",
        "Connection refused",
        "Zero Bytes were transmitted",
        "timed out",
    ]
    .iter()
    .any(|words| why.contains(words))
}

/// A line of `squeue`.
fn of_queue(line: &str) -> Option<(String, Standing)> {
    let mut fields = line.splitn(6, '|');
    let [job, state, exit, restarts, node, reason] = std::array::from_fn(|_| fields.next());
    let (job, state, reason) = (job?.trim(), state?, reason?.trim_end_matches('|').trim());
    let status: i32 = exit?.trim().parse().unwrap_or_default();
    let exit = Exit { status: Some((status >> 8) & 0xff), signal: Some(status & 0x7f) };
    let node = node.map(str::trim).filter(|node| !node.is_empty()).map(str::to_owned);
    let restarts = restarts.and_then(|restarts| restarts.trim().parse().ok()).unwrap_or_default();
    Some((
        job.to_owned(),
        Standing { phase: phase(state.trim(), reason, exit), node, reason: reason.to_owned(), restarts },
    ))
}

/// A line of `sacct -P -o JobID,State,ExitCode,NodeList`.
fn of_database(line: &str) -> Option<(String, Standing)> {
    let mut fields = line.split('|');
    let [job, state, exit, node] = std::array::from_fn(|_| fields.next());
    let (status, signal) = exit?.split_once(':')?;
    let exit = Exit { status: status.parse().ok(), signal: signal.parse().ok() };
    // `CANCELLED by 1000`.
    let state = state?.split_whitespace().next()?;
    let node = node.filter(|node| !node.is_empty() && *node != "None assigned").map(str::to_owned);
    Some((job?.to_owned(), Standing { phase: phase(state, "", exit), node, reason: state.to_owned(), restarts: 0 }))
}

/// A state of Slurm, with the reason and the exit status that go with it.
fn phase(state: &str, reason: &str, exit: Exit) -> Phase {
    match state {
        "PENDING" | "REQUEUE_HOLD" if reason.contains("launch failed") => Phase::NotLaunched,
        "PENDING" if is_never(reason) => Phase::Stuck,
        "PENDING" if reason.to_ascii_lowercase().contains("held") => Phase::Held,
        "PENDING" | "CONFIGURING" | "REQUEUED" | "REQUEUE_FED" => Phase::Waiting,
        "REQUEUE_HOLD" | "SPECIAL_EXIT" | "RESV_DEL_HOLD" => Phase::Held,
        "RUNNING" | "COMPLETING" | "STAGE_OUT" | "SIGNALING" | "RESIZING" | "STOPPED" | "SUSPENDED" => Phase::Running,
        "COMPLETED" | "FAILED" => Phase::Ended(exit),
        "OUT_OF_MEMORY" => Phase::OutOfMemory,
        "TIMEOUT" | "DEADLINE" => Phase::OutOfTime,
        "PREEMPTED" | "NODE_FAIL" | "BOOT_FAIL" | "LAUNCH_FAILED" | "REVOKED" => {
            Phase::Lost(format!("Slurm says {state}"))
        }
        "CANCELLED" => Phase::Cancelled,
        other => Phase::Unknown(other.to_owned()),
    }
}

/// Reasons for which a job waits for ever.
fn is_never(reason: &str) -> bool {
    [
        "PartitionTimeLimit",
        "PartitionNodeLimit",
        "DependencyNeverSatisfied",
        "BadConstraints",
        "AssocMaxWallDurationPerJobLimit",
    ]
    .iter()
    .any(|never| reason.contains(never))
}

#[cfg(test)]
mod tests;
