"""MvCLN against slow transcriptions of its source: pairs, loss, margin, switch, matching."""

import itertools
from functools import partial

import numpy as np
import pytest
import torch
from problem_stand_ins import groups
from refusals import out_of_range, refused
from torch import nn

from mvlib import MvCLN, data
from mvlib.methods.views import mvcln
from mvlib.metrics import accuracy

SMALL = {
    "hidden_dims": (16, 16), "embedding_dim": 4, "epochs": 5, "batch_size": 64,
    "learning_rate": 1e-2, "n_negatives": 6, "match_batch_size": 16, "random_state": 0,
    "device": "cpu",
}  # fmt: skip


def blobs(n=61, n_clusters=3, seed=0):
    return groups(n, (6, 7), n_clusters, spread=4, seed=seed)


@pytest.fixture(scope="module")
def problem():
    return data.partially_align(*blobs(), 0.5, protocol="mvcln")


@pytest.fixture(scope="module")
def fit(problem):
    def fit(Xs=problem.Xs, y=None, aligned=problem.aligned, **changes):
        return MvCLN(3, **SMALL | changes).fit(Xs, y, aligned=aligned)

    return fit


@pytest.fixture(scope="module")
def fitted(fit):
    return fit()


def slow_distance(a, b):
    return np.sqrt(sum((x - y + 1e-6) ** 2 for x, y in zip(a, b, strict=True)))


def slow_loss(distances, y, m, robust):
    total = 0.0
    for d, positive in zip(distances, y, strict=True):
        if positive:
            total += d**2
        elif robust:
            total += max(np.sqrt(d) * (m - d), 0) ** 2 / m
        else:
            total += max(m - d, 0) ** 2
    return total / (2 * len(distances))


@pytest.mark.parametrize(("robust", "by_hand"), [(False, 8 / 6), (True, 16 / 18)])
def test_loss_is_that_of_the_transcription_and_free_from_the_margin_on(robust, by_hand):
    rng = np.random.default_rng(0)
    d, y = 5 * rng.random(40), rng.random(40) < 0.3
    found = mvcln.contrastive_loss(torch.tensor(d), torch.tensor(y), 3, robust)
    assert float(found) == pytest.approx(slow_loss(d, y, 3, robust), rel=1e-12)
    d, y = torch.tensor([2.0, 1.0, 3.0]), torch.tensor([True, False, False])
    assert float(mvcln.contrastive_loss(d, y, 3.0, robust)) == pytest.approx(by_hand)
    far = torch.tensor([2.0, 2.5, 9.0], requires_grad=True)
    loss = mvcln.contrastive_loss(far, torch.zeros(3, dtype=torch.bool), 2.0, robust)
    loss.backward()
    assert loss.item() == 0
    assert not far.grad.any()
    generator = torch.Generator().manual_seed(0)
    H = [torch.rand(8, 3, generator=generator, dtype=torch.float64) for _ in range(2)]
    assert torch.autograd.gradcheck(
        lambda A, B: mvcln.contrastive_loss(
            mvcln.pair_distances(A, B), torch.arange(8) < 3, 1.0, robust
        ),
        [H_v.requires_grad_() for H_v in H],
    )


def test_after_the_switch_near_negatives_are_pulled_together_and_others_pushed_apart():
    m, d = 3.0, torch.tensor([0.3, 0.9, 1.0, 1.1, 2.9], dtype=torch.float64)
    d.requires_grad_()
    (slope,) = torch.autograd.grad(mvcln.negative_term(d, m, True).sum(), d)
    expected = ((m - d) * (m - 3 * d) / m).detach()
    assert torch.allclose(slope, expected)
    assert slope.round(decimals=9).sign().tolist() == [1, 1, 0, -1, -1]
    (slope,) = torch.autograd.grad(mvcln.negative_term(d, m, False).sum(), d)
    assert torch.allclose(slope, (-2 * (m - d)).detach())


def test_distances_are_those_of_the_transcription_and_at_least_a_millionth():
    rng = np.random.default_rng(0)
    A = rng.normal(size=(5, 3))
    B = np.vstack([A[:2], rng.normal(size=(3, 3))])
    found = mvcln.pair_distances(torch.tensor(A), torch.tensor(B)).numpy()
    slow = [slow_distance(a, b) for a, b in zip(A, B, strict=True)]
    np.testing.assert_allclose(found, slow, rtol=1e-9)
    assert found[0] == pytest.approx(np.sqrt(3) * 1e-6)
    found = mvcln.distance_matrix(torch.tensor(A), torch.tensor(B))
    slow = [[np.sqrt(max(sum((a - b) ** 2), 1e-12)) for b in B] for a in A]
    np.testing.assert_allclose(found, slow, rtol=1e-7, atol=1e-7)
    assert found[0, 0] >= 1e-6


