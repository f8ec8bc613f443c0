"""SMART's chapter: settings by profile, comparisons of seeds and records, costs, recipes."""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from sklearn.preprocessing import minmax_scale, scale

from mvlib.check import check_choice, check_number
from mvlib.data import Dataset, ViewsProblem, min_max_scale, partially_align
from mvlib.methods import SMART
from mvlib.methods.smart import PAPER_SETTINGS
from mvlib.records.recorder import PROFILES
from mvlib.records.statistics import differences_by_set, paired_comparisons
from mvlib.records.store import load_records
from mvlib.records.tables import results_frame
from mvlib.tasks.views import AUTHORS, ONE, TWENTY

QUICK = {"hidden_dims": (128, 128, 128), "epochs": 10, "batch_size": 250, "learning_rate": 2e-3}

REDUCED = {
    "hidden_dims": (512, 512, 512),
    "epochs": 40,
    "batch_size": 500,
    "learning_rate": 5e-4,
    "precision": "bfloat16",
}

ABLATIONS: Mapping[str, dict[str, Any]] = MappingProxyType(
    {
        "L_rec": {"lambda1": 0.0, "lambda2": 0.0},
        "L_rec + L_smc": {"lambda1": 0.0},
        "L_rec + L_vda": {"lambda2": 0.0},
        "all, L_vda diagonal only": {"vda_terms": ("diagonal",)},
        "all, L_vda structure only": {"vda_terms": ("structure",)},
        "all": {},
    }
)


def smart_settings(dataset: str, profile: str) -> dict[str, Any]:
    """Return SMART's settings for a data set under a profile."""
    check_choice("profile", profile, PROFILES)
    settings = SMART.paper_settings(dataset if dataset in PAPER_SETTINGS else "other")
    return settings | {"quick": QUICK, "reduced": REDUCED, "full": {}}[profile]


def compare_seeds(
    frame: pd.DataFrame, method: str, floor: str, column: str = "acc", said: str = "last epoch"
) -> str:
    """Say in a line by how much the last epoch of a method is ahead of a floor."""
    # What is measured without a clustering has no rule for the epoch.
    last = frame[frame["rule"].isna() | (frame["rule"] == "last")]
    ours, theirs = (
        last[last["method"] == name].set_index("seed")[column] for name in (method, floor)
    )
    # What draws nothing is one number, beside every seed.
    theirs = theirs.mean() if theirs.index.isna().all() else theirs
    return f"{method}, {said}, minus {floor}: {_difference(ours, theirs)}"


def compare_rules(frame: pd.DataFrame) -> str:
    """Say in lines what the oracle epoch adds, and what honest choices add."""
    by = ["rule", "features", "init", "starts", "seed"]
    cells = frame.set_index(by)["acc"].sort_index()
    honest = cells["last", "eval", *ONE]
    protocol = "oracle epoch in train mode, the authors' start (their protocol)"
    others = {
        protocol: ("oracle", "train", *AUTHORS),
        "oracle epoch in train mode": ("oracle", "train", *ONE),
        "oracle epoch in eval mode": ("oracle", "eval", *ONE),
        "epoch of the lowest loss": ("loss", "eval", *ONE),
        "central epoch": ("central", "eval", *ONE),
        "last epoch, the authors' start": ("last", "eval", *AUTHORS),
        "last epoch, best of 20 starts": ("last", "eval", *TWENTY),
        "central epoch, best of 20 starts": ("central", "eval", *TWENTY),
        "oracle epoch in train mode, best of 20 starts": ("oracle", "train", *TWENTY),
    }
    return "\n".join(
        f"{name}, minus last epoch from one start: {_difference(cells[place], honest)}"
        for name, place in others.items()
    )


def _difference(ours: pd.Series, theirs: pd.Series | float) -> str:
    points = 100 * (ours - theirs)
    spread = f" ± {points.std():.1f}" if len(points) > 1 else ""
    ahead = f"ahead in {int((points > 0).sum())} of {len(points)} seeds"
    return f"{points.mean():+.1f}{spread} points, {ahead}"


# Which experiments compare parts of SMART, and with which of their arms: the paper's choice.
PARTS = {"ablation_losses": "all", "threshold": "mean-std", "biased_alignment": "from all rows"}
# From what a user gets to what the authors' code keeps, a column each.
STEPS = {
    "last epoch, the authors' start": "last, eval, authors",
    "our start": "last, eval, 1",
    "20 starts": "last, eval, 20",
    "central epoch, 20 starts": "central, eval, 20",
    "oracle, 20 starts": "oracle, eval, 20",
    "oracle in training mode, 1 start": "oracle, train, 1",
    "the authors' oracle": "oracle, train, authors",
}
FLOORS = (
    "k-means, view 1",
    "k-means, view 1, unit rows",
    "spectral, view 1, unit rows",
    "k-means, concatenation as given",
    "k-means, concatenation as given, unit rows",
    "spectral, concatenation as given",
    "spectral, concatenation as given, unit rows",
)


