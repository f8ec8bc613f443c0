"""VITAL against slow transcriptions of its source: losses, kept pairs, training, matching."""

from functools import partial

import numpy as np
import pytest
import torch
from problem_stand_ins import groups
from refusals import out_of_range, refused
from torch import nn

from mvlib import data
from mvlib.methods import training
from mvlib.methods.views import vital
from mvlib.methods.views.vital import VITAL
from mvlib.metrics import accuracy

SMALL = {
    "hidden_dims": (16, 12), "embedding_dim": 5, "epochs": 3, "rectification_epochs": 2,
    "batch_size": 16, "learning_rate": 1e-2, "random_state": 0, "device": "cpu",
}  # fmt: skip


def problem_of(n=61, ratio=0.5):
    Xs, y = groups(n, (6, 7), 3, spread=4)
    scaled = data.ViewScaler("column").fit_transform(Xs)
    return data.misalign(scaled, y, ratio, protocol="mvcln")


@pytest.fixture(scope="module")
def problem():
    return problem_of()


@pytest.fixture(scope="module")
def fit(problem):
    def fit(Xs=problem.Xs, y=None, aligned=problem.aligned, **changes):
        return VITAL(3, **SMALL | changes).fit(Xs, y, aligned=aligned)

    return fit


@pytest.fixture(scope="module")
def fitted(fit):
    return fit()


def cosine(a, b):
    return a @ b / np.sqrt((a @ a) * (b @ b))


def slow_softmax(row):
    e = [np.exp(x) for x in row]
    return [x / sum(e) for x in e]


def test_divergence_is_a_mean_over_rows_and_dimensions():
    rng = np.random.default_rng(0)
    mean, log_variance = rng.normal(size=(2, 4, 3))
    slow = np.mean(
        [0.5 * (m**2 + np.exp(v) - v - 1) for m, v in zip(mean.flat, log_variance.flat)]  # noqa: B905
    )
    found = vital.divergence(torch.tensor(mean), torch.tensor(log_variance))
    assert found.item() == pytest.approx(slow, rel=1e-12)
    assert vital.divergence(torch.zeros(4, 3), torch.zeros(4, 3)) == 0


def test_contrasts_are_those_of_the_transcription_and_gradients_go_through_the_power():
    rng = np.random.default_rng(0)
    new, X = rng.normal(size=(2, 6, 3))
    slow = -np.mean(
        [np.log(slow_softmax([cosine(a, x) / 0.4 for x in X])[i]) for i, a in enumerate(new)]
    )
    found = vital.intra_loss(torch.tensor(new), torch.tensor(X), 0.4)
    assert found.item() == pytest.approx(slow, rel=1e-9)
    logits = 3 * rng.normal(size=(6, 6))
    q = [slow_softmax(row)[i] for i, row in enumerate(logits)]
    slow = -np.mean([x**0.1 * np.log(x) for x in q])
    assert vital.inter_loss(torch.tensor(logits), 0.1).item() == pytest.approx(slow)
    leaf = torch.tensor(logits, requires_grad=True)
    assert torch.autograd.gradcheck(partial(vital.inter_loss, alpha=0.1), [leaf])
    for call in (lambda A: vital.divergence(A, A / 2), lambda A: vital.intra_loss(A, A.T, 0.4)):
        assert torch.autograd.gradcheck(call, [leaf])
    # The floor is in the power alone: the logarithm goes on below it.
    far = torch.tensor([[0.0, 40.0], [0.0, 40.0]], dtype=torch.float64)
    assert vital.inter_loss(far, 0.1).item() == pytest.approx(1e-7**0.1 * 40 / 2, rel=1e-6)


