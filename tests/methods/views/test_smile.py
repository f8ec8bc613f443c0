"""SMILE against slow transcriptions of its source: losses, k-means, filling and realignment."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from problem_stand_ins import groups
from refusals import out_of_range
from torch import nn

from mvlib import data
from mvlib.methods.views import smile
from mvlib.methods.views.smile import SMILE
from mvlib.metrics import accuracy

SMALL = {
    "hidden_dims": (16, 16, 12, 8), "epochs": 4, "warmup_epochs": 2, "batch_size": 16,
    "learning_rate": 1e-2, "random_state": 0, "device": "cpu",
}  # fmt: skip


def problem_of(n=61, ratio=0.5, rate=0.6, widths=(6, 7)):
    Xs, y = groups(n, widths, 3, spread=3)
    scaled = [((X - X.mean(axis=0)) / X.std(axis=0, ddof=1)).astype(np.float32) for X in Xs]
    problem = data.misalign(scaled, y, ratio, protocol="mvcln")
    return data.hide_views(problem, rate=rate, protocol="completer") if rate else problem


@pytest.fixture(scope="module")
def problem():
    return problem_of()


def fit_to(problem, y=None, **changes):
    masks = {"aligned": problem.aligned, "present": problem.present}
    return SMILE(3, **SMALL | changes).fit(problem.Xs, y, **masks)


@pytest.fixture(scope="module")
def fitted(problem):
    return fit_to(problem)


def slow_softmax(row):
    e = [np.exp(x) for x in row]
    return [x / sum(e) for x in e]


def rows_of(seed, *shapes):
    """Random unit rows."""
    rng = np.random.default_rng(seed)
    drawn = [rng.normal(size=shape) for shape in shapes]
    return [A / np.linalg.norm(A, axis=1, keepdims=True) for A in drawn]


def test_terms_of_the_clusters_are_those_of_the_transcription():
    H_1, H_2, C = rows_of(0, (5, 4), (3, 4), (3, 4))
    ps = [np.array([slow_softmax([h @ c / 0.1 for c in C]) for h in H]) for H in (H_1, H_2)]
    found = [smile.assignments(torch.tensor(H), torch.tensor(C), 0.1) for H in (H_1, H_2)]
    for p, q in zip(ps, found, strict=True):
        np.testing.assert_allclose(q, p)
    p, n = np.vstack(ps), 8
    balance = sum(x * np.log(x) for x in [p[:, k].sum() / n for k in range(3)])
    confidence = sum(-x * np.log(x) for x in p.flat) / n
    information = 0.0
    for k in range(3):
        for g in range(2):
            joint = ps[g][:, k].sum() / n
            P_k, P_g = p[:, k].sum() / n, len(ps[g]) / n
            information += joint * np.log(joint / (P_k * P_g))
    together = torch.cat(found)
    assert smile.balance_loss(together).item() == pytest.approx(balance)
    assert smile.confidence_loss(together).item() == pytest.approx(confidence)
    assert smile.invariance_loss(found).item() == pytest.approx(information)
    leaves = [torch.tensor(A, requires_grad=True) for A in ps]
    for loss in (
        lambda *A: smile.balance_loss(torch.cat(A)),
        lambda *A: smile.confidence_loss(torch.cat(A)),
        lambda *A: smile.invariance_loss(A),
    ):
        assert torch.autograd.gradcheck(loss, leaves)


def test_views_with_the_same_shares_of_clusters_tell_nothing_of_the_view():
    p = torch.tensor(np.random.default_rng(0).dirichlet(np.ones(4), 10))
    assert abs(smile.invariance_loss([p, p.flip(0)]).item()) < 1e-12
    assert abs(smile.invariance_loss([p, torch.cat([p, p])]).item()) < 1e-12
    assert abs(smile.invariance_loss([p]).item()) < 1e-12
    sure = torch.eye(2, dtype=torch.float64)
    assert smile.invariance_loss([sure[:1], sure[1:]]).item() == pytest.approx(np.log(2))
    assert smile.confidence_loss(sure).item() == 0
    assert smile.balance_loss(sure[:1]).item() == 0


def test_contrast_sets_known_pairs_against_all_rows_of_the_other_view():
    H_1, H_2 = rows_of(1, (6, 3), (5, 3))
    pairs = [(0, 1), (4, 3)]
    total = 0.0
    for A, B, sides in ((H_1, H_2, pairs), (H_2, H_1, [(j, i) for i, j in pairs])):
        for i, j in sides:
            total -= np.log(slow_softmax([A[i] @ b / 0.2 for b in B])[j]) / len(pairs)
    call = partial(smile.pair_contrast, pairs=torch.tensor(pairs), temperature=0.2)
    found = call(torch.tensor(H_1), torch.tensor(H_2))
    assert found.item() == pytest.approx(2 * 0.2 * total)
    leaves = [torch.tensor(H, requires_grad=True) for H in (H_1, H_2)]
    assert torch.autograd.gradcheck(call, leaves)
    none = torch.empty(0, 2, dtype=torch.int64)
    assert smile.pair_contrast(torch.tensor(H_1), torch.tensor(H_2), none, 0.2) == 0


def test_centres_are_unit_vectors_of_the_best_of_ten_starts_from_random_rows(monkeypatch):
    calls = []

    class Recorded(smile.KMeans):
        def fit(self, X):
            calls.append((self.get_params(), len(X)))
            return super().fit(X)

    monkeypatch.setattr(smile, "KMeans", Recorded)
    Z, y = groups(60, (5,), 3, spread=6)
    centers = smile.clustered(Z[0], 3, 0)
    means = np.array([Z[0][y == k].mean(axis=0) for k in range(3)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    np.testing.assert_allclose(np.sort(centers, axis=0), np.sort(means, axis=0), atol=1e-5)
    parameters, n = calls[0]
    wanted = {"init": "random", "n_init": 10, "max_iter": 300, "tol": 0, "n_clusters": 3}
    assert wanted.items() <= parameters.items()
    assert n == 60
    Z = np.random.default_rng(0).normal(size=(600, 3)).astype(np.float32)
    smile.clustered(Z, 2, 0)
    assert calls[1][1] == 512


def slow_realigned(H_1, H_2, aligned, present):
    H_1, H_2 = H_1.copy(), H_2.copy()
    given_1, given_2, matching = H_1.copy(), H_2.copy(), np.arange(len(aligned))

    def nearest(h, G, pool):
        return min(pool, key=lambda j: (np.linalg.norm(h - G[j]), j))

    n = range(len(aligned))
    for i in n:
        if not present[i, 1]:
            matching[i] = nearest(H_1[i], given_2, [j for j in n if present[j, 1]])
            H_2[i] = given_2[matching[i]]
    for i in n:
        if not present[i, 0]:
            H_1[i] = given_1[nearest(H_2[i], given_1, [j for j in n if present[j, 0]])]
    loose = [i for i in n if not aligned[i] and present[i].all()]
    for i in loose:
        matching[i] = nearest(H_1[i], given_2, loose)
        H_2[i] = given_2[matching[i]]
    return matching, H_1, H_2


@pytest.mark.parametrize("ratio", [0, 0.5, 1])
def test_rows_are_filled_and_then_realigned_as_the_transcription_says(ratio):
    H_1, H_2 = rows_of(2, (40, 3), (40, 3))
    present = problem_of(40, rate=0.5).present
    aligned = np.arange(40) < ratio * 40
    matching, filled = smile.realigned([torch.tensor(H_1), torch.tensor(H_2)], aligned, present)
    expected, *slow = slow_realigned(H_1, H_2, aligned, present)
    assert matching.tolist() == expected.tolist()
    np.testing.assert_allclose(filled, slow)
    known = aligned & present.all(axis=1)
    assert (matching[known] == np.flatnonzero(known)).all()


def test_of_equally_near_rows_the_first_is_taken_and_one_can_be_taken_twice():
    H = torch.zeros(3, 2)
    G = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    rows = np.arange(3)
    assert smile.nearest_rows(H, rows, G, rows).tolist() == [0, 0, 0]
    assert smile.nearest_rows(H, rows, G, rows[1:]).tolist() == [1, 1, 1]
    assert smile.nearest_rows(H, rows[:0], G, rows).tolist() == []


def test_an_input_stays_in_about_841_of_1000_and_is_not_rescaled():
    torch.manual_seed(0)
    mask = smile.input_noise(torch.ones(400, 400))
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert mask.mean().item() == pytest.approx(0.8413, abs=0.004)


def plain_network(widths):
    """Layers in the order of the estimator's: first ones, shared ones, decoders."""
    block = lambda a, b: [nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU(), nn.Dropout(0.2)]  # noqa: E731
    plain = lambda a, b: [nn.Linear(a, b), nn.ReLU(), nn.Dropout(0.2)]  # noqa: E731
    first = [nn.Sequential(*block(width, 16)) for width in widths]
    shared = nn.Sequential(*block(16, 16), *block(16, 12), *plain(12, 8), nn.Linear(8, 3))
    decoders = [
        nn.Sequential(
            *plain(3, 8), *plain(8, 12), *block(12, 16), *block(16, 16), nn.Linear(16, width)
        )
        for width in widths
    ]
    return nn.ModuleList(first), shared, nn.ModuleList(decoders)


