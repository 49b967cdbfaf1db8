//! The keys of `[executors.…]`, one table per kind of batch system.
//!
//! Knows no system's programs: `exec` calls them. Where a stage runs can't change its result, so none of these keys is part of a
//! cache key.

use super::{KeySpec, Literal, ValueType, Variant};

/// The executor that every pipeline has: this machine. No table defines it.
pub const LOCAL: &str = "local";

/// Placeholders of the line that submits a job, and what replaces them.
pub const SUBMIT: &[&str] = &["script", "name", "log", "cpus", "gpus", "memory_mb", "seconds"];

/// Placeholders of the lines that ask for the state of jobs and that cancel them.
pub const JOBS: &[&str] = &["jobs"];

/// An option of `sbatch` that `extra` can't set, as the program sets it itself.
#[derive(Debug)]
pub struct Taken {
    /// The option: `--job-name`.
    pub long: &'static str,
    /// Its short form, if it has one: `-J`.
    pub short: Option<&'static str>,
    /// Why.
    pub reason: &'static str,
}

const fn taken(long: &'static str, reason: &'static str) -> Taken {
    Taken { long, short: None, reason }
}

const fn taken_with(long: &'static str, short: &'static str, reason: &'static str) -> Taken {
    Taken { long, short: Some(short), reason }
}

const FOUND_BY_NAME: &str = "jobs are found again by their name and comment";
const OWN_LOG: &str = "a stage's log is where `intrada-run log` finds it";
const OWN_KEY: &str = "it is a key of its own: `requeue = true` or `requeue = false`";

/// The options that `extra` can't set.
pub const TAKEN: &[Taken] = &[
    taken_with("--job-name", "-J", FOUND_BY_NAME),
    taken("--comment", FOUND_BY_NAME),
    taken_with("--output", "-o", OWN_LOG),
    taken_with("--error", "-e", OWN_LOG),
    taken("--open-mode", OWN_LOG),
    taken_with("--array", "-a", "each stage is a job of its own"),
    taken("--parsable", "the program reads the job's number in its own way"),
    taken("--export", "a job's environment is clean, so that it computes the same everywhere"),
    taken("--signal", "jobs are told in time to save their state"),
    taken("--wrap", "the program writes the job's script"),
    taken("--requeue", OWN_KEY),
    taken("--no-requeue", OWN_KEY),
    taken_with("--wait", "-W", "the program doesn't wait for `sbatch` until the job has ended"),
    taken("--test-only", "no job would be submitted"),
    taken_with("--help", "-h", "no job would be submitted"),
    taken("--usage", "no job would be submitted"),
    taken_with("--version", "-V", "no job would be submitted"),
];

const COMMON: &[KeySpec] = &[
    KeySpec::new(
        "max_jobs",
        ValueType::Integer { min: 1, max: 100_000 },
        "at most so many jobs are in its queue or run there at once",
    )
    .or_integer(50)
    .execution(),
    KeySpec::new("poll", ValueType::Duration, "time between two questions about all jobs").or_text("15 s").execution(),
    KeySpec::new(
        "latency",
        ValueType::Duration,
        "how long a new file may stay invisible to other machines on the shared file system",
    )
    .or_text("60 s")
    .execution(),
    KeySpec::new(
        "scratch",
        ValueType::Text,
        "a folder on a disk of the node, as in `$TMPDIR`, whose variables are those of the node; each job copies its inputs there, \
         and copies that are still there are used again; default: inputs are read on the shared file system",
    )
    .optional()
    .execution(),
    KeySpec::new("program", ValueType::Path, "`intrada-run` on the nodes; default: the path of the running program")
        .optional()
        .execution(),
];

const TIME: KeySpec = KeySpec::new(
    "time",
    ValueType::Duration,
    "time limit of a job, unless `resources` of its stage has `time`; default: the system's",
)
.optional()
.execution();

const SLURM: &[KeySpec] = &[
    KeySpec::new("partition", ValueType::Text, "the partition; default: the cluster's").optional().execution(),
    KeySpec::new("account", ValueType::Text, "the account that is charged; default: the user's").optional().execution(),
    KeySpec::new("qos", ValueType::Text, "the quality of service").optional().execution(),
    KeySpec::new("constraint", ValueType::Text, "features that a node must have, as in `a100|h100`")
        .optional()
        .execution(),
    KeySpec::new("gpu_type", ValueType::Text, "the type in `--gres=gpu:TYPE:N`; default: any").optional().execution(),
    TIME,
    KeySpec::new(
        "requeue",
        ValueType::Flag,
        "whether Slurm itself starts a job again whose node failed or that was preempted",
    )
    .or_flag(true)
    .execution(),
    KeySpec::new("extra", ValueType::Texts, "more options of `sbatch`, as in `[\"--reservation=night\"]`")
        .optional()
        .execution(),
];

