//! placeholder until the configuration lands
#![allow(missing_docs)]
use std::path::PathBuf;
use std::time::Duration;
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executor {
    pub name: String,
    pub max_jobs: usize,
    pub poll: Duration,
    pub latency: Duration,
    pub program: Option<PathBuf>,
    pub system: System,
}
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum System {
    Slurm(Slurm),
    Commands(Commands),
}
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Slurm {
    pub partition: Option<String>,
    pub account: Option<String>,
    pub qos: Option<String>,
    pub constraint: Option<String>,
    pub gpu_type: Option<String>,
    pub time: Option<Duration>,
    pub requeue: bool,
    pub extra: Vec<String>,
}
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commands {
    pub submit: String,
    pub status: String,
    pub cancel: String,
    pub time: Option<Duration>,
    pub waiting: Vec<String>,
    pub running: Vec<String>,
    pub ended: Vec<String>,
}
