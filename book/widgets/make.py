"""Make the data of the widgets, from what ships and from records, and their pictures."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mvlib import SMART, data
from mvlib.book.data_cards.cards import embed_view
from mvlib.methods.set_clip.equations import BANDWIDTH
from mvlib.methods.smart.equations import correlation_matrix, semantic_threshold
from mvlib.metrics import accuracy, graph_precision_recall
from mvlib.ops import cosine_kmeans
from mvlib.papers.smart import smart_settings
from mvlib.records import load_records
from mvlib.tasks.images_with_words import vision_problem

HERE = Path(__file__).resolve().parent
SCRIPTS = HERE.parent / "_static" / "widgets"
EPOCHS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 18, 20)
SEED, RATIO = 5, 0.5


def starts(n_starts: int = 20, n_shown: int = 300) -> dict[str, Any]:
    """Twenty starts of k-means, ours and the authors', on the pixels of HandWritten."""
    digits = data.load("handwritten", views=("pix",))
    (X,) = digits.Xs
    random = np.random.default_rng(0)
    rows = np.sort(random.choice(len(X), n_shown, replace=False))
    places = embed_view(X)[rows]
    places = (places - places.min(axis=0)) / np.ptp(places, axis=0)
    made = {"rows": _percent(places).tolist(), "truth": _digits(digits.y[rows])}
    for init in ("draws", "authors"):
        found = [
            cosine_kmeans(X, digits.n_clusters, init=init, random_state=seed)
            for seed in range(n_starts)
        ]
        made[init] = [
            {
                "accuracy": round(100 * accuracy(digits.y, one.labels), 1),
                "distances": round(float(one.inertia), 2),
                "labels": _digits(one.labels[rows]),
            }
            for one in found
        ]
    return made


def plan(n_classes: int = 12) -> dict[str, Any]:
    """The likeness of twelve drawings, one of each class, to the names of the classes."""
    problem = vision_problem("openclipart", "offline", n_nouns=200)
    first = [int(np.flatnonzero(problem.y == k)[0]) for k in range(n_classes)]
    kept = problem.images[first], problem.classes[:n_classes]
    images, words = (_unit(rows) for rows in kept)
    names = list(problem.data_set.class_names[:n_classes])
    return {"names": names, "likeness": np.round(images @ words.T, 4).tolist()}


# Whose training the page tells of: at both shares of aligned rows.
SEED = 5


def protocol() -> dict[str, Any]:
    """What each choice of epoch, start and mode makes of one training on BDGP."""
    made: dict[str, Any] = {}
    for record in load_records("smart", "full"):
        if record["parameters"]["dataset"] == "bdgp":
            for result in record["results"]:
                if "curves" in result and result["seed"] == SEED:
                    given = result["parameters"]
                    name = f"{given['features']},{given['init']},{given['starts']}"
                    rules = {r: round(100 * v["acc"], 1) for r, v in result["metrics"].items()}
                    curve = [round(100 * value, 1) for value in result["curves"]["acc"]]
                    share = made.setdefault(f"{given['aligned_ratio']:g}", {})
                    share[name] = {"rules": rules, "curve": curve}
                    made["seed"] = result["seed"]
    return made


def clouds(n_points: int = 40) -> dict[str, Any]:
    """Two copies of a cloud of three groups, the second turned, with a little noise."""
    random = np.random.default_rng(1)
    middles = np.array([[1.0, 0.2], [-0.9, 0.4], [0.0, -0.5]])
    groups = random.choice(3, n_points, p=[0.45, 0.4, 0.15])
    first = middles[groups] + 0.16 * random.standard_normal((n_points, 2))
    first -= first.mean(axis=0)
    turn = np.deg2rad(130)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    second = (first + 0.02 * random.standard_normal((n_points, 2))) @ rotation.T
    rounded = {"first": np.round(first, 3).tolist(), "second": np.round(second, 3).tolist()}
    return {**rounded, "bandwidth": BANDWIDTH, "width": 1.0}


def threshold(n_shown: int = 40) -> dict[str, Any]:
    """Correlations of rows of the two views after a short training, and SMART's threshold."""
    model, problem = _trained(EPOCHS[-1])
    aligned = problem.aligned
    random = np.random.default_rng(0)
    rows = np.concatenate(
        [random.choice(np.flatnonzero(problem.y == k), 4, False) for k in range(10)]
    )
    original = np.argsort(problem.permutations[1])
    Z = [torch.as_tensor(embedding) for embedding in model.encode(problem.Xs)]
    C = correlation_matrix(*Z).numpy()
    cut = float(semantic_threshold(*(z[aligned] for z in Z)))
    shown = C[np.ix_(rows[:n_shown], original[rows[:n_shown]])]
    return {
        "correlations": np.round(shown.astype(float), 2).tolist(),
        "labels": _digits(problem.y[rows]),
        "cut": round(cut, 2),
    }


def graph() -> dict[str, Any]:
    """Where the semantic graph's weight goes, class by class, in the course of a training."""
    frames = []
    for epochs in EPOCHS:
        model, problem = _trained(epochs)
        W = model.semantic_graph_[0].toarray()[:, np.argsort(problem.permutations[1])]
        member = np.eye(10)[problem.y]
        shares = member.T @ W @ member
        shares = 100 * shares / shares.sum(axis=1, keepdims=True)
        edges = graph_precision_recall(W, problem.y, problem.y)
        told = {name: round(edges[name], 3) for name in ("precision", "recall")}
        frames.append({"epoch": epochs, "shares": np.rint(shares).astype(int).tolist(), **told})
    return {"frames": frames}


def _trained(epochs: int) -> tuple[SMART, Any]:
    digits = data.load("handwritten")
    views = data.min_max_scale(digits.Xs)
    problem = data.partially_align(views, digits.y, RATIO, random_state=20)
    settings = smart_settings("handwritten", "quick") | {"epochs": epochs, "batch_size": 500}
    model = SMART(digits.n_clusters, **settings, random_state=SEED, device="cpu")
    return model.fit(problem.Xs, aligned=problem.aligned), problem


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _digits(labels: np.ndarray) -> str:
    return "".join(map(str, labels))


def _percent(shares: np.ndarray) -> np.ndarray:
    return np.rint(100 * shares).astype(int)


def engine(name: str) -> Any:
    """Return a JavaScript engine that holds a widget and its data; nothing of a page."""
    import quickjs

    context = quickjs.Context()
    for file in ("widgets", name):
        context.eval((SCRIPTS / f"{file}.js").read_text(encoding="utf-8"))
    context.eval(f"const data = {(HERE / f'{name}.json').read_text(encoding='utf-8')};")
    context.eval(f"const widget = widgets.{name};")
    return context


def still(name: str) -> str:
    """Return what a widget shows at first, for who has no scripts."""
    # Joined: the engine hands over no string that it still keeps in parts.
    return engine(name).eval("[widget.draw(data, widget.start(data)), ''].join('\\n')")


MAKERS = {made.__name__: made for made in (clouds, graph, plan, protocol, starts, threshold)}

if __name__ == "__main__":
    for name in sys.argv[1:] or MAKERS:
        text = json.dumps(MAKERS[name](), separators=(",", ":"))
        (HERE / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")
        (SCRIPTS / f"{name}.svg").write_text(still(name), encoding="utf-8")
        print(f"{name}: {len(text):,} bytes of data")
