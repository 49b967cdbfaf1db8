"""Results of `intrada-run` as tables and pictures, runs as events, exported networks for numpy images.

    import intrada

    for event in intrada.run("p.toml"):          # as `intrada-run p.toml`
        print(event)
    results = intrada.open("p.toml")
    results.metrics()                            # a table (pandas or polars)
    results["entropy"].predictions["a.png"]      # a numpy array
    network = intrada.load("exported/")          # a folder of `intrada-run export`
    network.predict(picture)

Pure Python: it calls `intrada-run` and reads the formats that docs/cache-format.md, docs/pipeline-format.md and docs/python.md
describe, so it knows no private file of the cache and computes nothing that `intrada-run` computes. numpy is needed; pandas,
polars, Pillow, onnxruntime and torch only where they are used.
"""

from importlib import metadata as _metadata

from .comparison import Comparison, choices, compare
from .errors import Error, Incomplete, Interrupted, MissingPackage, NoResult, NotANetwork, PipelineError, ProgramWarning, StageFailed
from .events import (
    Event, OtherEvent, PutAside, RunFinished, SourcesChanged, StageDropped, StageFinished, StageJob, StageProgress,
    StagePushing, StageResumed, StageRetrying, StageStarted, StageWaiting, Warned,
)
from .maps import Maps
from .network import Network, load
from .pipeline import Class, MeasuredNetwork, Output, Pipeline, Stage, open
from .running import Run, run

try:
    __version__ = _metadata.version("intrada")
except _metadata.PackageNotFoundError:  # imported from a checkout
    __version__ = "0"

__all__ = [
    "Class", "Comparison", "Error", "Event", "Incomplete", "Interrupted", "Maps", "MeasuredNetwork", "MissingPackage",
    "Network", "NoResult", "NotANetwork", "OtherEvent", "Output", "Pipeline", "PipelineError", "ProgramWarning", "PutAside", "Run",
    "RunFinished", "SourcesChanged", "Stage", "StageDropped", "StageFailed", "StageFinished", "StageJob",
    "StageProgress", "StagePushing", "StageResumed", "StageRetrying", "StageStarted", "StageWaiting", "Warned",
    "choices", "compare", "load", "open", "run",
]
