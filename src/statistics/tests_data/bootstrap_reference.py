"""Writes bootstrap_reference.json: counts of 60 images for two networks, and SciPy's paired bootstrap of their difference of mIoU.

    pip install numpy scipy && python bootstrap_reference.py

The statistic is written here on its own: counts are added over the images, then divided, then averaged over the classes. SciPy draws
the images (`scipy.stats.bootstrap`, percentile method). The confidence is that of the expanded percentile interval of 95 % (Hesterberg,
What Teachers Should Know About the Bootstrap, 2015), and the standard error is widened alike.
"""
import json
import pathlib

import numpy as np
import scipy.stats as st

IMAGES, CLASSES, DRAWS = 60, 3, 200_000
rng = np.random.default_rng(11)
truth = (np.array([4000, 2500, 150]) * np.exp(0.5 * rng.standard_normal((IMAGES, CLASSES)))).astype(np.int64)
hard = 0.5 * rng.standard_normal((IMAGES, 1))


def network(quality):
    share = 1 / (1 + np.exp(-(1 + quality - hard + 0.4 * rng.standard_normal((IMAGES, CLASSES)))))
    right = (truth * share).astype(np.int64)
    prediction = right + np.roll(truth - right, 1, axis=1)
    return np.stack([right, prediction, truth], axis=1)


counts = np.stack([network(0.0), network(0.2)])  # network, image, (intersection, prediction, truth), class


def miou(drawn):  # ..., image, 3, class
    both, predicted, labelled = np.moveaxis(drawn.sum(axis=-3), -2, 0)
    return (both / (predicted + labelled - both)).mean(axis=-1)


def difference(index, axis=-1):
    index = np.asarray(index)
    return miou(counts[1][index]) - miou(counts[0][index])


n = IMAGES
tail = st.norm.cdf(-np.sqrt(n / (n - 1)) * st.t.ppf(0.975, n - 1))
found = st.bootstrap(
    (np.arange(n),), difference, n_resamples=DRAWS, batch=2000, confidence_level=1 - 2 * tail, method="percentile", vectorized=True, rng=rng
)
reference = {
    "counts": counts.tolist(),
    "low": float(found.confidence_interval.low),
    "high": float(found.confidence_interval.high),
    "error": float(found.standard_error * np.sqrt(n / (n - 1))),
}
pathlib.Path(__file__).with_name("bootstrap_reference.json").write_text(json.dumps(reference) + "\n")
print({name: reference[name] for name in ("low", "high", "error")})
