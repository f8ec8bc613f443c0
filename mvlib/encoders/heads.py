"""Linear maps of frozen features into one space: two heads that CLIP's loss trains, or ridge
regression of the names of ImageNet's classes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm

from mvlib.check import check_number, check_views
from mvlib.files import replacing
from mvlib.ops.adam import Adam
from mvlib.ops.contrastive import clip_loss
from mvlib.ops.device import seeded_generator

_ARRAYS = ("image_weight", "image_bias", "text_weight", "text_bias")
# As in CLIP.
_FIRST_TEMPERATURE = 0.07


@dataclass(frozen=True, eq=False)
class Heads:
    """Affine maps of image and of text features to a joint space, from `train_heads` or `load`.

    Attributes
    ----------
    image_weight, image_bias : ndarray of shape (dim, image_dim) and (dim,), float32
        Of the image head.
    text_weight, text_bias : ndarray of shape (dim, text_dim) and (dim,), float32
        Of the text head.
    temperature : float
        As learnt: what cosines were divided by in the loss.
    recipe, history : mapping of str to str, and tuple of float
        How they were trained and on what; the mean training loss of each epoch.
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
            digest.update(np.ascontiguousarray(array, "<f4").data)
        return digest.hexdigest()

    def project_images(self, features: np.ndarray) -> np.ndarray:
        """Return image features (n, image_dim) in the joint space, float32 (n, dim)."""
        return _affine(features, self.image_weight, self.image_bias)

    def project_texts(self, features: np.ndarray) -> np.ndarray:
        """Return text features (n, text_dim) in the joint space, float32 (n, dim)."""
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
        """Return the heads that `save` wrote; FileNotFoundError or ValueError if it did not."""
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


