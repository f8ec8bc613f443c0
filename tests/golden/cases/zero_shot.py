"""The nearest of some nouns to each drawing."""

from functools import partial

from golden.harness import Case
from golden.problems import drawings, nouns

from mvlib.methods import ZeroShot


def fit(**parameters):
    model = ZeroShot(device="cpu", **parameters).fit(drawings(), nouns()[0])
    return {"cosines": model.embedding_, "labels": model.labels_}


CASES = {"float32": Case(fit), "float16": Case(partial(fit, precision="float16"))}
