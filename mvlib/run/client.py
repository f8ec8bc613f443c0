"""The process of one run: it executes a notebook's cells, and says how that went.

Run as a module with the run's folder. Its standard input stays open for as long as somebody
wants the run: at its end this process kills all that it has started, and ends.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import ctypes
import json
import logging
import os
import resource
import shutil
import signal
import sys
import threading
import warnings
from collections import deque
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import psutil

from mvlib.files import quick_jsonschema
from mvlib.records.provenance import Stamp, checksum_of, package_files, stamp_of

quick_jsonschema()

import nbformat  # noqa: E402
from nbclient import NotebookClient  # noqa: E402
from nbclient.exceptions import CellExecutionError, DeadKernelError  # noqa: E402
from nbformat.v4 import new_output  # noqa: E402
from traitlets.config import Config  # noqa: E402

# What the two processes of a run leave for each other in its folder.
GIVEN, EXECUTED, OUTCOME = "given.ipynb", "executed.ipynb", "outcome.json"
KERNEL_DIED = "its kernel died, perhaps for want of memory"
MOST_CHARACTERS = 1_000_000
# What one more output costs the notebook's file, however little it holds.
_CHARACTERS_AN_OUTPUT = 100
# Jupyter waits that long for outputs after a cell's end. Its own 4 s are too short for many.
_SECONDS_FOR_OUTPUTS = 600
# ZeroMQ drops what waits in a longer queue, and a notebook's results are among its outputs.
# Half a character, as in the text of an error, is no reason to lose the message.
# A system without memory then kills the kernel, not the runner.
# Python looks for garbage after each 700 new objects: a seventh of the time of all imports.
_FIRST = """
def prepare(kernel):
    import contextlib, gc, json
    from jupyter_client.jsonutil import json_default
    thread, session = kernel.iopub_thread, kernel.session
    thread.schedule(lambda: setattr(thread.socket, "sndhwm", 0))
    def pack(message, whole=session.pack):
        try:
            return whole(message)
        except UnicodeEncodeError:
            text = json.dumps(message, default=json_default, ensure_ascii=False)
            return text.encode("utf-8", "replace")
    session.pack = pack
    gc.set_threshold(50_000, 50, 50)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("800")
prepare(get_ipython().kernel)
del prepare
"""
_FILES = (
    "[module.__file__ for name, module in list(__import__('sys').modules.items())"
    " if name.split('.')[0] == 'mvlib' and getattr(module, '__file__', None)]"
)
_PR_SET_CHILD_SUBREAPER = 36
# On Linux the most memory is told in KiB.
_UNIT = 1 if sys.platform == "darwin" else 1024


class PrintedText:
    """What a cell prints: its beginning, and its end once there is too much."""

    def __init__(self, most: int = MOST_CHARACTERS) -> None:
        self.half = most // 2
        self.begun = self.ended = self.left_out = 0
        self.end: deque[tuple[str, str]] = deque()

    def take(self, stream: str, text: str) -> str:
        """Take a piece of text; return what of it belongs to the beginning."""
        beginning = "" if self.end else text[: max(0, self.half - self.begun)]
        self.begun += len(beginning) + _CHARACTERS_AN_OUTPUT
        if rest := text[len(beginning) :]:
            kept = rest[-self.half :]
            self.end.append((stream, kept))
            self.ended += len(kept) + _CHARACTERS_AN_OUTPUT
            self.left_out += len(rest) - len(kept)
            while len(self.end) > 1 and self.ended - _CHARACTERS_AN_OUTPUT > self.half:
                oldest = len(self.end.popleft()[1])
                self.ended -= oldest + _CHARACTERS_AN_OUTPUT
                self.left_out += oldest
        return beginning

    def outputs(self) -> list[Any]:
        """Return the end, as outputs to append to those of the beginning."""
        found = [
            new_output("stream", name=stream, text="".join(text for _, text in pieces))
            for stream, pieces in groupby(self.end, key=itemgetter(0))
        ]
        if self.left_out:
            found[0]["text"] = _note(self.left_out) + found[0]["text"]
        return found


def shorten(content: dict[str, Any], most: int = MOST_CHARACTERS) -> None:
    """Cut what is too long in a message's texts (its data as text, its error), in place."""
    data = content.get("data", {})
    for kind, text in data.items():
        if kind.startswith("text/") and isinstance(text, str):
            data[kind] = _shortened(text, most)
    if "traceback" in content:
        content["evalue"] = _shortened(content["evalue"], most)
        content["traceback"] = [_shortened(line, most) for line in content["traceback"]]


