//! The environment of a worker: which of the runner's variables are withheld from it, and which are set.
//!
//! The libraries that compute read variables which change the instructions they use, how many threads they start, how these
//! wait for each other, and how exactly they compute. No key contains such a variable. If one were passed on, it would change
//! the bytes under a key, or block a job for ever: with OMP_THREAD_LIMIT or OMP_DYNAMIC a team may have fewer threads than oneDNN
//! waits for. So a worker gets none of them; `threads` and `instruction_set` of the pipeline file replace them.

use std::ffi::{OsStr, OsString};
use std::process::Command;

use super::super::Failure;
use crate::kind::instruction_set::{self, InstructionSet};

/// Prefixes of such variables, by the library that reads them.
const WITHHELD: &[(&str, &[&str])] = &[
    ("OpenMP", &["OMP_", "GOMP_", "KMP_", "LIBOMP_"]),
    ("libtorch", &["ATEN_", "TORCH_", "PYTORCH_", "LRU_CACHE_CAPACITY"]),
    ("oneDNN", &["ONEDNN_", "DNNL_"]),
    ("MKL and other libraries for matrices", &["MKL_", "FBGEMM_", "OPENBLAS_", "GOTO_", "BLIS_", "VECLIB_"]),
    ("CUDA's libraries", &["CUBLAS_", "CUBLASLT_", "CUDNN_", "NVIDIA_TF32_OVERRIDE"]),
];

/// Exceptions: these only control memory allocation or logging.
const GIVEN: &[&str] = &[
    "PYTORCH_ALLOC_CONF",
    "PYTORCH_CUDA_ALLOC_CONF",
    "PYTORCH_NO_CUDA_MEMORY_CACHING",
    "TORCH_SHOW_CPP_STACKTRACES",
    "ONEDNN_VERBOSE",
    "MKL_VERBOSE",
];

/// Settings of the C library, separated by colons. Those of `glibc.cpu` choose among its mathematical functions.
const TUNABLES: &str = "GLIBC_TUNABLES";
const CPU_TUNABLES: &str = "glibc.cpu.";

/// How often a thread looks whether another is ready before it sleeps. libgomp's own 300,000 take milliseconds at the end of each loop where another
/// program has the other thread's core, and worst where both threads wait on one core for each other. With less than a thousand, threads sleep on
/// an idle machine too, and waking them takes longer.
const TURNS: &str = "3000";

/// Gives a worker an environment in which only the job decides how it computes. `threads`: `None` if nothing is computed.
pub(super) fn settle(command: &mut Command, threads: Option<u32>, set: Option<&InstructionSet>) {
    for (name, rest) in withheld_of(std::env::vars_os()) {
        match rest {
            Some(rest) => command.env(name, rest),
            None => command.env_remove(name),
        };
    }
    // A team always has as many threads as requested, however busy the machine is.
    command.env("OMP_DYNAMIC", "false").env("MKL_DYNAMIC", "FALSE");
    if let Some(threads) = threads {
        command.env("OMP_NUM_THREADS", threads.to_string()).env("MKL_NUM_THREADS", threads.to_string());
        command.env("GOMP_SPINCOUNT", TURNS);
    }
    command.envs(set.map_or(&[][..], |set| set.variables).iter().copied());
}

/// The variables of this process that are withheld from a worker, wholly or in part, sorted.
pub fn withheld() -> Vec<String> {
    let mut names: Vec<String> = withheld_of(std::env::vars_os()).map(|(name, _)| name).collect();
    names.sort_unstable();
    names
}

/// The variables that are withheld, with what is left of their values.
fn withheld_of(all: impl Iterator<Item = (OsString, OsString)>) -> impl Iterator<Item = (String, Option<String>)> {
    all.filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        if name == TUNABLES {
            Some((name, Some(without_cpu(&value)?)))
        } else {
            is_withheld(&name).then_some((name, None))
        }
    })
}

fn is_withheld(name: &str) -> bool {
    let begins = |prefix: &&str| name.starts_with(*prefix);
    !GIVEN.contains(&name) && WITHHELD.iter().any(|(_, prefixes)| prefixes.iter().any(&begins))
}

/// The tunables without those of the CPU; `None` where there are none of these.
fn without_cpu(value: &OsStr) -> Option<String> {
    let value = value.to_string_lossy();
    let kept: Vec<&str> = value.split(':').filter(|tunable| !tunable.starts_with(CPU_TUNABLES)).collect();
    (kept.len() < value.split(':').count()).then(|| kept.join(":"))
}

/// A sentence about them for the user; `None` if there are none.
pub fn told(withheld: &[String]) -> Option<String> {
    let which = match withheld {
        [] => return None,
        [one] => format!("{one} is"),
        several => format!("{} are", several.join(", ")),
    };
    Some(format!("{which} not passed on to the stages that intrada performs itself"))
}

/// What to use instead of these variables.
pub const INSTEAD: &str = "`threads` and `instruction_set` of [pipeline] say how a stage computes";

/// The line of a worker's log about withheld variables; `None` if there are none.
pub(crate) fn note() -> Option<String> {
    told(&withheld()).map(|told| format!("{NOTE}{told}; {INSTEAD}"))
}

/// The line of a worker's log about the copies of its inputs that it reads.
pub(in super::super) fn scratch_note(words: &str) -> String {
    format!("{NOTE}{SCRATCH}{words}")
}

/// Whether a line of a log comes from [`note`] or [`scratch_note`], so that it isn't about a failure.
pub(crate) fn is_note(line: &str) -> bool {
    line.strip_prefix(NOTE).is_some_and(|told| told.ends_with(INSTEAD) || told.starts_with(SCRATCH))
}

