"""What DIVIDE, CANDY and CorreGen share, against slow transcriptions of their source."""

from functools import partial

import numpy as np
import pytest
import torch
from plain import unit
from problem_stand_ins import groups
from refusals import out_of_range, refused
from torch import nn
from twin_transcription import SMALL, XS, slow_affinity, slow_cosines, tensors

from mvlib.methods import CANDY, DIVIDE, CorreGen
from mvlib.methods.views import momentum_twins as twins
from mvlib.metrics import accuracy

EVERY = pytest.mark.parametrize("method", [DIVIDE, CANDY, CorreGen])


def slow_info_nce(q, k, T, tau):
    S = np.exp(slow_cosines(q, k) / tau)
    B, total = len(q), 0.0
    for i in range(B):
        for j in range(B):
            total -= T[i, j] / T[i].sum() * np.log(S[i, j] / S[i].sum())
    return total / B**2


def test_the_affinity_is_that_of_the_transcription_and_at_most_one():
    A, B = tensors((5, 3), (4, 3))
    B[0] = 7 * A[1]
    found = twins.gaussian_affinity(A, B, 0.1)
    np.testing.assert_allclose(found, slow_affinity(A.numpy(), B.numpy(), 0.1), rtol=1e-9)
    assert float(found[1, 0]) == pytest.approx(1)
    rows = torch.randn(300, 8, generator=torch.Generator().manual_seed(0))
    assert twins.gaussian_affinity(rows, rows, 1e-3).max() == 1


def test_the_contrast_is_that_of_the_transcription_a_mean_over_all_cells():
    q, k = tensors((6, 3), (6, 3))
    T = torch.tensor(np.random.default_rng(1).random((6, 6)))
    found = twins.soft_info_nce(q, k, T, 0.5)
    assert float(found) == pytest.approx(slow_info_nce(q.numpy(), k.numpy(), T.numpy(), 0.5))
    # Targets count by what they are of their row, codes by their direction.
    again = twins.soft_info_nce(2 * q, 3 * k, T * torch.arange(1, 7)[:, None], 0.5)
    assert float(again) == pytest.approx(float(found))
    equal = twins.soft_info_nce(torch.ones(6, 3), torch.ones(6, 3), torch.eye(6), 0.5)
    assert float(equal) == pytest.approx(np.log(6) / 6)
    assert torch.autograd.gradcheck(
        lambda q: twins.soft_info_nce(q, k, T, 0.5), [q.requires_grad_()]
    )


def test_the_total_loss_halves_two_terms_inside_views_and_two_across_with_their_targets():
    z, z_bar, p = ([torch.tensor(x) for x in pair] for pair in ((1, 2), (10, 20), (100, 200)))
    T = [[1000, 2000], [3000, 4000]]
    met = []

    def pair_loss(q, k, t):
        met.append((int(q), int(k), t))
        return q.double()

    found = twins.twin_losses(twins.Codes(z, z_bar, p), T, pair_loss)
    assert sorted(met) == [(1, 10, 1000), (2, 20, 4000), (100, 20, 2000), (200, 10, 3000)]
    assert {name: float(value) for name, value in found.items()} == {
        "loss": 151.5, "intra": 1.5, "inter": 150.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("epoch", "step", "n_steps", "expected"),
    [(0, 0, 4, 0.25 / 20), (0, 3, 4, 1 / 20), (7, 1, 4, 7.5 / 20), (19, 2, 4, 19.75 / 20),
     (19, 3, 4, 1), (20, 0, 4, 1), (19, 3, 5, 19.8 / 20), (150, 2, 4, 1)],
)  # fmt: skip
def test_the_rate_grows_step_by_step_and_then_stays(epoch, step, n_steps, expected):
    assert twins.warmed_up(3e-3, epoch, step, n_steps, 20) == pytest.approx(3e-3 * expected)


