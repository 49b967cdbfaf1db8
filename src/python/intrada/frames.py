"""Rows as a data frame of pandas or polars.

Knows no table: a row is a dict, a missing value is None. Columns come in the order in which rows first name them.
"""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Optional

from . import optional
from .errors import MissingPackage

#: A data frame of the library that the pipeline was opened with.
Frame = Any
Row = Dict[str, Any]
LIBRARIES = ("pandas", "polars")


def library(wanted: Optional[str]) -> str:
    """The name of the library to use: the wanted one, else the first that is installed.

    Raises `ValueError` for another name, `MissingPackage` if none is installed.
    """
    if wanted is not None:
        if wanted not in LIBRARIES:
            raise ValueError(f"frames={wanted!r}: tables are frames of {' or '.join(LIBRARIES)}")
        return wanted
    for name in LIBRARIES:
        if optional.has(name):
            return name
    raise MissingPackage("a table needs pandas or polars: pip install pandas")


def frame(rows: Iterable[Row], columns: Iterable[str], wanted: Optional[str]) -> Frame:
    """The rows as a frame with at least these columns."""
    rows = list(rows)
    names: Dict[str, None] = dict.fromkeys(columns)
    for row in rows:
        names.update(dict.fromkeys(row))
    values: Dict[str, List[Any]] = {name: [row.get(name) for row in rows] for name in names}
    name = library(wanted)
    module = optional.need(name, "this table")
    if name == "polars":
        # Not strict: a column may begin with integers and go on with fractions.
        return module.DataFrame(values, strict=False, infer_schema_length=None)
    return module.DataFrame(values)
