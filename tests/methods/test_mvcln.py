"""MvCLN against slow transcriptions of its source: pairs, loss, margin, switch, matching."""

import inspect
import itertools

import numpy as np
import pytest
import torch
from torch import nn

from mvlib import MvCLN, data
from mvlib.methods import mvcln
from mvlib.metrics import accuracy

SMALL = {
    "hidden_dims": (16, 16),
    "embedding_dim": 4,
    "epochs": 5,
    "batch_size": 64,
    "learning_rate": 1e-2,
    "n_negatives": 6,
    "match_batch_size": 16,
    "random_state": 0,
    "device": "cpu",
}


def blobs(n=61, n_clusters=3, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, n_clusters, n)
    Xs = []
    for width in (6, 7):
        centers = 4 * rng.normal(size=(n_clusters, width))
        Xs.append((centers[y] + rng.normal(size=(n, width))).astype(np.float32))
    return Xs, y


@pytest.fixture(scope="module")
def problem():
    return data.partially_align(*blobs(), 0.5, protocol="mvcln")


@pytest.fixture(scope="module")
def fitted(problem):
    return MvCLN(3, **SMALL).fit(problem.Xs, aligned=problem.aligned)


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


@pytest.mark.parametrize("robust", [False, True])
def test_loss_is_that_of_the_transcription(robust):
    rng = np.random.default_rng(0)
    d, y = 5 * rng.random(40), rng.random(40) < 0.3
    found = mvcln.contrastive_loss(torch.tensor(d), torch.tensor(y), 3, robust)
    assert float(found) == pytest.approx(slow_loss(d, y, 3, robust), rel=1e-12)


@pytest.mark.parametrize(("robust", "expected"), [(False, 8 / 6), (True, 16 / 18)])
def test_loss_has_the_values_worked_out_by_hand(robust, expected):
    d, y = torch.tensor([2.0, 1.0, 3.0]), torch.tensor([True, False, False])
    assert float(mvcln.contrastive_loss(d, y, 3.0, robust)) == pytest.approx(expected)


@pytest.mark.parametrize("robust", [False, True])
def test_negatives_from_the_margin_on_cost_nothing_and_feel_nothing(robust):
    d = torch.tensor([2.0, 2.5, 9.0], requires_grad=True)
    loss = mvcln.contrastive_loss(d, torch.zeros(3, dtype=torch.bool), 2.0, robust)
    loss.backward()
    assert loss.item() == 0
    assert not d.grad.any()


def test_after_the_switch_near_negatives_are_pulled_together_and_others_pushed_apart():
    m, d = 3.0, torch.tensor([0.3, 0.9, 1.0, 1.1, 2.9], dtype=torch.float64)
    d.requires_grad_()
    (slope,) = torch.autograd.grad(mvcln.negative_term(d, m, True).sum(), d)
    expected = ((m - d) * (m - 3 * d) / m).detach()
    assert torch.allclose(slope, expected)
    assert slope.round(decimals=9).sign().tolist() == [1, 1, 0, -1, -1]
    (slope,) = torch.autograd.grad(mvcln.negative_term(d, m, False).sum(), d)
    assert torch.allclose(slope, (-2 * (m - d)).detach())


def test_distance_adds_a_millionth_in_every_dimension():
    rng = np.random.default_rng(0)
    A = rng.normal(size=(5, 3))
    B = np.vstack([A[:2], rng.normal(size=(3, 3))])
    found = mvcln.pair_distances(torch.tensor(A), torch.tensor(B)).numpy()
    slow = [slow_distance(a, b) for a, b in zip(A, B, strict=True)]
    np.testing.assert_allclose(found, slow, rtol=1e-9)
    assert found[0] == pytest.approx(np.sqrt(3) * 1e-6)


