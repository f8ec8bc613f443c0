"""Rows at length one, and rows in blocks."""

import numpy as np
import pytest
import torch

from mvlib.ops import unit_rows
from mvlib.ops.rows import BlockedPoints


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_have_length_one_and_their_direction_and_zeros_stay(dtype):
    X = np.array([[3, 4], [0, 0], [-1e-20, 0], [1e15, 1e15]], dtype=dtype)
    found = unit_rows(X)
    assert found.dtype == dtype
    half = np.sqrt(0.5)
    assert np.allclose(found, [[0.6, 0.8], [0, 0], [-1, 0], [half, half]])
    assert X[0].tolist() == [3, 4]


@pytest.mark.parametrize("spherical", [False, True])
def test_points_of_one_block_or_of_several_are_centred_alike_and_have_their_clusters_means(
    spherical,
):
    X = torch.from_numpy(np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32))
    rows = torch.nn.functional.normalize(X) if spherical else X
    labels = torch.arange(10) % 3
    counts = torch.bincount(labels, minlength=4)
    for size, n_blocks in ((None, 1), (4, 3)):
        points = BlockedPoints(
            X, width=4, spherical=spherical, block_size=size, device=X.device
        )
        assert len(points.blocks) == n_blocks
        some = torch.tensor([7, 2])
        torch.testing.assert_close(points.tile(some), (rows - rows.mean(dim=0))[some])
        found = points.means(labels, counts)
        for cluster in range(3):
            torch.testing.assert_close(found[cluster], rows[labels == cluster].mean(dim=0))
        assert not found[3].any()
