"""Small plots as SVG: in the page's colours, sharp at any size, each dot says what it is."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Collection, Iterable, Mapping
from html import escape

import pandas as pd
from matplotlib.ticker import MaxNLocator

# So wide that two stand side by side in a page's column and one fills a phone's.
WIDTH = 328
_TITLE, _LINE, _ROW = 30, 14, 36
_KINDS = ("strong", "rival", "third")


class _Plot:
    """A plot that is being written: the scales of its two axes, and its marks."""

    def __init__(
        self,
        title: str,
        box: tuple[float, float, float, float],
        x: tuple[float, float],
        y: tuple[float, float],
    ) -> None:
        self.box, self.limits = box, (x, y)
        self.marks: list[str] = []
        self.text(0, 15, title, "title", "start")

    def x(self, value: float) -> float:
        (left, right), (low, high) = self.box[::2], self.limits[0]
        return left + (right - left) * (value - low) / (high - low)

    def y(self, value: float) -> float:
        (top, bottom), (low, high) = self.box[1::2], self.limits[1]
        return bottom - (bottom - top) * (value - low) / (high - low)

    def text(self, x: float, y: float, words: str, kind: str, anchor: str = "middle") -> None:
        place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
        self.marks.append(f'<text class="{kind}" {place}>{escape(words)}</text>')

    def line(self, points: Iterable[tuple[float, float]], kind: str, hover: str = "") -> None:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._mark("polyline", kind, f'points="{path}"', hover)

    def dot(self, x: float, y: float, kind: str, hover: str) -> None:
        self._mark("circle", kind, f'cx="{x:.1f}" cy="{y:.1f}" r="3.5"', hover)

    def bar(self, x: float, width: float, ends: tuple[float, float], kind: str, hover: str):
        low, high = sorted(ends)
        place = f'x="{x:.1f}" y="{low:.1f}" width="{width:.1f}" height="{high - low:.1f}"'
        self._mark("rect", kind, place, hover)

    def _mark(self, shape: str, kind: str, place: str, hover: str) -> None:
        told = f"<title>{escape(hover)}</title>" if hover else ""
        self.marks.append(f'<{shape} class="{kind}" {place}>{told}</{shape}>')

    def axis_below(self, label: str, ticks: Mapping[float, str]) -> None:
        left, top, right, bottom = self.box
        for value, words in ticks.items():
            self.line([(self.x(value), top), (self.x(value), bottom)], "grid")
            self.text(self.x(value), bottom + _LINE, words, "tick")
        self.text((left + right) / 2, bottom + 2 * _LINE + 2, label, "label")

    def axis_left(self, label: str, ticks: Mapping[float, str]) -> None:
        left, top, right, _ = self.box
        for value, words in ticks.items():
            self.line([(left, self.y(value)), (right, self.y(value))], "grid")
            self.text(left - 5, self.y(value) + 4, words, "tick", "end")
        self.text(0, top - 5, label, "label", "start")

    def written(self, alt: str) -> str:
        height = self.box[3] + 2 * _LINE + 8
        size = f'viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" height="{height:.0f}"'
        label = escape(" ".join(alt.split()))
        head = f'<svg class="recorded" role="img" aria-label="{label}" {size}>'
        return f"{head}{''.join(self.marks)}</svg>"


def strips(
    title: str,
    rows: Mapping[str, pd.Series],
    label: str = "ACC (%)",
    strong: Collection[str] = (),
    lines: Mapping[str, float] | None = None,
    limits: tuple[float, float] | None = None,
    signed: bool = False,
    digits: int = 1,
) -> str:
    """Draw each value as a dot, a row a group with its mean, and levels as dotted lines.

    A series' index says what a dot is. `strong` names the rows that the page is about.
    """
    lines = lines or {}
    values = [*pd.concat(rows.values()), *lines.values()]
    low, high = limits or _limits(values, zero=signed)
    top = _TITLE + (_LINE if lines else 0)
    box = (4, top, WIDTH - 6, top + _ROW * len(rows))
    plot = _Plot(title, box, (low, high), (0, 1))
    plot.axis_below(label, _ticks(low, high, "+g" if signed else "g"))
    if signed:
        plot.line([(plot.x(0), top), (plot.x(0), box[3])], "zero")
    for name, value in lines.items():
        place = plot.x(value)
        plot.line([(place, top), (place, box[3])], "level", f"{name}: {value:.{digits}f}")
        anchor = "end" if place > WIDTH * 0.6 else "start" if place < WIDTH * 0.3 else "middle"
        plot.text(place, top - 3, f"{name} {value:.{digits}f}", "tick", anchor)
    sign = "+" if signed else ""
    for number, (name, series) in enumerate(rows.items()):
        kind = "strong" if name in strong or not strong else "context"
        y = top + _ROW * number
        mean = series.mean()
        plot.text(4, y + 13, name, "row", "start")
        plot.text(WIDTH - 6, y + 13, f"{mean:{sign}.{digits}f}", "value", "end")
        for hover, value in series.items():
            told = f"{name}, {hover}: {value:{sign}.{digits}f}"
            plot.dot(plot.x(value), y + 24, kind, told)
        told = f"{name}, mean of {len(series)}: {mean:{sign}.{digits}f}"
        plot.line([(plot.x(mean), y + 17), (plot.x(mean), y + 31)], f"mean {kind}", told)
    means = "; ".join(f"{name} {s.mean():{sign}.{digits}f}" for name, s in rows.items())
    levels = "".join(f"; {name} {value:.{digits}f}" for name, value in lines.items())
    return plot.written(f"{title}, {label}. Means: {means}{levels}.")


def trend(
    title: str,
    lines: Mapping[str, Mapping[float, pd.Series]],
    label_x: str,
    label_y: str = "ACC (%)",
    levels: Mapping[str, float] | None = None,
    limits: tuple[float, float] | None = None,
    percent: bool = False,
) -> str:
    """Draw means against a setting, a line a kind named at its end, and each value as a dot.

    The first line is the one that the page is about; the settings stand at equal distances.
    """
    levels = levels or {}
    settings = sorted({setting for line in lines.values() for setting in line})
    found = [value for line in lines.values() for s in line.values() for value in s]
    low, high = limits or _limits([*found, *levels.values()])
    names = [*lines, *levels]
    # The bold name of the first line is the widest.
    room = 12 + 7.4 * max(map(len, names))
    box = (30, _TITLE + _LINE, WIDTH - min(room, 145), 200)
    plot = _Plot(title, box, (-0.2, len(settings) - 0.8), (low, high))
    plot.axis_left(label_y, _ticks(low, high))
    shown = [f"{100 * value if percent else value:g}" for value in settings]
    # As many as have room, the last among them.
    needed = len(shown) * (7 * max(map(len, shown)) + 5)
    step = math.ceil(needed / (box[2] - box[0]))
    ticks = {n: words for n, words in enumerate(shown) if (len(shown) - 1 - n) % step == 0}
    plot.axis_below(f"{label_x} (%)" if percent else label_x, ticks)
    ends = {}
    for name, value in levels.items():
        y = plot.y(value)
        plot.line([(box[0], y), (box[2], y)], "level", f"{name}: {value:.1f}")
        ends[name] = (y, "tick")
    for number, (name, line) in enumerate(lines.items()):
        kind = _KINDS[number] if number < len(_KINDS) else "context"
        path = []
        for setting, series in sorted(line.items()):
            nth = settings.index(setting)
            place, at = plot.x(nth), f"{shown[nth]}{'%' if percent else ''}"
            path.append((place, plot.y(series.mean())))
            for hover, value in series.items():
                plot.dot(place, plot.y(value), kind, f"{name}, {at}, {hover}: {value:.1f}")
        plot.line(path, f"path {kind}", name)
        ends[name] = (path[-1][1], f"end {kind}")
    _name_ends(plot, ends)
    told = "; ".join(
        f"{name} from {line[min(line)].mean():.1f} to {line[max(line)].mean():.1f}"
        for name, line in lines.items()
    )
    told += "".join(f"; {name} {value:.1f}" for name, value in levels.items())
    return plot.written(f"{title}: {label_y} against {label_x}. {told}.")


def waterfall(
    title: str,
    steps: Mapping[str, float],
    floor: tuple[str, float],
    limits: tuple[float, float],
    before: tuple[str, float] | None = None,
) -> str:
    """Draw what each step adds to a first value, a floor as a dotted line.

    `before` is a first value of other seeds than the steps': it is drawn, and nothing added.
    """
    low, high = limits
    box = (30, _TITLE + _LINE, WIDTH - 4, 200)
    bars = ([before] if before else []) + list(steps.items())
    plot = _Plot(title, box, (0, len(bars)), (low, high))
    plot.axis_left("ACC (%)", _ticks(low, high))
    last = None
    for number, (name, value) in enumerate(bars):
        start, width = plot.x(number + 0.14), plot.x(0.72) - plot.x(0)
        aside, first = before is not None and number == 0, last is None
        origin = low if first else last
        kind = "aside" if aside else "context" if first else "gain" if value >= last else "loss"
        said = f"{value:.1f}" if first else f"{value - last:+.1f}"
        ends = (plot.y(origin), plot.y(value))
        plot.bar(start, width, ends, f"bar {kind}", f"{name}: {value:.1f}")
        plot.text(start + width / 2, min(ends) - 4, said, "value")
        for place, words in enumerate(textwrap.wrap(name, 11)[:3]):
            plot.text(start + width / 2, box[3] + _LINE * (place + 1) - 2, words, "tick")
        last = None if aside else value
    level = plot.y(floor[1])
    plot.line([(box[0], level), (box[2], level)], "level", f"{floor[0]}: {floor[1]:.1f}")
    plot.text(box[2], box[1] - 5, f"dotted: {floor[0]} {floor[1]:.1f}", "tick", "end")
    told = "; ".join(f"{name} {value:.1f}" for name, value in bars)
    return plot.written(f"{title}, ACC in points. {told}; {floor[0]} {floor[1]:.1f}.")


def scatter(title: str, points: Mapping[str, pd.DataFrame], label_x: str, label_y: str) -> str:
    """Draw the columns x and y of each kind's frame, both zeros as lines; its index is told."""
    x, y = (_limits([v for some in points.values() for v in some[c]], zero=True) for c in "xy")
    box = (30, _TITLE + 2 * _LINE, WIDTH - 6, 240)
    plot = _Plot(title, box, x, y)
    plot.axis_left(label_y, _ticks(*y, "+g"))
    plot.axis_below(label_x, _ticks(*x, "+g"))
    plot.line([(plot.x(0), box[1]), (plot.x(0), box[3])], "zero")
    plot.line([(box[0], plot.y(0)), (box[2], plot.y(0))], "zero")
    for number, (name, some) in enumerate(points.items()):
        kind = _KINDS[number]
        plot.text(WIDTH - 6, box[1] - 5 - _LINE * number, name, f"end {kind}", "end")
        for row in some.itertuples():
            told = f"{name}, {row.Index}: {row.x:+.1f}, {row.y:+.1f}"
            plot.dot(plot.x(row.x), plot.y(row.y), kind, told)
    told = "; ".join(f"{name}: {len(some)} points" for name, some in points.items())
    return plot.written(f"{title}. {label_y} against {label_x}. {told}.")


