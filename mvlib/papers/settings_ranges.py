"""Which of a paper's unknown settings matter: the range of means over a setting's values."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from mvlib.records.tables import results_frame

# Experiment, the columns that are the setting, and its name for readers. Without a name the
# first column names one setting after the other, and the second has their values.
SETTINGS = {
    "cae": [
        ("top_k", ["top_k"], "words a centre, K"),
        ("top_k", ["n_centers"], "number of centres"),
        ("sinkhorn", ["epsilon"], "entropy of the plan"),
        ("ablation_counterpart", ["method", "knob"], "softmax or transport, and how sharp"),
        ("ablation_fusion", ["method", "gamma"], "fusion, and its sharpness"),
        ("ablation_space", ["method"], "which words"),
        ("unknowns", ["setting", "value"], None),
        ("tac", ["temperature"], "temperature of TAC's softmax"),
    ],
    "ntk_spectral": [
        ("ablation_affinity", ["method"], "affinity, and how prompts are joined"),
        ("ablation_graph", ["method"], "the paper's reading or the code's"),
        ("sensitivity", ["setting", "value"], None),
    ],
}


def setting_ranges(paper: str, profile: str, root: Path | None = None) -> pd.DataFrame:
    """Return, for each setting and data set, its best and worst value by mean accuracy."""
    rows = []
    for experiment, columns, name in SETTINGS[paper]:
        frame = results_frame(paper, profile, experiment, root)
        if any(column not in frame for column in columns):
            continue
        frame = frame.dropna(subset=["acc"])
        if name is None:
            which, *columns = columns
            found = [(some, columns, name) for name, some in frame.groupby(which, sort=False)]
        else:
            found = [(frame, columns, name)]
        for some, varied, setting in found:
            rows += _ranges(some, varied, setting)
    return pd.DataFrame(rows)


def _ranges(frame: pd.DataFrame, columns: list[str], name: str) -> list[dict[str, object]]:
    """Return a row a data set: best and worst value of one setting."""
    rows = []
    frame = frame[frame[columns].notna().any(axis=1)]
    if "method" not in columns:
        frame = frame.dropna(subset=columns)
    frame = frame.assign(points=100 * frame["acc"].astype(float))
    # Of one column, its name alone: a list of one would make every value a tuple.
    levels = columns if len(columns) > 1 else columns[0]
    for dataset, some in frame.groupby("dataset", sort=False):
        means = some.groupby(levels, dropna=False)["points"].mean()
        if len(means) < 2:
            continue
        seeds = some.groupby([*columns, "seed"], dropna=False)["points"].mean()
        best, worst = means.max(), means.min()
        row = {"data set": dataset, "setting": name, "values": len(means)}
        row |= {"best": _named(means.idxmax()), "ACC, best": best}
        row |= {"worst": _named(means.idxmin()), "ACC, worst": worst, "range": best - worst}
        row["seed sd"] = seeds.groupby(level=columns, dropna=False).std().mean()
        rows.append(row)
    return rows


def _named(value: object) -> str:
    parts = value if isinstance(value, tuple) else (value,)
    return " ".join(
        f"{part:g}" if isinstance(part, float | int) else str(part)
        for part in parts
        if part == part
    )
