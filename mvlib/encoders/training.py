"""Training the heads of the offline encoder: CLIP in miniature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm

from mvlib.check import check_number, check_views
from mvlib.encoders.heads import Heads
from mvlib.ops.contrastive import clip_loss

# As in CLIP.
_FIRST_TEMPERATURE = 0.07


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

    Each head is dropout and a linear map; the temperature is learnt with them. The features
    of either side are first centred and divided by one number, their root mean square; the
    heads that are returned contain that.

    Parameters
    ----------
    image_features : array-like of shape (n_pairs, image_dim)
        Row i is an image.
    text_features : array-like of shape (n_pairs, text_dim)
        Row i is the text of image i.
    class_image_features : array-like of shape (n_classes, image_dim), optional
        Further pairs: directions of the image space that stand for classes, such as the
        rows of a classifier on top of the image tower. They are centred on their own mean
        and each brought to the mean length of the centred image features.
    class_text_features : array-like of shape (n_classes, text_dim), optional
        Row i is the name of class i.
    dim : int, default=256
        Dimensions of the joint space.
    dropout : float, default=0.5
        Share of the inputs that a step leaves out.
    epochs : int, default=30
        Passes over all pairs.
    batch_size : int, default=512
        Pairs a step. What does not fill a last batch waits for another epoch's shuffle.
    learning_rate, weight_decay : float, default=1e-3, 0.05
        Of AdamW, without schedule.
    random_state : int, optional
        Seed of the first weights, the shuffles and the dropout.

    Returns
    -------
    Heads
        With the loss of each epoch in `history`.

    Raises
    ------
    ValueError
        If features are not finite, all alike or differ in number, there are fewer pairs
        than a batch holds, or a parameter is out of range.
    """
    for argument, value in (("dim", dim), ("epochs", epochs), ("batch_size", batch_size)):
        check_number(argument, value, low=1, integer=True)
    check_number("dropout", dropout, low=0, high=0.99)
    check_number("learning_rate", learning_rate, low=0, open_low=True)
    check_number("weight_decay", weight_decay, low=0)
    pairs = [image_features, text_features]
    images, texts = check_views(pairs, argument="[image_features, text_features]")
    image_scale, text_scale = _Scale.of(images), _Scale.of(texts)
    images, texts = image_scale(images), text_scale(texts)
    if class_image_features is not None or class_text_features is not None:
        pairs = [class_image_features, class_text_features]
        rows, names = check_views(pairs, argument="[class_image_features, class_text_features]")
        rows = F.normalize(torch.from_numpy(rows - rows.mean(axis=0)), dim=1)
        images = torch.cat([images, rows * images.norm(dim=1).mean()])
        texts = torch.cat([texts, text_scale(names)])
    if len(images) < batch_size:
        raise ValueError(
            f"batch_size={batch_size} is more than the {len(images)} pairs: expected no more"
        )

    generator = torch.Generator()
    if random_state is None:
        generator.seed()
    else:
        generator.manual_seed(check_number("random_state", random_state, low=0, integer=True))
    image_head = _linear(images.shape[1], dim, generator)
    text_head = _linear(texts.shape[1], dim, generator)
    log_temperature = nn.Parameter(torch.tensor(float(np.log(_FIRST_TEMPERATURE))))
    weights = [*image_head.parameters(), *text_head.parameters()]
    optimizer = torch.optim.AdamW(
        # The temperature is no weight: decay would draw it to 1.
        [{"params": weights}, {"params": [log_temperature], "weight_decay": 0}],
        lr=learning_rate,
        weight_decay=weight_decay,
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
