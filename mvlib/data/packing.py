"""Packing of the data that ships with mvlib."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mvlib.data.cards import describe
from mvlib.data.readers.views import read_layout
from mvlib.files import replacing

_MOST_DECIMALS = 8


def pack_handwritten(mat_path: str | Path, npz_path: str | Path) -> Path:
    """Pack `HandWritten.mat` into the npz that ships with mvlib, without loss.

    The file prints at most eight decimals, so each view is stored as whole numbers and
    the power of ten that divides them. Dividing gives back every float64 bit of the
    original. The zip carries no time stamps: the same input gives the same bytes with
    the same zlib.

    Parameters
    ----------
    mat_path : str or Path
        `HandWritten.mat`, such as ``fetch("handwritten", original=True)`` returns.
    npz_path : str or Path
        What to write; see `data/embedded/README.md` for its arrays.

    Returns
    -------
    Path
        `npz_path`.

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