def plain_training(problem):
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    first, shared, decoders = parts = plain_network([X.shape[1] for X in problem.Xs])
    adam = torch.optim.Adam([w for m in parts for w in m.parameters()], lr=1e-2)
    Xs = [torch.tensor(np.where(np.isnan(X), np.nanmean(X, axis=0), X)) for X in problem.Xs]
    there = torch.tensor(problem.present)

    def encode(X, v):
        masked = X * (torch.rand_like(X) < 0.8413447460685429)
        Z = shared(first[v](masked))
        return Z / Z.norm(dim=1, keepdim=True)

    history, centers = [], None
    for epoch in range(4):
        for m in parts:
            m.train()
        if epoch >= 2:
            for m in parts:
                m.eval()
            with torch.no_grad():
                codes = [encode(X, v) for v, X in enumerate(Xs)]
            Z = torch.cat([H[there[:, v]] for v, H in enumerate(codes)]).numpy()
            centers = torch.tensor(smile.clustered(Z, 3, 0))
            for m in parts:
                m.train()
        losses = []
        for batch in torch.randperm(61, generator=generator)[:48].split(16):
            lists = [[i for i in batch.tolist() if there[i, v]] for v in (0, 1)]
            inputs = [X[rows] for X, rows in zip(Xs, lists, strict=True)]
            H = [encode(X, v) for v, X in enumerate(inputs)]
            loss = 0.5 * sum(
                ((decoders[v](H[v]) - X) ** 2).sum() / X.numel() for v, X in enumerate(inputs)
            )
            known = [i for i in lists[0] if i in lists[1] and problem.aligned[i]]
            S = H[0] @ H[1].T / 0.2
            at = [torch.tensor([rows.index(i) for i in known]) for rows in lists]
            for side, own, other in ((S, *at), (S.T, *at[::-1])):
                loss = loss - 0.02 * 0.4 * side.log_softmax(1)[own, other].mean()
            if centers is not None:
                ps = [(A @ centers.T / 0.1).softmax(1) for A in H]
                p = torch.cat(ps)
                sizes = p.mean(0)
                loss = loss + 0.04 * (sizes * sizes.log()).sum()
                loss = loss - 0.04 * (p * p.log()).sum(1).mean()
                for part in ps:
                    joint, share = part.sum(0) / len(p), len(part) / len(p)
                    loss = loss + 0.2 * (joint * (joint / (sizes * share)).log()).sum()
            adam.zero_grad()
            loss.backward()
            adam.step()
            losses.append(loss.item())
        history.append(np.mean(losses))
    return history


