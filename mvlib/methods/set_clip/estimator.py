"""Set-CLIP as an estimator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import nn

from mvlib._validation import check_choice
from mvlib.methods.alignment_frame import AlignmentMethod
from mvlib.methods.set_clip.checks import by_modality, check_parameters, check_raw
from mvlib.methods.set_clip.contrast import TEMPERATURE
from mvlib.methods.set_clip.discrepancy import ONE_BANDWIDTH
from mvlib.methods.set_clip.network import Augmentation
from mvlib.methods.set_clip.semantic_density import BANDWIDTH
from mvlib.methods.set_clip.settings import PAPER_SETTINGS
from mvlib.methods.set_clip.trainer import Trainer, embed
from mvlib.ops.device import resolve_device


class SetCLIP(AlignmentMethod):
    """Semi-supervised alignment of two modalities by matching their distributions.

    A projection head a modality into one space of unit vectors. Known pairs are contrasted
    with all rows of their batch (CLIP's loss); the rows of a batch as two sets are drawn
    together by a loss of their densities (SDD) and by the MMD; inside each modality two
    views of a sample are told from all other samples. No pair is needed.

    Parameters
    ----------
    n_clusters : int, optional
        Number of clusters in the shared space. None: `fit` makes none.
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
    device : str, default="auto"
        "auto" takes a GPU if there is one.
    random_state : int, optional
        Seed of first weights, batches, dropout, views and k-means.

    Attributes
    ----------
    embedding_ : ndarray of shape (n_first, embedding_dim), float32
        Unit vectors of the first modality.
    embeddings_ : list of two ndarrays
        Of both.
    labels_ : ndarray of shape (n_first,), int64
        Clusters of the first modality, from cosine k-means (the best of ten starts) of the
        rows of both together; only with `n_clusters`.
    labels_by_modality_ : list of two ndarrays
        Of both.
    history_ : dict of str to ndarray
        A value an epoch: "loss", "contrast_1", "contrast_2", "sdd", "mmd", "clip" and
        "pseudo_label" without their weights, means over batches, NaN where one has no weight
        or no pair; and "learning_rate" of the heads.
    branches_ : ModuleList
        Encoder, scale and head of each modality, in evaluation mode.

    Notes
    -----
    Source: arXiv 2406.05766 and the authors' code, of which only the part for images and
    texts is public. L = w_1 L_contrast1 + w_2 L_contrast2 + w_sdd L_sdd + w_mmd L_mmd +
    w_clip L_clip, the last three on the first views.

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
    >>> model = SetCLIP(10, random_state=0).fit(problem.Xs, paired=problem.aligned)
    >>> rows, cosines = model.retrieve(problem.Xs[0][:5], problem.Xs[1], k=10)
    """

    def __init__(
        self,
        n_clusters: int | None = None,
        *,
        weights: Mapping[str, float] | None = None,
        heads: str | nn.Module | Sequence[str | nn.Module] = "residual",
        encoders: nn.Module | Sequence[nn.Module | None] | None = None,
        sampling: str = "independent",
        reshuffle: bool = True,
        pairs_per_batch: int | None = None,
        batch_size: int = 64,
        n_epochs: int = 32,
        embedding_dim: int = 256,
        dropout: float = 0.1,
        augmentation: Augmentation | Sequence[Augmentation] = "dropout",
        augmentation_strength: float = 0.3,
        temperature: float = TEMPERATURE,
        density_bandwidth: float = BANDWIDTH,
        normalized_density: bool = False,
        mmd_bandwidths: float | Sequence[float] | str = ONE_BANDWIDTH,
        learning_rate: float = 1e-3,
        encoder_learning_rate: float = 1e-5,
        weight_decay: float = 1e-3,
        patience: int = 5,
        factor: float = 0.8,
        plateau: str = "epoch",
        device: str = "auto",
        random_state: int | None = None,
    ):
        self.n_clusters = n_clusters
        self.weights = weights
        self.heads = heads
        self.encoders = encoders
        self.sampling = sampling
        self.reshuffle = reshuffle
        self.pairs_per_batch = pairs_per_batch
        self.batch_size = batch_size
        self.n_epochs = n_epochs
        self.embedding_dim = embedding_dim
        self.dropout = dropout
        self.augmentation = augmentation
        self.augmentation_strength = augmentation_strength
        self.temperature = temperature
        self.density_bandwidth = density_bandwidth
        self.normalized_density = normalized_density
        self.mmd_bandwidths = mmd_bandwidths
        self.learning_rate = learning_rate
        self.encoder_learning_rate = encoder_learning_rate
        self.weight_decay = weight_decay
        self.patience = patience
        self.factor = factor
        self.plateau = plateau
        self.device = device
        self.random_state = random_state

    @staticmethod
    def paper_settings(backbone: str = "vit") -> dict[str, Any]:
        """Return the settings of the authors' code for an image encoder.

        Parameters
        ----------
        backbone : {"vit", "resnet-34"}, default="vit"
            Theirs differ in the weights and in the pairs of a batch.

        Returns
        -------
        dict
            Keyword arguments of `SetCLIP`. Sampling is left at its default, which is not the
            authors': they sample "same_instances" with `reshuffle=False`, and have
            `plateau="last_batch"` and `n_epochs=30`.

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

        Parameters
        ----------
        n_clusters : int, optional
            Number of clusters.
        **parameters
            Further ones of `SetCLIP`. An epoch has as many steps as there, all on batches of
            pairs.
        """
        size = parameters.get("batch_size", 64)
        fixed = {"weights": {"clip": 1.0}, "pairs_per_batch": size}
        return cls(n_clusters, **(fixed | parameters))

    @classmethod
    def s_clip(cls, n_clusters: int | None = None, **parameters: Any) -> SetCLIP:
        """Return S-CLIP's idea in the same frame: captions for images that have none.

        Parameters
        ----------
        n_clusters : int, optional
            Number of clusters.
        **parameters
            Further ones of `SetCLIP`.

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

    def _fit(self, views: list[np.ndarray], pairs: np.ndarray) -> None:
        self.branches_, self.history_ = Trainer(self, views, pairs).run()

    def _embed(self, X: np.ndarray, modality: int) -> np.ndarray:
        return embed(self.branches_[modality], X, resolve_device(self.device))

    def _check_parameters(self) -> None:
        check_parameters(self)

    def _rows(self, X: Any, v: int) -> np.ndarray:
        if by_modality("encoders", self.encoders)[v] is None:
            return super()._rows(X, v)
        return check_raw(X, f"Xs[{v}]")
