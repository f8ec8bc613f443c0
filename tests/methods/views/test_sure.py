"""SURE against slow transcriptions of its source: reconstruction, filled rows, settings."""

from functools import partial

import numpy as np
import pytest
import torch
from problem_stand_ins import groups
from refusals import out_of_range, refused
from torch import nn

from mvlib import data
from mvlib.methods.views import mvcln, sure
from mvlib.methods.views.sure import SURE
from mvlib.metrics import accuracy

SMALL = {
    "hidden_dims": (16, 16), "embedding_dim": 4, "epochs": 3, "batch_size": 64,
    "learning_rate": 1e-2, "n_negatives": 6, "match_batch_size": 16, "random_state": 0,
    "device": "cpu",
}  # fmt: skip


def blobs(n=61, widths=(6, 7), seed=0):
    return groups(n, widths, 3, spread=4, seed=seed)


@pytest.fixture(scope="module")
def problem():
    problem = data.misalign(*blobs(), 0.5, protocol="mvcln")
    return data.hide_views(problem, rate=0.8, protocol="sure")


@pytest.fixture(scope="module")
def fit(problem):
    def fit(Xs=problem.Xs, aligned=problem.aligned, present=problem.present, **changes):
        return SURE(3, **SMALL | changes).fit(Xs, aligned=aligned, present=present)

    return fit


@pytest.fixture(scope="module")
def fitted(fit):
    return fit()


def test_loss_adds_half_of_both_views_mean_squared_errors():
    rng = np.random.default_rng(0)
    Xs, rebuilt = ([rng.normal(size=(5, d)) for d in (3, 4)] for _ in range(2))
    slow = sum(
        sum((a - b) ** 2 for a, b in zip(X.flat, new.flat, strict=True)) / X.size
        for X, new in zip(Xs, rebuilt, strict=True)
    )
    Xs, rebuilt = ([torch.tensor(A) for A in As] for As in (Xs, rebuilt))
    found = sure.reconstruction_loss(Xs, rebuilt)
    assert found.item() == pytest.approx(slow, rel=1e-12)
    assert sure.total_loss(torch.tensor(2.0), torch.tensor(3.0), 0.5) == 3.5
    leaves = [A.requires_grad_() for A in rebuilt]
    assert torch.autograd.gradcheck(
        lambda *new: sure.total_loss(new[0].sum(), sure.reconstruction_loss(Xs, new), 0.5),
        leaves,
    )


def slow_imputed(H_own, H_other, missing, divisor):
    found = H_own.copy()
    for i in np.flatnonzero(missing):
        distances = {
            j: np.sqrt(max(((H_other[i] - H_own[j]) ** 2).sum(), 1e-12))
            for j in range(len(H_own))
            if not missing[j]
        }
        near = sorted(distances, key=distances.get)[:3]
        if near:
            found[i] = sum(H_own[j] for j in near) / (divisor or len(near))
    return found


@pytest.mark.parametrize(("as_coded", "divisor"), [(False, None), (True, 3)])
@pytest.mark.parametrize("n_there", [0, 1, 2, 3, 7])
def test_a_missing_row_is_the_mean_of_its_three_nearest_in_the_view_that_lacks_it(
    as_coded, divisor, n_there
):
    rng = np.random.default_rng(1)
    H_1, H_2 = (torch.tensor(rng.random((10, 3))) for _ in range(2))
    missing = np.ones(10, bool)
    missing[rng.permutation(10)[:n_there]] = False
    C = mvcln.distance_matrix(H_1, H_2)
    found = sure.imputed(H_2, C, missing, as_coded)
    np.testing.assert_allclose(found, slow_imputed(H_2.numpy(), H_1.numpy(), missing, divisor))
    # View 1 of what view 2 has: distances the other way round.
    found = sure.imputed(H_1, C.T, missing, as_coded)
    np.testing.assert_allclose(found, slow_imputed(H_1.numpy(), H_2.numpy(), missing, divisor))


def test_of_equally_near_rows_the_first_three_fill():
    H = torch.tensor([[9.0], [0.0], [1.0], [2.0], [4.0]])
    missing = np.array([True, False, False, False, False])
    found = sure.imputed(H, np.zeros((5, 5)), missing, False)
    assert found[0].item() == 1.0
    assert H[0].item() == 9.0


