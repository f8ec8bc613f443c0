"""Reading JSON and TOML that anybody may have written: plain values, or a clear error."""

from __future__ import annotations

import json
import math
import re
import tomllib
from pathlib import Path
from typing import Any

from mvlib._files import open_regular

# Every reader downstream, and `json.dumps`, can follow that deep.
_DEEPEST = 64
_LARGEST = 2**63
_SURROGATE = re.compile(r"[\ud800-\udfff]")


class NotJSON(ValueError):
    """A text is not JSON, as one that was cut off is not."""


def read_text(path: str | Path, name: str | None = None) -> str:
    """Return the text of a UTF-8 file.

    Parameters
    ----------
    path : str or Path
        The file.
    name : str, optional
        What errors call it; the file's own name by default.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is not UTF-8, or no regular file.
    """
    path = Path(path)
    try:
        with open_regular(path) as stream:
            return stream.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{name or path.name} {_not_text(error)}") from error


def parse_json(text: str, name: str) -> Any:
    """Return the content of a JSON text.

    Raises
    ------
    NotJSON
        If it is not JSON.
    ValueError
        Naming `name`, if it gives a name twice, or holds `NaN`, an infinity, a number beyond
        64 bits, half a surrogate pair or deep nesting.
    """
    try:
        content = json.loads(
            text, parse_constant=_no_constant, object_pairs_hook=_without_doubles
        )
    except json.JSONDecodeError as error:
        raise NotJSON(f"{name} is not JSON ({error})") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} cannot be taken as JSON: {_first_words(error)}") from error
    return check_plain(content, name)


def parse_toml(text: str, name: str) -> dict[str, Any]:
    """Return the content of a TOML text.

    Raises
    ------
    ValueError
        Naming `name`, if it is no TOML, or holds a date, a number that is not finite or
        beyond 64 bits, or deep nesting.
    """
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} is no TOML: {_first_words(error)}") from error
    return check_plain(content, name)


def read_toml(path: str | Path, name: str | None = None) -> dict[str, Any]:
    """Return the content of a TOML file, as `read_text` and `parse_toml` do."""
    name = name or Path(path).name
    return parse_toml(read_text(path, name), name)


def read_json(path: str | Path, name: str | None = None) -> Any:
    """Return the content of a JSON file, as `read_text` and `parse_json` do."""
    name = name or Path(path).name
    return parse_json(read_text(path, name), name)


def check_plain(content: Any, name: str) -> Any:
    """Return `content` if JSON can hold it and every reader can take it.

    Raises
    ------
    ValueError
        Naming `name` and the place, if it holds a number that is not finite or beyond 64
        bits, half a surrogate pair, deep nesting, or anything but plain values.
    """
    pending = [((), content)]
    while pending:
        place, value = pending.pop()
        if len(place) > _DEEPEST:
            raise ValueError(f"{name} is nested too deep: expected {_DEEPEST} levels at most")
        if isinstance(value, dict):
            pending += [((*place, key), each) for key, each in value.items()]
            if problem := next(filter(None, map(_problem, value)), None):
                raise ValueError(f"{name}: a name {problem}")
        elif isinstance(value, list | tuple):
            pending += [((*place, number), each) for number, each in enumerate(value)]
        elif problem := _problem(value):
            where = "/".join(map(str, place)) or "it"
            raise ValueError(f"{name}: {where} {problem}")
    return content


def check_table(where: str, value: Any) -> dict[str, Any]:
    """Return `value` if it is a table (an object of JSON).

    Raises
    ------
    ValueError
        Otherwise.
    """
    return _of(dict, where, value, "a table of names and values")


def check_text(where: str, value: Any) -> str:
    """Return `value` if it is text, and not empty.

    Raises
    ------
    ValueError
        Otherwise.
    """
    return _of(str, where, value or None, "text")


def check_list(where: str, value: Any, of: type = object) -> list[Any]:
    """Return `value` if it is a list whose entries are all of one type.

    Raises
    ------
    ValueError
        Otherwise.
    """
    kinds = {str: " of texts", dict: " of tables"}
    found = _of(list, where, value, f"a list{kinds.get(of, '')}")
    for entry in found:
        _of(of, where, entry, f"a list{kinds.get(of, '')}")
    return found


def shorten(text: str) -> str:
    """Return text as one line of at most 120 characters, for an error to repeat."""
    text = " ".join(text.split())
    return text if len(text) <= 120 else f"{text[:117]}..."


def _of(kind: type, where: str, value: Any, expected: str) -> Any:
    if isinstance(value, kind):
        return value
    raise ValueError(f"{where}={_short(value)}: expected {expected}")


def _problem(value: Any) -> str | None:
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, str):
        if _SURROGATE.search(value):
            return f"is {_short(value)}: expected whole characters"
        return None
    if isinstance(value, int):
        if not -_LARGEST <= value < _LARGEST:
            return "is a number beyond 64 bits: expected a smaller one"
        return None
    if isinstance(value, float):
        return None if math.isfinite(value) else f"is {value}: expected a finite number"
    return f"is {value!r}: expected text, a number, a list or a table"


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{_short(double)} stands twice in one object: expected it once")
    return found


def _no_constant(word: str) -> Any:
    raise ValueError(f"it holds {word}: expected a finite number")


def _not_text(error: UnicodeDecodeError) -> str:
    byte = error.object[error.start]
    return f"is no UTF-8 text: byte {byte:#04x} at {error.start}; expected UTF-8"


def _first_words(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return f"it is nested too deep: expected {_DEEPEST} levels at most"
    return shorten(str(error))


def _short(value: Any) -> str:
    try:
        return shorten(ascii(value))
    except RecursionError:
        return f"a {type(value).__name__}"
