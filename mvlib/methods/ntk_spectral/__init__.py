"""NTK spectral clustering: visual nearness and shared nouns in one affinity."""

from mvlib._lazy import attach

_EXPORTS = {
    "NTKSpectralClustering": "mvlib.methods.ntk_spectral.estimator",
    "Diffusion": "mvlib.methods.ntk_spectral.diffusion",
    "Neighbors": "mvlib.methods.ntk_spectral.neighbors",
    "SubspaceAffinity": "mvlib.methods.ntk_spectral.affinity",
    "connect_fragments": "mvlib.methods.ntk_spectral.graph",
    "coordinate_weights": "mvlib.methods.ntk_spectral.weights",
    "diffuse_affinities": "mvlib.methods.ntk_spectral.diffusion",
    "diffuse_in_subspace": "mvlib.methods.ntk_spectral.subspace",
    "discretize": "mvlib.methods.ntk_spectral.discretization",
    "explicit_features": "mvlib.methods.ntk_spectral.scale",
    "feature_embedding": "mvlib.methods.ntk_spectral.scale",
    "nearest_neighbors": "mvlib.methods.ntk_spectral.neighbors",
    "normalize_graph": "mvlib.methods.ntk_spectral.graph",
    "noun_assignments": "mvlib.methods.ntk_spectral.equations",
    "ntk_affinity": "mvlib.methods.ntk_spectral.equations",
    "simplex_weights": "mvlib.methods.ntk_spectral.weights",
    "sparsify": "mvlib.methods.ntk_spectral.graph",
    "spectral_embedding": "mvlib.methods.ntk_spectral.spectral",
}

__all__ = list(_EXPORTS)
__getattr__, __dir__ = attach(__name__, _EXPORTS)
