"""GradNorm and its ablation: the nouns kept, and the clusters by setting."""

from functools import partial

from golden.problems import drawings, nouns

from mvlib.methods import GradNorm, TACWithTemperature


def fit(method, **parameters):
    settings = {"n_init": 3, "random_state": 0, "device": "cpu"} | parameters
    model = method(6, **settings).fit(drawings(), nouns()[0])
    return {
        "kept": model.history_["kept"],
        "embedding": model.embedding_,
        "labels": model.labels_,
        "inertia": model.history_["inertia"],
    }


SETTINGS = {
    "by default": {},
    "temperatures of CIFAR-10": {"filter_temperature": 0.06, "temperature": 0.009},
    "two nouns a centre": {"top": 2},
    "thirty centres": {"n_centers": 30},
}
CASES = {
    name: {setting: partial(fit, method, **given) for setting, given in SETTINGS.items()}
    for name, method in {"gradnorm": GradNorm, "tac_temperature": TACWithTemperature}.items()
}
