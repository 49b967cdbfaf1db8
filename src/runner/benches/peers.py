#!/usr/bin/env python3
"""The runner beside build tools and pipeline runners, on pipelines that this script writes.

    src/runner/benches/peers.py [--tools intrada,ninja,n2,make,doit,dvc,snakemake] [--limit SECONDS] [CASE…]

A tool that isn't found in PATH is left out, and a case that takes a tool longer than the limit shows as `–`. A case is a
shape and a size: `chain-100`, `wide-10000`, `sweep-1000` (one table for intrada, a stage each for the others), `files-10000`,
`images-50000` (in one folder), `bytes-1024` (MiB in 8 files).

Every stage reads its own small file (and in a chain the output of the one before), and writes a checksum of all lines that
don't begin with `#`: so a comment added to the first file of a chain gives the same output again, which shows whether a tool
notices. Each stage also appends its number to `runs.log`: what really ran is counted there, not believed. A plan is what a tool says
that it would do: `plan` or `-n`.

Times are CPU seconds (user and system, of all processes of the tool and the stages it starts), the median of several turns; tools take
turns, so that all see the same machine. Memory is the peak of the greatest process.
"""
import argparse
import json
import os
import resource
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

RECIPE = "grep -hv '^#' {inputs} | cksum > {output}; echo {number} >> runs.log"


class Stage:
    """`grows`: a folder that the stage depends on beside its inputs, and doesn't read: the runner is measured, not `cat`."""

    def __init__(self, number, inputs, grows=None):
        self.number, self.inputs, self.grows = number, inputs, grows
        self.name, self.output = f"s{number}", f"out/{number}.txt"
        self.shell = RECIPE.format(inputs=" ".join(inputs), output=self.output, number=number)

    def files(self, folder):
        below = sorted(p for p in (folder / self.grows).rglob("*") if p.is_file()) if self.grows else []
        return self.inputs + [str(p.relative_to(folder)) for p in below]


def chain(size):
    return [Stage(i, [f"in/{i}.txt"] + ([f"out/{i - 1}.txt"] if i else [])) for i in range(size)]


def wide(size):
    # The last stage reads a hundred of the others: more names don't fit on a command line.
    gathered = [f"out/{i}.txt" for i in range(min(size - 1, 100))]
    return [Stage(i, [f"in/{i}.txt"]) for i in range(size - 1)] + [Stage(size - 1, [f"in/{size - 1}.txt"] + gathered)]


def sweep(size):
    return [Stage(i, ["in/0.txt"]) for i in range(size)]


def data(_size):
    return [Stage(0, ["in/0.txt"], grows="data")]


# How each tool is told of the stages; how it is called to bring all up to date.


def intrada(folder, stages):
    lines = ["format = 1", "[pipeline]", 'name = "bench"']
    numbers = [str(stage.number) for stage in stages]
    if len(stages) > 1 and all(stage.inputs == ["in/0.txt"] for stage in stages):
        stages = [Stage("${matrix.n}", ["in/0.txt"])]
        stages[0].name = "s"
    for stage in stages:
        inputs = stage.inputs + ([stage.grows] if stage.grows else [])
        lines += [f"[stages.{stage.name}]", 'kind = "command"', f"shell = {json.dumps(stage.shell)}"]
        lines += [f"inputs = {json.dumps(inputs)}", f"outputs = {json.dumps([stage.output])}"]
    if stages[0].name == "s":
        lines += ["[stages.s.matrix]", f"n = [{', '.join(numbers)}]"]
    (folder / "pipeline.toml").write_text("\n".join(lines) + "\n")
    return ["intrada-run", "--quiet", "pipeline.toml"]


def make(folder, stages):
    rules = [f"all: {' '.join(s.output for s in stages)}\n"]
    rules += [f"{s.output}: {' '.join(s.files(folder))}\n\t@{s.shell}\n" for s in stages]
    (folder / "Makefile").write_text("\n".join(rules))
    return ["make", "-s", "-j2"]


def ninja(folder, stages):
    rules = ["rule c\n  command = $cmd\n"]
    rules += [f"build {s.output}: c {' '.join(s.files(folder))}\n  cmd = {s.shell}\n" for s in stages]
    (folder / "build.ninja").write_text("\n".join(rules))
    return ["ninja", "-j2"]


