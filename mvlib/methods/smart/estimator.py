"""SMART as an estimator: settings, training, which epoch is kept."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from scipy import sparse
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.utils.validation import check_is_fitted

from mvlib.check import check_choice, check_labels, check_number, check_views
from mvlib.methods.base import ViewClustering, choice, each, optional, real, whole
from mvlib.methods.smart.equations import (
    FLOOR,
    VDA_TERMS,
    Objective,
    clustering_features,
    graph_blocks,
    objective_step,
    threshold_rule,
)
from mvlib.methods.smart.network import LINEAR, SMARTNetwork, embed_rows
from mvlib.methods.training import RandomState, batches, run, seeded
from mvlib.ops.contingency import contingency_table, matched_accuracy
from mvlib.ops.device import PRECISIONS, resolve_device
from mvlib.ops.kmeans import INITS, cosine_kmeans

FULL_GRAPH_ROWS = 20_000
SELECTIONS = ("last", "loss", "oracle")
MODES = ("eval", "train")

_COLUMNS = (
    "batch_size",
    "epochs",
    "learning_rate",
    "temperature",
    "lambda1",
    "lambda2",
    "embedding_dim",
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


class SMART(ViewClustering):
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
    weight_init : {"torch", "xavier"}, default="torch"
        First weights of the linear layers: as torch draws them (the authors', too), or
        Xavier's uniform ones with biases of 0.
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

    _min_views = 2
    _bounds = {
        **dict.fromkeys(("epochs", "n_init"), whole()),
        **dict.fromkeys(("embedding_dim", "batch_size"), whole(2)),
        "hidden_dims": each(whole()),
        **dict.fromkeys(("learning_rate", "temperature"), real(0, open_low=True)),
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
        weight_init: str = "torch",
        precision: str = "float32",
        device: str = "auto",
        random_state: RandomState = None,
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
        self.weight_init = weight_init
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
        training = _Training(self, tensors, flags, targets, seed)
        self.history_ = training.run()
        self.network_, self.epoch_ = training.network, training.epoch
        self.embedding_, self.labels_ = training.features.cpu().numpy(), training.labels
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
        check_is_fitted(self)
        views = check_views(Xs, minimum=2)
        widths = [view.shape[1] for view in views]
        if widths != self.n_features_in_:
            raise ValueError(
                f"Xs has widths {widths}: expected {self.n_features_in_}, as fitted"
            )
        device = self._rows_[1].device
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
        Xs, aligned = self._rows_
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


PARTS = ("reconstruction", "distribution_alignment", "semantic_matching")


def replaces(scores: Mapping[str, float], best: Mapping[str, float]) -> bool:
    """Return whether a later epoch takes the place of the best so far.

    It does with a higher accuracy and, as in the authors' code, with an equal one if its
    NMI or its ARI is not lower.

    Parameters
    ----------
    scores, best : mapping of str to float
        `acc`, `nmi` and `ari` of both; alone `acc` where no labels are read.
    """
    if scores["acc"] != best["acc"]:
        return scores["acc"] > best["acc"]
    return any(scores[name] >= best[name] for name in ("nmi", "ari") if name in scores)


class _Training:
    """One training of a SMART estimator, whose parameters it reads and never writes.

    After `run` it holds what the selection rule keeps: network, features, labels, epoch.
    """

    def __init__(
        self,
        model: SMART,
        Xs: Sequence[torch.Tensor],
        aligned: torch.Tensor,
        targets: np.ndarray | None,
        seed: int,
    ):
        self.model, self.Xs, self.aligned, self.targets = model, Xs, aligned, targets
        self.seed = seed
        self.objective = model._objective()
        with seeded(self.seed, aligned.device) as self.generator:
            network = SMARTNetwork(
                [X.shape[1] for X in Xs],
                model.hidden_dims,
                model.embedding_dim,
                model.weight_init,
            )
        self.network = network.to(aligned.device)
        self.threshold: float = FLOOR
        self.thresholds = 0.0
        self.kinds = ["", *(f"_{init}_{n_init}" for init, n_init in model.track_starts)]
        self.best: dict[str, float] | None = None
        self.epoch, self.state = -1, None
        self.passed, self.features, self.labels = None, None, None
        if "train" in model.track or model.features == "train":
            width = model.embedding_dim * len(Xs)
            self.passed = torch.empty(len(aligned), width, device=aligned.device)

    def run(self) -> dict[str, np.ndarray]:
        """Train for all epochs and return the history."""
        model, n = self.model, len(self.aligned)
        optimizer = torch.optim.Adam(
            self.network.parameters(),
            lr=model.learning_rate,
            weight_decay=model.weight_decay,
            fused=True,
        )
        history = run(
            model.epochs,
            lambda: batches(n, model.batch_size, self.generator),
            self._step,
            self.network,
            optimizer,
            parts=PARTS,
            share=lambda rows: len(self.aligned[rows]) / n,
            after_epoch=self._after_epoch,
            name="SMART",
        )
        if self.state is not None:
            self.network.load_state_dict(self.state)
        self.network.eval()
        if self.features is None:
            self.features = self._eval_features()
        if self.labels is None:
            self.labels = self._cluster(self.features, self.epoch, model.init, model.n_init)
        return history

    def _step(self, rows: torch.Tensor | slice) -> dict[str, torch.Tensor]:
        flags = self.aligned[rows]
        step = objective_step(
            self.network,
            [X[rows] for X in self.Xs],
            flags,
            self.objective,
            self.threshold,
            self.passed is not None,
            self.model.precision,
        )
        self.threshold = step.threshold
        self.thresholds += len(flags) / len(self.aligned) * step.threshold
        if self.passed is not None:
            self.passed[rows] = step.features
        return {"loss": step.loss, **step.parts}

    def _after_epoch(self, epoch: int, means: dict[str, float]) -> dict[str, Any]:
        model = self.model
        recorded: dict[str, Any] = {"threshold": self.thresholds}
        self.thresholds = 0.0
        wanted = set(model.track) | ({model.features} if model.selection == "oracle" else set())
        found = {}
        for mode in sorted(wanted):
            X = self.passed if mode == "train" else self._eval_features()
            found[mode] = X, self._cluster(X, epoch, model.init, model.n_init)
        for mode in model.track:
            X, labels = found[mode]
            recorded[f"labels_{mode}"] = labels
            for kind, start in zip(self.kinds[1:], model.track_starts, strict=True):
                recorded[f"labels_{mode}{kind}"] = self._cluster(X, epoch, *start)
        score = self._score(epoch, means["loss"], found)
        if self.best is None or replaces(score, self.best):
            self.best, self.epoch = score, epoch
            passed = self.passed if model.features == "train" else None
            features, self.labels = found.get(model.features, (passed, None))
            # The buffer of training mode is overwritten by the next epoch.
            self.features = None if features is None else features.clone()
            last = epoch == model.epochs - 1
            keep = not last and model.selection != "last"
            self.state = copy.deepcopy(self.network.state_dict()) if keep else None
        return recorded

    def _score(self, epoch: int, loss: float, found: dict) -> dict[str, float]:
        if self.model.selection == "last":
            return {"acc": float(epoch)}
        if self.model.selection == "loss":
            return {"acc": -loss}
        labels = found[self.model.features][1]
        return {
            "acc": matched_accuracy(contingency_table(self.targets, labels)),
            "nmi": normalized_mutual_info_score(self.targets, labels),
            "ari": adjusted_rand_score(self.targets, labels),
        }

    @torch.no_grad()
    def _eval_features(self) -> torch.Tensor:
        self.network.eval()
        Zs, Hs = embed_rows(self.network, self.Xs, self.model.precision)
        size = self.model._graph_rows(len(self.aligned))
        return clustering_features(Zs, Hs, self.aligned, self.objective, size)

    def _cluster(
        self, features: torch.Tensor, epoch: int, init: str, n_init: int
    ) -> np.ndarray:
        return cosine_kmeans(
            features,
            self.model.n_clusters,
            init=init,
            n_init=n_init,
            max_iter=501,
            # A seed an epoch, so that tracking or not changes no clustering.
            random_state=(self.seed * 100_003 + epoch) % 2**31,
        ).labels
