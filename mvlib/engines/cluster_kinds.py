"""Making a cluster of each kind from what its file says."""

from __future__ import annotations

import logging
import shlex
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mvlib._paths import project_root
from mvlib.engines.cluster_file import ClusterFile
from mvlib.engines.shares import CORES

if TYPE_CHECKING:
    from distributed import Security
    from distributed.deploy.cluster import Cluster

_DASHBOARD_PORT = 8787
_LOOPBACK = "127.0.0.1"
_NO_LIMIT = 0


def make_cluster(described: ClusterFile, scratch: str) -> Cluster:
    """Return a cluster, its scheduler started in this process, without workers yet.

    Parameters
    ----------
    described : ClusterFile
        Of a kind that is started.
    scratch : str
        A folder of this machine for what local workers write.
    """
    scheduler = {
        "allowed_failures": described.deaths,
        "dashboard_address": described.dashboard or _free_dashboard(),
    }
    folder = str(Path(described.folder or project_root()).expanduser())
    if described.kind == "local":
        return _local(described, scheduler, folder, scratch)
    return _queued(described, scheduler, folder)


def _local(
    described: ClusterFile, scheduler: dict[str, Any], folder: str, scratch: str
) -> Cluster:
    from distributed import LocalCluster

    dashboard = scheduler.pop("dashboard_address")
    return LocalCluster(
        n_workers=0,
        threads_per_worker=described.slots,
        host=_LOOPBACK,
        # Kernels are other processes: Dask's watch over its workers' memory misses them.
        memory_limit=_NO_LIMIT,
        resources={"GPU": described.gpus} if described.gpus else None,
        env={"MVLIB_ROOT": folder},
        preload=["mvlib.engines.on_worker"],
        dashboard_address=dashboard,
        scheduler_kwargs=scheduler,
        local_directory=scratch,
        security=security_of(described),
        silence_logs=logging.CRITICAL,
    )


def _queued(described: ClusterFile, scheduler: dict[str, Any], folder: str) -> Cluster:
    import dask_jobqueue

    names = {"slurm": "SLURMCluster", "pbs": "PBSCluster", "lsf": "LSFCluster"}
    make = getattr(dask_jobqueue, names.get(described.kind, "SGECluster"))
    payer = "account" if described.kind in ("slurm", "pbs") else "project"
    # The last of an option's values counts: a slot is a run here, not a core.
    worker = ["--nthreads", described.slots, "--memory-limit", _NO_LIMIT, "--no-dashboard"]
    worker += ["--dashboard-address", f"{_LOOPBACK}:0"]
    if described.gpus:
        worker += ["--resources", f"GPU={described.gpus}"]
    lines = (*described.prologue, f"export MVLIB_ROOT={shlex.quote(folder)}")
    given = {
        "queue": described.queue,
        payer: described.account,
        "walltime": described.walltime,
        "interface": described.interface,
        "python": described.python,
        "log_directory": described.logs,
        "security": security_of(described),
    }
    return make(
        cores=described.cores,
        memory=described.memory,
        processes=1,
        job_extra_directives=list(described.directives),
        job_script_prologue=[*lines, f"export {CORES}={described.cores}"],
        worker_extra_args=[str(argument) for argument in worker],
        scheduler_options=scheduler,
        silence_logs=logging.CRITICAL,
        **{name: value for name, value in given.items() if value is not None},
    )


def security_of(described: ClusterFile) -> Security | None:
    """Return Dask's keys and certificates from a file's `security`, or None."""
    if described.security is None:
        return None
    from distributed import Security

    files = described.security
    roles = ("scheduler", "worker", "client")
    return Security(
        require_encryption=True,
        tls_ca_file=files["ca"],
        **{f"tls_{role}_cert": files["cert"] for role in roles},
        **{f"tls_{role}_key": files["key"] for role in roles},
    )


def _free_dashboard() -> str:
    with socket.socket() as probe:
        try:
            probe.bind((_LOOPBACK, _DASHBOARD_PORT))
        except OSError:
            return f"{_LOOPBACK}:0"
    return f"{_LOOPBACK}:{_DASHBOARD_PORT}"


def dashboard_link(link: str, described: ClusterFile) -> str:
    """Return the link with the host that the dashboard listens on; Dask names another."""
    host = (described.dashboard or f"{_LOOPBACK}:0").rpartition(":")[0]
    parts = urlsplit(link)
    return parts._replace(netloc=f"{host}:{parts.port}").geturl() if host else link
