"""Methods of the catalogue, built for a problem: once a seed, at the size of a profile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from inspect import signature
from typing import Any

from mvlib.check import check_choice
from mvlib.methods.catalogue import CATALOGUE, MODALITIES, VIEWS, WORDS, find, load
from mvlib.ops import resolve_device
from mvlib.records.recorder import PROFILES, Recorder

# What methods of a task are brought down to, as far as they have such parameters.
SIZES: Mapping[tuple[str, str], dict[str, Any]] = {
    (VIEWS, "quick"): {
        "hidden_dims": (128, 128, 128),
        "epochs": 5,
        "warmup_epochs": 2,
        "rectification_epochs": 1,
        "alignment_epochs": 2,
        "pretraining_epochs": 20,
        "lorentz_dims": (64, 32),
        "feature_dim": 128,
        "tuning_epochs": 5,
        "n_negatives": 10,
        "matching_rounds": 2,
        "consensus_rounds": 5,
        "update_rounds": 20,
        "n_init": 3,
    },
    (VIEWS, "reduced"): {
        "hidden_dims": (512, 512, 512),
        "epochs": 40,
        "warmup_epochs": 13,
        "alignment_epochs": 40,
    },
    (WORDS, "reduced"): {
        "body_dim": 512,
        "embedding_dim": 32,
        "training_steps": 300,
        "warmup_steps": 100,
    },
    (MODALITIES, "quick"): {"embedding_dim": 64, "n_epochs": 10, "max_rows": 300},
}


def recorder_of(paper: str, experiment: str, profile: str, device: str = "auto") -> Recorder:
    """Return the recorder of a notebook, whose parameters `profile` and `device` are."""
    return Recorder(paper, experiment, profile, resolve_device(device).type)


def sized(name: str, profile: str, **others: Any) -> dict[str, Any]:
    """Return those of `SIZES` and `others`, such as `device`, that a method has."""
    check_choice("profile", profile, PROFILES)
    return _known_to(name, SIZES.get((find(name).task, profile), {}) | others)


def build(name: str, n_clusters: int | None, seed: int | None, **settings: Any) -> Any:
    """Return a method of the catalogue, not fitted, with those of the arguments that it has."""
    return load(name)(
        **_known_to(name, {"n_clusters": n_clusters, "random_state": seed}), **settings
    )


def catalogued(
    task: str,
    methods: Sequence[str],
    n_clusters: int | None,
    seeds: Sequence[int],
    settings: Mapping[str, Mapping[str, Any]] | None = None,
) -> Iterator[tuple[str, int | None, Any]]:
    """Yield name, seed and estimator of methods of a task, once where a method draws nothing.

    `settings` are by method. ValueError, before anything is made, if a method is not of the
    task, or `settings` name one that does not run.
    """
    names = [method.name for method in CATALOGUE if method.task == task]
    for name in methods:
        check_choice("methods", name, names)
    for name in settings or {}:
        check_choice("settings", name, methods)
    for name in methods:
        draws = _known_to(name, {"random_state": None})
        for seed in seeds if draws else [None]:
            yield name, seed, build(name, n_clusters, seed, **(settings or {}).get(name, {}))


def _known_to(name: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of some parameters that a method of the catalogue has."""
    parameters = signature(load(name)).parameters
    return {parameter: value for parameter, value in wanted.items() if parameter in parameters}
