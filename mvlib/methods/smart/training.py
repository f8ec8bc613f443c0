"""SMART's training, and which of its epochs is kept."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from mvlib.methods.smart.equations import FLOOR, clustering_features, objective_step
from mvlib.methods.smart.network import SMARTNetwork, embed_rows
from mvlib.methods.training import batches, seeded, train
from mvlib.ops.adam import Adam
from mvlib.ops.contingency import contingency_table, matched_accuracy
from mvlib.ops.device import fast_products
from mvlib.ops.kmeans import cosine_kmeans

if TYPE_CHECKING:
    from mvlib.methods.smart.estimator import SMART

PARTS = ("reconstruction", "distribution_alignment", "semantic_matching")


def replaces(scores: Mapping[str, float], best: Mapping[str, float]) -> bool:
    """Return whether a later epoch takes the place of the best so far.

    As in the authors' code, of an equal "acc" it does if its "nmi" or its "ari" is not lower;
    these are left out where no labels are read.
    """
    if scores["acc"] != best["acc"]:
        return scores["acc"] > best["acc"]
    return any(scores[name] >= best[name] for name in ("nmi", "ari") if name in scores)


class Training:
    """One training of a SMART estimator, whose parameters it reads and never writes.

    After `run` it holds what the selection rule keeps: network and epoch.
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
            shape = model.hidden_dims, model.embedding_dim, model.weight_init
            network = SMARTNetwork([X.shape[1] for X in Xs], *shape)
        self.network = network.to(aligned.device)
        self.threshold: float = FLOOR
        self.thresholds = 0.0
        self.best: dict[str, float] | None = None
        self.epoch = -1
        self.state: dict[str, Any] | None = None
        self.passed: torch.Tensor | None = None
        self.features: torch.Tensor | None = None
        self.labels: np.ndarray | None = None
        if "train" in model.track or model.features == "train":
            width = model.embedding_dim * len(Xs)
            self.passed = torch.empty(len(aligned), width, device=aligned.device)

    def run(self) -> tuple[dict[str, np.ndarray], torch.Tensor, np.ndarray]:
        """Train for all epochs; return the history, and features and labels of the best."""
        model, n = self.model, len(self.aligned)
        optimizer = Adam(
            self.network.parameters(),
            lr=model.learning_rate,
            weight_decay=model.weight_decay,
            fused=True,
        )
        with fast_products(self.aligned.device, model.precision):
            history = train(
                model,
                lambda: batches(n, model.batch_size, self.generator),
                self._step,
                self.network,
                optimizer,
                parts=PARTS,
                share=lambda rows: len(self.aligned[rows]) / n,
                after_epoch=self._after_epoch,
            )
        if self.state is not None:
            self.network.load_state_dict(self.state)
        self.network.eval()
        features, labels = self.features, self.labels
        if features is None:
            features = self._eval_features()
        if labels is None:
            labels = self._cluster(features, self.epoch, model.init, model.n_init)
        return history, features, labels

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
        if self.passed is not None and step.features is not None:
            self.passed[rows] = step.features
        return {"loss": step.loss, **step.parts}

    def _after_epoch(self, epoch: int, means: dict[str, float]) -> dict[str, Any]:
        model = self.model
        recorded: dict[str, Any] = {"threshold": self.thresholds}
        self.thresholds = 0.0
        wanted = set(model.track) | ({model.features} if model.selection == "oracle" else set())
        found: dict[str, tuple[torch.Tensor, np.ndarray]] = {}
        for mode in sorted(wanted):
            passed = self.passed if mode == "train" else None
            X = self._eval_features() if passed is None else passed
            found[mode] = X, self._cluster(X, epoch, model.init, model.n_init)
        for mode in model.track:
            X, labels = found[mode]
            recorded[f"labels_{mode}"] = labels
            for init, n_init in model.track_starts:
                recorded[f"labels_{mode}_{init}_{n_init}"] = self._cluster(
                    X, epoch, init, n_init
                )
        score = self._score(epoch, means["loss"], found)
        if self.best is None or replaces(score, self.best):
            self.best, self.epoch = score, epoch
            passed = self.passed if model.features == "train" else None
            features: torch.Tensor | None
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
        # Without labels the estimator has refused this selection.
        assert self.targets is not None
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
