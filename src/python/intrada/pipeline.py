"""A pipeline and its results: what `intrada-run inspect --format json` tells of it, and the objects that hold the results.

Only results of the current file count: those of a stage that would run belong to another version of the pipeline, so such a
stage has none here, and a table warns which it lacks. Rows of tables are made in `tables`.
"""

from __future__ import annotations

import shlex
import warnings
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import comparison, program, tables
from .errors import Error, NoResult, ProgramWarning
from .frames import Frame, frame
from .frames import library as frames_library
from .maps import Maps
from .objects import Artifact, Cache
from .program import Overrides, PathLike

_FORMAT = 1
#: What `plan` decides of a stage that has its results.
_DONE = ("up-to-date", "hit")


class Class(NamedTuple):
    """A class; its index is its place."""

    name: str
    colour: Tuple[int, int, int]


class MeasuredNetwork(NamedTuple):
    """A network that an evaluation measures."""

    #: Its name in tables: `inter`, `inter.best`, a file's name.
    name: str
    #: The stage that trained it; None if it is a file.
    training: Optional[str]
    #: Whether it is the training's moving average.
    is_teacher: bool
    #: Whether labels have chosen it: its numbers aren't those of a method without labels.
    is_chosen_with_labels: bool
    #: Whether its training chose it by a score on images without labels.
    is_chosen_without_labels: bool


class Output(NamedTuple):
    """An output of a stage."""

    name: str
    #: What it is, as docs/pipeline-format.md says: `weights`, `scores`, `predictions`, …
    contents: str
    #: Where a run puts it, for people; this package reads the cache.
    path: Path
    #: None while there is no result.
    artifact: Optional[Artifact]


