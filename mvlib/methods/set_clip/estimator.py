"""Set-CLIP as an estimator: its settings, its batches, its training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import nn

from mvlib.check import check_choice, check_number, choice, optional, real, whole
from mvlib.methods import training
from mvlib.methods.modalities import ModalityAlignment
from mvlib.methods.set_clip.batches import SAMPLINGS, Batch, Batches
from mvlib.methods.set_clip.equations import (
    BANDWIDTH,
    NINETEEN_BANDWIDTHS,
    ONE_BANDWIDTH,
    PARTS,
    TEMPERATURE,
    Objective,
)
from mvlib.methods.set_clip.network import AUGMENTATIONS, HEADS, Augmentation, Branch, raw_rows
from mvlib.ops.adam import Adam
from mvlib.ops.device import resolve_device

PLATEAUS = ("epoch", "last_batch")


def _settings(weights: tuple[float, ...], pairs_per_batch: int) -> Mapping[str, Any]:
    shared = {"batch_size": 64, "n_epochs": 32, "learning_rate": 1e-3}
    named = MappingProxyType(dict(zip(PARTS[:5], weights, strict=True)))
    return MappingProxyType({"weights": named, "pairs_per_batch": pairs_per_batch, **shared})


# As in the authors' code. Read-only, so that no caller changes another's settings.
PAPER_SETTINGS = MappingProxyType(
    {
        "vit": _settings((0.1, 0.1, 0.6, 0.1, 1.0), 21),
        "resnet-34": _settings((0.15, 0.15, 0.7, 0.2, 1.0), 22),
    }
)


@dataclass(eq=False, repr=False, kw_only=True)
class SetCLIP(ModalityAlignment):
    """Semi-supervised alignment of two modalities by matching their distributions.

    A projection head a modality into one space of unit vectors. Known pairs are contrasted
    with all rows of their batch (CLIP's loss); the rows of a batch as two sets are drawn
    together by a loss of their densities (SDD) and by the MMD; inside each modality two
    views of a sample are told from all other samples. No pair is needed.

    Parameters
    ----------
    weights : mapping of str to float, optional
        Of the losses "contrast_1", "contrast_2" (inside the first and second modality),
        "sdd", "mmd", "clip" and "pseudo_label" (S-CLIP's, not part of Set-CLIP); a name left
        out counts 0. By default the paper's for a ViT: 0.1, 0.1, 0.6, 0.1, 1, 0.
    heads : {"residual", "linear"} or Module, or a pair of them, default="residual"
        "residual" is the paper's `ProjectionHead`; "linear" dropout and a linear map. Modules
        are copied; both must give one width.
    encoders : Module, or a pair of Module or None, optional
        Trained with the heads: map raw rows (n_samples, ...) to features. Copied, not
        changed. None: the rows are features of a frozen encoder.
    sampling : {"independent", "same_instances"}, default="independent"
        How the rows without a partner meet in a batch: drawn for each modality by itself, or
        as in the authors' code the same row numbers in both, so that a batch matches a set
        of images with the set of their own captions. The latter knows the partners by sets,
        whatever the number of pairs: no result of it is one of unpaired data.
    reshuffle : bool, default=True
        Whether each epoch draws new batches. The authors' loader gives the same batches in
        every epoch.
    pairs_per_batch : int, optional
        Pairs in a batch; with `batch_size` or more, batches hold nothing else. By default in
        proportion to the pairs' share of the larger modality, at least two.
    batch_size : int, default=64
        Rows of each modality in a batch.
    n_epochs : int, default=32
        Epochs of as many batches as the larger modality fills.
    embedding_dim : int, default=256
        Width of the shared space.
    dropout : float, default=0.1
        In the heads.
    augmentation : {"dropout", "noise", "none"} or callable, or a pair, default="dropout"
        The second view: a share of the features left out; noise on them; nothing but the
        network's own dropout. A callable maps raw rows and a generator to raw rows.
    augmentation_strength : float, default=0.3
        The share left out, or the noise as a multiple of the features' deviation.
    temperature : float, default=0.05
        Of all contrasts.
    density_bandwidth : float, default=0.5
        h of the densities.
    normalized_density : bool, default=False
        SDD's normalised variant instead of the one of the authors' code; it is much smaller,
        so give it a larger weight.
    mmd_bandwidths : float, sequence of float or "nineteen", default=(1.0,)
        Of the MMD's kernels.
    learning_rate, encoder_learning_rate : float, default=1e-3, 1e-5
        Of Adam, for the heads and for the encoders.
    weight_decay : float, default=1e-3
        Of Adam (added to the gradient, not AdamW's).
    patience, factor : int, float, default=5, 0.8
        The rates are multiplied by `factor` after `patience` epochs without a lower loss.
    plateau : {"epoch", "last_batch"}, default="epoch"
        Which loss that is: the mean of an epoch, or as in the authors' code that of its last
        batch alone.

    Attributes
    ----------
    history_ : dict of str to ndarray
        A value an epoch: "loss", "contrast_1", "contrast_2", "sdd", "mmd", "clip" and
        "pseudo_label" without their weights, means over batches, NaN where one has no weight
        or no pair; and "learning_rate" of the heads.
    branches_ : ModuleList
        Encoder, scale and head of each modality, in evaluation mode.

    Notes
    -----
    *Use it* where the rows of two modalities have few known partners, or none; without a pair
    only the shapes of the two sets say which parts belong together. The scale of a modality
    changes nothing. *Cost*: an epoch has as many steps as the larger modality fills batches,
    each of batch_size squared; by default 5,024 steps in all for 10,000 rows. *Beside it*:
    `CCA` and `Procrustes` where there are pairs, `GromovWasserstein` where there is none,
    `Chance`, and `SetCLIP.clip_only`, which learns from the pairs alone.

    Source: arXiv 2406.05766 and the authors' code, of which only the part for images and
    texts is public. The losses and their sum are those of `mvlib.methods.set_clip.Objective`.

    *Deviations*. The authors train the encoders; here features are frozen by default, and
    centred and divided by their root mean square first. Their first view of an image is the
    image, their second SimCLR's transform of it, applied to the normalised picture through
    8-bit integers, where negative values wrap, and not normalised again; texts pass BERT
    twice under dropout 0.3. Of frozen features neither can be had: the first view is the
    features, the second lacks a share of 0.3 of them, in both modalities, and dropout is in
    the heads alone.

    Their batches are fixed blocks of 64 rows of the file (235 of them, 15,040 rows; what does
    not fill a batch is dropped, and seen here), of which the first 21 (ViT) or 22 (ResNet-34)
    are the pairs, the same in every epoch: `reshuffle=False`. Their schedule follows the last
    batch: `plateau="last_batch"`. They keep the network of epoch 30 of 32: `n_epochs=30`.
    On HandWritten (1,400 rows, a tenth paired, 600 others scored, one split, five seeds; R@1
    in per cent, mean of both directions) the defaults give 69.5 ± 1.0; the fixed batches 56.6
    ± 1.6, the last batch's loss 69.6 ± 0.7, 30 epochs 69.2 ± 0.4, all three 56.9 ± 1.5. What
    the dropped rows are worth was not measured.

    They score in batches of 50, and pass the test images through the random transform as
    well; `mvlib.metrics.retrieval_scores` ranks all rows at once, of features as they are.
    What that is worth was not measured.

    Examples
    --------
    >>> from mvlib import SetCLIP, data
    >>> digits = data.load("handwritten")
    >>> problem = data.partially_align(data.min_max_scale(digits.Xs), digits.y, ratio=0.1)
    >>> model = SetCLIP(random_state=0, n_epochs=1)  # of 32, to be quick
    >>> model = model.fit(problem.Xs, paired=problem.aligned)
    >>> rows, cosines = model.retrieve(problem.Xs[0][:5], problem.Xs[1], k=10)
    >>> rows.shape
    (5, 10)
    """

    weights: Mapping[str, float] | None = None
    heads: str | nn.Module | Sequence[str | nn.Module] = "residual"
    encoders: nn.Module | Sequence[nn.Module | None] | None = None
    sampling: str = "independent"
    reshuffle: bool = True
    pairs_per_batch: int | None = None
    batch_size: int = 64
    n_epochs: int = 32
    embedding_dim: int = 256
    dropout: float = 0.1
    augmentation: Augmentation | Sequence[Augmentation] = "dropout"
    augmentation_strength: float = 0.3
    temperature: float = TEMPERATURE
    density_bandwidth: float = BANDWIDTH
    normalized_density: bool = False
    mmd_bandwidths: float | Sequence[float] | str = ONE_BANDWIDTH
    learning_rate: float = 1e-3
    encoder_learning_rate: float = 1e-5
    weight_decay: float = 1e-3
    patience: int = 5
    factor: float = 0.8
    plateau: str = "epoch"
    verbose: bool | None = None
    device: str = "auto"

    _bounds = {
        "batch_size": whole(4),
        **dict.fromkeys(("n_epochs", "embedding_dim"), whole()),
        "patience": whole(0),
        "pairs_per_batch": optional(whole()),
        **dict.fromkeys(
            ("temperature", "learning_rate", "encoder_learning_rate", "density_bandwidth"),
            real(0, open_low=True),
        ),
        **dict.fromkeys(("weight_decay", "augmentation_strength"), real(0)),
        "factor": real(0, 1, open_low=True),
        "dropout": real(0, 0.99),
        "sampling": choice(SAMPLINGS),
        "plateau": choice(PLATEAUS),
    }
    _network_name = "branches_"

    @staticmethod
    def paper_settings(backbone: str = "vit") -> dict[str, Any]:
        """Return the settings of the authors' code for an image encoder, as keyword arguments.

        Parameters
        ----------
        backbone : {"vit", "resnet-34"}, default="vit"
            Theirs differ in the weights and in the pairs of a batch.

        Returns
        -------
        dict
            Without sampling, whose default is not the authors': they sample "same_instances"
            with `reshuffle=False`, and have `plateau="last_batch"` and `n_epochs=30`.

        Raises
        ------
        ValueError
            If the authors used no such encoder.
        """
        found = dict(PAPER_SETTINGS[check_choice("backbone", backbone, PAPER_SETTINGS)])
        return found | {"weights": dict(found["weights"])}

    @classmethod
    def clip_only(cls, n_clusters: int | None = None, **parameters: Any) -> SetCLIP:
        """Return the floor that learns from the pairs alone, by CLIP's loss.

        An epoch has as many steps as that of `SetCLIP`, whose parameters are taken, all on
        batches of pairs.
        """
        size = parameters.get("batch_size", 64)
        fixed = {"weights": {"clip": 1.0}, "pairs_per_batch": size}
        return cls(n_clusters, **(fixed | parameters))

    @classmethod
    def s_clip(cls, n_clusters: int | None = None, **parameters: Any) -> SetCLIP:
        """Return S-CLIP's idea in the same frame: captions for images that have none.

        The parameters are those of `SetCLIP`.

        Notes
        -----
        Source: arXiv 2305.14095 and its code; see `pseudo_label_loss`. *Deviations*. Its
        keyword-level labels are left out: they need the captions' words, not features. S-CLIP
        fine-tunes CLIP at a learnt temperature, with ten steps of warm-up and weight decay
        0.2, on batches of 32 pairs and 32 other images on each of four GPUs; here heads start
        at random, tau is fixed, and batches are divided as `pairs_per_batch` says. What these
        are worth was not measured.
        Rows of the second modality without a partner, which S-CLIP has none of, are further
        negatives of its supervised loss.
        """
        return cls(n_clusters, **({"weights": {"clip": 1.0, "pseudo_label": 1.0}} | parameters))

    def _fit(self, views: list[np.ndarray], pairs: np.ndarray, seed: int) -> None:
        device = resolve_device(self.device)
        # Raw input, which may be large, goes to the device a batch at a time.
        tensors = [
            torch.from_numpy(view).to(device if encoder is None else "cpu")
            for view, encoder in zip(views, by_modality("encoders", self.encoders), strict=True)
        ]
        objective = self._objective()
        if not len(pairs) and not any(objective.weights[part] for part in PARTS[:4]):
            raise ValueError(
                f"pairs has no row and weights={self.weights} count only losses of pairs: give "
                f"pairs, or weigh one of {', '.join(PARTS[:4])}"
            )
        plan = Batches(
            (len(views[0]), len(views[1])),
            pairs,
            self.batch_size,
            self.pairs_per_batch,
            self.sampling,
        )
        drawn: list[Batch] = []
        last: dict[str, torch.Tensor] = {}
        with training.seeded(seed, device) as generator:
            branches = self._branches(tensors).to(device)
            optimizer = Adam(
                self._groups(branches),
                lr=self.learning_rate,
                weight_decay=self.weight_decay,
                fused=True,
            )
            schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
                optimizer, patience=self.patience, factor=self.factor
            )

            def batches() -> list[Batch]:
                if self.reshuffle or not drawn:
                    drawn[:] = plan.draw(generator)
                return drawn

            def step(batch: Batch) -> dict[str, torch.Tensor]:
                losses = self._losses(
                    branches, tensors, batch, objective, plan.n_paired, generator
                )
                last["loss"] = losses["loss"].detach()
                return losses

            def after_epoch(epoch: int, means: dict[str, float]) -> dict[str, float]:
                rate = optimizer.param_groups[-1]["lr"]
                of_last = self.plateau == "last_batch"
                schedule.step(last["loss"].item() if of_last else means["loss"])
                return {"learning_rate": rate}

            more: dict[str, Any] = {"parts": PARTS, "after_epoch": after_epoch}
            more["epochs"] = self.n_epochs
            self.history_ = training.train(self, batches, step, branches, optimizer, **more)
        self.branches_ = branches.eval()

    def _losses(
        self,
        branches: nn.ModuleList,
        views: list[torch.Tensor],
        batch: Batch,
        objective: Objective,
        n_paired: int,
        generator: torch.Generator,
    ) -> dict[str, torch.Tensor]:
        embedded, others = [], []
        augmentations = by_modality("augmentation", self.augmentation)
        branch: Any
        for v, (branch, rows) in enumerate(zip(branches, batch, strict=True)):
            X = views[v][rows.to(views[v].device)].to(branch.center.device)
            if objective.weights[PARTS[v]]:
                Z, other = branch.two_views(
                    X, augmentations[v], self.augmentation_strength, generator
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
        return objective(embedded[0], embedded[1], (others[0], others[1]), n_paired)

    def _branches(self, views: list[torch.Tensor]) -> nn.ModuleList:
        encoders, heads = (
            by_modality("encoders", self.encoders),
            by_modality("heads", self.heads),
        )
        return nn.ModuleList(
            Branch(encoder, view, head, self.embedding_dim, self.dropout)
            for encoder, view, head in zip(encoders, views, heads, strict=True)
        )

    def _groups(self, branches: Any) -> list[dict]:
        encoders = [
            p for b in branches if b.encoder is not None for p in b.encoder.parameters()
        ]
        heads = [p for b in branches for p in b.head.parameters()]
        groups = [{"params": encoders, "lr": self.encoder_learning_rate}]
        return (groups if encoders else []) + [{"params": heads}]

    @torch.no_grad()
    def _embed(self, X: np.ndarray, modality: int) -> np.ndarray:
        branch = self.branches_[modality]
        blocks = torch.from_numpy(X).split(1024)
        return torch.cat(
            [branch(part.to(branch.center.device)).cpu() for part in blocks]
        ).numpy()

    def _network(self) -> nn.ModuleList:
        # Centre and scale come with the weights.
        encoders = by_modality("encoders", self.encoders)
        return self._branches(
            [
                torch.eye(2, width)
                if encoder is None
                else torch.zeros(2, *np.atleast_1d(width))
                for width, encoder in zip(self.n_features_in_, encoders, strict=True)
            ]
        )

    def _rows(self, X: Any, v: int) -> np.ndarray:
        if by_modality("encoders", self.encoders)[v] is None:
            return super()._rows(X, v)
        return raw_rows(X, f"Xs[{v}]")

    def _check_parameters(self) -> None:
        super()._check_parameters()
        for head in by_modality("heads", self.heads):
            if not isinstance(head, nn.Module):
                check_choice("heads", head, HEADS)
        for augmentation in by_modality("augmentation", self.augmentation):
            if not callable(augmentation):
                check_choice("augmentation", augmentation, AUGMENTATIONS)
            if augmentation == "dropout":
                check_number("augmentation_strength", self.augmentation_strength, high=0.99)
        for encoder in by_modality("encoders", self.encoders):
            if encoder is not None and not isinstance(encoder, nn.Module):
                raise ValueError(f"encoders holds {encoder!r}: expected torch modules or None")

    def _objective(self) -> Objective:
        named = PAPER_SETTINGS["vit"]["weights"] if self.weights is None else self.weights
        if not isinstance(named, Mapping):
            raise ValueError(f"weights={named!r}: expected a mapping from {', '.join(PARTS)}")
        for name, weight in named.items():
            check_choice("weights", name, PARTS)
            check_number(f"weights[{name!r}]", weight, low=0)
        weights = {part: float(named.get(part, 0)) for part in PARTS}
        if not any(weights.values()):
            raise ValueError("weights has none above 0: expected a loss to minimise")
        widths = self.mmd_bandwidths
        if isinstance(widths, str):
            check_choice("mmd_bandwidths", widths, ("nineteen",))
            widths = NINETEEN_BANDWIDTHS
        widths = (widths,) if isinstance(widths, int | float) else tuple(widths)
        for width in widths:
            check_number("mmd_bandwidths", width, low=0, open_low=True)
        if not widths:
            raise ValueError("mmd_bandwidths is empty: expected at least one")
        return Objective(
            weights,
            self.temperature,
            self.density_bandwidth,
            bool(self.normalized_density),
            widths,
        )


def by_modality(argument: str, value: Any) -> tuple[Any, Any]:
    """Return a parameter as a pair, one entry a modality."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        if len(value) != 2:
            raise ValueError(f"{argument} has {len(value)} entries: expected one a modality")
        return value[0], value[1]
    return value, value
