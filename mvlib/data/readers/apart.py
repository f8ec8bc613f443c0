"""Reading a file without a known checksum in a process of its own.

A few changed bytes can make a compiled reader crash, hang or take all memory: then that
process goes, and not the caller's.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from mvlib.files import check_file, reading

_LONGEST_SECONDS = 300
_BAD_FILE = 3


def read_apart(reader: str, path: Path, *more: Any) -> list[np.ndarray]:
    """Return the arrays of a reader, `module:function`, called with a path and plain values.

    It is run elsewhere, and may take five minutes, and 4 GiB of memory and ten times the file's
    size: a ValueError else, and if it crashes.
    """
    check_file(path)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(
            [sys.executable, "-m", __name__],
            input=json.dumps([reader, str(path), *more]).encode(),
            capture_output=True,
            timeout=_LONGEST_SECONDS,
            env=environment,
        )
    except subprocess.TimeoutExpired as error:
        raise ValueError(
            f"{path} was not read within {_LONGEST_SECONDS} seconds: it is damaged"
        ) from error
    if done.returncode == _BAD_FILE:
        raise ValueError(done.stderr.decode())
    if done.returncode:
        raise ValueError(f"{path} is damaged: its reader ended with {done.returncode}")
    with reading(path, "file"), np.load(io.BytesIO(done.stdout), allow_pickle=False) as arrays:
        return [arrays[name] for name in arrays.files]


def _main() -> int:
    reader, path, *more = json.load(sys.stdin)
    most = (4 << 30) + 10 * os.path.getsize(path)
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    module, _, function = reader.partition(":")
    try:
        arrays = getattr(importlib.import_module(module), function)(Path(path), *more)
        if any(array.dtype.hasobject for array in arrays):
            raise ValueError(f"{path} holds what is no array of numbers or texts")
    except (ValueError, OSError, MemoryError) as error:
        said = f"{path} takes more than {most / (1 << 30):.1f} GiB of memory: it is damaged"
        sys.stderr.write(said if isinstance(error, MemoryError) else str(error))
        return _BAD_FILE
    content = io.BytesIO()
    np.savez(content, *arrays)
    sys.stdout.buffer.write(content.getbuffer())
    return 0


if __name__ == "__main__":
    sys.exit(_main())