def n2(folder, stages):
    ninja(folder, stages)
    return ["n2", "-j2"]


def doit(folder, stages):
    tasks = [[s.name, s.files(folder), s.output, s.shell] for s in stages]
    (folder / "tasks.json").write_text(json.dumps(tasks))
    (folder / "dodo.py").write_text(
        "import json\n"
        "DOIT_CONFIG = {'default_tasks': ['s'], 'verbosity': 0}\n"
        "def task_s():\n"
        "    for name, reads, output, shell in json.load(open('tasks.json')):\n"
        "        yield {'name': name, 'file_dep': reads, 'targets': [output], 'actions': [shell]}\n"
    )
    return ["doit", "-n", "2", "-P", "thread"]


def dvc(folder, stages):
    lines = ["stages:"]
    for s in stages:
        reads = s.inputs + ([s.grows] if s.grows else [])
        lines += [f"  {s.name}:", f"    cmd: {json.dumps(s.shell)}", "    deps:"] + [f"    - {path}" for path in reads]
        lines += ["    outs:", f"    - {s.output}"]
    (folder / "dvc.yaml").write_text("\n".join(lines) + "\n")
    (folder / ".dvc").mkdir()
    (folder / ".dvc/config").write_text(
        f"[core]\n    no_scm = True\n    analytics = false\n    check_update = false\n    site_cache_dir = {folder}/.site\n"
    )
    return ["dvc", "repro", "-q"]


def snakemake(folder, stages):
    rules = [f"rule all:\n    input: {[s.output for s in stages]!r}\n"]
    for s in stages:
        shell = s.shell.replace("{", "{{").replace("}", "}}")
        rules.append(f"rule {s.name}:\n    input: {s.files(folder)!r}\n    output: {s.output!r}\n    shell: {shell!r}\n")
    (folder / "Snakefile").write_text("\n".join(rules))
    return ["snakemake", "-q", "all", "--cores", "2"]


TOOLS = {tool.__name__: tool for tool in (intrada, ninja, n2, make, doit, dvc, snakemake)}

# How each that can is asked what it would do.
PLANS = {"intrada": ["intrada-run", "plan", "pipeline.toml"], "ninja": ["ninja", "-n"], "make": ["make", "-s", "-n"]}


class Bench:
    """One tool on one pipeline, in a folder of its own."""

    def __init__(self, tool, shape, size, root, limit):
        self.folder, self.limit = Path(root) / f"{tool}-{shape}-{size}", limit
        for name in ("in", "out"):
            (self.folder / name).mkdir(parents=True)
        stages = {"chain": chain, "wide": wide, "sweep": sweep}.get(shape, data)(size)
        for stage in stages:
            (self.folder / f"in/{stage.number}.txt").write_text(f"{stage.number}\n")
        if shape in ("files", "bytes"):
            self.fill(shape, size)
        if shape == "images":
            self.draw(size)
        self.command, self.plan = TOOLS[tool](self.folder, stages), PLANS.get(tool)

    def fill(self, shape, size):
        count, length = (size, 4096) if shape == "files" else (8, size * 131072)
        for i in range(count):
            path = self.folder / f"data/{i % 100:02}/{i}.bin"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(length))

    def draw(self, count):
        (self.folder / "data").mkdir()
        for i in range(count):
            (self.folder / f"data/{i:05}.png").write_bytes(picture(40, 32))

    def run(self, command):
        """CPU seconds, peak MiB, stages that ran; `None` where it failed or took too long."""
        before, ran_before = resource.getrusage(resource.RUSAGE_CHILDREN), self.ran()
        peak = self.folder / ".peak"
        timed = ["/usr/bin/time", "-q", "-f", "%M", "-o", str(peak)] + command
        environment = dict(os.environ, DVC_NO_ANALYTICS="1", XDG_CACHE_HOME=str(self.folder / ".xdg"))
        with open(self.folder / "output.txt", "ab") as output:
            call = subprocess.Popen(
                timed, cwd=self.folder, env=environment, stdout=output, stderr=output, start_new_session=True
            )
            try:
                call.wait(self.limit)
            except subprocess.TimeoutExpired:
                os.killpg(call.pid, signal.SIGKILL)
                call.wait()
                return None
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return (seconds, int(peak.read_text().split()[-1]) / 1024, self.ran() - ran_before) if call.returncode == 0 else None

    def ran(self):
        log = self.folder / "runs.log"
        return len(log.read_text().split()) if log.exists() else 0

    def edit(self, path, content):
        """As an editor saves: another file under the same name."""
        path, other = self.folder / path, self.folder / "edited"
        other.write_bytes(content)
        other.replace(path)