@pytest.mark.parametrize(("n", "n_negatives"), [(40, 30), (6, 6)])
def test_each_row_is_paired_with_its_partner_and_with_distinct_random_rows(n, n_negatives):
    pairs = mvcln.draw_pairs(n, n_negatives, torch.Generator().manual_seed(0)).tolist()
    assert len(pairs) == (n_negatives + 1) * n
    assert pairs[:n] == [[i, i, 1] for i in range(n)]
    for i in range(n):
        drawn = [second for first, second, y in pairs if first == i and not y]
        assert len(drawn) == len(set(drawn)) == n_negatives
        assert set(drawn) <= set(range(n))


def test_all_sets_of_negatives_are_equally_likely_those_with_the_partner_too():
    generator, draws = torch.Generator().manual_seed(0), 2000
    met = dict.fromkeys(itertools.combinations(range(5), 2), 0)
    for _ in range(draws):
        pairs = mvcln.draw_pairs(5, 2, generator)
        met[tuple(sorted(pairs[(pairs[:, 0] == 3) & (pairs[:, 2] == 0), 1].tolist()))] += 1
    deviation = np.sqrt(draws * 0.1 * 0.9)
    assert all(abs(count - draws / 10) < 4 * deviation for count in met.values())


@pytest.mark.parametrize(
    ("positive", "negative", "m"),
    [(1.25, 1.25, 2), (1.75, 1.75, 4), (2.0, 2.6, 5), (0.1, 0.3, 1), (0.0, 0.0, 1)],
)
def test_margin_is_the_sum_rounded_half_to_even_and_at_least_one(positive, negative, m):
    assert mvcln.measured_margin(positive, negative) == m


def plain_encoder(width, hidden_dims, d, dropout):
    layers = []
    for hidden in hidden_dims:
        layers += [nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU()]
        layers += [nn.Dropout(dropout)]
        width = hidden
    return nn.Sequential(*layers, nn.Linear(width, d), nn.BatchNorm1d(d), nn.ReLU())


def plain_training(Xs, aligned, settings, switch):
    """Train as the source says, pair by pair; one seed gives the estimator's draws."""
    torch.manual_seed(settings["random_state"])
    generator = torch.Generator().manual_seed(settings["random_state"])
    shape = settings["hidden_dims"], settings["embedding_dim"], 0.2
    encoders = [plain_encoder(X.shape[1], *shape) for X in Xs]
    A = [torch.tensor(X[aligned]) for X in Xs]
    pairs = mvcln.draw_pairs(len(A[0]), settings["n_negatives"], generator).tolist()
    weights = [weight for encoder in encoders for weight in encoder.parameters()]
    adam = torch.optim.Adam(weights, lr=settings["learning_rate"])
    m, robust = None, False
    history = {"loss": [], "positive_distance": [], "negative_distance": [], "robust": []}
    for epoch in range(settings["epochs"] + 1):
        order = torch.randperm(len(pairs), generator=generator).tolist()
        met, losses = ([], []), []
        for start in range(0, len(order), settings["batch_size"]):
            batch = [pairs[k] for k in order[start : start + settings["batch_size"]]]
            if len(batch) < settings["batch_size"]:
                continue
            H_1 = encoders[0](torch.stack([A[0][i] for i, _, _ in batch]))
            H_2 = encoders[1](torch.stack([A[1][j] for _, j, _ in batch]))
            loss = 0
            for h_1, h_2, (_, _, y) in zip(H_1, H_2, batch, strict=True):
                d = ((h_1 - h_2 + 1e-6) ** 2).sum().sqrt()
                met[y].append(d.item())
                if epoch == 0:
                    continue
                if y:
                    loss = loss + d**2
                elif robust:
                    loss = loss + (d.sqrt() * (m - d)).clamp(min=0) ** 2 / m
                else:
                    loss = loss + (m - d).clamp(min=0) ** 2
            if epoch:
                loss = loss / (2 * len(batch))
                adam.zero_grad()
                loss.backward()
                adam.step()
                losses.append(loss.item())
        negative, positive = (sum(values) / len(values) for values in met)
        if epoch == 0:
            m = max(1, round(positive + negative))
            continue
        for name, value in zip(
            history, (np.mean(losses), positive, negative, robust), strict=True
        ):
            history[name].append(value)
        robust = robust or negative >= switch * m
    return encoders, m, history


