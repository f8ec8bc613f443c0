"""SMART as an estimator: settings, training, which epoch is kept."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from scipy import sparse

from mvlib.check import (
    check_choice,
    check_labels,
    check_number,
    choice,
    each,
    optional,
    real,
    whole,
)
from mvlib.methods.base import ViewClustering
from mvlib.methods.smart.equations import VDA_TERMS, Objective, graph_blocks, threshold_rule
from mvlib.methods.smart.network import LINEAR, SMARTNetwork, embed_rows, encoded
from mvlib.methods.smart.training import Training
from mvlib.ops.device import PRECISIONS, resolve_device
from mvlib.ops.kmeans import INITS

FULL_GRAPH_ROWS = 20_000
SELECTIONS = ("last", "loss", "oracle")
MODES = ("eval", "train")

_COLUMNS = (
    *("batch_size", "epochs", "learning_rate", "temperature"),
    *("lambda1", "lambda2", "embedding_dim"),
)
_ROWS = {
    "bdgp": (3000, 500, 5e-5, 1.0, 1.0, 1.0, 30),
    "handwritten": (2000, 500, 1e-4, 1.0, 1.0, 1.0, 100),
    "wiki": (3000, 500, 1e-4, 1.0, 1.0, 1.0, 20),
    "mnist-usps": (2000, 500, 2e-4, 0.8, 30.0, 10.0, 10),
    "nus-wide": (2000, 500, 6e-5, 0.3, 50.0, 10.0, 30),
    "reuters-dim10": (2000, 500, 1e-4, 1.0, 1.0, 1.0, 10),
    "hdigit": (2000, 500, 1e-4, 0.6, 10.0, 1.0, 10),
    "deep-animal": (2000, 100, 1e-6, 1.0, 30.0, 5.0, 200),
    "other": (2000, 500, 1e-4, 1.0, 10.0, 1.0, 30),
}
# Read-only, so that no caller changes another's settings.
PAPER_SETTINGS = MappingProxyType(
    {
        name: MappingProxyType(dict(zip(_COLUMNS, row, strict=True)))
        for name, row in _ROWS.items()
    }
)


def _check_start(name: str, start: Any) -> None:
    if isinstance(start, str) or len(start) != 2:
        raise ValueError(
            f"{name} holds {start!r}: expected pairs of an init and an n_init, such as "
            "('draws', 20)"
        )
    check_choice(f"{name}' init", start[0], INITS)
    check_number(f"{name}' n_init", start[1], low=1, integer=True)


@dataclass(eq=False, repr=False, kw_only=True)
class SMART(ViewClustering):
    """Semantic matching contrastive learning for partially view-aligned clustering.

    Two or more views of the same things, of which only some rows are known to be partners.
    An auto-encoder a view, a loss that aligns the embeddings of the aligned rows (L_vda), a
    graph of rows that mean the same and a contrastive loss that follows it (L_smc); then
    k-means of [H1, norm(W H2)]. Rows are named after view 1. New rows are embedded without the
    graph, as [H1, H2], and go to the nearest centre.

    Parameters
    ----------
    embedding_dim : int, default=30
        d, width of the embeddings.
    epochs : int, default=500
        Passes over the data.
    batch_size : int, default=2000
        Rows in a batch. The graph of a training step costs batch_size squared.
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
    weight_init : {"torch", "xavier"}, default="torch"
        First weights of the linear layers: as torch draws them (the authors', too), or
        Xavier's uniform ones with biases of 0.
    precision : {"float32", "bfloat16"}, default="float32"
        Of the networks' matrix products in training. Which is faster depends on the processor:
        bfloat16 where AMX or a fast AVX512-BF16 multiplies it, else it can be the slower one
        (`make bench` says). Where torch has no quick product of it, the
        same numbers are rounded and multiplied in float32.

    Attributes
    ----------
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

    Notes
    -----
    *Use it* where some rows are known to be partners and those of the other rows are not known;
    not for one view, and not without any aligned row, unless `threshold` is a number or
    "nearest-K". *Cost*: up to `batch_size` rows an epoch is one step, so that by default 2,000
    rows or fewer are trained in 500 steps; beyond, the steps grow with n, and each builds a
    graph of batch_size squared. The clustered features compare all rows with all up to 20,000,
    and n * batch_size beyond. *Beside it*: `KMeansView`, `KMeansConcatenation` and
    `SpectralConcatenation`, which `mvlib.compare` runs under two scalings;
    `AutoencoderHungarian`.

    Source: arXiv 2512.15396 and the authors' code. The settings of the paper's data sets
    come from `paper_settings`; the defaults here are those of any other data set. The paper
    scales each view to [0, 1] as one block (`mvlib.data.min_max_scale`).

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
    >>> model = model.set_params(epochs=2, hidden_dims=(64,))  # small, to be quick
    >>> labels = model.fit_predict(problem.Xs, aligned=problem.aligned)
    >>> labels.shape
    (2000,)
    """

    embedding_dim: int = 30
    hidden_dims: Sequence[int] = (2000, 2000, 2000)
    epochs: int = 500
    batch_size: int = 2000
    learning_rate: float = 1e-4
    weight_decay: float = 0.01
    temperature: float = 1.0
    lambda1: float = 10.0
    lambda2: float = 1.0
    threshold: str | float = "mean-std"
    vda_terms: Sequence[str] = VDA_TERMS
    selection: str = "last"
    features: str = "eval"
    track: Sequence[str] = ()
    track_starts: Sequence[tuple[str, int]] = ()
    init: str = "draws"
    n_init: int = 1
    graph_batch_size: int | None = None
    weight_init: str = "torch"
    precision: str = "float32"
    verbose: bool | None = None
    device: str = "auto"

    _min_views = 2
    _network_name = "network_"
    _bounds = {
        "n_init": whole(),
        "embedding_dim": whole(2),
        **dict.fromkeys(("weight_decay", "lambda1", "lambda2"), real(0)),
        "threshold": lambda name, value: threshold_rule(value),
        "vda_terms": each(choice(VDA_TERMS)),
        "selection": choice(SELECTIONS),
        "features": choice(MODES),
        "track": each(choice(MODES)),
        "track_starts": each(_check_start),
        "init": choice(INITS),
        "graph_batch_size": optional(whole()),
        "weight_init": choice(LINEAR),
        "precision": choice(PRECISIONS),
    }

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

    def _fit(self, views: list[np.ndarray], aligned: np.ndarray, y: Any, seed: int) -> None:
        n = len(views[0])
        if n < 2:
            raise ValueError(f"Xs has {n} row: expected at least 2, for batch normalisation")
        if not aligned.any() and threshold_rule(self.threshold).needs_aligned:
            raise ValueError(
                f"aligned has no True: the threshold {self.threshold!r} is read from aligned "
                "rows; align at least one row, or pass a number or 'nearest-K' as threshold"
            )
        targets = None
        if self.selection == "oracle":
            if y is None:
                raise ValueError(
                    "selection='oracle' needs y, the labels of view 1: pass y to fit, or "
                    "select by 'last' or 'loss'"
                )
            targets = check_labels(y, n)
            warnings.warn(
                "selection='oracle' reads the labels: its score is an upper bound, not what "
                "an unlabelled run would get",
                UserWarning,
                stacklevel=3,
            )
        device = resolve_device(self.device)
        tensors = [torch.from_numpy(view).to(device) for view in views]
        flags = torch.from_numpy(aligned).to(device)
        training = Training(self, tensors, flags, targets, seed)
        self.history_, features, self.labels_ = training.run()
        self.network_, self.epoch_ = training.network, training.epoch
        self.embedding_ = features.cpu().numpy()
        self._rows_ = tensors, flags

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
        model = self._as_fitted()
        views = model._new_rows(Xs)
        return [Z.numpy() for Z in encoded(model.network_, views, model.precision)[0]]

    def _embed(self, views: list[np.ndarray]) -> np.ndarray:
        _, Hs = encoded(self.network_, views, self.precision)
        return torch.cat(Hs, dim=1).numpy()

    def _network(self) -> SMARTNetwork:
        return SMARTNetwork(
            self.n_features_in_, self.hidden_dims, self.embedding_dim, self.weight_init
        )

    @property
    def semantic_graph_(self) -> list[sparse.csr_array]:
        """The graph W in evaluation mode, of view 1 to each other view.

        Made anew at each access, since it may be large.

        Returns
        -------
        list of csr_array, each (n_samples, n_samples), float32
            One entry a further view.
        """
        model = self._as_fitted()
        if not hasattr(model, "_rows_"):
            raise ValueError("the rows were not saved: expected a model saved with rows=True")
        Xs, aligned = model._rows_
        n = len(aligned)
        Zs, _ = embed_rows(model.network_, Xs, model.precision)
        graphs = []
        for Z in Zs[1:]:
            blocks = []
            for rows, columns, W in graph_blocks(
                Zs[0], Z, aligned, model._objective(), model._graph_rows(n)
            ):
                block = sparse.coo_array(W.cpu().numpy())
                row, column = block.coords
                blocks.append((block.data, row + rows.start, column + columns.start))
            data, row, column = (np.concatenate(part) for part in zip(*blocks, strict=True))
            graphs.append(sparse.csr_array((data, (row, column)), shape=(n, n)))
        return graphs

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if not self.vda_terms:
            raise ValueError("vda_terms is empty: expected a term; lambda1=0 leaves L_vda out")

    def _objective(self) -> Objective:
        rule = threshold_rule(self.threshold)
        return Objective(
            self.lambda1, self.lambda2, self.temperature, rule, tuple(self.vda_terms)
        )

    def _graph_rows(self, n_samples: int) -> int:
        if self.graph_batch_size is not None:
            return self.graph_batch_size
        return n_samples if n_samples <= FULL_GRAPH_ROWS else self.batch_size
