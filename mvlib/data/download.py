"""Fetching data files: checked, bounded, whole or not at all, never over a user's file."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mvlib.check import check_choice
from mvlib.data.cards import Card, DataFile, describe
from mvlib.data.readers.images import folder_parts
from mvlib.files import embedded_data, scratch_folder, sha256_of, shipped_file

# Of an answer, and of each of its parts.
_TIMEOUT_SECONDS = 30
# A whole file may take as long as at this pace, and the time that comes on top.
_SLOWEST_BYTES_A_SECOND = 50_000
_GRACE_SECONDS = 120
# Larger files are known by their size alone until they are read.
_MOST_HASHED_BYTES = 64_000_000


class DownloadError(OSError):
    """A data file could not be fetched; nothing of it is left on disk."""


def data_folder() -> Path:
    """Return where data files are kept: `MVLIB_DATA`, else the user's cache folder."""
    if folder := os.environ.get("MVLIB_DATA"):
        return Path(folder).expanduser()
    # What pooch.os_cache gives, without pooch, whose bars warn in a notebook without widgets.
    from platformdirs import user_cache_path

    return user_cache_path("mvlib")


def fetch(name: str, original: bool = False, split: str | None = None) -> list[Path]:
    """Return the files of a set of any kind, downloading what is missing.

    Files are kept in `data_folder()`. One that is there with the right sha256 is used without
    network; with another sha256 it is an error: it may be the user's own, so it is neither
    overwritten nor used. A download goes to a temporary folder, may bring no byte more than the
    registry says, nor take for ever; it is checked, and only then gets its name. After a
    failure nothing of it is left; what a killed process leaves goes at the next download. With
    `MVLIB_OFFLINE=1` the network is never touched.

    Parameters
    ----------
    name : str
        As for `mvlib.data.describe`.
    original : bool, default=False
        For views that ship with mvlib: fetch the file they were packed from instead.
    split : str, optional
        Of images: only what this split is read from; everything by default.

    Returns
    -------
    list of Path
        The card's files, in its order; of images the packed copies, where there is no archive;
        of what a user supplies, the folders in which lists and images must be.

    Raises
    ------
    ValueError
        If there is no such set or split, or a file on disk has another sha256.
    FileNotFoundError
        If a file is missing and the set has no pinned url, or mvlib is offline.
    DownloadError
        If the download failed or its bytes were not the pinned ones.
    """
    card = describe(name)
    if split is not None:
        check_choice("split", split, card.splits)
    if _is_of_folders(card):
        for each in (split,) if split else card.splits or ("",):
            _check_parts(card, each)
        return [data_folder() / file.file for file in card.files]
    if card.embedded and not (original and card.embedded_file):
        return [shipped_file(embedded_data() / f.file, f.sha256) for f in _shipped(card)]
    return [fetch_file(file, data_folder(), card) for file in files_read(card, split)]


def is_at_hand(name: str) -> bool:
    """Return whether a set could be loaded without network; ValueError if there is none such.

    Large files are not hashed for it, since loading does: their size counts. That a user's
    images are whole is not looked at.
    """
    card = describe(name)
    if _is_of_folders(card):
        return all(
            (data_folder() / part).exists()
            for split in card.splits or ("",)
            for part in _parts(card, split)
        )
    if card.embedded:
        return all(_is_good(embedded_data() / file.file, file) for file in _shipped(card))
    return all(_is_good(data_folder() / f.file, f) for f in files_read(card, None))


def fetch_file(file: DataFile, folder: Path, about: Any) -> Path:
    """Return one file of `folder`, downloading it if it is not there.

    `about` has the `title` and `how_to_get` that errors say; they are those of `fetch`.
    """
    path = Path(folder) / file.file
    if path.exists():
        if file.sha256 and (found := sha256_of(path)) != file.sha256:
            raise ValueError(
                f"{path} has sha256 {found}: expected {file.sha256}. It is damaged or "
                "another file of that name; delete or move it to have it fetched again"
            )
        return path
    if None in (file.url, file.sha256, file.bytes):
        raise FileNotFoundError(
            f"{about.title}: {file.file} is missing and has no pinned url. "
            f"{about.how_to_get} Put it at {path}"
        )
    if is_offline():
        raise FileNotFoundError(
            f"{about.title}: {file.file} is missing and MVLIB_OFFLINE is set. Get it "
            f"from {file.url} (sha256 {file.sha256}) and put it at {path}, or unset "
            "MVLIB_OFFLINE"
        )
    _download(file, path)
    return path