def beside_floors(
    aligned_ratio: float = 0.5, profile: str = "reduced", root: Path | None = None
) -> pd.DataFrame:
    """Return SMART's last epoch, from one and twenty starts of k-means, and the floors."""
    choices = epoch_choices(profile, root)
    if choices.empty:
        return choices
    names = {"last, eval, 1": "SMART, 1 start", "last, eval, 20": "SMART, 20 starts"}
    trained = choices.assign(method=choices["method"].map(names))
    floors = results_frame("smart", "reduced", "floors", root)
    frame = pd.concat([trained.dropna(subset=["method"]), floors], ignore_index=True)
    frame = frame[frame["dataset"].isin(trained["dataset"])]
    frame = frame[frame["aligned_ratio"] == aligned_ratio]
    return frame[frame["method"].isin([*names.values(), *FLOORS])].reset_index(drop=True)


def epoch_choices(
    profile: str = "reduced", root: Path | None = None, aligned_ratio: float | None = None
) -> pd.DataFrame:
    """Return SMART's trainings under every choice of epoch, mode of features and starts."""
    frame = results_frame("smart", profile, "method", root, variants=True)
    if frame.empty:
        return frame
    if aligned_ratio is not None:
        frame = frame[frame["aligned_ratio"] == aligned_ratio]
    frame = frame[frame["starts"].notna() & frame["features"].notna()]
    starts = frame["starts"].astype(int).astype(str)
    if "init" in frame:
        starts = starts.mask(frame["init"] == "authors", "authors")
    return frame.assign(method=frame["rule"] + ", " + frame["features"] + ", " + starts)


def oracle_gaps(
    choices: Sequence[str] = ("oracle, train, 1", "last, eval, 1"),
    profile: str = "full",
    root: Path | None = None,
) -> pd.DataFrame:
    """Return how far the oracle epoch stands above the last one, set by set."""
    frame = epoch_choices(profile, root)
    if frame.empty:
        return frame
    frame = frame[frame["method"].isin(choices)]
    rows = []
    for (dataset, ratio), some in frame.groupby(["dataset", "aligned_ratio"], sort=False):
        if not set(choices) <= set(some["method"]):
            continue
        means = 100 * some.groupby("method")["acc"].mean()
        found = paired_comparisons(some, [tuple(choices)], ("split", "seed")).iloc[0]
        row = {"data set": dataset, "aligned": f"{ratio:.0%}", "n": found["n"]}
        row |= {name: means[name] for name in choices}
        rows.append(row | dict(found[["difference", "ci_low", "ci_high"]]))
    return pd.DataFrame(rows)


def early_oracles(first: int = 20, root: Path | None = None) -> pd.DataFrame:
    """Return the best epoch of a training's first ones and of all, in points, from one start.

    Of runs at the paper's settings that keep a score of each epoch.
    """
    rows = {}
    for record in load_records("smart", "full", root):
        for result in record["results"] if record["experiment"] == "method" else ():
            given, curve = result["parameters"], result.get("curves", {}).get("acc")
            if not curve or (given.get("init"), given.get("starts")) != ("draws", 1):
                continue
            place = result["dataset"], given["aligned_ratio"], given["features"], result["seed"]
            rows[place] = [round(100 * max(some), 9) for some in (curve[:first], curve)]
    names = ["dataset", "aligned ratio", "features", "seed"]
    columns = [*names, f"best of {first}", "best of all"]
    frame = pd.DataFrame([(*place, *best) for place, best in rows.items()], columns=columns)
    frame["later epochs add"] = frame["best of all"] - frame[f"best of {first}"]
    return frame.sort_values(["aligned ratio", "dataset"], kind="stable")


def steps_to_the_oracle(profile: str = "full", root: Path | None = None) -> pd.DataFrame:
    """Return what each choice between the last epoch and the authors' oracle gives."""
    choices = epoch_choices(profile, root)
    if choices.empty:
        return choices
    found = [results_frame("smart", profile, "method", root), choices]
    methods = pd.concat(found, ignore_index=True)
    rows = []
    for (dataset, ratio), some in choices.groupby(["dataset", "aligned_ratio"], sort=False):
        here = methods[(methods["dataset"] == dataset) & (methods["aligned_ratio"] == ratio)]
        n = some["seed"].nunique()
        scores = (100 * here["acc"]).groupby(here["method"]).agg(["mean", "count"])
        # Means are of the same trainings, or left out.
        means = scores.loc[scores["count"] == n, "mean"]
        columns = STEPS | {"k-means of view 1": "k-means, view 1"}
        row = {"data set": dataset, "aligned": f"{ratio:.0%}", "n": n}
        rows.append(row | {title: means.get(name) for title, name in columns.items()})
    # A choice that no record has yet is no column.
    return pd.DataFrame(rows).dropna(axis="columns", how="all")


