"""Keep four jobs of a queue at work, and say where their scheduler is, until Ctrl-C."""

import time

from dask_jobqueue import SLURMCluster

with SLURMCluster() as cluster:
    print(cluster.scheduler_address, flush=True)
    while True:
        # Jobs that the queue has ended are submitted anew.
        cluster.scale(4)
        time.sleep(60)
