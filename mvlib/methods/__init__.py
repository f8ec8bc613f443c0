"""Clustering methods: pure functions for the equations, a thin estimator around them."""

from mvlib._lazy import attach

_EXPORTS = {
    "SMART": "mvlib.methods.smart",
    "smart": "mvlib.methods.smart",
    "AutoencoderHungarian": "mvlib.methods.floors",
    "AutoencoderKMeans": "mvlib.methods.floors",
    "KMeansConcatenation": "mvlib.methods.floors",
    "KMeansView": "mvlib.methods.floors",
    "SpectralConcatenation": "mvlib.methods.floors",
}

__all__ = list(_EXPORTS)
__getattr__, __dir__ = attach(__name__, _EXPORTS)
