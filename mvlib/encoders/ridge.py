"""Texts into the space of images by ridge regression on the names of ImageNet's classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mvlib.check import check_number, check_views


@dataclass(frozen=True, eq=False)
class RidgeMap:
    """A linear map of centred text features into the space of image features.

    Attributes
    ----------
    center : ndarray of shape (text_dim,), float32
        Mean of the text features it was fitted on.
    weight : ndarray of shape (text_dim, image_dim), float32
        Of the map.
    """

    center: np.ndarray
    weight: np.ndarray

    def project(self, text_features: np.ndarray) -> np.ndarray:
        """Return text features (n, text_dim) among images, float32 (n, image_dim).

        They compare by cosine with image features that are centred on their own mean.

        Raises
        ------
        ValueError
            If they are not finite or not of that width.
        """
        (features,) = check_views([text_features], argument="text_features")
        if features.shape[1] != len(self.center):
            raise ValueError(
                f"text_features has {features.shape[1]} features: expected {len(self.center)}"
            )
        return (features - self.center) @ self.weight


def ridge_map(
    text_features: np.ndarray, image_directions: np.ndarray, *, alpha: float = 10.0
) -> RidgeMap:
    """Fit the map that sends the name of a class to its direction among images.

    With X the centred text features and Y the directions, centred and brought to length 1,
    the weight is (X^T X + alpha I)^-1 X^T Y.

    Parameters
    ----------
    text_features : array-like of shape (n_classes, text_dim)
        Row i is the name of class i.
    image_directions : array-like of shape (n_classes, image_dim)
        Row i stands for class i among images, such as a classifier's row.
    alpha : float, default=10
        Weight of the penalty, above 0.

    Returns
    -------
    RidgeMap

    Raises
    ------
    ValueError
        If features are not finite, differ in length, or `alpha` is not above 0.
    """
    pair = [text_features, image_directions]
    texts, images = check_views(pair, dtype=np.float64, argument="features")
    check_number("alpha", alpha, low=0, open_low=True)
    center = texts.mean(axis=0)
    texts, images = texts - center, images - images.mean(axis=0)
    images /= np.maximum(np.linalg.norm(images, axis=1, keepdims=True), 1e-12)
    gram = texts.T @ texts + alpha * np.eye(texts.shape[1])
    weight = np.linalg.solve(gram, texts.T @ images)
    return RidgeMap(center.astype(np.float32), weight.astype(np.float32))


def imagenet_ridge_map(*, alpha: float = 10.0) -> RidgeMap:
    """Fit `ridge_map` on the 1000 classes that the offline image tower was trained with.

    Their names are read as "a photo of a {}."; their features ship with mvlib.

    Parameters
    ----------
    alpha : float, default=10
        Weight of the penalty, above 0.

    Returns
    -------
    RidgeMap
        From `OfflineEncoder.text_tower` to `OfflineEncoder.image_tower`.

    Raises
    ------
    FileNotFoundError, ValueError
        If the shipped file is missing or damaged, or `alpha` is not above 0.
    """
    from mvlib.encoders.shipped import training_features

    pairs = training_features()
    return ridge_map(pairs.class_text_features, pairs.class_image_features, alpha=alpha)
