"""What simple methods reach on the same rows."""

from golden.harness import Case
from golden.problems import digits, some

from mvlib.methods import (
    AutoencoderHungarian,
    AutoencoderKMeans,
    KMeansConcatenation,
    KMeansView,
    SpectralConcatenation,
)

TRAINING = {"hidden_dims": (16,), "embedding_dim": 4, "epochs": 3, "batch_size": 64}


def labels(floor):
    def run():
        aligned = some(160, 80)
        return {"labels": floor.fit_predict(digits(), aligned=aligned)}

    return run


def trained(floor):
    def run():
        model = floor(10, settings=TRAINING | {"device": "cpu"}, random_state=0)
        model.fit(digits(), aligned=some(160, 80))
        return {"loss": model.history_["loss"], "embedding": model.embedding_}

    return run


CASES = {
    "k-means, view 1": Case(labels(KMeansView(10, random_state=0))),
    "k-means, view 2, unit rows": Case(
        labels(KMeansView(10, view=1, rows="unit", random_state=0))
    ),
    "k-means, concatenation": Case(labels(KMeansConcatenation(10, random_state=0))),
    "k-means, concatenation, unit rows": Case(
        labels(KMeansConcatenation(10, rows="unit", random_state=0))
    ),
    "spectral, concatenation": Case(labels(SpectralConcatenation(10, random_state=0))),
    "spectral, concatenation, unit rows": Case(
        labels(SpectralConcatenation(10, rows="unit", random_state=0))
    ),
    "auto-encoder + k-means": Case(trained(AutoencoderKMeans)),
    "auto-encoder + Hungarian": Case(trained(AutoencoderHungarian)),
}
