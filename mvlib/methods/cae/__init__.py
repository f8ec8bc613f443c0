"""CAE: hierarchical semantic alignment for image clustering, without training."""

from mvlib.files import attach

_EXPORTS = {
    "CAE": "mvlib.methods.cae.estimator",
    "CounterpartQuantities": "mvlib.methods.cae.equations",
    "adaptive_fusion": "mvlib.methods.cae.equations",
    "counterpart": "mvlib.methods.cae.equations",
    "optimal_transport_plan": "mvlib.methods.cae.equations",
    "retrieve_top_k": "mvlib.methods.cae.equations",
    "theorem_1_quantities": "mvlib.methods.cae.equations",
}

__all__ = list(_EXPORTS)
__getattr__, __dir__ = attach(__name__, _EXPORTS)
