"""The JSON schemas of this package, and what does not obey them."""

from __future__ import annotations

import json
import sys
from functools import lru_cache
from importlib import resources
from types import ModuleType
from typing import Any

_SLOW_HELPER = "rfc3987_syntax"


def first_error(schema: str, content: Any) -> str | None:
    """Return what is wrong first by `<schema>.schema.json`, or None."""
    error = next(_validator(schema).iter_errors(content), None)
    if error is None:
        return None
    place = "/".join(map(str, error.absolute_path)) or "it"
    return f"{place} does not obey {schema}.schema.json: {error.message}"


def quick_jsonschema() -> ModuleType:
    """Import jsonschema without its checker of IRIs, which nobody here asks for.

    That checker compiles a grammar when it is imported: seconds, at the start of every run.
    papermill and nbformat import jsonschema too, so call this before importing them.
    """
    absent = _SLOW_HELPER not in sys.modules
    if absent:
        sys.modules[_SLOW_HELPER] = None
    try:
        import jsonschema
    finally:
        if absent:
            del sys.modules[_SLOW_HELPER]
    return jsonschema


@lru_cache
def _validator(schema: str) -> Any:
    package = resources.files("mvlib.experiments")
    text = package.joinpath(f"{schema}.schema.json").read_text("utf-8")
    return quick_jsonschema().Draft202012Validator(json.loads(text))
