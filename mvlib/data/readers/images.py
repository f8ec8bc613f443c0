"""Reading image sets: one function a layout.

Each takes the card, the split and the first file or the folder on disk, and returns the
images, uint8 `(n, height, width, 3)` or paths, and the labels. Binary archives are read where
they are, by the names of their members. Archives with lists of images are unpacked beside
themselves once, into the folders that torchvision uses, too. Folders are a user's own.
"""

from __future__ import annotations

import errno
import os
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from mvlib.data.cards import Card
from mvlib.data.readers.apart import read_apart
from mvlib.data.readers.views import read_mat
from mvlib.files import read_text, reading, scratch_folder

Images = np.ndarray | list[Path]

_CIFAR_SIDE = 32
_STL_SIDE = 96
_IMAGENET_SUFFIXES = (".jpeg", ".jpg")
_FRAME_SUFFIXES = (".jpg", ".png")
_FULL = (errno.ENOSPC, errno.EDQUOT)


def read_images(card: Card, split: str, path: Path) -> tuple[Images, np.ndarray]:
    """Return a split's images, in a fixed order, and labels, int64; ValueError if damaged.

    `path` is the archive (the first; others lie beside it), the packed copy, or a user's
    folder.
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

    A split whose name ends in "-tenth" is the first images of each class of the whole split.
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
        kept = first_of_each_class(y, card.splits[split] // len(card.class_names))
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
    """Read lists that name an image a line; those of the pets are an archive of their own."""
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
    """Read a folder a class, in the order of the synsets; files in the order of their names."""
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
    return all_there(card, images), np.array(y)


def read_cars(card: Card, split: str, path: Path) -> tuple[list[Path], np.ndarray]:
    """Read the images that the authors' annotations name, with their labels, from 1."""
    annotations, folder = (path / part for part in card.layout[split])
    names, labels = read_apart(f"{__name__}:_annotations", annotations)
    return all_there(card, [folder / name for name in names.tolist()]), labels - 1


def _annotations(path: Path) -> list[np.ndarray]:
    with reading(path, "list of annotations with classes"):
        rows = np.atleast_1d(read_mat(path, ["annotations"], squeeze=True)["annotations"])
        return [np.array(rows["fname"].tolist(), dtype=str), rows["class"].astype(np.int64)]


def all_there(card: Card, images: list[Path]) -> list[Path]:
    """Return images that a user supplies, if none of them is missing."""
    if missing := [image for image in images if not image.is_file()]:
        raise FileNotFoundError(f"{card.title}: {missing[0]} is missing. {card.how_to_get}")
    return images


def lines_of(path: Path) -> list[str]:
    """Return the lines of a list, stripped, without those that are empty."""
    lines = (line.strip() for line in read_text(path, str(path)).splitlines())
    return [line for line in lines if line]


class _Member(tarfile.TarInfo):
    def _block(self, count: int) -> int:
        # Python before 3.11.14, 3.12.12 and 3.13.6 goes back, for ever (CVE-2025-8194).
        if count < 0:
            raise tarfile.ReadError("a size is below zero")
        # A method of tarfile's own, which its types leave out.
        return super()._block(count)  # type: ignore[misc]


def read_members(path: Path, names: Sequence[str]) -> list[bytes]:
    """Return the contents of members of a tar archive, which is read up to the last of them."""
    found: dict[str, bytes] = {}
    with reading(path, "tar archive"), tarfile.open(path, "r|*", tarinfo=_Member) as archive:
        for member in archive:
            wanted = member.name in names and member.isfile()
            if wanted and (file := archive.extractfile(member)):
                found[member.name] = file.read()
            if len(found) == len(names):
                break
    if missing := [name for name in names if name not in found]:
        raise ValueError(f"{path} has no member {missing[0]!r}: expected {', '.join(names)}")
    return [found[name] for name in names]


def unpack(archive: Path, name: str) -> Path:
    """Return the folder `name` of an archive, unpacked beside it, whole or not at all."""
    folder = archive.parent / name
    if folder.is_dir():
        return folder
    with scratch_folder(archive.parent) as temporary:
        try:
            with tarfile.open(archive, tarinfo=_Member) as opened:
                opened.extractall(temporary, _inside(opened), filter="data")
                _check_end(opened)
        # Damaged bytes raise errors of many kinds.
        except Exception as error:
            if isinstance(error, OSError) and error.errno in _FULL:
                raise
            raise ValueError(f"{archive} cannot be unpacked: {error}") from error
        if not (temporary / name).is_dir():
            raise ValueError(f"{archive} holds no folder {name!r}: expected one")
        try:
            (temporary / name).rename(folder)
        except OSError:
            # Another process may have unpacked it in the meantime.
            if not folder.is_dir():
                raise
    return folder


def _inside(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Give the members, refusing one that leads out by its name or by what it links to.

    Python's own filter asks the disk where links lead, and could be misled by long ones
    (CVE-2025-4517). Links that only lead down cannot leave, however they are chained.
    """
    for member in archive:
        for path in (member.name, member.linkname if member.issym() or member.islnk() else ""):
            parts = PurePosixPath(path)
            if parts.is_absolute() or ".." in parts.parts or "\\" in path:
                raise tarfile.TarError(f"{member.name!r} leads outside, to {path!r}")
        yield member


def _check_end(archive: tarfile.TarFile) -> None:
    """Read on to the end, for tarfile takes a cut archive, and a bad header, for its end."""
    stream = archive.fileobj
    stream.seek(archive.offset)
    if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.TarError("it is cut short or damaged: it has no end")
    # Only at its end does a compressed stream compare its checksum.
    while stream.read(1 << 20):
        pass


_READERS: dict[str, Callable[[Card, str, Path], tuple[Images, np.ndarray]]] = {
    "cifar": read_cifar,
    "stl10": read_stl10,
    **dict.fromkeys(_LISTS, read_lists),
    "flowers": read_flowers,
    "imagenet": read_imagenet,
    "ucf101": read_ucf101,
    "cars": read_cars,
}
