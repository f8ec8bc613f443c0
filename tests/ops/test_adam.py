"""Adam is torch's, and a training does not import torch's compiler."""

import subprocess
import sys

import pytest
import torch

from mvlib.ops.adam import Adam

FIT = """
import sys
import numpy as np
from mvlib import SMART
rng = np.random.default_rng(0)
Xs = [rng.random((20, 3), dtype=np.float32) for _ in range(2)]
settings = {"hidden_dims": (4,), "embedding_dim": 2, "epochs": 1, "device": "cpu"}
SMART(2, **settings).fit(Xs, aligned=np.arange(20) < 10)
print("torch._dynamo" in sys.modules)
"""


def steps(optimizer_class, **settings):
    generator = torch.Generator().manual_seed(0)
    weights = [
        torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in (3, (2, 4))
    ]
    groups = [{"params": weights[:1], "weight_decay": 0}, {"params": weights[1:]}]
    optimizer = optimizer_class(groups, lr=0.1, weight_decay=0.2, **settings)
    for _ in range(5):
        optimizer.zero_grad()
        sum(weight.square().sum() for weight in weights).backward()
        optimizer.step()
    return torch.cat([weight.detach().flatten() for weight in weights])


@pytest.mark.parametrize("fused", [True, False])
def test_its_steps_are_those_of_torch_and_decoupled_those_of_adamw(fused):
    assert torch.equal(steps(Adam, fused=fused), steps(torch.optim.Adam, fused=fused))
    decoupled = steps(Adam, fused=fused, decoupled_weight_decay=True)
    assert torch.equal(decoupled, steps(torch.optim.AdamW, fused=fused))


def test_a_process_that_trains_does_not_import_what_compiles():
    done = subprocess.run(
        [sys.executable, "-c", FIT], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
