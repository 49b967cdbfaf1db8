//! Resources that running jobs occupy: CPU threads, GPUs, memory, and others that the pipeline file counts.
//!
//! Knows what exists and what a stage requests, not what it does. Numbers are agreements between stages; the system doesn't
//! enforce them. A job waits until its request is free. One that requests more `cpu` than exists gets all of it, so that no job
//! waits for ever.
//!
//! Of a job on a batch system only what is counted in the file is counted here (licences, but no memory), and how many jobs that
//! system has: it shares out its own machines.

use std::collections::BTreeMap;

use crate::exec::Visible;
use crate::exec::executor::Executor;
use crate::kind::Runs;
use crate::pipeline::{Pipeline, Resources, Stage};

/// The resource whose amounts are bytes of this machine's memory.
const MEMORY: &str = "memory";

/// What is free.
pub struct Slots {
    cpu: usize,
    all_cpu: usize,
    jobs: usize,
    /// `None` if the file lists no GPUs.
    gpus: Option<Vec<String>>,
    counted: BTreeMap<String, u64>,
    /// How many jobs each batch system can take, by its name.
    elsewhere: BTreeMap<String, usize>,
    worker_threads: usize,
    is_on_cpu: bool,
    all: Resources,
    all_elsewhere: BTreeMap<String, usize>,
}

/// What a stage occupies while it runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// The batch system on which it runs; `None`: this machine.
    pub executor: Option<String>,
    /// CPU threads of each job, even if fewer exist.
    pub threads: usize,
    /// GPUs of each job.
    pub gpus: usize,
    /// Whether it may see GPUs that nobody counts here.
    pub sees_uncounted: bool,
    /// All other resources of each job by name; `memory`, of this machine, in bytes.
    pub counted: BTreeMap<String, u64>,
    /// At most so many jobs at the same time. One is enough to start.
    pub jobs: usize,
}

/// What a job was lent and gives back.
#[derive(Debug, PartialEq, Eq)]
pub struct Lent {
    /// Threads that a worker uses: as many as the stage requests, even if fewer exist.
    pub threads: usize,
    /// The GPUs of all its jobs.
    pub gpus: Visible,
    /// How many jobs it may run at the same time.
    pub jobs: usize,
    /// None on a batch system.
    cpu: usize,
    counted: BTreeMap<String, u64>,
    executor: Option<String>,
}

impl Slots {
    /// `jobs`: at most so many at once on this machine. `device`: as the pipeline or the command line says. `place`: this
    /// machine.
    ///
    /// By default, a worker's stage gets half of the cores (at most 8; libtorch's small convolutions gain little beyond), so that
    /// two independent trainings run in parallel. If a GPU may be used and the file doesn't list it, one job runs at a time.
    pub fn new(pipeline: &Pipeline, jobs: Option<usize>, device: &str, place: &dyn Executor) -> Slots {
        let Resources { gpus, cpu, counted } = pipeline.resources.clone();
        let all_cpu = cpu.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        let worker_threads = pipeline.threads.map_or((all_cpu / 2).clamp(1, 8), |threads| threads as usize);
        let is_on_cpu = device == "cpu";
        let one_gpu = !is_on_cpu && gpus.is_none() && place.has_gpu();
        let jobs = jobs.unwrap_or(if one_gpu { 1 } else { usize::MAX });
        let all = pipeline.resources.clone();
        let elsewhere: BTreeMap<String, usize> =
            pipeline.executors.iter().map(|executor| (executor.name.clone(), executor.max_jobs)).collect();
        let all_elsewhere = elsewhere.clone();
        Slots { cpu: all_cpu, all_cpu, jobs, gpus, counted, elsewhere, worker_threads, is_on_cpu, all, all_elsewhere }
    }

    /// All CPU threads, and the default number for a worker's stage.
    pub fn threads(&self) -> (usize, usize) {
        (self.all_cpu, self.worker_threads)
    }