@pytest.mark.parametrize("robust", [False, True])
def test_gradient_of_the_loss_is_that_of_finite_differences(robust):
    generator = torch.Generator().manual_seed(0)
    H_1, H_2 = (torch.rand(8, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    y = torch.arange(8) < 3

    def loss(A, B):
        return mvcln.contrastive_loss(mvcln.pair_distances(A, B), y, 1.0, robust)

    assert torch.autograd.gradcheck(loss, (H_1.requires_grad_(), H_2.requires_grad_()))


def test_each_row_is_paired_with_its_partner_and_with_distinct_random_rows():
    pairs = mvcln.draw_pairs(40, 30, torch.Generator().manual_seed(0)).tolist()
    assert len(pairs) == 31 * 40
    assert pairs[:40] == [[i, i, 1] for i in range(40)]
    for i in range(40):
        drawn = [second for first, second, y in pairs if first == i and not y]
        assert len(drawn) == len(set(drawn)) == 30
        assert set(drawn) <= set(range(40))


def test_all_sets_of_negatives_are_equally_likely_those_with_the_partner_too():
    generator, draws = torch.Generator().manual_seed(0), 2000
    met = dict.fromkeys(itertools.combinations(range(5), 2), 0)
    for _ in range(draws):
        pairs = mvcln.draw_pairs(5, 2, generator)
        met[tuple(sorted(pairs[(pairs[:, 0] == 3) & (pairs[:, 2] == 0), 1].tolist()))] += 1
    deviation = np.sqrt(draws * 0.1 * 0.9)
    assert all(abs(count - draws / 10) < 4 * deviation for count in met.values())


def test_as_many_negatives_as_aligned_rows_are_all_of_them():
    pairs = mvcln.draw_pairs(6, 6, torch.Generator().manual_seed(0))
    negatives = pairs[6:, 1].reshape(6, 6).sort(dim=1).values
    assert torch.equal(negatives, torch.arange(6).expand(6, 6))


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
def test_training_is_that_of_the_plain_transcription(problem, switch, n_robust):
    settings = SMALL | {"epochs": 4}
    model = MvCLN(3, **settings, switch=switch).fit(problem.Xs, aligned=problem.aligned)
    encoders, m, history = plain_training(problem.Xs, problem.aligned, settings, switch)
    assert model.margin_ == m
    assert sum(history["robust"]) == n_robust
    assert model.history_["robust"].tolist() == history["robust"]
    for name in ("loss", "positive_distance", "negative_distance"):
        np.testing.assert_allclose(model.history_[name], history[name], rtol=1e-4)
    # Means and weights are not compared: batch normalisation lets biases drift freely.
    for ours, plain in zip(model.network_, encoders, strict=True):
        variances = [layer.running_var for layer in plain if hasattr(layer, "running_var")]
        found = [layer.running_var for layer in ours if hasattr(layer, "running_var")]
        for value, expected in zip(found, variances, strict=True):
            torch.testing.assert_close(value, expected, rtol=1e-3, atol=1e-5)


def negative_distances(problem, switch, **settings):
    model = MvCLN(3, **SMALL | settings, switch=switch).fit(problem.Xs, aligned=problem.aligned)
    return model.history_["negative_distance"], model.history_["robust"].tolist()


def test_the_loss_switches_in_the_epoch_after_the_margin_is_just_reached(problem):
    first = negative_distances(problem, 1e9, margin=1.0)[0][0]
    assert negative_distances(problem, first, margin=1.0)[1] == [False, True, True, True, True]
    late = negative_distances(problem, np.nextafter(first, np.inf), margin=1.0)[1]
    assert late[:2] == [False, False]


def test_the_switch_is_for_good(problem):
    met, _ = negative_distances(problem, 1e9, margin=0.1)
    met, robust = negative_distances(problem, float(met[0]) / 0.1, margin=0.1)
    assert (met[1:] < met[0]).all()
    assert robust == [False, True, True, True, True]


def test_a_given_margin_is_kept_and_the_first_pass_still_moves_batch_normalisation(problem):
    model = MvCLN(3, **SMALL, margin=2.5).fit(problem.Xs, aligned=problem.aligned)
    assert model.margin_ == 2.5
    n_batches = 31 * 7 // 64
    assert int(model.network_[0][1].num_batches_tracked) == 6 * n_batches


@pytest.mark.parametrize(("n", "ratio", "n_aligned"), [(61, 0.5, 31), (60, 0.5, 30), (7, 1, 7)])
@pytest.mark.parametrize("batch_size", [7, 16])
def test_an_epoch_has_the_full_batches_of_the_pairs_of_the_aligned_rows(
    n, ratio, n_aligned, batch_size
):
    problem = data.partially_align(*blobs(n), ratio, protocol="mvcln")
    assert problem.aligned.sum() == n_aligned == np.ceil(ratio * n)
    settings = SMALL | {"epochs": 2, "n_negatives": 4, "batch_size": batch_size}
    model = MvCLN(3, **settings).fit(problem.Xs, aligned=problem.aligned)
    assert int(model.network_[0][1].num_batches_tracked) == 3 * (5 * n_aligned // batch_size)


def test_only_aligned_rows_train(problem, fitted):
    Xs = [X.copy() for X in problem.Xs]
    for X in Xs:
        X[~problem.aligned] *= -3
    model = MvCLN(3, **SMALL).fit(Xs, aligned=problem.aligned)
    np.testing.assert_array_equal(model.history_["loss"], fitted.history_["loss"])
    assert not np.array_equal(model.embedding_, fitted.embedding_)


def test_encoders_end_in_batch_normalisation_and_relu_and_drop_hidden_units_only(fitted):
    hidden = ["Linear", "BatchNorm1d", "ReLU", "Dropout"]
    for encode, width in zip(fitted.network_, fitted.n_features_in_, strict=True):
        assert [type(layer).__name__ for layer in encode] == 2 * hidden + hidden[:3]
        assert [layer.out_features for layer in encode if isinstance(layer, nn.Linear)] == [
            16,
            16,
            4,
        ]
        assert encode[0].in_features == width
        assert {layer.p for layer in encode if isinstance(layer, nn.Dropout)} == {0.2}
        assert not encode.training


def test_defaults_are_the_authors_settings():
    parameters = inspect.signature(MvCLN).parameters
    defaults = {name: p.default for name, p in parameters.items()}
    assert {
        "hidden_dims": (1024, 1024, 1024),
        "embedding_dim": 10,
        "dropout": 0.2,
        "learning_rate": 1e-3,
        "epochs": 80,
        "batch_size": 1024,
        "n_negatives": 30,
        "margin": None,
        "switch": 1.0,
        "matching": "greedy",
        "match_batch_size": 1024,
        "keep_pairs": False,
    }.items() <= defaults.items()


def slow_matching(C):
    """Row i = 1..B takes its nearest column that no row before took."""
    taken = []
    for row in C:
        for column in np.argsort(row, kind="stable"):
            if column not in taken:
                taken.append(int(column))
                break
    return taken


@pytest.mark.parametrize("seed", range(5))
def test_greedy_matching_is_that_of_the_transcription_ties_to_the_first(seed):
    C = np.random.default_rng(seed).integers(0, 5, size=(12, 12)).astype(np.float32)
    before = C.copy()
    found = mvcln.greedy_matching(C)
    assert found.tolist() == slow_matching(C)
    assert sorted(found) == list(range(12))
    assert np.array_equal(C, before)


def test_greedy_matching_depends_on_the_order_of_the_rows():
    C = np.array([[1.0, 2.0], [0.0, 5.0]])
    assert mvcln.greedy_matching(C).tolist() == [0, 1]
    assert mvcln.greedy_matching(C[::-1]).tolist() == [0, 1]


def test_distance_matrix_is_euclidean_and_at_least_a_millionth():
    rng = np.random.default_rng(0)
    A = rng.random((6, 4))
    B = np.vstack([A[0], rng.random((5, 4))])
    found = mvcln.distance_matrix(torch.tensor(A), torch.tensor(B))
    slow = [[np.sqrt(max(sum((a - b) ** 2), 1e-12)) for b in B] for a in A]
    np.testing.assert_allclose(found, slow, rtol=1e-7, atol=1e-7)
    assert found[0, 0] >= 1e-6


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


def test_aligned_rows_are_matched_anew_unless_pairs_are_kept(problem, fitted):
    aligned = problem.aligned
    assert (fitted.matching_[aligned] != np.flatnonzero(aligned)).any()
    kept = MvCLN(3, **SMALL, keep_pairs=True).fit(problem.Xs, aligned=aligned)
    assert (kept.matching_[aligned] == np.flatnonzero(aligned)).all()
    np.testing.assert_array_equal(kept.history_["loss"], fitted.history_["loss"])
    kept.fit(problem.Xs)
    assert kept.matching_.tolist() == list(range(len(aligned)))


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


def test_labels_are_not_read(problem, fitted):
    again = MvCLN(3, **SMALL).fit(problem.Xs, np.zeros(61), aligned=problem.aligned)
    assert np.array_equal(again.embedding_, fitted.embedding_)
    assert np.array_equal(again.labels_, fitted.labels_)


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


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_clusters": 0}, "n_clusters"),
        ({"n_clusters": 62}, "n_clusters=62 is more than n_samples=61"),
        ({"hidden_dims": (16, 0)}, "hidden_dims=0"),
        ({"embedding_dim": 0}, "embedding_dim=0"),
        ({"epochs": 0}, "epochs=0"),
        ({"batch_size": 1}, "batch_size=1 "),
        ({"dropout": 1.5}, "dropout=1.5"),
        ({"learning_rate": 0}, "learning_rate=0"),
        ({"n_negatives": 0}, "n_negatives=0"),
        ({"n_negatives": 32}, "aligned has 31 True: expected at least n_negatives=32"),
        (
            {"batch_size": 218},
            "31 True, which make 217 pairs: expected at least batch_size=218",
        ),
        ({"margin": 0}, "margin=0"),
        ({"switch": -1}, "switch=-1"),
        ({"matching": "greed"}, "Did you mean 'greedy'"),
        ({"match_batch_size": 0}, "match_batch_size=0"),
        ({"keep_pairs": "False"}, "keep_pairs='False' is unknown: expected True or False"),
    ],
)
def test_a_parameter_out_of_range_is_refused_by_its_name(problem, settings, message):
    model = MvCLN(**{"n_clusters": 3} | SMALL | settings)
    with pytest.raises(ValueError, match=message):
        model.fit(problem.Xs, aligned=problem.aligned)


@pytest.mark.parametrize(
    ("change", "aligned", "message"),
    [
        (lambda Xs: [*Xs, Xs[0]], None, "Xs has 3 views: expected two"),
        (lambda Xs: Xs, np.zeros(61, bool), "aligned has 0 True: expected at least"),
    ],
)
def test_views_and_flags_that_do_not_fit_are_refused(problem, change, aligned, message):
    with pytest.raises(ValueError, match=message):
        MvCLN(3, **SMALL).fit(change(problem.Xs), aligned=aligned)


def test_pairs_that_just_fill_one_batch_train(problem):
    model = MvCLN(3, **SMALL | {"batch_size": 217}).fit(problem.Xs, aligned=problem.aligned)
    assert np.isfinite(model.history_["loss"]).all()
