"""CAE: its plans, its fused features and clusters by setting, and what Theorem 1 speaks of."""

from functools import cache, partial

import numpy as np
from golden.harness import Case
from golden.problems import drawings, nouns

from mvlib import CAE
from mvlib.encoders import TextBank
from mvlib.methods import optimal_transport_plan, theorem_1_quantities


@cache
def texts():
    """Every other noun stands for a caption."""
    bank = nouns()[0]
    return {
        kind: TextBank(bank.texts[first::2], bank.features[first::2])
        for first, kind in enumerate(("nouns", "captions"))
    }


@cache
def masses(n):
    return np.random.default_rng(0).dirichlet(np.full(n, 5.0))


def fit(**parameters):
    settings = {"top_k": 4, "n_init": 2, "random_state": 0, "device": "cpu"} | parameters
    model = CAE(6, **settings).fit(drawings(), texts())
    spaces = model.history_["kept"]
    return {
        **{f"{kind} kept": model.history_["kept"][kind] for kind in spaces},
        **{f"{kind} counterparts": model.counterparts_[kind] for kind in spaces},
        "weights": model.history_["weights"],
        "embedding": model.embedding_,
        "labels": model.labels_,
        "inertia": model.history_["inertia"],
        "names": [
            named[kind][0][0]
            for named in model.cluster_names_
            for kind in spaces
            if named[kind]
        ],
    }


def softmax_columns():
    model = CAE(6, top_k=4, n_init=1, counterpart="softmax", random_state=0, device="cpu")
    return {
        "column errors": list(model.fit(drawings(), texts()).history_["column_error"].values())
    }


def plan(**parameters):
    words = texts()["nouns"].features[:40]
    found = optimal_transport_plan(drawings(), words, device="cpu", **parameters)
    return {"plan": found.plan}


def theorem():
    found = theorem_1_quantities(
        drawings(), nouns()[0].features[:40], targets=drawings()[::-1], device="cpu"
    )
    return {
        f"{kind} {field}": getattr(quantities, field)
        for kind, quantities in found.items()
        for field in ("column_marginals", "target_errors")
    } | {"softmax semantic_error": found["softmax"].semantic_error}


CASES = {
    "cae": {
        "plan": plan,
        "plan, distances as cost": partial(plan, cost="euclidean", epsilon=0.05),
        "plan, masses of both": partial(
            plan, row_marginals=masses(240), column_marginals=masses(40)
        ),
        "plan, in logarithms": partial(plan, method="log", max_iter=50, marginal_tol=None),
        "theorem 1": theorem,
        "columns of the softmax": softmax_columns,
        "both spaces": fit,
        "nouns alone": partial(fit, space="nouns"),
        "captions alone": partial(fit, space="captions"),
        "softmax": partial(fit, counterpart="softmax"),
        "distances as cost": partial(fit, cost="euclidean", epsilon=0.05),
        "masses of images": partial(fit, row_marginals=masses(240)),
        "words by retrieval": partial(fit, column_marginals="retrieval"),
        "words by softmax": partial(fit, column_marginals="softmax"),
        "sum": partial(fit, fusion="sum"),
        "concatenation": partial(fit, fusion="concatenation"),
        "adaptive concatenation": partial(fit, fusion="adaptive-concatenation"),
        "gamma 1": partial(fit, gamma=1.0),
        "five centres": partial(fit, n_centers=5),
        "float16": Case(
            partial(fit, precision="float16"),
            relative=1e-3,
            why="a plan kept in half precision has three digits, and the processor's products "
            "in float32 decide which way each of its weights is rounded",
        ),
    }
}