def files_read(card: Card, split: str | None) -> Sequence[DataFile]:
    """Return what is read: the packed copies if they are there and no archive is."""
    here = data_folder()
    packed = [file for of, file in card.packed.items() if split in (None, of)]
    if not packed or any((here / file.file).exists() for file in card.files):
        return card.files
    return packed if all((here / file.file).exists() for file in packed) else card.files


def is_offline() -> bool:
    """Return whether `MVLIB_OFFLINE` forbids the network."""
    return os.environ.get("MVLIB_OFFLINE", "").lower() not in ("", "0", "false", "no")


def _is_of_folders(card: Card) -> bool:
    return card.kind != "views" and card.is_supplied


def _shipped(card: Card) -> Sequence[DataFile]:
    return (card.embedded_file,) if card.embedded_file else card.files


def _parts(card: Card, split: str) -> list[str]:
    """Return what a user's folders must hold for a split, below the data folder."""
    layout = card.layout
    if card.reader == "together":
        return [part for name in layout["parts"] for part in _parts(describe(name), split)]
    if card.kind == "images":
        names = folder_parts(card, split)
    elif card.reader == "arrays":
        names = layout["arrays"]
    else:
        names = [layout["captions"], *layout.get("folders", [layout["images"]])]
    return [f"{card.files[0].file}/{name}" for name in names]


def _check_parts(card: Card, split: str) -> None:
    parts = [data_folder() / part for part in _parts(card, split)]
    if missing := [part for part in parts if not part.exists()]:
        of = f", {split}" if card.kind == "images" else ""
        raise FileNotFoundError(
            f"{card.title}{of}: {missing[0]} is missing ({len(missing)} of {len(parts)} "
            f"files and folders are). {card.how_to_get}"
        )


def _is_good(path: Path, file: DataFile) -> bool:
    if not path.is_file() or file.bytes not in (None, path.stat().st_size):
        return False
    large = (file.bytes or 0) > _MOST_HASHED_BYTES
    return large or file.sha256 in (None, sha256_of(path))


def _download(file: DataFile, path: Path) -> None:
    import pooch

    pooch.get_logger().setLevel("WARNING")
    try:
        with scratch_folder(path.parent) as folder:
            pooch.retrieve(
                file.url,
                known_hash=f"sha256:{file.sha256}",
                fname=path.name,
                path=folder,
                downloader=partial(_stream, file),
            )
            os.replace(folder / path.name, path)
    # pooch answers a wrong hash with a ValueError.
    except (OSError, ValueError) as error:
        raise DownloadError(
            f"{file.file} could not be fetched from {file.url}: {error}. Nothing was kept; "
            f"try again, or get it by hand (sha256 {file.sha256}) and put it at {path}"
        ) from error


def _stream(file: DataFile, url: str, output: str, _: Any) -> None:
    """Write what is at `url`, as many bytes as the file has and in bounded time."""
    import requests
    import urllib3
    from tqdm import tqdm

    # The schema of the registry asks for the size of what has a url.
    assert file.bytes is not None
    seconds = _GRACE_SECONDS + file.bytes / _SLOWEST_BYTES_A_SECOND
    end = time.monotonic() + seconds
    received = 0
    try:
        with (
            requests.get(
                url,
                # Nothing that grows when it is decoded.
                headers={"Accept-Encoding": "identity"},
                stream=True,
                timeout=_TIMEOUT_SECONDS,
            ) as answer,
            open(output, "wb") as kept,
            tqdm(
                desc=file.file, unit="B", unit_scale=True, disable=None, total=file.bytes
            ) as bar,
        ):
            answer.raise_for_status()
            # read1 gives what has come; read waits for a whole block, however long it takes.
            while part := answer.raw.read1(1 << 20, decode_content=False):
                received += len(part)
                if received > file.bytes:
                    raise OSError(f"it sends more than the {file.bytes} bytes that it has")
                if time.monotonic() > end:
                    raise OSError(f"it sent {received} bytes in {seconds:.0f} seconds")
                kept.write(part)
                bar.update(len(part))
    except urllib3.exceptions.HTTPError as error:
        raise OSError(error) from error
    if received < file.bytes:
        raise OSError(f"it sent {received} of {file.bytes} bytes")
