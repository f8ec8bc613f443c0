"""Losses and training steps as a GPU would meet them, on machines that have none.

Tensors without numbers stand on "cuda" in torch's FakeTensorMode, where an operation on tensors
of two devices fails. It cannot see what reads numbers: which rows of a batch are aligned
(`objective_step`, in front of `batch_losses`), k-means, the filter of nouns, SIC's centres of
nouns, and all that leaves torch for NumPy. Nor can it go back through a loss, for which torch
asks the GPU's driver: `trains` makes up gradients. `make gpu` runs all of these where there is
a GPU. How often a step makes a GPU wait for the host is counted on the CPU.

The rivals are fitted whole, and numbers are made up wherever some are read: a mask takes every
row, two tensors are equal, a number is 1, and NumPy is given random ones. So no branch is seen
that other numbers would take, such as a batch without a known pair, and no result is compared.
Their networks are made on "cuda"; that each is moved there is not seen. Nor are kernels that a
GPU lacks, its memory, its seeds, and what autocast does.
"""

import sys
from contextlib import nullcontext
from typing import NamedTuple

import numpy as np
import pytest
import torch
from support.every_method import NAMES, fitted, make
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from mvlib.methods import training
from mvlib.methods.catalogue import CATALOGUE, load
from mvlib.methods.set_clip.equations import Objective as SetObjective
from mvlib.methods.set_clip.network import Branch
from mvlib.methods.sic import total_loss as sic_loss
from mvlib.methods.smart.equations import FLOOR, Objective, batch_losses, threshold_rule
from mvlib.methods.tac import total_loss as tac_loss
from mvlib.methods.views.mvcln import contrastive_loss, pair_distances
from mvlib.ops.discrepancy import mmd

RNG = np.random.default_rng(0)
Y = np.repeat([0, 1, 2], 20)
VIEWS = [
    (np.eye(3)[Y] @ RNG.normal(size=(3, d)) * 3 + RNG.normal(size=(60, d))) for d in (6, 5)
]
NOUNS = RNG.normal(size=(40, 6))
# What a step asks of a device before the host can go on: numbers, or how many rows there are.
WAITS = {"aten::_local_scalar_dense", "aten::nonzero", "aten::equal", "aten::masked_select"}


@pytest.fixture
def fake():
    with FakeTensorMode():
        yield


def cuda(*shape, **more):
    return torch.randn(*shape, device="cuda", **more)


def untrained(name, *widths):
    model = make(name)
    model.n_features_in_ = list(widths) if len(widths) > 1 else widths[0]
    with torch.device("cuda"):
        return model._network()


def trains(network, loss):
    """See that a loss is on the device and has a gradient, and that Adam steps there."""
    assert loss.shape == ()
    assert loss.requires_grad
    for parameter in network.parameters():
        parameter.grad = torch.randn_like(parameter)
    torch.optim.Adam(network.parameters(), fused=True).step()
    assert {value.device.type for value in (loss, *network.parameters())} == {"cuda"}


@pytest.mark.parametrize("rule", ["mean-std", "percentile-16", "nearest-3", 0.5])
def test_smart_trains_on_one_device(fake, rule):
    network = untrained("smart", 6, 5)
    aligned = torch.ones(9, dtype=torch.bool, device="cuda")
    rows = torch.arange(9, device="cuda")
    objective = Objective(1.0, 1.0, 0.5, threshold_rule(rule))
    loss, parts, _, features = batch_losses(
        network, [cuda(9, 6), cuda(9, 5)], aligned, rows, objective, FLOOR, True, "float32"
    )
    assert {part.device.type for part in (*parts.values(), features)} == {"cuda"}
    trains(network, loss)


def test_mvcln_trains_on_one_device(fake):
    network = untrained("mvcln", 6, 5).train()
    positive = torch.ones(9, dtype=torch.bool, device="cuda")
    for robust in (False, True):
        d = pair_distances(network[0](cuda(9, 6)), network[1](cuda(9, 5)))
        trains(network, contrastive_loss(d, positive, 1.0, robust))


def test_set_clip_trains_on_one_device(fake):
    model = make("set_clip", augmentation="noise")
    with torch.device("cuda"):
        branches = torch.nn.ModuleList(
            Branch(None, cuda(9, width), "residual", 4, 0.1) for width in (6, 5)
        )
    weights = dict.fromkeys(("contrast_1", "contrast_2", "sdd", "mmd", "clip"), 1.0)
    objective = SetObjective(weights | {"pseudo_label": 1.0})
    batch = torch.arange(8), torch.arange(8)
    losses = model._losses(
        branches, [cuda(9, 6), cuda(9, 5)], batch, objective, 3, torch.Generator()
    )
    assert losses.keys() == {*weights, "pseudo_label", "loss"}
    trains(branches, losses["loss"])


