"""Ratios that `make bench` has measured, kept for the book."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mvlib.check import check_number
from mvlib.files import (
    check_list,
    check_table,
    check_text,
    project_root,
    read_json,
    shorten,
    write_text,
)
from mvlib.records.provenance import threads, versions

_TARGET = re.compile(r"(>=|<=) ?(\d+(?:\.\d+)?)")
# What the processor can multiply in half the bits decides half of the ratios.
_INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


@dataclass(frozen=True)
class Ratio:
    """One measured ratio."""

    name: str
    value: float
    target: str

    def __post_init__(self) -> None:
        if self.target != "none" and not _TARGET.fullmatch(self.target):
            raise ValueError(
                f"target: got {shorten(repr(self.target))}; expected '>= number', "
                "'<= number' or 'none'"
            )
        # A NumPy scalar would not be written.
        object.__setattr__(self, "value", float(check_number("value", self.value)))

    @property
    def held(self) -> bool | None:
        """Whether the target is held; None where there is none."""
        if self.target == "none":
            return None
        sign, bound = _TARGET.fullmatch(self.target).groups()
        return self.value >= float(bound) if sign == ">=" else self.value <= float(bound)


@dataclass(frozen=True)
class Benchmark:
    """The ratios of one file of benchmarks, and what they were measured under."""

    conditions: dict[str, Any]
    ratios: tuple[Ratio, ...]


def save_benchmark(name: str, ratios: Iterable[Ratio], root: str | Path | None = None) -> Path:
    """Keep the ratios of one file of benchmarks in place of its earlier ones."""
    path = _path(root)
    kept = check_table(path.name, read_json(path) if path.exists() else {})
    conditions = {
        "versions": versions(),
        "threads": threads(),
        "instructions": _instructions(),
    }
    kept[name] = {"conditions": conditions, "ratios": [asdict(ratio) for ratio in ratios]}
    write_text(path, json.dumps(dict(sorted(kept.items())), indent=1) + "\n")
    return path


def load_benchmarks(root: str | Path | None = None) -> dict[str, Benchmark]:
    """Return what `save_benchmark` has kept, by file."""
    path = _path(root)
    kept = read_json(path) if path.exists() else {}
    return {
        name: _benchmark(f"{path.name}: {name}", found)
        for name, found in check_table(path.name, kept).items()
    }


def _benchmark(where: str, found: Any) -> Benchmark:
    _check_names(where, found, ("conditions", "ratios"))
    conditions = found["conditions"]
    _check_names(f"{where}: conditions", conditions, ("versions", "threads", "instructions"))
    for package, version in check_table(f"{where}: versions", conditions["versions"]).items():
        check_text(f"{where}: versions: {package}", version)
    check_number(f"{where}: threads", conditions["threads"], low=1, integer=True)
    check_list(f"{where}: instructions", conditions["instructions"], str)
    ratios = []
    for number, row in enumerate(check_list(f"{where}: ratios", found["ratios"], dict)):
        place = f"{where}: ratios/{number}"
        _check_names(place, row, ("name", "value", "target"))
        check_text(f"{place}: name", row["name"])
        check_text(f"{place}: target", row["target"])
        try:
            ratios.append(Ratio(**row))
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from error
    return Benchmark(conditions, tuple(ratios))


def _check_names(where: str, found: Any, expected: tuple[str, ...]) -> None:
    if set(check_table(where, found)) != set(expected):
        raise ValueError(
            f"{where} holds {shorten(', '.join(found)) or 'nothing'}: expected "
            f"{', '.join(expected)}"
        )


def _path(root: str | Path | None) -> Path:
    home = project_root() if root is None else Path(root)
    return home / "data" / "results" / "benchmarks.json"


def _instructions() -> list[str]:
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return []
    return [flag for flag in _INSTRUCTIONS if flag in flags]
