"""Records of runs: one line of JSON each, read and written whole."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvlib.check import check_choice, check_schema
from mvlib.files import NotJSON, check_plain, open_regular, parse_json, project_root, write_text
from mvlib.records.recorder import PROFILES, RECORD_SCHEMA, result_rows, rows_frame

if TYPE_CHECKING:
    import pandas as pd

Record = dict[str, Any]
_FOLDERS = {"full": "data/results", "reduced": "data/results/reduced", "quick": "runs/records"}
# Empty files named after the committed records that were found good, and the rules' number.
_GOOD, _RULES = "runs/.good", b"1"
# A write takes milliseconds.
_SECONDS_TO_WAIT = 600


def records_path(paper: str, profile: str, root: Path | None = None) -> Path:
    """Return where a paper's records lie, links followed."""
    check_choice("profile", profile, PROFILES)
    return ((root or project_root()) / _FOLDERS[profile] / f"{paper}.jsonl").resolve()


@contextmanager
def locked(path: Path, seconds: float) -> Iterator[None]:
    """Keep all other processes out, or raise filelock's `Timeout` after some seconds."""
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path, timeout=seconds):
        try:
            yield
        finally:
            # Who waits for it sees that the file is gone, and makes a new one.
            path.unlink(missing_ok=True)


@contextmanager
def writing_records(paper: str, profile: str, root: Path | None = None) -> Iterator[Path]:
    """Keep every other writer away from a paper's records, whichever checkout it works in."""
    path = records_path(paper, profile, root)
    with locked(path.with_name(f".{path.name}.lock"), _SECONDS_TO_WAIT):
        yield path


def load_records(
    paper: str | None = None,
    profile: str | None = None,
    root: Path | None = None,
    cells: Collection[str] | None = None,
) -> list[Record]:
    """Return the records at hand, or those of some cells, in the order of the files."""
    root = root or project_root()
    if profile is not None:
        check_choice("profile", profile, PROFILES)
    paths: list[Path] = []
    for each in (profile,) if profile else _FOLDERS:
        if paper is None:
            paths += sorted((root / _FOLDERS[each]).glob("[!.]*.jsonl"))
        else:
            paths.append(records_path(paper, each, root))
    found = [record for path in paths for record in _read(path, root, cells)]
    return [record for record in found if cells is None or record["cell"] in cells]


def latest_records(records: Iterable[Record]) -> list[Record]:
    """Return one record a run: the newest that succeeded, else the newest failure."""
    best: dict[str, Record] = {}
    for record in records:
        known = best.setdefault(record["cell"], record)
        best[record["cell"]] = max(
            known, record, key=lambda r: (r["status"] == "ok", recency(r))
        )
    return list(best.values())


def recency(record: Record) -> tuple[int, str]:
    """Return what tells the newer of two records of a cell: which is greater."""
    return record.get("sequence", 1), record["started"]


def records_frame(records: Iterable[Record]) -> pd.DataFrame:
    """Return the results in `records` as a table, one row a result and rule."""
    before, after = ("paper", "experiment", "profile"), ("device", "started", "cell", "key")
    rows = []
    for record in records:
        shared = {name: record[name] for name in (*before, *after)}
        # The parameters of a run that can tell its results apart.
        shared |= {
            name: value
            for name, value in record["parameters"].items()
            if name not in ("profile", "dataset", "method")
            and isinstance(value, str | int | float)
        }
        rows += [shared | row for result in record["results"] for row in result_rows(result)]
    return rows_frame(rows, before, after)


def save_record(record: Record, root: Path | None = None) -> None:
    """Put a record among those of its paper and profile, as a whole file or not at all."""
    check_record(record)

    def merge(known: list[Record]) -> list[Record]:
        earlier = [recency(other)[0] for other in known if other["cell"] == record["cell"]]
        new = {name: value for name, value in record.items() if name != "sequence"}
        if earlier:
            new["sequence"] = 1 + max(earlier)
        return [*(other for other in known if not _replaces(record, other)), new]

    _update(record["paper"], record["profile"], merge, root)


def drop_records(
    paper: str, profile: str, cells: Iterable[str], root: Path | None = None
) -> None:
    """Remove the records of `cells`, which the plan no longer holds."""
    gone = set(cells)
    if not gone:
        return
    _update(paper, profile, lambda known: [r for r in known if r["cell"] not in gone], root)


def check_record(record: Mapping[str, Any]) -> None:
    """Check a record against `record.schema.json`."""
    check_plain(record, "record")
    check_schema("record", record, RECORD_SCHEMA)


def _replaces(new: Record, old: Record) -> bool:
    if new["key"] == old["key"] and new["status"] == "ok":
        return True
    if new["cell"] != old["cell"]:
        return False
    return new["profile"] == "quick" or old["status"] == "failed"


def _update(paper: str, profile: str, change: Any, root: Path | None) -> None:
    with writing_records(paper, profile, root) as path:
        # Left by a writer that was killed; nobody else writes while we hold the lock.
        for torn in path.parent.glob(f".{path.stem}.*{path.suffix}"):
            torn.unlink(missing_ok=True)
        records = sorted(change(_read(path)), key=lambda record: record["key"])
        lines = [json.dumps(record, sort_keys=True, allow_nan=False) for record in records]
        write_text(path, "".join(f"{line}\n" for line in lines))


def _read(
    path: Path, root: Path | None = None, cells: Collection[str] | None = None
) -> list[Record]:
    try:
        with open_regular(path) as stream:
            content = stream.read()
    except FileNotFoundError:
        return []
    records, lines = [], content.splitlines(keepends=True)
    mark = None
    if root is not None and path.parent != (root / _FOLDERS["quick"]).resolve():
        rules = _RULES + RECORD_SCHEMA.read_bytes()
        mark = root / _GOOD / hashlib.sha256(rules + content).hexdigest()
        if mark.is_file():
            if cells is None:
                return [dict(record) for record in _parsed(content)]
            # Parsing is what takes long: lines that begin with another cell are left alone.
            head = len(b'{"cell": "')
            return [
                json.loads(line)
                for line in lines
                if line[:head] != b'{"cell": "'
                or line[head : line.find(b'"', head)].decode() in cells
            ]
    for number, line in enumerate(lines, start=1):
        try:
            line = line.rstrip(b"\r\n")
            _check(line)
            records.append(json.loads(line))
        except ValueError as error:
            # A whole last line that is no record is somebody's: it must not be lost.
            cut = isinstance(error, NotJSON) or not content.endswith(b"\n")
            if number < len(lines) or not cut:
                raise ValueError(
                    f"{path.name} line {number} is no record ({error}): restore the file, or "
                    "remove the line to have its run repeated"
                ) from error
            warnings.warn(
                f"{path.name}: the last line is torn and ignored; its run will be repeated",
                stacklevel=2,
            )
    if mark is not None and len(records) == len(lines):
        # Only where runs leave something anyway.
        with suppress(OSError):
            mark.parent.mkdir(exist_ok=True)
            mark.touch()
    return records


# A book asks some two hundred times for what the same few files hold.
@lru_cache(maxsize=16)
def _parsed(content: bytes) -> tuple[Record, ...]:
    return tuple(json.loads(line) for line in content.splitlines())


# A runner reads the same lines again before each run; only good ones are kept here.
@lru_cache(maxsize=2**17)
def _check(line: bytes) -> None:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotJSON(f"it is not JSON: byte {line[error.start]:#04x} is no UTF-8") from error
    check_schema("it", parse_json(text, "it"), RECORD_SCHEMA)
