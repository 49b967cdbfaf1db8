"""Images per CPU second: `intrada-run predict` beside the same network in ONNX Runtime, from files to files.

    python3 predict.py INTRADA_RUN PYTORCH_EXPORT ONNX_EXPORT IMAGES WORK [ROUNDS]

requires numpy, Pillow and onnxruntime. Both programs read the same photographs and write class maps as PNG at the photographs' own
sizes, with as many threads as there are cores, in turns; the CPU time is that of the process and its children. What both need to
start is part of it. The last column is the share of equal pixels.
"""

import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys

PEER = """
import pathlib, sys
import numpy, onnxruntime
from PIL import Image
graph, images, out = sys.argv[1:]
session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
for path in sorted(pathlib.Path(images).iterdir()):
    image = numpy.asarray(Image.open(path).convert("RGB"))[None]
    classes = session.run(["classes"], {"image": image})[0][0]
    Image.fromarray(classes).save(pathlib.Path(out) / (path.stem + ".png"), compress_level=1)
"""


def seconds(command: list) -> float:
    """The CPU time of a command and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def equal(ours: pathlib.Path, theirs: pathlib.Path) -> float:
    """The share of equal pixels of two folders of class maps."""
    import numpy
    from PIL import Image

    same = all_pixels = 0
    for path in sorted(theirs.iterdir()):
        one, other = (numpy.asarray(Image.open(folder / path.name)) for folder in (ours, theirs))
        same, all_pixels = same + int((one == other).sum()), all_pixels + one.size
    return same / all_pixels


def main() -> None:
    program, pytorch, onnx, images, work = sys.argv[1:6]
    rounds = int(sys.argv[6]) if len(sys.argv) > 6 else 3
    count = len(os.listdir(images))
    ours, theirs = (pathlib.Path(work) / name for name in ("ours", "theirs"))
    taken = {"predict": [], "ONNX Runtime": []}
    for _ in range(rounds):
        for folder in (ours, theirs):
            shutil.rmtree(folder, ignore_errors=True)
        theirs.mkdir(parents=True)
        taken["predict"].append(seconds([program, "predict", pytorch, images, "--out", str(ours), "--device", "cpu"]))
        graph = str(pathlib.Path(onnx) / "model.onnx")
        taken["ONNX Runtime"].append(seconds([sys.executable, "-c", PEER, graph, images, str(theirs)]))
    for name, times in taken.items():
        print(f"{name:14} {count / statistics.median(times):7.1f} images per CPU second ({min(times):.1f} to {max(times):.1f} s)")
    print(f"equal pixels   {100 * equal(ours / 'classes', theirs):.4f} %")


if __name__ == "__main__":
    main()
