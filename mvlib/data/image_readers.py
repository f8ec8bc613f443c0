"""Reading image sets: one function a layout, chosen by the registry.

Each takes the card, the split and the first file or the folder on disk, and returns the
images, uint8 `(n, height, width, 3)` or paths, and the labels. Binary archives are read here,
where they are, by the names of their members; archives with lists in `image_lists`, folders
that a user supplies in `image_folders`. Nothing is unpickled.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from mvlib.data.image_archives import read_members
from mvlib.data.image_folders import read_cars, read_imagenet, read_ucf101
from mvlib.data.image_lists import (
    read_aircraft,
    read_dtd,
    read_flowers,
    read_food101,
    read_pets,
)
from mvlib.data.image_registry import ImageCard

Images = np.ndarray | list[Path]

_CIFAR_SIDE = 32
_STL_SIDE = 96


def read_images(about: ImageCard, split: str, path: Path) -> tuple[Images, np.ndarray]:
    """Read one split of an image set.

    Parameters
    ----------
    about : ImageCard
        Its card; an embedded set has its own reader.
    split : str
        One of the card's.
    path : Path
        The archive (the first one; others lie beside it), the packed copy (.npz) or the
        user's folder.

    Returns
    -------
    images : ndarray (n, height, width, 3), uint8, or list of Path
        In a fixed order.
    y : ndarray (n,), int64
        Labels, 0 to n_clusters - 1.

    Raises
    ------
    ValueError
        If the file is not readable, or not of that layout.
    FileNotFoundError
        If a part of a user's folder is missing.
    """
    path = Path(path)
    read = read_packed if path.suffix == ".npz" else _READERS[about.reader]
    images, y = read(about, split, path)
    return images, np.asarray(y, dtype=np.int64)


def read_packed(about: ImageCard, split: str, path: Path) -> tuple[Images, np.ndarray]:
    """Read an npz of `images`, uint8 (n, height, width, 3), `labels` and `classes`."""
    with np.load(path, allow_pickle=False) as archive:
        images, y, classes = (archive[name] for name in ("images", "labels", "classes"))
    if tuple(classes.tolist()) != about.class_names:
        raise ValueError(
            f"{path}: its classes are {classes.tolist()}: expected {list(about.class_names)}"
        )
    return images, y


def read_cifar(about: ImageCard, split: str, path: Path) -> tuple[Images, np.ndarray]:
    """Read the binary version of CIFAR: records of label bytes and three colour planes.

    A split whose name ends in "-tenth" is the first images of each class of the split
    that it is a part of, in the order of the archive.
    """
    layout = about.layout
    whole, _, part = split.partition("-")
    members = [f"{layout['folder']}/{name}" for name in layout[whole]]
    records = b"".join(read_members(path, members))
    pixels = 3 * _CIFAR_SIDE**2
    size = layout["label_bytes"] + pixels
    if len(records) % size:
        raise ValueError(
            f"{path}: {len(records)} bytes in {whole}: expected a multiple of {size}"
        )
    rows = np.frombuffer(records, dtype=np.uint8).reshape(-1, size)
    y = rows[:, layout["label"]]
    if part:
        kept = first_of_each_class(y, about.n_samples[split] // about.n_clusters)
        rows, y = rows[kept], y[kept]
    planes = rows[:, layout["label_bytes"] :].reshape(-1, 3, _CIFAR_SIDE, _CIFAR_SIDE)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), y


def first_of_each_class(y: np.ndarray, n: int) -> np.ndarray:
    """Return the rows of the first `n` samples of each class, in their order."""
    return np.sort(np.concatenate([np.flatnonzero(y == label)[:n] for label in np.unique(y)]))


def read_stl10(about: ImageCard, split: str, path: Path) -> tuple[Images, np.ndarray]:
    """Read the binary version of STL-10: planes stored column by column, labels from 1."""
    members = [f"{about.layout['folder']}/{name}" for name in about.layout[split]]
    pixels, labels = read_members(path, members)
    if len(pixels) != len(labels) * 3 * _STL_SIDE**2:
        raise ValueError(
            f"{path}: {len(pixels)} bytes of pixels and {len(labels)} labels in {split}: "
            f"expected {3 * _STL_SIDE**2} bytes a label"
        )
    planes = np.frombuffer(pixels, dtype=np.uint8).reshape(-1, 3, _STL_SIDE, _STL_SIDE)
    y = np.frombuffer(labels, dtype=np.uint8).astype(np.int64) - 1
    return np.ascontiguousarray(planes.transpose(0, 3, 2, 1)), y


_READERS: dict[str, Callable[[ImageCard, str, Path], tuple[Images, np.ndarray]]] = {
    "cifar": read_cifar,
    "stl10": read_stl10,
    "dtd": read_dtd,
    "food101": read_food101,
    "aircraft": read_aircraft,
    "pets": read_pets,
    "flowers": read_flowers,
    "imagenet": read_imagenet,
    "ucf101": read_ucf101,
    "cars": read_cars,
}
