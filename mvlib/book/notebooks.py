"""A notebook's page: the executed copy of its last run, made fit to read."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from mvlib.book.pages import code, describe_parameters
from mvlib.book.placeholders import fill
from mvlib.check import check_choice
from mvlib.files import project_root, quick_jsonschema, write_text
from mvlib.records import load_records, plan_runs, staleness
from mvlib.records.keys import is_injected, merged_cells
from mvlib.records.recorder import RESULTS_MIME
from mvlib.records.tables import inert

quick_jsonschema()

import nbformat  # noqa: E402

# What a reader may take with him: every notebook as it is committed.
ALL_NOTEBOOKS = "book/notebooks.zip"
_IMAGES = ("image/png", "image/svg+xml", "image/jpeg")


def shown_records(root: Path) -> dict[str, list[dict[str, Any]]]:
    """Return for each notebook the records of its current quick runs, the one shown first."""
    found: dict[str, list[dict[str, Any]]] = {}
    records = load_records(profile="quick", root=root)
    for record in sorted(records, key=lambda record: record["started"], reverse=True):
        if (
            record["status"] == "ok"
            and (root / record["executed"]).exists()
            and staleness(record, root) == "current"
        ):
            found.setdefault(record["notebook"], []).append(record)
    order = {run.cell: place for place, run in enumerate(plan_runs("quick", root=root))}
    for several in found.values():
        several.sort(key=lambda record: order.get(record["cell"], len(order)))
    return found


def method_records(
    root: Path, shown: dict[str, list[dict[str, Any]]]
) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Return the records of each method that the quick plan gives to a notebook."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    first: dict[str, str] = {}
    for run in plan_runs("quick", root=root):
        if method := run.parameters.get("method"):
            records = shown.get(run.notebook, [])
            own = [record for record in records if record["parameters"].get("method") == method]
            if first.setdefault(run.notebook, method) == method or own:
                found[run.notebook, method] = own
    return found


def stage_notebook(
    root: Path,
    notebook: Path,
    records: list[dict[str, Any]],
    target: Path,
    title: str | None = None,
    above: str = "",
) -> None:
    """Write the page of one notebook; one of a method has its own title, and text above it."""
    page = nbformat.read(notebook, as_version=4)
    if records:
        executed = nbformat.read(root / records[0]["executed"], as_version=4)
        executed.cells = merged_cells(page, executed) or executed.cells
        page = executed
    for cell in page.cells:
        if cell.cell_type == "markdown":
            cell.source = fill(cell.source, root)
        for output in cell.get("outputs", []):
            # For the runner, not for the reader.
            output.get("data", {}).pop(RESULTS_MIME, None)
        if _is_machinery(cell) and "hide-input" not in cell.metadata.get("tags", []):
            cell.metadata["tags"] = [*cell.metadata.get("tags", []), "hide-input"]
        _describe_images(cell)
    _set_captions(page.cells)
    if title is not None:
        head = next(
            cell
            for cell in page.cells
            if cell.cell_type == "markdown" and cell.source.lstrip()[:2] == "# "
        )
        _, _, rest = head.source.partition("\n")
        head.source = f"# {title}\n\n{above}\n\n## A run\n{rest}"
    name = notebook.relative_to(root).as_posix()
    planned = (run for run in plan_runs("quick", root=root) if run.notebook == name)
    again = next((f"{run.paper}/{run.experiment}" for run in planned), None)
    page.cells.append(_origin(records, target.name, again))
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(page, target)


def zip_notebooks(root: Path, target: Path) -> None:
    """Put all notebooks into one file, the same for the same notebooks."""
    with ZipFile(target, "w") as packed:
        for path in sorted((root / "notebooks").glob("*/*.ipynb")):
            # Of the format's first day: a file's own day would change the book.
            entry = ZipInfo(path.relative_to(root).as_posix())
            packed.writestr(entry, path.read_bytes(), ZIP_DEFLATED)


def _is_machinery(cell: Any) -> bool:
    """Return whether a cell sets the page up or ends it, and tells its reader nothing."""
    if cell.cell_type != "code":
        return False
    set_up = cell.source.startswith(("import ", "from ")) or cell.source == "recorder.finish()"
    return set_up or is_injected(cell) or "parameters" in cell.metadata.get("tags", [])


def _origin(records: list[dict[str, Any]], page: str, again: str | None) -> Any:
    if not records:
        text = (
            "This page shows the outputs committed with the notebook, those of its **quick** "
            "profile. No run of the present sources is at hand here."
        )
    else:
        shown, *others = records
        text = (
            f"This page shows the last run here: **{shown['profile']}** profile, "
            f"{describe_parameters(shown)}; {shown['started'][:16].replace('T', ' ')} UTC, "
            f"{shown['wall_seconds']:.0f} s on {inert(shown['device'])}."
        )
        text += "".join(
            f" It also ran with {describe_parameters(other)}: {code(other['executed'])}."
            for other in others
        )
    text += f" Again: `mvlib run {again}`." if again else ""
    text += (
        f" To change it: {{download}}`download this notebook "
        f"<{page}>`, or {{download}}`all of them <../../{ALL_NOTEBOOKS}>`."
    )
    cell = nbformat.v4.new_markdown_cell(f":::{{note}}\n:class: origin\n{text}\n:::")
    # The id is random otherwise, and an unchanged book would be built again.
    cell["id"] = "origin"
    return cell


def _describe_images(cell: Any) -> None:
    """Give the images of a cell the alternative text that its outputs carry."""
    texts: dict[str, None] = {}
    for output in cell.get("outputs", []):
        metadata = output.get("metadata", {})
        for kind in [kind for kind in _IMAGES if kind in output.get("data", {})][:1]:
            if text := metadata.get("alt") or metadata.get(kind, {}).get("alt"):
                texts[text] = None
    if texts:
        image = cell.metadata.setdefault("mystnb", {}).setdefault("image", {})
        image.setdefault("alt", " ".join(texts))


def _set_captions(cells: list[Any]) -> None:
    """Make the caption below a figure the figure's own; a download keeps it as it stands."""
    for figure, caption in pairwise(cells):
        if "caption" in caption.metadata.get("tags", []):
            figure.metadata.setdefault("mystnb", {})["figure"] = {"caption": caption.source}
            caption.metadata["tags"] = ["caption", "remove-cell"]


def store_outputs(only: Sequence[str] = (), root: Path | None = None) -> list[Path]:
    """Put the last quick runs' outputs into the committed notebooks, or into `only` these."""
    root = root or project_root()
    records, changed = shown_records(root), []
    paths = sorted((root / "notebooks").glob("*/*.ipynb"))
    known = {f"{path.parent.name}/{path.stem}": path for path in paths}
    for notebook in only or known:
        path = known[check_choice("notebook", notebook, known)]
        name = path.relative_to(root).as_posix()
        if name not in records:
            raise ValueError(f"{name} has no current quick run: expected one, from `mvlib run`")
        notebook = nbformat.read(path, as_version=4)
        executed = nbformat.read(root / records[name][0]["executed"], as_version=4)
        code, ran = (
            [cell for cell in page.cells if cell.cell_type == "code" and not is_injected(cell)]
            for page in (notebook, executed)
        )
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
