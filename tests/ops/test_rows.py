"""Rows at length one."""

import numpy as np
import pytest

from mvlib.ops import unit_rows


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_have_length_one_and_their_direction_and_zeros_stay(dtype):
    X = np.array([[3, 4], [0, 0], [-1e-20, 0], [1e15, 1e15]], dtype=dtype)
    found = unit_rows(X)
    assert found.dtype == dtype
    half = np.sqrt(0.5)
    assert np.allclose(found, [[0.6, 0.8], [0, 0], [-1, 0], [half, half]])
    assert X[0].tolist() == [3, 4]
