"""What estimators share: seeds, checks of input, new rows, files, a fit whole or none.

A base for each task: `ViewClustering` here, `ModalityAlignment` in `modalities.py`, and
`ImageClustering` in `words.py`, beside what reads images and words.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np
import sklearn
from scipy import sparse
from scipy.spatial.distance import cdist
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.cluster import KMeans
from sklearn.utils import TransformerTags
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from mvlib.check import (
    Bound,
    RandomState,
    as_array,
    as_numbers,
    check_choice,
    check_list_of_views,
    check_mask,
    check_n_clusters,
    check_present,
    check_views,
    check_widths,
    each,
    feature_names,
    flag,
    lost_column,
    optional,
    real,
    resolve_seed,
    warn_fewer,
    whole,
)
from mvlib.methods.docstrings import complete
from mvlib.ops.device import resolve_device
from mvlib.ops.rows import unit_rows

KMEANS_STARTS = 10

# Of `_fit`: each (n_samples, n_features_v); and of rows, or of rows and views.
Views = list[np.ndarray]
Mask = np.ndarray


def _device(name: str, value: Any) -> None:
    resolve_device(value)


def _random_state(name: str, value: Any) -> None:
    if not isinstance(value, np.random.Generator | np.random.RandomState):
        resolve_seed(value)


def _has_map(model: Any, quiet: bool = False) -> bool:
    if hasattr(model, "_embed") or quiet:
        return hasattr(model, "_embed")
    raise AttributeError(f"{type(model).__name__} has labels only for the rows fitted")


class Clustering(ClusterMixin, BaseEstimator):
    """An estimator whose parameters are checked, and whose fit is whole or none.

    A class declares in `_bounds` what its parameters may be; what its parents declare holds
    too. What takes more than one parameter to check goes into `_check_parameters`.

    A fit forgets the one before. One that fails or is interrupted leaves the estimator
    unfitted. All fitted attributes end with an underscore.

    Parameters
    ----------
    n_clusters : int
        Number of clusters.
    epochs : int
        Passes over what is learnt from.
    learning_rate, weight_decay : float
        Of Adam.
    device : str, default="auto"
        Where to compute. "auto" takes a GPU if there is one.
    random_state : int, Generator, RandomState, optional
        Seed of all that is random in a fit, from 0 to 2**32 - 1, or what to draw one from. By
        default each fit has another.
    verbose : bool, optional
        Whether a bar shows the epochs, in notebooks and logs too. By default it is shown on a
        terminal alone.
    """

    _bounds: ClassVar[Mapping[str, Bound]] = {
        "device": _device,
        "random_state": _random_state,
        "verbose": optional(flag),
    }
    # Of new rows: the nearest centre, the nearest direction, or the largest of the embedding.
    _labels_from: ClassVar[str] = "directions"
    # The attribute that holds a network, which `_network` makes with other weights.
    _network_name: ClassVar[str] = ""
    labels_: np.ndarray
    embedding_: np.ndarray
    # The rows are no metadata.
    __metadata_request__transform = {"Xs": UNUSED}
    __metadata_request__predict = {"Xs": UNUSED}

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        complete(cls)

    def _check_parameters(self) -> None:
        """Refuse what `__init__` took out of bounds, before any work is done."""
        bounds: dict[str, Bound] = {}
        for parent in reversed(type(self).__mro__):
            bounds |= vars(parent).get("_bounds", {})
        for name, value in self.get_params(deep=False).items():
            if name in bounds:
                bounds[name](name, value)

    @contextmanager
    def _fitting(self) -> Iterator[int]:
        """Check the parameters and give a fit its seed; nothing of it stays if it fails."""
        self._forget()
        try:
            self._check_parameters()
            yield resolve_seed(getattr(self, "random_state", None))
            self._params_ = {
                name: copy.copy(value) if isinstance(value, list | dict | np.ndarray) else value
                for name, value in self.get_params(deep=False).items()
            }
        except BaseException:
            self._forget()
            raise

    def _as_fitted(self) -> Any:
        """Return the estimator with the parameters it was fitted with, if it is fitted."""
        check_is_fitted(self, "_params_")
        model = copy.copy(self)
        model.__dict__.update(self._params_)
        return model

    def _settle(self, rows: Sequence[np.ndarray]) -> None:
        """Let equal rows share a cluster where they are too few, and note the centres."""
        groups = row_groups(rows, self.n_clusters)
        # A row of each group has to speak for all of it.
        if groups is not None and len(
            np.unique(np.stack([groups, self.labels_]), axis=1).T
        ) > len(np.unique(groups)):
            self.labels_ = groups
        if (found := len(np.unique(self.labels_))) < self.n_clusters:
            warn_fewer(found, self.n_clusters)
        # One cluster has one eigenvector, which is constant.
        if self.n_clusters > 1:
            warn_collapse(self.embedding_)
        if self._labels_from != "largest" and hasattr(self, "_embed"):
            Z = self.embedding_
            if self._labels_from == "directions":
                Z = unit_rows(Z)
            self.cluster_centers_ = cluster_means(Z, self.labels_, self.n_clusters)

    def _assigned(self, Z: np.ndarray) -> np.ndarray:
        """Return the clusters of embedded rows."""
        if self._labels_from == "largest":
            return Z.argmax(axis=1)
        centers = self.cluster_centers_
        there = np.flatnonzero(np.isfinite(centers).all(axis=1))
        if self._labels_from == "directions":
            return there[(unit_rows(Z) @ unit_rows(centers[there]).T).argmax(axis=1)]
        return there[cdist(Z, centers[there]).argmin(axis=1)]

    @available_if(_has_map)
    def transform(self, Xs: Any) -> Any:
        """Return the embeddings of any rows, by the maps that were fitted.

        Parameters
        ----------
        Xs
            Rows as in `fit`, the same or others, of the widths that were fitted. Row i of all
            views is taken for one sample.

        Returns
        -------
        ndarray of shape (n_rows, embedding_dim)
            A frame after `set_output(transform="pandas")`.

        Raises
        ------
        ValueError
            If the rows are not finite, or their widths are not those of `fit`.
        """
        model = self._as_fitted()
        return model._contained(model._embed(model._new_rows(Xs)))

    @available_if(_has_map)
    def predict(self, Xs: Any) -> np.ndarray:
        """Return the clusters of any rows, whose parameters are those of `transform`.

        That of the nearest centre, in methods that have centres.

        Returns
        -------
        ndarray of shape (n_rows,), int64
        """
        model = self._as_fitted()
        return model._assigned(model._embed(model._new_rows(Xs)))

    def set_output(self, *, transform: str | None = None) -> Clustering:
        """Choose what `transform` returns.

        Parameters
        ----------
        transform : {"default", "pandas"}, optional
            Arrays, or frames with the names of `get_feature_names_out`. None changes nothing.
        """
        if transform is not None:
            check_choice("transform", transform, ("default", "pandas"))
            self._sklearn_output_config = {"transform": transform}
        return self

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the embedding's columns; `input_features` is not read."""
        check_is_fitted(self, "embedding_")
        return self._names_of(self.embedding_)

    def _names_of(self, Z: np.ndarray) -> np.ndarray:
        stem = type(self).__name__.lower()
        return np.array([f"{stem}{column}" for column in range(Z.shape[1])], dtype=object)

    def _contained(self, Z: np.ndarray) -> Any:
        """Return an embedding in the container that `set_output` or scikit-learn asks for."""
        config = getattr(self, "_sklearn_output_config", {})
        wanted = config.get("transform", sklearn.get_config()["transform_output"])
        if wanted != "pandas":
            return Z
        import pandas as pd

        return pd.DataFrame(Z, columns=self._names_of(Z))

    def save(self, path: Any, *, rows: bool = False) -> None:
        """Write the fitted estimator to one file, which `mvlib.load` reads.

        Parameters
        ----------
        path : path-like
            Where to: a safetensors file with JSON in its head, without pickled objects.
        rows : bool, default=False
            Whether to write what holds the rows that were fitted, too: `embedding_` and the
            like, SMART's graph, and the images that `NTKSpectralClustering` predicts by.

        Raises
        ------
        NotFittedError
            Before `fit`.
        """
        from mvlib.methods.saving import save

        save(self, path, rows=rows)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.target_tags.required = False
        if _has_map(self, quiet=True):
            tags.transformer_tags = TransformerTags(preserves_dtype=[])
        return tags

    def _forget(self) -> None:
        for name in [name for name in vars(self) if name.endswith("_")]:
            delattr(self, name)


