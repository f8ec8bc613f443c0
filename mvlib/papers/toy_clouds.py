"""Clouds of points that one rotation aligns, to watch losses find it, or fail to."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from mvlib.check import check_number

if TYPE_CHECKING:
    import pandas as pd

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
_SHARES = (0.5, 0.3, 0.2)
_RADII = (1.0, 1.6, 2.2)
_SPREADS = (0.15, 0.3, 0.45)


def three_groups(
    n_samples: int, symmetric: bool = False, random_state: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return points of the plane in three groups, a third of a turn apart."""
    check_number("n_samples", n_samples, low=3, integer=True)
    rng = np.random.default_rng(random_state)
    shares = np.full(3, 1 / 3) if symmetric else np.array(_SHARES)
    radii = np.full(3, 1.6) if symmetric else np.array(_RADII)
    spreads = np.full(3, 0.3) if symmetric else np.array(_SPREADS)
    edges = np.round(np.cumsum(shares) * n_samples).astype(int)
    groups = np.searchsorted(edges, np.arange(n_samples), side="right")
    angles = 2 * math.pi * groups / 3
    middles = radii[groups, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return middles + spreads[groups, None] * rng.normal(size=(n_samples, 2)), groups


def turned(points: np.ndarray, degrees: float) -> np.ndarray:
    """Return points of the plane turned about the origin, anticlockwise."""
    return points @ _rotation(torch.tensor(math.radians(degrees))).numpy().T


def losses_by_angle(
    first: np.ndarray, second: np.ndarray, losses: Mapping[str, Loss], angles: Sequence[float]
) -> pd.DataFrame:
    """Return the losses of a cloud and another one turned by each of some angles."""
    import pandas as pd

    rows = []
    A = torch.from_numpy(first)
    for name, loss in losses.items():
        values = [float(loss(A, torch.from_numpy(turned(second, angle)))) for angle in angles]
        low, span = min(values), (max(values) - min(values)) or 1.0
        for angle, value in zip(angles, values, strict=True):
            scaled = (value - low) / span
            rows.append({"loss": name, "angle": angle, "value": value, "scaled": scaled})
    return pd.DataFrame(rows)


def descend(
    first: np.ndarray, second: np.ndarray, loss: Loss, start: float, n_steps: int = 50
) -> np.ndarray:
    """Follow the gradient of a loss with respect to the angle alone, by Adam."""
    A, B = torch.from_numpy(first), torch.from_numpy(second)
    angle = torch.tensor(math.radians(start), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([angle], lr=0.15)
    path = [angle.item()]
    for _ in range(n_steps):
        optimizer.zero_grad()
        loss(A, B @ _rotation(angle).T).backward()
        optimizer.step()
        path.append(angle.item())
    return np.degrees(path) % 360


def group_agreement(
    first: np.ndarray, second: np.ndarray, groups: np.ndarray, groups_second: np.ndarray
) -> float:
    """Return the share of points whose nearest point of the other cloud is of their group."""
    distances = ((first[:, None] - second[None]) ** 2).sum(axis=2)
    return float((groups_second[distances.argmin(axis=1)] == groups).mean())


def _rotation(angle: torch.Tensor) -> torch.Tensor:
    angle = angle.double()
    cosine, sine = angle.cos(), angle.sin()
    return torch.stack([torch.stack([cosine, -sine]), torch.stack([sine, cosine])])
