"""Reading image sets that a user supplies as folders: one function a layout."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from mvlib.data.cards import Card
from mvlib.data.readers.apart import read_apart
from mvlib.data.readers.views import read_mat
from mvlib.files import read_text, reading

_IMAGENET_SUFFIXES = (".jpeg", ".jpg")
_FRAME_SUFFIXES = (".jpg", ".png")


def folder_parts(card: Card, split: str) -> list[str]:
    """Return what a user's folder must hold for a split: lists, then folders of images."""
    if card.reader == "imagenet":
        place, synsets = card.layout[split], card.layout["synsets"]
        # Numbers, not strings: sorted as strings, 10 goes before 2.
        names = range(len(synsets)) if card.layout.get("numbered") else synsets
        return [f"{place}/{name}" for name in names]
    if card.reader == "cars":
        return list(card.layout[split])
    lists = [f"{card.layout['lists']}/{name}" for name in card.layout[split]]
    return lists + [f"{card.layout['frames']}/{name}" for name in card.class_names]


def read_imagenet(card: Card, split: str, path: Path) -> tuple[list[Path], np.ndarray]:
    """Read a folder a class, in the order of the synsets; files in the order of their names.

    ImageNet-V2's folders are numbered by the order of the thousand synsets.
    """
    images, y = [], []
    for label, part in enumerate(folder_parts(card, split)):
        with os.scandir(path / part) as entries:
            names = sorted(
                entry.name
                for entry in entries
                if entry.name.lower().endswith(_IMAGENET_SUFFIXES)
            )
        images += [path / part / name for name in names]
        y += [label] * len(names)
    return images, np.array(y)


def read_ucf101(card: Card, split: str, path: Path) -> tuple[list[Path], np.ndarray]:
    """Read the frames that the authors' lists name, in the order of the lists."""
    lists = [path / card.layout["lists"] / name for name in card.layout[split]]
    labels = {name: label for label, name in enumerate(card.class_names)}
    frames = path / card.layout["frames"]
    images, y = [], []
    for line in (line for each in lists for line in lines_of(each)):
        # A train list has the label after the video.
        video = Path(line.split()[0])
        if video.parent.name not in labels:
            raise ValueError(f"{path}: a list names {line!r}, which is of no known class")
        candidates = [frames / video.with_suffix(suffix) for suffix in _FRAME_SUFFIXES]
        found = next((each for each in candidates if each.is_file()), None)
        images.append(found or candidates[0])
        y.append(labels[video.parent.name])
    return _all_there(card, images), np.array(y)


def read_cars(card: Card, split: str, path: Path) -> tuple[list[Path], np.ndarray]:
    """Read the images that the authors' annotations name, with their labels, from 1."""
    annotations, folder = (path / part for part in card.layout[split])
    names, labels = read_apart(f"{__name__}:_annotations", annotations)
    return _all_there(card, [folder / name for name in names.tolist()]), labels - 1


def _annotations(path: Path) -> list[np.ndarray]:
    with reading(path, "list of annotations with classes"):
        rows = np.atleast_1d(read_mat(path, ["annotations"], squeeze=True)["annotations"])
        return [np.array(rows["fname"].tolist(), dtype=str), rows["class"].astype(np.int64)]


def _all_there(card: Card, images: list[Path]) -> list[Path]:
    if missing := [image for image in images if not image.is_file()]:
        raise FileNotFoundError(f"{card.title}: {missing[0]} is missing. {card.how_to_get}")
    return images


def lines_of(path: Path) -> list[str]:
    """Return the lines of a list, stripped, without those that are empty."""
    lines = (line.strip() for line in read_text(path, str(path)).splitlines())
    return [line for line in lines if line]