const NOTE: &str = "intrada-run: ";
const SCRATCH: &str = "scratch: ";

/// Why this machine can't compute with an instruction set; `None` if it can.
pub fn refusal(set: &InstructionSet) -> Option<Failure> {
    let (name, arch) = (set.name, std::env::consts::ARCH);
    let title =
        format!("the pipeline says `instruction_set = \"{name}\"`, and the CPU of this machine ({arch}) has no {name}");
    let others =
        instruction_set::NAMES.iter().filter_map(|name| instruction_set::find(name)).filter(|other| has(other));
    let others: Vec<String> = others.map(|other| format!("\"{}\"", other.name)).collect();
    let here = if others.is_empty() { "none".to_owned() } else { format!("{}, or none", others.join(" or ")) };
    let cure = format!(
        "`instruction_set` that this CPU can follow: {here}; results then have other keys, and other last digits"
    );
    (!has(set)).then(|| Failure::new(title).with_help(cure).with_help("or run it on a machine that has it"))
}

/// Whether this machine's CPU has an instruction set. libtorch checks the same features.
pub fn has(set: &InstructionSet) -> bool {
    has_by_name(set.name)
}

#[cfg(target_arch = "x86_64")]
fn has_by_name(name: &str) -> bool {
    use std::arch::is_x86_feature_detected as has;
    let avx2 = has!("avx2") && has!("fma");
    match name {
        "avx2" => avx2,
        "avx512" => avx2 && has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl"),
        _ => false,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn has_by_name(_: &str) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::instruction_set;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, Option<String>)> {
        let all = pairs.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        withheld_of(all).collect()
    }

    #[test]
    fn whatever_changes_threads_waiting_or_numbers_is_withheld_and_the_rest_is_not() {
        let withheld = [
            "OMP_THREAD_LIMIT",
            "OMP_DYNAMIC",
            "OMP_WAIT_POLICY",
            "GOMP_SPINCOUNT",
            "KMP_BLOCKTIME",
            "MKL_CBWR",
            "MKL_NUM_THREADS",
            "MKL_ENABLE_INSTRUCTIONS",
            "ATEN_CPU_CAPABILITY",
            "ONEDNN_MAX_CPU_ISA",
            "ONEDNN_DEFAULT_FPMATH_MODE",
            "DNNL_MAX_CPU_ISA",
            "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
            "PYTORCH_TENSOREXPR",
            "OPENBLAS_CORETYPE",
            "NVIDIA_TF32_OVERRIDE",
            "CUBLAS_WORKSPACE_CONFIG",
        ];
        for name in withheld {
            assert_eq!(pairs(&[(name, "1")]), [(name.to_owned(), None)], "{name}");
        }
        let given = ["PATH", "LD_LIBRARY_PATH", "LD_PRELOAD", "CUDA_VISIBLE_DEVICES", "PYTORCH_CUDA_ALLOC_CONF", "OMP"];
        for name in given {
            assert_eq!(pairs(&[(name, "1")]), [], "{name}");
        }
    }

    #[test]
    fn of_the_c_library_s_tunables_only_those_of_the_cpu_are_withheld() {
        let left = |value| pairs(&[(TUNABLES, value)]);
        let hidden = "glibc.malloc.check=1:glibc.cpu.hwcaps=-AVX2:glibc.rtld.nns=2";
        assert_eq!(left(hidden), [(TUNABLES.to_owned(), Some("glibc.malloc.check=1:glibc.rtld.nns=2".to_owned()))]);
        assert_eq!(left("glibc.cpu.hwcaps=-AVX2"), [(TUNABLES.to_owned(), Some(String::new()))]);
        assert_eq!(left("glibc.malloc.check=1"), []);
    }

    #[test]
    fn what_is_set_for_a_worker_comes_from_its_job_alone() {
        let given = |threads, set: Option<&InstructionSet>| {
            let mut command = Command::new("true");
            settle(&mut command, threads, set);
            let set = command.get_envs().filter_map(|(name, value)| Some((name.to_str()?, value?.to_str()?)));
            set.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
        };
        let alone = ["MKL_DYNAMIC=FALSE", "OMP_DYNAMIC=false"];
        assert_eq!(given(None, None), alone);
        let of_threads = given(Some(3), None);
        assert!(of_threads.contains(&"OMP_NUM_THREADS=3".to_owned()), "{of_threads:?}");
        assert!(of_threads.contains(&format!("GOMP_SPINCOUNT={TURNS}")), "{of_threads:?}");
        let set = instruction_set::find("avx2").unwrap();
        let held = given(Some(3), Some(set));
        assert!(set.variables.iter().all(|(name, value)| held.contains(&format!("{name}={value}"))), "{held:?}");
        // A variable that is set for a level must not be one that a person's own passes by.
        assert!(set.variables.iter().all(|(name, _)| is_withheld(name)));
    }

    #[test]
    fn a_person_is_told_the_names() {
        assert_eq!(told(&[]), None);
        let one = told(&["OMP_DYNAMIC".to_owned()]).unwrap();
        assert!(one.starts_with("OMP_DYNAMIC is not passed on"), "{one}");
        assert!(told(&["A".to_owned(), "B".to_owned()]).unwrap().starts_with("A, B are not passed on"));
    }

    #[test]
    fn a_cpu_has_the_smaller_set_where_it_has_the_larger_one_and_none_of_another_name() {
        let has = |name| instruction_set::find(name).is_some_and(has);
        assert!(has("avx2") || !has("avx512"));
        assert!(!has_by_name("sse4.1"));
    }
}
