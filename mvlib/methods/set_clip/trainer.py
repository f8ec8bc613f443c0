"""Set-CLIP's training loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from mvlib.methods.set_clip.checks import by_modality, objective
from mvlib.methods.set_clip.network import Branch
from mvlib.methods.set_clip.objective import PARTS
from mvlib.methods.set_clip.sampling import Batch, draw_epoch, plan_batches
from mvlib.ops.device import resolve_device

if TYPE_CHECKING:
    from mvlib.methods.set_clip.estimator import SetCLIP


class Trainer:
    """One training run of a SetCLIP estimator, whose parameters it reads and never writes.

    Parameters
    ----------
    model : SetCLIP
        The parameters, already checked.
    views : sequence of two ndarrays, each (n_samples, ...)
        The modalities.
    pairs : ndarray of shape (n_pairs, 2), int64
        Known pairs.
    """

    def __init__(self, model: SetCLIP, views: Sequence[np.ndarray], pairs: np.ndarray):
        self.model = model
        self.objective = objective(model)
        self.plan = plan_batches(
            (len(views[0]), len(views[1])),
            pairs,
            model.batch_size,
            model.pairs_per_batch,
            model.sampling,
        )
        self.device = resolve_device(model.device)
        self.seed = (
            int(np.random.SeedSequence().generate_state(1)[0])
            if model.random_state is None
            else model.random_state
        )
        self.generator = torch.Generator().manual_seed(self.seed)
        self.encoders = by_modality("encoders", model.encoders)
        # Raw input, which may be large, goes to the device a batch at a time.
        self.views = [
            torch.from_numpy(view).to(self.device if encoder is None else "cpu")
            for view, encoder in zip(views, self.encoders, strict=True)
        ]
        self.augmentations = by_modality("augmentation", model.augmentation)

    def run(self) -> tuple[nn.ModuleList, dict[str, np.ndarray]]:
        """Train for all epochs; return the branches in evaluation mode and the history."""
        model = self.model
        forked = [self.device] if self.device.type == "cuda" else []
        # First weights and dropout come from torch's global generators: leave them as they
        # were.
        with torch.random.fork_rng(devices=forked):
            torch.manual_seed(self.seed)
            branches = self._branches().to(self.device)
            optimizer = torch.optim.Adam(
                self._groups(branches),
                lr=model.learning_rate,
                weight_decay=model.weight_decay,
                fused=True,
            )
            schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
                optimizer, patience=model.patience, factor=model.factor
            )
            history: dict[str, list] = {name: [] for name in ("loss", *PARTS, "learning_rate")}
            batches = None
            for epoch in tqdm(
                range(model.n_epochs), desc="Set-CLIP", disable=None, leave=False
            ):
                if batches is None or model.reshuffle:
                    batches = draw_epoch(self.plan, self.generator)
                history["learning_rate"].append(optimizer.param_groups[-1]["lr"])
                means, last = self._epoch(branches, optimizer, batches, epoch)
                for name, value in means.items():
                    history[name].append(value)
                schedule.step(last if model.plateau == "last_batch" else means["loss"])
        return branches.eval(), {name: np.asarray(v) for name, v in history.items()}

    def _branches(self) -> nn.ModuleList:
        model = self.model
        heads = by_modality("heads", model.heads)
        return nn.ModuleList(
            Branch(encoder, view, head, model.embedding_dim, model.dropout)
            for encoder, view, head in zip(self.encoders, self.views, heads, strict=True)
        )

    def _groups(self, branches: nn.ModuleList) -> list[dict]:
        encoders = [
            p for b in branches if b.encoder is not None for p in b.encoder.parameters()
        ]
        heads = [p for b in branches for p in b.head.parameters()]
        groups = [{"params": encoders, "lr": self.model.encoder_learning_rate}]
        return (groups if encoders else []) + [{"params": heads}]

    def _epoch(
        self,
        branches: nn.ModuleList,
        optimizer: torch.optim.Optimizer,
        batches: Sequence[Batch],
        epoch: int,
    ) -> tuple[dict[str, float], float]:
        branches.train()
        totals = torch.zeros(1 + len(PARTS), device=self.device)
        for batch in batches:
            losses = self._losses(branches, batch)
            loss = self.objective.total(losses)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            missing = torch.full_like(totals[0], torch.nan)
            values = [loss, *(losses.get(part, missing) for part in PARTS)]
            totals += torch.stack([value.detach().to(totals.dtype) for value in values])
        means = dict(zip(("loss", *PARTS), (totals / len(batches)).tolist(), strict=True))
        if not np.isfinite(means["loss"]):
            raise FloatingPointError(
                f"the loss is {means['loss']} in epoch {epoch}: lower learning_rate "
                f"({self.model.learning_rate}) or check the scale of the modalities"
            )
        return means, loss.item()

    def _losses(self, branches: nn.ModuleList, batch: Batch) -> dict[str, torch.Tensor]:
        embedded, others = [], []
        for v, (branch, rows) in enumerate(zip(branches, batch, strict=True)):
            view = self.views[v]
            X = view[rows.to(view.device)].to(self.device)
            if self.objective.weights[PARTS[v]]:
                Z, other = branch.two_views(
                    X, self.augmentations[v], self.model.augmentation_strength, self.generator
                )
            else:
                Z, other = branch(X), None
            embedded.append(Z)
            others.append(other)
        if embedded[0].shape[1] != embedded[1].shape[1]:
            raise ValueError(
                f"heads give {embedded[0].shape[1]} and {embedded[1].shape[1]} dimensions: "
                "expected one width"
            )
        return self.objective.losses(*embedded, (others[0], others[1]), self.plan.n_paired)


@torch.no_grad()
def embed(
    branch: Branch, rows: np.ndarray, device: torch.device, block_rows: int = 1024
) -> np.ndarray:
    """Return the embeddings of any rows of one modality, in blocks.

    Parameters
    ----------
    branch : Branch
        In evaluation mode, so that the blocks do not matter.
    rows : ndarray of shape (n_samples, ...)
        Raw rows.
    device : torch.device
        Where the branch is.
    block_rows : int, default=1024
        Rows at a time.

    Returns
    -------
    ndarray of shape (n_samples, embedding_dim), float32
        Of unit length.
    """
    blocks = torch.from_numpy(rows).split(block_rows)
    return torch.cat([branch(block.to(device)).cpu() for block in blocks]).numpy()
