"""Copies results of a pipeline from `runs/` to MLflow: training losses and evaluation results.

    python3 examples/to_mlflow.py runs/quickstart          requires mlflow
    python3 examples/to_mlflow.py runs/quickstart 100      every hundredth iteration

Each stage becomes a run of the same name. Copy and adapt this script. For Weights & Biases, pass the same values to `wandb.init(project=..., name=...)` and `wandb.log(values, step=...)`.
"""

import json
import pathlib
import sys

import mlflow


def losses(path: pathlib.Path, every: int):
    """(iteration, value by name) of a training; an older file has null for losses that the training lacks."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            values = json.loads(line)
            iteration = values.pop("iteration")
            if iteration % every == 0:
                yield iteration, {name: value for name, value in values.items() if value is not None}


def results(path: pathlib.Path) -> dict:
    """mIoU and the IoU of each class, by network; classes without pixels have none."""
    found = {}
    for network, measured in json.loads(path.read_text(encoding="utf-8")).items():
        numbers = {"miou": measured["miou"], **{f"iou/{name}": value for name, value in measured["iou"].items()}}
        found |= {f"{network}/{name}": value for name, value in numbers.items() if value is not None}
    return found


def main(folder: pathlib.Path, every: int) -> None:
    mlflow.set_experiment(folder.resolve().name)
    for stage in sorted(path for path in folder.iterdir() if path.is_dir()):
        curves, table = stage / "losses.jsonl", stage / "metrics.json"
        if curves.exists():
            with mlflow.start_run(run_name=stage.name):
                for iteration, values in losses(curves, every):
                    mlflow.log_metrics(values, step=iteration)
        elif table.exists():
            with mlflow.start_run(run_name=stage.name):
                mlflow.log_metrics(results(table))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)
