"""Packages that only some calls need. A missing one is named in one sentence, with what installs it."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from .errors import MissingPackage

#: What `pip install` takes, where it isn't the name that is imported.
_DISTRIBUTIONS = {"PIL.Image": "pillow", "PIL.ImageOps": "pillow"}


def need(module: str, purpose: str) -> Any:
    """Imports `module`.

    Raises `MissingPackage` if it isn't installed; an error within an installed one is passed on as it is.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not (module == error.name or module.startswith(error.name + ".")):
            raise
        distribution = _DISTRIBUTIONS.get(module, module)
        raise MissingPackage(f"{purpose} needs {distribution}: pip install {distribution}") from None


def has(module: str) -> bool:
    """Whether it is installed, without importing it."""
    return importlib.util.find_spec(module) is not None
