"""DSTL at small size, of an even number of samples and an odd one, shuffled and as given."""

from golden.problems import digits

from mvlib.methods.views.dstl import DSTL


def fitted(n, **settings):
    def run():
        views = [X[:n] - X[:n].mean(axis=0) for X in digits()]
        model = DSTL(10, lambda2=3.0, max_iter=8, random_state=3, **settings).fit(views)
        return {**model.history_, "mean of Y": model.embedding_.mean(axis=0)}

    return run


CASES = {
    "dstl": {"shuffled": fitted(160), "as given, odd": fitted(159, order="given")},
}
