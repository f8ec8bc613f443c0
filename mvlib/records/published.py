"""What the papers claim, each number with its source class and where it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from mvlib.check import check_choice
from mvlib.records.plan import read_of_paper


def load_published(paper: str, root: Path | None = None) -> list[dict[str, Any]]:
    """Return a paper's published numbers, one a row and metric."""
    from mvlib import data

    name, content = read_of_paper(paper, "published", root)
    rows, ids = [], set()
    for row in chain.from_iterable(map(_single, content.get("row", ()))):
        if row["id"] in ids:
            raise ValueError(f"{name}: id={row['id']!r} stands twice: expected it once")
        ids.add(row["id"])
        check_choice(f"{name}, {row['id']}: dataset", row["dataset"], data.all_names())
        shared = {key: row[key] for key in row if key not in ("values", "addends")}
        for metric, value in row["values"].items():
            addends = row.get("addends", {}).get(metric)
            own = {"metric": metric, "value": value, "addends": addends}
            rows.append({"paper": paper, "reason": None, "needs": None, **shared, **own})
    return rows


def published_text(row: Mapping[str, Any]) -> str:
    """Return a row's value as printed, or as the sum that it is: `53.1 (48.9 + 4.2)`."""
    value, *parts = (
        f"{number:.{row['digits']}f}" for number in (row["value"], *(row["addends"] or ()))
    )
    return f"{value} ({' + '.join(parts)})" if parts else value


def load_claims(paper: str, root: Path | None = None) -> list[dict[str, Any]]:
    """Return the sentences of a paper that no table can hold."""
    return list(read_of_paper(paper, "published", root)[1].get("claim", ()))


def _single(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a row a data set of what may be a whole row of a printed table."""
    cells = row.get("cells")
    if cells is None:
        yield row
        return
    shared = {key: row[key] for key in row if key != "cells"}
    for dataset, values in cells.items():
        yield {**shared, "id": f"{row['id']}-{dataset}", "dataset": dataset, "values": values}
