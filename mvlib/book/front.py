"""The cards of the front page: a finding, its figure and a sentence, all from records."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import yaml

from mvlib.book.answers.papers import leak_lines, leak_panel, pays, selection_steps, words_panel
from mvlib.book.leaderboard import results, small_map
from mvlib.book.recorded import ALONE, gap_rows, recorded, values
from mvlib.papers.set_clip import chance_of
from mvlib.papers.smart import beside_floors, early_oracles
from mvlib.plots import svg

_RIVAL = "spectral, view 1, unit rows"


class Card(NamedTuple):
    """A finding in a few words, the panel that shows it, a sentence, and its page."""

    title: str
    panel: str
    said: str
    page: str


def cards(root: Path) -> list[Card]:
    """Return the findings that the records hold, in the order of the front page."""
    made = (_start(root), _early(root), _leak(root), _words(root), _rival(root), _all(root))
    return [card for some in made for card in some]


def cards_grid(root: Path) -> str:
    """Return the cards as a grid that a page can show."""
    shown = [
        f":::{{grid-item-card}} {card.title}\n:link: {card.page}\n:link-type: doc\n\n"
        # In a block of its own: the words of an inline picture would be taken for prose.
        f'<div class="panels">{card.panel}</div>\n\n{card.said}\n:::'
        for card in cards(root)
    ]
    grid = "::::{grid} 1 1 2 2\n:gutter: 3\n:class-container: findings\n\n"
    return grid + "\n\n".join(shown) + "\n::::"


def _start(root: Path) -> Iterator[Card]:
    steps, _, n = selection_steps(root, "full", "bdgp", 0.5)
    if "authors' start" not in steps:
        return
    where = {"dataset": "bdgp", "aligned_ratio": 0.5, "method": "k-means, view 1"}
    level = (ALONE, 100 * recorded(root, "smart", "method", "full", **where)["acc"].mean())
    panel = svg.waterfall("SMART on BDGP, half aligned", steps, level, (30.0, 105.0))
    theirs, ours, twenty = (
        steps[name] for name in ("authors' start", "our start", "20 starts")
    )
    said = (
        f"The same trained networks, the same last epoch: started as the authors' code does, "
        f"k-means comes to {theirs:.0f} points, from our start to {ours:.0f}, as the best of "
        f"twenty starts to {twenty:.0f}. The epoch that the true labels like best has "
        f"{steps['reading labels']:.0f}.{_elsewhere(root)} (Means of {n} seeds, the paper's "
        "settings.)"
    )
    title = f"{twenty - theirs:.0f} points from the start of k-means"
    yield Card(title, panel, said, "../notebooks/smart/selection")


def _elsewhere(root: Path) -> str:
    # On another set the same three may stand in another order.
    steps, _, _ = selection_steps(root, "full", "handwritten", 0.5)
    if "authors' start" not in steps:
        return ""
    three = [f"{steps[name]:.0f}" for name in ("authors' start", "our start", "20 starts")]
    return f" On HandWritten the first three are {three[0]}, {three[1]} and {three[2]}."


def _early(root: Path) -> Iterator[Card]:
    where = {"dataset": "wiki", "aligned_ratio": 1.0}
    kept = {"features": "train", "starts": 1, "init": "draws", "rule": "oracle"}
    every = recorded(root, "smart", "method", "full", method="SMART", **where, **kept)
    given = kept | {"rule": "last", "features": "eval"}
    last = recorded(root, "smart", "method", "full", method="SMART", **where, **given)
    alone = recorded(root, "smart", "method", "full", method="k-means, view 1", **where)
    early = early_oracles(root=root).query("dataset == 'wiki' and features == 'train'")
    early = early[early["aligned ratio"] == 1.0].set_index("seed")["best of 20"]
    if every.empty or last.empty or set(early.index) != set(every["seed"]):
        return
    first = values(every)
    first[:] = early[every["seed"]].to_numpy()
    rows = {
        "best of all 500 epochs, by the labels": values(every),
        "best of the first 20": first,
        "last epoch": values(last),
    }
    level = {ALONE: values(alone).mean()}
    panel = svg.strips("SMART on Wiki, all aligned", rows, strong=["last epoch"], lines=level)
    best, first, end = (row.mean() for row in rows.values())
    # To be told only while it is so.
    if best - first > 2 or end > first:
        return
    said = (
        f"Of Wiki's five hundred epochs the labels choose one with {best:.1f} points, of the "
        f"first twenty one with {first:.1f}. The last has {end:.0f}, view 1 alone, without any "
        f"training, {level[ALONE]:.0f} (means of {len(rows['last epoch'])} seeds, the paper's "
        "settings)."
    )
    title = "Twenty epochs come near five hundred"
    yield Card(title, panel, said, "../notebooks/smart/table_clustering")


def _leak(root: Path) -> Iterator[Card]:
    frame = leak_lines(root)
    frame = frame[frame["dataset"] == "handwritten"]
    if frame.empty:
        return
    last = frame[frame["n_steps"] == frame["n_steps"].max()]
    means = 100 * last.astype({"measure_r10": float}).groupby("draws")["measure_r10"].mean()
    n = last.groupby("draws").size().min()
    same, apart = means["same instances"], means["independent draws"]
    said = (
        f"Set-CLIP, told no pair, has the partner among the ten nearest for "
        f"{same:.0f} of 100 digits if both halves of a batch hold the same "
        f"things, as in the authors' code, and for {apart:.0f} if they are drawn "
        f"apart. Chance is {100 * chance_of(last).mean():.0f} ({n} runs each, reduced)."
    )
    panel = leak_panel(frame, "handwritten")
    yield Card("“Unpaired” data that were paired", panel, said, "../notebooks/set_clip/leakage")


def _words(root: Path) -> Iterator[Card]:
    frame = recorded(root, "cae", "random_words")
    some = frame[frame["dataset"] == "cifar-10"]
    if some.empty:
        return
    means = 100 * some.groupby(["method", "corrupted"])["acc"].mean()
    real, random = means["CAE", 0.0], means["CAE", 1.0]
    better = frame[frame["method"] == "CAE"].pivot_table("acc", "dataset", "corrupted")
    if (better[1.0] < better[0.0]).any():
        return
    said = (
        f"CAE comes to {real:.0f} points on CIFAR-10 with real words and to {random:.0f} with "
        f"random ones; k-means of the images alone to {means['k-means of images', 0.0]:.0f} "
        f"({some['seed'].nunique()} seeds, a small encoder, not CLIP)."
    )
    panel = words_panel(frame, "cifar-10")
    page = "../notebooks/cae/random_words"
    yield Card("Random words do no worse than real ones", panel, said, page)


def _rival(root: Path) -> Iterator[Card]:
    frame = beside_floors(root=root)
    if frame.empty:
        return
    by_set = pd.DataFrame(gap_rows(frame, "SMART, 1 start", _RIVAL)).mean()
    panel = pays(root).panels[1]
    said = (
        f"Spectral clustering of view 1 alone, which sees no pair and trains nothing, is ahead "
        f"of SMART on {(by_set < 0).sum()} of {len(by_set)} sets (means of "
        f"{frame['seed'].nunique()} seeds, reduced)."
    )
    title = "A rival without training, ahead on most sets"
    if (by_set < 0).sum() > len(by_set) / 2:
        yield Card(title, panel, said, "../notebooks/smart/method")


def _all(root: Path) -> Iterator[Card]:
    found = results(root)
    if found.empty:
        return
    said = (
        f"{found['row'].nunique()} methods and rules on {found['dataset'].nunique()} sets, as "
        "far as they have been run; grey where not; the published value small beside ours."
    )
    yield Card("All methods, all sets", small_map(root), said, "leaderboard")


def citation(root: Path) -> str:
    """Return what `CITATION.cff` says, for a bibliography."""
    known = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    authors = " and ".join(f"{{{author['name']}}}" for author in known["authors"])
    lines = {
        "author": f"{{{authors}}}",
        "title": f"{{{known['title']}}}",
        "year": f"{{{known['date-released'].year}}}",
        "version": f"{{{known['version']}}}",
    }
    entry = "".join(f"  {name} = {value},\n" for name, value in lines.items())
    return f"```bibtex\n@software{{mvlib,\n{entry}}}\n```"
