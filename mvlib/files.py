"""Files: where they are, strict JSON and TOML, whole writes, and names that load lazily."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
import stat
import sys
import tempfile
import tomllib
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

# Every reader downstream, and `json.dumps`, can follow that deep.
_DEEPEST = 64
_LARGEST = 2**63
_SURROGATE = re.compile(r"[\ud800-\udfff]")
# Of what jsonschema imports; nobody here asks for what it checks.
_SLOW_HELPER = "rfc3987_syntax"
_MARKS = ("_config.yml", "notebooks")


class NotJSON(ValueError):
    """A text is not JSON, as one that was cut off is not."""


def attach(
    package: str, exports: Mapping[str, str], renamed: Mapping[str, str] | None = None
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the `__getattr__` and `__dir__` of a package whose names load lazily.

    `exports` maps a public name to the module that defines it; a name that equals the last
    part of its module's path stands for the module itself, unless the module defines it.
    `renamed` maps an earlier name, whose use warns, to the one in `exports` that stands for it
    now, and behind a colon the first argument that makes it the same.
    """

    def __getattr__(name: str) -> Any:
        if renamed and name in renamed:
            now, _, argument = renamed[name].partition(":")
            words = f"{now}({argument!r})" if argument else now
            words = f"{package}.{name} is now {package}.{words}"
            warnings.warn(words, DeprecationWarning, stacklevel=2)
            found = __getattr__(now)
            return partial(found, argument) if argument else found
        if name not in exports:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = import_module(exports[name])
        return getattr(module, name, module)

    def __dir__() -> list[str]:
        return sorted(exports)

    return __getattr__, __dir__


class MergedModules(MetaPathFinder, Loader):
    """Let modules be imported by the names that they had before they became parts of others.

    Parameters
    ----------
    package : str
        Where they were, and are.
    merged : mapping of str to str
        Former name to the present one. Code cells of notebooks, on which records hang, go on
        importing the former.
    """

    def __init__(self, package: str, merged: Mapping[str, str]):
        self._now = {f"{package}.{was}": f"{package}.{now}" for was, now in merged.items()}
        sys.meta_path.append(self)

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        return ModuleSpec(fullname, self) if fullname in self._now else None

    def exec_module(self, module: ModuleType) -> None:
        # The import system takes what it finds here for what it loaded.
        sys.modules[module.__name__] = import_module(self._now[module.__name__])


def project_root() -> Path:
    """Return the root of the reproduction book that the caller works in.

    It is `MVLIB_ROOT` if set, else the nearest folder at or above the current one that
    holds `_config.yml` and `notebooks`, else the checkout that mvlib is installed from.
    """
    if root := os.environ.get("MVLIB_ROOT"):
        return Path(root).resolve()
    here = Path.cwd().resolve()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[1]):
        if all((folder / mark).exists() for mark in _MARKS):
            return folder
    raise ValueError(
        f"no reproduction book at or above {here}: expected a folder that holds "
        f"{' and '.join(_MARKS)}; set MVLIB_ROOT or change into a checkout"
    )


def embedded_data() -> Path:
    """Return the folder of the data sets that ship with mvlib."""
    installed = Path(__file__).parent / "data" / "embedded"
    checkout = Path(__file__).resolve().parents[1] / "data" / "embedded"
    return installed if installed.is_dir() else checkout


def python_path() -> str:
    """Return `PYTHONPATH` with the folder of this mvlib first, whatever else is installed."""
    ours = str(Path(__file__).resolve().parents[1])
    theirs = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    return os.pathsep.join(dict.fromkeys([ours, *theirs]))


def quick_jsonschema() -> None:
    """Import jsonschema, which others want, without its slow checker of IRIs."""
    absent = _SLOW_HELPER not in sys.modules
    if absent:
        # None there makes an import of it fail, as Python documents it.
        sys.modules[_SLOW_HELPER] = None  # type: ignore[assignment]
    try:
        import jsonschema  # noqa: F401
    finally:
        if absent:
            del sys.modules[_SLOW_HELPER]


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success it becomes `path`, else it goes.

    The folder is made if need be. The temporary keeps the suffix, since writers look at it.
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


