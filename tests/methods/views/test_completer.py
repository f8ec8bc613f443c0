"""COMPLETER and DCP against slow transcriptions of their source: loss, training, gaps."""

from functools import partial
from itertools import permutations

import numpy as np
import pytest
import torch
from problem_stand_ins import groups
from refusals import out_of_range, refused
from torch import nn

from mvlib.methods import COMPLETER, DCP
from mvlib.methods.base import kmeans_labels
from mvlib.methods.views import completer
from mvlib.metrics import accuracy

SMALL = {
    "hidden_dims": (12, 10), "embedding_dim": 4, "epochs": 4, "batch_size": 16,
    "learning_rate": 1e-3, "prediction_epoch": 2, "random_state": 0, "device": "cpu",
}  # fmt: skip
XS, _ = groups(40, (6, 7, 5), 3, spread=1)
TWO = XS[:2]
# Four samples lack a view, 36 have both; of the third view two more are missing.
PRESENT = np.ones((40, 3), bool)
PRESENT[[1, 7], 0] = PRESENT[[2, 39], 1] = PRESENT[[3, 7], 2] = False


def codes(*shapes):
    rng = np.random.default_rng(0)
    return [torch.tensor(rng.dirichlet(np.ones(width), rows)) for rows, width in shapes]


def slow_contrast(Z_1, Z_2, alpha):
    d = Z_1.shape[1]
    P = np.zeros((d, d))
    for z_1, z_2 in zip(Z_1, Z_2, strict=True):
        P += np.outer(z_1, z_2)
    P = (P + P.T) / 2
    P /= P.sum()
    P_i, P_j, total, eps = P.sum(axis=1), P.sum(axis=0), 0.0, 2.220446049250313e-16
    for i in range(d):
        for j in range(d):
            p, a, b = max(P[i, j], eps), max(P_i[i], eps), max(P_j[j], eps)
            total -= p * (np.log(p) - (alpha + 1) * np.log(a) - (alpha + 1) * np.log(b))
    return total


def test_the_contrast_is_that_of_the_transcription_and_does_not_tell_the_views_apart():
    Z_1, Z_2 = codes((9, 4), (9, 4))
    P = completer.joint_distribution(Z_1, Z_2)
    assert torch.equal(P, P.T)
    assert float(P.sum()) == pytest.approx(1)
    for alpha in (0.0, 9.0):
        found = float(completer.contrastive_loss(Z_1, Z_2, alpha))
        assert found == pytest.approx(slow_contrast(Z_1.numpy(), Z_2.numpy(), alpha))
        swapped = float(completer.contrastive_loss(Z_2, Z_1, alpha))
        assert swapped == pytest.approx(found)
    assert torch.autograd.gradcheck(
        lambda A, B: completer.contrastive_loss(A, B, 9.0),
        [Z_v.requires_grad_() for Z_v in (Z_1, Z_2)],
    )


def test_components_that_no_row_has_are_floored_so_that_loss_and_slope_are_finite():
    Z = torch.eye(3, dtype=torch.float64)[[0, 0, 1]].requires_grad_()
    loss = completer.contrastive_loss(Z, Z, 9.0)
    plain = Z.detach().numpy()
    assert loss.item() == pytest.approx(slow_contrast(plain, plain, 9))
    loss.backward()
    assert torch.isfinite(Z.grad).all()
    assert Z.grad.any()


@pytest.mark.parametrize(("n_views", "divisor"), [(2, 1), (3, 2), (4, 4)])
def test_the_total_loss_weighs_pairs_views_and_directions(n_views, divisor):
    pairs = [(v, u) for v in range(n_views) for u in range(v + 1, n_views)]
    contrasts = {pair: torch.tensor(1.0 + 10 * k) for k, pair in enumerate(pairs)}
    rebuilt = [torch.tensor(2.0 + v) for v in range(n_views)]
    told = [torch.tensor(3.0 + k) for k in range(2 * len(pairs))]
    found = completer.total_loss(contrasts, rebuilt, told, divisor, (2.0, 0.3, 0.7))
    con = 1 + sum(0.1 * (1 + 10 * k) for k in range(1, len(pairs)))
    con /= divisor
    rec = sum(range(2, 2 + n_views)) / (1 if n_views < 3 else n_views - 2)
    pre = sum(range(3, 3 + 2 * len(pairs))) / divisor
    assert float(found["contrast"]) == pytest.approx(con)
    assert float(found["reconstruction"]) == pytest.approx(rec)
    assert float(found["prediction"]) == pytest.approx(pre)
    assert float(found["loss"]) == pytest.approx(2 * con + 0.3 * rec + 0.7 * pre)
    before = completer.total_loss(contrasts, rebuilt, told, divisor, (1.0, 0.1, 0.0))
    assert float(before["loss"]) == pytest.approx(con + 0.1 * rec)
    assert [completer.pair_weight(pair) for pair in ((0, 1), (0, 2), (1, 2))] == [1, 0.1, 0.1]


