#!/usr/bin/env python3
"""What loading.rs measures, with Pillow and on the files that it wrote: loading.py FOLDER REPEATS."""
import os
import sys
import time

from PIL import Image, ImageChops, ImageStat, __version__

WANTED = (1024, 512)


def seconds(repeats, work):
    work()
    begin = time.process_time()
    for _ in range(repeats):
        work()
    return (time.process_time() - begin) / repeats


def report(what, repeats, work):
    print(f"pillow   {what:<26}  cpu {1e3 * seconds(repeats, work):7.2f} ms", flush=True)


def samples(what, repeats, work):
    cpu = seconds(repeats, work)
    print(f"pillow   {what:<26}  cpu {1e3 * cpu:7.2f} ms  {1 / cpu:6.0f} a second and core", flush=True)


def full(path):
    return Image.open(path).convert("RGB")


def reduced(path):
    image = Image.open(path)
    image.draft("RGB", WANTED)
    return image.convert("RGB")


def resized(image):
    return image if image.size == WANTED else image.resize(WANTED, Image.BICUBIC)


def raw(path, mode, size):
    with open(path, "rb") as file:
        return Image.frombytes(mode, size, file.read())


if __name__ == "__main__":
    folder, repeats = sys.argv[1], int(sys.argv[2])
    png, jpeg, label = (os.path.join(folder, name) for name in ("photograph.png", "photograph.jpg", "label.png"))
    print("Pillow", __version__)
    picture, indices = full(png), Image.open(label)
    indices.load()
    report("photograph, PNG", repeats, lambda: full(png))
    report("photograph, JPEG", repeats, lambda: full(jpeg))
    report("photograph, JPEG, reduced", repeats, lambda: reduced(jpeg))
    report("photograph, bicubic", repeats, lambda: picture.resize(WANTED, Image.BICUBIC))
    report("label, decode", repeats, lambda: Image.open(label).load())
    report("label, nearest", repeats, lambda: indices.resize(WANTED, Image.NEAREST))

    def map_of():
        return Image.open(label).resize(WANTED, Image.NEAREST)

    samples("sample, PNG", repeats, lambda: (resized(full(png)), map_of()))
    samples("sample, JPEG", repeats, lambda: (resized(full(jpeg)), map_of()))
    samples("sample, JPEG, reduced", repeats, lambda: (resized(reduced(jpeg)), map_of()))
    kept = os.path.join(folder, "raw")
    for name, image in (("image", resized(picture)), ("label", map_of())):
        with open(f"{kept}-{name}", "wb") as file:
            file.write(image.tobytes())
    samples("sample, raw bytes", repeats, lambda: (raw(kept + "-image", "RGB", WANTED), raw(kept + "-label", "L", WANTED)))
    steps = ImageStat.Stat(ImageChops.difference(resized(full(jpeg)), resized(reduced(jpeg))))
    print(f"pillow   reduced and full differ by {sum(steps.mean) / 3:.3f} grey levels on average")
