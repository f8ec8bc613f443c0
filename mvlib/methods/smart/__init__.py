"""SMART: semantic matching contrastive learning for partially view-aligned clustering."""

from mvlib.files import attach

_EXPORTS = {
    "SMART": "mvlib.methods.smart.estimator",
    "PAPER_SETTINGS": "mvlib.methods.smart.estimator",
    "AutoEncoder": "mvlib.methods.smart.network",
    "SMARTNetwork": "mvlib.methods.smart.network",
    "ThresholdRule": "mvlib.methods.smart.equations",
    "aligned_correlations": "mvlib.methods.smart.equations",
    "correlation_matrix": "mvlib.methods.smart.equations",
    "reconstruction_loss": "mvlib.methods.smart.equations",
    "semantic_graph": "mvlib.methods.smart.equations",
    "semantic_matching_loss": "mvlib.methods.smart.equations",
    "semantic_threshold": "mvlib.methods.smart.equations",
    "standardize_rows": "mvlib.methods.smart.equations",
    "threshold_rule": "mvlib.methods.smart.equations",
    "view_distribution_alignment_loss": "mvlib.methods.smart.equations",
}

__all__ = list(_EXPORTS)
__getattr__, __dir__ = attach(__name__, _EXPORTS)
