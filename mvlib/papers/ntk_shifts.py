"""The same images, shifted: what the page on shifts of domain clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mvlib.data import shift_images
from mvlib.papers.ntk import PromptProblem
from mvlib.tasks.images_with_words import short_side


def shifted(problem: PromptProblem, name: str, severity: int) -> PromptProblem:
    """Return a problem whose images are shifted; its nouns are chosen by those that are not."""
    pictures = shift_images(problem.data_set.images, name, severity, random_state=0)
    data_set = replace(problem.data_set, images=pictures)
    return replace(
        problem,
        data_set=data_set,
        images=problem.encoder.encode_images(
            pictures, resize=short_side(data_set, problem.encoder)
        ),
        train_images=problem.images if problem.train_images is None else problem.train_images,
    )


def pictures(problem: PromptProblem) -> Sequence[Any]:
    """Return the images themselves, as `mvlib.plots.plot_pile` takes them."""
    return problem.data_set.images
