"""The results of several pipelines or of a sweep in one table, as `intrada-run compare` computes them.

Knows nothing of seeds and differences: the program groups runs that differ only in their seed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence

from . import program
from .frames import Frame, Row, frame
from .program import Overrides, PathLike

#: Of a table of choices; the first ones are those of a training.
_OF_CHOICES = [
    "pipeline", "training", "scored_on", "evaluated_on", "snapshots", "evaluated", "best_miou", "choice", "is_used", "iteration",
    "miou", "regret", "correlation",
]
_COLUMNS = ["pipeline", "evaluation", "dataset", "weights"]
#: What a row says of each network: mean, standard deviation and number of runs.
_SPREADS = {"last": "miou", "best": "best_miou", "since": "difference", "training_seconds": "training_seconds"}


@dataclass(frozen=True)
class Comparison:
    """A row per network and setting; runs that differ only in their seed are one row."""

    #: The training that differences are taken from.
    against: str
    #: What the numbers of networks mean that were chosen by labels.
    note: str
    #: Parameters that are the same in all rows.
    same: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]] = field(repr=False)
    _frames: Optional[str] = None

    def table(self) -> Frame:
        """As a frame: `miou` and others are means over seeds, `…_sd` their standard deviations, `runs` their number.

        `difference_low` and `difference_high` are its 95 % interval, and `gain` says whether it is one: see docs/report.md.
        """
        return frame((self._row(row) for row in self.rows), _COLUMNS, self._frames)

    @staticmethod
    def _row(row: Mapping[str, Any]) -> Row:
        flat: Row = {"pipeline": " ".join(row["pipelines"])}
        flat.update({name: row[name] for name in _COLUMNS[1:]})
        flat.update(row["parameters"])
        flat.update({"runs": row["measured"], "not_run": row["not_run"], "failed": row["failed"], "stale": row["stale"]})
        for name, column in _SPREADS.items():
            flat.update(_spread(column, row.get(name)))
        flat.update(_interval(row.get("since")))
        flat["gain"] = row.get("gain")
        for name, spread in (row.get("classes") or {}).items():
            flat.update(_spread(f"iou {name}", spread))
        return flat

    def _repr_html_(self) -> str:
        return str(self.table()._repr_html_())


def _interval(since: Optional[Mapping[str, Any]]) -> Row:
    """The widest interval that is known of a difference: over seeds and images, else over images."""
    of = (since or {}).get("all") or (since or {}).get("images") or {}
    return {"difference_low": of.get("low"), "difference_high": of.get("high")}


def choices(
    *files: PathLike,
    stages: Sequence[str] = (),
    set: Optional[Overrides] = None,  # noqa: A002: called as the option that it is
    cache: Optional[PathLike] = None,
    frames: Optional[str] = None,
) -> Frame:
    """What choosing snapshots without labels has cost: a row per training of these files and way of choosing.

    `choice` is a score, `last` or `chance`; `regret` is how much less mIoU the chosen snapshot has than the best one, and
    `correlation` Spearman's rho between the score and mIoU; both are missing without labels. `is_used`: it chose `<stage>.chosen`.
    Shares are from 0 to 1. The arguments are those of `compare`.

    Raises `PipelineError` if a file or name is wrong, or no training chooses a snapshot.
    """
    if not files:
        raise TypeError("choices needs at least one pipeline file")
    first, *others = files
    told = program.ask(["choices", *program.arguments(first, set, cache), *(str(file) for file in others), *stages])
    return frame((row for training in told["trainings"] for row in _choices(training)), _OF_CHOICES, frames)


def _choices(training: Mapping[str, Any]) -> Iterator[Row]:
    if "scores" not in training:
        return
    head = {name: training[name] for name in _OF_CHOICES[:6]}
    best = training["best"]
    head["best_miou"] = None if best is None else best["miou"]
    for name, judged in {**training["scores"], "last": training["last"]}.items():
        yield {**head, "choice": name, "is_used": name.replace("_", "-") == training["choose_by"], **judged}
    chance: Row = dict.fromkeys(["iteration", "miou", "correlation"])
    yield {**head, "choice": "chance", "is_used": False, **chance, "regret": training["regret_by_chance"]}


def _spread(column: str, spread: Optional[Mapping[str, Any]]) -> Row:
    if spread is None:
        return {column: None, f"{column}_sd": None}
    return {column: spread["mean"], f"{column}_sd": spread["sd"]}


def compare(
    *files: PathLike,
    stages: Sequence[str] = (),
    against: Optional[str] = None,
    classes: bool = False,
    each_run: bool = False,
    set: Optional[Overrides] = None,  # noqa: A002: called as the option that it is
    cache: Optional[PathLike] = None,
    frames: Optional[str] = None,
) -> Comparison:
    """Compares the evaluations of these pipeline files, or only `stages` of them.

    `against` names the training that differences are taken from (default: `inter`, else the first). `classes` adds the IoU
    of each class. `each_run`: a row per run, even if only the seeds differ. The other arguments are those of `open`.

    Raises `PipelineError` if a file or name is wrong.
    """
    if not files:
        raise TypeError("compare needs at least one pipeline file")
    first, *others = files
    command: List[str] = ["compare", *program.arguments(first, set, cache), *(str(file) for file in others), *stages]
    flags: Dict[str, bool] = {"--classes": classes, "--no-group": each_run}
    command += [name for name, is_set in flags.items() if is_set]
    if against is not None:
        command += ["--against", against]
    told = program.ask(command)
    return Comparison(told["against"], told["note"], told["same"], told["rows"], frames)