@contextmanager
def scratch_folder(beside: str | Path) -> Iterator[Path]:
    """Give a new folder in the folder `beside`; it goes in the end, whatever happens.

    So do those that killed processes left there: each is locked as long as its owner lives.
    """
    beside = Path(beside)
    beside.mkdir(parents=True, exist_ok=True)
    for left in beside.glob(".mvlib-*"):
        with suppress(OSError), _locked(left / "lock", "r+b"):
            shutil.rmtree(left)
    unlocked = Path(tempfile.mkdtemp(dir=beside, prefix=".new-"))
    folder = unlocked.with_name(f".mvlib-{unlocked.name[5:]}")
    try:
        with _locked(unlocked / "lock", "xb"):
            unlocked.rename(folder)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(path: Path, mode: str) -> Iterator[None]:
    with open(path, mode) as stream:
        # Without fcntl, on Windows, an open file keeps its folder from being removed.
        with suppress(ImportError):
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8 to `path`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def open_regular(path: str | Path) -> BinaryIO:
    """Open a file to read its bytes, unless it is a pipe or a device, which might never end."""
    # Opening a pipe waits for its writer, unless told not to.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    stream = os.fdopen(handle, "rb")
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return stream
    stream.close()
    raise ValueError(f"{Path(path).name} is no regular file: expected one, or a link to one")


