"""Running what is planned: each run in a process group, here or on Dask's workers."""

from mvlib.files import attach

_EXPORTS = {
    "Engine": "mvlib.run.process",
    "EngineLost": "mvlib.run.process",
    "RunLostError": "mvlib.run.process",
    "DaskEngine": "mvlib.run.dask",
    "Summary": "mvlib.run.state",
    "connect": "mvlib.run.dask",
    "run_all": "mvlib.run.runner",
}

__all__ = list(_EXPORTS)
__getattr__, __dir__ = attach(__name__, _EXPORTS)
