"""Tables as GitHub and MyST markdown."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_ACTIVE = (
    (re.compile(r"<(?=[A-Za-z/!?])"), "&lt;"),
    (re.compile(r"\](?=[(\[])"), r"\\]"),
    (re.compile(r"\}(?=`)"), r"\\}"),
    (re.compile(r"\{(?=\{)"), r"\\{"),
)


def to_markdown(df: pd.DataFrame, decimals: int = 2) -> str:
    """Return a table as pipe-separated markdown."""
    if df.empty:
        return "*Nothing is recorded yet.*"

    def line(cells: list[str]) -> str:
        return f"| {' | '.join(cells)} |"

    numeric = [df[name].map(_is_number_or_missing).all() for name in df.columns]
    lines = [line([_text(name, decimals) for name in df.columns])]
    lines.append(line(["---:" if right else "---" for right in numeric]))
    for row in df.itertuples(index=False, name=None):
        lines.append(line([_text(value, decimals) for value in row]))
    return "\n".join(lines)


def _is_missing(value: Any) -> bool:
    # pandas' NA does not compare, and is no float.
    return value is None or type(value).__name__ in ("NAType", "NaTType") or value != value


def _is_number_or_missing(value: Any) -> bool:
    if _is_missing(value):
        return True
    return hasattr(value, "__float__") and not isinstance(value, str | bool)


def _text(value: Any, decimals: int) -> str:
    if _is_missing(value):
        return ""
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.{decimals}f}"
    return inert(" ".join(str(value).split())).replace("|", "\\|")


def inert(text: str) -> str:
    """Return text from a record in which Markdown finds no HTML, link, role or template."""
    for pattern, instead in _ACTIVE:
        text = pattern.sub(instead, text)
    return text
