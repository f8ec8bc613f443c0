"""CCA, Procrustes, Gromov-Wasserstein and chance."""

from functools import partial

from golden.problems import digits, some

from mvlib.methods import CCA, Chance, GromovWasserstein, Procrustes


def fit(method, names, **parameters):
    model = method(10, random_state=0, **parameters).fit(digits(), paired=some(160, 40))
    # Directions are known up to their signs, which the cosines across do not read.
    first, second = model.embeddings_
    return {name: getattr(model, name) for name in names} | {"cosines": first @ second.T}


def clusters():
    model = Procrustes(10, n_components=8, random_state=0)
    return {"labels": model.fit(digits(), paired=some(160, 80)).labels_}


def gromov_wasserstein():
    model = GromovWasserstein(n_components=8, max_rows=60, max_iter=20, random_state=0)
    model.fit(digits())
    first, second = model.embeddings_
    return {
        "plan": model.plan_,
        "distance": model.distance_,
        "rows": model.rows_[0],
        "cosines": first @ second.T,
    }


def chance():
    model = Chance(embedding_dim=8, random_state=0).fit(digits())
    return {f"embedding_{v}": Z for v, Z in enumerate(model.embeddings_)}


CASES = {
    "classics": {
        "cca": partial(fit, CCA, ["correlations_"]),
        "cca, five directions": partial(
            fit, CCA, ["correlations_"], n_components=5, regularization=1.0
        ),
        # Beyond as many components as pairs a rotation of the rest is anybody's.
        "procrustes": partial(fit, Procrustes, [], n_components=30),
        "procrustes, eight components": partial(fit, Procrustes, [], n_components=8),
        "clusters": clusters,
        "gromov-wasserstein": gromov_wasserstein,
        "chance": chance,
    }
}
