"""The plan: which notebooks run, with which parameters, on which data, for how long."""

from __future__ import annotations

import fnmatch
import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from mvlib.check import check_choice, check_schema
from mvlib.files import file_stamp, project_root, read_toml
from mvlib.records.recorder import PROFILES

_SHORTEST_LIMIT_MINUTES = 10
_LIMIT_FACTOR = 6
# Two points lead out of a folder, the rest is awkward in a path.
_NO_PATH = re.compile(r"[^\w.+=-]|\.(?=\.)")
_LONGEST_DETAILS = 100


@dataclass(frozen=True)
class PlannedRun:
    """One execution of one notebook, as the plan asks for it."""

    paper: str
    experiment: str
    title: str
    notebook: str
    profile: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    datasets: tuple[str, ...] = ()
    minutes: float = 1.0
    disk_mb: float = 1.0
    limit_minutes: float = _SHORTEST_LIMIT_MINUTES
    limit_memory_gb: float | None = None
    after: tuple[str, ...] = ()  # "experiment", or "paper/experiment" of another chapter
    cannot: str | None = None
    varying: tuple[str, ...] = ()
    method: str = ""

    @property
    def cell(self) -> str:
        """Return what identifies the run whatever the version of its sources."""
        identity = [self.paper, self.experiment, self.profile, self.parameters]
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def name(self) -> str:
        """Return a name for people: `paper/experiment/dataset ratio seeds`."""
        return "/".join(filter(None, (self.paper, self.experiment, self._details())))

    def reads(self, paper: str, experiment: str) -> bool:
        """Return whether it reads an experiment's records."""
        own = paper == self.paper and experiment in self.after
        return own or f"{paper}/{experiment}" in self.after

    @property
    def executed(self) -> str:
        """Return where the executed notebook goes, from the project's root."""
        details = _NO_PATH.sub("-", self._details())[:_LONGEST_DETAILS]
        short = f"{details}-{self.cell[:8]}" if details else self.cell[:8]
        return f"runs/{self.profile}/{self.paper}/{self.experiment}--{short}.ipynb"

    def _details(self) -> str:
        words = []
        for name in self.varying:
            value = self.parameters[name]
            if isinstance(value, str | int | float) and name != "dataset":
                words.append(f"{name.removeprefix('aligned_')} {value}")
        if seeds := self.parameters.get("seeds"):
            words.append(f"seeds {','.join(map(str, seeds))}")
        return " ".join([*filter(None, [self.parameters.get("dataset")]), *words])


def plan_papers(root: Path | None = None) -> list[str]:
    """Return the papers that have a plan, sorted."""
    return papers_with("plan.toml", root or project_root())


def papers_with(name: str, root: Path) -> list[str]:
    """Return the papers whose folder below `notebooks/` has a file of this name, sorted."""
    return sorted(path.parent.name for path in (root / "notebooks").glob(f"*/{name}"))


def read_of_paper(paper: str, name: str, root: Path | None) -> tuple[str, dict[str, Any]]:
    """Return where a paper's plan or published numbers lie, and what they are, checked."""
    root = root or project_root()
    check_choice("paper", paper, papers_with(f"{name}.toml", root))
    where = f"notebooks/{paper}/{name}.toml"
    content = _read(root / where, where, file_stamp(root / where))
    if content["paper"] != paper:
        raise ValueError(f"{where}: paper={content['paper']!r}: expected {paper!r}")
    return where, content


# A plan is asked for with each record.
@lru_cache
def _read(path: Path, where: str, _: tuple[int, ...]) -> dict[str, Any]:
    content = read_toml(path, where)
    schema = Path(__file__).parent / "schemas" / f"{path.stem}.schema.json"
    check_schema(where, content, schema)
    return content