def plain_training(Xs, whole, settings):
    """Train as the source says, pair by pair; one seed gives the estimator's draws."""
    torch.manual_seed(settings["random_state"])
    generator = torch.Generator().manual_seed(settings["random_state"])
    hidden, d = settings["hidden_dims"], settings["embedding_dim"]
    networks = []
    for X in Xs:
        layers, width = [], X.shape[1]
        for wide in hidden:
            layers += [nn.Linear(width, wide), nn.BatchNorm1d(wide), nn.ReLU(), nn.Dropout(0.2)]
            width = wide
        last = [nn.Linear(width, d), nn.BatchNorm1d(d), nn.ReLU()]
        networks.append(nn.Sequential(*layers, *last))
    for X in Xs:
        layers, width = [], 2 * d
        for wide in hidden:
            layers += [nn.Linear(width, wide), nn.ReLU(), nn.Dropout(0.2)]
            width = wide
        networks.append(nn.Sequential(*layers, nn.Linear(width, X.shape[1])))
    A = [torch.tensor(X[whole]) for X in Xs]
    pairs = mvcln.draw_pairs(len(A[0]), settings["n_negatives"], generator)
    adam = torch.optim.Adam(
        [w for network in networks for w in network.parameters()], lr=settings["learning_rate"]
    )
    m, size, losses = None, settings["batch_size"], []
    for epoch in range(settings["epochs"] + 1):
        order = torch.randperm(len(pairs), generator=generator)
        met, epoch_losses = [[], []], []
        for start in range(0, len(order) // size * size, size):
            first, second, y = pairs[order[start : start + size]].T
            X_1, X_2 = A[0][first], A[1][second]
            H_1, H_2 = networks[0](X_1), networks[1](X_2)
            d = ((H_1 - H_2 + 1e-6) ** 2).sum(dim=1).sqrt()
            for kind in (0, 1):
                met[kind] += d[y == kind].tolist()
            if epoch == 0:
                continue
            negative = (m - d).clamp(min=0) ** 2
            loss = (y * d**2 + (1 - y) * negative).sum() / (2 * size)
            u = torch.cat([H_1, H_2], dim=1)
            for X, decode in zip((X_1, X_2), networks[2:], strict=True):
                loss = loss + 0.5 * ((X - decode(u)) ** 2).sum() / X.numel()
            adam.zero_grad()
            loss.backward()
            adam.step()
            epoch_losses.append(loss.item())
        if epoch == 0:
            m = max(1, round(sum(np.mean(distances) for distances in met)))
        else:
            losses.append(np.mean(epoch_losses))
    return m, losses


def test_training_is_that_of_the_plain_transcription(problem, fit):
    model = fit(switch=1e9)
    whole = problem.aligned & problem.present.all(axis=1)
    m, losses = plain_training(problem.Xs, whole, SMALL)
    assert model.margin_ == m
    history = model.history_
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-4)
    parts = history["contrastive"] + 0.5 * history["reconstruction"]
    np.testing.assert_allclose(history["loss"], parts, rtol=1e-5)


def test_rows_that_lack_a_view_do_not_train_and_what_they_hold_is_not_read(problem, fit):
    aligned = np.ones(61, bool)
    model = fit(aligned=aligned)
    other = [np.where(np.isnan(X), -1e6, X) for X in problem.Xs]
    again = fit(other, aligned=aligned)
    for name in ("embedding_", "matching_", "labels_"):
        np.testing.assert_array_equal(getattr(again, name), getattr(model, name))
    scaled = [X.copy() for X in problem.Xs]
    lacking = ~problem.present.all(axis=1)
    for X in scaled:
        X[lacking] *= -3
    changed = fit(scaled, aligned=aligned)
    np.testing.assert_array_equal(changed.history_["loss"], model.history_["loss"])
    assert not np.array_equal(changed.embedding_, model.embedding_)


@pytest.mark.parametrize("setting", ["both", "missing"])
@pytest.mark.parametrize("reading", ["paper", "code"])
def test_rows_are_filled_and_matched_inside_the_same_random_batches(
    problem, fit, setting, reading
):
    model = fit(setting=setting, reading=reading)
    there, means = problem.present, [np.nanmean(X, axis=0) for X in problem.Xs]
    with torch.no_grad():
        H = [
            encode(torch.tensor(np.where(np.isnan(X), mean, X)))
            for encode, X, mean in zip(model.network_[:2], problem.Xs, means, strict=True)
        ]
    generator = torch.Generator().manual_seed(0)
    n_aligned = int((problem.aligned & there.all(axis=1)).sum())
    mvcln.draw_pairs(n_aligned, 6, generator)
    for _ in range(SMALL["epochs"] + 1):
        torch.randperm(7 * n_aligned, generator=generator)
    order = torch.randperm(61, generator=generator)
    H_1, H_2, matched = H[0].numpy().copy(), H[1].numpy().copy(), np.arange(61)
    for start in range(0, 61, 16):
        rows = order[start : start + 16].numpy()
        A, B = H[0].numpy()[rows], H[1].numpy()[rows]
        divisor = 3 if reading == "code" else None
        H_1[rows] = slow_imputed(A, B, ~there[rows, 0], divisor)
        H_2[rows] = slow_imputed(B, A, ~there[rows, 1], divisor)
        taken = []
        for i in rows if setting == "both" else ():
            distances = ((H_1[i] - H_2[rows]) ** 2).sum(axis=1)
            taken.append(next(j for j in distances.argsort() if j not in taken))
            matched[i] = rows[taken[-1]]
    np.testing.assert_array_equal(model.matching_, matched)
    expected = np.hstack([H_1, H_2[matched]])
    np.testing.assert_allclose(model.embedding_, expected, atol=2e-5)
    assert sorted(model.matching_) == list(range(61))


