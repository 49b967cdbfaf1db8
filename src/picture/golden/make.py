#!/usr/bin/env python3
"""Makes the JPEG files of this folder and, as Pillow decodes them, their pixels (needs Pillow and numpy).

The test in src/picture/tests.rs decodes the same files and compares every byte.
"""
import os

import numpy
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
