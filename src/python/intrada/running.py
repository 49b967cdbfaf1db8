"""A run of `intrada-run` as a sequence of events.

Knows the process and its exit status; the meaning of an event is in `events`. The process has its own group, so that Ctrl-C
in a terminal reaches it once, by this program: a second interrupt would make it leave without waiting for its jobs.
"""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
from typing import IO, Any, Iterator, List, Optional, Sequence, Type

from . import program
from .errors import Error, Interrupted, StageFailed
from .events import Event, RunFinished, StageFinished, parse
from .program import Overrides, PathLike

_INTERRUPTED = 130


def run(
    file: PathLike,
    stages: Sequence[str] = (),
    *,
    set: Optional[Overrides] = None,  # noqa: A002: called as the option that it is
    force: Sequence[str] = (),
    jobs: Optional[int] = None,
    device: Optional[str] = None,
    executor: Optional[str] = None,
    cache: Optional[PathLike] = None,
) -> Run:
    """Starts `intrada-run FILE STAGES…` and returns its events, to be iterated, or awaited by `.wait()`.

    `set` overrides values of the file, as in `{"stages.rank.lambda": 0.6}`. `force` names stages to run even if nothing
    changed. `jobs`, `device`, `executor` and `cache` are the options of the same names.

    At the end of a run with failed stages `StageFailed` is raised, with their messages; `PipelineError` if nothing was run
    because the file or its data are wrong. Ctrl-C interrupts the run, which keeps what it has done.
    """
    options: List[str] = []
    for name in force:
        options += ["--force", name]
    for name, value in [("--jobs", jobs), ("--device", device), ("--executor", executor)]:
        if value is not None:
            options += [name, str(value)]
    return Run(["run", *program.arguments(file, set, cache), *stages, *options, "--format", "json"])


class Run:
    """A run that goes on: iterate it, or `wait()`. A run that is closed or forgotten before its end is interrupted.

    It can be used as a context manager.
    """

    def __init__(self, command: Sequence[str]) -> None:
        found = program.find()
        self.result: Optional[RunFinished] = None
        #: The stages that failed so far.
        self.failures: List[StageFinished] = []
        # A file: the program must never wait for a reader of its warnings.
        self._said: IO[bytes] = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [found, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._said,
            start_new_session=True,
        )

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        if self._said.closed:
            raise StopIteration
        assert self._process.stdout is not None
        try:
            line = self._process.stdout.readline()
            if not line:
                self._end()
        except KeyboardInterrupt:
            self.close()
            raise
        if not line:
            raise StopIteration
        event = parse(json.loads(line))
        if isinstance(event, RunFinished):
            self.result = event
        if isinstance(event, StageFinished) and event.outcome == "failed":
            self.failures.append(event)
        return event

    def wait(self) -> RunFinished:
        """Reads the rest of the events and returns the last one."""
        for _ in self:
            pass
        if self.result is None:
            raise Error("the run has ended without a result: it was closed")
        return self.result

    def interrupt(self) -> None:
        """Asks the run to stop, as Ctrl-C does; its last events still come."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)

    def close(self) -> None:
        """Interrupts the run if it goes on, and waits for its end; what it has done is kept."""
        if self._said.closed:
            return
        self.interrupt()
        assert self._process.stdout is not None
        while True:
            try:
                # Read, not only closed: the program writes until its end.
                while self._process.stdout.read(1 << 16):
                    pass
                self._process.wait()
                break
            except KeyboardInterrupt:
                # The second one: it leaves at once, and its jobs with it.
                self.interrupt()
        self._release()

    def _end(self) -> None:
        """After the last event: raises what the exit status means."""
        status = self._process.wait()
        self._said.seek(0)
        said = self._said.read().decode("utf-8", "replace").strip()
        self._release()
        if self.failures:
            raise StageFailed("\n".join(_told(each) for each in self.failures), self.failures)
        if status == _INTERRUPTED or status == -signal.SIGINT:
            raise Interrupted(said or "the run was interrupted; the same call resumes it")
        if status < 0:
            name = signal.Signals(-status).name
            raise Error(f"intrada-run was ended by {name}; the same call resumes the run" + (f"\n{said}" if said else ""))
        if status != 0:
            raise program.failure("run", status, said)

    def _release(self) -> None:
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._said.close()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Any, trace: Any) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_process"):
            self.close()

    def __repr__(self) -> str:
        if self.result is not None:
            return f"<intrada.Run, finished: {self.result}>"
        return "<intrada.Run, in progress; iterate it, or wait()>" if not self._said.closed else "<intrada.Run, ended>"


def _told(failed: StageFinished) -> str:
    log = "".join(f"\n    {line}" for line in failed.log)
    return f"`{failed.stage}` failed: {failed.reason}{log}"
