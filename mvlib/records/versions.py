"""The version of each method, held by `tests/golden`, and which one a record is of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from mvlib.check import check_schema
from mvlib.files import read_json
from mvlib.methods.catalogue import CATALOGUE

# Names as records have them, or their beginnings: "k-means" is also "k-means, view 1". Of
# several methods that share a beginning the highest version holds.
VERSIONS = {
    name: method.version
    for method in sorted(CATALOGUE, key=lambda method: method.version)
    for name in method.recorded or (method.title,)
}
LEDGER = "data/results/versions.json"
_SCHEMA = Path(__file__).parent / "schemas" / "versions.schema.json"


def method_of(recorded: str, own: str) -> str:
    """Return the method that a recorded name belongs to."""
    fitting = [name for name in VERSIONS if f"{recorded} ".startswith((f"{name} ", f"{name},"))]
    return max(fitting, key=len, default=own)


def versions_of(results: Iterable[Mapping[str, Any]], own: str) -> dict[str, int]:
    """Return today's version of each method among some results."""
    names = {method_of(name, own) for name in {result["method"] for result in results}}
    return {name: VERSIONS.get(name, 1) for name in sorted(names)}


def recorded_versions(record: Mapping[str, Any], own: str, root: Path) -> dict[str, int]:
    """Return the versions that a record is of: as it says, else as the ledger does."""
    if (said := record.get("method_versions")) is not None:
        return said
    version = _ledger(root).get(record["key"], 0)
    return dict.fromkeys(versions_of(record["results"], own), version)


def is_vouched_for(record: Mapping[str, Any], root: Path) -> bool:
    """Return whether the ledger has a record, whatever has become of its notebook since."""
    return record["key"] in _ledger(root)


def is_earlier(versions: Mapping[str, int]) -> bool:
    """Return whether one of these versions is lower than today's."""
    return any(version < VERSIONS.get(name, 1) for name, version in versions.items())


def _ledger(root: Path) -> Mapping[str, int]:
    path = root / LEDGER
    try:
        changed = path.stat().st_mtime_ns
    except FileNotFoundError:
        return {}
    return _read_ledger(path, changed)


@lru_cache
def _read_ledger(path: Path, changed: int) -> Mapping[str, int]:
    content = read_json(path)
    check_schema(path.name, content, _SCHEMA)
    return {key: int(version) for version, keys in content.items() for key in keys}
