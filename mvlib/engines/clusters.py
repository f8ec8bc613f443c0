"""Reaching a Dask scheduler that runs, or starting a cluster from its file."""

from __future__ import annotations

import contextlib
import logging
import re
import shlex
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mvlib._paths import project_root
from mvlib.engines.cluster_file import QUEUES, ClusterFile, load_cluster_file
from mvlib.engines.shares import CORES

if TYPE_CHECKING:
    from distributed import Security
    from distributed.deploy.cluster import Cluster

    from mvlib.engines.dask_executor import DaskExecutor

_SECONDS_TO_ANSWER = 10
_DASHBOARD_PORT = 8787
_LOOPBACK = "127.0.0.1"
_ADDRESS = re.compile(r"(tcp|tls)://[^\s/]+:\d{1,5}")
_SUBMIT = {"slurm": "sbatch", "pbs": "qsub", "lsf": "bsub", "sge": "qsub"}
_NO_LIMIT = 0


@contextlib.contextmanager
def connect(address: str, security: Security | None = None) -> Iterator[DaskExecutor]:
    """Reach a scheduler that runs.

    Parameters
    ----------
    address : str
        ``tcp://HOST:PORT`` or ``tls://HOST:PORT``.
    security : distributed.Security, optional
        Keys and certificates for `tls`; those of Dask's own configuration by default.

    Yields
    ------
    DaskExecutor
        To be passed to `mvlib.experiments.run_all`; `dashboard_link` is the address of
        Dask's dashboard.

    Raises
    ------
    ValueError
        If it is no such address, or the keys for it are wrong.
    ConnectionError
        If nothing answers there within ten seconds.
    """
    if not _ADDRESS.fullmatch(address):
        raise ValueError(
            f"scheduler={address!r} is no address: expected tcp://HOST:PORT or tls://HOST:PORT"
        )
    with _quiet(), _client(address, security, f"scheduler={address!r}") as client:
        from mvlib.engines.dask_executor import DaskExecutor

        yield DaskExecutor(client)


@contextlib.contextmanager
def start_cluster(path: str | Path) -> Iterator[DaskExecutor]:
    """Start the cluster that a file describes, or reach the one that it names.

    Parameters
    ----------
    path : str or Path
        See `load_cluster_file`.

    Yields
    ------
    DaskExecutor
        As `connect` gives it. The cluster that was started ends with the context, and the
        runs on it.

    Raises
    ------
    ValueError
        If the file is wrong.
    ConnectionError
        If no scheduler answers.
    FileNotFoundError
        If the queue's command is not on this machine.
    """
    described = load_cluster_file(path)
    security = _security(described)
    if described.scheduler:
        with connect(described.scheduler, security) as executor:
            yield executor
        return
    if described.kind in QUEUES and not shutil.which(_SUBMIT[described.kind]):
        raise FileNotFoundError(
            f"{_SUBMIT[described.kind]} is not on this machine: expected one that submits "
            f"jobs to {described.kind}, as {Path(path).name} asks"
        )
    from mvlib.engines.dask_executor import DaskExecutor

    with contextlib.ExitStack() as stack:
        stack.enter_context(_quiet())
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="mvlib-dask-"))
        cluster = stack.enter_context(make_cluster(described, scratch))
        if described.maximum is None:
            cluster.scale(described.workers)
        else:
            cluster.adapt(minimum=described.minimum, maximum=described.maximum)
        client = stack.enter_context(_client(cluster, security, Path(path).name))
        executor = DaskExecutor(
            client,
            expected_slots=(described.maximum or 0) * described.slots,
            expects_gpus=described.gpus > 0,
        )
        executor.dashboard_link = _own_link(executor.dashboard_link, described)
        yield executor


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
        dashboard_address=dashboard,
        scheduler_kwargs=scheduler,
        local_directory=scratch,
        security=_security(described),
        silence_logs=logging.CRITICAL,
    )


def _queued(described: ClusterFile, scheduler: dict[str, Any], folder: str) -> Cluster:
    import dask_jobqueue

    names = {"slurm": "SLURMCluster", "pbs": "PBSCluster", "lsf": "LSFCluster"}
    make = getattr(dask_jobqueue, names.get(described.kind, "SGECluster"))
    payer = "account" if described.kind in ("slurm", "pbs") else "project"
    # The last of an option's values counts: a slot is a run here, not a core.
    worker = ["--nthreads", described.slots, "--memory-limit", _NO_LIMIT, "--no-dashboard"]
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
        "security": _security(described),
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


def _security(described: ClusterFile) -> Security | None:
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


@contextlib.contextmanager
def _client(target: Any, security: Security | None, named: str) -> Iterator[Any]:
    from distributed import Client

    try:
        client = Client(
            target, timeout=_SECONDS_TO_ANSWER, security=security, set_as_default=False
        )
    except (OSError, TimeoutError) as error:
        raise ConnectionError(
            f"{named}: no Dask scheduler answers within {_SECONDS_TO_ANSWER} seconds: expected "
            "one there, and the same protocol (tcp or tls) on both sides"
        ) from error
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{named} cannot be reached: {error}") from error
    with client:
        yield client


def _free_dashboard() -> str:
    with socket.socket() as probe:
        try:
            probe.bind((_LOOPBACK, _DASHBOARD_PORT))
        except OSError:
            return f"{_LOOPBACK}:0"
    return f"{_LOOPBACK}:{_DASHBOARD_PORT}"


def _own_link(link: str, described: ClusterFile) -> str:
    """Return the link with the host that the dashboard listens on; Dask names another."""
    host = (described.dashboard or f"{_LOOPBACK}:0").rpartition(":")[0]
    parts = urlsplit(link)
    return parts._replace(netloc=f"{host}:{parts.port}").geturl() if host else link


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask's own log from the terminal; what concerns the runs is in their records."""
    import distributed  # noqa: F401

    names = [name for name in logging.root.manager.loggerDict if name.startswith("distributed")]
    loggers = [logging.getLogger(name) for name in ("distributed", "tornado", *names)]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
