//! Where and in which surroundings a stage runs changes no byte under its key, and stops none for ever.
//!
//! The environment of whoever calls is tried for real. Other CPUs are imitated by an emulator, where there is one.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::pipelines::{Pipeline, training};
use crate::space::{Ran, Space};

fn pipeline() -> Pipeline {
    let pipeline = training().set("pipeline.device", "cpu").set("pipeline.threads", 2).adapted().inferred();
    pipeline.set("stages.inter.batch", 2)
}

fn run(space: &Space, arguments: &str, environment: &[(&str, &str)]) -> Ran {
    let mut command = space.command(&format!("run p.toml {arguments}"));
    Ran::of(command.envs(environment.iter().copied()).output().unwrap())
}

/// What a run in this environment leaves in its results, in a workspace of its own.
fn results(pipeline: &str, environment: &[(&str, &str)]) -> Vec<(PathBuf, Vec<u8>)> {
    let space = Space::with(pipeline);
    let ran = run(&space, "", environment);
    assert_eq!(ran.code, Some(0), "{environment:?}\n{}", ran.stderr);
    let results = space.results("runs/p").into_iter();
    // Events hold times, and the report what was computed with.
    results.filter(|(path, _)| !path.to_string_lossy().contains("events")).collect()
}

#[test]
fn no_variable_of_the_caller_s_changes_a_byte_or_stops_a_stage() {
    let plain = results(&pipeline(), &[]);
    let hostile = [
        // With fewer threads than it was told, oneDNN waits for ever.
        ("OMP_THREAD_LIMIT", "1"),
        ("OMP_DYNAMIC", "true"),
        ("OMP_NUM_THREADS", "1"),
        ("MKL_NUM_THREADS", "1"),
        ("MKL_CBWR", "COMPATIBLE"),
        ("MKL_ENABLE_INSTRUCTIONS", "SSE4_2"),
        ("ATEN_CPU_CAPABILITY", "default"),
        ("DNNL_MAX_CPU_ISA", "SSE41"),
        ("ONEDNN_DEFAULT_FPMATH_MODE", "ANY"),
        ("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-AVX2,-FMA"),
    ];
    assert_eq!(results(&pipeline(), &hostile), plain);
}

#[test]
fn what_is_not_passed_on_is_told_in_the_log_and_with_what_a_result_was_computed_by_why() {
    let space = Space::with(pipeline());
    let ran = run(&space, "inter", &[("OMP_DYNAMIC", "true")]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let log = space.intrada("log p.toml inter").stdout;
    assert!(log.contains("OMP_DYNAMIC") && log.contains("not passed on"), "{log}");
    for command in ["why p.toml inter", "inspect p.toml inter"] {
        let told = space.intrada(command).stdout;
        assert!(["avx512", "avx2", "default", "sve256"].iter().any(|set| told.contains(set)), "{told}");
    }
}

#[test]
fn a_stage_held_to_an_instruction_set_has_a_key_of_its_own() {
    if !has("avx2") {
        return eprintln!("skipped: this CPU has no AVX2");
    }
    let space = Space::with(pipeline());
    let key = |ran: &[crate::space::Settled]| ran.iter().map(|settled| settled.key.clone()).collect::<Vec<_>>();
    let without = key(&space.run("p.toml inter"));
    space.edit("p.toml", "threads = 2", "threads = 2\ninstruction_set = \"avx2\"");
    let with = space.run("p.toml inter");
    assert_ne!(key(&with), without);
    assert_eq!(with[0].outcome, "ran");
    assert!(space.intrada("inspect p.toml inter").stdout.contains("instruction_set avx2"));
    space.edit("p.toml", "threads = 2\n", "");
    let told = space.intrada("plan p.toml");
    assert!(told.stderr.contains("`instruction_set` without `threads`"), "{}", told.stderr);
}

#[test]
fn bfloat16_beside_an_instruction_set_is_warned_of_and_alone_it_is_not() {
    if !has("avx2") {
        return eprintln!("skipped: this CPU has no AVX2");
    }
    let space = Space::with(pipeline());
    let rounded = "plan p.toml --set stages.inter.precision=\"bfloat16\"";
    let warning = "slow with an `instruction_set`";
    let told = space.intrada(rounded);
    assert!(told.code == Some(0) && !told.stderr.contains(warning), "{}", told.stderr);
    let told = space.intrada(&format!("{rounded} --set pipeline.instruction_set=\"avx2\""));
    assert!(told.code == Some(0) && told.stderr.contains(warning), "{}", told.stderr);
}

#[test]
fn a_cpu_that_lacks_the_instructions_is_refused_before_anything_runs() {
    if has("avx512") {
        return eprintln!("skipped: this CPU lacks nothing that could be asked for");
    }
    let space = Space::with(pipeline().set("pipeline.instruction_set", "avx512"));
    for (command, code) in [("plan p.toml", 2), ("doctor p.toml", 1), ("run p.toml", 1)] {
        let ran = space.intrada(command);
        let told = ran.stdout + &ran.stderr;
        assert_eq!(ran.code, Some(code), "{told}");
        assert!(told.contains("has no avx512") && told.contains("or none"), "{told}");
    }
    assert!(!space.path("runs/p/inter/model.safetensors").exists());
}

fn has(set: &str) -> bool {
    let set = intrada_runner::kind::instruction_set::find(set).unwrap();
    intrada_runner::exec::local::surroundings::has(set)
}

/// An emulator of other CPUs, where there is one.
fn emulator() -> Option<&'static str> {
    let works = |name: &&str| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success());
    ["qemu-x86_64", "qemu-x86_64-static"].into_iter().find(works)
}

/// With a worker that runs on this CPU.
fn results_on(cpu: &str, emulator: &str, pipeline: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let space = Space::new();
    let worker = Path::new(env!("CARGO_BIN_EXE_intrada-run")).with_file_name("intrada-worker");
    space.write("worker", format!("#!/bin/sh\nexec {emulator} -cpu {cpu} '{}' \"$@\"\n", worker.display()));
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(space.path("worker"), executable).unwrap();
    results(pipeline, &[("INTRADA_WORKER", space.path("worker").to_str().unwrap())])
}

#[test]
fn with_an_instruction_set_every_cpu_that_has_it_gives_the_same_bytes() {
    let Some(emulator) = emulator().filter(|_| has("avx2")) else {
        return eprintln!("skipped: there is no qemu-x86_64, or this CPU has no AVX2");
    };
    let held = pipeline().set("pipeline.threads", 1).set("pipeline.instruction_set", "avx2");
    let here = results(&held, &[]);
    for cpu in ["Haswell", "EPYC-Rome"] {
        assert!(results_on(cpu, emulator, &held) == here, "{cpu} gives other bytes");
    }
}
