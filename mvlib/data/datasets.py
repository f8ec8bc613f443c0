"""Loading a data set by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mvlib._files import sha256_of
from mvlib._validation import check_choice
from mvlib.data.download import fetch
from mvlib.data.loaders import read_layout
from mvlib.data.registry import Card, card, combine


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set of several views.

    Attributes
    ----------
    name : str
        Its name in the registry.
    Xs : list of ndarray, each (n_samples, n_features_v), float32
        The views, row i of each the same thing.
    y : ndarray (n_samples,), int64
        True classes, 0 to n_clusters - 1.
    view_names : tuple of str
        One a view.
    card : Card
        What is known of the set.
    sha256 : str
        One fingerprint of the files read: see `mvlib.data.fingerprint`.
    """

    name: str
    Xs: list[np.ndarray]
    y: np.ndarray
    view_names: tuple[str, ...]
    card: Card
    sha256: str

    @property
    def n_samples(self) -> int:
        """Number of rows."""
        return len(self.y)

    @property
    def n_clusters(self) -> int:
        """Number of true classes."""
        return len(np.unique(self.y))


def load(name: str, views: Sequence[str] | None = None) -> Dataset:
    """Load a data set, fetching its files first if need be.

    Parameters
    ----------
    name : str
        One of `mvlib.data.list_datasets()`; case does not matter, `_` stands for `-`.
    views : sequence of str, optional
        Which views, in which order. The default is the card's `default_views`: the two
        that SMART takes, its view 1 first.

    Returns
    -------
    Dataset
        Unscaled values, as the file has them; see `mvlib.data.min_max_scale`.

    Raises
    ------
    ValueError
        If there is no such set or view, or a file on disk is not the expected one.
    FileNotFoundError
        If a file is missing and may not or cannot be fetched.
    DownloadError
        If fetching it failed.
    """
    description = card(name)
    chosen = _check_view_names(description, views)
    paths = fetch(description.name)
    loader = "npz" if description.embedded else description.loader
    found, y = read_layout(paths[0], loader, description.layout, chosen)
    for view in description.views:
        expected = (description.n_samples, view.dim)
        if view.name in found and found[view.name].shape != expected:
            raise ValueError(
                f"{paths[0]}: view {view.name!r} of {description.name!r} has shape "
                f"{found[view.name].shape}: expected {expected}"
            )
    if (classes := len(np.unique(y))) != description.n_clusters:
        raise ValueError(
            f"{paths[0]}: {description.name!r} has {classes} classes: "
            f"expected {description.n_clusters}"
        )
    return Dataset(
        name=description.name,
        Xs=[np.ascontiguousarray(found[view], dtype=np.float32) for view in chosen],
        y=y,
        view_names=chosen,
        card=description,
        sha256=combine(sha256_of(path) for path in paths),
    )


def _check_view_names(description: Card, views: Sequence[str] | None) -> tuple[str, ...]:
    if views is None:
        return description.default_views
    known = [view.name for view in description.views]
    if isinstance(views, str) or not list(views):
        raise ValueError(
            f"views={views!r}: expected a sequence of names among {', '.join(known)}"
        )
    chosen = tuple(check_choice("views", view, known) for view in views)
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"views={tuple(views)!r} names a view twice: expected each once")
    return chosen
