"""Clustering methods: pure functions for the equations, a thin estimator around them."""

from mvlib.files import attach
from mvlib.methods.catalogue import CATALOGUE

_EXPORTS = {
    "load": "mvlib.methods.catalogue",
    "smart": "mvlib.methods.smart",
    "set_clip": "mvlib.methods.set_clip",
    "match_rows": "mvlib.methods.baselines",
    "CounterpartQuantities": "mvlib.methods.cae",
    "adaptive_fusion": "mvlib.methods.cae",
    "balance_entropy": "mvlib.methods.tac",
    "consistency_loss": "mvlib.methods.tac",
    "coordinate_weights": "mvlib.methods.ntk_spectral",
    "counterpart": "mvlib.methods.cae",
    "diffuse_affinities": "mvlib.methods.ntk_spectral",
    "discretize": "mvlib.methods.ntk_spectral",
    "distillation_loss": "mvlib.methods.tac",
    "explicit_features": "mvlib.methods.ntk_spectral",
    "feature_embedding": "mvlib.methods.ntk_spectral",
    "filter_nouns": "mvlib.methods.tac",
    "GroupName": "mvlib.methods.cluster_naming",
    "name_clusters": "mvlib.methods.cluster_naming",
    "name_groups": "mvlib.methods.cluster_naming",
    "nearest_neighbors": "mvlib.methods.ntk_spectral",
    "normalize_graph": "mvlib.methods.ntk_spectral",
    "noun_assignments": "mvlib.methods.ntk_spectral",
    "ntk_affinity": "mvlib.methods.ntk_spectral",
    "ntk_spectral": "mvlib.methods.ntk_spectral",
    "number_of_centres": "mvlib.methods.features",
    "optimal_transport_plan": "mvlib.methods.cae",
    "retrieve_top_k": "mvlib.methods.cae",
    "semantic_centres": "mvlib.methods.features",
    "simplex_weights": "mvlib.methods.ntk_spectral",
    "softmax_counterpart": "mvlib.methods.tac",
    "sparsify": "mvlib.methods.ntk_spectral",
    "spectral_embedding": "mvlib.methods.ntk_spectral",
    "theorem_1_quantities": "mvlib.methods.cae",
    "word_scores": "mvlib.methods.cluster_naming",
}
# A method of the catalogue is exported by its line there.
_EXPORTS = {
    name: f"mvlib.methods.{file}"
    for file, _, name in (method.estimator.rpartition(".") for method in CATALOGUE)
} | _EXPORTS

__all__ = list(_EXPORTS)
__getattr__, __dir__ = attach(__name__, _EXPORTS)
