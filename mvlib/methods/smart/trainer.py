"""SMART's training loop: epochs, clusterings on the way, and which epoch is kept."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from tqdm import tqdm

from mvlib.methods.smart.network import SMARTNetwork
from mvlib.methods.smart.training import (
    FLOOR,
    batches,
    clustering_features,
    objective_step,
)
from mvlib.ops.contingency import contingency_table, matched_accuracy
from mvlib.ops.device import autocast
from mvlib.ops.kmeans import cosine_kmeans

if TYPE_CHECKING:
    from mvlib.methods.smart.estimator import SMART

PARTS = ("reconstruction", "distribution_alignment", "semantic_matching")


@dataclass(frozen=True)
class Trained:
    """What training leaves: the kept epoch's network, features and labels, the history."""

    network: SMARTNetwork
    features: np.ndarray
    labels: np.ndarray
    epoch: int
    history: dict[str, np.ndarray]


class Trainer:
    """One training run of a SMART estimator, whose parameters it reads and never writes.

    Parameters
    ----------
    model : SMART
        The parameters, already checked.
    Xs : sequence of Tensor, each (n_samples, n_features_v)
        The views, on the device to train on.
    aligned : Tensor of shape (n_samples,), bool
        Which rows are aligned.
    targets : ndarray of shape (n_samples,), optional
        Labels, for `selection="oracle"`.
    """

    def __init__(
        self,
        model: SMART,
        Xs: Sequence[torch.Tensor],
        aligned: torch.Tensor,
        targets: np.ndarray | None,
    ):
        self.model, self.Xs, self.aligned, self.targets = model, Xs, aligned, targets
        self.n_samples = len(aligned)
        self.objective = model._objective()
        self.seed = (
            int(np.random.SeedSequence().generate_state(1)[0])
            if model.random_state is None
            else model.random_state
        )
        # The networks' first weights come from torch's global generator: leave it as it was.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            network = SMARTNetwork(
                [X.shape[1] for X in Xs], model.hidden_dims, model.embedding_dim
            )
        self.network = network.to(aligned.device)
        self.optimizer = torch.optim.Adam(
            self.network.parameters(),
            lr=model.learning_rate,
            weight_decay=model.weight_decay,
            fused=True,
        )
        self.generator = torch.Generator().manual_seed(self.seed)
        self.threshold = FLOOR

    def run(self) -> Trained:
        """Train for all epochs and return what the selection rule keeps."""
        model = self.model
        history: dict[str, list] = {name: [] for name in ("loss", *PARTS, "threshold")}
        names = ["", *(f"_{init}_{n_init}" for init, n_init in model.track_starts)]
        history |= {f"labels_{mode}{name}": [] for mode in model.track for name in names}
        best = None
        kept = None
        for epoch in tqdm(range(model.epochs), desc="SMART", disable=None, leave=False):
            oracle = model.selection == "oracle"
            passing = "train" in model.track or model.features == "train"
            means, features = self._epoch(epoch, passing)
            for name, value in means.items():
                history[name].append(value)
            found = {}
            wanted = {*model.track, model.features} if oracle else set(model.track)
            for mode in sorted(wanted):
                X = features if mode == "train" else self._eval_features()
                found[mode] = X, self._cluster(X, epoch, model.init, model.n_init)
            for mode in model.track:
                X, labels = found[mode]
                history[f"labels_{mode}"].append(labels)
                for name, start in zip(names[1:], model.track_starts, strict=True):
                    history[f"labels_{mode}{name}"].append(self._cluster(X, epoch, *start))
            score = self._score(epoch, means["loss"], found)
            if best is None or replaces(score, best):
                passed = features if model.features == "train" else None
                best, kept = score, (epoch, *found.get(model.features, (passed, None)))
                if epoch < model.epochs - 1 and model.selection != "last":
                    state = copy.deepcopy(self.network.state_dict())
        epoch, features, labels = kept
        if epoch < model.epochs - 1:
            self.network.load_state_dict(state)
        self.network.eval()
        if features is None:
            features = self._eval_features()
        if labels is None:
            labels = self._cluster(features, epoch, model.init, model.n_init)
        return Trained(
            self.network,
            features.cpu().numpy(),
            labels,
            epoch,
            {name: np.asarray(values) for name, values in history.items()},
        )

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

    def _epoch(self, epoch: int, passing: bool) -> tuple[dict[str, float], torch.Tensor | None]:
        self.network.train()
        device = self.aligned.device
        totals = torch.zeros(len(PARTS) + 1, device=device)
        thresholds, features = 0.0, None
        if passing:
            width = self.model.embedding_dim * len(self.Xs)
            features = torch.empty(self.n_samples, width, device=device)
        parts = batches(self.n_samples, self.model.batch_size, self.generator)
        for rows in parts:
            flags = self.aligned[rows]
            step = objective_step(
                self.network,
                [X[rows] for X in self.Xs],
                flags,
                self.objective,
                self.threshold,
                passing,
                self.model.precision,
            )
            self.optimizer.zero_grad(set_to_none=True)
            step.loss.backward()
            self.optimizer.step()
            self.threshold = step.threshold
            if passing:
                features[rows] = step.features
            share = len(flags) / self.n_samples
            missing = step.loss.new_tensor(np.nan)
            values = [step.loss.detach(), *(step.parts.get(part, missing) for part in PARTS)]
            totals += share * torch.stack(values)
            thresholds += share * step.threshold
        means = dict(zip(("loss", *PARTS), totals.tolist(), strict=True))
        if not np.isfinite(means["loss"]):
            raise FloatingPointError(
                f"the loss is {means['loss']} in epoch {epoch}: lower learning_rate "
                f"({self.model.learning_rate}) or check the scale of the views"
            )
        return means | {"threshold": thresholds}, features

    @torch.no_grad()
    def _eval_features(self) -> torch.Tensor:
        self.network.eval()
        Zs, Hs = embed_rows(self.network, self.Xs, self.model.precision)
        size = self.model._graph_rows(self.n_samples)
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


@torch.no_grad()
def embed_rows(
    network: SMARTNetwork,
    Xs: Sequence[torch.Tensor],
    precision: str = "float32",
    block_rows: int = 8192,
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Return embeddings Z and projections H of all rows, in blocks of rows.

    Parameters
    ----------
    network : SMARTNetwork
        In evaluation mode, so that the blocks do not matter.
    Xs : sequence of Tensor, each (n_samples, n_features_v)
        The views.
    precision : {"float32", "bfloat16"}, default="float32"
        Of the matrix products.
    block_rows : int, default=8192
        Rows at a time.

    Returns
    -------
    Zs, Hs : list of Tensor, each (n_samples, embedding_dim)
        Float32, a tensor a view.
    """
    blocks = []
    with autocast(Xs[0].device, precision):
        for start in range(0, len(Xs[0]), block_rows):
            Zs, Hs = network.embed([X[start : start + block_rows] for X in Xs])
            blocks.append((*Zs, *Hs))
    tensors = [torch.cat(column) for column in zip(*blocks, strict=True)]
    return tensors[: len(Xs)], tensors[len(Xs) :]
