"""Which method for which data: the catalogue as a tree, five lines each, what records say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING

from mvlib.book.method_pages import CHAPTERS, page_of, planned_methods
from mvlib.data import describe
from mvlib.methods.catalogue import CATALOGUE, MODALITIES, TASKS, VIEWS, WORDS, Method, load
from mvlib.records import differences_by_set, results_frame, to_markdown

if TYPE_CHECKING:
    import pandas as pd

# Results of one task, and which methods to subtract from which: none where recall is told.
_Recorded = tuple["pd.DataFrame", list[tuple[str, str]]]
_HAVE = {
    VIEWS: "Several descriptions of the same things",
    MODALITIES: "Two kinds of data, to be matched",
    WORDS: "Images, with words to help",
}
# What is known of the data, and the words in a method's needs that put it there. Of several the
# last counts, and the first of all others.
_KNOWN = {
    VIEWS: {
        "No pair is known": (),
        "All rows are paired, some perhaps wrongly": ("rows paired",),
        "All rows are paired, and rightly": ("paired rightly",),
        "Some pairs are known, the other rows are shuffled": ("known to be partners",),
        "Some things lack a view": ("missing", "lack", "with all"),
    },
    MODALITIES: {"No pair is known": (), "Some pairs are known": ("pairs",)},
    WORDS: {
        "The images alone": (),
        "A list of words, not sorted": ("nouns",),
        "The names of the classes": ("names",),
    },
}
_LINES = {
    VIEWS: """from mvlib import data, methods
digits = data.load("handwritten")
problem = data.partially_align(data.min_max_scale(digits.Xs), digits.y, ratio=0.5)
model = methods.load("{0}")({1})
labels = model.fit_predict(problem.Xs, aligned=problem.aligned)""",
    MODALITIES: """from mvlib import methods
from mvlib.tasks.modalities import alignment_problem
problem = alignment_problem("openclipart-pairs", n_train=400, n_test=200)
Xs, pairs, _ = problem.rows(0.1)
model = methods.load("{0}")().fit(Xs, pairs=pairs)
images, texts = model.transform(problem.test)""",
    WORDS: """from mvlib import methods