@pytest.mark.parametrize(("switch", "n_robust"), [(1.0, 0), (0.53, 2), (0.0, 3)])
def test_training_is_that_of_the_plain_transcription(problem, fit, switch, n_robust):
    settings = SMALL | {"epochs": 4}
    model = fit(epochs=4, switch=switch)
    encoders, m, history = plain_training(problem.Xs, problem.aligned, settings, switch)
    assert model.margin_ == m
    assert sum(history["robust"]) == n_robust
    assert model.history_["robust"].tolist() == history["robust"]
    for name in ("loss", "positive_distance", "negative_distance"):
        np.testing.assert_allclose(model.history_[name], history[name], rtol=1e-4)
    # Means and weights are not compared: batch normalisation lets biases drift freely.
    for network in zip(model.network_, encoders, strict=True):
        found, expected = (
            [layer.running_var for layer in layers if hasattr(layer, "running_var")]
            for layers in network
        )
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)


def test_the_loss_switches_for_good_in_the_epoch_after_the_margin_is_just_reached(fit):
    def distances(switch, margin):
        history = fit(switch=switch, margin=margin).history_
        return history["negative_distance"], history["robust"].tolist()

    first = distances(1e9, 1.0)[0][0]
    assert distances(first, 1.0)[1] == [False, True, True, True, True]
    assert distances(np.nextafter(first, np.inf), 1.0)[1][:2] == [False, False]
    first = distances(1e9, 0.1)[0][0]
    met, robust = distances(float(first) / 0.1, 0.1)
    assert (met[1:] < met[0]).all()
    assert robust == [False, True, True, True, True]


