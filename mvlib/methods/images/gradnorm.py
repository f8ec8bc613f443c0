"""GradNorm's filter of nouns, in TAC without training, and TAC's own at its temperature.

Source: "On the Provable Importance of Gradients for Language-Assisted Image Clustering", arXiv
2510.16335 (ICCV 2025). Each function follows the authors' code ("as coded").

Picture
-------
given : features of images and of nouns
learns : nothing; nouns are chosen by the norm of a gradient
pulls : images and chosen nouns, which TAC joins
matches : nothing
groups : k-means of images and of what words tell of them
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from mvlib.check import Bound, real
from mvlib.methods.features import check_pair, softmax_blocks
from mvlib.methods.tac import TAC, smallest_of_each
from mvlib.methods.words import PaperSettings

# As the comments of the authors' code have them for ViT-B/32; how they were tuned is unknown.
SETTINGS = {
    dataset: dict(
        zip(("n_centers", "filter_temperature", "temperature", "top"), values, strict=True)
    )
    for dataset, values in {
        "cifar-10": (250, 0.06, 0.009, 5),
        "cifar-20": (200, 0.08, 0.008, 5),
        "stl-10": (30, 0.08, 0.01, 5),
        "imagenet-10": (50, 0.018, 0.006, 5),
        "imagenet-dogs": (50, 0.02, 0.007, 5),
        "dtd": (180, 0.08, 0.01, 5),
        "ucf-101": (303, 0.02, 0.01, 5),
        "imagenet-1k": (2000, 0.02, 0.006, 3),
    }.items()
}


def gradient_scores(
    nouns: np.ndarray,
    centres: np.ndarray,
    temperature: float = 0.04,
    *,
    device: str = "auto",
    precision: str = "float32",
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return how far each noun is from being sure of its centre, by a gradient and by p.

    With p_c the softmax over the centres c of cos(u, c) / T_f, and a the largest of them,

        s_1 = sum_c p_c^2 + (1 - p_a)^2 - p_a^2  (GradNorm, as coded)

    which is the squared length of p - e_a. With the noun at unit length the score, the square
    root of s_1, is the norm of the gradient of the cross-entropy with a for a linear classifier
    whose weights are the centres.

    Returns a of each noun, its score, 0 where the noun is sure, and p_a, TAC's score at this
    temperature. Parameters and errors are those of `filter_nouns`.

    *Deviations*. s_1 is summed without its difference of squares, which cancels where p_a
    is near 1. Equal p go to the lower centre.
    """
    centres, nouns = check_pair(centres, nouns, ("centres", "nouns"))
    nearest = np.empty(len(nouns), dtype=np.int64)
    scores, confidence = (np.empty(len(nouns), dtype=np.float32) for _ in range(2))
    for rows, weights in softmax_blocks(nouns, centres, temperature, device, precision):
        best = weights.max(dim=1)
        others = weights.scatter(1, best.indices[:, None], 0.0)
        squared = others.square().sum(dim=1) + others.sum(dim=1).square()
        scores[rows], nearest[rows] = torch.sqrt(squared).cpu(), best.indices.cpu()
        confidence[rows] = best.values.cpu()
    return nearest, scores, confidence


@dataclass(eq=False, repr=False, kw_only=True)
class GradNorm(TAC, PaperSettings):
    """TAC without training, whose nouns are filtered by the norm of a gradient.

    Parameters
    ----------
    n_centers : int, optional
        Centres that choose the nouns; by default three a cluster, at most the train images.
    filter_temperature : float, default=0.04
        T_f of the softmax over the centres.

    Notes
    -----
    *Use it* as `TAC`, and read it beside `TACWithTemperature`: on unit nouns the two filters
    keep nearly the same nouns. The length of an image's features changes nothing. *Cost*: that
    of `TAC`, with 20 starts of the k-means that makes the centres. *Beside it*: `TAC`,
    `TACWithTemperature` and `CLIPKMeans`.

    Source: the authors' code (arXiv 2510.16335, ICCV 2025), whose release lacks the script of
    the centres and cannot run; `top` nouns of smallest `gradient_scores` stay for each centre.
    `paper_settings` has the numbers of centres and both temperatures that its comments give a
    set. By what rule they were chosen is unknown, so that the defaults are those of a third
    party's code, VLM4Cluster, one for all sets.

    *Deviations*. `random_state` seeds k-means, the code's seed is 0. Never more centres than
    images. Ties as in `gradient_scores`; equal scores go to the lower row.
    """

    filter_temperature: float = 0.04

    _bounds: ClassVar[dict[str, Bound]] = {"filter_temperature": real(0, open_low=True)}
    _centre_starts = 20
    _paper_settings = SETTINGS

    def _number_of_centres(self, n_train: int) -> int:
        return min(3 * self.n_clusters, n_train)

    def _filter(self, nouns: np.ndarray, centres: np.ndarray) -> np.ndarray:
        nearest, scores, confidence = gradient_scores(
            nouns,
            centres,
            self.filter_temperature,
            device=self.device,
            precision=self.precision,
        )
        return smallest_of_each(nearest, self._ranked(scores, confidence), self.top)

    def _ranked(self, scores: np.ndarray, confidence: np.ndarray) -> np.ndarray:
        return scores


@dataclass(eq=False, repr=False, kw_only=True)
class TACWithTemperature(GradNorm):
    """The ablation of `GradNorm`: TAC's own score at GradNorm's temperature and centres.

    Notes
    -----
    *Use it* to part what GradNorm's score gains from what its temperature, its number of
    centres and their starts gain: all but the score is the same. *Cost*: that of `GradNorm`.
    *Beside it*: `GradNorm`, `TAC` and `CLIPKMeans`.

    Each centre keeps the `top` of its nouns with the largest p_a: with `filter_temperature` 1
    it is TAC's filter. Source: an ablation of ours, not in the paper.
    """

    def _ranked(self, scores: np.ndarray, confidence: np.ndarray) -> np.ndarray:
        return -confidence
