"""Makes opencv_reference.json: small pictures, resized by OpenCV. Needs opencv-python-headless and numpy.

The picture of a size is a pattern that the test computes, too. The cases: halving (which OpenCV does as an average of areas),
shrinking by more and by less, growing, one direction only, and sides of 1 or 2 pixels.
"""

import json
import pathlib

import cv2
import numpy

CASES = [
    ((16, 8), (8, 4)), ((24, 12), (6, 3)), ((19, 11), (13, 7)), ((13, 7), (19, 11)), ((10, 10), (20, 20)),
    ((21, 12), (7, 12)), ((12, 9), (12, 4)), ((23, 13), (15, 5)), ((31, 5), (9, 5)), ((5, 31), (5, 9)),
    ((1, 5), (4, 3)), ((7, 1), (3, 2)), ((2, 2), (5, 5)), ((1, 1), (3, 2)), ((20, 11), (14, 8)), ((9, 9), (9, 9)),
]


def picture(width, height):
    i = numpy.arange(width * height * 3, dtype=numpy.int64)
    return ((i * i * 7919 + i * 104729) >> 5 & 255).astype(numpy.uint8).reshape(height, width, 3)


def resized(image, size, how):
    return cv2.resize(image, size, interpolation=how).tobytes().hex()


cases = []
for (start, to) in CASES:
    image = picture(*start)
    cases.append({
        "from": start,
        "to": to,
        "bilinear": resized(image, to, cv2.INTER_LINEAR),
        "nearest": resized(numpy.ascontiguousarray(image[:, :, 0]), to, cv2.INTER_NEAREST),
    })
text = ",\n".join(json.dumps(case) for case in cases)
here = pathlib.Path(__file__).with_name("opencv_reference.json")
here.write_text(f'{{"opencv": "{cv2.__version__}", "cases": [\n{text}\n]}}\n')
