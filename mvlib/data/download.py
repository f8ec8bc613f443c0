"""Fetching data files: checked, whole or not at all, and never over a user's file."""

from __future__ import annotations

import os
from pathlib import Path

from mvlib._files import sha256_of
from mvlib._paths import embedded_data
from mvlib.data.registry import Card, DataFile, card

_TIMEOUT_SECONDS = 30


class DownloadError(OSError):
    """A data file could not be fetched; nothing of it is left on disk."""


def data_folder() -> Path:
    """Return where data files are kept: `MVLIB_DATA`, else the user's cache folder."""
    if folder := os.environ.get("MVLIB_DATA"):
        return Path(folder).expanduser()
    import pooch

    return Path(pooch.os_cache("mvlib"))


def fetch(name: str, original: bool = False) -> list[Path]:
    """Return the files of a data set, downloading what is missing.

    Files are kept in `MVLIB_DATA` (default the user's cache folder). One that is there with
    the right sha256 is used without network. One that is there with another sha256 is an
    error: it may be the user's own, so it is neither overwritten nor used. A download goes
    to a temporary file, is checked, and only then gets its name; after a failure nothing of
    it is left. With `MVLIB_OFFLINE=1` the network is never touched.

    Parameters
    ----------
    name : str
        One of `mvlib.data.list_datasets()`.
    original : bool, default=False
        For a set that ships with mvlib: fetch the file it was packed from instead of
        giving the embedded one.

    Returns
    -------
    list of Path
        In the order of the card's files.

    Raises
    ------
    ValueError
        If there is no such set, or a file on disk has another sha256.
    FileNotFoundError
        If a file is missing and the set has no pinned url, or mvlib is offline.
    DownloadError
        If the download failed or its bytes were not the pinned ones.
    """
    description = card(name)
    if description.embedded_file and not original:
        return [_embedded(description.embedded_file)]
    return [fetch_file(file, data_folder(), description) for file in description.files]


def is_available(name: str) -> bool:
    """Return whether `mvlib.data.load` would find a set's files without the network.

    Raises
    ------
    ValueError
        If there is no such set.
    """
    description = card(name)
    folder, files = data_folder(), description.files
    if description.embedded_file:
        folder, files = embedded_data(), (description.embedded_file,)
    return all(
        (folder / file.file).is_file() and file.sha256 in (None, sha256_of(folder / file.file))
        for file in files
    )


def fetch_file(file: DataFile, folder: Path, description: Card) -> Path:
    """Return one file of `folder`, downloading it if it is not there.

    Raises
    ------
    ValueError, FileNotFoundError, DownloadError
        As `fetch` says.
    """
    path = Path(folder) / file.file
    if path.exists():
        if file.sha256 and (found := sha256_of(path)) != file.sha256:
            raise ValueError(
                f"{path} has sha256 {found}: expected {file.sha256}. It is damaged or "
                "another file of that name; delete or move it to have it fetched again"
            )
        return path
    if file.url is None or file.sha256 is None:
        raise FileNotFoundError(
            f"{description.title}: {file.file} is missing and has no pinned url. "
            f"{description.how_to_get} Put it at {path}"
        )
    if _is_offline():
        raise FileNotFoundError(
            f"{description.title}: {file.file} is missing and MVLIB_OFFLINE is set. Get it "
            f"from {file.url} (sha256 {file.sha256}) and put it at {path}, or unset "
            "MVLIB_OFFLINE"
        )
    _download(file, path)
    return path


def _embedded(file: DataFile) -> Path:
    path = embedded_data() / file.file
    if not path.is_file():
        raise FileNotFoundError(f"{path} ships with mvlib and is missing: install mvlib again")
    if (found := sha256_of(path)) != file.sha256:
        raise ValueError(
            f"{path} has sha256 {found}: expected {file.sha256}. It ships with mvlib: "
            "restore it or install mvlib again"
        )
    return path


def _is_offline() -> bool:
    return os.environ.get("MVLIB_OFFLINE", "").lower() not in ("", "0", "false", "no")


def _download(file: DataFile, path: Path) -> None:
    import pooch
    from tqdm import tqdm

    pooch.get_logger().setLevel("WARNING")
    bar = tqdm(desc=file.file, unit="B", unit_scale=True, disable=None, total=file.bytes)
    try:
        # pooch writes to a temporary file beside `path`, checks it, then moves it.
        pooch.retrieve(
            file.url,
            known_hash=f"sha256:{file.sha256}",
            fname=path.name,
            path=path.parent,
            downloader=pooch.HTTPDownloader(progressbar=bar, timeout=_TIMEOUT_SECONDS),
        )
    # requests' errors are OSErrors; pooch answers a wrong hash with a ValueError.
    except (OSError, ValueError) as error:
        raise DownloadError(
            f"{file.file} could not be fetched from {file.url}: {error}. Nothing was kept; "
            f"try again, or get it by hand (sha256 {file.sha256}) and put it at {path}"
        ) from error
    finally:
        bar.close()