/// States of a job that waits, as these systems write them: PBS, LSF, Grid Engine, HyperQueue, Kubernetes.
///
/// Capitals don't count when words are compared. For PBS `T` is a job that moves, for Grid Engine `t` is one that starts: the
/// latter lasts longer, so it counts as running. States that need a person, such as Grid Engine's `Eqw`, are in no list, as
/// words in no list are reported.
const WAITING: &[&str] = &[
    // PBS
    "Q",
    "H",
    "W",
    "M",
    // LSF
    "PEND",
    "PSUSP",
    "WAIT",
    // Grid Engine
    "qw",
    "Rq",
    "hqw",
    "hRwq",
    // HyperQueue
    "WAITING",
    // Kubernetes
    "Pending",
    "ContainerCreating",
    "PodInitializing",
    "Suspended",
];

/// States of a job that has started and hasn't ended; suspended ones have.
const RUNNING: &[&str] = &[
    // PBS
    "R",
    "E",
    "B",
    "S",
    "U",
    // LSF
    "RUN",
    "USUSP",
    "SSUSP",
    // Grid Engine
    "r",
    "t",
    "hr",
    "Rr",
    "Rt",
    "s",
    "ts",
    "tS",
    "dr",
    "dt",
    "dRr",
    "dRt",
    // HyperQueue
    "RUNNING",
    // Kubernetes
    "Running",
    "Terminating",
];

/// States of a job that has ended, well or not: the result tells which.
const ENDED: &[&str] = &[
    // PBS, Torque
    "F",
    "X",
    "C",
    // LSF
    "DONE",
    "EXIT",
    "ZOMBI",
    // Grid Engine
    "z",
    // HyperQueue
    "FINISHED",
    "FAILED",
    "CANCELED",
    // Kubernetes
    "Succeeded",
    "Failed",
    "Completed",
    "Complete",
    "Error",
    "OOMKilled",
];

const COMMANDS: &[KeySpec] = &[
    KeySpec::new(
        "submit",
        ValueType::Text,
        "a line for `sh -c` that submits a job; the last word that it prints is the job's id; `{script}` is the program that the job runs, and `{name}`, \
         `{log}`, `{cpus}`, `{gpus}`, `{memory_mb}` and `{seconds}` are what the stage needs, 0 for what it doesn't say",
    )
    .execution(),
    KeySpec::new(
        "status",
        ValueType::Text,
        "a line for `sh -c` that prints a line for each of these jobs: its id, its state, and possibly more; `{jobs}` are the ids, \
         separated by blanks",
    )
    .execution(),
    KeySpec::new("cancel", ValueType::Text, "a line for `sh -c` that cancels these jobs; `{jobs}` as for `status`")
        .execution(),
    TIME,
    KeySpec::new("waiting", ValueType::Texts, "states of a job that waits").or(Literal::Texts(WAITING)).execution(),
    KeySpec::new("running", ValueType::Texts, "states of a job that runs").or(Literal::Texts(RUNNING)).execution(),
    KeySpec::new("ended", ValueType::Texts, "states of a job that has ended, well or not")
        .or(Literal::Texts(ENDED))
        .execution(),
];

/// The kinds of batch systems.
pub const SYSTEMS: &[Variant] = &[
    Variant { name: "slurm", summary: "Jobs of Slurm.", keys: &[COMMON, SLURM] },
    Variant {
        name: "commands",
        summary: "Jobs of any other batch system, by its own commands: PBS, LSF, Grid Engine, HyperQueue, Kubernetes.",
        keys: &[COMMON, COMMANDS],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_state_means_two_things_however_it_is_capitalized() {
        let folded = |words: &[&str]| words.iter().map(|word| word.to_lowercase()).collect::<HashSet<_>>();
        let [waiting, running, ended] = [WAITING, RUNNING, ENDED].map(folded);
        let common = |one: &HashSet<String>, other: &HashSet<String>| one.intersection(other).count();
        assert_eq!([common(&waiting, &running), common(&waiting, &ended), common(&running, &ended)], [0; 3]);
    }

    #[test]
    fn no_list_has_a_state_twice() {
        for words in [WAITING, RUNNING, ENDED] {
            assert_eq!(words.iter().collect::<HashSet<_>>().len(), words.len());
        }
    }
}
