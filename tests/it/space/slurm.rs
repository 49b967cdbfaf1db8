//! A whole Slurm on this machine for one test: authentication, a controller and nodes that are made up, on loopback.
//!
//! Needs Debian's packages `slurm-wlm` and `munge`, and root, which their daemons want. Where they are missing a test is skipped
//! with a line that says so. Each test has its own, on free ports, so tests run side by side. There are no cgroups: a limit of
//! memory can't be tried here.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::Space;
use super::waiting::wait_until;

/// The nodes `n1` and `n2`, with two CPUs and two GPUs each that exist only here.
pub struct Slurm {
    dir: tempfile::TempDir,
    munge: Child,
    controller: Option<Child>,
    nodes: [Option<Child>; 2],
}

/// A free port. Between this and its use another program may take it: rare, and the controller then doesn't start.
fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn is_there(program: &str) -> bool {
    ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].iter().any(|folder| Path::new(folder).join(program).exists())
}

impl Slurm {
    /// Starts one whose jobs wait `grace` seconds for a preemption. `None`: there is no Slurm here.
    pub fn start() -> Option<Slurm> {
        let missing = ["munged", "slurmctld", "slurmd", "srun"].into_iter().find(|program| !is_there(program));
        let reason = match missing {
            Some(program) => Some(format!("there is no {program} (Debian: slurm-wlm, munge)")),
            None => (!rustix::process::geteuid().is_root()).then(|| "Slurm's daemons need root".to_owned()),
        };
        if let Some(reason) = reason {
            eprintln!("skipped: {reason}");
            return None;
        }
        let dir = tempfile::Builder::new().prefix("intrada-slurm-").tempdir().unwrap();
        let munge = start_munge(dir.path());
        write_config(dir.path());
        let mut slurm = Slurm { dir, munge, controller: None, nodes: [None, None] };
        slurm.start_controller();
        slurm.start_node(1);
        slurm.start_node(2);
        let idle = |slurm: &Slurm| {
            slurm.says("sinfo", "-h -N -p low -o %t").split_whitespace().filter(|t| *t == "idle").count()
        };
        wait_until("two idle nodes", || idle(&slurm) == 2);
        Some(slurm)
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("slurm.conf")
    }

    /// A program of Slurm's or one that calls them.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("SLURM_CONF", self.config());
        command
    }

    /// What one of Slurm's programs prints.
    pub fn says(&self, program: &str, arguments: &str) -> String {
        let output = self.command(program).args(arguments.split(' ')).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The numbers of all jobs that the controller remembers.
    pub fn jobs(&self) -> Vec<String> {
        let said = self.says("squeue", "-h -r -t all -S i -o %i");
        said.lines().map(str::to_owned).collect()
    }

    /// The processes of jobs that run this program.
    pub fn processes(&self, program: &str) -> Vec<u32> {
        let of_slurm = format!("SLURM_CONF={}", self.config().display());
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let is_meant = |pid: &u32| {
            let read = |file: &str| std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            let is_ours = read("environ").split(|byte| *byte == 0).any(|one| one == of_slurm.as_bytes());
            is_ours && String::from_utf8_lossy(&read("comm")).trim() == program && starter_of(*pid).is_some()
        };
        pids.filter(is_meant).collect()
    }

    pub fn start_controller(&mut self) {
        let controller = self.command("slurmctld").arg("-D").stderr(Stdio::null()).stdout(Stdio::null()).spawn();
        self.controller = Some(controller.unwrap());
        wait_until("the controller", || self.command("scontrol").arg("ping").output().unwrap().status.success());
        self.resume_nodes();
    }

    /// A controller that was killed may take a node for faulty, as it has forgotten what runs there: what an administrator does
    /// then.
    pub fn resume_nodes(&self) {
        self.says("scontrol", "update nodename=n1,n2 state=resume");
    }

    /// As if it had lost its power.
    pub fn kill_controller(&mut self) {
        let mut controller = self.controller.take().unwrap();
        controller.kill().unwrap();
        controller.wait().unwrap();
    }

    pub fn start_node(&mut self, node: usize) {
        let name = format!("n{node}");
        std::fs::create_dir_all(self.dir.path().join(format!("spool.{name}"))).unwrap();
        let mut command = self.command("slurmd");
        command.args(["-D", "-N", &name]).stderr(Stdio::null()).stdout(Stdio::null());
        self.nodes[node - 1] = Some(command.spawn().unwrap());
    }

    /// Kills a node with all that runs there, as if it had lost its power.
    pub fn kill_node(&mut self, node: usize) {
        let mut daemon = self.nodes[node - 1].take().unwrap();
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        self.kill_processes(Some(&format!("n{node}")));
    }

    /// Kills the processes of jobs, of one node or of all: first what Slurm starts them with, which would report their end.
    fn kill_processes(&self, node: Option<&str>) {
        let of_slurm = format!("SLURM_CONF={}", self.config().display());
        let of_node = node.map(|node| format!("SLURMD_NODENAME={node}"));
        let is_meant = |pid: u32| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let has = |wanted: &str| environment.split(|byte| *byte == 0).any(|one| one == wanted.as_bytes());
            has(&of_slurm) && of_node.as_ref().is_none_or(|of| has(of))
        };
        loop {
            let pids = std::fs::read_dir("/proc").unwrap().flatten();
            let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
            let jobs: Vec<(u32, u32)> =
                pids.filter(|pid| is_meant(*pid)).filter_map(|pid| Some((starter_of(pid)?, pid))).collect();
            if jobs.is_empty() {
                return;
            }
            let starters = jobs.iter().map(|(starter, _)| starter);
            for pid in starters.chain(jobs.iter().map(|(_, pid)| pid)) {
                super::processes::kill(*pid, "-KILL");
            }
        }
    }
}