def test_networks_end_in_softmax_decoders_in_batch_normalisation_and_relu():
    network = completer.DualPrediction((6, 7), (12, 10), 4, [(0, 1)])
    block = ["Linear", "BatchNorm1d", "ReLU"]
    for encode, decode, width in zip(network.encoders, network.decoders, (6, 7), strict=True):
        assert [type(layer).__name__ for layer in encode] == 2 * block + ["Linear", "Softmax"]
        assert [type(layer).__name__ for layer in decode] == 3 * block
        shapes = [
            [layer.weight.shape for layer in layers if isinstance(layer, nn.Linear)]
            for layers in (encode, decode)
        ]
        assert shapes[0] == [(12, width), (10, 12), (4, 10)]
        assert shapes[1] == [(10, 4), (12, 10), (width, 12)]
    assert set(network.predictors) == {"0 1", "1 0"}
    for predict in network.predictors.values():
        assert [type(layer).__name__ for layer in predict] == 5 * block + ["Linear", "Softmax"]
        widths = [layer.out_features for layer in predict if isinstance(layer, nn.Linear)]
        assert widths == [128, 256, 128, 256, 128, 4]
    Z = network.encode([torch.randn(8, 6), torch.randn(8, 7)])[0]
    assert torch.allclose(Z.sum(dim=1), torch.ones(8))


def plain_training(method, Xs, settings):
    """Train as the source says; one seed gives the estimator's draws."""
    torch.manual_seed(settings["random_state"])
    generator = torch.Generator().manual_seed(settings["random_state"])
    shape = settings["hidden_dims"], settings["embedding_dim"], [(0, 1)]
    network = completer.DualPrediction([X.shape[1] for X in Xs], *shape)
    adam = torch.optim.Adam(network.parameters(), lr=settings["learning_rate"])
    Xs, B, history = [torch.tensor(X) for X in Xs], settings["batch_size"], []
    for epoch in range(settings["epochs"]):
        order, losses = torch.randperm(len(Xs[0]), generator=generator), []
        starts = list(range(0, len(order), B))
        for start in starts[:-1] if method is DCP else starts:
            x = [X[order[start : start + B]] for X in Xs]
            z = [encode(x_v) for encode, x_v in zip(network.encoders, x, strict=True)]
            d = z[0].shape[1]
            P = sum(torch.outer(a, b) for a, b in zip(*z, strict=True))
            P = (P + P.T) / 2 / P.sum()
            loss = 0
            for i in range(d):
                for j in range(d):
                    share = P[i].sum().log() + P[:, j].sum().log()
                    loss = loss - P[i, j] * (P[i, j].log() - 10 * share)
            for v in (0, 1):
                loss = loss + 0.1 * (network.decoders[v](z[v]) - x[v]).square().mean()
                told = network.predictors[f"{v} {1 - v}"](z[v])
                if epoch >= 2:
                    # Both ends keep their gradient.
                    loss = loss + 0.1 * (told - z[1 - v]).square().mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
            losses.append(loss.item())
        history.append(np.mean(losses))
    return network, history


@pytest.mark.parametrize("method", [COMPLETER, DCP])
@pytest.mark.parametrize("n", [40, 32])
def test_training_is_that_of_the_plain_transcription_dcp_without_the_last_batch(method, n):
    Xs = [X[:n] for X in TWO]
    model = method(3, **SMALL).fit(Xs)
    network, history = plain_training(method, Xs, SMALL)
    np.testing.assert_allclose(model.history_["loss"], history, rtol=1e-4)
    for found, expected in zip(
        model.network_.predictors["0 1"].buffers(), network.predictors["0 1"].buffers(),
        strict=True,
    ):  # fmt: skip
        # The predictors' statistics move before predictions count.
        torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-3)
    n_batches = {(COMPLETER, 40): 3, (COMPLETER, 32): 2, (DCP, 40): 2, (DCP, 32): 1}
    seen = int(model.network_.predictors["0 1"][1].num_batches_tracked)
    assert seen == 4 * n_batches[method, n]


def slow_recovered(predict, Zs, there, core):
    """Fill each gap sample by sample; `predict(z, source, target)`."""
    filled = [Z.copy() for Z in Zs]
    for i, known in enumerate(there):
        views = [v for v in range(len(Zs)) if known[v]]
        if core:
            if not known[0]:
                filled[0][i] = np.mean([predict(Zs[u][i], u, 0) for u in views], axis=0)
            for v in range(1, len(Zs)):
                if not known[v]:
                    filled[v][i] = predict(filled[0][i], 0, v)
        else:
            for v in range(len(Zs)):
                if not known[v]:
                    filled[v][i] = np.mean([predict(Zs[u][i], u, v) for u in views], axis=0)
    return filled


