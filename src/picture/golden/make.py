#!/usr/bin/env python3
"""Makes the photographs of this folder and, as Pillow decodes them, their pixels (needs Pillow, numpy and tifffile).

The test in src/picture/tests.rs decodes the same files and compares every byte. NAME.png has the pixels of NAME.jpg, of
NAME.HOW.tif and so on; what others/ holds is refused, or has tags.
"""
import os

import numpy
import tifffile
from PIL import Image

here = os.path.dirname(os.path.abspath(__file__))
y, x = numpy.mgrid[0:37, 0:69]
colours = numpy.stack([x * 3 + y, 255 - 6 * y, (x * y) % 256], axis=2) + numpy.random.default_rng(3).integers(-20, 20, (37, 69, 3))
picture = Image.fromarray(colours.clip(0, 255).astype("uint8"))
FILES = {
    "444": (picture, {"subsampling": "4:4:4", "quality": 90}),
    "422": (picture, {"subsampling": "4:2:2", "quality": 75}),
    "420": (picture, {"subsampling": "4:2:0", "quality": 75}),
    "420-progressive": (picture, {"subsampling": "4:2:0", "quality": 60, "progressive": True}),
    "420-restarts": (picture, {"subsampling": "4:2:0", "quality": 60, "restart_marker_blocks": 2}),
    "grey": (picture.convert("L"), {"quality": 80}),
    "cmyk": (picture.convert("CMYK"), {"quality": 80}),
}
for name, (image, options) in FILES.items():
    path = os.path.join(here, name + ".jpg")
    image.save(path, **options)
    Image.open(path).convert("RGB").save(os.path.join(here, name + ".png"))
    # The same at 1/2, 1/4 and 1/8 of the size.
    for part in (2, 4, 8):
        reduced = Image.open(path)
        reduced.draft("RGB", (69 // part, 37 // part))
        reduced.convert("RGB").save(os.path.join(here, "reduced", f"{name}-{part}.png"))


small = picture.crop((0, 0, 23, 17))
rows = numpy.asarray(small)
veil = numpy.linspace(0, 255, 23 * 17).astype("uint8").reshape(17, 23)
clear = Image.fromarray(numpy.dstack([rows, veil]))
grey = small.convert("L")
indexed = small.quantize(16)
deep = rows.astype("uint16") * 256 + 77
predicted = {"tiffinfo": {317: 2}}


def by_pillow(name, image, **options):
    image.save(os.path.join(here, name), **options)


def by_tifffile(name, samples, **options):
    tifffile.imwrite(os.path.join(here, name), samples, metadata=None, software=False, **options)


by_pillow("small.raw.tif", small)
by_pillow("small.lzw.tif", small, compression="tiff_lzw")
by_pillow("small.predicted.tif", small, compression="tiff_lzw", **predicted)
by_pillow("small.deflate.tif", small, compression="tiff_adobe_deflate", **predicted)
by_pillow("small.packbits.tif", small, compression="packbits")
by_pillow("small.clear.tif", clear)
by_tifffile("small.tiles.tif", rows, photometric="rgb", tile=(16, 16), compression="zlib")
by_tifffile("small.planes.tif", numpy.moveaxis(rows, 2, 0), photometric="rgb", planarconfig="separate")
by_tifffile("small.large.tif", rows, photometric="rgb", bigtiff=True)
by_tifffile("small.deep.tif", deep, photometric="rgb", byteorder=">", rowsperstrip=5)
by_tifffile("small.deep-deflate.tif", deep, photometric="rgb", compression="zlib")
by_pillow("deep.tif", Image.fromarray(deep[:, :, 0]), compression="tiff_lzw", **predicted)
by_tifffile("multiplied.tif", numpy.asarray(clear), photometric="rgb", extrasamples=["assocalpha"])
by_tifffile("light.inverted.tif", 255 - numpy.asarray(grey), photometric="miniswhite")
by_pillow("light.plain.tif", grey)
by_pillow("indexed.tif", indexed)
by_pillow("bits.tif", small.convert("1"))
by_pillow("small.lossless.webp", small, lossless=True)
by_pillow("small.clear.webp", clear, lossless=True, exact=True)
by_pillow("lossy.webp", picture, quality=75)
by_pillow("lossy-strong.webp", picture, quality=10, method=6)
by_pillow("lossy-clear.webp", clear, quality=60)
by_pillow("small.plain.bmp", small)
by_pillow("small.clear.bmp", clear)
by_pillow("light.plain.bmp", grey)
by_pillow("indexed.plain.bmp", indexed)
by_pillow("bits.plain.bmp", small.convert("1"))
for name in sorted(os.listdir(here)):
    # Pillow clips 16-bit grey; its upper 8 bits are taken here.
    if name == "deep.tif":
        Image.fromarray(rows[:, :, 0]).save(os.path.join(here, "deep.png"))
    elif name.endswith((".tif", ".webp", ".bmp")):
        Image.open(os.path.join(here, name)).convert("RGB").save(os.path.join(here, name.split(".")[0] + ".png"))

os.makedirs(os.path.join(here, "others"), exist_ok=True)
exif = Image.Exif()
exif[0x0112] = 6
by_pillow("others/turned.tif", small, tiffinfo={0x0112: 6})
by_pillow("others/turned.webp", small, lossless=True, exif=exif.tobytes())
by_pillow("others/pages.tif", small, save_all=True, append_images=[small, small])
by_pillow("others/animated.webp", small, save_all=True, append_images=[grey.convert("RGB")])
by_pillow("others/cmyk.tif", small.convert("CMYK"))
by_pillow("others/jpeg.tif", small, compression="jpeg")
by_pillow("others/fax.tif", small.convert("1"), compression="group4")
by_tifffile("others/float.tif", numpy.asarray(grey).astype("float32"), photometric="minisblack")
by_tifffile("others/32.tif", numpy.asarray(grey).astype("uint32"), photometric="minisblack")
by_tifffile("others/signed.tif", numpy.asarray(grey).astype("int16"), photometric="minisblack")
by_tifffile("others/5.tif", numpy.dstack([rows, veil, veil]), photometric="rgb", extrasamples=["unspecified", "unspecified"])
with tifffile.TiffWriter(os.path.join(here, "others/copy.tif")) as file:
    file.write(rows, photometric="rgb", metadata=None)
    file.write(rows[::2, ::2], photometric="rgb", metadata=None, subfiletype=1)