def test_encoders_have_no_bias_and_drop_units_of_all_hidden_layers_but_the_last():
    network = twins.Twins((6, 7), (16, 12, 10), 4, 0.3)
    for encoders in (network.encoders, network.twins):
        for encode, width in zip(encoders, (6, 7), strict=True):
            hidden = ["Linear", "BatchNorm1d", "ReLU"]
            kinds = [type(layer).__name__ for layer in encode]
            assert kinds == 2 * [*hidden, "Dropout"] + hidden + hidden[:2]
            shapes = [layer.weight.shape for layer in encode if isinstance(layer, nn.Linear)]
            assert shapes == [(16, width), (12, 16), (10, 12), (4, 10)]
            assert all(layer.bias is None for layer in encode if isinstance(layer, nn.Linear))
            assert {layer.p for layer in encode if isinstance(layer, nn.Dropout)} == {0.3}
            assert not encode[-1].affine
            assert encode[1].affine
    for head in network.heads:
        assert [type(layer).__name__ for layer in head] == ["Linear", "ReLU", "Linear"]
        assert [head[0].weight.shape, head[2].weight.shape] == [(16, 4), (4, 16)]
        assert head[0].bias is not None
        assert head[2].bias is not None


def test_twins_begin_as_their_encoders_follow_slowly_and_keep_their_own_statistics():
    torch.manual_seed(0)
    network = twins.Twins((6, 7), (16, 12), 4, 0.2)
    pairs = list(zip(network.twins.parameters(), network.encoders.parameters(), strict=True))
    assert all(torch.equal(slow, fast) for slow, fast in pairs)
    before = [slow.clone() for slow, _ in pairs]
    with torch.no_grad():
        for _, fast in pairs:
            fast.add_(1)
    network.encoders[0][1].running_mean.fill_(5)
    network.follow(0.98)
    for (slow, fast), old in zip(pairs, before, strict=True):
        torch.testing.assert_close(slow, 0.98 * old + 0.02 * fast)
    # Scale and shift of batch normalisation follow, its running statistics do not.
    assert network.twins[0][1].weight[0] == pytest.approx(1.02)
    assert not network.twins[0][1].running_mean.any()
    network.train()
    z, z_bar, p = network([torch.tensor(X) for X in XS])
    assert network.twins[0][1].running_mean.any()
    assert not z_bar[0].requires_grad
    # The head's input is not detached: its loss reaches the encoder.
    p[0].sum().backward()
    assert network.encoders[0][0].weight.grad.abs().sum() > 0
    assert network.encoders[1][0].weight.grad is None
    # The twins drop units of their own.
    assert not torch.allclose(z[0], z_bar[0])