def picture(width, height):
    """A PNG of noise: 4 KB at 40 × 32."""
    rows = b"".join(b"\0" + os.urandom(3 * width) for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b"")]
    parts = [struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


# What is done to a pipeline before the tool is called, by the name of the column.
def nothing(_bench, _turn):
    pass


def comment(bench, turn):
    bench.edit("in/0.txt", b"0\n" + b"# a remark\n" * (turn + 1))


def last_input(bench, turn):
    last = max(int(path.stem) for path in (bench.folder / "in").iterdir())
    bench.edit(f"in/{last}.txt", f"{last}\n{turn}\n".encode())


def touch(bench, _turn):
    os.utime(next(path for path in sorted((bench.folder / "data").rglob("*")) if path.is_file()))


COLUMNS = {
    "chain": {"first": nothing, "no-op": nothing, "comment in the first input": comment, "last input changed": last_input},
    "wide": {"first plan": nothing, "first": nothing, "no-op": nothing, "last input changed": last_input},
    "sweep": {"first": nothing, "no-op": nothing},
    "files": {"first": nothing, "no-op": nothing, "one touched": touch},
    "images": {"first plan": nothing, "first": nothing, "second plan": nothing, "no-op": nothing, "one touched": touch},
    "bytes": {"first": nothing, "no-op": nothing, "one touched": touch},
}


def measure(shape, size, tools, turns, limit):
    """Column → tool → results of its turns. The first run of a pipeline is one turn."""
    results = {column: {tool: [] for tool in tools} for column in COLUMNS[shape]}
    with tempfile.TemporaryDirectory(prefix="peers-") as root:
        benches = {tool: Bench(tool, shape, size, root, limit) for tool in tools}
        for column, prepare in COLUMNS[shape].items():
            for turn in range(1 if column == "first" else turns):
                for tool, bench in list(benches.items()):
                    command = bench.plan if column.endswith("plan") else bench.command
                    if command is None:
                        continue
                    prepare(bench, turn)
                    result = bench.run(command)
                    results[column][tool].append(result)
                    if result is None:
                        print(f"{tool} {shape} {size} {column}: gave up, see below\n{tail(bench)}", file=sys.stderr)
                        del benches[tool]
    return results


def tail(bench):
    return "\n".join((bench.folder / "output.txt").read_text(errors="replace").splitlines()[-3:])


def cell(results):
    results = [result for result in results if result]
    if not results:
        return "–"
    seconds, ran = statistics.median(r[0] for r in results), {r[2] for r in results}
    text = f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"
    return text + f" ({'/'.join(str(n) for n in sorted(ran))})"


def show(shape, size, results, tools):
    print(f"\n### {shape} {size}: CPU time (stages that ran)\n")
    print("| | " + " | ".join(results) + " | peak memory |\n|---" + "|--:" * (len(results) + 1) + "|")
    for tool in tools:
        peaks = [r[1] for column in results.values() for r in column[tool] if r]
        memory = f"{max(peaks):.0f} MiB" if peaks else "–"
        print(f"| {tool} | " + " | ".join(cell(column[tool]) for column in results.values()) + f" | {memory} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tools", default=",".join(TOOLS))
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--limit", type=float, default=300, help="seconds of wall time for one call of a tool")
    parser.add_argument("cases", nargs="*", default=["chain-100", "chain-1000", "wide-10000", "files-10000", "bytes-1024"])
    arguments = parser.parse_args()
    programs = {"intrada": "intrada-run"}
    tools = [tool for tool in arguments.tools.split(",") if shutil.which(programs.get(tool, tool))]
    for tool in tools:
        version = subprocess.run([programs.get(tool, tool), "--version"], capture_output=True, text=True)
        print(f"{tool}: {(version.stdout or version.stderr).splitlines()[0]}")
    for case in arguments.cases:
        shape, size = case.split("-")
        show(shape, int(size), measure(shape, int(size), tools, arguments.turns, arguments.limit), tools)


if __name__ == "__main__":
    main()
