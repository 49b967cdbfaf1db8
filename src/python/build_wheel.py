"""Builds the programs for the wheel of the package `intrada`: the build hook of pyproject.toml.

`intrada-run` goes where installers put programs, `intrada-worker` into the package. The worker brings no libtorch: it has a run
path to the torch that is installed in the same folder of packages, and loads `libtorch.so`, which in a CUDA build loads the
CUDA libraries. The tag of the wheel is computed from the symbols that both programs need, so it never promises more than
they keep. docs/decisions/wheel.md says why this is no maturin project.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Iterable, List, NamedTuple, Tuple

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # tests of the tag need no backend
    BuildHookInterface = object  # type: ignore[assignment,misc]

#: The version of glibc to link for; default: this machine's.
GLIBC = "INTRADA_GLIBC"
#: From the worker's folder in the package, `intrada/bin`, to the libraries of torch.
RUN_PATH = "$ORIGIN/../../torch/lib"
#: Loads all of libtorch: the CPU part, and in a CUDA build the rest.
WHOLE_LIBTORCH = "libtorch.so"
#: Libraries that only some builds of torch have: a worker that names one doesn't start with the others.
ONLY_SOME = re.compile(r"libtorch_cuda|libc10_cuda|libcu|libnv|libgomp-|libopenblas")

#: The newest versions of symbols that systems with this minor version of glibc have at least, as auditwheel's policies have them.
SYSTEMS = [
    (17, {"GLIBCXX": "3.4.19", "CXXABI": "1.3.7", "GCC": "4.8.0"}),
    (24, {"GLIBCXX": "3.4.22", "CXXABI": "1.3.10", "GCC": "4.8.0"}),
    (28, {"GLIBCXX": "3.4.24", "CXXABI": "1.3.11", "GCC": "7.0.0"}),
    (31, {"GLIBCXX": "3.4.28", "CXXABI": "1.3.12", "GCC": "7.0.0"}),
    (34, {"GLIBCXX": "3.4.29", "CXXABI": "1.3.13", "GCC": "7.0.0"}),
    (35, {"GLIBCXX": "3.4.30", "CXXABI": "1.3.13", "GCC": "12.0.0"}),
    (39, {"GLIBCXX": "3.4.33", "CXXABI": "1.3.15", "GCC": "14.0.0"}),
]


class Wrong(Exception):
    """Why no wheel can be built, in a sentence."""


class Needs(NamedTuple):
    """What a program needs of a system."""

    libraries: List[str]
    #: The newest version by name: GLIBC, GLIBCXX, CXXABI, GCC.
    versions: Dict[str, Tuple[int, ...]]


class Hook(BuildHookInterface):  # type: ignore[misc,type-arg,unused-ignore]
    """Called by the backend before it packs the wheel."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> List[str]:
        """What the backend installs besides."""
        return ["ziglang>=0.15"] if os.environ.get(GLIBC) else []

    def initialize(self, version: str, build_data: Dict[str, Any]) -> None:
        if version == "editable":
            sys.exit("intrada: an editable installation has no programs; use ./intrada, and PYTHONPATH=src/python for the module")
        try:
            runner, worker = build(Path(self.root))
            tag = tag_for([needs(runner), needs(worker)])
        except Wrong as error:
            sys.exit(f"intrada: {error}")
        print(f"intrada: the programs need {tag} or newer", file=sys.stderr)
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{tag}"
        build_data["shared_scripts"][str(runner)] = runner.name
        build_data["force_include"][str(worker)] = f"intrada/bin/{worker.name}"


def build(root: Path) -> Tuple[Path, Path]:
    """Both programs for a wheel, in `target/wheel`."""
    if platform.system() != "Linux":
        raise Wrong(f"a wheel for {platform.system()} is not supported; use ./intrada in a checkout")
    environment = dict(os.environ)
    execute(["sh", str(root / "preflight")], root, environment)
    if "LIBTORCH" not in environment and "LIBTORCH_USE_PYTORCH" not in environment:
        execute([sys.executable, str(root / "fetch-libtorch")], root, environment)
    glibc = os.environ.get(GLIBC)
    # A folder of its own: with another linker cargo builds everything again, and so would the next ./intrada.
    target = root / "target" / (f"glibc-{glibc}" if glibc else "")
    if glibc:
        environment.update(linking_for(glibc, root, target))
    execute(["cargo", "build", "--release", "--locked", "--target-dir", str(target)], root, environment)
    folder = root / "target" / "wheel"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    programs = [folder / name for name in ("intrada-run", "intrada-worker")]
    for program in programs:
        shutil.copy2(target / "release" / program.name, program)
        # Before the run path is set: strip would move what patchelf has placed.
        execute(["strip", str(program)], root, environment)
    lead_to_torch(programs[1])
    return programs[0], programs[1]


