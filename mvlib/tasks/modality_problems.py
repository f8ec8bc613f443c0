"""Two modalities to align: rows to train on, rows to score, and which partners are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mvlib.check import check_number
from mvlib.data import describe
from mvlib.tasks.modalities import load_modalities

# Known pairs, rows of both modalities and their classes.
Rows = tuple[list[np.ndarray], np.ndarray, list[np.ndarray] | None]


@dataclass(frozen=True, eq=False)
class AlignmentProblem:
    """One split of two modalities.

    Attributes
    ----------
    name : str
        The data set's.
    modalities : tuple of str
        Such as ("image", "text").
    split : int
        Which split.
    train : list of two ndarrays, (n_train, n_features_v), float32
        Row i of both belongs together; a method is told so for `known` rows alone.
    test : list of two ndarrays, (n_test, n_features_v), float32
        Rows that no method sees before it is scored.
    y_train, y_test : ndarray of int64, or None
        True classes, where the set has any.
    """

    name: str
    modalities: tuple[str, str]
    split: int
    train: list[np.ndarray]
    test: list[np.ndarray]
    y_train: np.ndarray | None
    y_test: np.ndarray | None

    @property
    def n_train(self) -> int:
        """Number of rows to train on."""
        return len(self.train[0])

    @property
    def n_clusters(self) -> int | None:
        """Number of true classes; None without."""
        return None if self.y_train is None else len(np.unique(self.y_train))

    def n_known(self, ratio: float) -> int:
        """Return how many pairs a ratio makes: at least two, unless it is 0.

        Parameters
        ----------
        ratio : float
            From 0 to 1, of the rows to train on.

        Raises
        ------
        ValueError
            If the ratio is out of range.
        """
        check_number("ratio", ratio, low=0, high=1)
        return max(2, round(ratio * self.n_train)) if ratio else 0

    def rows(self, ratio: float, disjoint: bool = False) -> Rows:
        """Return what a method gets to see at a ratio of known pairs.

        Parameters
        ----------
        ratio : float
            From 0 to 1, of the rows to train on. A larger ratio holds the smaller one's.
        disjoint : bool, default=False
            Whether a thing without a known partner is seen in one modality alone: of these
            things the first modality gets one half and the second the other.

        Returns
        -------
        Xs : list of two ndarrays
            Rows of the modalities, the known pairs first.
        pairs : ndarray of shape (n_known, 2), int64
            Known pairs.
        ys : list of two ndarrays or None
            Classes of the rows.

        Raises
        ------
        ValueError
            If the ratio is out of range.
        """
        known = np.arange(self.n_known(ratio))
        seen = [np.arange(self.n_train)] * 2
        if disjoint:
            others = np.arange(len(known), self.n_train)
            seen = [np.concatenate([known, others[v::2]]) for v in range(2)]
        ys = None if self.y_train is None else [self.y_train[some] for some in seen]
        Xs = [X[some] for X, some in zip(self.train, seen, strict=True)]
        return Xs, np.stack([known, known], axis=1), ys


def alignment_problem(
    dataset: str = "openclipart-pairs",
    split: int = 0,
    *,
    n_train: int = 1920,
    n_test: int = 600,
    n_components: int = 128,
    encoder: str = "",
    device: str = "auto",
) -> AlignmentProblem:
    """Split two modalities into rows to train on and rows to score.

    Parameters
    ----------
    dataset : str, default="openclipart-pairs"
        One of `mvlib.tasks.modalities.list_modalities()`.
    split : int, default=0
        Seed of the split, and so of which pairs are known.
    n_train, n_test : int, default=1920, 600
        Rows at most. Of a smaller set a third is scored, and the rest is trained on.
    n_components : int, default=128
        Each modality is brought to at most so many principal components of its rows to
        train on; 0 leaves the features as they are.
    encoder : str, default=""
        As for `load_modalities`; empty takes the set's own.
    device : str, default="auto"
        Where the encoder runs.

    Returns
    -------
    AlignmentProblem

    Raises
    ------
    ValueError
        If a name is unknown or a number out of range.
    FileNotFoundError, mvlib.data.DownloadError
        If files are not at hand and cannot be fetched.
    """
    check_number("split", split, low=0, integer=True)
    check_number("n_components", n_components, low=0, integer=True)
    for name, value in (("n_train", n_train), ("n_test", n_test)):
        check_number(name, value, low=2, integer=True)
    found = load_modalities(
        dataset,
        _size(dataset, n_train + n_test),
        split,
        encoder=encoder or None,
        device=device,
    )
    order = np.random.default_rng(split).permutation(found.n_samples)
    n_scored = min(n_test, found.n_samples // 3)
    train = order[n_scored : n_scored + n_train]
    test = order[:n_scored]
    Xs = [_reduced(X, train, n_components) for X in found.Xs]
    return AlignmentProblem(
        name=found.name,
        modalities=found.names,
        split=split,
        train=[X[train] for X in Xs],
        test=[X[test] for X in Xs],
        y_train=None if found.y is None else found.y[train],
        y_test=None if found.y is None else found.y[test],
    )


def _size(dataset: str, wanted: int) -> int | None:
    """Return how many rows to load: None for all."""
    held = describe(dataset).n_samples
    total = held if isinstance(held, int) else sum(held.values())
    return wanted if wanted < total else None


def _reduced(X: np.ndarray, train: np.ndarray, n_components: int) -> np.ndarray:
    if not 0 < n_components < min(X.shape[1], len(train)):
        return X
    center = X[train].mean(axis=0)
    axes = np.linalg.svd(X[train] - center, full_matrices=False)[2][:n_components]
    return ((X - center) @ axes.T).astype(np.float32)
