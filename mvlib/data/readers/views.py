"""Reading files of several views: one function a layout; and packing those that ship.

Each reader returns the asked views as `(n_samples, n_features_v)` arrays in the file's own
dtype, and the labels as the file codes them.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mvlib.check import check_choice, check_labels
from mvlib.data.cards import describe
from mvlib.data.readers.apart import read_apart
from mvlib.files import reading, replacing

Layout = Mapping[str, Any]
_Found = tuple[dict[str, np.ndarray], np.ndarray]
_MOST_DECIMALS = 8


def read_layout(
    path: Path, reader: str, layout: Layout, views: Sequence[str], trusted: bool = True
) -> _Found:
    """Return the asked views, by name and in the file's own dtype, and the labels.

    `layout` says where they are: see the function of each reader. With `sort_by_label = true`
    rows are sorted by label with NumPy's default sort, which is not stable, as SMART's code has
    Reuters_dim10. Labels are int64, coded 0, 1, ... in the order of the file's codes. A file
    whose bytes are not known (not `trusted`) is read in a process of its own. One that is not
    readable, or not of that layout, is a ValueError.
    """
    path, names = Path(path), list(views)
    if trusted:
        y, *arrays = _read(path, reader, layout, names)
    else:
        y, *arrays = read_apart(f"{__name__}:_read", path, reader, dict(layout), names)
    for name, X in zip(names, arrays, strict=True):
        if X.ndim != 2 or len(X) != len(y):
            raise ValueError(
                f"{path}: view {name!r} has shape {X.shape} and there are {len(y)} labels: "
                f"expected ({len(y)}, n_features); the file is not of the layout {reader!r}"
            )
    if layout.get("sort_by_label", False):
        rows = np.argsort(y)
        arrays, y = [X[rows] for X in arrays], y[rows]
    labels = check_labels(y, len(y), argument=f"the labels of {path}")
    return dict(zip(names, arrays, strict=True)), labels


def _read(path: Path, reader: str, layout: Layout, views: Sequence[str]) -> list[np.ndarray]:
    """Return the labels as the file codes them, then the views."""
    found, y = _READERS[check_choice("reader", reader, _READERS)](path, layout, views)
    return [np.asarray(y).ravel(), *found.values()]


def read_cells(path: Path, layout: Layout, views: Sequence[str]) -> _Found:
    """Read a .mat file whose views are the cells of one cell array.

    `layout`: `cells` and `labels`, the variables; `positions`, view name to cell, from 0;
    `samples`, "rows" (default) or "columns".
    """
    contents = read_mat(path, [layout["cells"], layout["labels"]])
    cells = contents[layout["cells"]].ravel()
    found = {}
    for name in views:
        position = layout["positions"][name]
        if cells.dtype != object or position >= len(cells):
            raise ValueError(
                f"{path}: {layout['cells']!r} is an array of shape {cells.shape} and dtype "
                f"{cells.dtype}: expected a cell array of at least {position + 1} views"
            )
        view = _dense(cells[position])
        found[name] = view.T if layout.get("samples", "rows") == "columns" else view
    return found, _dense(contents[layout["labels"]])


def read_arrays(path: Path, layout: Layout, views: Sequence[str]) -> _Found:
    """Read a .mat file in which each view is a variable of its own.

    `layout`: `variables`, view name to variable; `labels`, the label variable; `crop`
    (optional), view name to `[side, first, last]`: rows are square images of that side, of
    which rows and columns first..last (both included) are kept.
    """
    variables = layout["variables"]
    contents = read_mat(path, [*(variables[name] for name in views), layout["labels"]])
    found = {}
    for name in views:
        view = _dense(contents[variables[name]])
        if name in layout.get("crop", {}):
            view = _crop(path, name, view, *layout["crop"][name])
        found[name] = view
    return found, _dense(contents[layout["labels"]])


def read_train_test(path: Path, layout: Layout, views: Sequence[str]) -> _Found:
    """Read a .mat file of train and test views, the train rows first.

    `x_train` and `x_test` are (n_views, n_samples, n_features) arrays or cell arrays of views;
    `y_train` and `y_test` the labels. `layout`: `positions`, view name to view, from 0.
    """
    contents = read_mat(path, ["x_train", "x_test", "y_train", "y_test"])
    parts = {}
    for part in ("x_train", "x_test"):
        stack = contents[part]
        parts[part] = list(stack.ravel()) if stack.dtype == object else list(stack)
    found = {}
    for name in views:
        position = layout["positions"][name]
        if any(position >= len(part) for part in parts.values()):
            raise ValueError(
                f"{path}: x_train and x_test hold {[len(part) for part in parts.values()]} "
                f"views: expected at least {position + 1}"
            )
        found[name] = np.vstack([_dense(part[position]) for part in parts.values()])
    labels = [_dense(contents[part]).ravel() for part in ("y_train", "y_test")]
    return found, np.concatenate(labels)


def read_npz(path: Path, layout: Layout, views: Sequence[str]) -> _Found:
    """Read an npz written by `mvlib.data.pack_handwritten`; `layout` is not used."""
    with reading(path, "npz of packed views"), np.load(path, allow_pickle=False) as archive:
        decimals = dict(zip(archive["views"].tolist(), archive["decimals"], strict=True))
        found = {name: archive[name] / 10.0 ** int(decimals[name]) for name in views}
        return found, archive["labels"]


def read_zipped(path: Path, layout: Layout, views: Sequence[str]) -> _Found:
    """Read a zip of npy files.

    `layout`: `variables`, view name to the file of the view, and `labels`, without ".npy".
    """
    with reading(path, "zip of arrays"), np.load(path, allow_pickle=False) as archive:
        found = {name: archive[layout["variables"][name]] for name in views}
        return found, archive[layout["labels"]]


_READERS: dict[str, Callable[..., _Found]] = {
    "cells": read_cells,
    "arrays": read_arrays,
    "train_test": read_train_test,
    "zipped": read_zipped,
    "npz": read_npz,
}


def read_mat(path: Path, variables: Sequence[str], squeeze: bool = False) -> dict[str, Any]:
    """Return the asked variables of a MATLAB file of version 5."""
    import scipy.io

    with reading(path, "MATLAB file"):
        try:
            contents = scipy.io.loadmat(
                path, variable_names=list(variables), squeeze_me=squeeze
            )
        except NotImplementedError as error:
            raise ValueError(
                "it is of version 7.3; expected version 5; save it again with `-v7`"
            ) from error
    if missing := [name for name in variables if name not in contents]:
        present = sorted(name for name, *_ in scipy.io.whosmat(path))
        raise ValueError(
            f"{path} has no variable {missing[0]!r}: it holds {', '.join(present)}; "
            f"expected {', '.join(variables)}"
        )
    return contents


def _dense(array: Any) -> np.ndarray:
    """Return a dense array of what may be sparse."""
    return array.toarray() if hasattr(array, "toarray") else np.asarray(array)


def _crop(
    path: Path, name: str, view: np.ndarray, side: int, first: int, last: int
) -> np.ndarray:
    """Return the middle of square images, refusing to cut away anything but zeros."""
    if view.ndim != 2 or view.shape[1] != side * side:
        raise ValueError(
            f"{path}: view {name!r} has shape {view.shape}: expected {side * side} columns, "
            f"images of {side} x {side}"
        )
    images = view.reshape(-1, side, side)
    middle = images[:, first : last + 1, first : last + 1]
    if np.count_nonzero(middle) != np.count_nonzero(images):
        raise ValueError(
            f"{path}: view {name!r} is not zero outside rows and columns {first} to {last}: "
            "expected images padded with zeros"
        )
    return middle.reshape(len(view), -1)


def pack_handwritten(mat_path: str | Path, npz_path: str | Path) -> Path:
    """Pack `HandWritten.mat` into the npz that ships with mvlib, without loss; return its path.

    The file prints at most eight decimals, so each view is stored as whole numbers and the
    power of ten that divides them: that gives back every float64 bit of the original. Without
    time stamps the same input gives the same bytes with the same zlib.

    Parameters
    ----------
    mat_path, npz_path : str or Path
        `HandWritten.mat`, such as ``fetch("handwritten", original=True)`` returns, and what to
        write; see `data/embedded/README.md` for its arrays.

    Raises
    ------
    ValueError
        If the file has another layout, or a view needs more than eight decimals.
    """
    description = describe("handwritten")
    names = [view.name for view in description.views]
    views, y = read_layout(Path(mat_path), "cells", description.layout, names)
    arrays = {"labels": y.astype(np.uint8), "views": np.array(names)}
    decimals = []
    for name in names:
        arrays[name], places = _as_integers(name, views[name])
        decimals.append(places)
    arrays["decimals"] = np.array(decimals, dtype=np.uint8)
    with replacing(npz_path) as temporary:
        temporary.write_bytes(_npz_bytes(arrays))
    return Path(npz_path)


def _as_integers(name: str, view: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the smallest-typed integers and the decimals that give `view` exactly."""
    values = view.astype(np.float64)
    for decimals in range(_MOST_DECIMALS + 1):
        integers = np.rint(values * 10.0**decimals).astype(np.int64)
        if np.array_equal(integers / 10.0**decimals, values):
            smallest = np.result_type(
                np.min_scalar_type(integers.min()), np.min_scalar_type(integers.max())
            )
            return integers.astype(smallest), decimals
    raise ValueError(
        f"view {name!r} has numbers of more than {_MOST_DECIMALS} decimals: "
        "expected HandWritten.mat as the registry pins it"
    )


def _npz_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return a compressed npz without the time stamps that `np.savez_compressed` adds."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for name in sorted(arrays):
            member = io.BytesIO()
            np.lib.format.write_array(member, arrays[name], allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            # The default depends on the operating system.
            info.create_system, info.external_attr = 3, 0o644 << 16
            file.writestr(info, member.getvalue())
    return archive.getvalue()