@pytest.mark.parametrize(("n_views", "pairs"), [(2, "core"), (3, "core"), (3, "all")])
def test_gaps_are_filled_by_the_mean_of_predictions_the_core_first(n_views, pairs):
    Xs, there = XS[:n_views], PRESENT[:, :n_views]
    model = DCP(3, **SMALL | {"batch_size": 15}, pairs=pairs).fit(Xs, present=there)
    network = model.network_
    assert not network.training
    with torch.no_grad():
        Zs = [
            encode(torch.tensor(X)).numpy()
            for encode, X in zip(network.encoders, Xs, strict=True)
        ]

        def predict(z, source, target):
            return network.predictors[f"{source} {target}"](torch.tensor(z)[None])[0].numpy()

        filled = slow_recovered(predict, Zs, there, pairs == "core")
        found = completer.recovered(
            network, [torch.tensor(Z) for Z in Zs], torch.tensor(there), pairs == "core"
        )
    for Z, expected in zip(found, filled, strict=True):
        np.testing.assert_allclose(Z, expected, atol=1e-6)
    np.testing.assert_allclose(model.embedding_, np.hstack(filled), atol=1e-6)
    assert np.array_equal(model.labels_, kmeans_labels(model.embedding_, 3, 0))
    every = set(permutations(range(n_views), 2))
    core = {pair for pair in every if 0 in pair}
    expected = core if pairs == "core" else every
    assert set(network.predictors) == {f"{v} {u}" for v, u in expected}
    # Samples that have all are as new rows are.
    whole = there.all(axis=1)
    np.testing.assert_allclose(model.transform(Xs)[whole], model.embedding_[whole], atol=1e-6)


@pytest.mark.parametrize(("pairs", "divisor", "used"), [("core", 2, 2), ("all", 3, 3)])
def test_with_three_views_dcp_compares_the_core_with_each_or_all(pairs, divisor, used):
    met, kept = [], completer.total_loss

    def watched(contrasts, reconstructions, predictions, divided, weights):
        met.append((len(contrasts), len(reconstructions), len(predictions), divided, weights))
        return kept(contrasts, reconstructions, predictions, divided, weights)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(completer, "total_loss", watched)
        DCP(3, **SMALL, pairs=pairs, contrast_weight=10).fit(XS)
    early, late = (10, 0.1, 0.0), (10, 0.1, 0.1)
    assert met == [(used, 3, 2 * used, divisor, w) for w in [early] * 4 + [late] * 4]


def test_what_is_absent_is_not_read():
    model, again = (
        COMPLETER(3, **SMALL).fit(
            [np.where(PRESENT[:, [v]], X, noise * X[::-1]) for v, X in enumerate(TWO)],
            present=PRESENT[:, :2],
        )
        for noise in (1, 1e3)
    )
    np.testing.assert_array_equal(again.history_["loss"], model.history_["loss"])
    np.testing.assert_array_equal(again.embedding_, model.embedding_)


def test_training_clusters_samples_that_lack_a_view_too():
    Xs, y = groups(200, (6, 7), 3, spread=4)
    there = np.ones((200, 2), bool)
    there[:40, 0] = there[40:80, 1] = False
    settings = SMALL | {"epochs": 40, "prediction_epoch": 10, "embedding_dim": 6}
    model = COMPLETER(3, **settings | {"learning_rate": 1e-2}).fit(Xs, y * 0, present=there)
    assert accuracy(y[80:], model.labels_[80:]) > 0.9
    assert accuracy(y[:80], model.labels_[:80]) > 0.8


def test_defaults_are_the_authors_settings():
    defaults = {
        "hidden_dims": (1024, 1024, 1024), "embedding_dim": 128, "epochs": 500,
        "batch_size": 256, "learning_rate": 1e-4, "alpha": 9.0, "prediction_epoch": 100,
        "contrast_weight": 1.0, "reconstruction_weight": 0.1, "prediction_weight": 0.1,
    }  # fmt: skip
    assert defaults.items() <= COMPLETER(3).get_params().items()
    assert (defaults | {"pairs": "core"}).items() <= DCP(3).get_params().items()


def fit_small(Xs=TWO, method=COMPLETER, **changes):
    return method(**{"n_clusters": 3} | SMALL | changes).fit(Xs)


test_a_parameter_out_of_range_is_refused_by_its_name = out_of_range(
    fit_small,
    {
        "alpha": (-1,), "contrast_weight": (-1,), "reconstruction_weight": (-1,),
        "prediction_weight": (-1,), "prediction_epoch": (-1,),
    },
)  # fmt: skip
test_samples_that_do_not_fit_are_refused = refused(
    [
        ("Xs has 1 samples with all views", partial(
            fit_small, [X[:1] for X in TWO], n_clusters=1)),
        ("Xs has 16 samples .*: expected more than batch_size=16", partial(
            fit_small, [X[:16] for X in TWO], DCP)),
        ("pairs='both' is unknown", partial(fit_small, method=DCP, pairs="both")),
    ]
)  # fmt: skip
