"""Clustering several views of the same things, with every number traceable to a run.

The rooms, and the one way in which they import each other, stand in `pyproject.toml`, where
import-linter holds them. Importing `mvlib` loads none: each arrives when it is first used.
"""

from mvlib.files import attach

__version__ = "0.1.0"

_EXPORTS = {
    "data": "mvlib.data",
    "ops": "mvlib.ops",
    "encoders": "mvlib.encoders",
    "methods": "mvlib.methods",
    "metrics": "mvlib.metrics",
    "records": "mvlib.records",
    "tasks": "mvlib.tasks",
    "plots": "mvlib.plots",
    "load": "mvlib.methods.saving",
    "compare": "mvlib.tasks.comparison",
    "SMART": "mvlib.methods.smart",
    "MvCLN": "mvlib.methods.views.mvcln",
    "CAE": "mvlib.methods.cae",
    "TAC": "mvlib.methods.tac",
    "NTKSpectralClustering": "mvlib.methods.ntk_spectral",
    "SetCLIP": "mvlib.methods.set_clip",
}

__all__ = list(_EXPORTS)
__getattr__, __dir__ = attach(__name__, _EXPORTS)