class Stage:
    """A stage with its results."""

    def __init__(self, told: Mapping[str, Any], pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self.name: str = told["name"]
        #: The name in the file, which members of a sweep share.
        self.family: str = told["family"]
        self.kind: str = told["kind"]
        #: Of a member of a sweep: value by axis.
        self.axes: Mapping[str, Any] = {axis: _number(value) for axis, value in told["axes"].items()}
        self.parameters: Mapping[str, Any] = told["parameters"]
        #: `up-to-date`, `hit` (in the cache), `run` or `depends`.
        self.decision: str = told["decision"]
        #: Why it would run.
        self.reason: str = told["reason"]
        self.key: Optional[str] = told["key"]
        #: How long it took, if known.
        self.seconds: Optional[float] = told["seconds"]
        #: What each key reads: `key` with `dataset`, `stage` and `output`, or `path`.
        self.inputs: Sequence[Mapping[str, str]] = told["inputs"]
        #: Of an evaluation: what it measures.
        self.networks: Sequence[MeasuredNetwork] = [MeasuredNetwork(**each) for each in _only(told["networks"])]
        self.outputs: Mapping[str, Output] = {each["name"]: _output(each, pipeline.root) for each in told["outputs"]}

    @property
    def is_done(self) -> bool:
        """Whether it has a result of the current file."""
        return self.decision in _DONE

    def read(self, output: str) -> bytes:
        """The content of an output that is a file, such as `losses` or `model`."""
        return self._pipeline.cache.read(self._artifact(output, is_folder=False).object)

    def maps(self, output: str) -> Maps:
        """The pictures of an output that is a folder."""
        artifact = self._artifact(output, is_folder=True)
        colours = [each.colour for each in self._pipeline.classes]
        files = self._pipeline.cache.files(artifact)
        return Maps(f"`{self.name}.{output}`", self._pipeline.cache, files, colours, is_entropy=output == "entropy")

    @property
    def predictions(self) -> Maps:
        """Of an entropy-inference: the most likely class of each pixel, at the network's input size."""
        return self.maps("predictions")

    @property
    def entropy(self) -> Maps:
        """Of an entropy-inference: the entropy of each pixel; `.entropy.entropy(image)` gives numbers from 0 to 1."""
        return self.maps("entropy")

    @property
    def photographs(self) -> Maps:
        """Of an entropy-inference: the images, small."""
        return self.maps("photographs")

    @property
    def labels(self) -> Maps:
        """Of a pseudo-labelling: class indices, 255 where there is no label."""
        return self.maps("labels")

    def _artifact(self, output: str, is_folder: bool) -> Artifact:
        if output not in self.outputs:
            has = ", ".join(self.outputs) or "none"
            raise NoResult(f"`{self.name}` is of kind {self.kind}, which has no output `{output}`; it has {has}")
        artifact = self.outputs[output].artifact
        if artifact is None:
            raise NoResult(
                f"`{self.name}` has no result of the current file: {self.reason or 'it has not run'}; "
                f"run it: intrada-run {shlex.quote(str(self._pipeline.file))} {shlex.quote(self.name)}"
            )
        if artifact.is_folder != is_folder:
            kind, how = ("a folder", "maps") if artifact.is_folder else ("a file", "read")
            raise NoResult(f"`{self.name}.{output}` is {kind}: read it with .{how}({output!r})")
        return artifact

    def __repr__(self) -> str:
        return f"<intrada.Stage {self.name}, {self.kind}, {self.decision}>"


class Pipeline(Mapping[str, Stage]):
    """A pipeline as it was when it was opened; stages by name, in the order in which they run.

    Open it again after a run. A table covers all stages that have such results, or the named ones: `stages` takes names of
    stages and of sweeps.
    """

    def __init__(self, file: PathLike, overrides: Optional[Overrides], cache: Optional[PathLike], frames: Optional[str]) -> None:
        if frames is not None:
            frames_library(frames)
        told = program.ask(["inspect", *program.arguments(file, overrides, cache)])
        if told.get("format") != _FORMAT:
            raise Error(f"{program.find()} is of another version than this package: install both from one wheel or checkout")
        self.file = Path(file)
        self._overrides = overrides
        self._cache_option = cache
        self._frames = frames
        self.name: str = told["pipeline"]
        #: What the pipeline is for, as its file says; empty if it doesn't.
        self.description: str = told["description"]
        self.tags: Sequence[str] = told["tags"]
        #: The workspace's root, which paths are relative to.
        self.root = Path(told["root"])
        self.cache = Cache(Path(told["cache"]))
        self.classes: Sequence[Class] = [Class(each["name"], _rgb(each["colour"])) for each in told["classes"]]
        self.stages: Mapping[str, Stage] = {each["name"]: Stage(each, self) for each in told["stages"]}

    def __getitem__(self, name: str) -> Stage:
        try:
            return self.stages[name]
        except KeyError:
            members = [stage for stage, each in self.stages.items() if each.family == name]
            if members:
                raise KeyError(f"`{name}` is a sweep; name a member, such as `{members[0]}`") from None
            known = ", ".join(list(self.stages)[:12])
            raise KeyError(f"{self.file} has no stage `{name}`; it has {known}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.stages)

    def __len__(self) -> int:
        return len(self.stages)

    def table(self) -> Frame:
        """A row per stage: name, family, kind, decision, reason, seconds, axes."""
        return self._frame(tables.STAGES, map(tables.stage, self.stages.values()))

    def parameters(self, stages: Optional[Sequence[str]] = None) -> Frame:
        """A row per stage and parameter."""
        rows = (row for stage in self._named(stages) for row in tables.parameters(stage))
        return self._frame(tables.PARAMETERS, rows)

    def metrics(self, stages: Optional[Sequence[str]] = None) -> Frame:
        """A row per evaluation and network: number of images, mIoU (0 to 1), time."""
        return self._table("metrics", tables.METRICS, tables.metrics, stages)

    def iou(self, stages: Optional[Sequence[str]] = None) -> Frame:
        """A row per evaluation, network and class: IoU (0 to 1), missing if neither label nor prediction has the class."""
        return self._table("metrics", tables.IOU, tables.iou, stages)

    def images(self, stages: Optional[Sequence[str]] = None) -> Frame:
        """A row per evaluation, network and image: mIoU over the classes that occur, mean entropy."""
        return self._table("images", tables.IMAGES, tables.images, stages)

    def pixels(self, stages: Optional[Sequence[str]] = None) -> Frame:
        """A row per evaluation, network, image and class: pixels labelled, predicted (of the labelled ones), and both at once."""
        names = [each.name for each in self.classes]
        return self._table("images", tables.PIXELS, lambda stage: tables.pixels(stage, names), stages)

    def losses(self, stages: Optional[Sequence[str]] = None) -> Frame:
        """A row per training and iteration: its losses and learning rate (docs/pipeline-format.md)."""
        return self._table("losses", tables.LOSSES, tables.losses, stages)

    def evaluations(self, stages: Optional[Sequence[str]] = None) -> Frame:
        """A row per training and evaluation during it: mIoU, and IoU of each class as `iou <class>`."""
        return self._table("evaluations", tables.EVALUATIONS, tables.evaluations, stages)

    def candidates(self, stages: Optional[Sequence[str]] = None) -> Frame:
        """A row per training and snapshot that it scored without labels: the scores, and its mIoU if it was evaluated with labels."""
        return self._table("candidates", tables.CANDIDATES, tables.candidates, stages)

    def scores(self, stages: Optional[Sequence[str]] = None) -> Frame:
        """A row per entropy-inference and image: its mean entropy in both forms, the number of rare classes predicted."""
        return self._table("scores", tables.SCORES, tables.scores, stages)

    def rankings(self, stages: Optional[Sequence[str]] = None) -> Frame:
        """A row per ranking and image, the easiest first: place, score, `easy` or `hard`."""
        return self._table("ranking", tables.RANKINGS, tables.rankings, stages)

    def class_counts(self, stages: Optional[Sequence[str]] = None) -> Frame:
        """A row per class-statistics, label and class: number of pixels; those without a class as `(ignored)`."""
        names = [each.name for each in self.classes]
        return self._table("counts", tables.COUNTS, lambda stage: tables.counts(stage, names), stages)

    def confusion(self, evaluation: str, network: str) -> Frame:
        """Pixels: a row per labelled class, a column per predicted one, after the column `label`."""
        rows = tables.confusion(self[evaluation], network, [each.name for each in self.classes])
        return self._frame(["label"], rows)

    def export(self, stage: str, folder: PathLike, form: str = "onnx") -> Path:
        """Exports a network, such as `intra` or `intra.best`, into a new folder, which `intrada.load` reads (docs/export.md).

        `form` is what `--as` takes. Raises `PipelineError` if the stage has no result of the current file, or the folder has
        other files; warns if the folder could not be verified.
        """
        given = program.arguments(self.file, self._overrides, self._cache_option)
        told = program.call(["export", *given, stage, str(folder), "--as", form]).decode("utf-8", "replace")
        # The names of the files need no word, but that a check could not be made does.
        for line in told.splitlines():
            if line.startswith("not verified"):
                warnings.warn(line, ProgramWarning, stacklevel=2)
        return Path(folder)

    def compare(self, *others: PathLike, **options: Any) -> comparison.Comparison:
        """The evaluations of this pipeline and of other pipeline files in one table; options as of `intrada.compare`."""
        options.setdefault("frames", self._frames)
        return comparison.compare(self.file, *others, set=self._overrides, cache=self._cache_option, **options)

    def _table(self, output: str, columns: Sequence[str], rows: tables.Reader, stages: Optional[Sequence[str]]) -> Frame:
        having = [stage for stage in self._named(stages) if output in stage.outputs]
        if stages is not None:
            for name in [stages] if isinstance(stages, str) else stages:
                if not any(name in (stage.name, stage.family) for stage in having):
                    raise NoResult(f"`{name}` is of kind {self._named([name])[0].kind}, which has no output `{output}`")
        done = [stage for stage in having if stage.is_done]
        tables.warn_of_missing([stage for stage in having if not stage.is_done], len(having))
        return self._frame(columns, (row for stage in done for row in rows(stage)))

    def _named(self, names: Optional[Sequence[str]]) -> List[Stage]:
        if names is None:
            return list(self.stages.values())
        if isinstance(names, str):
            names = [names]
        found: Dict[str, Stage] = {}
        for name in names:
            meant = [stage for stage in self.stages.values() if name in (stage.name, stage.family)]
            found.update((stage.name, stage) for stage in meant or [self[name]])
        return list(found.values())

    def _frame(self, columns: Sequence[str], rows: Any) -> Frame:
        return frame(rows, columns, self._frames)

    def __repr__(self) -> str:
        done = sum(stage.is_done for stage in self.stages.values())
        return f"<intrada.Pipeline {self.name}, {len(self)} stages, {done} with results>"


def open(  # noqa: A001: read as `intrada.open`
    file: PathLike,
    *,
    set: Optional[Overrides] = None,  # noqa: A002: called as the option that it is
    cache: Optional[PathLike] = None,
    frames: Optional[str] = None,
) -> Pipeline:
    """Opens a pipeline file and finds its results; runs nothing.

    `set` overrides values of the file, as in `{"stages.rank.lambda": 0.6}`. `cache` is the folder that `--cache` names.
    `frames`: `"pandas"` or `"polars"`; default: the first that is installed.

    Raises `PipelineError` if the file or its data are wrong.
    """
    return Pipeline(file, set, cache, frames)


def _output(told: Mapping[str, Any], root: Path) -> Output:
    of = told["artifact"]
    artifact = of and Artifact(of["kind"] == "folder", of["object"], of["size"], of["files"])
    return Output(told["name"], told["contents"], root / told["path"], artifact)


def _only(told: Sequence[Mapping[str, Any]]) -> Iterator[Dict[str, Any]]:
    """Without fields that a later version adds."""
    for each in told:
        yield {name: each[name] for name in MeasuredNetwork._fields}


def _rgb(colour: Sequence[int]) -> Tuple[int, int, int]:
    red, green, blue = colour
    return red, green, blue


def _number(text: str) -> Any:
    """An axis' value as a number if it is one: values of axes are texts, as they are parts of names."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text