def load_plan(paper: str, root: Path | None = None) -> dict[str, Any]:
    """Return a paper's plan, `notebooks/<paper>/plan.toml`, checked."""
    root = root or project_root()
    where, plan = read_of_paper(paper, "plan", root)
    names: list[str] = []
    for experiment in plan.get("experiment", []):
        place = f"{where}, {experiment['name']}"
        if experiment["name"] in names:
            raise ValueError(f"{place}: the name stands twice: expected it once")
        for name in experiment.get("after", []):
            chapter, _, there = name.rpartition("/")
            if not chapter:
                check_choice(f"{place}: after (experiments further up)", name, names)
                continue
            other = read_of_paper(chapter, "plan", root)[1].get("experiment", ())
            if there not in [one["name"] for one in other]:
                raise ValueError(f"{place}: after={name!r}: expected what a plan has")
        names.append(experiment["name"])
    return plan


def plan_runs(
    profile: str = "quick",
    patterns: Sequence[str] = (),
    datasets: Sequence[str] = (),
    where: Mapping[str, str] | None = None,
    root: Path | None = None,
) -> list[PlannedRun]:
    """Return what the plans ask for, in the order of running."""
    check_choice("profile", profile, PROFILES)
    root = root or project_root()
    runs: list[PlannedRun] = []
    known: dict[str, None] = {}
    for paper in plan_papers(root):
        plan = load_plan(paper, root)
        for experiment in plan.get("experiment", []):
            names = (paper, experiment["name"], f"{paper}/{experiment['name']}")
            known |= dict.fromkeys(names)
            if profile in experiment and _any_matches(names, patterns):
                runs += _expand(paper, plan["method"], experiment, profile)
    for pattern in patterns:
        if not fnmatch.filter(known, pattern):
            check_choice("pattern", pattern, known)
    if datasets:
        from mvlib import data

        wanted = {data.describe(name).name for name in datasets}
        runs = [run for run in runs if wanted & set(run.datasets)]
    for name, value in (where or {}).items():
        runs = _with_parameter(runs, name, value)
    return runs


def _with_parameter(runs: list[PlannedRun], name: str, value: str) -> list[PlannedRun]:
    check_choice("where", name, sorted({name for run in runs for name in run.parameters}))
    texts = [_parameter_text(run.parameters.get(name)) for run in runs]
    check_choice(f"where: {name}", value, dict.fromkeys(text for text in texts if text))
    return [run for run, text in zip(runs, texts, strict=True) if text == value]


def _parameter_text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(_parameter_text, value))
    return "" if value is None else f"{value}"


def _any_matches(names: Iterable[str], patterns: Sequence[str]) -> bool:
    pairs = itertools.product(names, patterns)
    return not patterns or any(fnmatch.fnmatchcase(name, pattern) for name, pattern in pairs)


def _expand(
    paper: str, method: str, experiment: dict[str, Any], profile: str
) -> Iterable[PlannedRun]:
    size = experiment[profile]
    grid = dict(size.get("grid", {}))
    if "seeds" in size:
        seeds = size["seeds"]
        grid["seeds"] = [[seed] for seed in seeds] if size.get("expand_seeds") else [seeds]
    cannot = {entry["dataset"]: entry["reason"] for entry in size.get("cannot", [])}
    for values in itertools.product(*grid.values()):
        chosen = dict(zip(grid, values, strict=True))
        dataset = chosen.get("dataset", size.get("parameters", {}).get("dataset"))
        datasets = dict.fromkeys([*([dataset] if dataset else []), *size.get("datasets", [])])
        minutes = size.get("minutes", 1)
        if isinstance(minutes, Mapping):
            minutes = minutes.get(dataset, minutes["default"])
        yield PlannedRun(
            paper=paper,
            experiment=experiment["name"],
            title=experiment["title"],
            notebook=experiment["notebook"],
            profile=profile,
            parameters={"profile": profile, **size.get("parameters", {}), **chosen},
            datasets=tuple(datasets),
            minutes=float(minutes),
            disk_mb=float(size.get("disk_mb", 1)),
            limit_minutes=float(
                size.get("limit_minutes", max(_SHORTEST_LIMIT_MINUTES, _LIMIT_FACTOR * minutes))
            ),
            limit_memory_gb=size.get("limit_memory_gb"),
            after=tuple(experiment.get("after", ())),
            cannot=next((cannot[name] for name in datasets if name in cannot), None),
            varying=tuple(grid),
            method=method,
        )
