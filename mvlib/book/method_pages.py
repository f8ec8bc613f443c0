"""What a method's page says before its run: the idea, drawn; the equations; where it stands."""

from __future__ import annotations

import re
from html import escape
from importlib import import_module
from inspect import cleandoc
from pathlib import Path

import pandas as pd

from mvlib.book.pages import code
from mvlib.book.reference import equations
from mvlib.methods.catalogue import Method
from mvlib.papers.choices import FLOORS, READS_MORE
from mvlib.papers.findings import title_of
from mvlib.records import plan_runs, to_markdown
from mvlib.records.tables import spread

# The same five steps for all, so that methods can be told apart at a glance.
STEPS = ("given", "learns", "pulls", "matches", "groups")
# The file of an estimator, where a chapter's page tells more.
CHAPTERS = {
    "smart": "notebooks/smart/index",
    "set_clip": "notebooks/set_clip/index",
    "classics": "notebooks/set_clip/against_classics",
    "cae": "notebooks/cae/index",
    "tac": "notebooks/cae/tac",
    "sic": "notebooks/cae/tac",
    "ntk_spectral": "notebooks/ntk_spectral/index",
}
_SECTION = re.compile(r"^(\w[\w ']*)\n-{3,}\n", re.MULTILINE)
_STEP = re.compile(r"^(\w+) : ((?:.+\n?)(?:    .+\n?)*)", re.MULTILINE)


def planned_methods(root: Path) -> dict[tuple[str, str], str]:
    """Return the notebooks and methods that plans name, and the command that runs them.

    Of several notebooks of a chapter the first that the plan names a method for has its page.
    """
    pages: dict[tuple[str, str], tuple[str, str]] = {}
    for profile in ("quick", "reduced"):
        for run in plan_runs(profile, root=root):
            if method := run.parameters.get("method"):
                again = f"mvlib run {run.paper}/{run.experiment} --profile {profile}"
                command = f"{again} --where method={method}"
                pages.setdefault((run.paper, method), (run.notebook, command))
    return {(notebook, m): command for (_, m), (notebook, command) in pages.items()}


def page_of(notebook: str, method: str) -> str:
    """Return the page of a method that a notebook runs, without suffix."""
    return f"{notebook.rpartition('/')[0]}/method_{method}"


def head(method: Method, scores: pd.DataFrame) -> str:
    """Return what stands below the title of a method's page."""
    idea, steps = told(method)
    chapter = CHAPTERS.get(method.estimator.partition(".")[0], "")
    more = f"Its drawing and its story are in [a chapter of its own](../../{chapter})."
    picture = drawn(method, steps) if steps else more if chapter else ""
    parts = [idea, picture, "## Where it stands", _standing(scores, method), _equations(method)]
    return "\n\n".join(part for part in parts if part)


def told(method: Method) -> tuple[str, dict[str, str]]:
    """Return the idea that the method's file tells, and the steps of its picture."""
    module = import_module(f"mvlib.methods.{method.estimator.rpartition('.')[0]}")
    first, *sections = _SECTION.split(cleandoc(module.__doc__ or ""))
    paragraphs = [
        part for part in first.strip().split("\n\n") if not part.startswith("Source:")
    ]
    named = dict(zip(sections[::2], sections[1::2], strict=True))
    steps = {
        name: " ".join(text.split()) for name, text in _STEP.findall(named.get("Picture", ""))
    }
    return "\n\n".join(paragraphs), steps


def drawn(method: Method, steps: dict[str, str]) -> str:
    """Return the picture: a chain of boxes, which reads as a list where it is not seen."""
    boxes = "".join(
        f'<li class="{name}"><b>{name}</b> {escape(steps[name])}</li>' for name in STEPS
    )
    return f'<ol class="steps" aria-label="{escape(method.title)}, step by step">{boxes}</ol>'


def _equations(method: Method) -> str:
    place = "mvlib/methods/" + method.estimator.rpartition(".")[0].replace(".", "/")
    lines = [
        f"- {code(found.formula)} ({code(found.name)}, {found.source})"
        for found in equations()
        if found.file.startswith((f"{place}.py", f"{place}/"))
    ]
    return "\n".join(["## Equations", "", *lines]) if lines else ""


def _standing(scores: pd.DataFrame, method: Method) -> str:
    """Return on which sets a method is above the best floor, and its rank among the others."""
    names = scores["row"].astype("string")
    scores = scores[(scores["task"] == method.task) & ~names.str.endswith(READS_MORE)]
    rows = []
    for (profile, setting, dataset), some in scores.groupby(
        ["profile", "setting", "dataset"], sort=False
    ):
        own = some[some["row"] == method.title]
        floors = some[some["row"].str.startswith(FLOORS) & (some["row"] != method.title)]
        if own.empty or floors.empty:
            continue
        (ours,) = own.itertuples()
        best = floors.loc[floors["mean"].idxmax()]
        rivals = some[~some["row"].str.startswith(FLOORS)]["mean"]
        rank = f"{1 + (rivals > ours.mean).sum()} of {len(rivals)}"
        rows.append(
            {
                "data set": title_of(dataset),
                "setting": f"{setting}, {profile}",
                "score": f"{spread(ours.mean, ours.std)} ({ours.n})",
                "best floor": f"{best['mean']:.1f}, {best['row']}",
                "difference": ours.mean - best["mean"],
                "rank": rank,
            }
        )
    if not rows:
        return "No reduced or full run of it stands beside a floor in the records yet."
    found = pd.DataFrame(rows).sort_values("difference", ascending=False)
    gaps = found["difference"]
    span = list(dict.fromkeys(f"{gap:+.1f}" for gap in (gaps.min(), gaps.max())))
    said = (
        f"**Above the best floor in {(gaps > 0).sum()} of {len(gaps)} recorded "
        f"setting{'s' * (len(gaps) > 1)}**, by {' to '.join(span)} points. The best "
        "floor is chosen by the labels, the method is not; in brackets the seeds; the rank is "
        "among what was trained on the same rows."
    )
    return f"{said}\n\n{to_markdown(found, 1)}"
