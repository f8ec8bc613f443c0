"""Reading image sets whose archives hold lists of images: one function a layout.

An archive is unpacked beside itself once, into the folders that torchvision uses, too.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from mvlib.data.image_archives import unpack
from mvlib.data.image_registry import ImageCard


def read_dtd(about: ImageCard, split: str, path: Path) -> tuple[list[Path], np.ndarray]:
    """Read the lists of DTD: a path a line, in the folder of its class."""
    folder = unpack(path, about.layout["folder"])

    def entry(line: str) -> tuple[str, Path]:
        return line.partition("/")[0], folder / "images" / line

    return _read_lists(about, split, folder / "labels", entry, folder)


def read_food101(about: ImageCard, split: str, path: Path) -> tuple[list[Path], np.ndarray]:
    """Read the lists of Food-101: a path without suffix a line, in the folder of its class."""
    folder = unpack(path, about.layout["folder"])

    def entry(line: str) -> tuple[str, Path]:
        name = line.partition("/")[0].replace("_", " ")
        return name, folder / "images" / f"{line}.jpg"

    return _read_lists(about, split, folder / "meta", entry, folder)


def read_aircraft(about: ImageCard, split: str, path: Path) -> tuple[list[Path], np.ndarray]:
    """Read the lists of FGVC-Aircraft: the number of an image, then its variant, a line."""
    folder = unpack(path, about.layout["folder"])

    def entry(line: str) -> tuple[str, Path]:
        number, _, variant = line.partition(" ")
        return variant, folder / "data" / "images" / f"{number}.jpg"

    return _read_lists(about, split, folder / "data", entry, folder)


def read_pets(about: ImageCard, split: str, path: Path) -> tuple[list[Path], np.ndarray]:
    """Read the lists of Oxford-IIIT Pet: the name of an image, then numbers, a line.

    The images and the lists are two archives; the breed is the name without its number.
    """
    images = unpack(path, about.layout["folder"])
    archive = path.with_name(about.layout["lists_archive"])
    lists = unpack(archive, about.layout["lists"])

    def entry(line: str) -> tuple[str, Path]:
        name = line.split()[0]
        return name.rpartition("_")[0].replace("_", " "), images / f"{name}.jpg"

    return _read_lists(about, split, lists, entry, images)


def read_flowers(about: ImageCard, split: str, path: Path) -> tuple[list[Path], np.ndarray]:
    """Read Flowers-102: the numbers of a split's images, and a label an image, from 1."""
    from scipy.io import loadmat

    folder = unpack(path, about.layout["folder"])
    labels = loadmat(path.with_name(about.layout["labels"]), squeeze_me=True)["labels"]
    splits = loadmat(path.with_name(about.layout["splits"]), squeeze_me=True)
    numbers = np.concatenate([np.atleast_1d(splits[key]) for key in about.layout[split]])
    images = [folder / f"image_{number:05d}.jpg" for number in numbers]
    if missing := [image for image in images if not image.is_file()]:
        raise ValueError(f"{missing[0]} is missing; delete {folder} to have it unpacked again")
    return images, labels[numbers - 1].astype(np.int64) - 1


def lines_of(path: Path) -> list[str]:
    """Return the lines of a list, stripped, without those that are empty."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def _read_lists(
    about: ImageCard,
    split: str,
    lists: Path,
    entry: Callable[[str], tuple[str, Path]],
    unpacked: Path,
) -> tuple[list[Path], np.ndarray]:
    """Read a split's lists; `entry` turns a line into its class and its image."""
    labels = {name: label for label, name in enumerate(about.class_names)}
    images, y = [], []
    for path in (lists / name for name in about.layout[split]):
        for line in lines_of(path):
            class_name, image = entry(line)
            if class_name not in labels or not image.is_file():
                raise ValueError(
                    f"{path} lists {line!r}, which is no image of a known class; delete "
                    f"{unpacked} to have it unpacked again"
                )
            images.append(image)
            y.append(labels[class_name])
    return images, np.array(y)
