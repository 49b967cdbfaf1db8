"""A network that `intrada-run export` wrote, for pictures: through ONNX Runtime or PyTorch, whichever is there.

Knows the folder's files (docs/export.md) and computes nothing itself: `model.onnx` holds resizing and normalisation as the
training had them, and so does `load.py` of a folder for PyTorch. The latter is Python code, which is run: load only folders
that you trust.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Protocol, Sequence, Tuple, Union

import numpy
from numpy.typing import NDArray

from . import optional
from .errors import MissingPackage, NotANetwork
from .maps import colour
from .program import PathLike

_SUMS = "SHA256SUMS"
_CONFIG = "config.json"
_ONNX = "model.onnx"
_TORCH = ("load.py", "model.py", "model.safetensors")

#: An array `H × W × 3` or `H × W` of bytes, a PIL image, or the path of a picture.
Picture = Union[NDArray[Any], PathLike, Any]


class _Backend(Protocol):
    """Computes class indices `H × W` from a picture `H × W × 3`."""

    def predict(self, pixels: NDArray[numpy.uint8]) -> NDArray[numpy.uint8]: ...


class Network:
    """A network with its classes."""

    def __init__(self, folder: Path, config: Mapping[str, Any], name: str, backend: _Backend) -> None:
        self.folder = folder
        #: All of `config.json`.
        self.config = config
        #: `"onnx"` or `"torch"`.
        self.backend = name
        #: The names of the classes; a class' index is its place.
        self.classes: Sequence[str] = _classes(config)
        #: Their colours: red, green, blue.
        self.palette: Sequence[Tuple[int, int, int]] = [(red, green, blue) for red, green, blue in config["palette"]]
        self._computing = backend

    def predict(self, picture: Picture) -> NDArray[numpy.uint8]:
        """The class index of each pixel, `H × W`, at the picture's own size; a stack `N × H × W × 3` gives `N × H × W`.

        The orientation tag of a PIL image or file is heeded, transparency is dropped, and of 16 bits the upper 8 count, as in
        a training. Raises `ValueError` for an array that is no picture.
        """
        if isinstance(picture, numpy.ndarray) and picture.ndim == 4:
            return numpy.stack([self.predict(each) for each in picture])
        found = self._computing.predict(pixels_of(picture))
        if found.size and int(found.max()) >= len(self.classes):
            raise NotANetwork(
                f"{self.folder}: the network predicts class {int(found.max())}, but {_CONFIG} has {len(self.classes)} classes, "
                "0 and up; they belong to two exports: export the network again"
            )
        return found

    def colour(self, classes: NDArray[Any]) -> Any:
        """Class indices in the classes' colours, as a PIL image; black where there is no class."""
        return colour(classes, self.palette)

    def __repr__(self) -> str:
        return f"<intrada.Network {self.folder}, {len(self.classes)} classes, through {self.backend}>"


def load(folder: PathLike, *, backend: Optional[str] = None, device: str = "cpu") -> Network:
    """Loads a folder that `intrada-run export … --as onnx` or `--as pytorch` wrote.

    `backend`: `"onnx"` or `"torch"`; default: the one that the folder and the installed packages allow, ONNX Runtime first.
    `device`: `"cpu"` or `"cuda"`. If the folder has `SHA256SUMS`, the files that are used are checked against it.

    Raises `NotANetwork` if the folder can't be used or is damaged, `MissingPackage` if neither onnxruntime nor torch serves.
    """
    if backend not in (None, "onnx", "torch"):
        raise ValueError(f"backend={backend!r}: it is 'onnx' or 'torch'")
    folder = Path(folder)
    if not (folder / _CONFIG).is_file():
        raise NotANetwork(f"{folder} has no {_CONFIG}, so it is no folder of `intrada-run export`")
    config = _config(folder)
    name = _chosen(folder, backend)
    computing = _Onnx(folder, config, device) if name == "onnx" else _Torch(folder, device)
    return Network(folder, config, name, computing)


def pixels_of(picture: Picture) -> NDArray[numpy.uint8]:
    """A picture as bytes of red, green and blue, `H × W × 3`. Raises `ValueError` for an array that is no picture."""
    if isinstance(picture, numpy.ndarray):
        if 0 in picture.shape:
            raise ValueError(f"an array of shape {picture.shape} has no pixels")
        if picture.dtype == numpy.uint8 and picture.ndim == 2:
            return numpy.repeat(picture[:, :, None], 3, axis=2)
        if picture.dtype != numpy.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            raise ValueError(f"a picture is an array of uint8, height × width × 3, not of {picture.dtype}, {picture.shape}")
        return picture
    if isinstance(picture, (str, os.PathLike)):
        with optional.need("PIL.Image", "a picture from a file").open(picture) as opened:
            return pixels_of(opened)
    turned = optional.need("PIL.ImageOps", "a PIL image").exif_transpose(picture)
    if turned.mode.startswith("I"):
        grey = (numpy.asarray(turned) >> 8).astype(numpy.uint8)
        return pixels_of(grey)
    return numpy.array(turned.convert("RGB"))


