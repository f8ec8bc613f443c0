"""Reading archives of images: members where they are, or unpacked once."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path


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
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is not a readable tar archive: {error}") from error
    if missing := [name for name in names if name not in found]:
        raise ValueError(f"{path} has no member {missing[0]!r}: expected {', '.join(names)}")
    return [found[name] for name in names]


def unpack(archive: Path, name: str) -> Path:
    """Return the folder `name` of an archive, unpacked beside it, whole or not at all.

    Raises
    ------
    ValueError
        If the archive is not readable, or a member would land outside the folder.
    """
    folder = archive.parent / name
    if folder.is_dir():
        return folder
    temporary = Path(tempfile.mkdtemp(dir=archive.parent, prefix=f".{name}."))
    try:
        with tarfile.open(archive) as members:
            members.extractall(temporary, filter="data")
        if not (temporary / name).is_dir():
            raise ValueError(f"{archive} holds no folder {name!r}: expected one")
        (temporary / name).rename(folder)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise ValueError(f"{archive} cannot be unpacked: {error}") from error
    except OSError:
        # Another process may have unpacked it in the meantime.
        if not folder.is_dir():
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder
