"""Which device a computation runs on, and in which precision."""

from __future__ import annotations

import ctypes
from contextlib import AbstractContextManager

import torch

from mvlib.check import RandomState, check_choice, resolve_seed

PRECISIONS = ("float32", "bfloat16")
# mallopt's names in the C library of Linux: what is free at the top stays up to so many bytes,
# and how many arrays are asked of the system one by one.
_TRIM_THRESHOLD, _MMAP_MAX = (-1, 2**31 - 1), (-4, 0)


def resolve_device(device: str = "auto") -> torch.device:
    """Return the torch device that `device` names.

    Parameters
    ----------
    device : str, default="auto"
        "auto" takes the first GPU if torch sees one, else the CPU. Otherwise a name that torch
        knows, such as "cpu" or "cuda:1"; a ValueError if it cannot be used here.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
        torch.empty(1, device=resolved).tolist()
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        if isinstance(error, TypeError):
            reason = f"it is of type {type(device).__name__}"
        raise ValueError(
            f"device={device!r} cannot be used here ({reason}): expected 'auto', 'cpu', or a "
            "device that torch sees, such as 'cuda'"
        ) from error
    return resolved


def seeded_generator(random_state: RandomState) -> torch.Generator:
    """Return a generator on the CPU, of a seed of its own if none is given."""
    return torch.Generator().manual_seed(resolve_seed(random_state))


def autocast(
    device: torch.device, precision: str = "float32"
) -> AbstractContextManager[object]:
    """Return the context in which matrix products run in `precision`, "float32" by default.

    In "bfloat16" torch's autocast chooses, operation by operation; weights and sums stay
    float32. Another precision is a ValueError.
    """
    check_choice("precision", precision, PRECISIONS)
    return torch.autocast(
        device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16", cache_enabled=True
    )


def keep_freed_memory() -> None:
    """Let this process keep the memory of freed arrays, where its C library can be told so.

    Otherwise each large array of a convolutional network is asked of the system anew, which
    takes half of its time on a CPU. For programs, not for libraries: it can't be taken back.
    """
    if libc := _c_library():
        libc.mallopt(*_TRIM_THRESHOLD)
        libc.mallopt(*_MMAP_MAX)


def release_freed_memory() -> None:
    """Give the system back the memory of freed arrays, where the C library can."""
    if libc := _c_library():
        libc.malloc_trim(0)


def _c_library() -> ctypes.CDLL | None:
    try:
        libc = ctypes.CDLL(None)
    except (OSError, TypeError):
        return None
    return libc if hasattr(libc, "malloc_trim") and hasattr(libc, "mallopt") else None
