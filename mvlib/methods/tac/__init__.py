"""TAC: text-aided clustering, without training and with trained heads."""

from mvlib.files import attach

_EXPORTS = {
    "TAC": "mvlib.methods.tac.estimator",
    "TrainedTAC": "mvlib.methods.tac.estimator",
    "balance_entropy": "mvlib.methods.tac.equations",
    "consistency_loss": "mvlib.methods.tac.equations",
    "distillation_loss": "mvlib.methods.tac.equations",
    "filter_nouns": "mvlib.methods.tac.equations",
    "softmax_counterpart": "mvlib.methods.tac.equations",
    "total_loss": "mvlib.methods.tac.equations",
}

__all__ = list(_EXPORTS)
__getattr__, __dir__ = attach(__name__, _EXPORTS)
