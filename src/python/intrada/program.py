"""The program `intrada-run`: where it is, and what its commands answer.

Knows no pipeline. What a command prints on stderr becomes the message of the error if it fails.
"""

from __future__ import annotations

import datetime
import json
import math
import os
import shutil
import subprocess
import sys
import sysconfig
import warnings
from pathlib import Path
from typing import Any, Iterator, List, Mapping, Optional, Sequence, Union

from .errors import Error, PipelineError, ProgramWarning

#: A file or folder.
PathLike = Union[str, "os.PathLike[str]"]
#: Values by path, as `--set` takes them: `{"stages.rank.lambda": 0.6}`.
Overrides = Mapping[str, Any]

#: Names another program than the installed one.
VARIABLE = "INTRADA_RUN"
_NAME = "intrada-run"
_HERE = Path(__file__).resolve().parent


def find() -> str:
    """The path of `intrada-run`: that of INTRADA_RUN, of this installation, of this checkout, or on the PATH.

    Raises `Error` if there is none.
    """
    named = os.environ.get(VARIABLE)
    if named:
        found = shutil.which(named)
        if found is None:
            raise Error(f"{VARIABLE} names {named}, which is no program")
        return found
    for place in _places():
        if os.access(place, os.X_OK) and place.is_file():
            return str(place)
    found = shutil.which(_NAME)
    if found is None:
        raise Error(
            f"there is no {_NAME} beside this package and none on the PATH: `pip install .` in a checkout brings both, "
            f"or name one in {VARIABLE}"
        )
    return found


def _places() -> Iterator[Path]:
    """Where an installer puts the programs of a package that lies here."""
    packages = _HERE.parent
    for scheme in [None, *_user_schemes()]:
        paths = sysconfig.get_paths() if scheme is None else sysconfig.get_paths(scheme)
        if Path(paths["purelib"]).resolve() == packages or Path(paths["platlib"]).resolve() == packages:
            yield Path(paths["scripts"]) / _NAME
    yield packages / "bin" / _NAME  # pip install --target
    yield _HERE.parents[2] / "target" / "release" / _NAME  # a checkout: src/python/intrada


def _user_schemes() -> List[str]:
    return [scheme for scheme in sysconfig.get_scheme_names() if scheme.endswith("_user")]


def arguments(file: PathLike, overrides: Optional[Overrides], cache: Optional[PathLike]) -> List[str]:
    """The arguments that commands on a pipeline have in common."""
    given = [os.fspath(file)]
    for path, value in (overrides or {}).items():
        given += ["--set", f"{path}={toml(value)}"]
    if cache is not None:
        given += ["--cache", os.fspath(cache)]
    return given


def call(command: Sequence[str]) -> bytes:
    """What a command prints; what it says beside it becomes a `ProgramWarning`.

    Raises `PipelineError` if the program refuses, `Error` if it fails.
    """
    # stdin: a command must never wait for the terminal of a notebook.
    # The Python that runs this is the one whose packages an export is checked with, on the PATH or not.
    environment = {"INTRADA_PYTHON": sys.executable or "python3", **os.environ}
    ran = subprocess.run([find(), *command], stdin=subprocess.DEVNULL, capture_output=True, check=False, env=environment)
    said = ran.stderr.decode("utf-8", "replace").strip()
    if ran.returncode != 0:
        raise failure(command[0], ran.returncode, said)
    if said:
        warnings.warn(said, ProgramWarning, stacklevel=2)
    return ran.stdout


def ask(command: Sequence[str]) -> Any:
    """What a command answers with `--format json`; errors as of `call`."""
    return json.loads(call([*command, "--format", "json"]))


def failure(command: str, status: int, said: str) -> Error:
    """The error of a command that ended with this status."""
    text = said or f"{_NAME} {command} ended with exit status {status}"
    return PipelineError(text) if status == 2 else Error(text)


def toml(value: Any) -> str:
    """A value in TOML.

    Raises `TypeError` for a type that TOML lacks.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, os.PathLike):
        return _quoted(os.fspath(value))
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_quoted(str(key))} = {toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    return _number(value)


def _number(value: Any) -> str:
    # A number of numpy is one as well: `item` gives Python's.
    plain = value.item() if hasattr(value, "item") else value
    if isinstance(plain, bool):
        return toml(plain)
    if isinstance(plain, int):
        return str(plain)
    if isinstance(plain, float):
        if math.isnan(plain):
            return "nan"
        return repr(plain) if math.isfinite(plain) else ("inf" if plain > 0 else "-inf")
    raise TypeError(f"a pipeline file has no values of type {type(value).__name__}: {value!r}")


def _quoted(text: str) -> str:
    # JSON's escapes are TOML's, but for DEL, which JSON leaves as it is.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


if sys.platform == "win32":
    raise ImportError("intrada-run exists for Linux and macOS only")
