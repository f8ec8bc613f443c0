"""On a machine with a GPU: kernels and estimators against what they come to on the CPU."""

import numpy as np
import pytest
import torch
from support.every_method import NAMES, fitted, make

from mvlib import ops

pytestmark = pytest.mark.gpu
DEVICE = "cuda"
RNG = np.random.default_rng(0)
Y = np.repeat([0, 1, 2], 20)
VIEWS = [
    (np.eye(3)[Y] @ RNG.normal(size=(3, d)) * 3 + RNG.normal(size=(60, d))) for d in (6, 5)
]
X = VIEWS[0].astype(np.float32)
NOUNS = RNG.normal(size=(40, 6))


@pytest.mark.parametrize(
    "kernel",
    [
        lambda on: ops.top_k(X, X, 5, device=on)[0],
        lambda on: ops.top_k(X, X, 5, device=on, precision="bfloat16")[0],
        lambda on: ops.transport_plan(X @ X.T / 100, device=on, epsilon=0.1).plan,
        lambda on: ops.transport_plan(X @ X.T / 100, device=on, method="log").plan,
        lambda on: ops.blocked_kmeans(X, 3, n_init=3, device=on, random_state=0).centers,
        lambda on: ops.faiss_kmeans(X, 3, n_init=3, device=on, random_state=0).centers,
        lambda on: ops.cosine_kmeans(torch.tensor(X, device=on), 3, random_state=0).centers,
    ],
)
def test_a_kernel_gives_on_a_gpu_what_it_gives_on_the_cpu(kernel):
    np.testing.assert_allclose(kernel(DEVICE), kernel("cpu"), rtol=1e-3, atol=1e-4)


def on_device(name, device):
    model = make(name)
    if "device" in model.get_params():
        return model.set_params(device=device)
    return model.set_params(settings=model.settings | {"device": device})


@pytest.mark.parametrize(
    "name", [name for name in NAMES if {"device", "settings"} & make(name).get_params().keys()]
)
def test_an_estimator_fits_on_a_gpu_as_on_the_cpu(name):
    found, expected = (
        fitted(name, on_device(name, on), VIEWS, NOUNS) for on in (DEVICE, "cpu")
    )
    assert np.isfinite(found.embedding_).all()
    assert found.labels_.shape == expected.labels_.shape
    if "loss" in getattr(found, "history_", {}):
        np.testing.assert_allclose(
            found.history_["loss"][0], expected.history_["loss"][0], rtol=0.02
        )
    else:
        assert (found.labels_ == expected.labels_).mean() > 0.95
