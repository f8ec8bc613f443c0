"""NTK spectral clustering from features to labels."""

import numpy as np
import pytest
from refusals import refused
from scipy import sparse
from scipy.optimize import brentq
from sklearn.metrics import adjusted_rand_score
from support.ntk_transcription import (
    cluster,
    kernel,
    neighbor_graph,
    pieces,
    planted,
    softmax,
    unit,
)

from mvlib.encoders import TextBank
from mvlib.methods import NTKSpectralClustering, semantic_centres
from mvlib.methods.ntk_spectral import SubspaceAffinity, keep_nouns

SETTINGS = {"temperature": 0.05, "n_neighbors": 15, "random_state": 0}


@pytest.fixture(scope="module")
def problem():
    return planted(200, d=32, noise=0.5)


@pytest.fixture(scope="module")
def fit(problem):
    def fit(n_clusters=4, data=problem[:2], **changes):
        return NTKSpectralClustering(n_clusters, **SETTINGS | {"top": None} | changes).fit(
            *data
        )

    return fit


@pytest.fixture(scope="module")
def fitted(fit):
    return fit()


class Words:
    """A text's features hang on its letters alone."""

    def encode_texts(self, texts):
        seeds = [sum(map(ord, text)) for text in texts]
        return np.stack([np.random.default_rng(s).normal(size=32) for s in seeds])

    def encode_images(self, images):
        return images.reshape(len(images), -1)[:, :32].astype(np.float32) + 1


@pytest.mark.parametrize("rule", ["mutual", "union"])
def test_labels_affinity_and_weights_equal_the_transcription(problem, fit, rule):
    Z, Ws, y = problem
    model = fit(graph=rule)
    labels, A, beta = cluster(Z, Ws, 4, tau=0.05, q=15, rule=rule)
    small = np.zeros(200, dtype=bool)
    for W in Ws:
        piece = pieces(neighbor_graph(kernel(Z, W, 0.05), 15, rule))
        small |= np.bincount(piece)[piece] <= 15
    assert model.history_["n_tied"] == small.sum()
    assert small.any() == (rule == "mutual")
    assert np.allclose(model.affinity_, A, atol=1e-5)
    assert np.allclose(model.prompt_weights_, beta, atol=1e-4)
    assert adjusted_rand_score(labels, model.labels_) == 1
    assert adjusted_rand_score(y, model.labels_) > 0.9
    assert len(model.objective_) == len(model.history_["steps"]) > 2
    assert (np.diff(model.objective_) <= 1e-9).all()


def test_the_subspace_and_the_features_of_the_kernel_give_the_same_labels(fit, fitted):
    low = fit(solver="subspace", rank=40)
    assert isinstance(low.affinity_, SubspaceAffinity)
    assert adjusted_rand_score(fitted.labels_, low.labels_) == 1
    assert np.allclose(low.prompt_weights_, fitted.prompt_weights_, atol=0.01)
    assert low.objective_[-1] == pytest.approx(fitted.objective_[-1], rel=0.02)
    model = fit(solver="features", fusion="mean", n_features=150)
    assert model.affinity_.shape[0] == 200
    assert model.affinity_.shape[1] <= 150
    assert adjusted_rand_score(fitted.labels_, model.labels_) > 0.9


def test_a_subspace_is_a_hundred_and_twenty_wider_than_there_are_clusters(fit):
    assert fit(solver="subspace").affinity_.basis.shape == (200, 124)


def test_mean_and_single_are_graphs_that_were_not_diffused(problem, fit):
    Z, Ws, _ = problem
    mean, single, alone = (
        fit(data=(Z, banks), fusion=fusion)
        for fusion, banks in (("mean", Ws), ("single", Ws), ("mean", Ws[0]))
    )
    assert sparse.issparse(mean.affinity_)
    assert mean.affinity_.nnz > single.affinity_.nnz
    assert np.allclose(mean.prompt_weights_, 1 / 3)
    assert len(mean.objective_) == 0
    assert np.array_equal(single.affinity_.toarray(), alone.affinity_.toarray())
    assert single.prompt_weights_.tolist() == [1.0]


@pytest.mark.parametrize("affinity", ["visual", "rbf"])
def test_affinities_without_nouns_have_one_graph(problem, affinity):
    Z, _, _ = problem
    model = NTKSpectralClustering(4, affinity=affinity, **SETTINGS).fit(Z)
    assert model.prompt_weights_.tolist() == [1.0]
    assert model.cluster_names_ == [{"nouns": [], "captions": []}] * 4
    assert len(model.history_["kept"]) == 0


