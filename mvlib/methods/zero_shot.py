"""Classification by class names: what words can do when the right ones are given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mvlib.data import PROMPTS
from mvlib.encoders import Encoder
from mvlib.methods.image_clustering import ImageClustering
from mvlib.methods.semantic_inputs import (
    check_same_space,
    image_features,
    text_bank,
)
from mvlib.ops.rows import unit_rows


class ZeroShot(ImageClustering):
    """The class name nearest to each image: an upper reference, not a clustering.

    Parameters
    ----------
    encoder : Encoder or str, optional
        For raw images and class names; a name goes to `mvlib.encoders.load`.
    prompts : sequence of str, optional
        Templates for class names given as strings; by default `mvlib.data.PROMPTS`.
    precision : {"float32", "float16"}, default="float32"
        "float16" rounds all features to half precision.
    device : str, default="auto"
        Where an encoder that is named here runs.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int64
        Row of `texts` nearest to each image, by cosine.
    embedding_ : ndarray of shape (n_samples, n_classes), float32
        The cosines.
    history_ : dict
        Empty: nothing is iterated.

    Notes
    -----
    A class name's embedding is the plain mean over the templates, not normalised before, as
    TAC does for nouns; CLIP's own recipe normalises each first.
    """

    def __init__(
        self,
        *,
        encoder: Encoder | str | None = None,
        prompts: Sequence[str] | None = None,
        precision: str = "float32",
        device: str = "auto",
    ):
        self.encoder = encoder
        self.prompts = prompts
        self.precision = precision
        self.device = device

    def fit(self, images: Any, texts: Any = None, train_images: Any = None) -> ZeroShot:
        """Name each image.

        Parameters
        ----------
        images : array-like of shape (n_samples, n_features), or raw images
            What to name.
        texts : TextBank, list of str, or array-like of shape (n_classes, n_features)
            The class names.
        train_images
            Not read.

        Returns
        -------
        ZeroShot
            Itself, fitted.

        Raises
        ------
        ValueError
            On NaN, infinity, no images or class names, widths that differ, or raw inputs
            without an encoder.
        """
        encoder = self._encoder()
        X = image_features("images", images, encoder, self.precision)
        prompts = PROMPTS if self.prompts is None else self.prompts
        bank = text_bank("texts", texts, encoder, prompts, self.precision)
        check_same_space(images=X, texts=bank.features)
        self.embedding_ = unit_rows(X) @ unit_rows(bank.features).T
        self.labels_ = self.embedding_.argmax(axis=1)
        self.history_ = {}
        return self
