"""Clustering several views of the same things, with every number traceable to a run.

The rooms, each of which imports only from those before it: `data`, `ops`, `encoders`,
`metrics`, `methods`, `records`, `experiments`, `plots`, `run`, `book`, `report`, `cli`.
Importing `mvlib` loads none of them: each arrives when it is first used.
"""

from mvlib.files import attach

__version__ = "0.1.0"

_EXPORTS = {
    "data": "mvlib.data",
    "ops": "mvlib.ops",
    "encoders": "mvlib.encoders",
    "methods": "mvlib.methods",
    "metrics": "mvlib.metrics",
    "experiments": "mvlib.experiments",
    "plots": "mvlib.plots",
    "SMART": "mvlib.methods.smart",
    "MvCLN": "mvlib.methods.mvcln",
    "CAE": "mvlib.methods.cae",
    "TAC": "mvlib.methods.tac",
    "NTKSpectralClustering": "mvlib.methods.ntk_spectral",
    "SetCLIP": "mvlib.methods.set_clip",
}

__all__ = list(_EXPORTS)
__getattr__, __dir__ = attach(__name__, _EXPORTS)
