"""Devices and precisions by name; kernels that serve every method."""

import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mvlib import ops
from mvlib.methods.catalogue import CATALOGUE
from mvlib.ops import autocast, resolve_device


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
