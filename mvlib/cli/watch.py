"""`mvlib status --watch`: what the runners at work do, until none is left."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from mvlib.experiments.outcomes import text_table
from mvlib.experiments.progress import Work, work_at

_SECONDS_BETWEEN_LOOKS = 2.0
# Up n lines, to the first column; clear from there on.
_BACK = "\x1b[{n}F\x1b[J"


def watch(
    root: Path, profile: str | None = None, seconds: float = _SECONDS_BETWEEN_LOOKS
) -> int:
    """Show the work of the runners on a project, and say so when none is left.

    A terminal shows it anew each time; elsewhere there is one line for each change.

    Parameters
    ----------
    root : Path
        The project.
    profile : {"quick", "reduced", "full"}, optional
        Only runners with runs of it; all by default.
    seconds : float, default=2.0
        Between two looks.

    Returns
    -------
    int
        0.
    """
    terminal = sys.stdout.isatty()
    height, known = 0, ""
    while (work := work_at(root, profile)) is not None:
        counts = ", ".join(f"{count} {word}" for word, count in work.counts().items())
        summary = f"{counts}; about {_duration(work.seconds_left())} left"
        if terminal:
            lines = _lines(summary, work)
            back = _BACK.format(n=height) if height else ""
            print(back + "\n".join(lines), flush=True)
            height = len(lines)
        elif counts != known:
            print(summary, flush=True)
        known = counts
        time.sleep(seconds)
    more = " any more" if known else ""
    print(f"no runner is at work{more}; `mvlib status` lists the runs")
    return 0


def _lines(summary: str, work: Work) -> list[str]:
    width, height = shutil.get_terminal_size()
    rows = [
        (run.name, _duration(run.seconds), f"of about {_duration(60 * run.minutes)}")
        for run in sorted(work.running.values(), key=lambda run: -run.seconds)
    ]
    # What scrolls away cannot be drawn anew.
    room = max(1, height - 3)
    lines = [summary, *text_table(rows[:room])] if rows else [summary]
    if len(rows) > room:
        lines.append(f"... and {len(rows) - room} more")
    return [line[: width - 1] for line in lines]


def _duration(seconds: float) -> str:
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {left:02d} s" if minutes else f"{left} s"
