"""Reading image sets: one function a layout.

Each takes the card, the split and the first file or the folder on disk, and returns the
images, uint8 `(n, height, width, 3)` or paths, and the labels. Binary archives are read where
they are, by the names of their members. Archives with lists of images are unpacked beside
themselves once, into the folders that torchvision uses, too.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from mvlib.data.cards import Card
from mvlib.data.readers.archives import read_members, unpack
from mvlib.data.readers.folders import lines_of, read_cars, read_imagenet, read_ucf101
from mvlib.data.readers.views import read_mat
from mvlib.files import reading

Images = np.ndarray | list[Path]

_CIFAR_SIDE = 32
_STL_SIDE = 96


def read_images(card: Card, split: str, path: Path) -> tuple[Images, np.ndarray]:
    """Return the images of one split, in a fixed order, and their labels, int64.

    `path` is the archive (the first one; others lie beside it), the packed copy (.npz) or
    the user's folder. A file that is not readable, or not of that layout, is a ValueError.
    """
    read = read_packed if path.suffix == ".npz" else _READERS[card.reader]
    images, y = read(card, split, path)
    return images, np.asarray(y, dtype=np.int64)


def read_packed(card: Card, split: str, path: Path) -> tuple[Images, np.ndarray]:
    """Read an npz of `images`, uint8 (n, height, width, 3), `labels` and `classes`."""
    with reading(path, "npz of images"), np.load(path, allow_pickle=False) as archive:
        images, y, classes = (archive[name] for name in ("images", "labels", "classes"))
    if tuple(classes.tolist()) != card.class_names:
        raise ValueError(
            f"{path}: its classes are {classes.tolist()}: expected {list(card.class_names)}"
        )
    return images, y


def read_cifar(card: Card, split: str, path: Path) -> tuple[Images, np.ndarray]:
    """Read the binary version of CIFAR: records of label bytes and three colour planes.

    A split whose name ends in "-tenth" is the first images of each class of the split
    that it is a part of, in the order of the archive.
    """
    layout = card.layout
    whole, _, part = split.partition("-")
    members = [f"{layout['folder']}/{name}" for name in layout[whole]]
    records = b"".join(read_members(path, members))
    size = layout["label_bytes"] + 3 * _CIFAR_SIDE**2
    if len(records) % size:
        raise ValueError(
            f"{path}: {len(records)} bytes in {whole}: expected a multiple of {size}"
        )
    rows = np.frombuffer(records, dtype=np.uint8).reshape(-1, size)
    y = rows[:, layout["label"]]
    if part:
        kept = first_of_each_class(y, card.n_samples[split] // card.n_clusters)
        rows, y = rows[kept], y[kept]
    planes = rows[:, layout["label_bytes"] :].reshape(-1, 3, _CIFAR_SIDE, _CIFAR_SIDE)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), y


def first_of_each_class(y: np.ndarray, n: int) -> np.ndarray:
    """Return the rows of the first `n` samples of each class, in their order."""
    return np.sort(np.concatenate([np.flatnonzero(y == label)[:n] for label in np.unique(y)]))


def read_stl10(card: Card, split: str, path: Path) -> tuple[Images, np.ndarray]:
    """Read the binary version of STL-10: planes stored column by column, labels from 1."""
    members = [f"{card.layout['folder']}/{name}" for name in card.layout[split]]
    pixels, labels = read_members(path, members)
    if len(pixels) != len(labels) * 3 * _STL_SIDE**2:
        raise ValueError(
            f"{path}: {len(pixels)} bytes of pixels and {len(labels)} labels in {split}: "
            f"expected {3 * _STL_SIDE**2} bytes a label"
        )
    planes = np.frombuffer(pixels, dtype=np.uint8).reshape(-1, 3, _STL_SIDE, _STL_SIDE)
    y = np.frombuffer(labels, dtype=np.uint8).astype(np.int64) - 1
    return np.ascontiguousarray(planes.transpose(0, 3, 2, 1)), y


def read_flowers(card: Card, split: str, path: Path) -> tuple[list[Path], np.ndarray]:
    """Read Flowers-102: the numbers of a split's images, and a label an image, from 1."""
    folder, layout = unpack(path, card.layout["folder"]), card.layout
    labels = read_mat(path.with_name(layout["labels"]), ["labels"], squeeze=True)["labels"]
    splits = read_mat(path.with_name(layout["splits"]), layout[split], squeeze=True)
    numbers = np.concatenate([np.atleast_1d(splits[key]) for key in layout[split]])
    images = [folder / f"image_{number:05d}.jpg" for number in numbers]
    if missing := [image for image in images if not image.is_file()]:
        raise ValueError(f"{missing[0]} is missing; delete {folder} to have it unpacked again")
    return images, labels[numbers - 1].astype(np.int64) - 1


def read_lists(card: Card, split: str, path: Path) -> tuple[list[Path], np.ndarray]:
    """Read DTD, Food-101, FGVC-Aircraft or Oxford-IIIT Pet: lists that name an image a line.

    The pets' lists are an archive of their own.
    """
    layout = card.layout
    folder = lists = unpack(path, layout["folder"])
    if "lists_archive" in layout:
        lists = unpack(path.with_name(layout["lists_archive"]), layout["lists"])
    place, entry = _LISTS[card.reader]
    labels = {name: label for label, name in enumerate(card.class_names)}
    images, y = [], []
    for listed in (lists / place / name for name in layout[split]):
        for line in lines_of(listed):
            class_name, image = entry(line)
            if class_name not in labels or not (folder / image).is_file():
                raise ValueError(
                    f"{listed} lists {line!r}, which is no image of a known class; delete "
                    f"{folder} to have it unpacked again"
                )
            images.append(folder / image)
            y.append(labels[class_name])
    return images, np.array(y)


def _aircraft(line: str) -> tuple[str, str]:
    number, _, variant = line.partition(" ")
    return variant, f"data/images/{number}.jpg"


def _pet(line: str) -> tuple[str, str]:
    # The breed is the image's name without its number; other numbers follow.
    name = line.split()[0]
    return name.rpartition("_")[0].replace("_", " "), f"{name}.jpg"


# The folder of the lists, and what a line says: its class and its image.
_LISTS: dict[str, tuple[str, Callable[[str], tuple[str, str]]]] = {
    "dtd": ("labels", lambda line: (line.partition("/")[0], f"images/{line}")),
    "food101": (
        "meta",
        lambda line: (line.partition("/")[0].replace("_", " "), f"images/{line}.jpg"),
    ),
    "aircraft": ("data", _aircraft),
    "pets": ("", _pet),
}
_READERS: dict[str, Callable[[Card, str, Path], tuple[Images, np.ndarray]]] = {
    "cifar": read_cifar,
    "stl10": read_stl10,
    **dict.fromkeys(_LISTS, read_lists),
    "flowers": read_flowers,
    "imagenet": read_imagenet,
    "ucf101": read_ucf101,
    "cars": read_cars,
}
