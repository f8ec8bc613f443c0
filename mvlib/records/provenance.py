"""What a number depends on besides the sources: versions, threads, device."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata

from mvlib import __version__

# The packages whose version can move a number; they are part of a run's key.
PACKAGES = ("torch", "numpy", "scipy", "scikit-learn")


def versions() -> dict[str, str]:
    """Return the versions of Python, mvlib and the packages that can move a number."""
    found = {"python": platform.python_version(), "mvlib": __version__}
    for package in PACKAGES:
        try:
            # A build's local part ("+cpu") is not another version.
            found[package] = metadata.version(package).split("+")[0]
        except metadata.PackageNotFoundError:
            continue
    return found


def available_cores() -> int:
    """Return how many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads() -> int:
    """Return how many threads numerical libraries use in this process."""
    if torch := sys.modules.get("torch"):
        return int(torch.get_num_threads())
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdigit() and int(asked) else available_cores()


def device_name(device: str) -> str:
    """Return `device`, with the model of the GPU if it is one that torch has open."""
    torch = sys.modules.get("torch")
    if device.startswith("cuda") and torch is not None and torch.cuda.is_available():
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return device


def gpu_peak_memory() -> int | None:
    """Return the most bytes that torch held on the GPU, or None where it used none."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return None
    return int(torch.cuda.max_memory_allocated())
