"""Clustering methods: pure functions for the equations, a thin estimator around them."""

from mvlib._lazy import attach

_EXPORTS = {
    "SMART": "mvlib.methods.smart",
    "smart": "mvlib.methods.smart",
    "AutoencoderHungarian": "mvlib.methods.autoencoder_floors",
    "AutoencoderKMeans": "mvlib.methods.autoencoder_floors",
    "KMeansConcatenation": "mvlib.methods.floors",
    "KMeansView": "mvlib.methods.floors",
    "SpectralConcatenation": "mvlib.methods.floors",
    "match_rows": "mvlib.methods.autoencoder_floors",
}

__all__ = list(_EXPORTS)
__getattr__, __dir__ = attach(__name__, _EXPORTS)
