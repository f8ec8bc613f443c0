"""Widgets: what a page holds of one, so that nothing is loaded and none needs scripts."""

from __future__ import annotations

import json
import re
from pathlib import Path

from mvlib.check import check_choice

_SAID = re.compile(r'aria-label="([^"]*)"')


def widget(root: Path, name: str) -> str:
    """Return a widget's place, still picture, data and script, from a page beside `_static`."""
    scripts = root / "book" / "_static" / "widgets"
    known = sorted(path.stem for path in scripts.glob("*.svg"))
    check_choice("widget", name, known)
    said = _SAID.search((scripts / f"{name}.svg").read_text(encoding="utf-8"))
    data = json.loads((root / "book" / "widgets" / f"{name}.json").read_text(encoding="utf-8"))
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return (
        f'<div class="widget" id="widget-{name}">'
        f'<img src="../_static/widgets/{name}.svg" alt="{said[1] if said else ""}"></div>\n'
        f'<script type="application/json" id="data-{name}">{text}</script>\n'
        f'<script src="../_static/widgets/{name}.js"></script>'
    )
