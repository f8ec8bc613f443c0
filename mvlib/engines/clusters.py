"""Reaching a Dask scheduler that runs, or starting a cluster from its file."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mvlib.engines.cluster_file import QUEUES, ClusterFile, load_cluster_file
from mvlib.engines.cluster_kinds import dashboard_link, make_cluster, security_of

if TYPE_CHECKING:
    from distributed import Security
    from distributed.deploy.cluster import Cluster

    from mvlib.engines.dask_executor import DaskExecutor

_SECONDS_TO_ANSWER = 10
_SECONDS_BETWEEN_LOOKS = 10
_ADDRESS = re.compile(r"(tcp|tls)://[^\s/]+:\d{1,5}")
_SUBMIT = {"slurm": "sbatch", "pbs": "qsub", "lsf": "bsub", "sge": "qsub"}


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
    with _quiet():
        from distributed import Client

        from mvlib.engines.dask_executor import DaskExecutor

        _check_answers(address, security, f"scheduler={address!r}")
        with Client(
            address, timeout=_SECONDS_TO_ANSWER, security=security, set_as_default=False
        ) as client:
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
        If the file is wrong, or the queue takes no job.
    ConnectionError
        If no scheduler answers.
    FileNotFoundError
        If the queue's command is not on this machine.
    """
    described = load_cluster_file(path)
    security = security_of(described)
    if described.scheduler:
        with connect(described.scheduler, security) as executor:
            yield executor
        return
    if described.kind in QUEUES and not shutil.which(_SUBMIT[described.kind]):
        raise FileNotFoundError(
            f"{_SUBMIT[described.kind]} is not on this machine: expected one that submits "
            f"jobs to {described.kind}, as {Path(path).name} asks"
        )
    import dask
    from distributed import Client

    from mvlib.engines.dask_executor import DaskExecutor

    with contextlib.ExitStack() as stack:
        stack.enter_context(_quiet())
        # A busy machine takes long to start a worker again; Dask would give it up before.
        stack.enter_context(dask.config.set({"distributed.deploy.lost-worker-timeout": "2m"}))
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="mvlib-dask-"))
        cluster = stack.enter_context(make_cluster(described, scratch))
        _start_workers(cluster, described, Path(path).name)
        stack.enter_context(_replacing_lost_workers(cluster, described))
        client = stack.enter_context(Client(cluster, set_as_default=False))
        executor = DaskExecutor(
            client,
            expected_slots=(described.maximum or 0) * described.slots,
            expects_gpus=described.gpus > 0,
        )
        executor.dashboard_link = dashboard_link(executor.dashboard_link, described)
        yield executor


def _start_workers(cluster: Cluster, described: ClusterFile, named: str) -> None:
    from distributed.core import Status

    async def started() -> None:
        await cluster
        # One that could not start is tried again, and now says why.
        for worker in cluster.workers.values():
            await worker

    growing = described.maximum is not None
    cluster.scale(max(1, described.minimum) if growing else described.workers)
    try:
        # Dask itself waits for ever where a queue takes no job.
        cluster.sync(started)
    except RuntimeError as error:
        for worker in cluster.workers.values():
            if worker.status == Status.created:
                # Else closing the cluster trips over it.
                worker.status = Status.failed
        told = [line for line in str(error).splitlines() if line.strip()]
        raise ValueError(
            f"{named}: no worker could be started: {told[-1] if told else repr(error)}"
        ) from error
    if growing:
        cluster.adapt(minimum=described.minimum, maximum=described.maximum)


@contextlib.contextmanager
def _replacing_lost_workers(cluster: Cluster, described: ClusterFile) -> Iterator[None]:
    """Start workers anew that went for good, as a job does that its queue ended."""
    if described.maximum is not None:
        yield
        return

    async def replace() -> None:
        while True:
            await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)
            cluster.scale(described.workers)

    task = asyncio.run_coroutine_threadsafe(replace(), cluster.loop.asyncio_loop)
    try:
        yield
    finally:
        task.cancel()


def _check_answers(address: str, security: Security | None, named: str) -> None:
    """Check that a scheduler answers, before a client that retries by itself is made."""
    from distributed import Security
    from distributed.comm import connect as reach

    async def look() -> None:
        given = (security or Security()).get_connection_args("client")
        comm = await reach(address, timeout=_SECONDS_TO_ANSWER, **given)
        await comm.close()

    try:
        asyncio.run(look())
    except (OSError, TimeoutError) as error:
        raise ConnectionError(
            f"{named}: no Dask scheduler answers there (waited {_SECONDS_TO_ANSWER} seconds at "
            "most): expected one, with the same protocol (tcp or tls) and keys that fit"
        ) from error
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{named} cannot be reached: {error}. Expected keys for tls, from the `security` "
            "of a cluster file or from Dask's own configuration"
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask's own log from the terminal; what concerns the runs is in their records."""
    import distributed  # noqa: F401

    names = [name for name in logging.root.manager.loggerDict if name.startswith("distributed")]
    loggers = [
        logging.getLogger(name) for name in ("asyncio", "distributed", "tornado", *names)
    ]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