def _limits(values: Iterable[float], zero: bool = False) -> tuple[float, float]:
    """Return limits with some room around values."""
    known = [*values, *([0.0] if zero else [])]
    low, high = min(known), max(known)
    room = 0.05 * (high - low) or 1.0
    return low - room, high + room


def _ticks(low: float, high: float, style: str = "g") -> dict[float, str]:
    """Return round numbers between two limits, and how they are written."""
    found = MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(low, high).round(9)
    return {float(v): "0" if v == 0 else f"{v:{style}}" for v in found if low <= v <= high}


def _name_ends(plot: _Plot, ends: Mapping[str, tuple[float, str]]) -> None:
    """Write names to the right of the plot, each at its height or as near as there is room."""
    taken = plot.box[1] - _LINE
    for name, (y, kind) in sorted(ends.items(), key=lambda end: end[1][0]):
        taken = max(y, taken + _LINE)
        plot.text(plot.box[2] + 8, taken + 4, name, kind, "start")


def heat(title: str, table: pd.DataFrame) -> str:
    """Draw points as a map, a row an index and a column a column; what is missing is open."""
    side, top = 15.0, _TITLE + 4
    box = (0.0, top, WIDTH, top + side * len(table) - 2 * _LINE)
    plot = _Plot(title, box, (0, table.shape[1]), (0, 1))
    width = WIDTH / table.shape[1]
    for line, (name, row) in enumerate(table.iterrows()):
        for place, (column, value) in enumerate(row.items()):
            known = pd.notna(value)
            hover = f"{name}, {column}: {f'{value:.1f}' if known else 'not run'}"
            ends = (top + side * line + 1, top + side * (line + 1) - 1)
            shade = f"heat-{min(int(value // 10), 9)}" if known else "none"
            plot.bar(width * place + 1, width - 2, ends, f"cell {shade}", hover)
    low, high = table.min().min(), table.max().max()
    rows, columns = table.shape
    said = f"{rows} methods on {columns} sets, from {low:.1f} to {high:.1f}"
    return plot.written(f"{title}. {said}; {table.isna().sum().sum()} not run.")
