//! Describes the worker's machine: the libtorch that was loaded and the GPUs that it can use.
//!
//! Knows no job. A listed GPU isn't necessarily usable: with a driver too old for this libtorch, or a libtorch without
//! kernels for this GPU, the first computation fails; so one is tried. libtorch's C++ API gives neither its version nor GPU
//! names; the files beside it and the driver's own program do.

use std::path::{Path, PathBuf};
use std::process::Command;

use intrada_ml::cpu;
use intrada_runner::exec::job::{Description, FORMAT, Gpu};
use tch::{Cuda, Device, Kind, Tensor};

/// The version of libtorch that this program was built for, if known.
const BUILT_FOR: Option<&str> = option_env!("INTRADA_LIBTORCH");

/// Advice when another version was loaded.
pub(crate) const OTHER_LIBTORCH_CURE: &str = "LD_LIBRARY_PATH may name its folder: `env -u LD_LIBRARY_PATH intrada-run …` does \
     without; or build for this one: LIBTORCH=FOLDER cargo build --release";

/// Describes this machine.
pub(crate) fn description() -> Description {
    let file = loaded("libtorch_cpu.so");
    let mut gpus: Vec<Gpu> = (0..Cuda::device_count().max(0) as usize).map(tried).collect();
    let told = if gpus.is_empty() { Vec::new() } else { driver_gpus() };
    // The driver lists all GPUs of the machine in its own order; the mapping is certain only where the order can't matter.
    let is_certain = told.len() == gpus.len() && told.iter().all(|(name, _)| *name == told[0].0);
    for (gpu, (name, memory)) in gpus.iter_mut().zip(told).filter(|_| is_certain) {
        (gpu.name, gpu.memory) = (Some(name), Some(memory));
    }
    Description {
        format: FORMAT,
        built_for: BUILT_FOR.map(str::to_owned),
        instruction_set: Some(cpu::instruction_set()),
        libtorch: file.as_deref().and_then(version_beside),
        file,
        // libtorch itself reports its CUDA version only if it finds a GPU.
        cuda: loaded("libtorch_cuda.so").is_some() || tch::utils::has_cuda(),
        gpus,
    }
}

/// The name of the card that this process sees, by the driver's program. Certain only where all cards of the machine have the same.
pub(crate) fn card() -> Option<String> {
    let mut names = listed_gpus().into_iter().map(|(name, _)| name);
    let first = names.next()?;
    names.all(|name| name == first).then_some(first)
}

/// The version of the loaded libtorch, if its files say so.
pub(crate) fn libtorch() -> Option<String> {
    version_beside(&loaded("libtorch_cpu.so")?)
}

/// The problem, if the loaded libtorch is of another release than the one that this program was built for: it may be
/// incompatible, and its numerical results differ.
pub(crate) fn other_libtorch() -> Option<String> {
    let file = loaded("libtorch_cpu.so")?;
    let found = version_beside(&file)?;
    let wanted = BUILT_FOR.filter(|wanted| release(wanted) != release(&found))?;
    Some(format!("libtorch {found} was loaded from {}, but this worker was built for {wanted}", file.display()))
}

/// PyTorch's own builds append their platform: 2.11.0+cu130.
fn release(version: &str) -> &str {
    version.split('+').next().unwrap_or(version)
}

/// Sums eight ones on the device.
fn tried(index: usize) -> Gpu {
    let sum = Tensor::f_ones([8], (Kind::Float, Device::Cuda(index)))
        .and_then(|ones| ones.f_sum(Kind::Float))
        .and_then(|sum| f64::try_from(&sum));
    let fault = match sum {
        Ok(8.0) => None,
        Ok(other) => Some(format!("eight ones sum to {other}")),
        // The first line; a C++ backtrace follows.
        Err(error) => Some(error.to_string().lines().next().unwrap_or("no reason given").to_owned()),
    };
    Gpu { fault, ..Gpu::default() }
}

