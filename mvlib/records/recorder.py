"""How a notebook hands over its numbers: with its own output, and in no other way."""

from __future__ import annotations

import html
import json
import math
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mvlib.check import check_choice, check_number
from mvlib.records import provenance

if TYPE_CHECKING:
    import pandas as pd

RESULTS_MIME = "application/vnd.mvlib.results+json"
PROFILES = ("quick", "reduced", "full")
# Their records are committed: they take hours, and the book's claims rest on them.
COMMITTED_PROFILES = ("reduced", "full")
RULES = ("last", "loss", "central", "oracle")
METRICS = ("acc", "nmi", "ari", "purity")
_LOWEST = {"acc": 0.0, "nmi": 0.0, "ari": -1.0, "purity": 0.0}
# Rounding takes an NMI of exact agreement a few ulp over 1.
_ROUNDING = 1e-9


class Recorder:
    """Collect the results of a notebook and leave them in its output.

    It works the same in a notebook that a reader opens and in one that `mvlib run` executes:
    the runner reads the results from the executed notebook. `paper` and `experiment` are the
    names of `notebooks/<paper>/plan.toml`; `device` is where the work ran, resolved: "cpu" or
    "cuda", not "auto".

    Examples
    --------
    >>> recorder = Recorder("smart", "method", profile="quick", device="cpu")
    >>> scores = {"acc": 0.9, "nmi": 0.8, "ari": 0.8, "purity": 0.9}
    >>> recorder.add("SMART", "handwritten", seed=5, metrics={"last": scores})
    >>> recorder.frame()["acc"].tolist()
    [0.9]
    """

    def __init__(self, paper: str, experiment: str, profile: str, device: str = "cpu") -> None:
        self.paper = _check_name("paper", paper)
        self.experiment = _check_name("experiment", experiment)
        self.profile = check_choice("profile", profile, PROFILES)
        self.device = _check_name("device", str(device))
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

        Parameters
        ----------
        method : str
            Its name as the tables print it.
        dataset : str
            The data set's registry name.
        seed : int, optional
            Of the method's own random numbers; None if it draws none.
        parameters : mapping, optional
            What distinguishes this result from others of the notebook, such as `aligned_ratio`:
            text, numbers, booleans and None. `variant` (any value) marks a result that stands
            beside the method's own, such as another clustering of the same training: tables and
            comparisons with published numbers leave it out.
        metrics : mapping of str to mapping
            Rule that chose the epoch ("last", "loss", "central", "oracle") to `acc`, `nmi`,
            `purity` in [0, 1] and `ari` in [-1, 1]. A method without such a choice uses "last".
            With measures, it may be left out.
        seconds : float, optional
            How long the fit took.
        measures : mapping of str to float, optional
            What else was measured, such as `mmd`; in tables its column is `measure_<name>`.
        curves : mapping of str to sequence of float, optional
            A score after every epoch, under the names of `metrics`.
        labels : sequence of int, (n_samples,), optional
            The clustering that `metrics`' rule "last" scored, for scoring it anew.
        """
        if not metrics and not measures:
            raise ValueError(f"metrics={metrics!r} is empty: expected rule to scores")
        checked = {
            check_choice("metrics' rule", rule, RULES): _check_scores(rule, scores)
            for rule, scores in (metrics or {}).items()
        }
        measured = _check_measures(measures or {})
        if seed is not None:
            seed = int(check_number("seed", seed, low=0, integer=True))
        if seconds is not None:
            seconds = round(float(check_number("seconds", seconds, low=0)), 3)
        self.results.append(
            {
                "method": _check_name("method", method),
                "dataset": _check_name("dataset", dataset),
                "seed": seed,
                "parameters": _plain(parameters or {}),
                "metrics": checked,
                "seconds": seconds,
                **({"measures": measured} if measured else {}),
                **({"curves": _check_curves(curves)} if curves else {}),
                **({} if labels is None else {"labels": [int(label) for label in labels]}),
            }
        )

    def frame(self) -> pd.DataFrame:
        """Return the results as a table, one row a result and rule, variants left out."""
        import pandas as pd

        shown = [found for found in self.results if "variant" not in found["parameters"]]
        rows = [row for result in shown for row in result_rows(result)]
        names = dict.fromkeys(name for result in shown for name in result["parameters"])
        measured = measure_columns(shown)
        columns = ["method", "dataset", "seed", *names, "rule", *METRICS, "seconds", *measured]
        return pd.DataFrame(rows, columns=columns)

    def finish(self) -> None:
        """Show the provenance stamp, which carries the results. The notebook's last call."""
        facts = self._facts()
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

    def _facts(self) -> dict[str, Any]:
        found = provenance.versions()
        return {
            "mvlib": found.pop("mvlib"),
            "profile": self.profile,
            "device": provenance.device_name(self.device),
            "threads": provenance.threads(),
            **found,
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


def measure_columns(results: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the columns of the measures of some results, in order of appearance."""
    names = dict.fromkeys(name for result in results for name in result.get("measures", {}))
    return [f"measure_{name}" for name in names]


def _check_name(argument: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{argument}={value!r} is no name: expected text that is not empty")
    return value


def _check_scores(rule: str, scores: Mapping[str, float]) -> dict[str, float]:
    for metric in scores:
        check_choice(f"metrics[{rule!r}]'s metric", metric, METRICS)
    missing = [metric for metric in METRICS if metric not in scores]
    if missing:
        raise ValueError(
            f"metrics[{rule!r}] lacks {', '.join(missing)}: expected {', '.join(METRICS)}"
        )
    checked = {}
    for metric, lowest in _LOWEST.items():
        value = float(scores[metric])
        check_number(
            f"metrics[{rule!r}][{metric!r}]", value, low=lowest - _ROUNDING, high=1 + _ROUNDING
        )
        checked[metric] = min(max(value, lowest), 1.0)
    return checked


def _check_curves(curves: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    checked = {}
    for name, values in curves.items():
        check_choice("curves' metric", name, METRICS)
        checked[name] = [float(value) for value in values]
        for value in checked[name]:
            check_number(f"curves[{name!r}]", value, low=_LOWEST[name], high=1)
    return checked


def _check_measures(measures: Mapping[str, float]) -> dict[str, float]:
    for name, value in measures.items():
        if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise ValueError(f"measures' name {name!r}: expected lower case, such as 'mmd'")
        check_number(f"measures[{name!r}]", float(value))
    return {name: float(value) for name, value in measures.items()}


def _plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    plain = {}
    for name, value in parameters.items():
        # NumPy scalars become Python's own.
        value = value.item() if hasattr(value, "item") else value
        odd_number = isinstance(value, float) and not math.isfinite(value)
        if odd_number or not isinstance(value, str | int | float | None):
            raise ValueError(
                f"parameters[{name!r}]={value!r} cannot be recorded: expected text, a finite "
                "number, a boolean or None"
            )
        taken = ("method", "dataset", "seed", "rule", "seconds", *METRICS)
        if name in taken or name.startswith("measure_"):
            raise ValueError(f"parameters[{name!r}] has the name of a column: use another")
        plain[_check_name("parameters' key", name)] = value
    return plain