    /// What a stage of this pipeline needs, whether free or not.
    pub fn need(&self, pipeline: &Pipeline, stage: &Stage) -> Need {
        let demand = &stage.execution.demand;
        let is_worker = stage.kind.runs == Runs::Worker;
        let executor = pipeline.executor_of(stage).map(|executor| executor.name.clone());
        let mut counted = demand.counted.clone();
        if executor.is_some() {
            counted.remove(MEMORY);
        }
        let asks_for_none = demand.gpus == Some(0) || self.is_on_cpu;
        // More than there are means all of them here; what a batch system has is its own affair.
        let most = if executor.is_none() { self.all_cpu } else { usize::MAX };
        let asked = demand.cpu.map(|cpu| cpu.min(most));
        Need {
            threads: asked.unwrap_or(if is_worker { self.worker_threads } else { 1 }),
            gpus: demand.gpus.unwrap_or(usize::from(stage.kind.tensors && !self.is_on_cpu)),
            sees_uncounted: executor.is_none() || !asks_for_none,
            executor,
            counted,
            jobs: 1,
        }
    }

    /// Whether it is free for one job at least.
    pub fn has_room(&self, need: &Need) -> bool {
        self.room(need) > 0
    }

    /// For how many jobs it is free.
    fn room(&self, need: &Need) -> usize {
        let place = match &need.executor {
            Some(name) => self.elsewhere.get(name).copied().unwrap_or(0),
            None => self.room_here(need),
        };
        let counted = need.counted.iter().map(|(name, amount)| match self.counted.get(name) {
            Some(free) => free.checked_div(*amount).map_or(usize::MAX, |times| times as usize),
            None => 0,
        });
        counted.fold(place, usize::min)
    }

    fn room_here(&self, need: &Need) -> usize {
        let cpu = times(self.cpu, need.threads.min(self.all_cpu));
        let gpus = self.gpus.as_ref().map_or(usize::MAX, |free| times(free.len(), need.gpus));
        self.jobs.min(cpu).min(gpus)
    }

    /// Lends it for as many of the jobs as it is free for, if it is for any.
    pub fn lend(&mut self, need: &Need) -> Option<Lent> {
        let jobs = self.room(need).min(need.jobs);
        if jobs == 0 {
            return None;
        }
        let counted: BTreeMap<String, u64> =
            need.counted.iter().map(|(name, amount)| (name.clone(), jobs as u64 * amount)).collect();
        for (name, amount) in &counted {
            *self.counted.get_mut(name).expect("there is room for it") -= amount;
        }
        let (cpu, gpus) = match &need.executor {
            Some(name) => {
                *self.elsewhere.get_mut(name).expect("there is room on it") -= jobs;
                (0, if need.sees_uncounted { Visible::All } else { Visible::Only(Vec::new()) })
            }
            None => self.lend_here(need, jobs),
        };
        Some(Lent { threads: need.threads, gpus, jobs, cpu, counted, executor: need.executor.clone() })
    }

    fn lend_here(&mut self, need: &Need, jobs: usize) -> (usize, Visible) {
        let cpu = jobs * need.threads.min(self.all_cpu);
        self.jobs -= jobs;
        self.cpu -= cpu;
        let gpus = self.gpus.as_mut().map(|free| free.drain(..jobs * need.gpus).collect());
        (cpu, gpus.map_or(Visible::All, Visible::Only))
    }

    /// Counts what a job holds that another version of the pipeline file lent it, as far as it exists in this one.
    pub fn reserve(&mut self, lent: &Lent) {
        if let Some(jobs) = self.jobs_at(lent) {
            *jobs = jobs.saturating_sub(lent.jobs);
        }
        self.cpu = self.cpu.saturating_sub(lent.cpu);
        for (name, amount) in &lent.counted {
            if let Some(free) = self.counted.get_mut(name) {
                *free = free.saturating_sub(*amount);
            }
        }
        if let (Some(free), Visible::Only(gpus)) = (&mut self.gpus, &lent.gpus) {
            free.retain(|gpu| !gpus.contains(gpu));
        }
    }

