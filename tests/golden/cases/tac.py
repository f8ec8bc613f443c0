"""TAC: its nouns, counterparts and clusters by setting; with training, its first losses."""

from functools import partial

from golden.harness import Case
from golden.problems import drawings, nouns

from mvlib import TAC
from mvlib.encoders import TextBank
from mvlib.methods import TrainedTAC, semantic_centres

SMALL = {
    "epochs": 3, "batch_size": 64, "n_neighbors": 10, "random_state": 0, "device": "cpu",
}  # fmt: skip
LOSSES = ("loss", "distillation", "consistency", "entropy", "kept")


def fit(repeats=1, train=slice(None), **parameters):
    settings = {"n_init": 3, "random_state": 0, "device": "cpu"} | parameters
    bank = nouns()[0]
    bank = TextBank(bank.texts * repeats, bank.features[list(range(200)) * repeats])
    model = TAC(6, **settings).fit(drawings(), bank, drawings()[train])
    return {
        "kept": model.history_["kept"],
        "embedding": model.embedding_,
        "labels": model.labels_,
        "inertia": model.history_["inertia"],
        "names": [named["nouns"][0][0] for named in model.cluster_names_],
        "scores": [named["nouns"][0][1] for named in model.cluster_names_],
    }


def centres(**parameters):
    X = semantic_centres(drawings(), 18, n_init=2, random_state=0, device="cpu", **parameters)
    return {"centres": X}


def trained(train=slice(None), **parameters):
    model = TrainedTAC(6, **SMALL | parameters).fit(drawings(), nouns()[0], drawings()[train])
    return {name: model.history_[name] for name in LOSSES} | {"embedding": model.embedding_}


CASES = {
    "tac": {
        "centres by faiss's rules": partial(centres, kmeans="faiss"),
        "centres by faiss's rules, float16": partial(
            centres, kmeans="faiss", precision="float16"
        ),
        "centres by k-means++": centres,
        "as the authors": fit,
        "float16": partial(fit, precision="float16"),
        "k-means++": partial(fit, kmeans="k-means++"),
        "k-means++, float16": partial(fit, kmeans="k-means++", precision="float16"),
        "nouns in three rows each": partial(fit, repeats=3),
        "one noun a centre": partial(fit, top=1),
        "temperature 0.05": partial(fit, temperature=0.05),
        "seven centres": partial(fit, n_centers=7),
        "nouns by half of the images": partial(fit, train=slice(0, None, 2)),
        "seed of faiss": partial(fit, random_state=1234),
    },
    "tac_trained": {
        name: Case(
            run,
            relative=5e-2,
            # At ten times the rate a loss feels it in the fourth digit, too.
            only=("embedding", "distillation") if name == "faster" else ("embedding",),
            why="Adam's first steps follow the sign of gradients near 0, as rounding decides",
        )
        for name, run in {
            "as the authors": trained,
            "float16": partial(trained, precision="float16"),
            "k-means++": partial(trained, kmeans="k-means++"),
            "one batch": partial(trained, batch_size=240),
            "settings of the large sets": partial(trained, distillation_temperature=5.0),
            "narrow heads": partial(trained, hidden_dim=16),
            "without entropy": partial(trained, entropy_weight=0.0),
            "faster": partial(trained, learning_rate=1e-2, random_state=3),
            "trained on half of the images": partial(trained, train=slice(0, None, 2)),
        }.items()
    },
}
