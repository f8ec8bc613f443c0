"""Executed notebooks: the results in them, and their prose kept up to date."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mvlib.files import check_list, read_json, shorten, write_text
from mvlib.records.keys import code_cells
from mvlib.records.plan import PlannedRun
from mvlib.records.recorder import RESULTS_MIME

# What a terminal obeys: sequences (CSI, OSC and their like), then any other control character.
_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b[P^_\]X]|[\x90\x9d-\x9f])[^\x07\x1b\x9c]*"
    r"(?:\x07|\x1b\\|\x9c)?|\x1b[ -/]*[0-~]"
)
_CONTROLS = re.compile(r"[^\S \n\t]|[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_TAIL_LINES = 30
_LONGEST_LINE = 1000


def results_in(notebook: Mapping[str, Any], run: Mapping[str, str]) -> dict[str, Any]:
    """Return what `Recorder.finish` left in an executed notebook."""
    found = [
        output["data"][RESULTS_MIME]
        for cell in notebook["cells"]
        for output in cell.get("outputs", [])
        if RESULTS_MIME in output.get("data", {})
    ]
    if not found:
        raise ValueError(
            "the notebook ended without results: expected its last cell to call "
            "Recorder.finish()"
        )
    if not isinstance(found[-1], dict) or not isinstance(found[-1].get("results"), list):
        raise ValueError(
            "the notebook's results are not what Recorder.finish() writes: expected nothing "
            f"else under {RESULTS_MIME}"
        )
    for name in ("paper", "experiment", "profile"):
        if found[-1].get(name) != run[name]:
            raise ValueError(
                f"the notebook's results are of {name} "
                f"{shorten(repr(found[-1].get(name)))}: expected "
                f"{run[name]!r}; look at what it passes to Recorder"
            )
    return found[-1]


def plain_error(text: str, root: Path) -> str:
    """Return the end of an error's text: no colours, no controls, no places of this machine."""
    text = _CONTROLS.sub("?", _SEQUENCES.sub("", text.replace("\r\n", "\n")))
    places = {
        str(root): ".",
        sys.prefix: "<python>",
        sys.base_prefix: "<python>",
        tempfile.gettempdir(): "<temporary>",
        str(Path.home()): "~",
    }
    for place in sorted(places, key=len, reverse=True):
        if len(place) > 1:
            text = text.replace(place, places[place])
    lines = text.strip().splitlines()[-_TAIL_LINES:]
    return "\n".join(line[:_LONGEST_LINE] for line in lines) or "no message"


def refresh_prose(run: PlannedRun, root: Path) -> None:
    """Give an executed notebook the prose that its source has now."""
    executed = root / run.executed
    try:
        done, source = _read_notebook(executed), _read_notebook(root / run.notebook)
    except (OSError, ValueError):
        # Those who show it say so.
        return
    ran = [cell for cell in done["cells"] if cell["cell_type"] == "code"]
    cells: list[Any] = []
    for cell in source["cells"]:
        if cell["cell_type"] != "code":
            cells.append(cell)
            continue
        while ran and _is_injected(ran[0]):
            cells.append(ran.pop(0))
        if not ran:
            return
        cells.append(ran.pop(0))
    if [_text(cell) for cell in cells] == [_text(cell) for cell in done["cells"]]:
        return
    done["cells"] = cells + ran
    write_text(executed, json.dumps(done, indent=1, ensure_ascii=False) + "\n")


def _read_notebook(path: Path) -> dict[str, Any]:
    code_cells(path)
    content = read_json(path)
    for number, cell in enumerate(content["cells"]):
        if not isinstance(cell.get("source"), str):
            check_list(f"{path.name}: cells/{number}/source", cell.get("source"), str)
    return content


def _is_injected(cell: Mapping[str, Any]) -> bool:
    return "injected-parameters" in cell.get("metadata", {}).get("tags", [])


def _text(cell: Mapping[str, Any]) -> tuple[str, str]:
    return cell["cell_type"], "".join(cell["source"])
