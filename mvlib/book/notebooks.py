"""A notebook's page: the executed copy of its last run, made fit to read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mvlib.book.markdown import code, describe_parameters
from mvlib.records.tables import inert

_IMAGES = ("image/png", "image/svg+xml", "image/jpeg")


def shown_records(root: Path) -> dict[str, list[dict[str, Any]]]:
    """Return for each notebook the records of its current quick runs, the one shown first."""
    from mvlib.records import load_records, plan_runs, staleness

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
    from mvlib.records import plan_runs

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
) -> None:
    """Write the page of one notebook."""
    import nbformat

    from mvlib.records.recorder import RESULTS_MIME

    page = nbformat.read(notebook, as_version=4)
    if records:
        page = _merge(page, nbformat.read(root / records[0]["executed"], as_version=4))
    for cell in page.cells:
        for output in cell.get("outputs", []):
            # For the runner, not for the reader.
            output.get("data", {}).pop(RESULTS_MIME, None)
        _hide_injected(cell)
        _describe_images(cell)
    place = _first_heading(page.cells)
    if title is not None:
        _, _, rest = page.cells[place].source.partition("\n")
        page.cells[place].source = f"# {title}\n{rest}"
    page.cells.insert(place + 1, _origin(records))
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(page, target)


def _merge(committed: Any, executed: Any) -> Any:
    """Return the committed prose with the executed code cells and their outputs."""
    ran = [cell for cell in executed.cells if cell.cell_type == "code"]
    own = [cell for cell in ran if not _is_injected(cell)]
    sources = [cell.source for cell in committed.cells if cell.cell_type == "code"]
    if [cell.source for cell in own] != sources:
        return executed
    cells: list[Any] = []
    for cell in committed.cells:
        if cell.cell_type != "code":
            cells.append(cell)
            continue
        while _is_injected(ran[0]):
            cells.append(ran.pop(0))
        done = ran.pop(0)
        done.metadata = cell.metadata
        cells.append(done)
    executed.cells = cells
    return executed


def _is_injected(cell: Any) -> bool:
    return "injected-parameters" in cell.metadata.get("tags", [])


def _first_heading(cells: list[Any]) -> int:
    for number, cell in enumerate(cells):
        if cell.cell_type == "markdown" and cell.source.lstrip().startswith("# "):
            return number
    return -1


def _origin(records: list[dict[str, Any]]) -> Any:
    import nbformat

    if not records:
        text = (
            "This page shows the outputs committed with the notebook, those of its **quick** "
            "profile. No run of the present sources is at hand here; `make reproduce` makes "
            "one."
        )
    else:
        shown, *others = records
        text = (
            f"This page shows the last run here: **{shown['profile']}** profile, "
            f"{describe_parameters(shown)}; {shown['started'][:16].replace('T', ' ')} UTC, "
            f"{shown['wall_seconds']:.0f} s on {inert(shown['device'])}."
        )
        for other in others:
            text += (
                f" It also ran with {describe_parameters(other)}: {code(other['executed'])}."
            )
    cell = nbformat.v4.new_markdown_cell(f":::{{note}}\n:class: origin\n{text}\n:::")
    # The id is random otherwise, and an unchanged book would be built again.
    cell["id"] = "origin"
    return cell


def _hide_injected(cell: Any) -> None:
    if _is_injected(cell):
        cell.metadata["tags"] = [*cell.metadata["tags"], "hide-input"]


def _describe_images(cell: Any) -> None:
    """Give the images of a cell the alternative text that its outputs carry."""
    texts = []
    for output in cell.get("outputs", []):
        kind = next((kind for kind in _IMAGES if kind in output.get("data", {})), None)
        if kind is None:
            continue
        metadata = output.get("metadata", {})
        text = metadata.get("alt") or metadata.get(kind, {}).get("alt")
        if text and text not in texts:
            texts.append(text)
    if not texts:
        return
    image = cell.metadata.setdefault("mystnb", {}).setdefault("image", {})
    image.setdefault("alt", " ".join(texts))
