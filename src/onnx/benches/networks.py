"""Compares each network's ONNX graph in ONNX Runtime with intrada's own predictions: the table of docs/export.md.

    python3 networks.py INTRADA_RUN IMAGES WORK [NAME…]

requires numpy, safetensors and onnxruntime. INTRADA_RUN is the program, IMAGES a folder of images, WORK a folder outside of any
workspace, new or of an earlier run. For each network an untrained one is written by a training of one iteration, its tensors get
values of the size that training gives them (normal weights by fan-in, normalisations near 1, statistics near those of such
weights), it is imported and exported with IMAGES as its test images; `export` itself does the comparison. Untrained weights would
not do: a DeepLab-v2 that starts from N(0, 0.01) predicts one class everywhere.
"""

import pathlib
import re
import runpy
import subprocess
import sys
import time

import numpy
from safetensors import safe_open
from safetensors.numpy import save_file

HEADS = {"segformer": ["segformer", "daformer", "segformer-mmseg"], "dinov2": ["linear", "linear-4"]}


def networks() -> dict:
    """Name -> the lines of its model."""
    found = {
        "small": 'arch = "small"',
        "small, one level": 'arch = "small"\nmulti_level = false',
        **{f"efficientnet-lite0, stride {n}": f'arch = "efficientnet-lite0"\noutput_stride = {n}' for n in (8, 16, 32)},
    }
    for depth in (50, 101):
        for branches in (4, 2):
            name = f"deeplabv2-resnet{depth}"
            found[f"{name}, {branches} branches"] = f'arch = "{name}"\nbranches = {branches}'
    sizes = [f"segformer-b{size}" for size in range(6)]
    sizes += [f"dinov2-vit{size}14{registers}" for size in "sbl" for registers in ("", "-reg")]
    for arch in sizes:
        for head in HEADS[arch.split("-")[0]]:
            found[f"{arch}, {head}"] = f'arch = "{arch}"\nhead = "{head}"'
    return found


def values(name: str, shape: tuple, is_transformer: bool, rng: numpy.random.Generator) -> numpy.ndarray:
    """Values for the tensor of this name."""
    is_head = re.match(r"main\.|aux\.|layer[56]\.conv2d|decode_head\.(conv_seg|linear_pred)", name)
    if name.endswith("running_mean"):
        return rng.normal(0, 0.1, shape)
    if name.endswith("running_var"):
        return rng.uniform(0.5, 1.5, shape)
    if name.endswith("gamma"):
        return rng.uniform(0.1, 0.4, shape)
    if name.endswith(("pos_embed", "cls_token", "register_tokens")):
        return rng.normal(0, 0.3, shape)
    if len(shape) == 1 and name.endswith("weight"):
        # The last of a residual block less, or the sums of dozens of blocks grow without end.
        return rng.uniform(0.8, 1.2, shape) * (0.3 if re.search(r"\.(bn3|_bn2)\.", name) else 1)
    if len(shape) == 1:
        return rng.normal(0, 0.05, shape)
    fan_in = numpy.prod(shape[1:])
    # As after ReLU, where there is one; the head's larger, so that there are several classes.
    return rng.normal(0, numpy.sqrt((9 if is_head else 1 if is_transformer else 2) / fan_in), shape)


def randomise(source: pathlib.Path, target: pathlib.Path) -> None:
    rng = numpy.random.default_rng(1)
    with safe_open(source, "numpy") as file:
        names = sorted(file.keys())
        is_transformer = any("embed" in name for name in names)
        tensors = {}
        for name in names:
            tensor = file.get_tensor(name)
            if tensor.dtype == numpy.float32:
                tensor = values(name, tensor.shape, is_transformer, rng).astype(numpy.float32)
            tensors[name] = tensor
    save_file(tensors, target)


def run(*words) -> str:
    ran = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        sys.exit(f"{' '.join(map(str, words))}: {ran.stdout}{ran.stderr}")
    return ran.stdout


def predicted(folder: pathlib.Path) -> int:
    """How many classes the expected maps of an exported folder have."""
    read_png = runpy.run_path(str(folder / "verify.py"))["read_png"]
    found = [numpy.unique(read_png(path)) for path in (folder / "test").glob("*.classes.png")]
    return len(numpy.unique(numpy.concatenate(found)))


HEAD = 'format = 1\n[pipeline]\nname = "{name}"\nclasses = "scenes-8"\n[models.m]\n{model}\n'
MAKE = """[datasets.source]
format = "scenes"
style = "source"
seed = 1
count = 1
size = [64, 32]
[stages.made]
kind = "inter-training"
method = "source-only"
model = "m"
source = "source"
iterations = 1
"""
READ = '[stages.read]\nkind = "checkpoint-import"\nfile = "weights.safetensors"\nmodel = "m"\n'


def main() -> None:
    program, images, work = (pathlib.Path(word).absolute() for word in sys.argv[1:4])
    for name, model in networks().items():
        if sys.argv[4:] and name not in sys.argv[4:]:
            continue
        folder = work / re.sub(r"\W+", "-", name)
        folder.mkdir(parents=True, exist_ok=True)
        weights = folder / "weights.safetensors"
        if not weights.exists():
            (folder / "make.toml").write_text(HEAD.format(name="make", model=model) + MAKE)
            run(program, folder / "make.toml")
            randomise(folder / "runs/make/made/model.safetensors", weights)
        (folder / "p.toml").write_text(HEAD.format(name="p", model=model) + READ)
        run(program, folder / "p.toml")
        began = time.monotonic()
        out = folder / f"out-{int(time.time())}"
        said = run(program, "export", folder / "p.toml", "read", out, "--as", "onnx", "--test-images", images)
        seconds = time.monotonic() - began
        print(f"{name}: {said.splitlines()[-1]}; {predicted(out)} classes predicted, {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