/// The process of Slurm's that has started this one, itself or one above it.
fn starter_of(pid: u32) -> Option<u32> {
    let mut pid = pid;
    loop {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        if read("comm").trim() == "slurmstepd" {
            return Some(pid);
        }
        match read("stat").rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok()) {
            Some(0 | 1) | None => return None,
            Some(parent) => pid = parent,
        }
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        for daemon in self.nodes.iter_mut().chain([&mut self.controller]).flatten().chain([&mut self.munge]) {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        self.kill_processes(None);
    }
}

fn start_munge(dir: &Path) -> Child {
    use std::os::unix::fs::PermissionsExt;
    // munged wants to know that nobody else can change its files.
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    let key = dir.join("munge.key");
    std::fs::write(&key, [7; 128]).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o400)).unwrap();
    let file = |name: &str, ending: &str| format!("--{name}={}", dir.join(format!("munge.{ending}")).display());
    let mut command = Command::new("munged");
    command.args([
        "--foreground",
        "--force",
        &file("key-file", "key"),
        &file("socket", "sock"),
        &file("pid-file", "pid"),
    ]);
    command.args([file("log-file", "log"), file("seed-file", "seed")]).stderr(Stdio::null()).stdout(Stdio::null());
    let munge = command.spawn().unwrap();
    wait_until("munged", || dir.join("munge.sock").exists());
    munge
}

fn write_config(dir: &Path) {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let host = host.split('.').next().unwrap();
    let at = dir.display();
    let mut text = format!(
        "ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={}
SlurmUser=root
SlurmdUser=root
AuthInfo=socket={at}/munge.sock
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={at}/state
SlurmdSpoolDir={at}/spool.%n
SlurmctldPidFile={at}/slurmctld.pid
SlurmdPidFile={at}/slurmd.%n.pid
SlurmctldLogFile={at}/slurmctld.log
SlurmdLogFile={at}/slurmd.%n.log
MailProg=/bin/true
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
GresTypes=gpu
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=2,batch_sched_delay=0,sched_min_interval=0
SlurmdTimeout=6
KillWait=10
MinJobAge=300
ReturnToService=2
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
",
        port()
    );
    for node in ["n1", "n2"] {
        text += &format!(
            "NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={} CPUs=2 RealMemory=2000 Gres=gpu:fake:2\n",
            port()
        );
    }
    text +=
        "PartitionName=low Nodes=ALL Default=YES PriorityTier=1 PreemptMode=REQUEUE GraceTime=20 MaxTime=60 State=UP\n";
    text += "PartitionName=high Nodes=ALL PriorityTier=10 PreemptMode=OFF MaxTime=60 State=UP\n";
    std::fs::create_dir_all(dir.join("state")).unwrap();
    std::fs::write(dir.join("slurm.conf"), text).unwrap();
    std::fs::write(dir.join("cgroup.conf"), "CgroupAutomount=no\n").unwrap();
    // Without device files Slurm counts GPUs, but doesn't say which one a job has.
    let devices = [0, 1].map(|gpu| dir.join(format!("gpu{gpu}")));
    for device in &devices {
        let mode = rustix::fs::Mode::from_raw_mode(0o666);
        let null = rustix::fs::makedev(1, 3);
        let made = rustix::fs::mknodat(rustix::fs::CWD, device, rustix::fs::FileType::CharacterDevice, mode, null);
        made.unwrap_or_else(|_| std::fs::write(device, "").unwrap());
    }
    let gres = format!("AutoDetect=off\nNodeName=n[1-2] Name=gpu Type=fake File={at}/gpu[0-1]\n");
    std::fs::write(dir.join("gres.conf"), gres).unwrap();
}

impl Space {
    /// The program, for a run that submits to this Slurm.
    pub fn on(&self, slurm: &Slurm, arguments: &str) -> Command {
        let mut command = self.command(arguments);
        command.env("SLURM_CONF", slurm.config());
        command
    }
}