def test_training_is_that_of_the_plain_transcription(problem, fitted):
    np.testing.assert_allclose(fitted.history_["loss"], plain_training(problem), rtol=2e-3)
    counted = np.isfinite(fitted.history_["invariance"])
    assert counted.tolist() == [False, False, True, True]


def test_what_absent_rows_hold_is_not_read_and_no_label_is(problem, fitted):
    other = replace(problem, Xs=[np.where(np.isnan(X), 9e5, X) for X in problem.Xs])
    again = fit_to(other, y=np.zeros(61))
    for name in ("embedding_", "matching_", "labels_"):
        np.testing.assert_array_equal(getattr(again, name), getattr(fitted, name))


def test_an_encoder_is_shared_but_for_first_layers_of_unequal_width(fitted):
    first, second = fitted.network_.first
    assert first is not second
    assert int(first[1].num_batches_tracked) == 4 * 3
    # Both views pass it, one after the other.
    assert int(fitted.network_.shared[1].num_batches_tracked) == 2 * 4 * 3
    same = fit_to(problem_of(widths=(6, 6)), hidden_dims=(8,), epochs=1)
    assert same.network_.first[0] is same.network_.first[1]
    assert len(same.network_.decoders) == 2
    assert same.network_.decoders[0] is not same.network_.decoders[1]


