"""The JSON schemas of this package, and what does not obey them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import lru_cache
from importlib import resources
from types import ModuleType
from typing import Any

_SLOW_HELPER = "rfc3987_syntax"


def first_error(schema: str, content: Any) -> str | None:
    """Return what is wrong first by `<schema>.schema.json`, or None."""
    import fastjsonschema

    try:
        _compiled(schema)(content)
    except fastjsonschema.JsonSchemaValueException as problem:
        error = next(_validator(schema).iter_errors(content), None)
        if error is None:
            return f"it does not obey {schema}.schema.json: {_cut(problem.message)}"
    else:
        return None
    place = "/".join(map(str, error.absolute_path)) or "it"
    return f"{place} does not obey {schema}.schema.json: {_cut(error.message)}"


def _cut(message: str) -> str:
    """Return a message without the middle of the content that it repeats."""
    most = 120
    short = len(message) <= 2 * most
    return message if short else f"{message[:most]} ... {message[-most:]}"


def quick_jsonschema() -> ModuleType:
    """Import jsonschema without its checker of IRIs, which nobody here asks for."""
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
def _compiled(schema: str) -> Callable[[Any], Any]:
    import fastjsonschema

    return fastjsonschema.compile(_content(schema))


@lru_cache
def _validator(schema: str) -> Any:
    return quick_jsonschema().Draft202012Validator(_content(schema))


@lru_cache
def _content(schema: str) -> dict[str, Any]:
    package = resources.files("mvlib.records")
    return json.loads(package.joinpath(f"{schema}.schema.json").read_text("utf-8"))