    /// Takes it back, at most up to what exists: another version of the pipeline file may have lent it.
    pub fn take_back(&mut self, lent: Lent) {
        let most = lent.executor.as_ref().map_or(Some(usize::MAX), |name| self.all_elsewhere.get(name).copied());
        if let Some(jobs) = self.jobs_at(&lent) {
            *jobs = most.unwrap_or(0).min(jobs.saturating_add(lent.jobs));
        }
        self.cpu = self.all_cpu.min(self.cpu + lent.cpu);
        for (name, amount) in lent.counted {
            if let (Some(free), Some(all)) = (self.counted.get_mut(&name), self.all.counted.get(&name)) {
                *free = (*all).min(*free + amount);
            }
        }
        if let (Some(free), Some(all), Visible::Only(gpus)) = (&mut self.gpus, &self.all.gpus, lent.gpus) {
            free.extend(gpus.into_iter().filter(|gpu| all.contains(gpu)));
        }
    }

    /// How many more jobs the place of this one can take; `None` if this pipeline file has no such place.
    fn jobs_at(&mut self, lent: &Lent) -> Option<&mut usize> {
        match &lent.executor {
            Some(name) => self.elsewhere.get_mut(name),
            None => Some(&mut self.jobs),
        }
    }
}

impl Lent {
    /// Whether its end may make room for this need.
    pub fn competes_with(&self, need: &Need) -> bool {
        self.executor == need.executor || self.counted.keys().any(|name| need.counted.contains_key(name))
    }

    /// The GPUs of one of its jobs, counted from 0.
    pub fn gpus_of(&self, job: usize) -> Visible {
        match &self.gpus {
            Visible::All => Visible::All,
            Visible::Only(gpus) => {
                let each = gpus.len() / self.jobs;
                Visible::Only(gpus[job * each..][..each].to_vec())
            }
        }
    }
}

