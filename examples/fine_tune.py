"""Trains an exported network further on labelled images of your own, in PyTorch.

    intrada-run export p.toml intra exported --as pytorch
    python3 examples/fine_tune.py exported images labels tuned 500

`images` and `labels` hold PNGs of the same names, labels one class index per pixel, 255 where there is none. `tuned` becomes a
folder like the exported one, for load.py, and a file of weights for intrada: `weights = "tuned/model.safetensors"`. It has no model
card: the results of `exported` don't hold for it. Needs torch, numpy, pillow, safetensors. A plain loop, to copy and adapt: no
schedule, no augmentation but a mirror image, all images at the size of the training in memory.
"""

import pathlib
import random
import shutil
import sys

import numpy
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy, interpolate

IGNORED = 255
BATCH = 4
LEARNING_RATE = 1e-4
COPIED = ("config.json", "model.py", "load.py")


def samples(load, images: pathlib.Path, labels: pathlib.Path) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Each image as the network sees it, 3 x H x W, and its label at that size, H x W."""
    found = []
    for path in sorted(images.glob("*.png")):
        with Image.open(path) as image, Image.open(labels / path.name) as label:
            seen = load.network_input(image)[0]
            label = numpy.asarray(label.resize(seen.shape[:0:-1], Image.NEAREST)).astype(numpy.int64)
        classes = load.config()["num_labels"]
        if label.ndim != 2 or ((label >= classes) & (label != IGNORED)).any():
            sys.exit(f"{labels / path.name}: expected one class index from 0 to {classes - 1} per pixel, or {IGNORED}")
        found.append((seen, torch.from_numpy(label)))
    if not found:
        sys.exit(f"{images} holds no .png")
    return found


def train(load, data: list, iterations: int) -> torch.nn.Module:
    network = load.network().train()
    optimiser = torch.optim.Adam(network.parameters(), LEARNING_RATE)
    for iteration in range(1, iterations + 1):
        seen, label = map(torch.stack, zip(*random.choices(data, k=BATCH)))
        if random.random() < 0.5:
            seen, label = seen.flip(-1), label.flip(-1)
        logits = interpolate(
            network(seen), size=label.shape[1:], mode="bilinear", align_corners=load.config().get("align_corners", True)
        )
        loss = cross_entropy(logits, label, ignore_index=IGNORED)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if iteration % 50 == 0 or iteration == iterations:
            print(f"iteration {iteration}  loss {loss.item():.4f}")
    return network


def save(network: torch.nn.Module, exported: pathlib.Path, tuned: pathlib.Path) -> None:
    """Weights under the header of the exported ones, without the key of their result, and what uses them."""
    with safe_open(exported / "model.safetensors", "pt") as file:
        metadata = {name: value for name, value in file.metadata().items() if name != "key"}
    tuned.mkdir(parents=True)
    for name in COPIED:
        shutil.copyfile(exported / name, tuned / name)
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, tuned / "model.safetensors", metadata)


def main(exported: str, images: str, labels: str, tuned: str, iterations: int) -> None:
    if pathlib.Path(tuned).exists():
        sys.exit(f"{tuned} exists; name a new folder")
    sys.path.insert(0, exported)
    import load

    random.seed(1)
    torch.manual_seed(1)
    network = train(load, samples(load, pathlib.Path(images), pathlib.Path(labels)), iterations)
    save(network, pathlib.Path(exported), pathlib.Path(tuned))


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(f"usage: {sys.argv[0]} EXPORTED IMAGES LABELS TUNED [ITERATIONS]")
    main(*sys.argv[1:5], int(sys.argv[5]) if len(sys.argv) > 5 else 500)
