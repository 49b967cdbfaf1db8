"""Copies the results of a pipeline to Weights & Biases: parameters, losses, evaluations, metrics and the files themselves.

    python3 examples/to_wandb.py pipelines/quickstart.toml           requires wandb
    python3 examples/to_wandb.py pipelines/quickstart.toml 100       every hundredth iteration

Each training and evaluation becomes a run, whose id is its key, so that the same result is one run however often it is copied. With
WANDB_MODE=offline everything is written to `wandb/` here, and `wandb sync wandb/offline-run-*` uploads it later. Copy and adapt this
script.
"""

import sys

import results_of
import wandb

ARTIFACTS = {
    "model": ".safetensors", "best": ".safetensors", "chosen": ".safetensors", "metrics": ".json", "images": ".jsonl",
}
"""The outputs to copy as files, and how their names end."""


def copy(run: "wandb.Run", stage: results_of.Stage, every: int) -> None:
    # Two values of one iteration are one step.
    steps: dict[int, dict] = dict(stage.losses(every))
    for iteration, values in stage.evaluations():
        steps.setdefault(iteration, {}).update({f"evaluation/{name}": value for name, value in values.items()})
    for iteration, values in stage.candidates():
        steps.setdefault(iteration, {}).update({f"candidates/{name}": value for name, value in values.items()})
    for iteration in sorted(steps):
        run.log(steps[iteration], step=iteration)
    run.summary.update(stage.metrics())
    run.summary["seconds"] = stage.seconds
    artifact = wandb.Artifact(f"result-{stage.key[:12]}", type=stage.kind, metadata={"key": stage.key, "stage": stage.name})
    for output in sorted(ARTIFACTS.keys() & stage.files.keys()):
        artifact.add_file(str(stage.files[output]), name=output + ARTIFACTS[output])
    run.log_artifact(artifact)


def main(pipeline: str, every: int) -> None:
    name, stages = results_of.read(pipeline)
    for stage in stages:
        if stage.files.keys() & {"losses", "metrics"}:
            about = {"project": name, "name": stage.name, "id": stage.key[:16], "group": stage.kind}
            with wandb.init(**about, config=stage.parameters, resume="allow") as run:
                copy(run, stage, every)
            print(f"{stage.name} copied")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1)
