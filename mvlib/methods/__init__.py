"""Clustering methods: pure functions for the equations, a thin estimator around them."""

from mvlib._lazy import attach

_EXPORTS = {
    "SMART": "mvlib.methods.smart",
    "smart": "mvlib.methods.smart",
    "SetCLIP": "mvlib.methods.set_clip",
    "set_clip": "mvlib.methods.set_clip",
    "AutoencoderHungarian": "mvlib.methods.autoencoder_floors",
    "AutoencoderKMeans": "mvlib.methods.autoencoder_floors",
    "KMeansConcatenation": "mvlib.methods.floors",
    "KMeansView": "mvlib.methods.floors",
    "SpectralConcatenation": "mvlib.methods.floors",
    "match_rows": "mvlib.methods.autoencoder_floors",
    "CAE": "mvlib.methods.cae",
    "CCA": "mvlib.methods.alignment_baselines",
    "Chance": "mvlib.methods.alignment_without_pairs",
    "GromovWasserstein": "mvlib.methods.alignment_without_pairs",
    "Procrustes": "mvlib.methods.alignment_baselines",
    "CLIPKMeans": "mvlib.methods.clip_kmeans",
    "CounterpartQuantities": "mvlib.methods.theorem_1",
    "SIC": "mvlib.methods.sic",
    "TAC": "mvlib.methods.tac",
    "TrainedTAC": "mvlib.methods.tac_trained",
    "ZeroShot": "mvlib.methods.zero_shot",
    "adaptive_fusion": "mvlib.methods.cae_equations",
    "balance_entropy": "mvlib.methods.clustering_heads",
    "consistency_loss": "mvlib.methods.clustering_heads",
    "counterpart": "mvlib.methods.counterparts",
    "distillation_loss": "mvlib.methods.clustering_heads",
    "filter_nouns": "mvlib.methods.tac_nouns",
    "name_clusters": "mvlib.methods.cluster_naming",
    "number_of_centres": "mvlib.methods.semantic_space",
    "optimal_transport_plan": "mvlib.methods.cae_equations",
    "retrieve_top_k": "mvlib.methods.semantic_space",
    "semantic_centres": "mvlib.methods.semantic_space",
    "softmax_counterpart": "mvlib.methods.counterparts",
    "theorem_1_quantities": "mvlib.methods.theorem_1",
    "word_scores": "mvlib.methods.cluster_naming",
}

__all__ = list(_EXPORTS)
__getattr__, __dir__ = attach(__name__, _EXPORTS)
