"""What methods that train a network on two views share: embeddings side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from mvlib.methods.base import ViewClustering


@dataclass(eq=False, repr=False, kw_only=True)
class TwoViewNetworks(ViewClustering):
    """Clustering of two views by networks, which a method makes in `_network`."""

    verbose: bool | None = None
    device: str = "auto"

    _min_views = 2
    _only_two = True
    _labels_from = "centers"
    _network_name = "network_"

    def _encoded(self, Xs: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        """Return the embeddings of each view, of rows that are taken as partners."""
        raise NotImplementedError

    def _embed(self, views: list[np.ndarray]) -> np.ndarray:
        Xs = on_device(views, next(self.network_.parameters()).device)
        return torch.cat(list(self._encoded(Xs)), dim=1).cpu().numpy()


def on_device(views: Sequence[np.ndarray], device: torch.device) -> list[torch.Tensor]:
    return [torch.from_numpy(view).to(device) for view in views]
