"""Checks of what a caller or a file gives, with errors that say what to change."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

from mvlib.files import shorten, shown

# What a JSON schema calls a type, in words of TOML.
_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a table of names and values",
    "null": "nothing",
}
_BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


def check_choice(argument: str, value: Any, options: Iterable[str]) -> str:
    """Return `value` if it is one of `options`; errors name the nearest one."""
    options = list(options)
    if value in options:
        return value
    near = difflib.get_close_matches(str(value).lower(), [o.lower() for o in options], n=1)
    hint = ""
    if near:
        nearest = next(o for o in options if o.lower() == near[0])
        hint = f" Did you mean {nearest!r}?"
    raise ValueError(
        f"{argument}={shorten(repr(value))} is unknown.{hint} Expected one of: "
        f"{', '.join(options)}."
    )


def check_number(
    argument: str,
    value: Any,
    *,
    low: float | None = None,
    high: float | None = None,
    integer: bool = False,
    open_low: bool = False,
) -> float | int:
    """Return `value` if it is a finite number within bounds (with `open_low`, above `low`)."""
    kind = Integral if integer else Real
    good = isinstance(value, kind) and not isinstance(value, bool) and np.isfinite(value)
    if good and low is not None:
        good = value > low if open_low else value >= low
    if good and high is not None:
        good = value <= high
    if good:
        return value
    bounds = []
    if low is not None:
        bounds.append(f"{'>' if open_low else '>='} {low}")
    if high is not None:
        bounds.append(f"<= {high}")
    what = "an integer" if integer else "a finite number"
    raise ValueError(
        f"{argument}={value!r} is out of range: expected {what}"
        f"{' ' if bounds else ''}{' and '.join(bounds)}"
    )


def check_views(
    Xs: Sequence[Any], *, minimum: int = 1, dtype: Any = np.float32, argument: str = "Xs"
) -> list[np.ndarray]:
    """Return at least `minimum` views as finite 2-d arrays of one dtype and one length."""
    if isinstance(Xs, np.ndarray) and Xs.ndim == 2:
        raise ValueError(
            f"{argument} is one array of shape {Xs.shape}: expected a list of views, "
            f"each (n_samples, n_features_v); write [{argument}] for a single view"
        )
    Xs = list(Xs)
    if len(Xs) < minimum:
        raise ValueError(f"{argument} has {len(Xs)} views: expected at least {minimum}")
    views = []
    for v, X in enumerate(Xs):
        try:
            view = np.ascontiguousarray(X, dtype=dtype)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{argument}[{v}] is not numeric: {error}") from error
        if view.ndim != 2 or 0 in view.shape:
            raise ValueError(
                f"{argument}[{v}] has shape {view.shape}: expected (n_samples, n_features), "
                "neither of them 0"
            )
        if not np.isfinite(view).all():
            row, column = np.argwhere(~np.isfinite(view))[0]
            raise ValueError(
                f"{argument}[{v}] holds {view[row, column]} at row {row}, column {column}: "
                "expected finite numbers; drop or impute such rows first"
            )
        views.append(view)
    lengths = [len(view) for view in views]
    if len(set(lengths)) > 1:
        raise ValueError(f"{argument} has views of different lengths {lengths}: expected one")
    return views


def check_labels(y: Any, n_samples: int, *, argument: str = "y") -> np.ndarray:
    """Return `n_samples` labels, int64, coded 0, 1, ... in sorted order of their values."""
    y = np.asarray(y)
    if y.ndim != 1 or len(y) != n_samples:
        raise ValueError(
            f"{argument} has shape {y.shape}: expected ({n_samples},), one label a sample"
        )
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise ValueError(f"{argument} holds NaN or infinity: expected one label a sample")
    return np.unique(y, return_inverse=True)[1].astype(np.int64)


def check_n_clusters(n_clusters: Any, n_samples: int) -> int:
    """Return `n_clusters` if `n_samples` points can form that many clusters."""
    check_number("n_clusters", n_clusters, low=1, integer=True)
    if n_clusters > n_samples:
        raise ValueError(
            f"n_clusters={n_clusters} is more than n_samples={n_samples}: "
            "expected at most one cluster a sample"
        )
    return int(n_clusters)


def check_mask(mask: Any, n_samples: int, *, argument: str = "aligned") -> np.ndarray:
    """Return a boolean vector of `n_samples` from booleans, or from 0 and 1."""
    mask = np.asarray(mask)
    if mask.shape != (n_samples,):
        raise ValueError(
            f"{argument} has shape {mask.shape}: expected ({n_samples},), one flag a sample"
        )
    if mask.dtype != bool:
        if mask.dtype.kind not in "iu" or not np.isin(mask, (0, 1)).all():
            raise ValueError(
                f"{argument} has dtype {mask.dtype}: expected booleans, True where the row "
                "is aligned; for row numbers, set those rows of np.zeros(n_samples, bool)"
            )
        mask = mask.astype(bool)
    return mask


def check_view(X: Any, argument: str, dtype: Any = np.float32) -> np.ndarray:
    """Return one matrix as `check_views` does, under its own name."""
    try:
        return check_views([X], dtype=dtype, argument=argument)[0]
    except ValueError as error:
        raise ValueError(str(error).replace(f"{argument}[0]", argument)) from error


def check_pairs(
    lengths: Sequence[int], paired: Any = None, pairs: Any = None, *, once: bool = True
) -> np.ndarray:
    """Return the known pairs as row numbers, int64, (n_pairs, 2), none if neither is given.

    `paired` is True where row i of both modalities is one sample; `pairs` has row numbers, each
    row, with `once`, in one pair at most.
    """
    if paired is not None and pairs is not None:
        raise ValueError("paired and pairs are both given: expected one of them")
    if paired is not None:
        if lengths[0] != lengths[1]:
            raise ValueError(
                f"paired is given for modalities of {lengths[0]} and {lengths[1]} rows: "
                "expected pairs, row numbers of both"
            )
        rows = np.flatnonzero(check_mask(paired, lengths[0], argument="paired"))
        return np.stack([rows, rows], axis=1)
    if pairs is None:
        return np.empty((0, 2), dtype=np.int64)
    known = np.asarray(pairs)
    if known.size == 0:
        return np.empty((0, 2), dtype=np.int64)
    if known.ndim != 2 or known.shape[1] != 2 or known.dtype.kind not in "iu":
        raise ValueError(
            f"pairs has shape {known.shape} and dtype {known.dtype}: expected integers, "
            "(n_pairs, 2)"
        )
    for v, length in enumerate(lengths):
        column = known[:, v]
        if column.min() < 0 or column.max() >= length:
            raise ValueError(
                f"pairs[:, {v}] goes from {column.min()} to {column.max()}: expected rows 0 to "
                f"{length - 1} of the {('first', 'second')[v]} modality"
            )
        if once and len(np.unique(column)) < len(column):
            raise ValueError(f"pairs[:, {v}] names a row twice: expected one pair a row")
    return known.astype(np.int64)


def check_schema(name: str, content: Any, schema: Path, part: str | None = None) -> None:
    """Check what a file, called `name` in errors, holds by a JSON schema, or a part of one.

    The `description` of a part of the schema says in errors what is expected there.
    """
    from fastjsonschema import JsonSchemaValueException

    try:
        _compiled(schema, part)(content)
    except JsonSchemaValueException as error:
        place = shown(error.name.removeprefix("data").lstrip("."))[1:-1]
        where = f"{name}: {place}" if place else name
        rule, wanted, value = error.rule, error.rule_definition, error.value
        if rule == "additionalProperties":
            known = error.definition["properties"]
            odd = next(each for each in value if each not in known)
            check_choice(f"{where}: entry", odd, known)
        if rule in ("required", "dependencies"):
            needed = wanted
            if rule != "required":
                needed = [each for name in wanted if name in value for each in wanted[name]]
            lacking = next(each for each in needed if each not in value)
            raise ValueError(
                f"{where} lacks {lacking}: expected {', '.join(needed)}"
            ) from error
        if rule == "enum":
            check_choice(where, value, map(str, wanted))
        raise ValueError(
            f"{where}={shown(value)}: expected {_expected(error.definition, rule, wanted)}"
        ) from error


def _expected(definition: dict[str, Any], rule: str, wanted: Any) -> str:
    if "description" in definition:
        return definition["description"]
    if rule == "type":
        return " or ".join(
            _TYPES[each] for each in ([wanted] * isinstance(wanted, str) or wanted)
        )
    if rule in ("minItems", "minLength", "minProperties") and wanted == 1:
        return "one that is not empty"
    if rule in _BOUNDS:
        return f"a number {_BOUNDS[rule]} {wanted}"
    return f"{rule} {shown(wanted)}"


@lru_cache
def _compiled(schema: Path, part: str | None) -> Callable[[Any], Any]:
    import fastjsonschema

    rules = json.loads(schema.read_text(encoding="utf-8"))
    if part is not None:
        rules = {"$defs": rules["$defs"], "$ref": f"#/$defs/{part}"}
    return fastjsonschema.compile(rules)
