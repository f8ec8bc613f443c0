"""Fitted estimators in a file: arrays as safetensors, all else as JSON in its head.

Nothing is pickled, and no name in a file is imported: a class is one of the catalogue.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import nn

from mvlib.check import check_choice
from mvlib.files import check_file, replacing
from mvlib.methods import catalogue

FORMAT = 1
# What has the rows that were fitted in it, or as many entries as these have with each other.
OF_ROWS = ("_rows_", "embedding_", "embeddings_", "counterparts_", "affinity_")


def save(model: Any, path: str | Path, *, rows: bool = False) -> None:
    """Write a fitted estimator of the catalogue, as it was fitted: `Clustering.save`."""
    from safetensors.numpy import save_file

    model = model._as_fitted()
    method = _line(type(model))
    left_out = (model._network_name, "_params_") + (() if rows else OF_ROWS)
    arrays: dict[str, np.ndarray] = {}
    head = {
        "format": FORMAT,
        "method": method.name,
        "version": method.version,
        "parameters": {
            name: _packed(value, arrays, parameter=True)
            for name, value in model._params_.items()
        },
        "fitted": {
            name: _packed(value, arrays)
            for name, value in vars(model).items()
            if name.endswith("_") and name not in left_out and _writable(value)
        },
    }
    if model._network_name:
        network = getattr(model, model._network_name)
        for name, value in network.state_dict().items():
            arrays[f"network.{name}"] = np.array(value.cpu().numpy())
    with replacing(path) as new:
        save_file(arrays, new, metadata={"mvlib": json.dumps(head, allow_nan=False)})


def load(path: str | Path, **parameters: Any) -> Any:
    """Return the estimator that `save` wrote.

    Parameters
    ----------
    path : path-like
        The file.
    **parameters
        What no file can hold, to be given again: an encoder, a module, a function. Others can
        be set, too, such as `device`.

    Raises
    ------
    ValueError
        If the file is none of `save`'s, of another format, of a method whose numbers have
        another version, or a parameter that it does not hold is not given.
    """
    from safetensors import SafetensorError, safe_open

    path = check_file(path)
    try:
        with safe_open(path, framework="numpy") as opened:
            head = json.loads((opened.metadata() or {})["mvlib"])
            arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        kind, version, number = head["method"], head["version"], head["format"]
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} holds no estimator of mvlib: {error!r}") from error
    if number != FORMAT:
        raise ValueError(f"{path} is of format {number!r}: expected {FORMAT}")
    method = catalogue.find(kind)
    if version != method.version:
        raise ValueError(
            f"{path} was fitted by version {version!r} of {kind}'s numbers: expected "
            f"{method.version}; fit it again"
        )
    try:
        return _restored(method, head, arrays, parameters)
    except (KeyError, TypeError, IndexError, AttributeError, RuntimeError) as error:
        raise ValueError(f"{path} does not fit {kind}: {error!r}") from error


def _restored(
    method: catalogue.Method, head: Any, arrays: dict[str, np.ndarray], given: dict[str, Any]
) -> Any:
    kept = dict(head["parameters"])
    for name in given:
        check_choice("parameter", name, kept)
    for name, packed in kept.items():
        if isinstance(packed, dict) and "given" in packed and name not in given:
            raise ValueError(
                f"{name} was {packed['given']}, which the file does not hold: give it again, "
                f"load(path, {name}=...)"
            )
    values = {
        name: _unpacked(value, arrays) for name, value in kept.items() if name not in given
    }
    model = catalogue.load(method.name)(**(values | given))
    for name, packed in head["fitted"].items():
        if not name.endswith("_") or name.startswith("__"):
            raise KeyError(name)
        setattr(model, name, _unpacked(packed, arrays))
    model._params_ = model.get_params(deep=False)
    if model._network_name:
        network = model._network()
        prefix = "network."
        network.load_state_dict(
            {
                name.removeprefix(prefix): torch.from_numpy(np.array(value))
                for name, value in arrays.items()
                if name.startswith(prefix)
            }
        )
        setattr(model, model._network_name, network.eval())
    return model


def _line(kind: type) -> catalogue.Method:
    for method in catalogue.CATALOGUE:
        if method.estimator.rpartition(".")[2] == kind.__name__:
            return method
    raise ValueError(f"{kind.__name__} is no method of the catalogue: expected one to save")


def _writable(value: Any) -> bool:
    """Return whether a file holds it: an operator that stands for a matrix goes without."""
    return type(value).__name__ != "SubspaceAffinity"


def _packed(value: Any, arrays: dict[str, np.ndarray], parameter: bool = False) -> Any:
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float) and np.isfinite(value):
        return float(value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "OU":
        return {"text": [str(each) for each in value]}
    if isinstance(value, np.ndarray | np.generic | float | torch.Tensor):
        kind = "tensor" if isinstance(value, torch.Tensor) else "array"
        plain = value.cpu().numpy() if isinstance(value, torch.Tensor) else value
        key = str(len(arrays))
        arrays[key] = np.array(plain, order="C")
        return {("array" if np.ndim(value) else "scalar") if kind == "array" else kind: key}
    if isinstance(value, list | tuple):
        packed = [_packed(each, arrays, parameter) for each in value]
        if parameter and any(isinstance(each, dict) and "given" in each for each in packed):
            return {"given": f"a {type(value).__name__} of objects"}
        return {"list" if isinstance(value, list) else "tuple": packed}
    if hasattr(value, "items") and not isinstance(value, nn.Module):
        pairs = [[key, _packed(each, arrays, parameter)] for key, each in value.items()]
        return {"map": pairs}
    if sparse.issparse(value):
        graph = sparse.csr_array(value)
        parts = graph.data, graph.indices, graph.indptr, np.array(graph.shape)
        return {"graph": [_packed(part, arrays) for part in parts]}
    if isinstance(value, np.random.Generator | np.random.RandomState):
        return None
    if parameter:
        return {"given": f"of type {type(value).__name__}"}
    raise ValueError(f"what is fitted holds a {type(value).__name__}, which no file can hold")


def _unpacked(packed: Any, arrays: dict[str, np.ndarray]) -> Any:
    if not isinstance(packed, dict):
        return packed
    ((kind, value),) = packed.items()
    if kind == "array":
        return np.array(arrays[value])
    if kind == "scalar":
        return arrays[value].item()
    if kind == "tensor":
        return torch.from_numpy(np.array(arrays[value]))
    if kind == "text":
        return np.array(value, dtype=object)
    if kind == "map":
        return {key: _unpacked(each, arrays) for key, each in value}
    parts = [_unpacked(each, arrays) for each in value]
    if kind == "graph":
        data, indices, indptr, shape = parts
        return sparse.csr_array((data, indices, indptr), shape=tuple(shape.tolist()))
    return {"list": list, "tuple": tuple}[kind](parts)
