"""What can go wrong. Each message says what failed, where, and what to do."""

from __future__ import annotations

from typing import Any, List


class Error(Exception):
    """Of all errors of this package the base."""


class MissingPackage(Error, ImportError):
    """A package is not installed that only this call needs."""


class PipelineError(Error):
    """The pipeline file, its data or an argument are wrong: `intrada-run` ended with 2 and said this."""


class StageFailed(Error):
    """At least one stage failed."""

    #: The events of the failed stages, each with its message in `reason` and the end of its log in `log`.
    failures: List[Any]

    def __init__(self, message: str, failures: List[Any]) -> None:
        super().__init__(message)
        self.failures = failures


class Interrupted(Error):
    """The run was interrupted from outside: by a signal, not by this program."""


class NoResult(Error):
    """The stage has no result of the current pipeline file, or not this one."""


class NotANetwork(Error):
    """The folder holds no exported network that can be used, or a damaged one."""


class ProgramWarning(UserWarning):
    """What `intrada-run` warned of, although it did what was asked."""


class Incomplete(UserWarning):
    """A table lacks stages that have no result of the current pipeline file."""
