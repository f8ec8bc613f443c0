"""Reading archives of images: members where they are, or unpacked once."""

from __future__ import annotations

import gzip
import lzma
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from mvlib.files import scratch_folder

_DAMAGED = (
    tarfile.TarError, gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError, KeyError,
)  # fmt: skip


def read_members(path: Path, names: Sequence[str]) -> list[bytes]:
    """Return the contents of members of a tar archive, which is read up to the last of them.

    Raises
    ------
    ValueError
        If it is no tar archive, is cut short or lacks one.
    """
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r|*") as archive:
            for member in archive:
                if member.name in names and member.isfile():
                    found[member.name] = archive.extractfile(member).read()
                if len(found) == len(names):
                    break
    except _DAMAGED as error:
        raise ValueError(f"{path} is not a readable tar archive: {error}") from error
    if missing := [name for name in names if name not in found]:
        raise ValueError(f"{path} has no member {missing[0]!r}: expected {', '.join(names)}")
    return [found[name] for name in names]


def unpack(archive: Path, name: str) -> Path:
    """Return the folder `name` of an archive, unpacked beside it, whole or not at all.

    Raises
    ------
    ValueError
        If the archive is cut short or not readable, or a member or a link leads outside.
    """
    folder = archive.parent / name
    if folder.is_dir():
        return folder
    with scratch_folder(archive.parent) as temporary:
        try:
            with tarfile.open(archive) as opened:
                opened.extractall(temporary, _inside(opened), filter="data")
                _check_end(opened)
        except _DAMAGED as error:
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
