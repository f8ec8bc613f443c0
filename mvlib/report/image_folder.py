"""The images of a folder: finding them, opening what may be damaged or odd, small copies."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import stat
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from mvlib.files import check_folder
from mvlib.report.formats import (
    IMAGE_SUFFIXES,
    MAX_PIXELS,
    OPTIONAL,
    UnreadableImage,
    decode,
    readable_formats,
    too_large,
    unread,
)

# What servers, file managers and reports put beside images: small copies, and what was thrown
# away.
EXCLUDED = (
    "@eaDir", "#recycle", "#snapshot", "$RECYCLE.BIN", "__MACOSX", "lost+found",
    "System Volume Information", "trash", "report_thumbs",
)  # fmt: skip
THUMBS = EXCLUDED[-1]


@dataclass(frozen=True)
class SkippedFile:
    """A file or folder that was left out."""

    file: str
    reason: str


@dataclass(frozen=True)
class ImageFolder:
    """What a folder holds; `others` are no images, `notes` say what is special in one."""

    directory: Path
    files: tuple[str, ...]
    skipped: tuple[SkippedFile, ...] = ()
    others: tuple[str, ...] = ()
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def find_images(
    directory: str | Path | Sequence[str | Path],
    *,
    ignore: Iterable[Path] = (),
    exclude: Iterable[str] = (),
) -> ImageFolder:
    """Return the images in a folder and the folders below it, or those of a list of paths.

    Names that begin with a dot are passed over. What a pattern of `exclude` or `EXCLUDED` fits,
    by its name or its path, is listed and left out. Links to folders are listed and not
    followed, so that a loop of links ends; links to files are. Files without a suffix are
    images if they begin as images do.
    """
    patterns = [pattern.lower() for pattern in (*EXCLUDED, *exclude)]
    ignored = {Path(path).absolute() for path in ignore}
    if isinstance(directory, str | Path):
        check_folder(directory, "directory", "a folder of images")
        directory = Path(directory)
        found = _walk(directory, patterns, ignored)
    else:
        paths = list(dict.fromkeys(Path(path).absolute() for path in directory))
        if not paths:
            raise ValueError("directory is an empty list: expected paths of images")
        directory = Path(os.path.commonpath([path.parent for path in paths]))
        found = ((path, _excluded(directory, path, patterns)) for path in paths)
    files: list[str] = []
    others: list[str] = []
    skipped: list[SkippedFile] = []
    for path, problem in found:
        name = path.relative_to(directory).as_posix()
        if path.absolute() in ignored:
            continue
        suffix = path.suffix.lower()
        problem = problem or unread(suffix)
        known = suffix in IMAGE_SUFFIXES or suffix in OPTIONAL
        # "IMG_0001" and "IMG_2020.07" have none.
        bare = not suffix[1:].isalnum() or suffix[1:].isdigit()
        if problem is None and not known and not (bare and _begins_as_an_image(path)):
            others.append(name)
        elif reason := problem or _cannot_be_an_image(path):
            skipped.append(SkippedFile(name, reason))
        else:
            files.append(name)
    by_name = sorted(skipped, key=lambda item: item.file)
    return ImageFolder(directory, tuple(sorted(files)), tuple(by_name), tuple(sorted(others)))


def printable(name: str) -> str:
    """Return a file's name as text that can be written as UTF-8."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def in_a_line(name: str | Path) -> str:
    """Return a file's name with control characters written out, for a terminal."""
    return re.sub(
        "[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029]",
        lambda found: found[0].encode("unicode_escape").decode(),
        printable(str(name)),
    )


def _walk(
    directory: Path, patterns: Sequence[str], ignored: set[Path]
) -> Iterator[tuple[Path, str | None]]:
    """Yield each file, and each folder that is not entered with the reason."""
    problems: list[OSError] = []
    for place, folders, names in os.walk(directory, onerror=problems.append):
        entered = []
        for name in sorted(name for name in folders if not name.startswith(".")):
            path = Path(place, name)
            if path.is_symlink():
                yield path, "link to a folder: not followed"
            elif reason := _excluded(directory, path, patterns):
                yield path, reason
            elif path.absolute() not in ignored:
                entered.append(name)
        folders[:] = entered
        for name in names:
            if not name.startswith("."):
                yield Path(place, name), _excluded(directory, Path(place, name), patterns)
    for error in problems:
        yield Path(error.filename), f"folder cannot be read ({error.strerror})"


def _excluded(directory: Path, path: Path, patterns: Sequence[str]) -> str | None:
    name, below = path.name.lower(), path.relative_to(directory).as_posix().lower()
    for pattern in patterns:
        if fnmatchcase(name, pattern) or fnmatchcase(below, pattern):
            return f"left out: fits the pattern {pattern!r}"
    return None