def slow_mixture(scaled):
    """Two Gaussians by EM from the best split in two; probabilities of the lower mean."""
    scaled = np.sort(scaled)
    cuts = range(1, len(scaled))
    cut = min(
        cuts,
        key=lambda c: (
            ((scaled[:c] - scaled[:c].mean()) ** 2).sum()
            + ((scaled[c:] - scaled[c:].mean()) ** 2).sum()
        ),
    )
    r, before = np.zeros((len(scaled), 2)), -np.inf
    r[:cut, 0] = r[cut:, 1] = 1

    def maximise():
        size = r.sum(axis=0)
        means = r.T @ scaled / size
        variances = [
            (r[:, k] * (scaled - means[k]) ** 2).sum() / size[k] + 5e-4 for k in (0, 1)
        ]
        return size / len(scaled), means, np.array(variances)

    def densities(x, weights, means, variances):
        x = np.asarray(x)[:, None]
        return (
            weights
            * np.exp(-((x - means) ** 2) / (2 * variances))
            / np.sqrt(2 * np.pi * variances)
        )

    found = maximise()
    for _ in range(10):
        p = densities(scaled, *found)
        bound = np.log(p.sum(axis=1)).mean()
        r = p / p.sum(axis=1, keepdims=True)
        found = maximise()
        if abs(bound - before) < 1e-2:
            break
        before = bound
    low = found[1].argmin()

    def clean(x):
        p = densities(x, *found)
        return p[:, low] / p.sum(axis=1)

    return clean, abs(found[1][0] - found[1][1])


def slow_kept(losses, alpha):
    n = len(losses)
    scaled = (losses - losses.min()) / (losses.max() - losses.min())
    clean, delta = slow_mixture(scaled.ravel())
    r = clean(scaled.ravel()).reshape(n, n)
    limit = np.quantile(
        [x for x, p in zip(scaled.flat, r.flat, strict=True) if p > 0.5], min(delta, 1)
    )
    kept = {
        (i, j): r[i, j]
        for i in range(n)
        for j in range(n)
        if i == j or (r[i, j] > 0.5 and 0 < scaled[i, j] <= limit)
    }
    low, high = min(kept.values()), max(kept.values())
    return {ij: alpha * (p - low) / (high - low) for ij, p in kept.items()}


def some_losses(seed, n=14):
    """Losses of a batch in which rows of one class are near each other."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    near = y[:, None] == y
    return np.where(near, rng.normal(1.5, 0.2, (n, n)), rng.normal(4, 0.5, (n, n)))


@pytest.mark.parametrize("seed", range(4))
def test_kept_pairs_and_their_powers_are_those_of_the_transcription(seed):
    losses = some_losses(seed)
    expected = slow_kept(losses, 0.1)
    keep, powers = vital.kept_pairs(losses, 0.1, 0)
    assert set(zip(*np.nonzero(keep), strict=True)) == set(expected)
    np.testing.assert_allclose(powers, [expected[ij] for ij in sorted(expected)], atol=2e-3)
    assert keep.diagonal().all()
    assert len(keep) < keep.sum() < keep.size
    assert (powers.min(), powers.max()) == (0, pytest.approx(0.1))
    logits = -losses
    loss = vital.rectified_loss(torch.tensor(logits), 0.1, 0).item()
    q = np.array([slow_softmax(row) for row in logits])
    keep, powers = vital.kept_pairs(-np.log(q), 0.1, 0)
    terms = [
        q[ij] ** a * np.log(q[ij])
        for ij, a in zip(zip(*np.nonzero(keep), strict=True), powers, strict=True)
    ]
    assert loss == pytest.approx(-np.mean(terms), rel=1e-9)


def test_the_pair_of_least_loss_is_left_out_unless_it_is_of_partners():
    losses = some_losses(0)
    off = losses + 10 * np.eye(14)
    i, j = np.unravel_index(off.argmin(), off.shape)
    losses[i, j] = losses.min() - 0.1
    assert not vital.kept_pairs(losses, 0.1, 0)[0][i, j]
    losses[0, 0] = losses.min() - 0.1
    keep, _ = vital.kept_pairs(losses, 0.1, 0)
    assert keep[0, 0]
    assert keep[i, j]


def test_equal_losses_keep_partners_alone_at_the_highest_power():
    keep, powers = vital.kept_pairs(np.full((5, 5), 2.0), 0.1, 0)
    assert np.array_equal(keep, np.eye(5, dtype=bool))
    assert powers.tolist() == [0.1] * 5


def test_features_are_the_sum_of_mean_and_deviation_at_unit_length_or_as_they_are():
    mean, log_variance = torch.tensor([[3.0, 4.0]]), torch.log(torch.tensor([[9.0, 16.0]]))
    expected = torch.tensor([[1.2, 1.6]])
    assert torch.allclose(vital.view_features(mean, log_variance, True), expected)
    assert torch.allclose(vital.view_features(mean, log_variance, False), 2 * mean)


class PlainEncoder(nn.Module):
    """As the source has it; layers are made in the order of the estimator's."""

    def __init__(self, width):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2),
            nn.Linear(16, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.2),
            nn.Linear(12, 10),
        )  # fmt: skip
        self.back = nn.Sequential(
            nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, width),
            nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, X):
        out = self.layers(X)
        mean, log_variance = out[:, :5], out[:, 5:]
        noise = torch.randn_like(mean)
        return mean, log_variance, self.back(mean + noise * torch.exp(0.5 * log_variance))