complete(Clustering)


@dataclass(eq=False, repr=False)
class ViewClustering(Clustering):
    """Clustering of views of the same things, whose rows are partners, in part or not.

    A method gives `_fit`, and in `_min_views` how many views it needs. With `_takes_missing`
    it takes samples that lack views, and its `_fit` is given `present`, too.

    Parameters
    ----------
    embedding_dim : int
        Width of the embeddings.
    hidden_dims : sequence of int
        Widths of each encoder's hidden layers; decoders have them in reverse.
    temperature : float
        tau.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int64
        Cluster of each row of view 1.
    embedding_ : ndarray of shape (n_samples, embedding_dim)
        What was clustered.
    n_features_in_ : list of int
        Widths of the views.
    feature_names_in_ : list of ndarray of str
        Names of their columns, where all are frames.
    network_ : Module
        In evaluation mode, after the last epoch.
    """

    n_clusters: int = 8
    _: KW_ONLY
    random_state: RandomState = None

    __metadata_request__fit = {"Xs": UNUSED}
    # What a parameter of such a name must be, in every method that has it.
    _bounds: ClassVar[Mapping[str, Bound]] = {
        **dict.fromkeys(("embedding_dim", "epochs", "match_batch_size"), whole()),
        **dict.fromkeys(("learning_rate", "temperature"), real(0, open_low=True)),
        "hidden_dims": each(whole()),
        "batch_size": whole(2),
        "dropout": real(0, 1),
    }
    _min_views: ClassVar[int] = 1
    _only_two: ClassVar[bool] = False
    # Whether views stay float64 where float32 would lose their spread beside their mean.
    _any_offset: ClassVar[bool] = False
    _takes_missing: ClassVar[bool] = False

    def fit(
        self, Xs: Sequence[Any], y: Any = None, *, aligned: Any = None, present: Any = None
    ) -> ViewClustering:
        """Cluster the rows.

        Parameters
        ----------
        Xs : list of array-like, each (n_samples, n_features_v)
            The views, of one length.
        y : array-like of shape (n_samples,), optional
            Labels. Not read, but by a method that says so.
        aligned : array-like of shape (n_samples,), bool, optional
            True where row i of every view shows the same thing. All, by default.
        present : array-like of shape (n_samples, n_views), bool, optional
            False where a view lacks row i, in methods that take this. By default all are there.
            What such a row holds is not read, NaN or other: before anything is computed it is
            set to the mean of the view's rows that are there.

        Returns
        -------
        ViewClustering
            Itself, fitted.

        Raises
        ------
        ValueError
            On NaN, infinity, unequal lengths, too few views, more clusters than rows, a sample
            or a view of which nothing is present, a parameter out of range, or rows that a
            method cannot take.
        FloatingPointError
            If a loss stops being finite.
        """
        with self._fitting() as seed:
            # Copies: what is fitted must not change when the caller's arrays do.
            filled, there = self._filled(Xs, present)
            views = [view.copy() for view in self._views(filled)]
            n = len(views[0])
            refuse_flags(y, "aligned")
            flags = np.ones(n, bool) if aligned is None else check_mask(aligned, n)
            there = np.ones((n, len(views)), bool) if there is None else there
            check_n_clusters(self.n_clusters, n)
            note_features(self, Xs, [view.shape[1] for view in views])
            masks = {"present": there} if self._takes_missing else {}
            self._fit(views, flags, y, seed, **masks)
            self._settle([*views, flags, there])
        return self

    def fit_predict(
        self, Xs: Sequence[Any], y: Any = None, *, aligned: Any = None, present: Any = None
    ) -> np.ndarray:
        """Return `labels_` after `fit`, whose parameters these are."""
        return self.fit(Xs, y, aligned=aligned, present=present).labels_

    def _fit(self, *given: Any, **masks: Any) -> None:
        """Fit `views, aligned, y, seed`, and `present` where a method takes it."""
        raise NotImplementedError

    def _filled(self, Xs: Any, present: Any) -> tuple[Any, np.ndarray | None]:
        """Return the views, their absent rows set to the mean of the others, and the mask."""
        if present is None:
            return Xs, None
        arrays = [as_numbers(X, f"Xs[{v}]") for v, X in enumerate(check_list_of_views(Xs))]
        n = len(np.atleast_1d(arrays[0])) if arrays else 0
        there = check_present(present, n, len(arrays))
        if not there.all() and not self._takes_missing:
            raise ValueError(
                f"present has {(~there).sum()} False: expected True alone, since "
                f"{type(self).__name__} takes no sample that lacks a view"
            )
        return [_with_means(X, there[:, v]) for v, X in enumerate(arrays)], there

    def _views(self, Xs: Sequence[Any]) -> list[np.ndarray]:
        dtype = np.float64 if self._any_offset else np.float32
        views = check_views(Xs, minimum=self._min_views, dtype=dtype)
        if self._only_two and len(views) > 2:
            raise ValueError(
                f"Xs has {len(views)} views: expected two, which {type(self).__name__} is made "
                "for"
            )
        return [narrowed(view) for view in views] if self._any_offset else views

    def _new_rows(self, Xs: Sequence[Any]) -> list[np.ndarray]:
        views = self._views(Xs)
        check_widths(views, self.n_features_in_)
        return views