def test_the_semantic_half_forgets_what_the_images_look_like(problem, fit):
    Z, Ws, _ = problem
    nouns = np.hstack([Ws[0], np.zeros((len(Ws[0]), 4), np.float32)])
    # Four directions that no noun points to; every image goes as far in them.
    hidden = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    hidden /= np.linalg.norm(hidden, axis=1, keepdims=True)
    for affinity, alike in (("semantic", True), ("ntk", False)):
        one, other = (
            fit(
                data=(np.hstack([Z, seen]), nouns), affinity=affinity, fusion="single"
            ).affinity_
            for seen in (hidden, hidden[::-1])
        )
        assert np.allclose(one.toarray(), other.toarray(), rtol=1e-3) == alike
        assert one.data.min() > 0


def test_switches_of_the_code_are_read(problem, fit):
    weak = {"temperature": 5.0, "regularization": 0.01}
    for switch in (
        {"normalization": "row"},
        {"mu": 1.0},
        {"n_steps": 1},
        {"n_rounds": 1, "temperature": 0.05},
    ):
        base = weak | {"temperature": switch.get("temperature", 5.0)}
        plain, other = fit(**base), fit(**(base | switch))
        moved = np.abs(plain.affinity_ - other.affinity_).max()
        weighed = np.abs(plain.prompt_weights_ - other.prompt_weights_).max()
        assert max(moved, weighed) > 1e-4, switch
    # The rules for the weights part where prompts are many and differ.
    Z, Ws, _ = problem
    shares = zip(Ws, (0, 0.5, 1), strict=True)
    data = Z, [*Ws, *(np.roll(W, 1, axis=1) + share * W for W, share in shares)]
    exact, coded = (
        fit(data=data, weights=rule, regularization=0.1, n_rounds=1).prompt_weights_
        for rule in ("exact", "coordinate")
    )
    assert np.abs(exact - coded).max() > 0.01


@pytest.mark.parametrize("solver", ["full", "subspace"])
def test_one_prompt_may_take_all_the_weight(problem, fit, solver):
    model = fit(regularization=1e-3, solver=solver, rank=60)
    assert model.prompt_weights_.max() == 1
    assert adjusted_rand_score(problem[2], model.labels_) > 0.9


def test_graphs_of_more_pieces_than_clusters_are_refused(fit):
    Z, Ws, y = planted(200, d=64, noise=0.6)
    model = fit(data=(Z, Ws))
    assert model.history_["n_pieces"] == 4
    assert adjusted_rand_score(y, model.labels_) == 1
    with pytest.raises(ValueError, match="4 pieces: expected at most n_clusters=2"):
        fit(2, (Z, Ws))


