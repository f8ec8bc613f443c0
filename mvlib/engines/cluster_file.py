"""A cluster described in a short YAML file, read strictly."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from mvlib._validation import check_choice, check_number

QUEUES = ("slurm", "pbs", "lsf", "sge")
KINDS = ("local", *QUEUES)
_ANYWHERE = ("scheduler", "security")
_STARTED = (
    "kind", "workers", "minimum", "maximum", "slots", "gpus", "folder", "deaths", "dashboard",
    "security",
)  # fmt: skip
_QUEUED = (
    "cores", "memory", "walltime", "queue", "account", "directives", "interface", "python",
    "prologue", "logs",
)  # fmt: skip
_COUNTS = {
    "workers": 1, "minimum": 0, "maximum": 1, "slots": 1, "gpus": 0, "deaths": 0, "cores": 1,
}  # fmt: skip
_MOST = 10**6
_LISTS = ("directives", "prologue")
_SECURITY = ("ca", "cert", "key")
_ADDRESS = re.compile(r"(tcp|tls)://\S+:\d{1,5}")
_DASHBOARD = re.compile(r"\S*:\d{1,5}")
_MEMORY = re.compile(r"\d+(\.\d+)? ?[kMGT]i?B")
_WALLTIME = re.compile(r"(\d+-)?\d{1,3}:\d{2}(:\d{2})?")


@dataclass(frozen=True)
class ClusterFile:
    """A cluster, as its file describes it.

    Attributes
    ----------
    scheduler : str or None
        Address of one that runs already; then only `security` counts besides.
    kind : {"local", "slurm", "pbs", "lsf", "sge"} or None
        What starts the workers.
    workers : int
        How many; jobs of a queue have one each.
    minimum, maximum : int or None
        Between these their number follows what waits, in place of `workers`.
    slots : int
        Runs at a time of each.
    gpus : int
        Cards of each; a run on a GPU gets one.
    folder : str or None
        The project on the workers' machines; that of the caller by default.
    deaths : int
        How many deaths of its workers a run survives; it fails at the next.
    dashboard : str or None
        HOST:PORT of Dask's dashboard; by default 127.0.0.1, port 8787 or a free one.
    security : mapping of str to str or None
        Files of TLS: `ca`, `cert`, `key`.
    cores : int or None
        Of a queue's job; its worker's to share out.
    memory, walltime, queue, account : str or None
        Of a queue's job, such as "16GB" and "12:00:00".
    directives : tuple of str
        More of the queue's own options, one a line of the job's header.
    interface : str or None
        Network interface that reaches the workers, such as "ib0".
    python : str or None
        That of the workers; the caller's by default.
    prologue : tuple of str
        Lines of shell before a worker starts.
    logs : str or None
        Where the queue puts the output of its jobs.
    """

    scheduler: str | None = None
    kind: str | None = None
    workers: int = 1
    minimum: int | None = None
    maximum: int | None = None
    slots: int = 1
    gpus: int = 0
    folder: str | None = None
    deaths: int = 2
    dashboard: str | None = None
    security: Mapping[str, str] | None = None
    cores: int | None = None
    memory: str | None = None
    walltime: str | None = None
    queue: str | None = None
    account: str | None = None
    directives: tuple[str, ...] = field(default=())
    interface: str | None = None
    python: str | None = None
    prologue: tuple[str, ...] = field(default=())
    logs: str | None = None


def load_cluster_file(path: str | Path) -> ClusterFile:
    """Return what a cluster's file says.

    Parameters
    ----------
    path : str or Path
        YAML: the keys are the attributes of `ClusterFile`.

    Returns
    -------
    ClusterFile

    Raises
    ------
    ValueError
        If the file is missing or no YAML, a key is unknown, missing or not for its kind, or
        a value is not what its key takes; the file and the key are named.
    """
    import yaml

    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        found = yaml.safe_load(text)
        twice = _given_twice(yaml.compose(text, yaml.SafeLoader))
    except OSError as error:
        raise ValueError(f"cluster file {path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"cluster file {path} is no YAML: {_one_line(error)}") from error
    where = f"cluster file {path.name}"
    if not isinstance(found, dict):
        raise ValueError(
            f"{where} holds {found!r:.80}: expected keys and values, such as kind: local"
        )
    if twice:
        raise ValueError(f"{where} gives {twice} twice: expected each key once")
    for key in found:
        check_choice(f"{where}: key", key, [each.name for each in fields(ClusterFile)])
    _check_kind(where, found)
    values = {key: _value(f"{where}: {key}", key, value) for key, value in found.items()}
    _check_together(where, values)
    return ClusterFile(**values)


def _given_twice(node: Any) -> str:
    """Return the first key that a YAML mapping, or one right within it, holds twice, or ""."""

    def pairs(of: Any) -> list[tuple[Any, Any]]:
        return of.value if getattr(of, "id", "") == "mapping" else []

    for mapping in [node, *(value for _, value in pairs(node))]:
        counts = Counter(str(key.value) for key, _ in pairs(mapping))
        if twice := [key for key, count in counts.items() if count > 1]:
            return twice[0]
    return ""


def _check_kind(where: str, found: Mapping[str, Any]) -> None:
    if ("scheduler" in found) == ("kind" in found):
        both = "both scheduler and kind" if "kind" in found else "neither scheduler nor kind"
        raise ValueError(
            f"{where} has {both}: expected scheduler, the address of one that runs, or "
            f"kind, one of {', '.join(KINDS)}"
        )
    if "scheduler" in found:
        allowed, of = _ANYWHERE, "a scheduler that runs already"
    else:
        kind = check_choice(f"{where}: kind", found["kind"], KINDS)
        allowed, of = _STARTED + (_QUEUED if kind in QUEUES else ()), f"kind {kind}"
        for key in ("cores", "memory") if kind in QUEUES else ():
            if key not in found:
                raise ValueError(f"{where} lacks {key}: kind {kind} needs it for its jobs")
    for key in found:
        if key not in allowed:
            raise ValueError(
                f"{where}: {key} does not go with {of}: expected only {', '.join(allowed)}"
            )


def _value(where: str, key: str, value: Any) -> Any:
    if key in _COUNTS:
        # A number beyond what NumPy holds would stop the check itself.
        shown = float("inf") if isinstance(value, int) and abs(value) > _MOST else value
        return check_number(where, shown, low=_COUNTS[key], high=_MOST, integer=True)
    if key in _LISTS:
        if not isinstance(value, list) or not all(_is_line(line) for line in value):
            raise ValueError(f"{where}={value!r:.200}: expected a list of lines of text")
        return tuple(value)
    if key == "security":
        return _security(where, value)
    patterns = {
        "scheduler": (_ADDRESS, "tcp://HOST:PORT or tls://HOST:PORT"),
        "dashboard": (_DASHBOARD, "HOST:PORT, such as 127.0.0.1:8787"),
        "memory": (_MEMORY, 'an amount with its unit, such as "16GB"'),
        "walltime": (_WALLTIME, 'hours, minutes and seconds in quotes, such as "12:00:00"'),
    }
    pattern, expected = patterns.get(key, (re.compile(".+"), "one line of text"))
    if not _is_line(value) or not pattern.fullmatch(value):
        raise ValueError(f"{where}={value!r:.200}: expected {expected}")
    return value


def _security(where: str, value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError(f"{where}={value!r:.200}: expected the files {', '.join(_SECURITY)}")
    for key in value:
        check_choice(f"{where}: key", key, _SECURITY)
    if missing := [key for key in _SECURITY if key not in value]:
        raise ValueError(f"{where} lacks {', '.join(missing)}: expected a PEM file for each")
    for key in _SECURITY:
        if not _is_line(value[key]) or not Path(value[key]).expanduser().is_file():
            raise ValueError(f"{where}: {key}={value[key]!r:.200} is no file: expected PEM")
    return {key: str(Path(value[key]).expanduser().resolve()) for key in _SECURITY}


def _check_together(where: str, values: Mapping[str, Any]) -> None:
    low, high = values.get("minimum"), values.get("maximum")
    if (low is None) != (high is None) or (low is not None and "workers" in values):
        raise ValueError(f"{where}: expected workers, or minimum and maximum together")
    if low is not None and low > high:
        raise ValueError(f"{where}: minimum={low}: expected at most maximum={high}")
    if values.get("kind") == "local" and values.get("gpus") and values.get("workers", 1) > 1:
        raise ValueError(
            f"{where}: workers={values['workers']} would share the machine's {values['gpus']} "
            "gpus: expected one worker, with as many slots as cards"
        )
    if values.get("gpus") and low is not None and values["kind"] == "local":
        raise ValueError(f"{where}: minimum and maximum do not go with gpus in kind local")


def _is_line(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