/// The path of the loaded library of this name, if the system tells.
fn loaded(name: &str) -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    maps.lines()
        .filter_map(|line| line.find('/').map(|start| Path::new(&line[start..])))
        .find_map(|path| (path.file_name().is_some_and(|found| found == name)).then(|| path.to_owned()))
}

/// The version of the libtorch with this file: from a file of its archive, or one of PyTorch's package.
fn version_beside(library: &Path) -> Option<String> {
    let root = library.parent()?.parent()?;
    let archive = || Some(std::fs::read_to_string(root.join("build-version")).ok()?.trim().to_owned());
    let package = || version_of_package(&std::fs::read_to_string(root.join("version.py")).ok()?);
    archive().or_else(package).filter(|version| !version.is_empty())
}

/// Parses the line `__version__ = '2.11.0+cpu'`.
fn version_of_package(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with("__version__"))?;
    let quoted = line.split_once('=')?.1.trim();
    Some(quoted.trim_matches(['\'', '"']).to_owned())
}

/// Name and memory (total, free, in bytes) of the machine's GPUs. Empty if unknown, or if this process doesn't see all of
/// them.
fn driver_gpus() -> Vec<(String, [u64; 2])> {
    if std::env::var_os("CUDA_VISIBLE_DEVICES").is_some() { Vec::new() } else { listed_gpus() }
}

/// Those of all of the machine's GPUs, whichever this process sees. Empty if unknown.
fn listed_gpus() -> Vec<(String, [u64; 2])> {
    let query = ["--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits"];
    let answer = Command::new("nvidia-smi").args(query).output();
    match answer {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).lines().filter_map(parse_gpu).collect()
        }
        _ => Vec::new(),
    }
}

/// A line such as `NVIDIA H100, 81559, 81008`, in MiB.
fn parse_gpu(line: &str) -> Option<(String, [u64; 2])> {
    let mut parts = line.rsplitn(3, ',').map(str::trim);
    let mebibytes = |text: Option<&str>| text?.parse::<u64>().ok().map(|number| number << 20);
    let (free, all) = (mebibytes(parts.next())?, mebibytes(parts.next())?);
    Some((parts.next()?.to_owned(), [all, free]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_libtorch_that_was_loaded_is_found_with_its_version() {
        // Something of libtorch must be used, or the linker omits it.
        assert_eq!(f64::try_from(Tensor::from_slice(&[1.0f64]).sum(Kind::Double)).unwrap(), 1.0);
        let found = description();
        let file = found.file.unwrap();
        assert!(file.is_file(), "{}", file.display());
        assert!(found.libtorch.unwrap().starts_with("2."));
    }

    #[test]
    fn versions_are_read_out_of_what_lies_beside_the_library() {
        let dir = tempfile::tempdir().unwrap();
        let library = dir.path().join("lib/libtorch_cpu.so");
        assert_eq!(version_beside(&library), None);
        std::fs::write(dir.path().join("version.py"), "from x import y\n__version__ = '2.11.0+cu130'\ndebug = False\n")
            .unwrap();
        assert_eq!(version_beside(&library).as_deref(), Some("2.11.0+cu130"));
        std::fs::write(dir.path().join("build-version"), "2.11.0\n").unwrap();
        assert_eq!(version_beside(&library).as_deref(), Some("2.11.0"));
    }

    #[test]
    fn a_line_of_the_driver_s_program_gives_name_and_memory() {
        let expected = ("NVIDIA H100 80GB HBM3".to_owned(), [81_559 << 20, 81_008 << 20]);
        assert_eq!(parse_gpu("NVIDIA H100 80GB HBM3, 81559, 81008"), Some(expected));
        assert_eq!(parse_gpu("A, B, 100, 90").unwrap().0, "A, B");
        assert_eq!(parse_gpu("NVIDIA GB10, [N/A], [N/A]"), None);
        assert_eq!(parse_gpu(""), None);
    }
}
