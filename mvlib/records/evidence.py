"""What `make bench` has measured and `make faults` has broken, kept for the book."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mvlib.check import check_choice, check_number, check_schema
from mvlib.files import project_root, read_json, shorten, write_text
from mvlib.records.provenance import threads, versions

PASSED = "passed"
FAILED = "failed"
NOT_TRIED = "could not be tried"
_TARGET = re.compile(r"(>=|<=) ?(\d+(?:\.\d+)?)")
# What the processor can multiply in half the bits decides half of the ratios.
_INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


@dataclass(frozen=True)
class Ratio:
    """One measured ratio; its target is ">= number", "<= number" or "none"."""

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


@dataclass(frozen=True)
class Fault:
    """One thing that was broken, and what happened."""

    tried: str
    happened: str
    verdict: str
    times: int
    seconds: float
    date: str
    versions: dict[str, str]

    def __post_init__(self) -> None:
        check_choice("verdict", self.verdict, (PASSED, FAILED, NOT_TRIED))
        check_number("times", self.times, low=0, integer=True)
        check_number("seconds", self.seconds, low=0)


def save_benchmark(name: str, ratios: Iterable[Ratio], root: str | Path | None = None) -> Path:
    """Keep the ratios of one file of benchmarks in place of its earlier ones."""
    conditions = {
        "versions": versions(),
        "threads": threads(),
        "instructions": _instructions(),
    }
    entry = {"conditions": conditions, "ratios": [asdict(ratio) for ratio in ratios]}
    return _keep("benchmarks", {**_kept("benchmarks", root), name: entry}, root)


def load_benchmarks(root: str | Path | None = None) -> dict[str, Benchmark]:
    """Return what `save_benchmark` has kept, by file."""
    return {
        name: Benchmark(
            found["conditions"],
            tuple(
                _made(Ratio, f"benchmarks.json: {name}: ratios/{number}", row)
                for number, row in enumerate(found["ratios"])
            ),
        )
        for name, found in _kept("benchmarks", root).items()
    }


def save_faults(faults: Mapping[str, Fault], root: str | Path | None = None) -> Path:
    """Keep what happened, each in place of what happened the last time."""
    rows = {name: asdict(fault) for name, fault in faults.items()}
    return _keep("faults", {**_kept("faults", root), **rows}, root)


def load_faults(root: str | Path | None = None) -> dict[str, Fault]:
    """Return what `save_faults` has kept, by the name of the test."""
    return {
        name: _made(Fault, f"faults.json: {name}", row)
        for name, row in _kept("faults", root).items()
    }


def _made(kind: type, where: str, row: dict[str, Any]) -> Any:
    try:
        return kind(**row)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _kept(name: str, root: str | Path | None) -> dict[str, Any]:
    path = _path(name, root)
    kept = read_json(path) if path.exists() else {}
    check_schema(path.name, kept, Path(__file__).with_name(f"{name}.schema.json"))
    return kept


def _keep(name: str, rows: Mapping[str, Any], root: str | Path | None) -> Path:
    text = json.dumps(dict(sorted(rows.items())), indent=1, ensure_ascii=False)
    write_text(_path(name, root), f"{text}\n")
    return _path(name, root)


def _path(name: str, root: str | Path | None) -> Path:
    home = project_root() if root is None else Path(root)
    return home / "data" / "results" / f"{name}.json"


def _instructions() -> list[str]:
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return []
    return [flag for flag in _INSTRUCTIONS if flag in flags]