def sha256_of(path: str | Path) -> str:
    """Return the sha256 of a file's bytes, in hexadecimal; ValueError if it is no file."""
    with open(check_file(path), "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def shipped_file(path: Path, sha256: str | None = None) -> Path:
    """Return the path of a file that ships with mvlib, if it is there and has its sha256."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} ships with mvlib and is missing: install mvlib again")
    if sha256 and (found := sha256_of(path)) != sha256:
        raise ValueError(
            f"{path} has sha256 {found}: expected {sha256}. It ships with mvlib: restore it or "
            "install mvlib again"
        )
    return path


def check_file(path: str | Path, name: str | None = None) -> Path:
    """Return `path` unless it is no regular file: reading a pipe or a device would hang."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise ValueError(f"{name or path} is no regular file: expected one")
    return Path(path)


def check_folder(path: str | Path, argument: str, expected: str) -> None:
    """Raise ValueError unless `path` is a folder that can be read."""
    try:
        if not str(path):
            raise FileNotFoundError(2, "no name")
        os.scandir(path).close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(
            f"{argument}={str(path)!r} cannot be read ({reason}): expected {expected}"
        ) from error


@contextmanager
def reading(path: str | Path, what: str) -> Iterator[None]:
    """Turn whatever a reader of damaged bytes raises into a ValueError that names the file.

    Readers raise errors of many kinds. That a file is missing stays what it is.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:
        said = shorten(str(error)) or type(error).__name__
        raise ValueError(f"{path} is not a readable {what}: {said}") from error


def read_text(path: str | Path, name: str | None = None) -> str:
    """Return the text of a UTF-8 file, called `name` in errors, by default its own name."""
    path = Path(path)
    try:
        return check_file(path, name or path.name).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise ValueError(
            f"{name or path.name} is no UTF-8 text: byte {byte:#04x} at {error.start}; "
            "expected UTF-8"
        ) from error


def file_stamp(path: str | Path) -> tuple[int, int, int, int]:
    """Return what any change of a file changes: its number, size and times."""
    status = os.stat(path)
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def parse_json(text: str, name: str) -> Any:
    """Return the content of a JSON text, called `name` in errors.

    NotJSON if it is none; ValueError if it gives a name twice or `check_plain` refuses it.
    """
    try:
        content = json.loads(
            text, parse_constant=_no_constant, object_pairs_hook=_without_doubles
        )
    except json.JSONDecodeError as error:
        raise NotJSON(f"{name} is not JSON ({error})") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} cannot be taken as JSON: {_first_words(error)}") from error
    return check_plain(content, name)


def parse_toml(text: str, name: str) -> dict[str, Any]:
    """Return the content of a TOML text, called `name` in errors, if `check_plain` takes it."""
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} is no TOML: {_first_words(error)}") from error
    return check_plain(content, name)


def read_toml(path: str | Path, name: str | None = None) -> dict[str, Any]:
    """Return the content of a TOML file, as `read_text` and `parse_toml` do."""
    name = name or Path(path).name
    return parse_toml(read_text(path, name), name)


def read_json(path: str | Path, name: str | None = None) -> Any:
    """Return the content of a JSON file, as `read_text` and `parse_json` do."""
    name = name or Path(path).name
    return parse_json(read_text(path, name), name)


def check_plain(content: Any, name: str) -> Any:
    """Return `content` if JSON can hold it and every reader can take it.

    It may not hold a number that is not finite or beyond 64 bits, half a surrogate pair, deep
    nesting, or anything but plain values.
    """
    pending: list[tuple[tuple[Any, ...], Any]] = [((), content)]
    while pending:
        place, value = pending.pop()
        if len(place) > _DEEPEST:
            raise ValueError(f"{name} is nested too deep: expected {_DEEPEST} levels at most")
        if isinstance(value, dict):
            pending += [((*place, key), each) for key, each in value.items()]
            if problem := next(filter(None, map(_problem, value)), None):
                raise ValueError(f"{name}: a name {problem}")
        elif isinstance(value, list | tuple):
            # Curves and labels, most of what records hold, in one go.
            kinds = set(map(type, value))
            if kinds == {float} and math.isfinite(sum(value)):
                continue
            if kinds == {int} and min(value) >= -_LARGEST and max(value) < _LARGEST:
                continue
            pending += [((*place, number), each) for number, each in enumerate(value)]
        elif problem := _problem(value):
            where = "/".join(map(str, place)) or "it"
            raise ValueError(f"{name}: {where} {problem}")
    return content


def check_table(where: str, value: Any) -> dict[str, Any]:
    """Return `value` if it is a table (an object of JSON), else raise ValueError."""
    return _of(dict, where, value, "a table of names and values")


def check_text(where: str, value: Any) -> str:
    """Return `value` if it is text and not empty, else raise ValueError."""
    return _of(str, where, value or None, "text")


def check_list(where: str, value: Any, of: type = object) -> list[Any]:
    """Return `value` if it is a list whose entries are all of one type, or ValueError."""
    kinds: dict[type, str] = {str: " of texts", dict: " of tables"}
    found = _of(list, where, value, f"a list{kinds.get(of, '')}")
    for entry in found:
        _of(of, where, entry, f"a list{kinds.get(of, '')}")
    return found


def _of(kind: type, where: str, value: Any, expected: str) -> Any:
    if isinstance(value, kind):
        return value
    raise ValueError(f"{where}={shown(value)}: expected {expected}")


def shorten(text: str) -> str:
    """Return text as one line of at most 120 characters, for an error to repeat."""
    text = " ".join(text.split())
    return text if len(text) <= 120 else f"{text[:117]}..."


def shown(value: Any) -> str:
    """Return a value as one short line, for an error to repeat."""
    try:
        return shorten(ascii(value))
    except RecursionError:
        return f"a {type(value).__name__}"


def _problem(value: Any) -> str | None:
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, str):
        found = _SURROGATE.search(value)
        return f"is {shown(value)}: expected whole characters" if found else None
    if isinstance(value, int):
        if not -_LARGEST <= value < _LARGEST:
            return "is a number beyond 64 bits: expected a smaller one"
        return None
    if isinstance(value, float):
        return None if math.isfinite(value) else f"is {value}: expected a finite number"
    return f"is {value!r}: expected text, a number, a list or a table"


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{shown(double)} stands twice in one object: expected it once")
    return found


def _no_constant(word: str) -> Any:
    raise ValueError(f"it holds {word}: expected a finite number")


def _first_words(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return f"it is nested too deep: expected {_DEEPEST} levels at most"
    return shorten(str(error))
