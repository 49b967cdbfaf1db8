"""A folder of pictures of one stage, an image each: predictions, labels, entropy maps, photographs.

Knows the cache's objects and neither pipelines nor kinds. A picture is read when it is asked for.
"""

from __future__ import annotations

import io
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy
from numpy.typing import NDArray

from . import optional
from .objects import Cache

#: The endings that a map's name loses: a map is named after its image, as `.png`.
_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
#: The value of pixels without a label.
IGNORED = 255


class Maps(Mapping[str, NDArray[Any]]):
    """The pictures by the name of their image, with or without its ending; a value is an array.

    `H × W` bytes of class indices, 255 where there is no label; of entropy 0 to 255, where 255 means that all classes are
    equally likely; of photographs and colours `H × W × 3` bytes of red, green and blue.
    """

    def __init__(
        self,
        what: str,
        cache: Cache,
        files: Dict[str, str],
        palette: Sequence[Tuple[int, int, int]],
        is_entropy: bool = False,
    ) -> None:
        self._what = what
        self._is_entropy = is_entropy
        self._cache = cache
        self._files = files
        self._palette = palette

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def __contains__(self, image: object) -> bool:
        return isinstance(image, str) and self._file(image) is not None

    def __getitem__(self, image: str) -> NDArray[Any]:
        return numpy.asarray(self._picture(image))

    def image(self, image: str) -> Any:
        """The picture as a PIL image."""
        return self._picture(image)

    def bytes(self, image: str) -> bytes:
        """The file as it is."""
        file = self._file(image)
        if file is None:
            shown = ", ".join(list(self._files)[:3])
            raise KeyError(f"{self._what} has no picture of {image!r}; it has {len(self)}, such as {shown}")
        return self._cache.read(self._files[file])

    def coloured(self, image: str) -> Any:
        """A map of class indices in the classes' colours, as a PIL image; black where there is no label.

        Raises `ValueError` for pictures that hold something else.
        """
        classes = self[image]
        if self._is_entropy or classes.ndim != 2:
            raise ValueError(f"{self._what} has no class indices")
        return colour(classes, self._palette)

    def entropy(self, image: str) -> NDArray[numpy.float32]:
        """An entropy map as numbers from 0 to 1, where 1 means that all classes are equally likely.

        Raises `ValueError` for pictures that hold something else.
        """
        if not self._is_entropy:
            raise ValueError(f"{self._what} has no entropies")
        shares: NDArray[numpy.float32] = self[image].astype(numpy.float32) / numpy.float32(255)
        return shares

    def _picture(self, image: str) -> Any:
        module = optional.need("PIL.Image", "a picture")
        picture = module.open(io.BytesIO(self.bytes(image)))
        picture.load()
        return picture

    def _file(self, image: str) -> Optional[str]:
        for name in _names(image):
            if name in self._files:
                return name
        return None

    def __repr__(self) -> str:
        return f"<intrada.Maps of {self._what}, {len(self)} images>"


def _names(image: str) -> List[str]:
    """The names that the picture of an image may have."""
    stem, dot, ending = image.rpartition(".")
    stem = stem if dot + ending.lower() in _ENDINGS else image
    return [image, f"{stem}.png", f"{stem}.jpg"]


def colour(classes: NDArray[Any], palette: Sequence[Tuple[int, int, int]]) -> Any:
    """Class indices as a PIL image in these colours; black where there is no class."""
    module = optional.need("PIL.Image", "a coloured map")
    table = numpy.zeros((256, 3), numpy.uint8)
    table[: len(palette)] = numpy.asarray(palette, numpy.uint8).reshape(-1, 3)
    return module.fromarray(table[classes])
