"""Kernels that more than one method uses."""

from mvlib.files import attach

_EXPORTS = {
    "best_matching": "mvlib.ops.contingency",
    "contingency_table": "mvlib.ops.contingency",
    "matched_accuracy": "mvlib.ops.contingency",
    "cosine_kmeans": "mvlib.ops.kmeans",
    "clip_loss": "mvlib.ops.contrastive",
    "autocast": "mvlib.ops.device",
    "resolve_device": "mvlib.ops.device",
    "KMeansResult": "mvlib.ops.kmeans",
    "blocked_kmeans": "mvlib.ops.kmeans",
    "faiss_kmeans": "mvlib.ops.kmeans",
    "mmd": "mvlib.ops.discrepancy",
    "nearest_others": "mvlib.ops.nearest",
    "top_k": "mvlib.ops.nearest",
    "unit_rows": "mvlib.ops.rows",
    "discretize": "mvlib.ops.spectral",
    "spectral_embedding": "mvlib.ops.spectral",
    "TransportError": "mvlib.ops.sinkhorn",
    "TransportResult": "mvlib.ops.sinkhorn",
    "check_marginals": "mvlib.ops.sinkhorn",
    "transport_plan": "mvlib.ops.sinkhorn",
}

__all__ = list(_EXPORTS)
__getattr__, __dir__ = attach(__name__, _EXPORTS)
