"""Results as the cache keeps them: objects named by their content, and listings of folders (docs/cache-format.md).

Knows no pipeline and no kind of stage. Objects are read from the cache and not from `runs/`: a file there may have been
edited, or belong to another version of the pipeline. `intrada-run cache verify` finds damaged objects; here only a
damaged listing is noticed.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Dict, Iterator, NamedTuple, Tuple

from .errors import NoResult

_HEADER = b"intrada listing 1\n"
_ENTRY = struct.Struct("<c32sI")


class Artifact(NamedTuple):
    """An output: a file or a folder."""

    is_folder: bool
    #: The name of the object that holds its content, or its listing.
    object: str
    size: int
    files: int


class Entry(NamedTuple):
    """A name in a folder."""

    #: `f` file, `x` executable file, `d` folder, `l` symbolic link.
    kind: str
    object: str


class Cache:
    """A cache folder, only read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, object: str) -> Path:  # noqa: A002: the word of docs/cache-format.md
        """Where the content of an object is."""
        return self.folder / "objects" / object[:2] / object[2:]

    def read(self, object: str) -> bytes:  # noqa: A002
        """The content of an object. Raises `NoResult` if the cache lacks it."""
        try:
            return self.path(object).read_bytes()
        except FileNotFoundError:
            raise NoResult(
                f"the cache {self.folder} lacks the object {object[:12]}: it was deleted, or the result is only in a "
                "shared cache; run the pipeline, which copies or computes it"
            ) from None

    def files(self, artifact: Artifact) -> Dict[str, str]:
        """The files of a folder, by path relative to it, with their objects; links are left out."""
        return dict(self._below(artifact.object, ""))

    def _below(self, listing: str, prefix: str) -> Iterator[Tuple[str, str]]:
        for name, entry in entries(self.read(listing)):
            if entry.kind == "d":
                yield from self._below(entry.object, f"{prefix}{name}/")
            elif entry.kind != "l":
                yield f"{prefix}{name}", entry.object


def entries(listing: bytes) -> Iterator[Tuple[str, Entry]]:
    """The names in a listing. Names that are no UTF-8 have the bytes as `os.fsdecode` shows them."""
    if not listing.startswith(_HEADER):
        raise NoResult("a listing of the cache is damaged: `intrada-run cache verify` repairs what it can")
    at = len(_HEADER)
    while at < len(listing):
        kind, digest, length = _ENTRY.unpack_from(listing, at)
        at += _ENTRY.size
        name = listing[at : at + length].decode("utf-8", "surrogateescape")
        at += length
        yield name, Entry(kind.decode("ascii"), digest.hex())
