"""Checks of what a caller or a file gives, with errors that say what to change."""

from __future__ import annotations

import difflib
import json
import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
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
    good = isinstance(value, kind) and not isinstance(value, bool)
    good = good and (isinstance(value, Integral) or math.isfinite(value))
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
        f"{argument}={shorten(repr(value))} is out of range: expected {what}"
        f"{' ' if bounds else ''}{' and '.join(bounds)}"
    )


RandomState = int | np.random.Generator | np.random.RandomState | None


def resolve_seed(random_state: RandomState) -> int:
    """Return a seed: the one given, from 0 to 2**32 - 1, or drawn from a generator, or new."""
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**32))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**32, dtype=np.uint64))
    return int(check_number("random_state", random_state, low=0, high=2**32 - 1, integer=True))


# What NumPy and torch raise at what has no array.
_UNREADABLE = (TypeError, ValueError, RuntimeError)


def _on_host(values: Any) -> Any:
    """Return a tensor as NumPy can read it, and anything else as it is."""
    if not hasattr(values, "detach"):
        return values
    values = values.detach().cpu()
    return values.float() if str(values.dtype) == "torch.bfloat16" else values


def as_array(values: Any, argument: str, expected: str) -> np.ndarray:
    """Return flags, labels or row numbers as an array; masked entries are refused."""
    if np.ma.is_masked(values):
        raise ValueError(f"{argument} has masked entries: expected {expected}; leave those out")
    try:
        return np.asarray(_on_host(values))
    except _UNREADABLE as error:
        raise ValueError(f"{argument} is no array ({error}): expected {expected}") from error


def as_numbers(X: Any, argument: str, dtype: Any = None) -> np.ndarray:
    """Return an array-like of numbers as an array, of `dtype` where one is given.

    What is no plain number is refused and not cast: text, dates, complex and masked entries.
    So is what `dtype` cannot hold. An array that fits is not copied.
    """
    if hasattr(X, "toarray"):
        raise ValueError(f"{argument} is sparse: expected a dense array; give its .toarray()")
    if np.ma.is_masked(X):
        raise ValueError(
            f"{argument} has masked entries: expected numbers alone; drop or impute such rows"
        )
    try:
        array = np.asarray(_on_host(X))
        if array.dtype.kind == "O" and not all(
            isinstance(value, Real) or value is None for value in array.flat
        ):
            odd = next(v for v in array.flat if not isinstance(v, Real) and v is not None)
            raise TypeError(f"it holds {shorten(repr(odd))}")
        if array.dtype.kind not in "biufO":
            kinds = {"c": "complex numbers", "M": "dates", "m": "durations"}
            raise TypeError(f"it holds {kinds.get(array.dtype.kind, 'text')}")
        if array.dtype.kind == "O":
            array = array.astype(np.float64)
    except (*_UNREADABLE, OverflowError) as error:
        raise ValueError(f"{argument} is not numeric: {error}") from error
    if dtype is None:
        return array
    with np.errstate(over="ignore"):
        cast = np.ascontiguousarray(array, dtype=dtype)
    if cast.dtype.itemsize < array.dtype.itemsize and cast.size:
        _refuse_lost(array, cast, argument)
    return cast


def _refuse_lost(array: np.ndarray, cast: np.ndarray, argument: str) -> None:
    """Refuse numbers that a narrower type cannot hold, or cannot tell apart."""
    beyond = np.isinf(cast) & np.isfinite(array)
    if beyond.any():
        raise ValueError(
            f"{argument} holds {array[beyond][0]}, which {cast.dtype} cannot hold: expected "
            f"numbers up to {np.finfo(cast.dtype).max:.3g}; scale them"
        )
    column = lost_column(array, cast.dtype)
    if column is not None:
        values = array[:, column]
        raise ValueError(
            f"{argument} has numbers from {values.min()} to {values.max()} in column {column}, "
            f"which {cast.dtype} hardly tells apart: subtract the column's mean first"
        )


def lost_column(array: np.ndarray, dtype: Any = np.float32) -> int | None:
    """Return a column whose spread is less than some 1,000 roundings of `dtype`, or None.

    One that only rounding errors of its own make vary is not meant. Of two rows, which are near
    each other by chance in some column of many, a spread of a few roundings counts.
    """
    if array.ndim != 2 or 0 in array.shape:
        return None
    low, high = array.min(axis=0), array.max(axis=0)
    size = np.maximum(np.abs(low), np.abs(high)).astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        spread = (high - low).astype(np.float64)
        least = 500 if len(array) > 2 else 2
        lost = (spread < least * np.finfo(dtype).eps * size) & (spread > 1e-13 * size)
    return int(lost.argmax()) if lost.any() else None