def test_complete_rows_are_clustered_as_mvcln_would_and_pairs_can_be_kept():
    whole = data.misalign(*blobs(), 0.5, protocol="mvcln")
    models = {
        (kind, keep): kind(3, **SMALL, keep_pairs=keep).fit(whole.Xs, aligned=whole.aligned)
        for kind, keep in ((SURE, False), (SURE, True))
    }
    rows = np.flatnonzero(whole.aligned)
    assert (models[SURE, True].matching_[rows] == rows).all()
    assert (models[SURE, False].matching_[rows] != rows).any()
    unaligned = SURE(3, **SMALL, setting="unaligned").fit(whole.Xs, aligned=whole.aligned)
    np.testing.assert_array_equal(unaligned.embedding_, models[SURE, False].embedding_)


def test_networks_are_those_of_the_source_and_can_serve_both_views(fit, fitted):
    first, second, *decoders = fitted.network_
    assert [type(layer).__name__ for layer in first][-3:] == ["Linear", "BatchNorm1d", "ReLU"]
    hidden = ["Linear", "ReLU", "Dropout"]
    for decode, width in zip(decoders, (6, 7), strict=True):
        assert [type(layer).__name__ for layer in decode] == [*hidden, *hidden, "Linear"]
        widths = [tuple(layer.weight.shape) for layer in decode if hasattr(layer, "weight")]
        assert widths == [(16, 8), (16, 16), (width, 16)]
        assert {layer.p for layer in decode if isinstance(layer, nn.Dropout)} == {0.2}
    Xs, _ = blobs(widths=(6, 6))
    shared = fit(Xs, present=None, shared_weights=True)
    assert shared.network_[0] is shared.network_[1]
    assert shared.network_[2] is shared.network_[3]
    # Both views move the running means, and the pass without update, too.
    n_batches = (SMALL["epochs"] + 1) * (7 * 31 // 64)
    assert int(shared.network_[0][1].num_batches_tracked) == 2 * n_batches


def test_defaults_are_the_authors_settings():
    defaults = {
        "hidden_dims": (1024, 1024, 1024), "embedding_dim": 10, "dropout": 0.2,
        "learning_rate": 1e-3, "epochs": 80, "batch_size": 1024, "n_negatives": 30,
        "margin": None, "switch": 1.0, "matching": "greedy", "match_batch_size": 1024,
        "reconstruction_weight": 0.5, "setting": "both", "shared_weights": False,
    }  # fmt: skip
    assert defaults.items() <= SURE(3).get_params().items()


def test_training_clusters_rows_that_are_shuffled_and_missing():
    problem = data.misalign(*blobs(200), 0.5, protocol="mvcln")
    problem = data.hide_views(problem, rate=0.5, protocol="sure")
    settings = SMALL | {"epochs": 20, "match_batch_size": 1024}
    model = SURE(3, **settings).fit(
        problem.Xs, aligned=problem.aligned, present=problem.present
    )
    # A row without view 1 shows another sample in view 2: its label is not to be found.
    seen = problem.present[:, 0]
    assert accuracy(problem.y[seen], model.labels_[seen]) > 0.9


XS, _ = blobs()
HALF = np.arange(61) < 31
GAPS = np.ones((61, 2), bool)
GAPS[[2, 50], [0, 1]] = False


def fit_small(Xs=XS, aligned=HALF, present=GAPS, **changes):
    return SURE(**{"n_clusters": 3} | SMALL | changes).fit(Xs, aligned=aligned, present=present)


test_a_parameter_out_of_range_is_refused_by_its_name = out_of_range(
    fit_small,
    {
        "reconstruction_weight": (-1,), "setting": ("all",), "shared_weights": ("no",),
        "reading": ("codes",), "n_negatives": (0,), "switch": (-1,),
    },
)  # fmt: skip
test_views_and_flags_that_do_not_fit_are_refused = refused(
    [
        ("2 False: .* setting='unaligned'", partial(fit_small, setting="unaligned")),
        (r"widths \[6, 7\]: expected one width", partial(fit_small, shared_weights=True)),
        (
            "aligned has 30 True in rows with both views: expected",
            partial(fit_small, n_negatives=31),
        ),
    ]
)
