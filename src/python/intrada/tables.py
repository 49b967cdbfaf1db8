"""The rows of tables, from the files that stages write (docs/pipeline-format.md, docs/report.md).

Knows the formats of these files and neither frames nor the cache. Each row begins with the stage, and members of a sweep
have their axes as columns.
"""

from __future__ import annotations

import csv
import io
import json
import warnings
from typing import TYPE_CHECKING, Any, Callable, Iterator, List, Sequence

from .errors import Incomplete, NoResult
from .frames import Row

if TYPE_CHECKING:
    from .pipeline import Stage

#: The rows of a stage.
Reader = Callable[["Stage"], Iterator[Row]]

STAGES = ["stage", "family", "kind", "decision", "reason", "seconds"]
PARAMETERS = ["stage", "parameter", "value"]
METRICS = [
    "stage", "dataset", "network", "training", "is_chosen_with_labels", "is_chosen_without_labels", "images", "miou",
]
IOU = ["stage", "dataset", "network", "class", "iou"]
IMAGES = ["stage", "dataset", "network", "image", "miou", "entropy"]
PIXELS = ["stage", "dataset", "network", "image", "class", "truth", "prediction", "intersection"]
LOSSES = ["stage", "iteration"]
EVALUATIONS = ["stage", "iteration", "miou"]
CANDIDATES = ["stage", "iteration", "soft_neighbourhood_density", "entropy", "agreement", "images", "pixels", "miou"]
SCORES = ["stage", "image", "mean_entropy", "mean_entropy_eq4_nats", "predicted_rare_classes"]
RANKINGS = ["stage", "place", "image", "score", "split"]
COUNTS = ["stage", "image", "class", "pixels"]

#: Names that a warning lists.
_SHOWN = 5


def stage(of: Stage) -> Row:
    """A stage, without its results."""
    row = {"stage": of.name, "family": of.family, "kind": of.kind, "decision": of.decision, "reason": of.reason}
    return {**row, "seconds": of.seconds, **of.axes}


def parameters(of: Stage) -> Iterator[Row]:
    """Its parameters; lists as text, so that a column has one type."""
    for name, value in of.parameters.items():
        yield {**_head(of), "parameter": name, "value": value if isinstance(value, str) else json.dumps(value)}


def metrics(of: Stage) -> Iterator[Row]:
    """`metrics.json`, a row per network."""
    measured = json.loads(of.read("metrics"))
    for network in of.networks:
        found = measured.get(network.name)
        if found is None:
            continue
        means = {name: found[name] for name in ("miou", "miou_16", "miou_13") if name in found}
        yield {
            **_measuring(of, network.name),
            "training": network.training,
            "is_chosen_with_labels": network.is_chosen_with_labels,
            "is_chosen_without_labels": network.is_chosen_without_labels,
            "images": found["images"],
            **means,
        }


def iou(of: Stage) -> Iterator[Row]:
    """`metrics.json`, a row per network and class."""
    measured = json.loads(of.read("metrics"))
    for network in of.networks:
        for name, value in measured.get(network.name, {}).get("iou", {}).items():
            yield {**_measuring(of, network.name), "class": name, "iou": value}


def images(of: Stage) -> Iterator[Row]:
    """`images.jsonl`, a row per network and image."""
    for line in _lines(of, "images"):
        for network in of.networks:
            miou, entropy = line["miou"].get(network.name), line.get("entropy", {}).get(network.name)
            yield {**_measuring(of, network.name), "image": line["image"], "miou": miou, "entropy": entropy}


def pixels(of: Stage, classes: Sequence[str]) -> Iterator[Row]:
    """`images.jsonl`, a row per network, image and class."""
    for line in _lines(of, "images"):
        for network in of.networks:
            counts = line["counts"].get(network.name)
            if counts is None:
                continue
            for name, truth, prediction, both in zip(classes, line["truth"], counts["prediction"], counts["intersection"]):
                of_class = {"truth": truth, "prediction": prediction, "intersection": both}
                yield {**_measuring(of, network.name), "image": line["image"], "class": name, **of_class}


def losses(of: Stage) -> Iterator[Row]:
    """`losses.jsonl`."""
    for line in _lines(of, "losses"):
        yield {**_head(of), **line}


def evaluations(of: Stage) -> Iterator[Row]:
    """`evaluations.jsonl`."""
    for line in _lines(of, "evaluations"):
        by_class = {f"iou {name}": value for name, value in line["iou"].items()}
        yield {**_head(of), "iteration": line["iteration"], "miou": line["miou"], **by_class}


def candidates(of: Stage) -> Iterator[Row]:
    """`candidates.jsonl`, each with its mIoU of `evaluations.jsonl`, missing if it was not evaluated."""
    evaluated = "evaluations" in of.outputs
    miou = {line["iteration"]: line["miou"] for line in _lines(of, "evaluations")} if evaluated else {}
    for line in _lines(of, "candidates"):
        yield {**_head(of), **line, "miou": miou.get(line["iteration"])}


def scores(of: Stage) -> Iterator[Row]:
    """`scores.csv`."""
    for row in _csv(of, "scores"):
        yield {
            **_head(of),
            "image": row["image"],
            "mean_entropy": float(row["mean_entropy"]),
            "mean_entropy_eq4_nats": float(row["mean_entropy_eq4_nats"]),
            "predicted_rare_classes": int(row["predicted_rare_classes"]),
        }


def rankings(of: Stage) -> Iterator[Row]:
    """`ranking.csv`, the easiest first."""
    for place, row in enumerate(_csv(of, "ranking"), 1):
        yield {**_head(of), "place": place, "image": row["image"], "score": float(row["score"]), "split": row["split"]}


def counts(of: Stage, classes: Sequence[str]) -> Iterator[Row]:
    """`class_counts.jsonl`: pixels by class of each label, without the first line, which is their sum."""
    for line in _lines(of, "counts"):
        if "image" in line:
            for name, pixels in zip([*classes, "(ignored)"], [*line["pixels"], line["ignored"]]):
                yield {**_head(of), "image": line["image"], "class": name, "pixels": pixels}


def confusion(of: Stage, network: str, classes: Sequence[str]) -> Iterator[Row]:
    """The confusion matrix of one network."""
    measured = json.loads(of.read("metrics"))
    if network not in measured:
        raise NoResult(f"`{of.name}` does not measure `{network}`; it measures {', '.join(measured)}")
    for label, row in zip(classes, measured[network]["confusion"]):
        yield {"label": label, **dict(zip(classes, row))}


def warn_of_missing(missing: List[Stage], of: int) -> None:
    """Warns that a table lacks these stages."""
    if missing:
        names = ", ".join(stage.name for stage in missing[:_SHOWN]) + (", …" if len(missing) > _SHOWN else "")
        text = f"{len(missing)} of {of} stages have no result of the current file and are missing in this table: {names}"
        # Of the caller's line: this function, `_table` and the method of the table are between.
        warnings.warn(text, Incomplete, stacklevel=4)


def _head(of: Stage) -> Row:
    return {"stage": of.name, **of.axes}


def _measuring(of: Stage, network: str) -> Row:
    dataset = next((each["dataset"] for each in of.inputs if each["key"] == "dataset"), None)
    return {"stage": of.name, **of.axes, "dataset": dataset, "network": network}


def _lines(of: Stage, output: str) -> Iterator[Any]:
    return (json.loads(line) for line in of.read(output).splitlines())


def _csv(of: Stage, output: str) -> Iterator[Row]:
    return csv.DictReader(io.StringIO(of.read(output).decode("utf-8"), newline=""))
