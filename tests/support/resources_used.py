"""CPU time of a function, and what its process grows by at the peak."""

import ctypes
import json
import subprocess
import sys
import time
from pathlib import Path


def in_a_fresh_process(file, arguments):
    """Return what a benchmark's file prints when it is called with these arguments."""
    command = [sys.executable, file, json.dumps(arguments)]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(found.stdout.splitlines()[-1])


def used_by(function):
    """Return what a function gives, and the seconds and megabytes that it took."""
    # What the warm start has freed would otherwise be used again, and not count.
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before, start = _megabytes("VmRSS"), time.process_time()
    result = function()
    seconds, peak = time.process_time() - start, _megabytes("VmHWM")
    return result, {"seconds": seconds, "megabytes": peak - before, "total_megabytes": peak}


def _megabytes(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(field))) / 1024