def plain_training(Xs, settings):
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    A = [torch.tensor(X) for X in Xs]
    models = [PlainEncoder(X.shape[1]) for X in A]
    adam = torch.optim.Adam([w for m in models for w in m.parameters()], lr=1e-2)
    history, n = [], len(A[0])
    for epoch in range(1 + settings["epochs"] + settings["rectification_epochs"]):
        total = 0
        rectified = epoch > settings["epochs"]
        adam.param_groups[0]["lr"] = 1e-4 if rectified else 1e-2
        for batch in torch.randperm(n, generator=generator).split(settings["batch_size"]):
            inputs = [X[batch] for X in A]
            outputs = [model(X) for model, X in zip(models, inputs, strict=True)]
            if epoch == 0:
                continue
            loss, B = 0, len(batch)
            for (mean, log_var, new), X in zip(outputs, inputs, strict=True):
                loss = loss + (0.5 * (mean**2 + log_var.exp() - log_var - 1)).mean()
                S = torch.cosine_similarity(new[:, None], X[None], dim=2) / 0.4
                loss = loss - S.log_softmax(dim=1).diagonal().mean()
            S = (
                torch.cosine_similarity(outputs[0][0][:, None], outputs[1][0][None], dim=2)
                / 0.4
            )
            for side in (S, S.T):
                if rectified:
                    seed = int(torch.randint(2**31, (1,), generator=generator))
                    q = side.softmax(dim=1)
                    keep, powers = vital.kept_pairs(
                        -q.detach().log().numpy().astype(float), 0.1, seed
                    )
                    kept = q[torch.tensor(keep)]
                    loss = loss - (kept ** torch.tensor(powers).float() * kept.log()).mean()
                else:
                    q = side.softmax(dim=1).diagonal()
                    loss = loss - (q**0.1 * q.log()).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
            total += B * loss.item() / n
        history.append(total)
    return history[1:]


def test_training_is_that_of_the_plain_transcription_in_both_stages(problem, fitted):
    plain = plain_training([X[problem.aligned] for X in problem.Xs], SMALL)
    history = fitted.history_
    np.testing.assert_allclose(history["loss"], plain, rtol=2e-3)
    assert history["rectified"].tolist() == [False] * 3 + [True] * 2
    parts = history["intra"] + history["inter"] + history["divergence"]
    np.testing.assert_allclose(history["loss"], parts, rtol=1e-5)


def test_only_aligned_rows_train_and_no_label_does(problem, fit, fitted):
    Xs = [X * np.where(problem.aligned, 1, 0.3)[:, None].astype(X.dtype) for X in problem.Xs]
    model = fit(Xs)
    np.testing.assert_array_equal(model.history_["loss"], fitted.history_["loss"])
    assert not np.array_equal(model.embedding_, fitted.embedding_)
    assert np.array_equal(fit(y=np.zeros(61)).embedding_, fitted.embedding_)


def test_a_pass_without_update_moves_batch_normalisation_and_a_short_batch_trains(fitted):
    # 31 aligned rows: batches of 16 and 15, in the first pass and in five epochs.
    assert int(fitted.network_[0].encode[1].num_batches_tracked) == 2 * 6
    assert [len(b) for b in training.batches(33, 16, torch.Generator())] == [16, 17]


