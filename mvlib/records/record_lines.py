"""Lines of record files: each a whole record, or an error that says what is wrong."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from mvlib.files import NotJSON, parse_json
from mvlib.records.schemas import first_error


def parse_record(line: bytes) -> dict[str, Any]:
    """Return the record that a line of a record file holds."""
    _check(line)
    return json.loads(line)


# A runner reads the same lines again before each run; only good ones are kept here.
@lru_cache(maxsize=4096)
def _check(line: bytes) -> None:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotJSON(f"it is not JSON: byte {line[error.start]:#04x} is no UTF-8") from error
    record = parse_json(text, "it")
    if problem := first_error("record", record):
        raise ValueError(problem)
