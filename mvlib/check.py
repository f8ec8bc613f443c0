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
_BOUNDS = {
    "minimum": ">=",
    "exclusiveMinimum": ">",
    "maximum": "<=",
    "exclusiveMaximum": "<",
}


def check_choice(argument: str, value: Any, options: Iterable[str]) -> str:
    """Return `value` if it is one of `options`.

    Raises
    ------
    ValueError
        Otherwise, with the nearest option and the whole list.
    """
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
    """Return `value` if it is a finite number within its bounds.

    Parameters
    ----------
    argument : str
        The caller's name for it.
    value : object
        What came.
    low, high : float, optional
        Inclusive bounds.
    integer : bool, default=False
        Whether it must be whole.
    open_low : bool, default=False
        Whether `low` itself is out of bounds.

    Raises
    ------
    ValueError
        If it is not such a number.
    """
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
    """Return the views as finite 2-d arrays of one dtype and one length.

    Parameters
    ----------
    Xs : sequence of array-like, each (n_samples, n_features_v)
        The views.
    minimum : int, default=1
        How many views there must be.
    dtype : dtype, default=float32
        What they are converted to.
    argument : str, default="Xs"
        The caller's name for them.

    Raises
    ------
    ValueError
        If there are too few views, one is empty, not 2-d, not numeric, holds a NaN or an
        infinity, or if their lengths differ.
    """
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
    """Return labels as an int64 vector coded 0, 1, ... in sorted order of their values.

    Raises
    ------
    ValueError
        If they are not a vector of `n_samples` values without NaN.
    """
    y = np.asarray(y)
    if y.ndim != 1 or len(y) != n_samples:
        raise ValueError(
            f"{argument} has shape {y.shape}: expected ({n_samples},), one label a sample"
        )
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise ValueError(f"{argument} holds NaN or infinity: expected one label a sample")
    return np.unique(y, return_inverse=True)[1].astype(np.int64)


def check_n_clusters(n_clusters: Any, n_samples: int) -> int:
    """Return `n_clusters` if `n_samples` points can form that many clusters.

    Raises
    ------
    ValueError
        If it is not an integer from 1 to `n_samples`.
    """
    check_number("n_clusters", n_clusters, low=1, integer=True)
    if n_clusters > n_samples:
        raise ValueError(
            f"n_clusters={n_clusters} is more than n_samples={n_samples}: "
            "expected at most one cluster a sample"
        )
    return int(n_clusters)


def check_mask(mask: Any, n_samples: int, *, argument: str = "aligned") -> np.ndarray:
    """Return a boolean vector of `n_samples`.

    Raises
    ------
    ValueError
        If it is anything but booleans (or 0 and 1), or of another length.
    """
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
    """Return one matrix as `check_views` does, under its own name.

    Raises
    ------
    ValueError
        If it is empty, not 2-d, not numeric, or holds NaN or infinity.
    """
    try:
        return check_views([X], dtype=dtype, argument=argument)[0]
    except ValueError as error:
        raise ValueError(str(error).replace(f"{argument}[0]", argument)) from error


def check_pairs(lengths: Sequence[int], paired: Any = None, pairs: Any = None) -> np.ndarray:
    """Return the known pairs as row numbers.

    Parameters
    ----------
    lengths : sequence of int
        Rows of the two modalities.
    paired : array-like of shape (n_samples,), bool, optional
        True where row i of both is known to be one sample.
    pairs : array-like of shape (n_pairs, 2), int, optional
        The same as row numbers; each row is in one pair at most.

    Returns
    -------
    ndarray of shape (n_pairs, 2), int64
        No row if neither is given.

    Raises
    ------
    ValueError
        If both are given, or one does not fit the rows.
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
                f"{length - 1} of Xs[{v}]"
            )
        if len(np.unique(column)) < len(column):
            raise ValueError(f"pairs[:, {v}] names a row twice: expected one pair a row")
    return known.astype(np.int64)


def check_schema(name: str, content: Any, schema: Path) -> None:
    """Check what a file holds by a JSON schema.

    Parameters
    ----------
    name : str
        What errors call the file.
    content : object
        Plain values.
    schema : Path
        Where the schema is. The `description` of a part says in errors what is expected.

    Raises
    ------
    ValueError
        Naming the file, the place, what came and what was expected.
    """
    from fastjsonschema import JsonSchemaValueException

    try:
        _compiled(schema)(content)
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
def _compiled(schema: Path) -> Callable[[Any], Any]:
    import fastjsonschema

    return fastjsonschema.compile(json.loads(schema.read_text(encoding="utf-8")))