def narrowed(view: np.ndarray) -> np.ndarray:
    """Return a view as float32 where that holds it, else as it is."""
    if lost_column(view) is None and np.abs(view).max() < np.finfo(np.float32).max:
        return view.astype(np.float32)
    return view


def _with_means(view: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Return a view whose rows that are not there hold the mean of those that are."""
    if there.all() or view.ndim != 2 or len(view) != len(there):
        return view
    view = view.astype(np.result_type(view.dtype, np.float32))
    with np.errstate(over="ignore", invalid="ignore"):
        means = view[there].mean(axis=0)
    # What is present and not finite is refused by name afterwards.
    view[~there] = np.nan_to_num(means, nan=0, posinf=0, neginf=0)
    return view


def note_features(model: Clustering, Xs: Sequence[Any], widths: list[Any]) -> None:
    """Set the widths of what is fitted, and its columns' names where all have some."""
    model.n_features_in_ = widths
    names = [feature_names(X) for X in Xs]
    if all(name is not None for name in names):
        model.feature_names_in_ = names


def row_groups(parts: Sequence[np.ndarray], limit: int) -> np.ndarray | None:
    """Return which distinct row each row is, or None if more than `limit` are distinct."""
    seen: dict[bytes, int] = {}
    groups = np.empty(len(parts[0]), np.int64)
    for i in range(len(groups)):
        # Zero and minus zero are equal.
        key = b"".join((part[i] + 0).tobytes() for part in parts)
        groups[i] = seen.setdefault(key, len(seen))
        if len(seen) > limit:
            return None
    return groups


def cluster_means(Z: np.ndarray, labels: np.ndarray, n_clusters: int) -> np.ndarray:
    """Return the mean of each cluster's rows, NaN where it has none."""
    members = sparse.csr_array(
        (np.ones(len(Z)), (labels, np.arange(len(Z)))), shape=(n_clusters, len(Z))
    )
    with np.errstate(invalid="ignore"):
        return (members @ Z) / members.sum(axis=1)[:, None]


def warn_collapse(Z: np.ndarray, stacklevel: int = 4) -> None:
    """Warn where all rows of an embedding are one and the same, but for rounding."""
    rounding = 8 * np.finfo(Z.dtype).eps * np.abs(Z).max()
    if len(Z) > 1 and np.ptp(Z, axis=0).max() <= rounding:
        warnings.warn(
            f"the {len(Z)} rows of the embedding are all equal: what was learnt tells none of "
            "them apart, and the clusters mean nothing",
            UserWarning,
            stacklevel=stacklevel,
        )


def refuse_flags(y: Any, name: str) -> None:
    """Refuse flags where labels are expected: they once were the second argument of `fit`."""
    if y is not None and as_array(y, "y", "labels").dtype == bool:
        raise ValueError(f"y holds booleans: expected labels; give flags by name, {name}=")


def kmeans_labels(X: np.ndarray, n_clusters: int, seed: int) -> np.ndarray:
    """Return the labels of scikit-learn's k-means, the best of ten k-means++ starts."""
    found = KMeans(n_clusters, n_init=KMEANS_STARTS, random_state=seed).fit(X)
    return found.labels_.astype(np.int64)
