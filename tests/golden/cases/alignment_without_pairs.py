"""Gromov-Wasserstein and chance."""

from golden.harness import Case
from golden.problems import digits

from mvlib.methods import Chance, GromovWasserstein


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


CASES = {"gromov-wasserstein": Case(gromov_wasserstein), "chance": Case(chance)}
