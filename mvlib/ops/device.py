"""Which device a computation runs on, and in which precision."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

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
    float32. Another precision is a ValueError. Whoever goes backward outside of it does so in
    `fast_products`.
    """
    check_choice("precision", precision, PRECISIONS)
    return _autocast(device, precision)


@contextmanager
def _autocast(device: torch.device, precision: str) -> Iterator[None]:
    low = precision == "bfloat16"
    with (
        torch.autocast(device.type, dtype=torch.bfloat16, enabled=low, cache_enabled=True),
        fast_products(device, precision),
    ):
        yield


def fast_products(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Return the context in which products of bfloat16 take no longer than those of float32.

    On a processor without instructions for them torch takes a hundred times as long. There,
    for matrices, the rounded numbers are multiplied and summed in float32 and the result is
    rounded, which is what the instructions do. With any other precision or device nothing
    changes.
    """
    native = torch.ops.mkldnn._is_mkldnn_bf16_supported
    if precision != "bfloat16" or device.type != "cpu" or native():
        return nullcontext()
    return _ProductsInFloat32()


class _ProductsInFloat32(TorchDispatchMode):
    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        tensors = [value for value in args if isinstance(value, torch.Tensor)]
        low = tensors and all(value.dtype == torch.bfloat16 for value in tensors)
        if not low or func.overloadpacket.__name__ not in ("addmm", "mm"):
            return func(*args, **(kwargs or {}))
        exact = (value.float() if isinstance(value, torch.Tensor) else value for value in args)
        return func(*exact, **(kwargs or {})).bfloat16()


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
