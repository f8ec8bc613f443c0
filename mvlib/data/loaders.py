"""Reading data files: one function a layout, chosen by the registry.

Each returns the asked views as `(n_samples, n_features_v)` arrays in the file's own
dtype, and the labels as the file codes them. Nothing is unpickled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mvlib._validation import check_choice, check_labels

Layout = Mapping[str, Any]


def read_layout(
    path: Path, loader: str, layout: Layout, views: Sequence[str]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Read the asked views and the labels of one data file.

    Parameters
    ----------
    path : Path
        The file.
    loader : {"cells", "arrays", "train_test", "npz"}
        Its layout.
    layout : mapping
        Where each view and the labels are in it; see the function of that layout. With
        `sort_by_label = true` the rows are then sorted by label with NumPy's default sort,
        as SMART's code has Reuters_dim10. That sort is not stable: the order inside a class
        is NumPy's own.
    views : sequence of str
        Names of the views to read.

    Returns
    -------
    views : dict of str to ndarray, each (n_samples, n_features_v)
        In the file's own dtype.
    y : ndarray (n_samples,), int64
        Labels coded 0, 1, ... in the order of the file's codes.

    Raises
    ------
    ValueError
        If the file is not readable, or not of that layout.
    """
    read = _LOADERS[check_choice("loader", loader, _LOADERS)]
    found, y = read(Path(path), layout, views)
    y = np.asarray(y).ravel()
    for name, X in found.items():
        if X.ndim != 2 or len(X) != len(y):
            raise ValueError(
                f"{path}: view {name!r} has shape {X.shape} and there are {len(y)} labels: "
                f"expected ({len(y)}, n_features); the file is not of the layout {loader!r}"
            )
    if layout.get("sort_by_label", False):
        rows = np.argsort(y)
        found, y = {name: X[rows] for name, X in found.items()}, y[rows]
    return found, check_labels(y, len(y), argument=f"the labels of {path}")


def read_cells(
    path: Path, layout: Layout, views: Sequence[str]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Read a .mat file whose views are the cells of one cell array.

    `layout`: `cells`, the array's name; `positions`, view name to cell, from 0; `labels`,
    the label variable; `samples`, "rows" (default) or "columns".
    """
    contents = _read_mat(path, [layout["cells"], layout["labels"]])
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


def read_arrays(
    path: Path, layout: Layout, views: Sequence[str]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Read a .mat file in which each view is a variable of its own.

    `layout`: `variables`, view name to variable; `labels`, the label variable; `crop`
    (optional), view name to `[side, first, last]`: rows are square images of that side, of
    which rows and columns first..last (both included) are kept.
    """
    variables = layout["variables"]
    contents = _read_mat(path, [*(variables[name] for name in views), layout["labels"]])
    found = {}
    for name in views:
        view = _dense(contents[variables[name]])
        if name in layout.get("crop", {}):
            view = _crop(path, name, view, *layout["crop"][name])
        found[name] = view
    return found, _dense(contents[layout["labels"]])


def read_train_test(
    path: Path, layout: Layout, views: Sequence[str]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Read a .mat file of train and test views, the train rows first.

    `x_train` and `x_test` are either (n_views, n_samples, n_features) arrays or cell
    arrays of views; `y_train` and `y_test` hold the labels. `layout`: `positions`, view
    name to view, from 0.
    """
    contents = _read_mat(path, ["x_train", "x_test", "y_train", "y_test"])
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


def read_npz(
    path: Path, layout: Layout, views: Sequence[str]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Read an npz written by `mvlib.data.pack_handwritten`; `layout` is not used."""
    with np.load(path, allow_pickle=False) as archive:
        decimals = dict(zip(archive["views"].tolist(), archive["decimals"], strict=True))
        found = {name: archive[name] / 10.0 ** int(decimals[name]) for name in views}
        return found, archive["labels"]


_LOADERS: dict[str, Callable[..., tuple[dict[str, np.ndarray], np.ndarray]]] = {
    "cells": read_cells,
    "arrays": read_arrays,
    "train_test": read_train_test,
    "npz": read_npz,
}


def _read_mat(path: Path, variables: Sequence[str]) -> dict[str, Any]:
    """Return the asked variables of a MATLAB file of version 5."""
    import scipy.io

    try:
        contents = scipy.io.loadmat(path, variable_names=list(variables))
    except FileNotFoundError:
        raise
    except NotImplementedError as error:
        raise ValueError(
            f"{path} is a MATLAB 7.3 file: expected version 5; save it again with `-v7`"
        ) from error
    # scipy answers damaged bytes with errors of many kinds.
    except Exception as error:
        raise ValueError(f"{path} is not a readable MATLAB file: {error}") from error
    missing = [name for name in variables if name not in contents]
    if missing:
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
