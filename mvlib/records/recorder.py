"""How a notebook hands over its numbers: with its own output, and in no other way."""

from __future__ import annotations

import html
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvlib.check import check_choice, check_schema
from mvlib.files import check_plain, check_text
from mvlib.records import provenance

if TYPE_CHECKING:
    import pandas as pd

RESULTS_MIME = "application/vnd.mvlib.results+json"
PROFILES = ("quick", "reduced", "full")
# Their records are committed: they take hours, and the book's claims rest on them.
COMMITTED_PROFILES = ("reduced", "full")
METRICS = ("acc", "nmi", "ari", "purity")
RECORD_SCHEMA = Path(__file__).parent / "schemas" / "record.schema.json"
_COLUMNS = ("method", "dataset", "seed", "rule", "seconds", *METRICS)
# Rounding takes an NMI of exact agreement a few ulp over 1.
_ROUNDING = 1e-9


class Recorder:
    """Collect the results of a notebook and leave them in its output, run by hand or not.

    `paper` and `experiment` are the names of `notebooks/<paper>/plan.toml`; `device` is where
    the work ran, resolved: "cpu" or "cuda", not "auto".

    >>> recorder = Recorder("smart", "method", profile="quick", device="cpu")
    >>> scores = {"acc": 0.9, "nmi": 0.8, "ari": 0.8, "purity": 0.9}
    >>> recorder.add("SMART", "handwritten", seed=5, metrics={"last": scores})
    >>> recorder.frame()["acc"].tolist()
    [0.9]
    """

    def __init__(self, paper: str, experiment: str, profile: str, device: str = "cpu") -> None:
        self.paper = check_text("paper", paper)
        self.experiment = check_text("experiment", experiment)
        self.profile = check_choice("profile", profile, PROFILES)
        self.device = check_text("device", str(device))
        if self.device == "auto":
            raise ValueError(
                "device='auto' is not resolved: expected 'cpu', 'cuda' or the like"
            )
        self.results: list[dict[str, Any]] = []

    def add(
        self,
        method: str,
        dataset: str,
        seed: int | None = None,
        parameters: Mapping[str, Any] | None = None,
        metrics: Mapping[str, Mapping[str, float]] | None = None,
        seconds: float | None = None,
        measures: Mapping[str, float] | None = None,
        curves: Mapping[str, Sequence[float]] | None = None,
        labels: Sequence[int] | None = None,
    ) -> None:
        """Add one result: one method, fitted once; what is wrong is a ValueError, not added.

        `parameters` tell this result from others of the notebook; `variant` among them marks
        one that tables and comparisons with published numbers leave out. `metrics` maps the
        rule that chose the epoch, "last" where there is no choice, to `acc`, `nmi`, `purity` in
        [0, 1] and `ari` in [-1, 1]; beside `measures` it may be left out. `curves` are metrics
        after every epoch, `labels` the clustering that rule "last" scored.
        """
        result = {
            "method": method,
            "dataset": dataset,
            "seed": seed,
            "parameters": dict(parameters or {}),
            "metrics": {
                rule: {name: _rounded(name, float(value)) for name, value in scores.items()}
                for rule, scores in (metrics or {}).items()
            },
            "seconds": None if seconds is None else round(float(seconds), 3),
        }
        more = {"measures": measures, "curves": curves}
        result |= {name: dict(given) for name, given in more.items() if given}
        if labels is not None:
            result["labels"] = labels
        result = check_plain(_plain(result), "result")
        check_schema("result", result, RECORD_SCHEMA, "result")
        for name in result["parameters"]:
            if name in _COLUMNS or name.startswith("measure_") or not name.strip():
                raise ValueError(
                    f"parameters[{name!r}] is no name, or that of a column: use another"
                )
        self.results.append(result)

    def frame(self) -> pd.DataFrame:
        """Return the results as a table, one row a result and rule, variants left out."""
        shown = [found for found in self.results if "variant" not in found["parameters"]]
        return rows_frame([row for result in shown for row in result_rows(result)])

    def finish(self) -> None:
        """Show the provenance stamp, which carries the results. The notebook's last call."""
        found = provenance.versions()
        facts = {
            "mvlib": found.pop("mvlib"),
            "profile": self.profile,
            "device": provenance.device_name(self.device),
            "threads": provenance.threads(),
            **found,
        }
        text = " | ".join(f"{name} {value}" for name, value in facts.items())
        ipython = sys.modules.get("IPython")
        if ipython is None or ipython.get_ipython() is None:
            print(text)
            return
        from IPython.display import display

        cells = "".join(
            f"<span><b>{html.escape(name)}</b> {html.escape(str(value))}</span> "
            for name, value in facts.items()
        )
        data = {
            "text/plain": text,
            "text/html": f'<p class="provenance"><small>{cells.strip()}</small></p>',
            RESULTS_MIME: self.payload(),
        }
        display(data, raw=True)

    def payload(self) -> dict[str, Any]:
        """Return what `finish` hands over to the runner, ready for JSON."""
        return {
            "paper": self.paper,
            "experiment": self.experiment,
            "profile": self.profile,
            "device": provenance.device_name(self.device),
            "threads": provenance.threads(),
            "gpu_peak_memory_bytes": provenance.gpu_peak_memory(),
            "results": json.loads(json.dumps(self.results, allow_nan=False)),
        }


def result_rows(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a result as flat rows: one for each rule, or one without where there is none."""
    fixed = {name: result[name] for name in ("method", "dataset", "seed")}
    measured = {f"measure_{name}": value for name, value in result.get("measures", {}).items()}
    return [
        {
            **fixed,
            **result["parameters"],
            "rule": rule,
            **{metric: scores.get(metric) for metric in METRICS},
            "seconds": result["seconds"],
            **measured,
        }
        for rule, scores in (result["metrics"] or {None: {}}).items()
    ]


def rows_frame(
    rows: list[dict[str, Any]], before: Sequence[str] = (), after: Sequence[str] = ()
) -> pd.DataFrame:
    """Return flat rows as a table; parameters follow the seed, measures come last."""
    import pandas as pd

    known = {*before, *_COLUMNS, *after}
    names = dict.fromkeys(name for row in rows for name in row if name not in known)
    measured = [name for name in names if name.startswith("measure_")]
    given = [name for name in names if name not in measured]
    columns = ["method", "dataset", "seed", *given, "rule", *METRICS, "seconds"]
    return pd.DataFrame(rows, columns=[*before, *columns, *after, *measured])


def _plain(value: Any) -> Any:
    """Return a value with Python's own numbers and lists in the place of NumPy's."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    value = value.tolist() if hasattr(value, "tolist") else value
    return [*map(_plain, value)] if isinstance(value, list | tuple) else value


def _rounded(metric: str, score: float) -> float:
    """Return a score, or the bound that rounding alone has taken it over."""
    inside = min(max(score, -1.0 if metric == "ari" else 0.0), 1.0)
    return inside if abs(inside - score) < _ROUNDING else score