class _Onnx:
    """`model.onnx`: bytes in, class indices out."""

    def __init__(self, folder: Path, config: Mapping[str, Any], device: str) -> None:
        runtime = optional.need("onnxruntime", f"{folder / _ONNX}")
        names = [_ONNX, *(path.name for path in sorted(folder.glob(f"{_ONNX}.*")))]
        _checked(folder, names)
        providers = ["CPUExecutionProvider"]
        if device.startswith("cuda"):
            if "CUDAExecutionProvider" not in runtime.get_available_providers():
                raise MissingPackage(f"device={device!r} needs onnxruntime-gpu: pip install onnxruntime-gpu")
            providers.insert(0, "CUDAExecutionProvider")
        try:
            self._session = runtime.InferenceSession(os.fspath(folder / _ONNX), providers=providers)
        except Exception as error:  # onnxruntime's own errors have no common base
            raise NotANetwork(f"{folder / _ONNX} can't be loaded: {error}") from error
        of_model = _classes_of_model(self._session)
        of_config = _classes(config)
        if of_model is not None and of_model != len(of_config):
            raise NotANetwork(
                f"{folder}: {_ONNX} has {of_model} classes and {_CONFIG} {len(of_config)}; they belong to two exports: "
                "export the network again"
            )

    def predict(self, pixels: NDArray[numpy.uint8]) -> NDArray[numpy.uint8]:
        (found,) = self._session.run(["classes"], {"image": numpy.ascontiguousarray(pixels[None])})
        result: NDArray[numpy.uint8] = found[0]
        return result


class _Torch:
    """`load.py`, which defines `network` and `predict`."""

    def __init__(self, folder: Path, device: str) -> None:
        optional.need("torch", f"{folder / 'load.py'}")
        files = _checked(folder, _TORCH)
        path = folder / "load.py"
        # A module of its own, under no name: two networks can be loaded side by side.
        spec = importlib.util.spec_from_file_location(f"intrada_exported_{abs(hash(path.resolve()))}", path)
        assert spec is not None
        self._module = importlib.util.module_from_spec(spec)
        self._device = device
        try:
            exec(compile(files["load.py"], os.fspath(path), "exec"), self._module.__dict__)  # noqa: S102: see the module
            self._module.network(device)
        except SystemExit as error:  # load.py says so what it lacks
            raise MissingPackage(str(error)) from error
        except Exception as error:
            raise NotANetwork(f"{folder} can't be loaded: {error}") from error

    def predict(self, pixels: NDArray[numpy.uint8]) -> NDArray[numpy.uint8]:
        found: NDArray[numpy.uint8] = self._module.predict(pixels, device=self._device)
        return found


def _chosen(folder: Path, backend: Optional[str]) -> str:
    """The backend to use: `onnx` or `torch`."""
    has = {"onnx": (folder / _ONNX).is_file(), "torch": all((folder / name).is_file() for name in _TORCH)}
    if backend is not None and not has[backend]:
        how = {"onnx": "onnx", "torch": "pytorch"}[backend]
        raise NotANetwork(f"{folder} was not exported with --as {how}")
    fitting = [backend] if backend is not None else [name for name in has if has[name]]
    if not fitting:
        raise NotANetwork(f"{folder} holds neither {_ONNX} nor {', '.join(_TORCH)}: export it with --as onnx or --as pytorch")
    packages = {"onnx": "onnxruntime", "torch": "torch"}
    installed = [name for name in fitting if optional.has(packages[name])]
    if not installed:
        wanted = [packages[name] for name in fitting]
        raise MissingPackage(f"{folder} needs {' or '.join(wanted)}: pip install {wanted[0]}")
    return installed[0]


def _checked(folder: Path, names: Sequence[str]) -> Dict[str, bytes]:
    """The files, each with the content that was exported, as far as SHA256SUMS tells."""
    sums = folder / _SUMS
    lines = sums.read_text(encoding="utf-8").splitlines() if sums.is_file() else []
    listed = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    files = {}
    for name in names:
        try:
            files[name] = (folder / name).read_bytes()
        except OSError as error:
            raise NotANetwork(f"{folder / name} can't be read ({error.strerror}): export the network again") from error
        if listed.get(name, "") not in ("", hashlib.sha256(files[name]).hexdigest()):
            raise NotANetwork(
                f"{folder / name} was altered or damaged: its SHA-256 is not the one in {_SUMS}; export or copy the folder again"
            )
    return files


def _config(folder: Path) -> Mapping[str, Any]:
    """`config.json`, with what is read of it here."""
    try:
        config = json.loads(_checked(folder, [_CONFIG])[_CONFIG])
    except ValueError as error:
        raise NotANetwork(f"{folder / _CONFIG} is no JSON ({error}): export the network again") from error
    missing = [name for name in ("id2label", "palette") if name not in config]
    if missing:
        raise NotANetwork(f"{folder / _CONFIG} lacks {' and '.join(missing)}: only --as onnx and --as pytorch write them")
    found: Mapping[str, Any] = config
    return found


def _classes(config: Mapping[str, Any]) -> List[str]:
    names = config["id2label"]
    return [names[str(index)] for index in range(len(names))]


def _classes_of_model(session: Any) -> Optional[int]:
    """The number of classes that the model itself tells: by its metadata, or the shape of its probabilities."""
    told = session.get_modelmeta().custom_metadata_map.get("classes")
    if told is not None:
        return len(json.loads(told))
    for output in session.get_outputs():
        if output.name == "probabilities" and isinstance(output.shape[1], int):
            return int(output.shape[1])
    return None
