"""Measure how well `mvlib cluster` groups and names, beside scikit-learn's k-means.

    python book/own_images.py [CIFAR10_TEST.npz]

The drawings ship; the file of CIFAR-10's test images holds `images`, `labels` and `classes`.
"""

from __future__ import annotations

import sys

import numpy as np
from sklearn.cluster import KMeans

from mvlib import data, encoders, methods
from mvlib.metrics import accuracy, normalized_mutual_information
from mvlib.ops import unit_rows
from mvlib.report.groups import fit_groups, looks
from mvlib.report.word_lists import text_banks

SEEDS = range(5)
N_IMAGES = 5000


def row(name: str, y: np.ndarray, runs: list[np.ndarray]) -> None:
    """Print mean and standard deviation over the seeds."""
    scores = np.array(
        [[accuracy(y, run), normalized_mutual_information(y, run)] for run in runs]
    )
    means, spreads = 100 * scores.mean(axis=0), 100 * scores.std(axis=0, ddof=1)
    print(f"{name}: accuracy {means[0]:.1f} ± {spreads[0]:.1f}", end=", ")
    print(f"NMI {means[1]:.1f} ± {spreads[1]:.1f}", flush=True)


def measure(title: str, images: object, y: np.ndarray, names: list[str]) -> None:
    """Print the scores of one set."""
    encoder, k = encoders.load("offline"), len(names)
    tower = encoder.image_tower(images)
    look, joint, _ = looks(encoder, tower)
    for method in ("kmeans", "cae") if len(y) < N_IMAGES else ("kmeans",):
        banks = text_banks(encoder, (), (), method=method)
        fitted = [fit_groups(method, k, look, joint, banks, s, "auto")[0] for s in SEEDS]
        row(f"{title}, n={len(y)}, --method {method}", y, fitted)
    for said, X in (("tower features", tower), ("unit rows of them", unit_rows(tower))):
        plain = [KMeans(k, n_init=10, random_state=s).fit_predict(X) for s in SEEDS]
        row(f"{title}, scikit-learn's k-means, {said}", y, plain)
    banks = text_banks(encoder, names, (), method="kmeans")
    for n_groups in (k, 2 * k):
        hits, sure = [], []
        for seed in SEEDS:
            labels, _, _ = fit_groups("kmeans", n_groups, look, joint, banks, seed, "auto")
            for group, name in enumerate(methods.name_groups(joint, labels, banks["nouns"])):
                common = np.bincount(y[labels == group], minlength=k).argsort()[::-1][:2]
                hits.append(name.nouns[0] in [names[c] for c in common])
                sure.append(not name.title.startswith("unsure"))
        hits, sure = np.array(hits), np.array(sure)
        print(f"{title}, {n_groups} groups, own words: {hits.mean():.2f} of the best words are")
        print(f"  one of the two commonest classes; named {sure.mean():.2f}", end=", ")
        print(f"of these right {hits[sure].mean():.2f}", flush=True)


if __name__ == "__main__":
    drawings = data.load_images("openclipart")
    measure("drawings", drawings.images, drawings.y, list(drawings.class_names))
    if len(sys.argv) > 1:
        with np.load(sys.argv[1]) as stored:
            rows = np.random.default_rng(0).permutation(len(stored["labels"]))[:N_IMAGES]
            classes = [str(name) for name in stored["classes"]]
            measure("CIFAR-10", stored["images"][rows], stored["labels"][rows], classes)
