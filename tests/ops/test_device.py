"""Devices and precisions by name."""

import pytest
import torch

from mvlib.ops import autocast, resolve_device


def test_devices_and_precisions_that_cannot_be_used_are_named():
    assert resolve_device("cpu").type == "cpu"
    with pytest.raises(ValueError, match="device='gpu' cannot be used"):
        resolve_device("gpu")
    with pytest.raises(ValueError, match="precision='float16' is unknown"):
        autocast(torch.device("cpu"), "float16")