def _begins_as_an_image(path: Path) -> bool:
    if _cannot_be_an_image(path):
        return False
    try:
        Image.open(path, formats=readable_formats()).close()
    # Damaged bytes raise errors of many kinds.
    except Exception:
        return False
    return True


def _cannot_be_an_image(path: Path) -> str | None:
    try:
        status = path.stat()
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    # Opening a pipe would wait for somebody to write to it.
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    return "empty file" if status.st_size == 0 else None


_MAX_ASPECT = 8


def open_images(
    paths: Sequence[str | Path],
    *,
    max_pixels: int = MAX_PIXELS,
    short_side: int = 512,
    channels: Sequence[int] | None = None,
) -> list[Image.Image | UnreadableImage]:
    """Return each image in RGB, upright, its first frame; or why it cannot be used.

    `max_pixels` bounds what is decoded: a JPEG comes at a half, a quarter or an eighth.
    """
    readable_formats()

    def open_one(path: str | Path) -> Image.Image | UnreadableImage:
        return _try(path, max_pixels, short_side, channels)

    # Pillow warns of odd metadata and of size; the size is checked here. The filter and the
    # bound are the process's own, so they are set once, around all threads.
    bound = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings(), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        warnings.simplefilter("ignore")
        Image.MAX_IMAGE_PIXELS = max(bound or 0, max_pixels) if bound else None
        try:
            return list(pool.map(open_one, paths))
        finally:
            Image.MAX_IMAGE_PIXELS = bound


def square_enough(image: Image.Image) -> Image.Image:
    """Return the middle of an image whose long side is over 8 times the short one."""
    width, height = image.size
    longest = _MAX_ASPECT * min(width, height)
    if max(width, height) <= longest:
        return image
    left, top = max(width - longest, 0) // 2, max(height - longest, 0) // 2
    return image.crop((left, top, left + min(width, longest), top + min(height, longest)))


def _try(
    path: str | Path, max_pixels: int, short_side: int, channels: Sequence[int] | None
) -> Image.Image | UnreadableImage:
    try:
        return decode(path, max_pixels, short_side, channels)
    except UnreadableImage as reason:
        return reason
    except Image.UnidentifiedImageError:
        return UnreadableImage("not an image, or of a format that is not read")
    except Image.DecompressionBombError:
        return UnreadableImage(too_large(max_pixels))
    # A damaged file can raise nearly anything from a decoder.
    except Exception as error:
        if isinstance(error, OSError) and error.strerror:
            return UnreadableImage(f"cannot be read ({error.strerror})")
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        return UnreadableImage(f"damaged or cut off ({said})")


_BATCH = 64


def _opened(
    directory: str | Path, names: Sequence[str], said: str, **options: Any
) -> Iterator[list[tuple[str, Image.Image | UnreadableImage]]]:
    """Yield names with their images, or why there is none, batch by batch."""
    with tqdm(total=len(names), desc=said, unit="", disable=None, leave=False) as bar:
        for start in range(0, len(names), _BATCH):
            batch = names[start : start + _BATCH]
            images = open_images([Path(directory, name) for name in batch], **options)
            yield list(zip(batch, images, strict=True))
            bar.update(len(batch))


def encode_folder(
    folder: ImageFolder,
    encode: Callable[[list[Image.Image]], np.ndarray],
    *,
    max_pixels: int = MAX_PIXELS,
    channels: Sequence[int] | None = None,
) -> tuple[np.ndarray, ImageFolder]:
    """Return the features of a folder's images and the folder without those that failed."""
    kept: list[str] = []
    failed: list[SkippedFile] = []
    notes: dict[str, list[str]] = {}
    rows: list[np.ndarray] = []
    options = {"max_pixels": max_pixels, "channels": channels}
    for opened in _opened(folder.directory, folder.files, "images", **options):
        batch = []
        for name, image in opened:
            if isinstance(image, UnreadableImage):
                failed.append(SkippedFile(name, str(image)))
                continue
            kept.append(name)
            batch.append(square_enough(image))
            for note in image.info["notes"]:
                notes.setdefault(note, []).append(name)
        if batch:
            rows.append(np.asarray(encode(batch), dtype=np.float32))
    features = np.concatenate(rows) if rows else np.empty((0, 0), np.float32)
    skipped = sorted((*folder.skipped, *failed), key=lambda item: item.file)
    found = {note: tuple(notes[note]) for note in sorted(notes)}
    return features, replace(folder, files=tuple(kept), skipped=tuple(skipped), notes=found)


PER_GROUP = 60
MAX_THUMBNAILS = 1500
MAX_BYTES = 18_000_000
# Longest side in pixels and WebP quality: the first that fits into MAX_BYTES is used.
_SIZES = ((320, 75), (224, 65), (160, 50), (96, 40))


