"""Ensembles on drawings and on digits: the bases, and what the joined rows span."""

from golden.problems import digits, drawings

from mvlib.methods.images.ensemble import ImageEnsemble, ViewEnsemble


def fitted(method, rows, weights):
    def run():
        model = method(6, n_bases=6, weights=weights, random_state=0, device="cpu").fit(rows())
        spanned = model.embedding_ @ model.embedding_.T
        return {"bases": model.bases_[:, ::8], "spanned": spanned.mean(axis=1)}

    return run


CASES = {
    "ensemble": {
        "images, entropy": fitted(ImageEnsemble, lambda: drawings(120), "entropy"),
        "views, equal": fitted(ViewEnsemble, digits, "equal"),
    }
}
