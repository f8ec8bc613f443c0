"""Checks of a plan: each entry known, of its kind, and named in what an error says."""

from __future__ import annotations

import re
from typing import Any

from mvlib._reading import check_list, check_table, check_text
from mvlib._validation import check_choice, check_number
from mvlib.experiments.recorder import PROFILES

_PLAN_KEYS = ("paper", "title", "method", "experiment")
_EXPERIMENT_KEYS = ("name", "title", "notebook", "after", *PROFILES)
_PROFILE_KEYS = (
    "parameters", "grid", "seeds", "expand_seeds", "datasets", "minutes", "disk_mb",
    "limit_minutes", "limit_memory_gb", "cannot",
)  # fmt: skip
# As record.schema.json has them: a run whose record could not be kept must not start.
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_SEGMENT = re.compile(r"[\w +=,-][\w .+=,-]*")


def check_plan(where: str, plan: dict[str, Any], paper: str) -> None:
    """Check the content of a plan.

    Parameters
    ----------
    where : str
        What errors call the plan.
    plan : dict
        The content of its file.
    paper : str
        The paper that it must be of.

    Raises
    ------
    ValueError
        If an entry is missing, unknown, or not of its kind.
    """
    for key in plan:
        check_choice(f"{where}: entry", key, _PLAN_KEYS)
    if plan.get("paper") != paper:
        raise ValueError(f"{where}: paper={plan.get('paper')!r}: expected {paper!r}")
    _check_name(where, "paper", paper)
    for key in ("title", "method"):
        if not isinstance(plan.get(key), str):
            raise ValueError(f"{where} lacks {key}: expected text")
    names: list[str] = []
    for experiment in check_list(f"{where}: experiment", plan.get("experiment", []), dict):
        _check_experiment(where, experiment, names)
        names.append(experiment["name"])


def _check_experiment(where: str, experiment: dict[str, Any], earlier: list[str]) -> None:
    for key in ("name", "title", "notebook"):
        if not isinstance(experiment.get(key), str):
            raise ValueError(f"{where}: an experiment lacks {key}: expected text")
    _check_name(where, "name", experiment["name"])
    where = f"{where}, {experiment['name']}"
    for key in experiment:
        check_choice(f"{where}: entry", key, _EXPERIMENT_KEYS)
    if experiment["name"] in earlier:
        raise ValueError(f"{where}: the name stands twice: expected it once")
    notebook = experiment["notebook"]
    if not all(_SEGMENT.fullmatch(part) for part in notebook.split("/")):
        raise ValueError(
            f"{where}: notebook={notebook!r}: expected a path below the project, such as "
            "notebooks/smart/method.ipynb"
        )
    for name in check_list(f"{where}: after", experiment.get("after", []), str):
        check_choice(f"{where}: after (experiments further up)", name, earlier)
    for profile in PROFILES:
        if profile in experiment:
            _check_size(f"{where}, {profile}", experiment[profile])


def _check_size(where: str, size: Any) -> None:
    for key in check_table(where, size):
        check_choice(f"{where}: entry", key, _PROFILE_KEYS)
    grid = check_table(f"{where}: grid", size.get("grid", {}))
    parameters = check_table(f"{where}: parameters", size.get("parameters", {}))
    axes = {**grid, **({"seeds": size["seeds"]} if "seeds" in size else {})}
    for name, values in axes.items():
        if not isinstance(values, list) or not values:
            raise ValueError(f"{where}: {name}={values!r}: expected a list that is not empty")
    for seed in size.get("seeds", []):
        check_number(f"{where}: seed", seed, low=0, integer=True)
    if "seeds" in parameters or "seeds" in grid:
        for seeds in [parameters.get("seeds", []), *grid.get("seeds", [])]:
            check_list(f"{where}: seeds", seeds)
    for name in (*grid.get("dataset", ()), parameters.get("dataset", "any")):
        check_text(f"{where}: dataset", name)
    check_list(f"{where}: datasets", size.get("datasets", []), str)
    if not isinstance(size.get("expand_seeds", False), bool):
        raise ValueError(
            f"{where}: expand_seeds={size['expand_seeds']!r}: expected true or false"
        )
    _check_costs(where, size)
    for entry in check_list(f"{where}: cannot", size.get("cannot", []), dict):
        if set(entry) != {"dataset", "reason"}:
            raise ValueError(f"{where}: cannot={entry!r}: expected dataset and reason")
        for key, value in entry.items():
            check_text(f"{where}: cannot: {key}", value)


def _check_costs(where: str, size: dict[str, Any]) -> None:
    minutes = size.get("minutes", 1)
    if isinstance(minutes, dict) and "default" not in minutes:
        raise ValueError(f"{where}: minutes by data set lack 'default'")
    for value in minutes.values() if isinstance(minutes, dict) else [minutes]:
        check_number(f"{where}: minutes", value, low=0, open_low=True)
    check_number(f"{where}: disk_mb", size.get("disk_mb", 1), low=0)
    for name in ("limit_minutes", "limit_memory_gb"):
        if name in size:
            check_number(f"{where}: {name}", size[name], low=0, open_low=True)


def _check_name(where: str, key: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{where}: {key}={name!r}: expected small letters, digits, '-' and '_', for it "
            "becomes part of file names"
        )
