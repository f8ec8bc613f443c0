"""Finding the images of a folder, without opening any."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

IMAGE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".dib", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm"}
    | {".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
# People take these for images too, so a report that left them out would look wrong.
UNREAD_SUFFIXES = frozenset(
    {".arw", ".cr2", ".cr3", ".dng", ".heic", ".heif", ".ico", ".jxl", ".nef", ".orf"}
    | {".psd", ".raf", ".raw", ".svg", ".tga"}
)


@dataclass(frozen=True)
class SkippedFile:
    """A file or folder that was left out."""

    file: str
    reason: str


@dataclass(frozen=True)
class ImageFolder:
    """What a folder holds."""

    directory: Path
    files: tuple[str, ...]
    skipped: tuple[SkippedFile, ...] = ()
    n_other: int = 0


def find_images(directory: str | Path, *, ignore: Iterable[Path] = ()) -> ImageFolder:
    """Return the images in a folder and the folders below it.

    An image is a file with one of the `IMAGE_SUFFIXES`; its bytes are looked at when it is
    opened. Names that begin with a dot are passed over. Links to folders are listed and not
    followed, so that a loop of links ends; links to files are.
    """
    directory = _existing_folder(directory)
    ignored = {Path(path).absolute() for path in ignore}
    files: list[str] = []
    skipped: list[SkippedFile] = []
    n_other = 0
    for path, is_folder, problem in _walk(directory):
        name = path.relative_to(directory).as_posix()
        if path.absolute() in ignored:
            continue
        suffix = path.suffix.lower()
        if problem is not None:
            skipped.append(SkippedFile(name, problem))
        elif is_folder:
            skipped.append(SkippedFile(name, "link to a folder: not followed"))
        elif suffix in UNREAD_SUFFIXES:
            kind = suffix[1:].upper()
            reason = f"{kind} files are not read: convert it to JPEG or PNG"
            skipped.append(SkippedFile(name, reason))
        elif suffix not in IMAGE_SUFFIXES:
            n_other += 1
        elif reason := _cannot_be_an_image(path):
            skipped.append(SkippedFile(name, reason))
        else:
            files.append(name)
    by_name = sorted(skipped, key=lambda item: item.file)
    return ImageFolder(directory, tuple(sorted(files)), tuple(by_name), n_other)


def printable(name: str) -> str:
    """Return a file's name as text that can be written as UTF-8."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _existing_folder(directory: str | Path) -> Path:
    directory = Path(directory)
    try:
        mode = directory.stat().st_mode
    except OSError as error:
        raise ValueError(
            f"directory={str(directory)!r} cannot be read ({error.strerror}): expected a "
            "folder of images"
        ) from error
    if not stat.S_ISDIR(mode):
        raise ValueError(f"directory={str(directory)!r} is a file: expected a folder of images")
    if not os.access(directory, os.R_OK | os.X_OK):
        raise ValueError(
            f"directory={str(directory)!r} cannot be read (Permission denied): expected a "
            "folder of images"
        )
    return directory


def _walk(directory: Path) -> Iterator[tuple[Path, bool, str | None]]:
    """Yield each file, each link to a folder, and each folder that cannot be entered."""
    problems: list[OSError] = []
    for place, folders, names in os.walk(directory, onerror=problems.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in folders:
            if os.path.islink(os.path.join(place, name)):
                yield Path(place, name), True, None
        for name in names:
            if not name.startswith("."):
                yield Path(place, name), False, None
    for error in problems:
        yield Path(error.filename), True, f"folder cannot be read ({error.strerror})"


def _cannot_be_an_image(path: Path) -> str | None:
    try:
        status = path.stat()
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    # Opening a pipe would wait for somebody to write to it.
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    return "empty file" if status.st_size == 0 else None
