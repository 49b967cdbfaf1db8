"""The results of a pipeline for the examples that copy them to a tracker: to_mlflow.py, to_wandb.py.

Asks `intrada-run inspect PIPELINE --format json` (docs/python.md has its fields) and reads the files from the cache, so it needs
nothing but Python. Only results of the current pipeline file count. INTRADA_RUN names the program if it isn't on PATH.
"""

import json
import os
import pathlib
import subprocess
import sys
from typing import Iterator, NamedTuple


SCORES = ["soft_neighbourhood_density", "entropy", "agreement"]


class Stage(NamedTuple):
    """A stage with its results."""

    name: str
    kind: str
    key: str
    parameters: dict
    seconds: float
    files: dict[str, pathlib.Path]
    """The files that it has written, by the name of the output, as in `losses`; no folders."""

    def lines(self, output: str) -> Iterator[dict]:
        """The lines of a file of JSON values; none if the stage has no such file."""
        if output in self.files:
            with self.files[output].open(encoding="utf-8") as lines:
                yield from map(json.loads, lines)

    def losses(self, every: int) -> Iterator[tuple[int, dict]]:
        """(iteration, value by name) of a training; an older file has null for losses that it lacks."""
        for values in self.lines("losses"):
            iteration = values.pop("iteration")
            if iteration % every == 0:
                yield iteration, known(values)

    def evaluations(self) -> Iterator[tuple[int, dict]]:
        """(iteration, mIoU and IoU by class) of the evaluations during a training."""
        for row in self.lines("evaluations"):
            yield row["iteration"], known({"miou": row["miou"], **{f"iou/{name}": value for name, value in row["iou"].items()}})

    def candidates(self) -> Iterator[tuple[int, dict]]:
        """(iteration, score by name) of the snapshots that a training scored without labels."""
        for row in self.lines("candidates"):
            yield row["iteration"], known({name: row[name] for name in SCORES})

    def metrics(self) -> dict:
        """mIoU and the IoU of each class, by network, of an evaluation; classes without pixels have none."""
        found = {}
        if "metrics" in self.files:
            for network, measured in json.loads(self.files["metrics"].read_text(encoding="utf-8")).items():
                numbers = {"miou": measured["miou"], **{f"iou/{name}": value for name, value in measured["iou"].items()}}
                found |= {f"{network}/{name}": value for name, value in numbers.items()}
        return known(found)


def known(values: dict) -> dict:
    return {name: value for name, value in values.items() if value is not None}


def read(pipeline: str) -> tuple[str, list[Stage]]:
    """The pipeline's name, and its stages that have results, in the order in which they run."""
    program = os.environ.get("INTRADA_RUN", "intrada-run")
    try:
        told = subprocess.run([program, "inspect", pipeline, "--format", "json"], stdout=subprocess.PIPE, check=False)
    except OSError as error:
        sys.exit(f"{program} can't be run ({error.strerror}): put it on PATH, or name it in INTRADA_RUN")
    if told.returncode:
        sys.exit(told.returncode)
    whole = json.loads(told.stdout)
    objects = pathlib.Path(whole["cache"]) / "objects"

    def stage(described: dict) -> Stage:
        files = {
            output["name"]: objects / output["artifact"]["object"][:2] / output["artifact"]["object"][2:]
            for output in described["outputs"]
            if output["artifact"] and output["artifact"]["kind"] == "file"
        }
        fields = (described[field] for field in ("name", "kind", "key", "parameters", "seconds"))
        return Stage(*fields, files=files)

    has_results = [described for described in whole["stages"] if described["decision"] in ("up-to-date", "hit")]
    others = len(whole["stages"]) - len(has_results)
    if others:
        print(f"{others} of {len(whole['stages'])} stages are not up to date and are left out", file=sys.stderr)
    return whole["pipeline"], [stage(described) for described in has_results]
