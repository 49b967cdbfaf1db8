#!/usr/bin/env python3
"""What loading.rs measures, with Pillow and on the files that it wrote: loading.py FOLDER REPEATS."""
import os
import sys
import time

from PIL import Image, __version__

WANTED = (1024, 512)


def report(what, repeats, work):
    work()
    begin = time.process_time()
    for _ in range(repeats):
        work()
    print(f"pillow   {what:<20}  cpu {1e3 * (time.process_time() - begin) / repeats:7.2f} ms", flush=True)


if __name__ == "__main__":
    folder, repeats = sys.argv[1], int(sys.argv[2])
    photograph, label = (os.path.join(folder, name) for name in ("photograph.png", "label.png"))
    print("Pillow", __version__)
    picture, indices = Image.open(photograph).convert("RGB"), Image.open(label)
    indices.load()
    report("photograph, decode", repeats, lambda: Image.open(photograph).convert("RGB"))
    report("photograph, bicubic", repeats, lambda: picture.resize(WANTED, Image.BICUBIC))
    report("label, decode", repeats, lambda: Image.open(label).load())
    report("label, nearest", repeats, lambda: indices.resize(WANTED, Image.NEAREST))
