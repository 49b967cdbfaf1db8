"""Copies the results of a pipeline to MLflow: parameters, losses, evaluations, metrics and the files themselves.

    python3 examples/to_mlflow.py pipelines/quickstart.toml          requires mlflow
    python3 examples/to_mlflow.py pipelines/quickstart.toml 100      every hundredth iteration

Each training and evaluation becomes a run of the same name; its key tells it from other results of that name. A result that is
there already is left alone. MLflow decides where it writes: MLFLOW_TRACKING_URI, else a file `mlflow.db` here. Copy and adapt this
script.
"""

import sys
import tempfile
from pathlib import Path
from shutil import copyfile

import mlflow
import results_of

ARTIFACTS = {
    "model": ".safetensors", "best": ".safetensors", "chosen": ".safetensors", "metrics": ".json", "images": ".jsonl",
}
"""The outputs to copy as files, and how their names end."""


def copy(stage: results_of.Stage, every: int) -> None:
    mlflow.set_tags({"key": stage.key, "kind": stage.kind})
    mlflow.log_params(stage.parameters)
    for iteration, values in stage.losses(every):
        mlflow.log_metrics(values, step=iteration)
    for iteration, values in stage.evaluations():
        mlflow.log_metrics({f"evaluation/{name}": value for name, value in values.items()}, step=iteration)
    for iteration, values in stage.candidates():
        mlflow.log_metrics({f"candidates/{name}": value for name, value in values.items()}, step=iteration)
    if metrics := stage.metrics():
        mlflow.log_metrics(metrics)
    with tempfile.TemporaryDirectory() as folder:
        # The cache has names of its own.
        for output in ARTIFACTS.keys() & stage.files.keys():
            copyfile(stage.files[output], Path(folder) / (output + ARTIFACTS[output]))
        mlflow.log_artifacts(folder)


def main(pipeline: str, every: int) -> None:
    name, stages = results_of.read(pipeline)
    mlflow.set_experiment(name)
    for stage in stages:
        if not stage.files.keys() & {"losses", "metrics"}:
            continue
        if mlflow.search_runs(filter_string=f"tags.key = '{stage.key}'", output_format="list"):
            print(f"{stage.name} is there already")
            continue
        with mlflow.start_run(run_name=stage.name):
            copy(stage, every)
        print(f"{stage.name} copied")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1)