def train_heads(
    image_features: np.ndarray,
    text_features: np.ndarray,
    *,
    class_image_features: np.ndarray | None = None,
    class_text_features: np.ndarray | None = None,
    dim: int = 256,
    dropout: float = 0.5,
    epochs: int = 30,
    batch_size: int = 512,
    learning_rate: float = 1e-3,
    weight_decay: float = 0.05,
    random_state: int | None = None,
) -> Heads:
    """Train heads by CLIP's loss on the features of frozen towers.

    Each head is dropout and a linear map; the temperature is learnt with them. The features of
    either side are first centred and divided by one number, their root mean square; the heads
    that are returned contain that.

    Parameters
    ----------
    image_features, text_features : array-like of shape (n_pairs, image_dim or text_dim)
        Row i is an image, and its text.
    class_image_features : array-like of shape (n_classes, image_dim), optional
        Further pairs: directions of the image space that stand for classes, such as the rows of
        a classifier on top of the image tower. They are centred on their own mean and each
        brought to the mean length of the centred image features.
    class_text_features : array-like of shape (n_classes, text_dim), optional
        Row i is the name of class i.
    dim : int, default=256
        Dimensions of the joint space.
    dropout : float, default=0.5
        Share of the inputs that a step leaves out.
    epochs, batch_size : int, default=30, 512
        Passes over all pairs, and pairs a step. What does not fill a last batch waits for
        another epoch's shuffle.
    learning_rate, weight_decay : float, default=1e-3, 0.05
        Of AdamW, without schedule.
    random_state : int, optional
        Seed of the first weights, the shuffles and the dropout.

    Raises
    ------
    ValueError
        If features are not finite, all alike or differ in number, there are fewer pairs than a
        batch holds, or a parameter is out of range.
    """
    for argument, value in (("dim", dim), ("epochs", epochs), ("batch_size", batch_size)):
        check_number(argument, value, low=1, integer=True)
    check_number("dropout", dropout, low=0, high=0.99)
    check_number("learning_rate", learning_rate, low=0, open_low=True)
    check_number("weight_decay", weight_decay, low=0)
    both = check_views(
        [image_features, text_features], argument="[image_features, text_features]"
    )
    image_scale, text_scale = _Scale.of(both[0]), _Scale.of(both[1])
    images, texts = image_scale(both[0]), text_scale(both[1])
    if class_image_features is not None or class_text_features is not None:
        more, names = check_views(
            [class_image_features, class_text_features],
            argument="[class_image_features, class_text_features]",
        )
        rows = F.normalize(torch.from_numpy(more - more.mean(axis=0)), dim=1)
        images = torch.cat([images, rows * images.norm(dim=1).mean()])
        texts = torch.cat([texts, text_scale(names)])
    if len(images) < batch_size:
        raise ValueError(
            f"batch_size={batch_size} is more than the {len(images)} pairs: expected no more"
        )

    generator = seeded_generator(random_state)
    image_head = _linear(images.shape[1], dim, generator)
    text_head = _linear(texts.shape[1], dim, generator)
    log_temperature = nn.Parameter(torch.tensor(float(np.log(_FIRST_TEMPERATURE))))
    weights = [*image_head.parameters(), *text_head.parameters()]
    # The temperature is no weight: decay would draw it to 1.
    temperature: dict[str, Any] = {"params": [log_temperature], "weight_decay": 0}
    optimizer = Adam(
        [{"params": weights}, temperature],
        lr=learning_rate,
        weight_decay=weight_decay,
        decoupled_weight_decay=True,
    )
    history = []
    for _ in tqdm(range(epochs), desc="heads", unit="epoch", disable=None, leave=False):
        losses = []
        order = torch.randperm(len(images), generator=generator)
        for rows in order[: len(order) // batch_size * batch_size].split(batch_size):
            loss = clip_loss(
                image_head(_dropped(images[rows], dropout, generator)),
                text_head(_dropped(texts[rows], dropout, generator)),
                log_temperature.exp(),
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        history.append(float(np.mean(losses)))

    image_weight, image_bias = image_scale.into(image_head)
    text_weight, text_bias = text_scale.into(text_head)
    recipe = {
        "dropout": dropout,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "weight_decay": weight_decay,
        "random_state": random_state,
        "n_pairs": len(image_features),
        "n_class_pairs": len(images) - len(image_features),
    }
    return Heads(
        image_weight,
        image_bias,
        text_weight,
        text_bias,
        temperature=float(log_temperature.detach().exp()),
        recipe={name: str(value) for name, value in recipe.items()},
        history=tuple(history),
    )


@dataclass(frozen=True)
class _Scale:
    """Centring on a mean, then division by one number."""

    center: np.ndarray
    size: float

    @classmethod
    def of(cls, features: np.ndarray) -> _Scale:
        center = features.mean(axis=0)
        size = float(np.sqrt(((features - center) ** 2).mean()))
        if size == 0:
            raise ValueError("the features of all pairs are alike: expected pairs that differ")
        return cls(center, size)

    def __call__(self, features: np.ndarray) -> torch.Tensor:
        return torch.from_numpy((features - self.center) / np.float32(self.size))

    def into(self, head: nn.Linear) -> tuple[np.ndarray, np.ndarray]:
        """Return weight and bias that do to raw features what `head` does to scaled ones."""
        weight = head.weight.detach().numpy() / np.float32(self.size)
        return weight, head.bias.detach().numpy() - weight @ self.center


def _linear(n_inputs: int, n_outputs: int, generator: torch.Generator) -> nn.Linear:
    """Return torch's own start of a linear layer, from a generator of its own."""
    layer = nn.utils.skip_init(nn.Linear, n_inputs, n_outputs)
    bound = n_inputs**-0.5
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -bound, bound, generator=generator)
    return layer


def _dropped(x: torch.Tensor, share: float, generator: torch.Generator) -> torch.Tensor:
    kept = torch.rand(x.shape, generator=generator) >= share
    return x * kept / (1 - share)


@dataclass(frozen=True, eq=False)
class RidgeMap:
    """A linear map of centred text features into the space of image features.

    Attributes
    ----------
    center, weight : ndarray of shape (text_dim,) and (text_dim, image_dim), float32
        Mean of the text features it was fitted on, and the map.
    """

    center: np.ndarray
    weight: np.ndarray

    def project(self, text_features: np.ndarray) -> np.ndarray:
        """Return text features (n, text_dim) among images, float32 (n, image_dim).

        They compare by cosine with image features that are centred on their own mean.
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

    With X the centred text features and Y the directions, centred and brought to length 1, the
    weight is (X^T X + alpha I)^-1 X^T Y.

    Parameters
    ----------
    text_features, image_directions : array-like of shape (n_classes, text_dim or image_dim)
        Row i is the name of class i, and what stands for it among images, such as a
        classifier's row.
    alpha : float, default=10
        Weight of the penalty, above 0.

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

    Their names are read as "a photo of a {}."; their features ship with mvlib. It maps from
    `OfflineEncoder.text_tower` to `OfflineEncoder.image_tower`. `alpha` as there; a shipped
    file that is missing or damaged is a FileNotFoundError or ValueError.
    """
    from mvlib.encoders.shipped import training_features

    pairs = training_features()
    return ridge_map(pairs.class_text_features, pairs.class_image_features, alpha=alpha)
