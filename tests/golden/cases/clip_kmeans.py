"""Spherical k-means of image features."""

from functools import partial

from golden.harness import Case
from golden.problems import drawings

from mvlib.methods import CLIPKMeans


def fit(**parameters):
    model = CLIPKMeans(6, n_init=5, random_state=0, device="cpu", **parameters)
    model.fit(drawings())
    return {
        "labels": model.labels_,
        "inertia": model.history_["inertia"],
        "embedding": model.embedding_,
    }


CASES = {"float32": Case(fit), "float16": Case(partial(fit, precision="float16"))}