def rows_to_show(labels: np.ndarray, confidence: np.ndarray) -> list[np.ndarray]:
    """Return which images of each group to show, the most certain first."""
    n_groups = int(labels.max()) + 1
    most = min(PER_GROUP, max(1, MAX_THUMBNAILS // n_groups))
    shown = []
    for group in range(n_groups):
        rows = np.flatnonzero(labels == group)
        rows = rows[np.argsort(-confidence[rows], kind="stable")]
        if len(rows) > most:
            last = most // 3
            rows = np.concatenate([rows[: most - last], rows[len(rows) - last :]])
        shown.append(rows if group < MAX_THUMBNAILS else rows[:0])
    return shown


def thumbnail_uris(
    directory: str | Path,
    files: Sequence[str],
    rows: Sequence[int],
    *,
    max_pixels: int = MAX_PIXELS,
    max_bytes: int = MAX_BYTES,
    channels: Sequence[int] | None = None,
) -> dict[int, str]:
    """Return a `data:` URI of a small copy of each image."""
    side, quality = _SIZES[0]
    names, options = [files[row] for row in rows], {"short_side": side, "channels": channels}
    opened = _opened(directory, names, "thumbnails", max_pixels=max_pixels, **options)
    found = (image for batch in opened for _, image in batch)
    copies: dict[int, bytes] = {
        int(row): _small_copy(image, side, quality)
        for row, image in zip(rows, found, strict=True)
        if not isinstance(image, UnreadableImage)
    }
    for side, quality in _SIZES[1:]:
        if sum(map(len, copies.values())) * 4 / 3 <= max_bytes:
            break
        for row, content in copies.items():
            with Image.open(io.BytesIO(content)) as image:
                copies[row] = _small_copy(image, side, quality)
    coded = {row: base64.b64encode(content).decode() for row, content in copies.items()}
    return {row: f"data:image/webp;base64,{text}" for row, text in coded.items()}


MAX_FOLDER_BYTES = 400_000_000
_BESIDE = (160, 50)
_OWN = re.compile(r"[0-9a-f]{16}\.webp")


@contextmanager
def thumbnails_beside(
    folder: Path,
    directory: Path,
    wanted: Mapping[int, tuple[str, str]],
    *,
    max_pixels: int = MAX_PIXELS,
    channels: Sequence[int] | None = None,
) -> Iterator[dict[int, str]]:
    """Write small copies of images into a folder and give their names, by row.

    `wanted` has a file and its digest for each row. A copy is named by the content it shows, so
    that those of an earlier run serve again. Where the block fails, new ones go; else those
    that no row needs any more. No other file is touched. Beyond 400 MB nothing is added.
    """
    names = {
        row: hashlib.sha256(repr((*_BESIDE, channels, digest)).encode()).hexdigest()[:16]
        + ".webp"
        for row, (_, digest) in wanted.items()
    }
    before = {path.name: path for path in folder.glob("*.webp") if _OWN.fullmatch(path.name)}
    lacking = {name: wanted[row][0] for row, name in names.items() if name not in before}
    room = MAX_FOLDER_BYTES - sum(
        before[name].stat().st_size for name in before.keys() & names.values()
    )
    made: list[Path] = []
    try:
        options = {"short_side": _BESIDE[0], "max_pixels": max_pixels, "channels": channels}
        files = {file: name for name, file in lacking.items()}
        for file, image in chain.from_iterable(
            _opened(directory, list(files), "thumbnails", **options)
        ):
            if isinstance(image, UnreadableImage):
                continue
            content = _small_copy(image, *_BESIDE)
            room -= len(content)
            if room < 0:
                break
            made.append(folder / files[file])
            # `replacing` would wait for the disk each time.
            folder.mkdir(parents=True, exist_ok=True)
            temporary = folder / f".{files[file]}"
            temporary.write_bytes(content)
            temporary.replace(made[-1])
        there = before.keys() | {path.name for path in made}
        yield {row: name for row, name in names.items() if name in there}
    except BaseException:
        for path in made:
            path.unlink(missing_ok=True)
            path.with_name(f".{path.name}").unlink(missing_ok=True)
        raise
    for name in before.keys() - set(names.values()):
        before[name].unlink(missing_ok=True)


def _small_copy(image: Image.Image, side: int, quality: int) -> bytes:
    copy = image.copy()
    copy.thumbnail((side, side))
    stream = io.BytesIO()
    # Without the metadata of the original, which may hold where a photo was taken.
    copy.info.clear()
    # Methods beyond 2 take longer for files that are hardly smaller.
    copy.save(stream, "WEBP", quality=quality, method=2)
    return stream.getvalue()
