"""NTK spectral clustering: visual nearness and shared nouns in one affinity."""

from mvlib.files import attach

_EXPORTS = {
    "Diffusion": "mvlib.methods.ntk_spectral.equations",
    "NTKSpectralClustering": "mvlib.methods.ntk_spectral.estimator",
    "Neighbors": "mvlib.methods.ntk_spectral.equations",
    "SubspaceAffinity": "mvlib.methods.ntk_spectral.scale",
    "connect_fragments": "mvlib.methods.ntk_spectral.scale",
    "coordinate_weights": "mvlib.methods.ntk_spectral.equations",
    "diffuse_affinities": "mvlib.methods.ntk_spectral.equations",
    "diffuse_in_subspace": "mvlib.methods.ntk_spectral.scale",
    "discretize": "mvlib.ops.spectral",
    "explicit_features": "mvlib.methods.ntk_spectral.scale",
    "feature_embedding": "mvlib.methods.ntk_spectral.scale",
    "keep_nouns": "mvlib.methods.ntk_spectral.estimator",
    "nearest_neighbors": "mvlib.methods.ntk_spectral.scale",
    "normalize_graph": "mvlib.methods.ntk_spectral.equations",
    "noun_assignments": "mvlib.methods.ntk_spectral.equations",
    "ntk_affinity": "mvlib.methods.ntk_spectral.equations",
    "simplex_weights": "mvlib.methods.ntk_spectral.equations",
    "sparsify": "mvlib.methods.ntk_spectral.equations",
    "spectral_embedding": "mvlib.ops.spectral",
    "take_rows": "mvlib.methods.ntk_spectral.estimator",
}

__all__ = list(_EXPORTS)
__getattr__, __dir__ = attach(__name__, _EXPORTS)
