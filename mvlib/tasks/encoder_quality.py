"""What the offline encoder can do on drawings held out, by how its towers are joined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mvlib import data, encoders
from mvlib.check import check_number, check_views
from mvlib.encoders.heads import imagenet_ridge_map
from mvlib.methods import CLIPKMeans, ZeroShot
from mvlib.metrics import clustering_scores
from mvlib.ops import top_k, unit_rows
from mvlib.records.recorder import Recorder

if TYPE_CHECKING:
    from mvlib.data import ImageDataset
    from mvlib.encoders import Heads
    from mvlib.encoders.offline import OfflineEncoder


def ridge_encoder(base: OfflineEncoder, images: np.ndarray) -> OfflineEncoder:
    """Return the offline encoder with its towers joined by ridge regression instead.

    Parameters
    ----------
    base : OfflineEncoder
        Whose towers are taken.
    images : ndarray of shape (n_samples, 1280)
        Features of the image tower; theirs is the mean that images are centred on.

    Returns
    -------
    OfflineEncoder
        Its space is the image tower's own, of 1280 dimensions.
    """
    from mvlib.encoders import Heads

    fitted = imagenet_ridge_map()
    heads = Heads(
        image_weight=np.eye(images.shape[1], dtype=np.float32),
        image_bias=-images.mean(axis=0, dtype=np.float64).astype(np.float32),
        text_weight=np.ascontiguousarray(fitted.weight.T),
        text_bias=-(fitted.center @ fitted.weight),
        temperature=1.0,
    )
    joined = base.with_heads(heads)
    joined.name = "ridge"
    return joined


def retrieval_recall(images: np.ndarray, texts: np.ndarray, k: int = 10) -> float:
    """Return the share of images whose own text is among the `k` nearest, by cosine.

    Parameters
    ----------
    images, texts : array-like of shape (n_samples, dim)
        Row i of the texts belongs to image i.
    k : int, default=10
        How many texts an image may name.

    Returns
    -------
    float
        From 0 to 1; k / n_samples by chance.

    Raises
    ------
    ValueError
        If there are fewer texts than `k`, or the two differ in shape or are not finite.
    """
    images, texts = check_views([images, texts], argument="images and texts")
    check_number("k", k, low=1, high=len(texts), integer=True)
    _, nearest = top_k(unit_rows(images), unit_rows(texts), k)
    return float((nearest == np.arange(len(images))[:, None]).any(axis=1).mean())


def encoder_quality(recorder: Recorder, heads: Heads, seeds: Sequence[int]) -> None:
    """Record what each way to join the towers gives on the drawings held out.

    Parameters
    ----------
    recorder : Recorder
        Takes k-means once a seed and zero-shot, by `encoder`; with zero-shot, for those that
        have one, the measure `recall_at_10`: the own caption among all captions.
    heads : Heads
        Beside those that ship.
    seeds : sequence of int
        Of k-means.
    """
    base = encoders.load("offline")
    images = data.load_images("openclipart")
    tower = base.image_tower(images.images)
    _record_kmeans(recorder, "image tower alone", tower, images, seeds)
    joined = {
        "heads trained here": base.with_heads(heads),
        "heads that ship": base,
        "ridge map": ridge_encoder(base, tower),
    }
    names = [[prompt.format(name) for name in images.class_names] for prompt in data.PROMPTS]
    for kind, encoder in joined.items():
        features = encoder.project_images(tower)
        _record_kmeans(recorder, kind, features, images, seeds)
        classes = np.mean([encoder.encode_texts(texts) for texts in names], axis=0)
        found = ZeroShot().fit(features, classes)
        recall = retrieval_recall(features, encoder.encode_texts(images.captions))
        recorder.add(
            "zero-shot",
            images.name,
            parameters={"encoder": kind},
            metrics={"last": clustering_scores(images.y, found.labels_)},
            measures={"recall_at_10": recall},
        )


def _record_kmeans(
    recorder: Recorder,
    kind: str,
    features: np.ndarray,
    images: ImageDataset,
    seeds: Sequence[int],
) -> None:
    for seed in seeds:
        model = CLIPKMeans(len(images.class_names), random_state=seed).fit(features)
        recorder.add(
            "k-means",
            images.name,
            seed=seed,
            parameters={"encoder": kind},
            metrics={"last": clustering_scores(images.y, model.labels_)},
        )