def test_heads_train_on_one_device(fake, monkeypatch):
    # The cut of a normal distribution reads its numbers.
    monkeypatch.setattr(torch.nn.init, "trunc_normal_", torch.nn.init.normal_)
    heads = untrained("tac_trained", 6)
    P, P_near, Q, Q_near = (heads[k // 2](cuda(9, 6)) for k in range(4))
    trains(heads, tac_loss(P, Q, P_near, Q_near)["loss"])
    heads = untrained("sic", 6)
    targets = torch.zeros(9, dtype=torch.int64, device="cuda")
    linear = heads[0][0]
    trains(heads, sic_loss(linear(cuda(9, 6)), linear(cuda(9, 6)), targets)["loss"])


RIVALS = [method.name for method in CATALOGUE if method.estimator.startswith("views.")]
# These have no network.
RIVALS = [name for name in RIVALS if name not in ("unaligned_nmf", "dstl", "magnetic")]


class MadeUp(TorchDispatchMode):
    """Answers what depends on numbers, always the same."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name
        if name in ("aten::_local_scalar_dense", "aten::equal"):
            return True
        if name == "aten::nonzero":
            (mask,) = args
            return mask.new_zeros(mask.numel(), mask.ndim, dtype=torch.int64)
        if name == "aten::index" and any(
            x is not None and x.dtype == torch.bool for x in args[1]
        ):
            X, (mask, *others) = args
            assert not others
            # torch takes a mask of the host, too.
            assert mask.device in (X.device, torch.device("cpu"))
            X = X.flatten(0, mask.ndim - 1)
            args = X, [torch.arange(len(X), device=mask.device)]
        return func(*args, **(kwargs or {}))


def read(tensor):
    """Return random numbers in place of those that a tensor without any would have."""
    if not isinstance(tensor, FakeTensor):
        return READ(tensor)
    if not tensor.is_floating_point():
        return np.full(tensor.shape, tensor.dtype == torch.bool, str(tensor.dtype)[6:])
    return RNG.random(tensor.shape).astype(str(tensor.dtype)[6:])


READ = torch.Tensor.numpy


class Clusters(NamedTuple):
    labels: np.ndarray


def copied(tensor, memo):
    if isinstance(tensor, torch.nn.Parameter):
        return torch.nn.Parameter(tensor.detach().clone())
    return tensor.clone()


@pytest.fixture
def made_up(monkeypatch):
    """Let whole fits run on "cuda" without numbers; give the losses that were minimised."""
    losses, made = [], []

    def network(cls, build):
        def on_device(self):
            with torch.device("cuda"):
                made.append(build(self))
            return made[-1]

        monkeypatch.setattr(cls, "_network", on_device)

    def backward(loss):
        losses.append(loss)
        assert loss.shape == ()
        assert loss.requires_grad
        assert {value.device.type for value in (loss, *made[-1].parameters())} == {"cuda"}
        for weight in made[-1].parameters():
            weight.grad = torch.randn_like(weight) if weight.requires_grad else None

    for name in RIVALS:
        network(load(name), load(name)._network)
    for module in list(sys.modules.values()):
        if module.__name__.startswith("mvlib."):
            for part, stand_in in (
                ("resolve_device", lambda device: torch.device("cuda")),
                ("seeded", lambda seed, device: nullcontext(torch.Generator())),
                ("cosine_kmeans", lambda Z, *more, **ways: Clusters(np.zeros(len(Z), int))),
                # As many pairs are kept as a mask of this sort takes.
                ("kept_pairs", lambda x, *more: (np.ones(x.shape, bool), np.ones(x.size))),
            ):
                if hasattr(module, part):
                    monkeypatch.setattr(module, part, stand_in)
    monkeypatch.setattr(torch.Tensor, "backward", backward)
    monkeypatch.setattr(torch.Tensor, "numpy", read)
    monkeypatch.setattr(torch.Tensor, "tolist", lambda tensor: read(tensor).tolist())
    monkeypatch.setattr(torch.nn.Module, "to", lambda module, *where: module)
    monkeypatch.setattr(FakeTensor, "__deepcopy__", copied, raising=False)
    with FakeTensorMode(), MadeUp():
        yield losses


@pytest.mark.parametrize("name", RIVALS)
def test_a_rival_is_fitted_whole_on_one_device(name, made_up):
    # A random order of rows is made up, too, and so no order.
    more = {"rematch": "global"} if hasattr(load(name), "rematch") else {}
    model = fitted(name, make(name, **more), VIEWS, NOUNS)
    assert len(made_up) >= 2
    model.transform(VIEWS)


def test_a_tensor_left_on_the_host_fails_here(fake):
    with pytest.raises(Exception, match="device"):
        mmd(cuda(9, 3), torch.randn(9, 3), (1.0,))


class Waits(TorchDispatchMode):
    """Counts the operations that a GPU would make the host wait for."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name
        by_mask = name == "aten::index" and any(
            part is not None and part.dtype == torch.bool for part in args[1]
        )
        self.count += name in WAITS or by_mask
        return func(*args, **(kwargs or {}))


class Enough(Exception):
    """Ends a fit after its first step."""


# SMART: which rows are aligned, and the threshold, which the next batch and the history need.
# SMILE: which rows have each view and a known partner, and whether more than one has.
ALLOWED = {"smart": 2, "autoencoder_kmeans": 1, "autoencoder_hungarian": 1}
ALLOWED |= {"smile": 5}
# The factorisation computes with NumPy.
TRAINING = [name for name in NAMES if "verbose" in make(name).get_params()]
TRAINING.remove("unaligned_nmf")


@pytest.mark.parametrize("name", TRAINING)
def test_a_training_step_makes_a_device_wait_no_more_than_it_must(name, monkeypatch):
    counted = []

    def one_step(epochs, batches, step, network, optimizer, **more):
        batch = next(iter(batches()))
        network.train()
        with Waits() as waits:
            step(batch)["loss"].backward()
        counted.append(waits.count)
        raise Enough

    for module in list(sys.modules.values()):
        if module.__name__.startswith("mvlib.methods") and hasattr(module, "run"):
            monkeypatch.setattr(module, "run", one_step)
    monkeypatch.setattr(training, "run", one_step)
    with pytest.raises(Enough):
        fitted(name, make(name), VIEWS, NOUNS)
    assert counted == [ALLOWED.get(name, 0)]
