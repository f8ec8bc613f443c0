"""What a number depends on: versions, threads, device, and the files of mvlib."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib import metadata
from pathlib import Path

import mvlib
from mvlib.files import check_table, file_stamp, read_json, sha256_of, write_text

# The packages whose version can move a number; they are part of a run's key.
PACKAGES = ("torch", "numpy", "scipy", "scikit-learn")
_PACKAGE = Path(mvlib.__file__).resolve().parent
# A file's own number, size and times: the last of them cannot be set back.
Stamp = tuple[int, int, int, int]


def versions() -> dict[str, str]:
    """Return the versions of Python, mvlib and the packages that can move a number."""
    found = {"python": platform.python_version(), "mvlib": mvlib.__version__}
    for package in PACKAGES:
        if version := _version(package):
            found[package] = version
    return found


@lru_cache
def _version(package: str) -> str | None:
    try:
        # A build's local part ("+cpu") is not another version.
        return metadata.version(package).split("+")[0]
    except metadata.PackageNotFoundError:
        return None


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


def stamps() -> dict[str, Stamp | None]:
    """Return mvlib's files, named from its folder, each with what any change of it changes."""
    names = (os.path.relpath(path, _PACKAGE) for path in _PACKAGE.rglob("*.py"))
    return {name: stamp_of(name) for name in names}


def stamp_of(name: str) -> Stamp | None:
    """Return what any change of one of mvlib's files changes, None where it is gone."""
    try:
        return file_stamp(_PACKAGE / name)
    except (OSError, ValueError):
        return None


def checksum_of(name: str) -> str | None:
    """Return the sha256 of one of mvlib's files, None where it is gone."""
    stamp = stamp_of(name)
    return None if stamp is None else _read(str(_PACKAGE / name), stamp)


def checksums(names: Iterable[str]) -> dict[str, str | None]:
    """Return the sha256 of some of mvlib's files, None for one that is gone."""
    return {name: checksum_of(name) for name in sorted(names)}


def package_files(paths: Iterable[str]) -> list[str]:
    """Return mvlib's files among some paths, named from its folder."""
    places = [Path(path).resolve() for path in paths]
    return [
        str(place.relative_to(_PACKAGE)) for place in places if place.is_relative_to(_PACKAGE)
    ]


def save_sources(executed: str, sources: Mapping[str, str | None], root: Path) -> None:
    """Keep the checksums of the modules that a run has loaded beside its notebook."""
    write_text(_beside(executed, root), json.dumps(sources, indent=1) + "\n")


def sources_are_those_of(executed: str, root: Path) -> bool:
    """Return whether the modules that an executed notebook has used are today's."""
    try:
        path = _beside(executed, root)
        kept = check_table(path.name, read_json(path))
    except (OSError, ValueError):
        return False
    # A module that was gone is none that is there.
    return None not in kept.values() and kept == checksums(kept)


def _beside(executed: str, root: Path) -> Path:
    return (root / executed).with_suffix(".sources.json")


@lru_cache(maxsize=4096)
def _read(path: str, stamp: Stamp) -> str | None:
    try:
        return sha256_of(path)
    except (OSError, ValueError):
        return None
