"""DSSC on drawings and on digits: the graph."""

from golden.harness import Case
from golden.problems import digits, drawings

from mvlib.methods.images.dssc import ADSSC, JDSSC, ADSSCViews

WHY = "L-BFGS ends where rounding lets it: row sums hold to 1e-5, single entries less."


def fitted(method, rows, **settings):
    def run():
        model = method(6, random_state=0, **settings).fit(rows())
        A = model.affinity_
        return {"diagonal": A.diagonal(), "squares": (A**2).sum(axis=1)}

    return run


CASES = {
    "dssc": {
        "one after the other": Case(
            fitted(ADSSC, lambda: drawings(120), n_neighbors=10), 1e-2, WHY
        ),
        "joint": fitted(JDSSC, lambda: drawings(60), max_iter=100),
        "views": Case(fitted(ADSSCViews, digits, eta2=0.1), 1e-2, WHY),
    }
}
