"""Lines of record files: each a whole record, or an error that says which line and why."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from mvlib._reading import NotJSON, parse_json
from mvlib.experiments.schemas import first_error


def parse_record(line: bytes, name: str) -> dict[str, Any]:
    """Return the record that a line of a record file holds.

    Parameters
    ----------
    line : bytes
        The line.
    name : str
        What errors call it, such as "smart.jsonl line 3".

    Raises
    ------
    NotJSON
        If it is not JSON, as a line is whose writer was cut off.
    ValueError
        If it is JSON and no record: files may come from anybody, and what reads records
        relies on `record.schema.json`.
    """
    try:
        _check(line)
    except NotJSON as error:
        raise NotJSON(f"{name} {error}") from error
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    return json.loads(line)


# A runner reads the same lines again before each run; only good ones are kept here.
@lru_cache(maxsize=4096)
def _check(line: bytes) -> None:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotJSON(f"is not JSON (byte {line[error.start]:#04x} is no UTF-8)") from error
    try:
        record = parse_json(text, "it")
    except NotJSON as error:
        raise NotJSON(str(error).removeprefix("it ")) from error
    if problem := first_error("record", record):
        raise ValueError(problem)