class RunClient(NotebookClient):
    """Jupyter's client, with `PrintedText` for each cell and a reason for a kernel's death."""

    def __init__(self, notebook: Any, sockets: Path) -> None:
        super().__init__(
            notebook,
            kernel_name="python3",
            iopub_timeout=_SECONDS_FOR_OUTPUTS,
            record_timing=False,
            # Its cells are done and their outputs are here: nothing has to end in good order.
            shutdown_kernel="immediate",
            # A kernel that is told to end while busy with nothing logs an error.
            extra_arguments=[
                "--Application.log_level=50",
                f"--IPKernelApp.exec_lines={_FIRST}",
            ],
            on_cell_executed=self._note_sources,
            config=Config({"KernelManager": {"transport": "ipc", "ip": str(sockets)}}),
        )
        self.sources: dict[str, tuple[Stamp | None, str | None]] = {}

    async def run(self) -> str | None:
        """Execute the cells; return None, or why that failed."""
        try:
            await self.async_execute()
        except CellExecutionError as error:
            message = f"{error.ename}: {error.evalue}"
            trace = error.traceback
            return trace if error.ename in trace else f"{trace}\n{message}"
        except DeadKernelError as error:
            return str(error)
        except Exception as error:
            # Whatever stops a run is that run's failure, not the runner's.
            return f"{type(error).__name__}: {error}"
        return None

    async def async_execute_cell(self, cell: Any, cell_index: int, **options: Any) -> Any:
        """Execute a cell; a kernel that dies meanwhile is a `DeadKernelError` that says how."""
        self.printed = PrintedText()
        try:
            return await super().async_execute_cell(cell, cell_index, **options)
        except DeadKernelError as error:
            raise DeadKernelError(_how_it_ended(self.km)) from error
        finally:
            if cell.get("outputs"):
                cell.outputs += self.printed.outputs()

    def process_message(self, msg: dict[str, Any], *place: Any) -> Any:
        """Process what the kernel says, cut where it is too long."""
        shorten(msg["content"])
        return super().process_message(msg, *place)

    def output(
        self, outs: list[Any], msg: dict[str, Any], display_id: str | None, cell_index: int
    ) -> Any:
        """Keep an output, or of very much printed text the beginning and the end."""
        if self.clear_before_next_output or not outs:
            # What it printed before is cleared.
            self.printed = PrintedText()
        content, hooked = msg["content"], msg["parent_header"].get("msg_id")
        if msg["msg_type"] == "stream" and not self.output_hook_stack[hooked]:
            content["text"] = self.printed.take(content["name"], content["text"])
            if not content["text"]:
                return None
        return super().output(outs, msg, display_id, cell_index)

    async def _note_sources(self, **_: Any) -> None:
        asked = self.kc.execute("", silent=True, user_expressions={"files": _FILES})
        reply = await self.async_wait_for_reply(asked)
        files = reply["content"]["user_expressions"]["files"]["data"]["text/plain"]
        for name in package_files(ast.literal_eval(files)):
            if name not in self.sources:
                self.sources[name] = (stamp_of(name), checksum_of(name))


def main() -> None:
    """Execute the notebook of a run's folder."""
    folder = Path(sys.argv[1])
    threading.Thread(target=_end_with_runner, args=[folder], daemon=True).start()
    if sys.platform == "linux":
        # What the kernel starts in a session of its own stays below this process.
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # What concerns the reader is in the notebook.
    warnings.simplefilter("ignore")
    logging.disable()
    client = RunClient(nbformat.read(folder / GIVEN, as_version=4), folder / "kernel")
    failure = asyncio.run(client.run())
    nbformat.write(client.nb, folder / EXECUTED)
    kill_children()
    # That of the kernel, which has ended.
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = {
        "failure": failure,
        "sources": client.sources,
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 3),
        "peak_memory_bytes": usage.ru_maxrss * _UNIT,
    }
    (folder / OUTCOME).write_text(json.dumps(said), encoding="utf-8")


def kill_children() -> None:
    """Kill all that this process has started, and what that has."""
    with contextlib.suppress(psutil.Error, OSError):
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()


def _end_with_runner(folder: Path) -> None:
    while os.read(0, 1024):
        pass
    kill_children()
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def _how_it_ended(manager: Any) -> str:
    process = getattr(manager.provisioner, "process", None)
    code = None if process is None else process.poll()
    if code is None or code == -signal.SIGKILL:
        return KERNEL_DIED
    if code < 0:
        return f"its kernel died of {signal.Signals(-code).name}"
    return f"its kernel ended, with exit code {code}, before its cells had"


def _shortened(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}{_note(len(text) - 2 * half)}{text[-half:]}"


def _note(left_out: int) -> str:
    return f"\n[{left_out:,} characters left out here: the beginning and the end are kept]\n"


if __name__ == "__main__":
    main()