def test_the_filter_keeps_nouns_of_the_train_images(problem, fit):
    Z, Ws, y = problem
    model = fit(top=2, n_centers=4)
    assert len(model.history_["kept"]) == 8
    assert model.history_["n_centers"] == 4
    # Nouns come six a class, in order of the classes.
    assert np.array_equal(np.bincount(model.history_["kept"] // 6), [2, 2, 2, 2])
    fewer = fit(2, (Z, Ws, Z[y < 2]), top=2, n_centers=2)
    assert len(fewer.history_["kept"]) == 4


def test_so_many_prompts_count_of_banks_or_of_templates_for_words(problem):
    Z, Ws, _ = problem
    words = [f"noun {i}" for i in range(30)]
    raw = np.random.default_rng(0).integers(0, 255, (40, 4, 4, 3), dtype=np.uint8)
    for settings, data, expected in (
        ({"prompts": 2}, (Z, words), 2),
        ({"prompts": ["a {}", "the {}", "{}"]}, (Z, words), 3),
        ({"prompts": 2, "top": None, "encoder": None}, (Z, np.stack(Ws)), 2),
        ({"prompts": 1, "n_neighbors": 30}, (raw, words), 1),
    ):
        model = NTKSpectralClustering(3, **SETTINGS | {"encoder": Words()} | settings)
        assert len(model.fit(*data).prompt_weights_) == expected
        assert len(model.labels_) == len(data[0])


PLANTED, NOUNS, _ = planted(200, d=32, noise=0.5)
WORDS = tuple(map(str, range(len(NOUNS[0]))))
OTHERS = [TextBank(WORDS, NOUNS[0]), TextBank(WORDS[::-1], NOUNS[1]), *NOUNS[2:]]


def fit_small(texts=NOUNS, **changes):
    settings = {"n_clusters": 4, "prompts": 3, **SETTINGS} | changes
    return NTKSpectralClustering(**settings).fit(PLANTED, texts)


test_bad_input_is_named = refused(
    [
        ("texts=None holds no nouns", lambda: fit_small(None)),
        ("texts is empty", lambda: fit_small([])),
        ("texts='noun' holds no nouns", lambda: fit_small("noun")),
        ("there is no encoder", lambda: fit_small(["noun", "verb"])),
        ("numbers of features differ", lambda: fit_small([NOUNS[0][:, :5]] * 3)),
        ("prompts=8", lambda: fit_small(["noun"], prompts=8, encoder=Words())),
        ("prompts=0", lambda: fit_small(prompts=0)),
        ("a number or a list of templates", lambda: fit_small(prompts="a {}")),
        ("other words than texts", lambda: fit_small(OTHERS)),
        ("no graph to diffuse", lambda: fit_small(solver="features")),
    ]
)


def code_reading(Z, Ws, tau, q, mu, lam):
    """The diffusion as the code of VLM4Cluster has it, step by step."""
    Ss = []
    for W in Ws:
        K = kernel(Z, W, tau)
        np.fill_diagonal(K, 0)
        A = np.zeros_like(K)
        for i, row in enumerate(K):
            others = np.delete(np.arange(len(K)), i)
            nearest = others[np.argsort(-row[others])[:q]]
            A[i, nearest] = row[nearest]
        A = np.maximum(A, A.T)
        A[A < 0] = 0
        d = np.maximum(A.sum(axis=1), 1)
        Ss.append(A / np.sqrt(d)[:, None] / np.sqrt(d))
    n_prompts = len(Ss)
    A, beta = np.eye(len(Z)), np.full(n_prompts, 1 / n_prompts)
    for _ in range(5):
        for _ in range(8):
            before = A
            A = sum(b * S @ A @ S.T for b, S in zip(beta, Ss, strict=True)) / (1 + mu)
            A = A + mu / (1 + mu) * np.eye(len(Z))
            A = (A + A.T) / 2
            A[A < 0] = 0
            if np.linalg.norm(A - before) / (np.linalg.norm(before) + 1e-12) < 1e-4:
                break
        H = [(A * A).sum() - (A * (S @ A @ S.T)).sum() for S in Ss]
        for _ in range(4):
            for i in range(n_prompts):
                for j in range(i + 1, n_prompts):
                    s = beta[i] + beta[j]
                    beta[i] = np.clip((lam * s + H[j] - H[i]) / (2 * lam), 0, 1)
                    beta[j] = np.clip(s - beta[i], 0, 1)
            beta = np.maximum(beta, 0)
            beta = np.maximum(
                beta - brentq(lambda t, b=beta: np.maximum(b - t, 0).sum() - 1, -2, 2), 0
            )
    return A, beta


def test_the_settings_of_the_code_give_what_its_steps_give():
    # Images on all sides and a high temperature: edges of either sign, degrees below one.
    rng = np.random.default_rng(0)
    Z, Ws = rng.normal(size=(60, 12)), rng.normal(size=(3, 9, 12))
    settings = {"temperature": 0.7, "n_neighbors": 30, "regularization": 0.01, "top": None}
    code = NTKSpectralClustering.code_settings()
    model = NTKSpectralClustering(3, random_state=0, **code | settings).fit(Z, Ws)
    A, beta = code_reading(Z, Ws, tau=0.7, q=30, mu=0.1, lam=0.01)
    assert model.history_["n_tied"] == 0
    assert np.ptp(beta) > 0.01
    assert np.allclose(model.prompt_weights_, beta, atol=1e-5)
    assert np.allclose(model.affinity_, A, atol=1e-6)
    for switch in ("graph", "clip_negatives", "degree_floor"):
        own = {name: value for name, value in code.items() if name != switch}
        other = NTKSpectralClustering(3, random_state=0, **own | settings).fit(Z, Ws)
        assert not np.allclose(other.affinity_, A, atol=1e-4), switch


@pytest.mark.parametrize("mean", ["plain", "unit"])
def test_nouns_are_filtered_by_the_mean_over_prompts_of_their_features_or_unit_vectors(
    problem, mean
):
    Z, Ws, _ = problem
    lengths = np.random.default_rng(0).uniform(0.1, 10, (len(Ws), len(Ws[0]), 1))
    words = tuple(map(str, range(len(Ws[0]))))
    banks = [TextBank(words, W * by) for W, by in zip(Ws, lengths, strict=True)]
    settings = {"n_centers": "three_a_class", "top": 1, "device": "cpu", "random_state": 0}
    kept, n_centers = keep_nouns(banks, Z, 4, prompt_mean=mean, **settings)
    assert n_centers == 12
    centres = semantic_centres(Z, 12, device="cpu", random_state=0)
    nouns = np.mean(lengths * Ws if mean == "plain" else Ws, axis=0)
    p = softmax(unit(nouns) @ unit(centres).T)
    expected = {
        max(np.flatnonzero(p.argmax(axis=1) == c), key=lambda j, c=c: p[j, c])
        for c in np.unique(p.argmax(axis=1))
    }
    assert set(kept) == expected
