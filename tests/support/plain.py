"""The arithmetic of slow transcriptions, apart from mvlib's own."""

import numpy as np


def unit(X):
    """Return the rows of X with length one."""
    return X / np.linalg.norm(X, axis=1, keepdims=True)