def plain_divide(settings):
    """Train DIVIDE as the source says; one seed gives the estimator's draws."""
    torch.manual_seed(settings["random_state"])
    generator = torch.Generator().manual_seed(settings["random_state"])
    Xs = [torch.tensor((X - X.mean(axis=0)) / X.std(axis=0)) for X in XS]
    network = twins.Twins((6, 7), settings["hidden_dims"], settings["embedding_dim"], 0.2)
    weights = [*network.encoders.parameters(), *network.heads.parameters()]
    B, n = settings["batch_size"], len(XS[0])
    lr = settings["learning_rate"] * B / 256
    adam = torch.optim.Adam(weights, lr=lr, betas=(0.9, 0.99))
    order, history = torch.randperm(n, generator=generator), []
    for epoch in range(settings["epochs"]):
        losses = []
        for s in range(n // B):
            rows = order[s * B : (s + 1) * B]
            adam.param_groups[0]["lr"] = lr * min((epoch + (s + 1) / (n // B)) / 2, 1)
            pairs = zip(network.twins.parameters(), network.encoders.parameters(), strict=True)
            for slow, fast in pairs:
                slow.data = 0.9 * slow.data + 0.1 * fast.data
            z = [encode(X[rows]) for encode, X in zip(network.encoders, Xs, strict=True)]
            p = [head(z_v) for head, z_v in zip(network.heads, z, strict=True)]
            k = [encode(X[rows]).detach() for encode, X in zip(network.twins, Xs, strict=True)]
            T = [torch.eye(B)] * 2
            if epoch >= 2:
                T = []
                for k_v in k:
                    u = k_v / k_v.norm(dim=1, keepdim=True)
                    G = torch.exp(-(2 - 2 * u @ u.T).clamp(min=0) / 0.1)
                    G = G / G.sum(dim=1, keepdim=True)
                    T.append(torch.eye(B) / 2 + G @ G @ G @ G @ G / 2)
            loss = 0
            for q, key, target in (
                (p[0], k[1], T[1]), (p[1], k[0], T[0]), (z[0], k[0], T[0]), (z[1], k[1], T[1])
            ):  # fmt: skip
                q, key = (x / x.norm(dim=1, keepdim=True) for x in (q, key))
                logs = torch.log_softmax(q @ key.T / 0.5, dim=1)
                loss = loss - (target * logs).mean() / 2
            adam.zero_grad()
            loss.backward()
            adam.step()
            losses.append(loss.item())
        history.append(np.mean(losses))
    return network, history


def test_training_is_that_of_the_plain_transcription():
    settings = SMALL | {"epochs": 4, "learning_rate": 0.1}
    more = {"warm_up_epochs": 2, "momentum": 0.9, "identity_epochs": 2}
    model = DIVIDE(3, **settings, **more).fit(XS)
    network, history = plain_divide(settings)
    np.testing.assert_allclose(model.history_["loss"], history, rtol=1e-4)
    total = model.history_["intra"] + model.history_["inter"]
    np.testing.assert_allclose(model.history_["loss"], total, rtol=1e-5)
    for found, expected in zip(
        model.network_.state_dict().values(), network.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def batches_of(method, n=39, **changes):
    """Return the rows of each batch by epoch, as `_losses` meets them, and the rates."""
    met, rates = [], []

    class Watched(method):
        def _losses(self, codes, epoch, batch):
            met.append((epoch, batch.tolist()))
            return super()._losses(codes, epoch, batch)

    kept = twins.warmed_up

    def watched(*given):
        rates.append(kept(*given))
        return rates[-1]

    twins.warmed_up = watched
    try:
        Watched(3, **SMALL | changes).fit([X[:n] for X in XS])
    finally:
        twins.warmed_up = kept
    epochs = [[rows for e, rows in met if e == epoch] for epoch in range(1 + met[-1][0])]
    return epochs, rates


@EVERY
@pytest.mark.parametrize(
    ("n", "size", "full", "half"),
    [(39, 16, [16, 16], [16, 16]), (40 - 1, 13, [13, 13, 13], [13, 13, 13]),
     (39, 15, [15, 15], [15, 15, 9]), (30, 20, [20], [20, 10]), (29, 20, [20], [20]),
     (39, 100, [39], [39]), (7, 2, [2, 2, 2], [2, 2, 2]), (7, 3, [3, 3], [3, 3])],
)  # fmt: skip
def test_a_last_batch_is_used_if_full_by_corregen_if_half_full(method, n, size, full, half):
    epochs, _ = batches_of(method, n, batch_size=size, epochs=2)
    sizes = half if method is CorreGen else full
    assert [[len(rows) for rows in batches] for batches in epochs] == [sizes] * 2
    for batches in epochs:
        rows = sum(batches, [])
        assert len(set(rows)) == len(rows)


@EVERY
def test_divide_repeats_the_batches_of_its_first_epoch_and_the_others_shuffle(method):
    first, second, _ = batches_of(method)[0]
    assert (first == second) == (method is DIVIDE)
    if method is DIVIDE:
        first, second, _ = batches_of(method, fixed_batches=False)[0]
        assert first != second


def test_the_rate_knows_the_batch_size_asked_for_and_the_batches_left_out():
    # One batch of all 39 rows; then two batches of which the second is left out.
    assert batches_of(DIVIDE, batch_size=128, warm_up_epochs=2)[1] == [
        0.5 * 1e-2 * 128 / 256, 1e-2 * 128 / 256, 1e-2 * 128 / 256
    ]  # fmt: skip
    rates = batches_of(CorreGen, 29, batch_size=20, warm_up_epochs=4)[1]
    assert rates == pytest.approx([1e-2 * 20 / 256 * t / 4 for t in (0.5, 1.5, 2.5)])


def test_each_row_of_view_1_takes_the_nearest_prediction_of_its_batch_with_replacement():
    Z, P = tensors((25, 3), (25, 3), seed=2)
    generator = torch.Generator().manual_seed(7)
    found = twins.rematched(Z, P, "batch", 10, generator)
    order = torch.randperm(25, generator=torch.Generator().manual_seed(7)).numpy()
    expected = np.empty(25, int)
    for start in (0, 10, 20):
        rows = order[start : start + 10]
        expected[rows] = rows[slow_cosines(Z[rows].numpy(), P[rows].numpy()).argmax(axis=1)]
    assert found.tolist() == expected.tolist()
    assert len(set(found)) < 25
    everywhere = slow_cosines(Z.numpy(), P.numpy()).argmax(axis=1)
    assert twins.rematched(Z, P, "global", 10, generator).tolist() == everywhere.tolist()
    assert twins.rematched(Z, P, "none", 10, generator).tolist() == list(range(25))


@EVERY
@pytest.mark.parametrize("rematch", twins.REMATCHES)
def test_the_embedding_is_of_the_twins_and_of_length_one_with_the_match_beside(method, rematch):
    model = method(3, **SMALL, rematch=rematch, match_batch_size=10).fit(XS)
    network = model.network_
    assert not network.training
    with torch.no_grad():
        Z = [
            encode(torch.tensor((X - X.mean(axis=0)) / X.std(axis=0)))
            for encode, X in zip(network.twins, XS, strict=True)
        ]
        P = [head(Z_v).numpy() for head, Z_v in zip(network.heads, Z, strict=True)]
    first, second = P if method is DIVIDE else [Z_v.numpy() for Z_v in Z]
    expected = unit(np.hstack([unit(first), unit(second[model.matching_])]))
    np.testing.assert_allclose(model.embedding_, expected, atol=1e-4)
    if rematch == "global":
        nearest = slow_cosines(Z[0].numpy(), P[1]).argmax(axis=1)
        assert (model.matching_ == nearest).mean() > 0.9
    assert (model.matching_ == np.arange(39)).all() == (rematch == "none")
    if rematch == "none":
        np.testing.assert_allclose(model.transform(XS), model.embedding_, atol=1e-5)


@EVERY
def test_columns_are_scaled_by_the_population_and_a_constant_one_is_zero(method):
    Xs = [np.hstack([X, np.full((39, 1), 0.1, np.float32)]) for X in XS]
    model = method(3, **SMALL).fit([3 * X + 8 for X in Xs])
    for mean, scale, X in zip(model.means_, model.scales_, Xs, strict=True):
        np.testing.assert_allclose(mean, 3 * X.mean(axis=0, dtype=float) + 8, rtol=1e-5)
        np.testing.assert_allclose(scale[:-1], 3 * X.std(axis=0)[:-1], rtol=1e-5)
        assert scale[-1] == 1
    again = method(3, **SMALL).fit(Xs)
    np.testing.assert_allclose(model.history_["loss"], again.history_["loss"], rtol=1e-3)


@EVERY
def test_training_clusters_rows_whose_partners_are_right_and_labels_are_not_read(method):
    Xs, y = groups(120, (6, 7), 3, spread=4)
    more = {"identity_epochs": 10, "warm_up_epochs": 5, "learning_rate": 0.05}
    settings = SMALL | more | {"epochs": 15, "embedding_dim": 8, "batch_size": 60}
    model = method(3, **settings).fit(Xs)
    assert accuracy(y, model.labels_) > 0.9
    again = method(3, **settings).fit(Xs, y * 0, aligned=np.zeros(120, bool))
    assert np.array_equal(again.labels_, model.labels_)


def fit_small(Xs=XS, method=DIVIDE, **changes):
    return method(**{"n_clusters": 3} | SMALL | changes).fit(Xs)


test_a_parameter_out_of_range_is_refused_by_its_name = out_of_range(
    fit_small,
    {
        "momentum": (-0.1, 1.1), "warm_up_epochs": (0,), "identity_epochs": (-1,),
        "rematch": ("batches",), "fixed_batches": ("no",),
    },
)  # fmt: skip


def test_two_rows_in_both_views_are_enough_to_learn_from_and_one_is_not():
    there = np.arange(78).reshape(39, 2) % 4 < 1
    there[:, 1] |= ~there[:, 0]
    there[:2] = True
    assert there.all(axis=1).sum() == 2
    assert np.isfinite(DIVIDE(3, **SMALL).fit(XS, present=there).history_["loss"]).all()
    there[0, 0] = False
    with pytest.raises(ValueError, match="Xs has 1 rows in both views"):
        DIVIDE(3, **SMALL).fit(XS, present=there)


test_rows_that_do_not_fit_are_refused = refused(
    [
        ("Xs has 1 rows in both views", lambda: fit_small([X[:1] for X in XS], n_clusters=1)),
        *(
            (f"1 False: expected True alone, since {method.__name__}", partial(
                method(3, **SMALL).fit, XS, present=np.arange(78).reshape(39, 2) > 0))
            for method in (CANDY, CorreGen)
        ),
    ]
)  # fmt: skip