def test_evaluation_is_noisy_unless_it_is_told_otherwise_and_new_rows_are_not(problem, fitted):
    quiet = fit_to(problem, evaluation_noise=False, epochs=1)
    noisy = fit_to(problem, epochs=1)
    np.testing.assert_array_equal(quiet.history_["loss"], noisy.history_["loss"])
    assert not np.allclose(quiet.embedding_, noisy.embedding_)
    Xs = problem_of(rate=0).Xs
    np.testing.assert_array_equal(quiet.transform(Xs), quiet.transform(Xs))
    np.testing.assert_allclose(np.linalg.norm(noisy.embedding_, axis=1), np.sqrt(2), rtol=1e-5)


def test_labels_are_the_centres_of_largest_product(fitted):
    centers = smile.clustered(fitted.embedding_, 3, 0)
    expected = (fitted.embedding_ @ centers.T).argmax(axis=1)
    np.testing.assert_array_equal(fitted.labels_, expected)


def test_defaults_are_the_authors_settings():
    defaults = {
        "hidden_dims": (1024, 1024, 512, 256), "embedding_dim": None, "dropout": 0.2,
        "epochs": 149, "warmup_epochs": 50, "batch_size": 256, "learning_rate": 1e-3,
        "balance_weight": 0.04, "invariance_weight": 0.2, "confidence_weight": 0.04,
        "pair_weight": 0.02, "temperature": 0.1, "pair_temperature": 0.2,
    }  # fmt: skip
    assert defaults.items() <= SMILE(3).get_params().items()


@pytest.mark.parametrize("ratio", [0, 0.5])
def test_training_clusters_rows_without_a_single_pair(ratio):
    problem = problem_of(240, ratio, rate=0)
    settings = {"epochs": 40, "warmup_epochs": 15, "batch_size": 64, "learning_rate": 3e-3}
    model = fit_to(problem, **settings, hidden_dims=(64, 64, 32, 16))
    assert accuracy(problem.y, model.labels_) > 0.9


XS = problem_of(rate=0).Xs


def fit_small(Xs=XS, **changes):
    return SMILE(**{"n_clusters": 3} | SMALL | changes).fit(Xs)


test_a_parameter_out_of_range_is_refused_by_its_name = out_of_range(
    fit_small,
    {
        "warmup_epochs": (-1,), "batch_size": (62,), "balance_weight": (-1,),
        "invariance_weight": (-1,), "confidence_weight": (-1,), "pair_weight": (-1,),
        "pair_temperature": (0,), "evaluation_noise": ("no",), "hidden_dims": ((),),
    },
)  # fmt: skip
