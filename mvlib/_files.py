"""Writing files so that a reader never sees half of one."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success it becomes `path`, else it goes.

    Parameters
    ----------
    path : str or Path
        The file to write. Its folder is made if need be.

    Yields
    ------
    Path
        Where to write. It keeps the suffix of `path`, since writers look at it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.stem[:40]}.", suffix=path.suffix
    )
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as stream:
            os.fsync(stream.fileno())
        # mkstemp makes files that only the owner reads.
        temporary.chmod(0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8 to `path`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def open_regular(path: str | Path) -> BinaryIO:
    """Open a file to read its bytes.

    Raises
    ------
    OSError
        If it cannot be opened.
    ValueError
        If it is a pipe, a device or the like, which might never end.
    """
    # Opening a pipe waits for its writer, unless told not to.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    stream = os.fdopen(handle, "rb")
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return stream
    stream.close()
    raise ValueError(f"{Path(path).name} is no regular file: expected one, or a link to one")


def sha256_of(path: str | Path) -> str:
    """Return the sha256 of a file's bytes, in hexadecimal."""
    with open_regular(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
