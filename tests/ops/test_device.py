"""Devices and precisions by name; kernels that serve every method."""

import platform
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from products import Products

from mvlib import ops
from mvlib.methods.catalogue import CATALOGUE
from mvlib.ops import autocast, resolve_device
from mvlib.ops.device import fast_products


def test_devices_and_precisions_that_cannot_be_used_are_named():
    assert resolve_device("cpu").type == "cpu"
    with pytest.raises(ValueError, match="device='gpu' cannot be used"):
        resolve_device("gpu")
    with pytest.raises(ValueError, match="precision='float16' is unknown"):
        autocast(torch.device("cpu"), "float16")


def test_products_are_rounded_where_that_is_asked_for_alone():
    for given, expected in ({}, torch.float32), ({"precision": "bfloat16"}, torch.bfloat16):
        with autocast(torch.device("cpu"), **given):
            assert (torch.eye(2) @ torch.eye(2)).dtype == expected


def rounded(X):
    """Round to eight bits of mantissa by the rule of IEEE 754: to the nearest, ties to even."""
    bits = np.asarray(X, dtype=np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << 16).astype(np.uint32).view(np.float32)


@pytest.mark.parametrize("native", [False, True])
def test_products_of_rounded_numbers_are_summed_in_float32_with_and_without_instructions(
    monkeypatch, native
):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: native)
    cpu = torch.device("cpu")
    layer = torch.nn.Linear(300, 40)
    X = torch.randn(50, 300, requires_grad=True)
    with Products() as products, fast_products(cpu, "bfloat16"):
        with autocast(cpu, "bfloat16"):
            found = layer(X)
        found.backward(torch.ones_like(found))
    assert found.dtype == torch.bfloat16
    # One product forward, one a gradient; without instructions not one of rounded type.
    expected = {torch.bfloat16} if native else {torch.float32}
    assert set(products.types) == expected
    assert len(products.types) >= 6
    W, b, values = (rounded(t.detach()).astype(float) for t in (layer.weight, layer.bias, X))
    exact = values @ W.T + b
    # A sum near a tie may be rounded to either side, by one of 256 steps.
    np.testing.assert_allclose(found.detach().float(), exact, rtol=2**-8, atol=1e-5)
    np.testing.assert_allclose(X.grad, np.tile(W.sum(0), (50, 1)), rtol=2**-8, atol=1e-5)


def test_products_in_float32_are_left_alone_where_nothing_is_rounded(monkeypatch):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    for device, precision in (("cpu", "float32"), ("meta", "bfloat16")):
        with fast_products(torch.device(device), precision) as context:
            assert context is None


def test_no_kernel_bears_the_name_of_a_paper_s_method():
    papers = {line.title.split(",")[0] for line in CATALOGUE if line.source and not line.golden}
    assert {"SMART", "TAC", "MvCLN"} <= papers
    for path in Path(ops.__file__).parent.glob("*.py"):
        words = set(re.findall(r"[\w-]+", path.read_text(encoding="utf-8")))
        assert not words & papers, path.name


# Faults of ten large arrays, one after another, when memory is kept and when it is not; then
# megabytes before and after all that is free has been given back.
FAULTS = """
import resource, sys
import numpy as np
from mvlib.ops.device import keep_freed_memory, release_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        np.ones(2**23)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() / 1e6

plain = faults()
keep_freed_memory()
kept, full = faults(), resident()
release_freed_memory()
print(plain, kept, full, resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="no other C library is told")
def test_memory_that_is_kept_is_not_faulted_in_again_and_can_be_given_back():
    ran = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True)
    plain, kept, full, released = map(float, ran.stdout.split())
    assert kept < 0.3 * plain
    assert full - released > 50
