//! Resources that running jobs occupy: CPU threads, GPUs, memory, and others that the pipeline file counts.
//!
//! Knows what exists and what a stage requests, not what it does. Numbers are agreements between stages; the system doesn't
//! enforce them. A job waits until its request is free. One that requests more `cpu` than exists gets all of it, so that no job
//! waits for ever.

use std::collections::BTreeMap;

use crate::exec::Visible;
use crate::exec::executor::Executor;
use crate::kind::Runs;
use crate::pipeline::{Pipeline, Resources, Stage};

/// What is free.
pub struct Slots {
    cpu: usize,
    all_cpu: usize,
    jobs: usize,
    /// `None` if the file lists no GPUs.
    gpus: Option<Vec<String>>,
    counted: BTreeMap<String, u64>,
    worker_threads: usize,
    is_on_cpu: bool,
    all: Resources,
}

/// What a stage occupies while it runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// CPU threads, even if fewer exist.
    pub threads: usize,
    /// GPUs.
    pub gpus: usize,
    /// All other resources by name; `memory` in bytes.
    pub counted: BTreeMap<String, u64>,
}

/// What a job was lent and gives back.
#[derive(Debug, PartialEq, Eq)]
pub struct Lent {
    /// Threads that a worker uses: as many as the stage requests, even if fewer exist.
    pub threads: usize,
    /// Its GPUs.
    pub gpus: Visible,
    cpu: usize,
    counted: BTreeMap<String, u64>,
}

impl Slots {
    /// `jobs`: at most so many at once. `device`: as the pipeline or the command line says. `place`: where the jobs run.
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
        Slots { cpu: all_cpu, all_cpu, jobs, gpus, counted, worker_threads, is_on_cpu, all }
    }

    /// All CPU threads, and the default number for a worker's stage.
    pub fn threads(&self) -> (usize, usize) {
        (self.all_cpu, self.worker_threads)
    }

    /// What a stage needs, whether free or not.
    pub fn need(&self, stage: &Stage) -> Need {
        let demand = &stage.execution.demand;
        let is_worker = stage.kind.runs == Runs::Worker;
        Need {
            threads: demand.cpu.unwrap_or(if is_worker { self.worker_threads } else { 1 }),
            gpus: demand.gpus.unwrap_or(usize::from(is_worker && !self.is_on_cpu)),
            counted: demand.counted.clone(),
        }
    }

    /// Whether it is free.
    pub fn has_room(&self, need: &Need) -> bool {
        let has_gpus = self.gpus.as_ref().is_none_or(|free| free.len() >= need.gpus);
        let has = |(name, amount): (&String, &u64)| self.counted.get(name).is_some_and(|free| free >= amount);
        self.jobs > 0 && self.cpu >= need.threads.min(self.all_cpu) && has_gpus && need.counted.iter().all(has)
    }

    /// Lends it, if it is free.
    pub fn lend(&mut self, need: &Need) -> Option<Lent> {
        if !self.has_room(need) {
            return None;
        }
        let cpu = need.threads.min(self.all_cpu);
        self.jobs -= 1;
        self.cpu -= cpu;
        for (name, amount) in &need.counted {
            *self.counted.get_mut(name).expect("there is room for it") -= amount;
        }
        let gpus = self.gpus.as_mut().map(|free| free.drain(..need.gpus).collect());
        let gpus = gpus.map_or(Visible::All, Visible::Only);
        Some(Lent { threads: need.threads, gpus, cpu, counted: need.counted.clone() })
    }

    /// Counts what a job holds that another version of the pipeline file lent it, as far as it exists in this one.
    pub fn reserve(&mut self, lent: &Lent) {
        self.jobs = self.jobs.saturating_sub(1);
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
        self.jobs = self.jobs.saturating_add(1);
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
        let needs = [0, 1].map(|stage| slots.need(&pipeline.stages[stage]));
        (slots, needs)
    }

    #[test]
    fn a_job_that_wants_more_threads_than_the_machine_has_runs_alone_and_never_waits_for_ever() {
        let (mut slots, [a, b]) = slots("", ["cpu = 1_000_000", ""], None);
        let lent = slots.lend(&a).unwrap();
        assert_eq!(lent.threads, 1_000_000);
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
}
