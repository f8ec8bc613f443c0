"""What a number depends on is told as it is, on machines with a GPU and without."""

import os
import sys
from types import SimpleNamespace

import pytest

from mvlib.records import provenance


def torch_with(available=True, initialized=True):
    cuda = SimpleNamespace(
        is_available=lambda: available, is_initialized=lambda: initialized,
        get_device_name=lambda device: f"model of {device}", max_memory_allocated=lambda: 7.0,
    )  # fmt: skip
    return SimpleNamespace(cuda=cuda, get_num_threads=lambda: 5)


@pytest.mark.parametrize(
    ("torch", "name", "peak"),
    [
        (None, "cuda", None),
        (torch_with(available=False), "cuda", None),
        (torch_with(initialized=False), "cuda (model of cuda)", None),
        (torch_with(), "cuda (model of cuda)", 7),
    ],
)
def test_a_gpu_and_its_memory_are_told_where_torch_has_one(torch, name, peak, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert [provenance.device_name(device) for device in ("cuda", "cpu")] == [name, "cpu"]
    assert provenance.gpu_peak_memory() == peak


def test_threads_are_torchs_else_those_asked_for_else_all_cores(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", torch_with())
    assert provenance.threads() == 5
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(provenance, "available_cores", lambda: 9)
    for asked, told in {"3": 3, "0": 9, "": 9, "many": 9}.items():
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
        assert provenance.threads() == told


def test_cores_are_those_at_hand_else_those_there_are_else_one(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0: "ab"}[pid])
    assert provenance.available_cores() == 2
    monkeypatch.delattr(os, "sched_getaffinity")
    for count, told in ((7, 7), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda count=count: count)
        assert provenance.available_cores() == told


def test_the_local_part_of_a_version_is_left_out(monkeypatch):
    monkeypatch.setattr(provenance.metadata, "version", lambda package: "2.1.0+cpu")
    assert provenance._version.__wrapped__("torch") == "2.1.0"
