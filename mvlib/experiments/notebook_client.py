"""Executing a notebook's cells: what they print is bounded, and a kernel's end is explained."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import papermill
from jupyter_client.asynchronous import AsyncKernelClient
from jupyter_client.channels import AsyncZMQSocketChannel
from nbclient.exceptions import DeadKernelError
from nbformat.v4 import new_output
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from traitlets import Type
from traitlets.config import Config

_ENGINE = "mvlib"
KERNEL_DIED = "its kernel died, perhaps for want of memory"
MOST_CHARACTERS = 1_000_000
# What one more output costs the notebook's file, however little it holds.
_CHARACTERS_AN_OUTPUT = 100
# Jupyter waits that long for outputs after a cell's end. Its own 4 s are too short for many.
_SECONDS_FOR_OUTPUTS = 600
_SECONDS_OF_SILENCE = 0.02
# ZeroMQ drops what waits in a longer queue, and a notebook's results are among its outputs.
_KEEP_ALL_MESSAGES = (
    "(lambda thread: thread.schedule(lambda: setattr(thread.socket, 'sndhwm', 0)))"
    "(get_ipython().kernel.iopub_thread)"
)


def execute_notebook(
    notebook: str, written: Path, parameters: Mapping[str, Any], sockets: Path
) -> None:
    """Execute a notebook with papermill.

    Parameters
    ----------
    notebook : str
        Its path.
    written : Path
        Where the executed one goes, after each cell.
    parameters : mapping
        Of the notebook.
    sockets : Path
        How the names of the kernel's sockets begin: no ports to race for, nothing over TCP.

    Raises
    ------
    papermill.PapermillExecutionError
        If a cell raises.
    DeadKernelError
        If the kernel ends before its cells have; it says how.
    """
    arguments = [
        # A kernel that is told to end while busy with nothing logs an error.
        "--Application.log_level=50",
        f"--IPKernelApp.exec_lines={_KEEP_ALL_MESSAGES}",
    ]
    config = {
        "KernelManager": {"transport": "ipc", "ip": str(sockets)},
        "AsyncKernelManager": {"client_factory": PromptClient},
        # Its cells are done and their outputs have come: it has nothing to end in good order.
        "NotebookClient": {"extra_arguments": arguments, "shutdown_kernel": "immediate"},
    }
    papermill.execute_notebook(
        notebook,
        str(written),
        parameters=parameters,
        engine_name=_ENGINE,
        kernel_name="python3",
        progress_bar=False,
        config=Config(config),
    )


class PromptChannel(AsyncZMQSocketChannel):
    """A kernel's outputs; a bounded wait for one is short.

    Jupyter's client listens for a fifth of a second before the first cell, lest an output of
    the kernel's start be taken for a cell's; nbclient goes by whose output it is.
    """

    async def get_msg(self, timeout: float | None = None) -> dict[str, Any]:
        """Return the next message; wait for ever without a timeout."""
        return await super().get_msg(timeout and min(timeout, _SECONDS_OF_SILENCE))


class PromptClient(AsyncKernelClient):
    """Jupyter's client of a kernel, with a `PromptChannel`."""

    iopub_channel_class = Type(PromptChannel)


class PrintedText:
    """What a cell prints: its beginning, and its end once there is too much.

    Parameters
    ----------
    most : int, default=1,000,000
        Characters to keep: half from the beginning, half from the end.
    """

    def __init__(self, most: int = MOST_CHARACTERS) -> None:
        self.half = most // 2
        self.clear()

    def clear(self) -> None:
        """Forget everything, as a cell that clears its output asks for."""
        self.begun = self.ended = self.left_out = 0
        self.full = False
        self.end: deque[tuple[str, str]] = deque()

    def take(self, stream: str, text: str) -> str:
        """Take a piece of text; return what of it belongs to the beginning."""
        beginning = "" if self.full else text[: max(0, self.half - self.begun)]
        self.begun += len(beginning) + _CHARACTERS_AN_OUTPUT
        if rest := text[len(beginning) :]:
            self.full = True
            self.left_out += max(0, len(rest) - self.half)
            self._append(stream, rest[-self.half :])
        return beginning

    def _append(self, stream: str, text: str) -> None:
        self.end.append((stream, text))
        self.ended += len(text) + _CHARACTERS_AN_OUTPUT
        while self.ended - _CHARACTERS_AN_OUTPUT > self.half and len(self.end) > 1:
            _, oldest = self.end.popleft()
            self.ended -= len(oldest) + _CHARACTERS_AN_OUTPUT
            self.left_out += len(oldest)

    def outputs(self) -> list[Any]:
        """Return the end, as outputs to append to those of the beginning."""
        found: list[Any] = []
        for stream, text in self.end:
            if not found or found[-1]["name"] != stream:
                found.append(new_output("stream", name=stream, text=[]))
            found[-1]["text"].append(text)
        for output in found:
            output["text"] = "".join(output["text"])
        if found and self.left_out:
            found[0]["text"] = f"{_note(self.left_out)}{found[0]['text']}"
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


class RunClient(PapermillNotebookClient):
    """Papermill's client, with `PrintedText` for each cell."""

    def execute_cell(self, cell: Any, cell_index: int, **options: Any) -> Any:
        """Execute a cell; a kernel that dies meanwhile is a `DeadKernelError` that says how."""
        self.printed = PrintedText()
        try:
            return super().execute_cell(cell, cell_index, **options)
        except DeadKernelError as error:
            raise DeadKernelError(_how_it_ended(self.km)) from error
        finally:
            if rest := self.printed.outputs():
                cell.outputs += rest

    def process_message(self, msg: dict[str, Any], *place: Any) -> Any:
        """Process what the kernel says."""
        shorten(msg["content"])
        return super().process_message(msg, *place)

    def output(
        self, outs: list[Any], msg: dict[str, Any], display_id: str | None, cell_index: int
    ) -> Any:
        """Keep an output, or of very much printed text the beginning and the end."""
        hooked = self.output_hook_stack[msg["parent_header"].get("msg_id")]
        if msg["msg_type"] == "stream" and not hooked:
            if self.clear_before_next_output:
                self.printed.clear()
            content = msg["content"]
            content["text"] = self.printed.take(content["name"], content["text"])
            if not content["text"]:
                return None
        return super().output(outs, msg, display_id, cell_index)

    def clear_output(self, outs: list[Any], msg: dict[str, Any], cell_index: int) -> None:
        """Clear a cell's outputs."""
        super().clear_output(outs, msg, cell_index)
        if not msg["content"].get("wait"):
            self.printed.clear()


class RunEngine(NBClientEngine):
    """Papermill's engine with `RunClient`."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> Any:
        """Execute the notebook that `nb_man` holds."""
        return RunClient(
            nb_man,
            kernel_name=kernel_name,
            startup_timeout=options["start_timeout"],
            iopub_timeout=_SECONDS_FOR_OUTPUTS,
            config=options["config"],
        ).execute()


papermill_engines.register(_ENGINE, RunEngine)


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