def check_list_of_views(Xs: Any, argument: str = "Xs") -> list[Any]:
    """Return a list of views; one matrix in its place, or a mapping, is refused."""
    shape = getattr(Xs, "shape", ())
    if len(shape) == 2:
        raise ValueError(
            f"{argument} is one array of shape {tuple(shape)}: expected a list of views, "
            f"each (n_samples, n_features_v); write [{argument}] for a single view"
        )
    if isinstance(Xs, Mapping | str) or not isinstance(Xs, Iterable):
        hint = f"; write list({argument}.values())" if isinstance(Xs, Mapping) else ""
        raise ValueError(
            f"{argument} is of type {type(Xs).__name__}: expected a list of views{hint}"
        )
    return list(Xs)


def feature_names(X: Any) -> np.ndarray | None:
    """Return the columns' names if `X` is a frame whose columns are all named by strings."""
    names = getattr(X, "columns", None)
    if names is None or not all(isinstance(name, str) for name in names):
        return None
    return np.asarray(names, dtype=object)


def check_views(
    Xs: Sequence[Any],
    *,
    minimum: int = 1,
    dtype: Any = np.float32,
    argument: str = "Xs",
    names: Sequence[str] = (),
) -> list[np.ndarray]:
    """Return at least `minimum` views as finite 2-d arrays of one dtype and one length."""
    Xs = check_list_of_views(Xs, argument)
    if len(Xs) < minimum:
        raise ValueError(f"{argument} has {len(Xs)} views: expected at least {minimum}")
    views = []
    for v, X in enumerate(Xs):
        name = names[v] if names else f"{argument}[{v}]"
        view = as_numbers(X, name, dtype)
        if view.ndim != 2 or 0 in view.shape:
            raise ValueError(
                f"{name} has shape {view.shape}: expected (n_samples, n_features), "
                "neither of them 0"
            )
        if not np.isfinite(view).all():
            row, column = np.argwhere(~np.isfinite(view))[0]
            raise ValueError(
                f"{name} holds {view[row, column]} at row {row}, column {column}: "
                "expected finite numbers; drop or impute such rows first"
            )
        views.append(view)
    lengths = [len(view) for view in views]
    if len(set(lengths)) > 1:
        raise ValueError(f"{argument} has views of different lengths {lengths}: expected one")
    return views


def as_labels(y: Any, argument: str = "y") -> np.ndarray:
    """Return a vector of labels, none of them missing."""
    y = as_array(y, argument, "one label a sample")
    if y.ndim != 1:
        raise ValueError(
            f"{argument} has shape {y.shape}: expected a vector, one label a sample"
        )
    numeric = y.dtype.kind in "fc"
    if numeric and not np.isfinite(y).all():
        raise ValueError(f"{argument} holds NaN or infinity: expected one label a sample")
    if y.dtype.kind in "OmM" and any(map(_missing, y)):
        raise ValueError(f"{argument} holds NaN or None: expected one label a sample")
    return y


def _missing(value: Any) -> bool:
    """Return whether a value is None, differs from itself, or cannot say, as pandas' NA."""
    try:
        return value is None or bool(value != value)
    except (TypeError, ValueError):
        return True


def coded(y: np.ndarray, argument: str = "y") -> np.ndarray:
    """Return labels as 0, 1, ... in sorted order of their values."""
    try:
        return np.unique(y, return_inverse=True)[1].astype(np.int64)
    except TypeError as error:
        raise ValueError(
            f"{argument} holds labels of kinds that do not sort ({error}): expected one kind"
        ) from error


def check_labels(y: Any, n_samples: int, *, argument: str = "y") -> np.ndarray:
    """Return `n_samples` labels, int64, coded 0, 1, ... in sorted order of their values."""
    y = as_array(y, argument, "one label a sample")
    if y.shape != (n_samples,):
        raise ValueError(
            f"{argument} has shape {y.shape}: expected ({n_samples},), one label a sample"
        )
    return coded(as_labels(y, argument), argument)


