"""What the SMART notebooks share: settings by profile, comparisons over seeds."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mvlib.check import check_choice
from mvlib.methods import SMART
from mvlib.methods.smart import PAPER_SETTINGS
from mvlib.records.recorder import PROFILES
from mvlib.tasks.views import AUTHORS, ONE, TWENTY

if TYPE_CHECKING:
    import pandas as pd

QUICK = {
    "hidden_dims": (128, 128, 128),
    "epochs": 20,
    "batch_size": 500,
    "learning_rate": 2e-3,
}

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
    others = {
        "oracle epoch in train mode, the authors' start (their protocol)": cells[
            "oracle", "train", *AUTHORS
        ],
        "oracle epoch in train mode": cells["oracle", "train", *ONE],
        "oracle epoch in eval mode": cells["oracle", "eval", *ONE],
        "epoch of the lowest loss": cells["loss", "eval", *ONE],
        "central epoch": cells["central", "eval", *ONE],
        "last epoch, the authors' start": cells["last", "eval", *AUTHORS],
        "last epoch, best of 20 starts": cells["last", "eval", *TWENTY],
        "central epoch, best of 20 starts": cells["central", "eval", *TWENTY],
        "oracle epoch in train mode, best of 20 starts": cells["oracle", "train", *TWENTY],
    }
    return "\n".join(
        f"{name}, minus last epoch from one start: {_difference(acc, honest)}"
        for name, acc in others.items()
    )


def _difference(ours: pd.Series, theirs: pd.Series | float) -> str:
    points = 100 * (ours - theirs)
    return (
        f"{points.mean():+.1f} ± {points.std():.1f} points, "
        f"ahead in {int((points > 0).sum())} of {len(points)} seeds"
    )
