"""What simple methods reach on the same rows or images."""

from functools import partial

from golden.problems import digits, drawings, nouns, some

from mvlib.methods import (
    AutoencoderHungarian,
    AutoencoderKMeans,
    CLIPKMeans,
    KMeansConcatenation,
    KMeansView,
    SpectralConcatenation,
    ZeroShot,
)

TRAINING = {"hidden_dims": (16,), "embedding_dim": 4, "epochs": 3, "batch_size": 64}


def labels(floor, **parameters):
    model = floor(10, random_state=0, **parameters)
    return {"labels": model.fit_predict(digits(), aligned=some(160, 80))}


def trained(floor):
    model = floor(10, settings=TRAINING | {"device": "cpu"}, random_state=0)
    model.fit(digits(), aligned=some(160, 80))
    return {"loss": model.history_["loss"], "embedding": model.embedding_}


def clip_kmeans(**parameters):
    model = CLIPKMeans(6, n_init=5, random_state=0, device="cpu", **parameters)
    model.fit(drawings())
    inertia = model.history_["inertia"]
    return {"labels": model.labels_, "inertia": inertia, "embedding": model.embedding_}


def zero_shot(**parameters):
    model = ZeroShot(device="cpu", **parameters).fit(drawings(), nouns()[0])
    return {"cosines": model.embedding_, "labels": model.labels_}


CASES = {
    "baselines": {
        "k-means, view 1": partial(labels, KMeansView),
        "k-means, view 2, unit rows": partial(labels, KMeansView, view=1, rows="unit"),
        "k-means, concatenation": partial(labels, KMeansConcatenation),
        "k-means, concatenation, unit rows": partial(labels, KMeansConcatenation, rows="unit"),
        "spectral, concatenation": partial(labels, SpectralConcatenation),
        "spectral, concatenation, unit rows": partial(
            labels, SpectralConcatenation, rows="unit"
        ),
        "auto-encoder + k-means": partial(trained, AutoencoderKMeans),
        "auto-encoder + Hungarian": partial(trained, AutoencoderHungarian),
    },
    **{
        method: {"float32": run, "float16": partial(run, precision="float16")}
        for method, run in (("clip_kmeans", clip_kmeans), ("zero_shot", zero_shot))
    },
}
