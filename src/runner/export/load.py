"""Uses the exported weights from PyTorch: lists the tensors, and preprocesses an image for the network.

    python3 load.py picture.png        requires torch, safetensors, numpy and Pillow

@NETWORK@
"""

import json
import pathlib
import sys

import numpy
import torch
from PIL import Image
from safetensors.torch import load_file

HERE = pathlib.Path(__file__).resolve().parent
config = json.loads((HERE / "config.json").read_text(encoding="utf-8"))
weights = load_file(HERE / "model.safetensors")


def resized(picture: Image.Image):
    """The image at the size of the training's images."""
    how = config["preprocessing"]
    size = how["size"]
    if not size:
        return picture
    if how["fit"] == "box":
        scale = min(max(size) / max(picture.size), min(size) / min(picture.size))
        size = [max(1, int(side * scale + 0.5)) for side in picture.size]
    if how["resample"].startswith("bicubic"):
        return picture.resize(size, Image.BICUBIC)
    # OpenCV's result to within a grey level.
    pixels = torch.from_numpy(numpy.array(picture, numpy.float32)).permute(2, 0, 1)[None]
    pixels = torch.nn.functional.interpolate(pixels, size=size[::-1], mode="bilinear", align_corners=False)
    return pixels[0].round().permute(1, 2, 0).numpy()


def network_input(picture: Image.Image) -> torch.Tensor:
    """The preprocessed image as a tensor, 1 x 3 x height x width."""
    how = config["preprocessing"]
    pixels = numpy.asarray(resized(picture.convert("RGB")), numpy.float32)
    if how["channel_order"] == "bgr":
        pixels = pixels[:, :, ::-1]
    pixels = (pixels - numpy.float32(how["mean"])) / numpy.float32(how["scale"])
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None]


def classes(logits: torch.Tensor, size: list) -> numpy.ndarray:
    """Logits of the main head -> class index of each pixel; `size` is [height, width]."""
    aligned = config["align_corners"]
    logits = torch.nn.functional.interpolate(logits, size=size, mode="bilinear", align_corners=aligned)
    return logits.argmax(1)[0].numpy().astype(numpy.uint8)


def traced(network: torch.nn.Module, picture: Image.Image) -> torch.jit.ScriptModule:
    """The network as TorchScript, which runs without Python; `.save(path)` writes it."""
    with torch.no_grad():
        return torch.jit.trace(network.eval(), network_input(picture))


if __name__ == "__main__":
    for name, tensor in weights.items():
        print(f"{name:50} {tuple(tensor.shape)}")
    for path in sys.argv[1:]:
        print(path, tuple(network_input(Image.open(path)).shape))
