"""How runs ended, for people."""

from __future__ import annotations

from dataclasses import dataclass, field

from mvlib.records.plan import PlannedRun


@dataclass(frozen=True)
class Outcome:
    """How one planned run ended."""

    run: PlannedRun
    word: str
    seconds: float | None = None
    reason: str | None = None


@dataclass
class Summary:
    """How a call of `run_all` ended: `outcomes`, and whether it was `interrupted`."""

    outcomes: list[Outcome] = field(default_factory=list)
    interrupted: bool = False

    @property
    def exit_code(self) -> int:
        """Return 130 after Ctrl-C, 1 if a run failed or was given up, else 0."""
        if self.interrupted:
            return 130
        given_up = ("failed", "interrupted", "not started")
        return int(any(outcome.word in given_up for outcome in self.outcomes))

    def table(self) -> str:
        """Return a table of what became of the runs, with the reasons below it."""
        rows = [("experiment", "dataset", "status", "seconds")]
        for outcome in self.outcomes:
            run, seconds = outcome.run, outcome.seconds
            shown = "" if seconds is None else f"{seconds:.1f}"
            name = f"{run.paper}/{run.experiment}"
            rows.append((name, ", ".join(run.datasets) or "-", outcome.word, shown))
        lines = text_table(rows)
        for outcome in self.outcomes:
            if outcome.reason:
                last = outcome.reason.strip().splitlines()[-1]
                lines.append(printable(f"{outcome.word} {outcome.run.name}: {last}"))
        return "\n".join(lines)


def text_table(rows: list[tuple[str, ...]]) -> list[str]:
    """Return rows of text as aligned lines, in which a terminal has nothing to obey."""
    rows = [tuple(map(printable, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def printable(text: str) -> str:
    """Return text with a question mark for what a terminal would obey."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)
