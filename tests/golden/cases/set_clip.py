"""Set-CLIP: the losses of its first epochs, and what it embeds after them."""

from functools import partial

import numpy as np
import torch
from golden.problems import digits, some
from torch import nn

from mvlib.methods.set_clip import SetCLIP

SMALL = {
    "embedding_dim": 16, "n_epochs": 3, "batch_size": 32, "random_state": 0, "device": "cpu",
}  # fmt: skip
FALLING = {"patience": 0, "factor": 0.5, "learning_rate": 0.1, "n_epochs": 5}


def numbers(model, Xs, **known):
    model.fit(Xs, **known)
    history = {k: v for k, v in model.history_.items() if not np.isnan(v).all()}
    return history | {f"embedding_{v}": Z for v, Z in enumerate(model.embeddings_)}


def fit(n_pairs=16, make=SetCLIP, **parameters):
    known = {"paired": some(160, n_pairs)} if n_pairs else {}
    return numbers(make(**SMALL | parameters), digits(), **known)


def pairs_by_number():
    first, second = digits()
    pairs = np.stack([np.arange(40, 60), np.arange(20)], axis=1)
    return numbers(SetCLIP(**SMALL), [first, second[40:]], pairs=pairs)


def trained_encoders():
    torch.manual_seed(0)
    encoders = [nn.Sequential(nn.Linear(X.shape[1], 24), nn.Tanh()) for X in digits()]
    return fit(encoders=encoders, augmentation="none", encoder_learning_rate=1e-3)


def clusters():
    model = SetCLIP(10, **SMALL).fit(digits(), paired=some(160, 40))
    return {"labels": np.concatenate(model.labels_by_modality_)}


CASES = {
    "set_clip": {
        "pairs": fit,
        "no pairs": partial(fit, 0),
        "settings of a ResNet": partial(
            fit, **SetCLIP.paper_settings("resnet-34") | SMALL | {"pairs_per_batch": 8}
        ),
        "same instances": partial(fit, sampling="same_instances", reshuffle=False),
        "nineteen kernels": partial(fit, 0, mmd_bandwidths="nineteen"),
        "normalised density": partial(fit, 0, normalized_density=True, density_bandwidth=0.3),
        "contrast alone": partial(fit, 0, weights={"contrast_1": 1, "contrast_2": 1}),
        "density alone": partial(fit, 0, weights={"sdd": 1}),
        "one kernel alone": partial(fit, 0, weights={"mmd": 1}),
        "clip only": partial(fit, make=SetCLIP.clip_only),
        "s-clip": partial(fit, make=SetCLIP.s_clip),
        "linear heads, noise": partial(fit, heads="linear", augmentation="noise"),
        "trained encoders": trained_encoders,
        "rates that follow the mean": partial(fit, 0, **FALLING),
        "rates that follow the last batch": partial(fit, 0, **FALLING, plateau="last_batch"),
        "pairs by row numbers": pairs_by_number,
        "clusters": clusters,
    }
}
