"""TAC without training: its nouns, counterparts and clusters by setting."""

from functools import partial

from golden.harness import Case
from golden.problems import drawings, nouns

from mvlib import TAC
from mvlib.encoders import TextBank
from mvlib.methods import semantic_centres


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


CASES = {
    name: Case(run)
    for name, run in {
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
    }.items()
}
