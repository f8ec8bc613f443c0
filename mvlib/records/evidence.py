"""What `make bench` has measured and `make faults` has broken, kept for the book."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mvlib.check import check_schema
from mvlib.files import check_plain, project_root, read_json, write_text
from mvlib.records.provenance import threads, versions

# What the processor can multiply in half the bits decides half of the ratios.
_INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


@dataclass(frozen=True)
class Ratio:
    """One measured ratio; its target is ">= number", "<= number" or "none"."""

    name: str
    value: float
    target: str

    @property
    def held(self) -> bool | None:
        """Whether the target is held; None where there is none."""
        if self.target == "none":
            return None
        sign, bound = self.target[:2], float(self.target[2:])
        return self.value >= bound if sign == ">=" else self.value <= bound


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


def save_benchmark(name: str, ratios: Iterable[Ratio], root: str | Path | None = None) -> Path:
    """Keep the ratios of one file of benchmarks in place of its earlier ones."""
    conditions = {
        "date": datetime.now(UTC).date().isoformat(),
        "versions": versions(),
        "threads": threads(),
        "instructions": _instructions(),
    }
    # A NumPy scalar would not be written.
    rows = [asdict(ratio) | {"value": float(ratio.value)} for ratio in ratios]
    return _keep("benchmarks", {name: {"conditions": conditions, "ratios": rows}}, root)


def load_benchmarks(root: str | Path | None = None) -> dict[str, Benchmark]:
    """Return what `save_benchmark` has kept, by file."""
    return {
        name: Benchmark(found["conditions"], tuple(Ratio(**row) for row in found["ratios"]))
        for name, found in _kept("benchmarks", root).items()
    }


def save_faults(faults: Mapping[str, Fault], root: str | Path | None = None) -> Path:
    """Keep what happened, each in place of what happened the last time."""
    return _keep("faults", {name: asdict(fault) for name, fault in faults.items()}, root)


def load_faults(root: str | Path | None = None) -> dict[str, Fault]:
    """Return what `save_faults` has kept, by the name of the test."""
    return {name: Fault(**row) for name, row in _kept("faults", root).items()}


def _kept(name: str, root: str | Path | None) -> dict[str, Any]:
    path = _path(name, root)
    return _checked(name, read_json(path) if path.exists() else {})


def _keep(name: str, rows: dict[str, Any], root: str | Path | None) -> Path:
    kept = _checked(name, _kept(name, root) | rows)
    text = json.dumps(dict(sorted(kept.items())), indent=1, ensure_ascii=False)
    write_text(_path(name, root), f"{text}\n")
    return _path(name, root)


def _checked(name: str, rows: dict[str, Any]) -> dict[str, Any]:
    schema = Path(__file__).parent / "schemas" / f"{name}.schema.json"
    check_schema(f"{name}.json", check_plain(rows, f"{name}.json"), schema)
    return rows


def _path(name: str, root: str | Path | None) -> Path:
    home = project_root() if root is None else Path(root)
    return home / "data" / "results" / f"{name}.json"


def _instructions() -> list[str]:
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return []
    return [flag for flag in _INSTRUCTIONS if flag in flags]
