"""Scores of a clustering against true classes."""

from mvlib.files import attach

_EXPORTS = {
    "central_labeling": "mvlib.metrics.clustering",
    "pairwise_agreement": "mvlib.metrics.clustering",
    "accuracy": "mvlib.metrics.clustering",
    "adjusted_rand_index": "mvlib.metrics.clustering",
    "clustering_scores": "mvlib.metrics.clustering",
    "normalized_mutual_information": "mvlib.metrics.clustering",
    "purity": "mvlib.metrics.clustering",
    "distribution_distances": "mvlib.metrics.distribution",
    "graph_precision_recall": "mvlib.metrics.clustering",
    "batched_top_1": "mvlib.metrics.retrieval",
    "embedding_mmd": "mvlib.metrics.retrieval",
    "modality_gap": "mvlib.metrics.retrieval",
    "retrieval_scores": "mvlib.metrics.retrieval",
    "mean_pairwise_cosine": "mvlib.metrics.distribution",
}

__all__ = list(_EXPORTS)
__getattr__, __dir__ = attach(__name__, _EXPORTS)