@pytest.mark.parametrize("unit", [True, False])
def test_rows_are_matched_by_means_in_batches_of_the_training_unless_all_are_aligned(
    problem, fit, unit
):
    model = fit(unit_features=unit)
    with torch.no_grad():
        outputs = [
            m.encode(torch.tensor(X)).numpy()
            for m, X in zip(model.network_, problem.Xs, strict=True)
        ]
    means = [out[:, :5] for out in outputs]
    deviations = [np.exp(out[:, 5:] / 2) for out in outputs]
    if unit:
        norm = lambda A: A / np.linalg.norm(A, axis=1, keepdims=True)  # noqa: E731
        means, deviations = map(norm, means), map(norm, deviations)
    means, deviations = list(means), list(deviations)
    for batch in _batches_of(model, 61, 16):
        taken = []
        for i in batch:
            distances = ((means[0][i] - means[1][batch]) ** 2).sum(axis=1)
            taken.append(next(j for j in distances.argsort() if j not in taken))
            assert model.matching_[i] == batch[taken[-1]]
    Z = [m + s for m, s in zip(means, deviations, strict=True)]
    np.testing.assert_allclose(
        model.embedding_, np.hstack([Z[0], Z[1][model.matching_]]), atol=1e-5
    )
    whole = fit(aligned=None)
    assert whole.matching_.tolist() == list(range(61))
    kept = fit(keep_pairs=True).matching_
    assert (kept[problem.aligned] == np.flatnonzero(problem.aligned)).all()


def _batches_of(model, n, size):
    """The random batches of the matching, after the draws of the training."""
    generator = torch.Generator().manual_seed(0)
    for epoch in range(1 + 3 + 2):
        torch.randperm(31, generator=generator)
        for _ in range(2 * 2 * (epoch > 3)):
            torch.randint(2**31, (1,), generator=generator)
    return torch.randperm(n, generator=generator).split(size)


def test_networks_and_defaults_are_the_authors(fitted):
    model = fitted.network_[0]
    hidden = ["Linear", "BatchNorm1d", "ReLU", "Dropout"]
    assert [type(layer).__name__ for layer in model.encode] == [*hidden, *hidden, "Linear"]
    assert [type(layer).__name__ for layer in model.decode] == [
        "Linear", "ReLU", "Linear", "ReLU", "Linear", "Sigmoid"
    ]  # fmt: skip
    assert model.encode[-1].out_features == 2 * 5
    defaults = {
        "hidden_dims": (1024, 1024, 1024), "embedding_dim": 128, "dropout": 0.2, "alpha": 0.1,
        "epochs": 100, "rectification_epochs": 10, "batch_size": 1024, "temperature": 0.4,
        "learning_rate": 2e-3, "rectification_learning_rate": 1e-4, "unit_features": True,
        "matching": "greedy", "match_batch_size": None, "keep_pairs": False,
    }  # fmt: skip
    assert defaults.items() <= VITAL(3).get_params().items()


def test_training_clusters_the_rows_of_view_1():
    problem = problem_of(200)
    settings = SMALL | {"epochs": 25, "batch_size": 128, "match_batch_size": 1024}
    model = VITAL(3, **settings).fit(problem.Xs, aligned=problem.aligned)
    assert accuracy(problem.y, model.labels_) > 0.95
    assert (problem.labels_of_view(1)[model.matching_] == problem.y).mean() > 0.9


XS = problem_of().Xs
HALF = np.arange(61) < 31


def fit_small(Xs=XS, aligned=HALF, **changes):
    return VITAL(**{"n_clusters": 3} | SMALL | changes).fit(Xs, aligned=aligned)


test_a_parameter_out_of_range_is_refused_by_its_name = out_of_range(
    fit_small,
    {
        "rectification_epochs": (-1,), "rectification_learning_rate": (0,), "alpha": (-0.1,),
        "matching": ("greed",), "keep_pairs": ("no",), "unit_features": (1,),
    },
)  # fmt: skip
test_views_and_flags_that_do_not_fit_are_refused = refused(
    [
        (
            "aligned has 1 True: expected at least 2",
            partial(fit_small, aligned=np.arange(61) < 1),
        ),
        (
            "VITAL takes no sample",
            lambda: VITAL(3).fit(XS, present=np.eye(61, 2, dtype=bool) ^ True),
        ),
    ]
)