@pytest.mark.parametrize(
    ("n", "ratio", "n_aligned", "batch_size"),
    [(61, 0.5, 31, 155), (61, 0.5, 31, 7), (60, 0.5, 30, 16), (7, 1, 7, 7), (7, 1, 7, 16)],
)
def test_an_epoch_has_the_full_batches_of_the_pairs_of_the_aligned_rows(
    n, ratio, n_aligned, batch_size
):
    problem = data.partially_align(*blobs(n), ratio, protocol="mvcln")
    assert problem.aligned.sum() == n_aligned == np.ceil(ratio * n)
    settings = SMALL | {"epochs": 2, "n_negatives": 4, "batch_size": batch_size}
    model = MvCLN(3, **settings, margin=2.5).fit(problem.Xs, aligned=problem.aligned)
    assert model.margin_ == 2.5
    assert np.isfinite(model.history_["loss"]).all()
    # A given margin is kept, and the first pass still moves batch normalisation.
    assert int(model.network_[0][1].num_batches_tracked) == 3 * (5 * n_aligned // batch_size)


def test_only_aligned_rows_train_and_no_label_does(problem, fit, fitted):
    Xs = [X * np.where(problem.aligned, 1, -3)[:, None].astype(X.dtype) for X in problem.Xs]
    model = fit(Xs)
    np.testing.assert_array_equal(model.history_["loss"], fitted.history_["loss"])
    assert not np.array_equal(model.embedding_, fitted.embedding_)
    again = fit(y=np.zeros(61))
    assert np.array_equal(again.embedding_, fitted.embedding_)
    assert np.array_equal(again.labels_, fitted.labels_)


def test_encoders_end_in_batch_normalisation_and_relu_and_drop_hidden_units_only(fitted):
    hidden = ["Linear", "BatchNorm1d", "ReLU", "Dropout"]
    for encode, width in zip(fitted.network_, fitted.n_features_in_, strict=True):
        assert [type(layer).__name__ for layer in encode] == 2 * hidden + hidden[:3]
        widths = [layer.weight.shape for layer in encode if isinstance(layer, nn.Linear)]
        assert widths == [(16, width), (16, 16), (4, 16)]
        assert {layer.p for layer in encode if isinstance(layer, nn.Dropout)} == {0.2}
        assert not encode.training


def test_defaults_are_the_authors_settings():
    defaults = {
        "hidden_dims": (1024, 1024, 1024), "embedding_dim": 10, "dropout": 0.2,
        "learning_rate": 1e-3, "epochs": 80, "batch_size": 1024, "n_negatives": 30,
        "margin": None, "switch": 1.0, "matching": "greedy", "match_batch_size": 1024,
        "keep_pairs": False,
    }  # fmt: skip
    assert defaults.items() <= MvCLN(3).get_params().items()


def slow_matching(C):
    """Row i = 1..B takes its nearest column that no row before took."""
    taken = []
    for row in C:
        taken.append(next(j for j in np.argsort(row, kind="stable") if j not in taken))
    return taken


@pytest.mark.parametrize("seed", range(5))
def test_greedy_matching_is_that_of_the_transcription_ties_to_the_first(seed):
    C = np.random.default_rng(seed).integers(0, 5, size=(12, 12)).astype(np.float32)
    before = C.copy()
    found = mvcln.greedy_matching(C)
    assert found.tolist() == slow_matching(C)
    assert sorted(found) == list(range(12))
    assert np.array_equal(C, before)
    # Whichever row comes first takes what both want.
    for rows in ([[1.0, 2.0], [0.0, 5.0]], [[0.0, 5.0], [1.0, 2.0]]):
        assert mvcln.greedy_matching(np.array(rows)).tolist() == [0, 1]


@pytest.mark.parametrize("keep_pairs", [False, True])
@pytest.mark.parametrize("size", [10, 25, 1024])
def test_rows_are_matched_inside_shuffled_batches_the_last_short_one_too(keep_pairs, size):
    rng = np.random.default_rng(0)
    H_1, H_2 = (torch.tensor(rng.random((25, 4))) for _ in range(2))
    aligned = np.arange(25) < 12
    model = MvCLN(3, keep_pairs=keep_pairs, match_batch_size=size)
    found = model._match(H_1, H_2, aligned, torch.Generator().manual_seed(7))
    expected = np.arange(25)
    loose = np.flatnonzero(~aligned) if keep_pairs else np.arange(25)
    order = loose[torch.randperm(len(loose), generator=torch.Generator().manual_seed(7))]
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        C = np.array([[np.linalg.norm(H_1[i] - H_2[j]) for j in rows] for i in rows])
        expected[rows] = rows[slow_matching(C)]
    assert found.tolist() == expected.tolist()
    assert sorted(found) == list(range(25))


def test_the_hungarian_matching_has_the_least_sum_of_distances():
    rng = np.random.default_rng(3)
    H_1, H_2 = (torch.tensor(rng.random((6, 2))) for _ in range(2))
    C = np.array([[np.linalg.norm(a - b) for b in H_2] for a in H_1])
    sums = {p: C[range(6), p].sum() for p in itertools.permutations(range(6))}
    greedy, hungarian = (
        MvCLN(3, matching=matching)._match(H_1, H_2, np.ones(6, bool), torch.Generator())
        for matching in ("greedy", "hungarian")
    )
    assert tuple(hungarian) == min(sums, key=sums.get)
    assert sums[tuple(hungarian)] < sums[tuple(greedy)]


def test_aligned_rows_are_matched_anew_unless_pairs_are_kept(problem, fit, fitted):
    aligned = problem.aligned
    assert (fitted.matching_[aligned] != np.flatnonzero(aligned)).any()
    kept = fit(keep_pairs=True)
    assert (kept.matching_[aligned] == np.flatnonzero(aligned)).all()
    np.testing.assert_array_equal(kept.history_["loss"], fitted.history_["loss"])
    assert fit(aligned=None, keep_pairs=True).matching_.tolist() == list(range(61))


def test_embedding_joins_each_row_of_view_1_with_its_match_in_evaluation_mode(problem, fitted):
    with torch.no_grad():
        H_1, H_2 = (
            encode(torch.tensor(X))
            for encode, X in zip(fitted.network_, problem.Xs, strict=True)
        )
    matched = H_2[fitted.matching_]
    np.testing.assert_allclose(fitted.embedding_, torch.hstack([H_1, matched]), atol=1e-6)
    assert fitted.embedding_.min() == 0
    assert sorted(fitted.matching_) == list(range(61))
    assert fitted.n_features_in_ == [6, 7]
    assert fitted.labels_.shape == (61,)


def test_training_clusters_the_rows_of_view_1():
    problem = data.partially_align(*blobs(200), 0.5, protocol="mvcln")
    model = MvCLN(3, **SMALL | {"epochs": 20, "match_batch_size": 1024})
    labels = model.fit_predict(problem.Xs, aligned=problem.aligned)
    assert accuracy(problem.y, labels) > 0.95
    assert accuracy(problem.labels_of_view(1), labels) < 0.9
    classes = problem.labels_of_view(1)[model.matching_]
    assert (classes == problem.y).mean() > 0.9
    distances = model.history_
    assert distances["positive_distance"][-1] < distances["negative_distance"][-1] / 2


XS, _ = blobs()
HALF = np.arange(61) < 31


def fit_small(Xs=XS, aligned=HALF, **changes):
    return MvCLN(**{"n_clusters": 3} | SMALL | changes).fit(Xs, aligned=aligned)


test_a_parameter_out_of_range_is_refused_by_its_name = out_of_range(
    fit_small,
    {
        "batch_size": (218,), "n_negatives": (0, 32), "margin": (0,), "switch": (-1,),
        "matching": ("greed",), "keep_pairs": ("False",),
    },
)  # fmt: skip
test_views_and_flags_that_do_not_fit_are_refused = refused(
    [
        ("aligned has 31 True: expected at least", partial(fit_small, n_negatives=32)),
        ("31 True, which make 217 pairs", partial(fit_small, batch_size=218)),
        ("aligned has 0 True: expected at least", partial(fit_small, aligned=~HALF & HALF)),
    ]
)