from mvlib.tasks.images_with_words import texts_of, vision_problem
problem = vision_problem("openclipart", "offline", n_nouns=8000)
model = methods.load("{0}")({1})
labels = model.fit_predict(problem.images, texts_of("{0}", problem))""",
}


def choices() -> list[tuple[str, list[tuple[str, list[Method]]]]]:
    """Return the catalogue as a tree: task, what is known, methods."""
    tree = []
    for task in TASKS:
        branches: dict[str, list[Method]] = {known: [] for known in _KNOWN[task]}
        for method in (method for method in CATALOGUE if method.task == task):
            fits = [
                known
                for known, words in _KNOWN[task].items()
                if not words or any(word in method.needs for word in words)
            ]
            branches[fits[-1]].append(method)
        tree.append((task, list(branches.items())))
    return tree


def choice_tree(root: Path) -> str:
    """Return the tree as nested lists, each method a link to its page."""
    pages = pages_of(root)
    drawn = []
    for task, branches in choices():
        drawn.append(f"<p>{_HAVE[task]}</p><ul>")
        for known, methods in branches:
            links = (
                f'<a href="{_page(m, pages, ".html")}" title="{escape(m.needs)}">'
                f"{escape(m.title)}</a>"
                for m in methods
            )
            drawn.append(f"<li>{escape(known)}<br/>{' '.join(links)}</li>")
        drawn.append("</ul>")
    # In a block of its own and on one line, so that nothing in it is read as prose.
    return f'<div class="tree">{"".join(drawn)}</div>'


def choice_list(root: Path) -> str:
    """Return the tree as a list, each method with its page and a few lines of Python."""
    pages = pages_of(root)
    parts = []
    for task, branches in choices():
        parts.append(f"### {_HAVE[task]}")
        for known, methods in branches:
            parts.append(f"**{known}**")
            for method in methods:
                name = method.estimator.rpartition(".")[2]
                link = (
                    page_link(method, pages, "Its page") or f"{{py:obj}}`mvlib.methods.{name}`"
                )
                needs = f"{link}. Needs {method.needs}."
                code = f"```python\n{lines_of(method)}\n```"
                parts.append(f":::{{dropdown}} {method.title}\n{needs}\n\n{code}\n:::")
    return "\n\n".join(parts)


def lines_of(method: Method) -> str:
    """Return a few lines of Python that fit a method of the catalogue to data that ship."""
    takes = "n_clusters" in signature(load(method.name)).parameters
    held = "digits" if method.task == VIEWS else "problem"
    return _LINES[method.task].format(method.name, f"{held}.n_clusters" * takes)


def choice_records(root: Path, task: str) -> str:
    """Return what the committed records of a task say of its methods beside simple ones."""
    frame, pairs = _RECORDED[task](root)
    if frame.empty:
        return to_markdown(frame)
    titles = {
        name: describe(name).title.partition(" (")[0] for name in frame["dataset"].unique()
    }
    frame = frame.assign(dataset=frame["dataset"].map(titles))
    if not pairs:
        recall = 100 * frame["measure_r10"]
        means = recall.groupby([frame["dataset"], frame["method"]], sort=False).mean()
        return to_markdown(means.unstack().rename_axis("data set").reset_index(), 1)
    found = differences_by_set(frame, pairs, ("dataset", "seed"))
    one_floor = len({b for _, b in pairs}) == 1
    names = [a if one_floor else f"over {b}" for a, b in pairs]
    by_set = found.drop(columns=["A", "B"]).set_axis(names).T
    # The largest gain first.
    first = by_set[names[0]].str.split().str[0].astype(float)
    by_set = by_set.loc[first.sort_values(ascending=False).index]
    return to_markdown(by_set.rename_axis("data set").reset_index())


def _of_views(root: Path) -> _Recorded:
    from mvlib.papers.smart import beside_floors

    rivals = ("k-means, view 1", "spectral, view 1, unit rows")
    return beside_floors(root=root), [("SMART, 1 start", rival) for rival in rivals]


def _of_words(root: Path) -> _Recorded:
    import pandas as pd

    floor = "k-means of images"
    found = [
        results_frame(paper, "reduced", "method", root) for paper in ("cae", "ntk_spectral")
    ]
    frame = pd.concat(found).query("rule == 'last'").drop_duplicates(_CELL)
    methods = ("TAC, no training", "TAC, trained", "SIC", "CAE", "NTK")
    return frame, [(method, floor) for method in methods]


def _of_modalities(root: Path) -> _Recorded:
    frame = results_frame("set_clip", "reduced", "against_classics", root)
    return frame if frame.empty else frame[frame["ratio"] != 0], []


_CELL = ["dataset", "method", "seed"]
_RECORDED: dict[str, Callable[[Path], _Recorded]] = {
    "views": _of_views,
    "modalities": _of_modalities,
    "words": _of_words,
}


def pages_of(root: Path) -> dict[str, str]:
    """Return the pages of methods that plans run one by one, from the folder of the book."""
    return {m: f"../{page_of(name, m)}" for name, m in planned_methods(root)}


def page_link(method: Method, pages: Mapping[str, str], text: str) -> str:
    """Return a link to a method's page, or nothing where only the reference has it."""
    page = _page(method, pages)
    return "" if page.startswith("api/") else f"{{doc}}`{text} <{page}>`"


def _page(method: Method, pages: Mapping[str, str], suffix: str = "") -> str:
    """Return the address of a method's page, from the folder of the book."""
    file, _, name = method.estimator.rpartition(".")
    if file in CHAPTERS:
        return f"../{CHAPTERS[file]}{suffix}"
    if method.name in pages:
        return f"{pages[method.name]}{suffix}"
    return f"api/rooms/mvlib-methods{suffix}#mvlib.methods.{name}"
