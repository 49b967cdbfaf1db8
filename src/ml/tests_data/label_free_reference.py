"""Writes label_free_reference.json: scores of networks without labels, computed by numpy in double precision (see
label_free/tests.rs).

Written from the text of arXiv 2108.10860, not from this project's code. `density` is the paper's soft neighbourhood density: rows of
class probabilities at length 1, their products over the temperature 0.05, each row without its own entry, a softmax, the mean
entropy. `filled` puts −1 for the own similarity and adds 1e-5 inside the logarithm, as the released code does for
classification. `entropy` is the mean entropy of the rows over
ln C. The logits are a pattern that the test computes, too.
"""

import json
import pathlib

import numpy

TEMPERATURE = 0.05
CASES = [(3, 2, 1.0), (7, 4, 1.0), (40, 8, 3.0), (100, 19, 0.2), (100, 19, 6.0), (100, 5, 0.0)]  # N, C, sharpness


def logits(points, classes, sharpness):
    i = numpy.arange(points * classes, dtype=numpy.int64)
    return sharpness * (((i * i * 31 + i * 17) % 101) - 50).reshape(points, classes) / 25.0


def softmax(x):
    e = numpy.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def entropies(p, epsilon):
    logs = numpy.log(p + epsilon) if epsilon else numpy.log(p, where=p > 0, out=numpy.zeros_like(p))
    return -(p * logs).sum(axis=1)


cases = []
for points, classes, sharpness in CASES:
    p = softmax(logits(points, classes, sharpness))
    unit = p / numpy.linalg.norm(p, axis=1, keepdims=True)
    similar = unit @ unit.T
    others = similar[~numpy.eye(points, dtype=bool)].reshape(points, points - 1)
    filled = similar.copy()
    numpy.fill_diagonal(filled, -1.0)
    cases.append({
        "points": points,
        "classes": classes,
        "sharpness": sharpness,
        "density": entropies(softmax(others / TEMPERATURE), 0).mean(),
        "filled": entropies(softmax(filled / TEMPERATURE), 1e-5).mean(),
        "entropy": entropies(p, 0).mean() / numpy.log(classes),
    })
text = ",\n".join(json.dumps(case) for case in cases)
here = pathlib.Path(__file__).with_name("label_free_reference.json")
here.write_text(f'{{"numpy": "{numpy.__version__}", "cases": [\n{text}\n]}}\n')
