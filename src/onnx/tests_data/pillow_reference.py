"""Writes pillow_reference.json: pictures resized by Pillow, which the graph has to reproduce.

    python3 pillow_reference.py      requires Pillow and numpy; written with Pillow 13.0
"""

import json
import pathlib

import numpy
from PIL import Image, __version__

# From and to, width and height: smaller, larger, both, unchanged, one side only, and upright ones of which rows come first.
CASES = [
    ((37, 23), (16, 9)),
    ((16, 9), (37, 23)),
    ((40, 12), (13, 33)),
    ((70, 41), (70, 41)),
    ((70, 41), (33, 41)),
    ((70, 41), (70, 20)),
    ((24, 60), (20, 11)),
    ((9, 50), (40, 12)),
    ((5, 3), (1, 1)),
    ((1, 1), (4, 3)),
    ((130, 67), (64, 32)),
]


def picture(width: int, height: int) -> numpy.ndarray:
    """Noise without a generator that two languages would have to share."""
    place = numpy.arange(width * height * 3, dtype=numpy.int64)
    return ((place * place * 7919 + place * 104_729 >> 5) & 255).astype(numpy.uint8).reshape(height, width, 3)


def main() -> None:
    cases = []
    for start, to in CASES:
        resized = Image.fromarray(picture(*start)).resize(to, Image.Resampling.BICUBIC)
        cases.append({"from": start, "to": to, "bytes": numpy.asarray(resized).tobytes().hex()})
    text = json.dumps({"pillow": __version__, "cases": cases}, indent=1) + "\n"
    (pathlib.Path(__file__).parent / "pillow_reference.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
