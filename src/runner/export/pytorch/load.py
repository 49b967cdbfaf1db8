"""Predicts pictures with the network of this folder, in PyTorch; model.py defines it.

    python3 load.py picture.png --out classes.png

writes the class index of each pixel, at the picture's own size. From another program:

    import load
    network = load.network()                     the network with its weights, in evaluation mode
    classes = load.predict(picture)              a PIL image or an array, H x W x 3, uint8 -> class indices H x W, uint8
    logits = load.logits(picture)                the same -> logits, classes x H x W, float32

All take `device="cuda"`. For training, `load.network().train()`; model.py says what it drops then. Needs PyTorch 2.0 or newer,
numpy, Pillow and safetensors.
"""

import argparse
import functools
import hashlib
import importlib.util
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
OLDEST_TORCH = (2, 0)


class Unusable(Exception):
    """Why the folder or a picture can't be used, in a sentence."""


try:
    import torch

    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < OLDEST_TORCH:
        sys.exit(f"load.py needs PyTorch 2.0 or newer, and this is {torch.__version__}: python3 -m pip install -U torch")
    import numpy
    from PIL import Image, ImageOps
    from safetensors.torch import load as tensors_of
except ImportError as error:
    sys.exit(f"load.py needs {error.name}, which isn't there: python3 -m pip install torch numpy pillow safetensors")


def content(name: str) -> bytes:
    """A file of this folder, which must be the one that was exported, as far as SHA256SUMS tells."""
    try:
        data = (HERE / name).read_bytes()
        sums = HERE / "SHA256SUMS"
        listed = sums.read_text(encoding="utf-8").splitlines() if sums.exists() else []
    except OSError as error:
        raise Unusable(f"{error.filename} can't be read ({error.strerror}); export the network again") from error
    expected = {line[66:]: line[:64] for line in listed}
    if name in expected and hashlib.sha256(data).hexdigest() != expected[name]:
        raise Unusable(
            f"{HERE / name} is not the file that was exported: its SHA-256 is not that in SHA256SUMS; export the network again, or "
            f"remove its line there if you changed it yourself"
        )
    return data


@functools.cache
def config() -> dict:
    """config.json."""
    return json.loads(content("config.json"))


@functools.cache
def definition():
    """model.py, as a module."""
    source = content("model.py")
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("model", loader=None))
    exec(compile(source, HERE / "model.py", "exec"), module.__dict__)
    return module


@functools.cache
def network(device: str = "cpu") -> torch.nn.Module:
    """The network, in evaluation mode; the same one each time."""
    made = definition().Model(config())
    try:
        made.load_state_dict(tensors_of(content("model.safetensors")))
    except RuntimeError as error:
        raise Unusable(f"model.safetensors is of another network than config.json describes: {error}") from error
    try:
        return made.to(device).eval()
    except (AssertionError, RuntimeError) as error:
        raise Unusable(f"PyTorch can't use the device {device}: {str(error).splitlines()[0]}") from error


def pixels_of(picture) -> numpy.ndarray:
    """A PIL image, turned as its Exif data say, or an array -> H x W x 3, uint8. Of 16 bits the upper 8 count, as in training."""
    if isinstance(picture, Image.Image):
        picture = ImageOps.exif_transpose(picture)
        if picture.mode.startswith("I"):
            picture = Image.fromarray((numpy.asarray(picture) >> 8).astype(numpy.uint8))
        return numpy.array(picture.convert("RGB"))
    pixels = numpy.asarray(picture)
    if pixels.dtype != numpy.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise Unusable(f"an array of {pixels.dtype} {pixels.shape} is no picture: uint8, height x width x 3 is")
    return pixels


def resized(pixels: numpy.ndarray) -> numpy.ndarray:
    """The picture at the size of the training's images, as the training resized them."""
    how = config()["preprocessing"]
    height, width = pixels.shape[:2]
    size = how["size"]
    if size and how["fit"] == "box":
        scale = min(max(size) / max(width, height), min(size) / min(width, height))
        size = [max(1, int(side * scale + 0.5)) for side in (width, height)]
    if not size or size == [width, height]:
        return pixels
    if how["resample"].startswith("bicubic"):
        return numpy.asarray(Image.fromarray(pixels).resize(size, Image.BICUBIC))
    return bilinear(pixels, size)


def neighbours(length: int, wanted: int):
    """The first of two neighbours of each pixel along a side, and the weights of both in units of 1/2048."""
    centre = ((numpy.arange(wanted) + 0.5) * (1.0 / (wanted / length)) - 0.5).astype(numpy.float32)
    first = numpy.floor(centre)
    share = centre - first
    return first.astype(int), numpy.rint(numpy.stack([1 - share, share]) * 2048).astype(numpy.int32)


def bilinear(pixels: numpy.ndarray, size: list) -> numpy.ndarray:
    """OpenCV's, with its rounding: no antialiasing."""
    height, width = pixels.shape[:2]
    (columns, across), (rows, down) = neighbours(width, size[0]), neighbours(height, size[1])
    across[:, (columns < 0) | (columns >= width - 1)] = [[2048], [0]]
    columns = columns.clip(0, width - 1)
    pixels = pixels.astype(numpy.int32)
    sums = pixels[:, columns] * across[0][:, None] + pixels[:, (columns + 1).clip(0, width - 1)] * across[1][:, None]
    parts = ((sums[(rows + i).clip(0, height - 1)] >> 4) * down[i][:, None, None] >> 16 for i in range(2))
    return ((sum(parts) + 2) >> 2).clip(0, 255).astype(numpy.uint8)


def network_input(picture) -> torch.Tensor:
    """The preprocessed picture, 1 x 3 x height x width."""
    how = config()["preprocessing"]
    pixels = resized(pixels_of(picture)).astype(numpy.float32)
    if how["channel_order"] == "bgr":
        pixels = pixels[:, :, ::-1]
    pixels = (pixels - numpy.float32(how["mean"])) / numpy.float32(how["scale"])
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None]


def logits(picture, device: str = "cpu") -> numpy.ndarray:
    """Class scores before softmax, at the picture's own size."""
    pixels = pixels_of(picture)
    with torch.inference_mode():
        found = network(device)(network_input(pixels).to(device))
        found = torch.nn.functional.interpolate(
            found, size=pixels.shape[:2], mode="bilinear", align_corners=config()["align_corners"]
        )
    return found[0].cpu().numpy()


def predict(picture, device: str = "cpu") -> numpy.ndarray:
    """The class of each pixel, at the picture's own size."""
    return logits(picture, device).argmax(0).astype(numpy.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("picture")
    parser.add_argument("--out", required=True, help="the PNG to write: the class index of each pixel; a new file")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, ...")
    arguments = parser.parse_args()
    with Image.open(arguments.picture) as picture:
        found = predict(picture, arguments.device)
    with open(arguments.out, "xb") as file:
        Image.fromarray(found).save(file, "PNG")
    counts = numpy.bincount(found.ravel(), minlength=config()["num_labels"])
    for index in counts.argsort()[::-1]:
        if counts[index]:
            print(f"{100 * counts[index] / found.size:5.1f} % {config()['id2label'][str(index)]}")


if __name__ == "__main__":
    try:
        main()
    except (Unusable, OSError, ValueError, Image.DecompressionBombError) as error:
        sys.exit(f"load.py: {error}")
