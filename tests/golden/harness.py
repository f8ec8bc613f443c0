"""What a method came to when its version was made, and whether it still does.

A module in `golden/cases` has `CASES`, a dict from a method's name in `VERSIONS` to a dict from
its settings to what gives their numbers: a function, or a `Case` where the processor decides.
`make golden` keeps them in `golden/<method>.json`.
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from mvlib.methods.catalogue import CATALOGUE, VERSIONS, find, load

FOLDER = Path(__file__).parent
RELATIVE = 1e-4
# An array of more numbers is kept as its mean size and so many of its entries.
ENTRIES = 24


@dataclass(frozen=True)
class Case:
    """One setting of a method: what gives its numbers, by name.

    `relative` is wider than 1e-4 only where the processor decides, and then `why` says so; it
    is that of the numbers in `only`, if there are any. Whole numbers and words must be equal.
    """

    run: Callable[[], dict[str, Any]]
    relative: float = RELATIVE
    why: str = ""
    only: tuple[str, ...] = ()

    def tolerance(self, name: str) -> float:
        return self.relative if not self.only or name in self.only else RELATIVE


@cache
def every_case() -> dict[str, dict[str, Case]]:
    """Return the cases of all methods."""
    every = {}
    for path in sorted((FOLDER / "cases").glob("[!_]*.py")):
        every |= importlib.import_module(f"golden.cases.{path.stem}").CASES
    for method in CATALOGUE:
        golden = method.golden or method.name
        case = {f"defaults of {method.title}": partial(defaults, method.name)}
        every[golden] = every[golden] | case
    return {
        method: {n: c if isinstance(c, Case) else Case(c) for n, c in every[method].items()}
        for method in sorted(every)
    }


def defaults(name: str) -> dict[str, list[str]]:
    """Return in words the defaults of a method and its functions, and its settings."""
    model = load(name)()
    settings = getattr(sys.modules[type(model).__module__], "PAPER_SETTINGS", {})
    tables = {"defaults": model.get_params(deep=False)} | dict(
        getattr(model, "_paper_settings", settings)
    )
    words = {
        table: [f"{parameter}={value!r}" for parameter, value in dict(values).items()]
        for table, values in tables.items()
    }
    return words | {"functions": sorted(defaults_of_functions(find(name).estimator))}


def defaults_of_functions(estimator: str) -> Iterator[str]:
    """Yield the defaults of what else stands in the file or folder of an estimator."""
    file = importlib.import_module(f"mvlib.methods.{estimator.rpartition('.')[0]}")
    beside = [
        f"{file.__name__}.{each.name}" for each in iter_modules(getattr(file, "__path__", []))
    ]
    for module in map(importlib.import_module, [file.__name__, *beside]):
        for thing in vars(module).values():
            own = getattr(thing, "__module__", "") == module.__name__
            if own and callable(thing) and not hasattr(thing, "get_params"):
                for parameter in inspect.signature(thing).parameters.values():
                    if isinstance(parameter.default, int | float | tuple):
                        yield f"{thing.__name__}({parameter.name}={parameter.default!r})"


def cases(method: str) -> dict[str, Case]:
    return every_case()[method]


def path(method: str, folder: Path = FOLDER) -> Path:
    return folder / f"{method}.json"


def read(method: str, folder: Path = FOLDER) -> dict[str, Any]:
    return json.loads(path(method, folder).read_text())


def numbers_of(case: Case) -> dict[str, list]:
    """Run a case on one thread."""
    with one_thread():
        return {name: reduced(value) for name, value in case.run().items()}


def reduced(value: Any) -> list:
    """Return a few numbers, whole numbers or words that stand for a value."""
    array = np.atleast_1d(np.asarray(value))
    if array.dtype.kind not in "fc":
        return array.ravel().tolist()
    flat = array.ravel().astype(np.float64)
    if len(flat) > ENTRIES:
        places = np.linspace(0, len(flat) - 1, ENTRIES).astype(int)
        flat = np.concatenate([[np.abs(flat).mean()], flat[places]])
    return [float(f"{x:.7g}") if np.isfinite(x) else None for x in flat]


def differences(
    golden: dict, found: dict, tolerance: Callable[[str], float] = lambda name: RELATIVE
) -> list[str]:
    """Say of each name whose numbers differ by more than this share of their size.

    The size of a number is its own, or the root mean square of its list if that is larger.
    """
    said = [f"{name} is in one of them only" for name in sorted(set(golden) ^ set(found))]
    for name in sorted(set(golden) & set(found)):
        was, now = golden[name], found[name]
        if len(was) != len(now):
            said.append(f"{name} has {len(now)} entries, not {len(was)}")
        elif not all(isinstance(x, float | None) for x in was):
            changed = sum(a != b for a, b in zip(was, now, strict=True))
            if changed:
                said.append(f"{name} differs in {changed} of {len(was)} entries")
        else:
            was, now = (np.array(values, dtype=np.float64) for values in (was, now))
            size = np.maximum(np.abs(was), np.sqrt(np.nansum(was**2) / max(len(was), 1)))
            off = np.nan_to_num(np.abs(now - was) / np.where(size > 0, size, 1))
            apart = (np.isnan(was) != np.isnan(now)).any()
            if apart or off.max(initial=0) > tolerance(name):
                said.append(f"{name} differs by {off.max():.2g}: {was} became {now}")
    return said


def rewritten(method: str, folder: Path = FOLDER) -> dict[str, Any]:
    """Return the golden numbers of a method's version; those that still hold stay as written.

    Raises
    ------
    ValueError
        If numbers changed under a version that has them already.
    """
    old = (
        read(method, folder) if path(method, folder).is_file() else {"version": 0, "cases": {}}
    )
    new, changed = {}, []
    for name, case in cases(method).items():
        found, kept = numbers_of(case), old["cases"].get(name)
        said = ["new"] if kept is None else differences(kept, found, case.tolerance)
        changed += [f"{name}: {text}" for text in said if kept is not None]
        new[name] = found if said else kept
    if changed and VERSIONS[method] <= old["version"]:
        raise ValueError(
            f"numbers of {method} changed, and its version is {old['version']} as before: "
            "raise it in mvlib/methods/catalogue.py\n" + "\n".join(changed)
        )
    return {"version": VERSIONS[method], "cases": new}


def write(method: str, folder: Path = FOLDER) -> None:
    golden = rewritten(method, folder)
    blocks = [
        f"  {json.dumps(case)}: {{\n"
        + ",\n".join(f"   {json.dumps(name)}: {json.dumps(v)}" for name, v in values.items())
        + "\n  }"
        for case, values in golden["cases"].items()
    ]
    text = f'{{\n "version": {golden["version"]},\n "cases": {{\n' + ",\n".join(blocks)
    path(method, folder).write_text(text + "\n }\n}\n")


@contextmanager
def one_thread() -> Iterator[None]:
    """Let sums be made in one order: on one thread, by deterministic kernels."""
    threads = torch.get_num_threads()
    with threadpool_limits(1):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
