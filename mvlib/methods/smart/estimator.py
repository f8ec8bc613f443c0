"""SMART as an estimator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy import sparse
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils.validation import check_is_fitted

from mvlib._validation import (
    check_choice,
    check_labels,
    check_mask,
    check_views,
)
from mvlib.methods.smart.checks import check_parameters
from mvlib.methods.smart.equations import VDA_TERMS
from mvlib.methods.smart.settings import PAPER_SETTINGS
from mvlib.methods.smart.thresholds import threshold_rule
from mvlib.methods.smart.trainer import Trainer, embed_rows
from mvlib.methods.smart.training import Objective, graph_blocks
from mvlib.ops.device import resolve_device

FULL_GRAPH_ROWS = 20_000


class SMART(ClusterMixin, BaseEstimator):
    """Semantic matching contrastive learning for partially view-aligned clustering.

    Two or more views of the same things, of which only some rows are known to be partners.
    An auto-encoder a view, a loss that aligns the embeddings of the aligned rows (L_vda), a
    graph of rows that mean the same and a contrastive loss that follows it (L_smc); then
    k-means of [H1, norm(W H2)]. Rows are named after view 1.

    Parameters
    ----------
    n_clusters : int
        Number of clusters.
    embedding_dim : int, default=30
        d, width of the embeddings.
    hidden_dims : sequence of int, default=(2000, 2000, 2000)
        Widths of each encoder's hidden layers; the decoder mirrors them.
    epochs : int, default=500
        Passes over the data.
    batch_size : int, default=2000
        Rows in a batch. The graph of a training step costs batch_size squared.
    learning_rate : float, default=1e-4
        Of Adam.
    weight_decay : float, default=0.01
        Of Adam (added to the gradient, not AdamW's).
    temperature : float, default=1.0
        tau of L_smc.
    lambda1, lambda2 : float, default=10.0, 1.0
        Weights of L_vda and L_smc. 0 leaves the loss out.
    threshold : str or float, default="mean-std"
        The correlation from which on two rows are joined. Of the aligned rows' own
        correlations: "mean-std" (the paper's), "mean", "mean-2std" or "percentile-Q" such
        as "percentile-16". "nearest-K" joins each row to its K most correlated. A number
        fixes it. Only the last two run without any aligned row.
    vda_terms : tuple of {"diagonal", "structure"}, default=both
        Which terms of L_vda count.
    selection : {"last", "loss", "oracle"}, default="last"
        The epoch whose clustering is kept: the last, the one of the lowest training loss,
        or the one of the best accuracy on `y`. "oracle" is the authors' protocol; it reads
        the labels, and says so in a warning.
    features : {"eval", "train"}, default="eval"
        Features in evaluation mode after the epoch, or those met during its pass in
        training mode, as the authors take them.
    track : sequence of {"eval", "train"}, default=()
        Features to cluster after every epoch; the labels go to `history_`.
    track_starts : sequence of (str, int), default=()
        Further clusterings of what is tracked: pairs of an `init` and an `n_init`.
    init : {"draws", "k-means++", "authors"}, default="draws"
        How k-means by cosine distance starts, see `mvlib.ops.cosine_kmeans`. "authors" is
        the procedure of the authors' code, whose start is worse and which may put all rows
        in one cluster.
    n_init : int, default=1
        Starts of k-means, of which the best is kept. The authors use one.
    graph_batch_size : int, optional
        Among how many rows a row looks for partners when features are made in evaluation
        mode. By default all of them up to 20,000 samples, `batch_size` beyond. The graph is
        made in blocks of at most 64 MB, whatever this is.
    precision : {"float32", "bfloat16"}, default="float32"
        Of the networks' matrix products in training.
    device : str, default="auto"
        "auto" takes a GPU if there is one.
    random_state : int, optional
        Seed of initialisation, batches and k-means.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int64
        Cluster of each row of view 1.
    embedding_ : ndarray of shape (n_samples, n_views * embedding_dim), float32
        The features that were clustered.
    history_ : dict of str to ndarray
        A value an epoch: `loss`, `reconstruction`, `distribution_alignment`,
        `semantic_matching` (NaN where the weight is 0) and `threshold`, means over batches;
        with `track`, `labels_eval` or `labels_train` of shape (epochs, n_samples); for each
        of `track_starts` the like of `labels_eval_draws_20` too. `threshold` is NaN under
        "nearest-K", where each row has its own.
    epoch_ : int
        The epoch that was kept, from 0.
    network_ : SMARTNetwork
        In evaluation mode, as it was after that epoch.
    n_features_in_ : list of int
        Widths of the views.

    Notes
    -----
    Source: arXiv 2512.15396 and the authors' code. The settings of the paper's data sets
    come from `paper_settings`; the defaults here are those of any other data set.

    *Deviations*. The paper stops at two views: with more, view 1 is matched to each other
    view, and L_vda and L_smc are means over these pairs. A batch without aligned rows has no
    L_vda and takes the threshold of the batch before; the threshold of a single aligned row
    is its own correlation. In the authors' code the first ends the training with a loss of
    NaN, and the second leaves the graph without an edge but the aligned row's own: that
    happens in last short batches where few rows are aligned. The loss of an epoch is the mean
    over rows, theirs the sum over batches, which weights a last short batch more; a row of
    constant embedding has standard deviation 1e-8, theirs gives NaN. Features in evaluation
    mode use one graph over all rows (to 20,000), where the authors' are per batch. The
    authors always select by "oracle" with features "train" and cluster with
    `init="authors"`; here each epoch's k-means has a seed of its own, theirs go on with one
    generator.

    Examples
    --------
    >>> from mvlib import SMART, data
    >>> digits = data.load("handwritten")
    >>> problem = data.partially_align(data.min_max_scale(digits.Xs), digits.y, ratio=0.5)
    >>> model = SMART(10, **SMART.paper_settings("handwritten"), random_state=5)
    >>> labels = model.fit_predict(problem.Xs, aligned=problem.aligned)
    """

    def __init__(
        self,
        n_clusters: int,
        *,
        embedding_dim: int = 30,
        hidden_dims: Sequence[int] = (2000, 2000, 2000),
        epochs: int = 500,
        batch_size: int = 2000,
        learning_rate: float = 1e-4,
        weight_decay: float = 0.01,
        temperature: float = 1.0,
        lambda1: float = 10.0,
        lambda2: float = 1.0,
        threshold: str | float = "mean-std",
        vda_terms: Sequence[str] = VDA_TERMS,
        selection: str = "last",
        features: str = "eval",
        track: Sequence[str] = (),
        track_starts: Sequence[tuple[str, int]] = (),
        init: str = "draws",
        n_init: int = 1,
        graph_batch_size: int | None = None,
        precision: str = "float32",
        device: str = "auto",
        random_state: int | None = None,
    ):
        self.n_clusters = n_clusters
        self.embedding_dim = embedding_dim
        self.hidden_dims = hidden_dims
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.temperature = temperature
        self.lambda1 = lambda1
        self.lambda2 = lambda2
        self.threshold = threshold
        self.vda_terms = vda_terms
        self.selection = selection
        self.features = features
        self.track = track
        self.track_starts = track_starts
        self.init = init
        self.n_init = n_init
        self.graph_batch_size = graph_batch_size
        self.precision = precision
        self.device = device
        self.random_state = random_state

    @staticmethod
    def paper_settings(dataset: str) -> dict[str, Any]:
        """Return the settings of the authors' code for a data set, as keyword arguments.

        Parameters
        ----------
        dataset : str
            One of the paper's eight, or "other".

        Raises
        ------
        ValueError
            If the paper has no such data set.
        """
        name = str(dataset).lower().replace("_", "-")
        return dict(PAPER_SETTINGS[check_choice("dataset", name, PAPER_SETTINGS)])

    def fit(self, Xs: Sequence[Any], aligned: Any = None, y: Any = None) -> SMART:
        """Train the networks and cluster the rows.

        Parameters
        ----------
        Xs : list of array-like, each (n_samples, n_features_v)
            Two views or more, of one length. The paper scales each to [0, 1] as one block
            (`mvlib.data.min_max_scale`).
        aligned : array-like of shape (n_samples,), bool, optional
            True where row i of every view shows the same thing. All, by default.
        y : array-like of shape (n_samples,), optional
            Labels of view 1, read by `selection="oracle"` alone.

        Returns
        -------
        SMART
            Itself, fitted.

        Raises
        ------
        ValueError
            On fewer than two views, NaN, infinity, unequal lengths, more clusters than
            rows, no aligned row where the threshold reads them, or a parameter out of range.
        FloatingPointError
            If the loss stops being finite.
        """
        views = check_views(Xs, minimum=2)
        check_parameters(self, views, y)
        n = len(views[0])
        flags = np.ones(n, bool) if aligned is None else check_mask(aligned, n)
        if not flags.any() and threshold_rule(self.threshold).needs_aligned:
            raise ValueError(
                f"aligned has no True: the threshold {self.threshold!r} is read from aligned "
                "rows; align at least one row, or pass a number or 'nearest-K' as threshold"
            )
        targets = check_labels(y, n) if self.selection == "oracle" else None
        self.n_features_in_ = [view.shape[1] for view in views]
        device = resolve_device(self.device)
        tensors = [torch.from_numpy(view).to(device) for view in views]
        trained = Trainer(self, tensors, torch.from_numpy(flags).to(device), targets).run()
        self.network_, self.history_ = trained.network, trained.history
        self.embedding_, self.labels_ = trained.features, trained.labels
        self.epoch_ = trained.epoch
        self._fitted_rows = tensors, torch.from_numpy(flags).to(device)
        return self

    def fit_predict(self, Xs: Sequence[Any], aligned: Any = None, y: Any = None) -> np.ndarray:
        """Return `labels_` after `fit`, whose parameters these are."""
        return self.fit(Xs, aligned, y).labels_

    def encode(self, Xs: Sequence[Any]) -> list[np.ndarray]:
        """Return the embeddings Z of any rows, each view by its own encoder.

        Parameters
        ----------
        Xs : list of array-like, each (n_rows, n_features_v)
            Views of the widths that were fitted.

        Returns
        -------
        list of ndarray, each (n_rows, embedding_dim), float32

        Raises
        ------
        ValueError
            If the views are not finite, or their number or widths differ.
        """
        check_is_fitted(self)
        views = check_views(Xs, minimum=2)
        widths = [view.shape[1] for view in views]
        if widths != self.n_features_in_:
            raise ValueError(
                f"Xs has widths {widths}: expected {self.n_features_in_}, as fitted"
            )
        device = self._fitted_rows[1].device
        tensors = [torch.from_numpy(view).to(device) for view in views]
        Zs, _ = embed_rows(self.network_, tensors, self.precision)
        return [Z.cpu().numpy() for Z in Zs]

    @property
    def semantic_graph_(self) -> list[sparse.csr_array]:
        """The graph W in evaluation mode, of view 1 to each other view.

        Made anew at each access, since it may be large.

        Returns
        -------
        list of csr_array, each (n_samples, n_samples), float32
            One entry a further view.
        """
        Xs, aligned = self._fitted_rows
        n = len(aligned)
        Zs, _ = embed_rows(self.network_, Xs, self.precision)
        graphs = []
        for Z in Zs[1:]:
            blocks = []
            for rows, columns, W in graph_blocks(
                Zs[0], Z, aligned, self._objective(), self._graph_rows(n)
            ):
                block = sparse.coo_array(W.cpu().numpy())
                row, column = block.coords
                blocks.append((block.data, row + rows.start, column + columns.start))
            data, row, column = (np.concatenate(part) for part in zip(*blocks, strict=True))
            graphs.append(sparse.csr_array((data, (row, column)), shape=(n, n)))
        return graphs

    def _objective(self) -> Objective:
        rule = threshold_rule(self.threshold)
        return Objective(
            self.lambda1, self.lambda2, self.temperature, rule, tuple(self.vda_terms)
        )

    def _graph_rows(self, n_samples: int) -> int:
        if self.graph_batch_size is not None:
            return self.graph_batch_size
        return n_samples if n_samples <= FULL_GRAPH_ROWS else self.batch_size
