"""Storing what the quick runs put out in the committed notebooks."""

from __future__ import annotations

from pathlib import Path

from mvlib.book.notebooks import shown_records
from mvlib.files import project_root, write_text


def store_outputs(root: Path | None = None) -> list[Path]:
    """Put the outputs of the last quick runs into the committed notebooks."""
    import nbformat

    from mvlib.records.recorder import RESULTS_MIME

    root = root or project_root()
    records = shown_records(root)
    changed = []
    for path in sorted((root / "notebooks").glob("*/*.ipynb")):
        name = path.relative_to(root).as_posix()
        if name not in records:
            raise ValueError(f"{name} has no current quick run: expected one, from `mvlib run`")
        notebook = nbformat.read(path, as_version=4)
        executed = nbformat.read(root / records[name][0]["executed"], as_version=4)
        ran = [
            cell
            for cell in executed.cells
            if cell.cell_type == "code"
            and "injected-parameters" not in cell.metadata.get("tags", [])
        ]
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        if [cell.source for cell in code] != [cell.source for cell in ran]:
            raise ValueError(f"{name} has other code than its last run: expected the same")
        for number, (cell, done) in enumerate(zip(code, ran, strict=True), start=1):
            cell.execution_count = number
            cell.outputs = done.outputs
            for output in cell.outputs:
                output.get("data", {}).pop(RESULTS_MIME, None)
                if "execution_count" in output:
                    output.execution_count = number
        text = nbformat.writes(notebook) + "\n"
        if text != path.read_text(encoding="utf-8"):
            write_text(path, text)
            changed.append(path)
    return changed
