"""The events of a run, as `intrada-run run --format json` writes them, a line each.

Knows no process. A field that a later version adds is in `raw`; an event that it adds is an `OtherEvent`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Optional, Tuple, Type


@dataclass(frozen=True)
class Event:
    """Something that happened in a run."""

    #: The line as it was written.
    raw: Mapping[str, Any] = field(repr=False, compare=False)


@dataclass(frozen=True)
class StageStarted(Event):
    """A stage computes."""

    stage: str
    key: str
    reason: str


@dataclass(frozen=True)
class StageWaiting(Event):
    """Another process computes the same result, or holds the place of an output."""

    stage: str
    holder: str


@dataclass(frozen=True)
class StageJob(Event):
    """What a batch system says of a stage's job."""

    stage: str
    job: str


@dataclass(frozen=True)
class StageRetrying(Event):
    """A job is tried again."""

    stage: str
    attempt: int
    of: int
    reason: str


@dataclass(frozen=True)
class StageDropped(Event):
    """A stage that had started isn't needed any more."""

    stage: str


@dataclass(frozen=True)
class StageResumed(Event):
    """A stage goes on where an earlier attempt had stopped."""

    stage: str
    at: int


@dataclass(frozen=True)
class StageProgress(Event):
    """How far a stage is, with the numbers that it reports, such as losses."""

    stage: str
    done: int
    total: int
    unit: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class StagePushing(Event):
    """A result is copied to a shared cache."""

    stage: str
    to: str
    bytes: int
    of: int


@dataclass(frozen=True)
class PutAside(Event):
    """A file that was in the place of an output is now elsewhere."""

    stage: str
    output: str
    to: str
    unfinished: bool


@dataclass(frozen=True)
class StageFinished(Event):
    """A stage is settled. `outcome`: `ran`, `hit`, `up-to-date`, `failed`, `skipped`, `cancelled`, …

    Of a failed stage `reason` is the message and `log` the end of its log.
    """

    stage: str
    outcome: str
    key: Optional[str]
    seconds: float
    reason: str
    notes: Mapping[str, Any] = field(default_factory=dict)
    log: Tuple[str, ...] = ()


@dataclass(frozen=True)
class SourcesChanged(Event):
    """Files changed, so stages are looked at again (`watch`)."""

    paths: Tuple[str, ...]


@dataclass(frozen=True)
class Warned(Event):
    """A warning."""

    message: str


@dataclass(frozen=True)
class RunFinished(Event):
    """The run is over: the number of stages by outcome, and its duration."""

    ran: int
    hit: int
    up_to_date: int
    failed: int
    skipped: int
    cancelled: int
    seconds: float
    submitted: int = 0
    pending: int = 0
    unpushed: int = 0


@dataclass(frozen=True)
class OtherEvent(Event):
    """An event that this version doesn't know; `raw` has its fields."""

    event: str


_EVENTS: Dict[str, Type[Event]] = {
    "stage-started": StageStarted,
    "stage-waiting": StageWaiting,
    "stage-job": StageJob,
    "stage-retrying": StageRetrying,
    "stage-dropped": StageDropped,
    "stage-resumed": StageResumed,
    "stage-progress": StageProgress,
    "stage-pushing": StagePushing,
    "put-aside": PutAside,
    "stage-finished": StageFinished,
    "changed": SourcesChanged,
    "warning": Warned,
    "run-finished": RunFinished,
}
#: Fields whose name is a word of Python.
_RENAMED = {"for": "holder"}


def parse(line: Mapping[str, Any]) -> Event:
    """The event of a line."""
    name = str(line.get("event"))
    kind = _EVENTS.get(name)
    if kind is None:
        return OtherEvent(raw=line, event=name)
    wanted = {each.name for each in dataclasses.fields(kind)} - {"raw"}
    named = {_RENAMED.get(key, key): value for key, value in line.items()}
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in named.items() if key in wanted}
    try:
        return kind(raw=line, **values)
    except TypeError:  # an older or newer version lacks a field
        return OtherEvent(raw=line, event=name)