/// How often `each` is contained in `all`.
fn times(all: usize, each: usize) -> usize {
    all.checked_div(each).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::local::Local;
    use crate::graph;

    /// The slots of a file with these `[resources]`, and what its stages need that ask for these.
    fn slots(resources: &str, asked: [&str; 2], jobs: Option<usize>) -> (Slots, [Need; 2]) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("p.toml");
        let [a, b] = asked.map(|asked| format!("kind = \"command\"\nshell = \"x\"\nresources = {{ {asked} }}\n"));
        let stages = format!("[stages.a]\n{a}outputs = [\"a\"]\n[stages.b]\n{b}outputs = [\"b\"]\n");
        std::fs::write(&file, format!("format = 1\n[resources]\n{resources}\n{stages}")).unwrap();
        let (pipeline, _) = graph::load(&file, &[]).unwrap_or_else(|problems| panic!("{problems}"));
        let slots = Slots::new(&pipeline, jobs, "cpu", &Local);
        let needs = [0, 1].map(|stage| slots.need(&pipeline, &pipeline.stages[stage]));
        (slots, needs)
    }

    /// The slots of a file in which `a` runs on a batch system of at most two jobs, and `b` here, for this device.
    fn slots_on_two(resources: &str, asked: [&str; 2], device: &str) -> (Slots, [Need; 2]) {
        let executor = "[executors.cluster]\nkind = \"slurm\"\nmax_jobs = 2\n";
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("p.toml");
        let stage = |name: &str, keys: &str| {
            format!("[stages.{name}]\nkind = \"command\"\nshell = \"x\"\noutputs = [\"{name}\"]\n{keys}\n")
        };
        let [a, b] = asked.map(|asked| format!("resources = {{ {asked} }}"));
        let stages = stage("a", &format!("executor = \"cluster\"\n{a}")) + &stage("b", &b);
        std::fs::write(&file, format!("format = 1\n[resources]\n{resources}\n{executor}{stages}")).unwrap();
        let (pipeline, _) = graph::load(&file, &[]).unwrap_or_else(|problems| panic!("{problems}"));
        let slots = Slots::new(&pipeline, Some(1), device, &Local);
        let needs = [0, 1].map(|stage| slots.need(&pipeline, &pipeline.stages[stage]));
        (slots, needs)
    }

    #[test]
    fn a_job_elsewhere_takes_nothing_of_this_machine_and_one_of_the_places_there() {
        let here = "cpu = 1\ngpus = [\"0\"]\nmemory = \"1 GiB\"";
        let there = "cpu = 64, gpus = 8, memory = \"1 TiB\"";
        let (mut slots, [a, b]) = slots_on_two(here, [there, "cpu = 1, gpus = 1, memory = \"1 GiB\""], "auto");
        let first = slots.lend(&a).unwrap();
        assert_eq!((first.threads, &first.gpus), (64, &Visible::All));
        let local = slots.lend(&b).unwrap();
        let second = slots.lend(&a).unwrap();
        assert_eq!(slots.lend(&a), None, "it has two places");
        assert_eq!(slots.lend(&b), None, "this machine has one");
        slots.take_back(local);
        assert_eq!(slots.lend(&a), None, "a place here is none there");
        slots.take_back(first);
        assert!(slots.lend(&a).is_some() && slots.lend(&b).is_some());
        slots.take_back(second);
    }

    #[test]
    fn what_the_file_counts_by_name_is_counted_wherever_a_job_runs() {
        let (mut slots, [a, b]) = slots_on_two("licence = 1", ["licence = 1", "licence = 1"], "auto");
        let there = slots.lend(&a).unwrap();
        assert!(!slots.has_room(&b) && there.competes_with(&b));
        slots.take_back(there);
        assert!(slots.has_room(&b));
    }

    #[test]
    fn jobs_in_two_places_compete_only_for_what_both_hold() {
        let (mut slots, [a, b]) = slots_on_two("licence = 1", ["licence = 1", "cpu = 1"], "auto");
        let (there, here) = (slots.lend(&a).unwrap(), slots.lend(&b).unwrap());
        assert_eq!(
            [&there, &here].map(|lent| [&a, &b].map(|need| lent.competes_with(need))),
            [[true, false], [false, true]]
        );
    }

    #[test]
    fn a_job_elsewhere_sees_what_it_is_given_there_unless_it_wants_no_gpu() {
        let none = Visible::Only(Vec::new());
        for (asked, device, seen) in [
            ("cpu = 1", "auto", &Visible::All),
            ("gpus = 2", "cuda", &Visible::All),
            ("gpus = 0", "auto", &none),
            ("gpus = 2", "cpu", &none),
        ] {
            let (mut slots, [a, _]) = slots_on_two("gpus = [\"7\"]", [asked, ""], device);
            assert_eq!(slots.lend(&a).unwrap().gpus, *seen, "{asked} on {device}");
        }
    }

    #[test]
    fn a_job_lent_by_another_version_of_the_file_counts_where_it_runs_if_that_is_still_there() {
        let (mut before, [a, b]) = slots_on_two("", ["", ""], "auto");
        let lent = [before.lend(&a).unwrap(), before.lend(&b).unwrap()];
        let (mut now, _) = slots_on_two("", ["", ""], "auto");
        lent.iter().for_each(|lent| now.reserve(lent));
        let more = now.lend(&a).unwrap();
        assert!(!now.has_room(&a) && !now.has_room(&b));
        let [there, here] = lent;
        now.take_back(there);
        assert!(now.has_room(&a) && !now.has_room(&b));
        now.take_back(here);
        now.take_back(more);
        assert!(now.has_room(&b));
        let (mut without, [c, _]) = slots("", ["", ""], Some(1));
        let lent = before.lend(&a).unwrap();
        without.reserve(&lent);
        assert!(without.has_room(&c), "it isn't of this machine");
        without.take_back(lent);
        assert!(without.lend(&c).is_some() && without.lend(&c).is_none());
    }

    #[test]
    fn a_job_that_wants_more_threads_than_the_machine_has_gets_all_runs_alone_and_never_waits_for_ever() {
        let (mut slots, [a, b]) = slots("", ["cpu = 1_000_000", ""], None);
        let lent = slots.lend(&a).unwrap();
        assert_eq!(lent.threads, slots.threads().0);
        assert_eq!(slots.lend(&b), None);
        slots.take_back(lent);
        assert!(slots.lend(&b).is_some());
    }

    #[test]
    fn no_more_jobs_than_allowed_run_at_once() {
        let (mut slots, [a, b]) = slots("cpu = 8", ["", ""], Some(1));
        let lent = slots.lend(&a).unwrap();
        assert_eq!(slots.lend(&b), None);
        slots.take_back(lent);
        assert!(slots.lend(&b).is_some());
    }

    #[test]
    fn each_gpu_is_lent_to_one_job_at_a_time_and_others_see_none() {
        let (mut slots, [a, b]) = slots("cpu = 8\ngpus = [\"0\", \"GPU-b\"]", ["gpus = 1", ""], None);
        let gpu = |name: &str| Visible::Only(vec![name.to_owned()]);
        let lent = [slots.lend(&a).unwrap(), slots.lend(&a).unwrap()];
        assert_eq!([&lent[0].gpus, &lent[1].gpus], [&gpu("0"), &gpu("GPU-b")]);
        assert_eq!(slots.lend(&a), None);
        assert_eq!(slots.lend(&b).unwrap().gpus, Visible::Only(Vec::new()));
        let [_, second] = lent;
        slots.take_back(second);
        assert_eq!(slots.lend(&a).unwrap().gpus, gpu("GPU-b"));
    }

    #[test]
    fn what_is_counted_runs_out_and_comes_back() {
        let asked = ["memory = \"3 GiB\", licence = 1", "memory = \"1 GiB\""];
        let (mut slots, [a, b]) = slots("cpu = 8\nmemory = \"4 GiB\"\nlicence = 1", asked, None);
        let first = slots.lend(&a).unwrap();
        let second = slots.lend(&b).unwrap();
        assert_eq!(slots.lend(&b), None, "4 GiB are lent");
        slots.take_back(first);
        let first = slots.lend(&a).unwrap();
        slots.take_back(second);
        assert_eq!(slots.lend(&a), None, "the licence is lent");
        slots.take_back(first);
        assert!(slots.lend(&a).is_some());
    }

    #[test]
    fn a_stage_that_is_split_is_lent_what_is_free_for_its_jobs_and_one_of_them_is_enough() {
        let (mut slots, [a, b]) = slots(
            "cpu = 8\ngpus = [\"0\", \"1\", \"2\"]\nlicence = 9",
            ["cpu = 2, gpus = 1, licence = 2", "cpu = 7"],
            None,
        );
        let split = |jobs| Need { jobs, ..a.clone() };
        let lent = slots.lend(&split(2)).unwrap();
        assert_eq!((lent.jobs, lent.threads), (2, 2));
        assert_eq!([0, 1].map(|job| lent.gpus_of(job)), ["0", "1"].map(|gpu| Visible::Only(vec![gpu.to_owned()])));
        let rest = slots.lend(&split(10)).unwrap();
        assert_eq!(rest.jobs, 1, "there is one GPU left");
        assert_eq!(slots.lend(&split(10)), None);
        slots.take_back(lent);
        slots.take_back(rest);
        assert_eq!(slots.lend(&split(10)).unwrap().jobs, 3);
        assert_eq!(slots.lend(&b), None, "two threads are left");
    }

    #[test]
    fn the_jobs_of_a_split_stage_count_for_how_many_may_run() {
        let (mut slots, [a, b]) = slots("cpu = 8", ["", ""], Some(2));
        let lent = slots.lend(&Need { jobs: 5, ..a }).unwrap();
        assert_eq!((lent.jobs, slots.lend(&b)), (2, None));
        slots.take_back(lent);
        assert!(slots.lend(&b).is_some());
    }
}
