"""Engines that run what is planned elsewhere: on Dask's workers, on one machine or many.

They stand behind the runner in the place of its own processes; what runs, what is recorded
and what is repeated stays the runner's.
"""

from mvlib._lazy import attach

_EXPORTS = {
    "ClusterFile": "mvlib.engines.cluster_file",
    "DaskExecutor": "mvlib.engines.dask_executor",
    "connect": "mvlib.engines.clusters",
    "load_cluster_file": "mvlib.engines.cluster_file",
    "start_cluster": "mvlib.engines.clusters",
}

__all__ = list(_EXPORTS)
__getattr__, __dir__ = attach(__name__, _EXPORTS)
