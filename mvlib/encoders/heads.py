"""Two linear heads that bring frozen image and text features into one space."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mvlib.check import check_views
from mvlib.files import replacing

_ARRAYS = ("image_weight", "image_bias", "text_weight", "text_bias")


@dataclass(frozen=True, eq=False)
class Heads:
    """Affine maps of image and of text features to a joint space.

    Made by `mvlib.encoders.train_heads` or `Heads.load`.

    Attributes
    ----------
    image_weight : ndarray of shape (dim, image_dim), float32
        Of the image head.
    image_bias : ndarray of shape (dim,), float32
        Of the image head.
    text_weight : ndarray of shape (dim, text_dim), float32
        Of the text head.
    text_bias : ndarray of shape (dim,), float32
        Of the text head.
    temperature : float
        As learnt: what cosines were divided by in the loss.
    recipe : mapping of str to str
        How they were trained and on what.
    history : tuple of float
        Mean training loss of each epoch.
    """

    image_weight: np.ndarray
    image_bias: np.ndarray
    text_weight: np.ndarray
    text_bias: np.ndarray
    temperature: float
    recipe: Mapping[str, str] = field(default_factory=dict)
    history: tuple[float, ...] = ()

    @property
    def dim(self) -> int:
        """Number of features in the joint space."""
        return len(self.image_bias)

    @property
    def fingerprint(self) -> str:
        """The sha256 over the four arrays."""
        digest = hashlib.sha256()
        for name in _ARRAYS:
            array = getattr(self, name)
            digest.update(f"{name} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array, "<f4"))
        return digest.hexdigest()

    def project_images(self, features: np.ndarray) -> np.ndarray:
        """Return image features (n, image_dim) in the joint space, float32 (n, dim).

        Raises
        ------
        ValueError
            If they are not finite or not of that width.
        """
        return _affine(features, self.image_weight, self.image_bias)

    def project_texts(self, features: np.ndarray) -> np.ndarray:
        """Return text features (n, text_dim) in the joint space, float32 (n, dim).

        Raises
        ------
        ValueError
            If they are not finite or not of that width.
        """
        return _affine(features, self.text_weight, self.text_bias)

    def with_recipe(self, **recipe: str) -> Heads:
        """Return these heads with more said of how they were made."""
        return replace(self, recipe={**self.recipe, **recipe})

    def save(self, path: str | Path) -> None:
        """Write the heads to a safetensors file, recipe and history in its header."""
        from safetensors.numpy import save_file

        metadata = {
            **self.recipe,
            "temperature": repr(float(self.temperature)),
            "history": json.dumps([round(float(loss), 5) for loss in self.history]),
        }
        with replacing(path) as temporary:
            save_file({name: getattr(self, name) for name in _ARRAYS}, temporary, metadata)

    @classmethod
    def load(cls, path: str | Path) -> Heads:
        """Return the heads that `save` wrote.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it does not hold heads.
        """
        from safetensors import SafetensorError, safe_open

        path = Path(path).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing: expected heads that Heads.save wrote")
        try:
            with safe_open(path, "numpy") as stored:
                recipe = dict(stored.metadata() or {})
                arrays = {name: stored.get_tensor(name) for name in _ARRAYS}
            temperature = float(recipe.pop("temperature"))
            history = tuple(json.loads(recipe.pop("history")))
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path} holds no heads ({error}): expected a file that Heads.save wrote"
            ) from error
        return cls(**arrays, temperature=temperature, recipe=recipe, history=history)


def _affine(features: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    (features,) = check_views([features], argument="features")
    if features.shape[1] != weight.shape[1]:
        raise ValueError(
            f"features has shape {features.shape}: expected (n, {weight.shape[1]}), as the "
            "tower below this head gives"
        )
    return features @ weight.T + bias