def part_comparisons(
    experiment: str, profile: str = "reduced", root: Path | None = None
) -> pd.DataFrame:
    """Compare the paper's choice with the other arms of one of `PARTS`."""
    frame = results_frame("smart", profile, experiment, root, variants=True)
    if frame.empty:
        return frame
    frame = frame[frame["acc"].notna() & (frame["starts"].isna() | (frame["starts"] == 20))]
    paper = PARTS[experiment]
    pairs = [(paper, name) for name in frame["method"].unique() if name != paper]
    table = paired_comparisons(frame, pairs)
    return table.merge(differences_by_set(frame, pairs), on=["A", "B"])


NOISE = 0.1
HIDDEN_DIMS = (512, 512, 512)


def smart_costs(
    dataset: str,
    sizes: Sequence[int],
    aligned_ratio: float,
    ways: Sequence[Mapping[str, Any]],
    random_state: int,
    device: str = "auto",
) -> list[list[dict[str, float]]]:
    """Return what SMART costs on a data set resampled to several sizes, in several ways."""
    for size in sizes:
        check_number("sizes", size, low=2, integer=True)
    if not len(sizes) or list(sizes) != sorted(set(sizes)):
        raise ValueError(f"sizes={list(sizes)!r}: expected some, each larger than the last")
    context = multiprocessing.get_context("spawn")
    found = []
    for way in map(dict, ways):
        largest = way.pop("largest", max(sizes))
        some = [size for size in sizes if size <= largest]
        # Memory is that of a process which did nothing else.
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            task = (dataset, some, aligned_ratio, way, random_state, device)
            found.append(pool.submit(_measure, *task).result())
    return found


def resampled(
    Xs: list[np.ndarray], n_samples: int, random_state: int
) -> tuple[list[np.ndarray], np.ndarray]:
    """Return rows drawn with repetition, with noise, and which rows they were."""
    rng = np.random.default_rng(random_state)
    rows = rng.integers(len(Xs[0]), size=n_samples)
    views = []
    for X in Xs:
        noise = rng.standard_normal((n_samples, X.shape[1]), dtype=np.float32)
        views.append((X[rows] + NOISE * X.std() * noise).astype(np.float32))
    return views, rows


def _measure(
    dataset: str,
    sizes: list[int],
    aligned_ratio: float,
    settings: dict[str, Any],
    random_state: int,
    device: str,
) -> list[dict[str, float]]:
    import psutil

    from mvlib import SMART, data

    digits = data.load(dataset)
    views = data.min_max_scale(digits.Xs)
    common = {"hidden_dims": HIDDEN_DIMS, "random_state": random_state, "device": device}

    def fit(n_samples: int, epochs: int) -> float:
        Xs, rows = resampled(views, n_samples, random_state)
        problem = data.partially_align(Xs, digits.y[rows], aligned_ratio)
        given = {k: n_samples if value is None else value for k, value in settings.items()}
        model = SMART(digits.n_clusters, **common | given, epochs=epochs)
        start = time.perf_counter()
        model.fit(problem.Xs, aligned=problem.aligned)
        return time.perf_counter() - start

    # The first step of an optimizer loads parts of torch: seconds that are no row's.
    fit(200, 1)
    before = psutil.Process().memory_info().rss
    found = []
    for size in sizes:
        first, three = fit(size, 1), fit(size, 3)
        training = (three - first) / 2
        measures = {
            "seconds_training": max(training, 1e-3),
            "seconds_features": max(first - training, 1e-3),
        }
        found.append(measures | {"memory_mb": max(_peak_memory() - before, 0) / 1e6})
    return found


def _peak_memory() -> int:
    import resource

    # macOS counts in bytes, Linux in units of 1024.
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


# What a reproduction may do otherwise around SMART: scale, order, first weights.
PAPER_RECIPE = "as in the paper"

_VIEWS: Mapping[str, Callable[[Sequence[np.ndarray]], list[np.ndarray]]] = MappingProxyType(
    {
        "each column to [0, 1]": lambda Xs: [minmax_scale(X).astype(np.float32) for X in Xs],
        "each column standardised": lambda Xs: [
            scale(X.astype(np.float64)).astype(np.float32) for X in Xs
        ],
        "view 2 first": lambda Xs: min_max_scale(Xs[::-1]),
    }
)
_SETTINGS: Mapping[str, dict[str, Any]] = MappingProxyType(
    {
        "Xavier's first weights": {"weight_init": "xavier"},
        "float32 products": {"precision": "float32"},
    }
)

RECIPES = (PAPER_RECIPE, *_VIEWS, *_SETTINGS)


def fit_recipe(
    recipe: str,
    data_set: Dataset,
    aligned_ratio: float,
    split: int,
    settings: Mapping[str, Any],
) -> tuple[SMART, ViewsProblem]:
    """Train SMART with one choice around its equations changed."""
    check_choice("recipe", recipe, RECIPES)
    views = _VIEWS.get(recipe, min_max_scale)(data_set.Xs)
    problem = partially_align(views, data_set.y, aligned_ratio, split)
    model = SMART(data_set.n_clusters, **(dict(settings) | _SETTINGS.get(recipe, {})))
    return model.fit(problem.Xs, aligned=problem.aligned), problem
