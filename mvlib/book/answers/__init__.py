"""What recorded runs answer to a page's question: a sentence, and the figure behind it."""

from __future__ import annotations

from pathlib import Path

from mvlib.book.answers import choices, papers
from mvlib.book.recorded import figure
from mvlib.check import check_choice

ANSWERS = {**papers.ANSWERS, **choices.ANSWERS}
_NOT_RUN = (
    ":::{admonition} Not run\n:class: answer\nNo run of a reduced or full size is recorded "
    "for this question; the quick run below is all there is.\n:::"
)


def answer_box(root: Path, paper: str, experiment: str) -> str:
    """Return the box that stands under a page's question, and its figure."""
    name = f"{paper}/{experiment}"
    answer = ANSWERS[check_choice("answer", name, ANSWERS)](root)
    if answer is None:
        return _NOT_RUN
    box = f":::{{admonition}} What recorded runs say\n:class: answer\n{answer.said}\n:::"
    return f"{box}\n\n{figure(answer.panels, answer.caption)}"