def linking_for(glibc: str, root: Path, target: Path) -> Dict[str, str]:
    """The variables with which cargo links for an older glibc; see `link_for_older`."""
    if not re.fullmatch(r"2\.\d+", glibc):
        raise Wrong(f"{GLIBC}={glibc} is no version of glibc, such as 2.28")
    target.mkdir(parents=True, exist_ok=True)
    linker = root / "src" / "python" / "link_for_older.py"
    source, stubs = target / "stubs.cc", target / "stubs.o"
    spec = importlib.util.spec_from_file_location("link_for_older", linker)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    source.write_text(module.STUBS)
    execute([*os.environ.get("CXX", "c++").split(), "-O2", "-c", str(source), "-o", str(stubs)], target, dict(os.environ))
    return {
        f"CARGO_TARGET_{platform.machine().upper()}_UNKNOWN_LINUX_GNU_LINKER": str(linker),
        "INTRADA_STUBS": str(stubs),
        "INTRADA_PYTHON": sys.executable,
    }


def lead_to_torch(worker: Path) -> None:
    """Has the worker load the installed torch, of whatever build, and nothing of the machine that built it."""
    only_some = [name for name in needs(worker).libraries if ONLY_SOME.match(name)]
    if only_some:
        raise Wrong(
            f"the worker was built with a libtorch that brings {', '.join(only_some)}, which other builds of torch have not; "
            "build with that of `./fetch-libtorch --cpu`: the wheel then serves CPU and CUDA builds"
        )
    execute(["patchelf", "--set-rpath", RUN_PATH, "--add-needed", WHOLE_LIBTORCH, str(worker)], worker.parent, dict(os.environ))


def needs(program: Path) -> Needs:
    """What a program needs, as `objdump -p` tells it."""
    in_english = {**os.environ, "LC_ALL": "C"}
    told = subprocess.run(["objdump", "-p", str(program)], stdout=subprocess.PIPE, check=True, text=True, env=in_english)
    return read_needs(told.stdout)


def read_needs(told: str) -> Needs:
    """The libraries and the newest versions in a text of `objdump -p`."""
    libraries = re.findall(r"^\s*NEEDED\s+(\S+)$", told, re.MULTILINE)
    versions: Dict[str, Tuple[int, ...]] = {}
    # A line is `hash flags number NAME_VERSION`. Weak ones, flag 2, may be missing: the loader starts the program all the same.
    for flags, name, version in re.findall(r"^\s+0x[0-9a-f]+ (0x[0-9a-f]+) \d+ ([A-Z]+)_([\d.]+)$", told, re.MULTILINE):
        if not int(flags, 16) & 2:
            versions[name] = max(versions.get(name, ()), numbers(version))
    return Needs(libraries, versions)


def tag_for(programs: Iterable[Needs]) -> str:
    """The platform tag of a wheel with these programs (PEP 600)."""
    minor = max(oldest_system(program.versions) for program in programs)
    return f"manylinux_2_{minor}_{platform.machine()}"


def oldest_system(versions: Dict[str, Tuple[int, ...]]) -> int:
    """The minor version of the glibc of the oldest systems that have these versions of symbols."""
    major, minor = (*versions.get("GLIBC", (2, 17)), 0)[:2]
    if major != 2:
        raise Wrong(f"the programs need glibc {major}, which no tag of a wheel names")
    found = minor
    for name in ("GLIBCXX", "CXXABI", "GCC"):
        wanted = versions.get(name, ())
        having = [system for system, newest in SYSTEMS if numbers(newest[name]) >= wanted]
        if not having:
            told = f"{name} {'.'.join(map(str, wanted))}"
            raise Wrong(f"the programs need {told}, of which src/python/build_wheel.py knows no system")
        found = max(found, having[0])
    return found


def numbers(version: str) -> Tuple[int, ...]:
    """`3.4.26` as numbers."""
    return tuple(int(part) for part in version.split("."))


def execute(command: List[str], folder: Path, environment: Dict[str, str]) -> None:
    """Runs a program, whose output is progress."""
    try:
        subprocess.run(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=True)
    except FileNotFoundError:
        raise Wrong(f"there is no {command[0]} on the PATH; binutils and a C++ compiler belong together") from None
    except subprocess.CalledProcessError as error:
        raise Wrong(f"`{' '.join(command[:3])}` ended with exit status {error.returncode}; its messages are above") from None
