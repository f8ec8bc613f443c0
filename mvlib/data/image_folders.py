"""Reading image sets that a user supplies as folders: one function a layout."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import numpy as np

from mvlib.data.image_lists import lines_of
from mvlib.data.image_registry import ImageCard

_IMAGENET_SUFFIXES = (".jpeg", ".jpg")
_FRAME_SUFFIXES = (".jpg", ".png")


def folder_parts(about: ImageCard, split: str) -> list[str]:
    """Return what a user's folder must hold for a split: lists, then folders of images."""
    if about.reader == "imagenet":
        place, synsets = about.layout[split], about.layout["synsets"]
        # Numbers, not strings: sorted as strings, 10 goes before 2.
        names = range(len(synsets)) if about.layout.get("numbered") else synsets
        return [f"{place}/{name}" for name in names]
    if about.reader == "cars":
        return list(about.layout[split])
    lists = [f"{about.layout['lists']}/{name}" for name in about.layout[split]]
    return lists + [f"{about.layout['frames']}/{name}" for name in about.class_names]


def check_parts(about: ImageCard, split: str, folder: Path) -> list[Path]:
    """Return the parts of a user's folder, in the order of `folder_parts`.

    Raises
    ------
    FileNotFoundError
        If one is missing.
    """
    parts = [Path(folder) / part for part in folder_parts(about, split)]
    missing = [part for part in parts if not part.exists()]
    if missing:
        raise FileNotFoundError(
            f"{about.title}, {split}: {missing[0]} is missing ({len(missing)} of "
            f"{len(parts)} files and folders are). {about.how_to_get}"
        )
    return parts


def read_imagenet(about: ImageCard, split: str, path: Path) -> tuple[list[Path], np.ndarray]:
    """Read a folder a class, in the order of the synsets; files in the order of their names.

    ImageNet-V2's folders are numbered by the order of the thousand synsets.
    """
    images, y = [], []
    for label, part in enumerate(check_parts(about, split, path)):
        with os.scandir(part) as entries:
            names = sorted(
                entry.name
                for entry in entries
                if entry.name.lower().endswith(_IMAGENET_SUFFIXES)
            )
        images += [part / name for name in names]
        y += [label] * len(names)
    return images, np.array(y)


def read_ucf101(about: ImageCard, split: str, path: Path) -> tuple[list[Path], np.ndarray]:
    """Read the frames that the authors' lists name, in the order of the lists."""
    lists = check_parts(about, split, path)[: len(about.layout[split])]
    labels = {name: label for label, name in enumerate(about.class_names)}
    frames = path / about.layout["frames"]
    images, y = [], []
    for line in (line for each in lists for line in lines_of(each)):
        # A train list has the label after the video.
        video = Path(line.split()[0])
        if video.parent.name not in labels:
            raise ValueError(f"{path}: a list names {line!r}, which is of no known class")
        candidates = [frames / video.with_suffix(suffix) for suffix in _FRAME_SUFFIXES]
        found = next((each for each in candidates if each.is_file()), None)
        if found is None:
            raise FileNotFoundError(
                f"{about.title}: {candidates[0]} is missing. {about.how_to_get}"
            )
        images.append(found)
        y.append(labels[video.parent.name])
    return images, np.array(y)


def read_cars(about: ImageCard, split: str, path: Path) -> tuple[list[Path], np.ndarray]:
    """Read the images that the authors' annotations name, with their labels, from 1."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    annotations, folder = check_parts(about, split, path)
    try:
        rows = np.atleast_1d(loadmat(annotations, squeeze_me=True)["annotations"])
        names, labels = rows["fname"].tolist(), rows["class"].astype(np.int64)
    except (KeyError, ValueError, TypeError, OSError, MatReadError, zlib.error) as error:
        raise ValueError(
            f"{annotations} is no list of annotations with classes: {error}"
        ) from error
    images = [folder / name for name in names]
    if missing := [image for image in images if not image.is_file()]:
        raise FileNotFoundError(f"{about.title}: {missing[0]} is missing. {about.how_to_get}")
    return images, labels - 1