def check_n_clusters(n_clusters: Any, n_samples: int) -> int:
    """Return `n_clusters` if `n_samples` points can form that many clusters."""
    check_number("n_clusters", n_clusters, low=1, integer=True)
    if n_clusters > n_samples:
        raise ValueError(
            f"n_clusters={shorten(repr(n_clusters))} is more than n_samples={n_samples}: "
            "expected at most one cluster a sample"
        )
    return int(n_clusters)


def warn_fewer(found: int, n_clusters: int) -> None:
    """Warn as scikit-learn does where fewer rows are distinct than clusters are asked for."""
    from sklearn.exceptions import ConvergenceWarning

    warnings.warn(
        f"Number of distinct clusters ({found}) found smaller than n_clusters ({n_clusters}). "
        "Possibly due to duplicate points in X.",
        ConvergenceWarning,
        stacklevel=4,
    )


def check_mask(mask: Any, n_samples: int, *, argument: str = "aligned") -> np.ndarray:
    """Return a boolean vector of `n_samples` from booleans, or from 0 and 1."""
    mask = as_array(mask, argument, "one flag a sample")
    if mask.shape != (n_samples,):
        raise ValueError(
            f"{argument} has shape {mask.shape}: expected ({n_samples},), one flag a sample"
        )
    if mask.dtype != bool:
        if mask.dtype.kind not in "iu" or not np.isin(mask, (0, 1)).all():
            raise ValueError(
                f"{argument} has dtype {mask.dtype}: expected booleans, True where the row "
                f"is {argument}; for row numbers, set those rows of np.zeros(n_samples, bool)"
            )
        mask = mask.astype(bool)
    return mask


def check_present(present: Any, n_samples: int, n_views: int) -> np.ndarray:
    """Return which views each sample has, bool; each sample and each view must keep one."""
    present = as_array(present, "present", "one flag a sample and view")
    if present.shape != (n_samples, n_views):
        raise ValueError(
            f"present has shape {present.shape}: expected ({n_samples}, {n_views}), one flag "
            "a sample and view"
        )
    mask = check_mask(present.ravel(), present.size, argument="present").reshape(present.shape)
    for axis, what in ((1, "sample"), (0, "view")):
        lost = ~mask.any(axis=axis)
        if lost.any():
            raise ValueError(
                f"present has no True for {what} {lost.argmax()}: expected one at least"
            )
    return mask


def check_view(X: Any, argument: str, dtype: Any = np.float32) -> np.ndarray:
    """Return one matrix as `check_views` does, under its own name."""
    return check_views([X], dtype=dtype, names=[argument])[0]


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
    known = as_array(pairs, "pairs", "row numbers, (n_pairs, 2)")
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
        place = shown(str(error.name).removeprefix("data").lstrip("."))[1:-1]
        where = f"{name}: {place}" if place else name
        rule, wanted, value = str(error.rule), error.rule_definition, error.value
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


def check_widths(views: Sequence[np.ndarray], fitted: Sequence[int]) -> None:
    """Refuse views of other widths than those that were fitted."""
    widths = [view.shape[1] for view in views]
    if widths != list(fitted):
        raise ValueError(f"Xs has widths {widths}: expected {list(fitted)}, as fitted")


# Takes a parameter's name and its value, and raises a ValueError where it is out of bounds.
Bound = Callable[[str, Any], Any]


def real(
    low: float | None = None, high: float | None = None, *, open_low: bool = False
) -> Bound:
    """Bound a number; `open_low` leaves `low` itself out."""
    return partial(check_number, low=low, high=high, open_low=open_low)


def whole(low: int = 1, high: int | None = None) -> Bound:
    """Bound a whole number."""
    return partial(check_number, low=low, high=high, integer=True)


def choice(options: Iterable[str]) -> Bound:
    """Allow these words."""
    return partial(check_choice, options=tuple(options))


def optional(bound: Bound) -> Bound:
    """Allow None as well."""
    return lambda name, value: None if value is None else bound(name, value)


def flag(name: str, value: Any) -> None:
    """Allow True and False."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name}={value!r} is unknown: expected True or False")


def each(bound: Bound) -> Bound:
    """Allow a sequence of what `bound` allows."""

    def check(name: str, values: Any) -> None:
        if isinstance(values, str):
            raise ValueError(f"{name}={values!r} is a string: expected a sequence of entries")
        if not isinstance(values, Iterable):
            raise ValueError(f"{name}={values!r}: expected a sequence, such as ({values!r},)")
        for value in values:
            bound(name, value)

    return check
