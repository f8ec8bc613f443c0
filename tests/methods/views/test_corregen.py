"""CorreGen against slow transcriptions of its source: loss, plans, virtual row, marginals."""

import numpy as np
import pytest
import torch
from refusals import out_of_range
from sklearn.mixture import GaussianMixture
from twin_transcription import SMALL, XS, slow_cosines, tensors

from mvlib.methods import CorreGen
from mvlib.methods.views import corregen
from mvlib.methods.views.momentum_twins import Codes
from mvlib.ops import cosine_kmeans
from mvlib.ops.sinkhorn import transport_plan


def near(*shapes):
    """Return codes of which fifty rounds nearly find the plan."""
    centre, *noise = tensors((1, shapes[0][1]), *shapes, seed=1)
    return [centre + 0.3 * E for E in noise]


def slow_loss(q, k, Q, tau):
    S = np.exp(slow_cosines(q, k) / tau)
    S, B, total = S / S.sum(), len(q), 0.0
    for i in range(B):
        for j in range(B):
            total -= Q[i, j] * np.log(B * S[i, j])
    return total / B**2


def lse(x):
    return np.log(np.sum(np.exp(x - x.max()))) + x.max()


def slow_sinkhorn(C, a, b, rounds=50, tolerance=1e-6):
    """Return the plan and the rounds that it took."""
    n, m = C.shape
    u, v = np.full(n, -np.log(n)), np.full(m, -np.log(m))
    for done in range(1, rounds + 1):  # noqa: B007
        before = u.copy()
        for i in range(n):
            u[i] += 0.03 * (np.log(a[i]) - lse((before[i] + v - C[i]) / 0.03))
        v = v.copy()
        for j in range(m):
            v[j] += 0.03 * (np.log(b[j]) - lse((u + v[j] - C[:, j]) / 0.03))
        if np.linalg.norm(u - before) < tolerance:
            break
    return np.exp((u[:, None] + v - C) / 0.03), done


def masses(n, seed=0):
    w = np.random.default_rng(seed).random(n) + 0.1
    return w / w.sum()


def slow_inter_target(p, z_bar, w_v, w_u, rho):
    C = 1 - slow_cosines(p, z_bar)
    B = len(C)
    extended = np.zeros((B + 1, B + 1))
    extended[:B, :B] = C
    extended[B, B] = 201 * C.max()
    plan, _ = slow_sinkhorn(extended, np.append(w_v, rho), np.append(w_u, rho))
    return plan[:B, :B] / (1 - rho) / w_v[:, None]


def slow_intra_target(z, z_bar, w):
    plan, _ = slow_sinkhorn(1 - slow_cosines(z, z_bar), w, w)
    return np.eye(len(w)) / 2 + plan / w[:, None] / 2


def test_the_loss_is_that_of_the_transcription_with_one_softmax_over_all_cells():
    q, k = tensors((6, 3), (6, 3))
    Q = np.random.default_rng(0).random((6, 6))
    found = corregen.likelihood_loss(q, k, torch.tensor(Q), 0.5)
    assert float(found) == pytest.approx(slow_loss(q.numpy(), k.numpy(), Q, 0.5))
    # With identity targets it is (CE - ln B)/B of a cross entropy over all cells.
    S = slow_cosines(q.numpy(), k.numpy()) / 0.5
    entropy = -np.mean(np.diagonal(S) - lse(S.ravel()))
    eye = torch.eye(6, dtype=torch.float64)
    found = float(corregen.likelihood_loss(q, k, eye, 0.5))
    assert found == pytest.approx((entropy - np.log(6)) / 6)
    equal = corregen.likelihood_loss(torch.ones(6, 3), torch.ones(6, 3), torch.eye(6), 0.5)
    assert float(equal) == pytest.approx(np.log(6) / 6)
    assert torch.autograd.gradcheck(
        lambda q: corregen.likelihood_loss(q, k, torch.tensor(Q), 0.5), [q.requires_grad_()]
    )


@pytest.mark.parametrize("sharp", [True, False])
@pytest.mark.parametrize("uniform", [True, False])
def test_the_plan_is_that_of_the_transcription_stopped_early_its_columns_exact(uniform, sharp):
    codes = (tensors if sharp else near)((7, 3), (7, 3))
    C = 1 - slow_cosines(*(A.numpy() for A in codes))
    a, b = (np.full(7, 1 / 7) if uniform else masses(7, seed) for seed in (1, 2))
    found = corregen.sinkhorn_plan(*map(torch.tensor, (C, a, b)))
    expected, rounds = slow_sinkhorn(C, a, b)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(found.sum(dim=0), b, rtol=1e-9)
    if sharp:
        # Fifty rounds are few for codes that lie far apart: the rows are off.
        assert rounds == 50
        assert abs(found.sum(dim=1).numpy() - a).max() > 1e-3
    else:
        exact = transport_plan(C, a, b, epsilon=0.03, tol=1e-9, precision="float64")
        np.testing.assert_allclose(found, exact.plan, atol=1e-3)


def test_the_plan_ends_once_the_first_potentials_rest():
    C = np.full((5, 5), 0.3)
    w = np.full(5, 0.2)
    expected, rounds = slow_sinkhorn(C, w, w)
    assert rounds == 2
    found = corregen.sinkhorn_plan(*map(torch.tensor, (C, w, w)))
    np.testing.assert_allclose(found, np.full((5, 5), 1 / 25))
    np.testing.assert_allclose(found, expected)
    met, kept = [], torch.Tensor.norm

    def norm(self, *given):
        met.append(1)
        return kept(self, *given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "norm", norm)
        corregen.sinkhorn_plan(*map(torch.tensor, (C, w, w)))
    assert len(met) == 2


def test_targets_inside_a_view_are_half_the_row_itself_and_half_a_plan_by_its_mass():
    z, z_bar = tensors((6, 3), (6, 3))
    w = masses(6)
    found = corregen.intra_target(z, z_bar, torch.tensor(w))
    np.testing.assert_allclose(
        found, slow_intra_target(z.numpy(), z_bar.numpy(), w), rtol=1e-6, atol=1e-12
    )
    assert float((torch.tensor(w) @ found).sum()) == pytest.approx(1)


@pytest.mark.parametrize("rho", [0.2, 0.5])
def test_a_virtual_row_takes_its_mass_and_the_targets_add_up_to_one_a_row(rho):
    p, z_bar = near((8, 3), (8, 3))
    w_v, w_u = masses(8, 1), masses(8, 2)
    given = p, z_bar, torch.tensor(w_v), torch.tensor(w_u), rho
    found = corregen.inter_target(*given)
    expected = slow_inter_target(p.numpy(), z_bar.numpy(), w_v, w_u, rho)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-12)
    # Mass 1 - rho is inside, since nothing of rho goes to the corner.
    inner = (found * torch.tensor(w_v)[:, None]).sum() * (1 - rho)
    assert float(inner) == pytest.approx(1 - rho, abs=2e-3)
    uniform = torch.full((8,), 1 / 8, dtype=torch.float64)
    rows = corregen.inter_target(p, z_bar, uniform, uniform, rho).sum(dim=1)
    assert float(rows.mean()) == pytest.approx(1, abs=2e-3)
    assert float(rows.std()) > 0.01


def test_without_noise_the_targets_are_balanced_transport_and_with_little_almost():
    p, z_bar = near((6, 3), (6, 3))
    w = torch.full((6,), 1 / 6, dtype=torch.float64)
    plan, _ = slow_sinkhorn(1 - slow_cosines(p.numpy(), z_bar.numpy()), w.numpy(), w.numpy())
    found = corregen.inter_target(p, z_bar, w, w, 0)
    np.testing.assert_allclose(found, 6 * plan, rtol=1e-6, atol=1e-12)
    little = corregen.inter_target(p, z_bar, w, w, 1e-9)
    np.testing.assert_allclose(little, found, atol=1e-4)


@pytest.mark.parametrize("reading", corregen.READINGS)
def test_densities_are_those_of_the_transcription_the_paper_without_a_root(reading):
    rng = np.random.default_rng(0)
    Z = np.concatenate([rng.normal(size=(30, 2)), 9 + rng.normal(size=(10, 2))])
    found = corregen.densities(Z, 2, reading)
    mixture = GaussianMixture(
        2, covariance_type="diag", init_params="k-means++", n_init=1, reg_covar=1e-3,
        max_iter=50, random_state=0,
    ).fit(Z)  # fmt: skip
    for z, density in zip(Z, found, strict=True):
        k = mixture.predict([z])[0]
        d = np.sum((z - mixture.means_[k]) ** 2 / mixture.covariances_[k])
        c = np.exp(-0.1 * (d if reading == "paper" else np.sqrt(d)))
        assert density == pytest.approx(
            (10**c - 1) / 9 * (30 if k == mixture.predict(Z)[0] else 10) / 40
        )
    assert found[:30].max() > found[30:].max()
    assert 0 < found.max() <= 30 / 40


@pytest.mark.parametrize("epoch", [19, 20])
def test_each_block_has_its_own_target_and_at_first_the_identity(epoch):
    z, z_bar, p = (tensors((6, 3), (6, 3), seed=seed) for seed in (0, 1, 2))
    model = CorreGen(3)
    model.marginals_ = np.random.default_rng(0).random((2, 9)) + 0.1
    batch = torch.tensor([5, 0, 8, 2, 3, 7])
    found = model._losses(Codes(z, z_bar, p), epoch, batch)
    w = [m[batch.numpy()] / m[batch.numpy()].sum() for m in model.marginals_]
    total = 0
    for v, u in ((0, 1), (1, 0)):
        inside, across = np.eye(6), np.eye(6)
        if epoch == 20:
            inside = slow_intra_target(z[v].numpy(), z_bar[v].numpy(), w[v])
            across = slow_inter_target(p[v].numpy(), z_bar[u].numpy(), w[v], w[u], 0.2)
        total += slow_loss(z[v].numpy(), z_bar[v].numpy(), inside, 0.5) / 2
        total += slow_loss(p[v].numpy(), z_bar[u].numpy(), across, 0.5) / 2
    assert float(found["loss"]) == pytest.approx(total, rel=1e-6)


def test_marginals_are_equal_up_to_the_epoch_after_the_first_mixture_and_then_move_slowly():
    seen = []

    class Watched(CorreGen):
        def _losses(self, codes, epoch, batch):
            seen.append((epoch, self.marginals_.copy()))
            return super()._losses(codes, epoch, batch)

    settings = SMALL | {"epochs": 5, "marginal_epoch": 1, "batch_size": 39}
    densities, kept = [], corregen.densities

    def watched(*given):
        densities.append(kept(*given))
        return densities[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corregen, "densities", watched)
        model = Watched(3, **settings).fit(XS)
    used = dict(seen)
    assert (used[0] == 1).all()
    assert (used[1] == 1).all()
    # After epoch 1 the mean of the densities, in epoch 2; rows differ from epoch 3 on.
    buffer = np.repeat([[densities[0].mean()], [densities[1].mean()]], 39, axis=1)
    np.testing.assert_allclose(used[2], buffer, rtol=1e-6)
    for epoch in (3, 4):
        first = 2 * (epoch - 2)
        buffer = 0.97 * buffer + 0.03 * np.stack(densities[first : first + 2])
        np.testing.assert_allclose(used[epoch], buffer, rtol=1e-5)
        assert (used[epoch].std(axis=1) > 0).all()
    assert len(densities) == 8
    assert model.marginals_.shape == (2, 39)


def test_the_clusters_are_those_of_cosine_kmeans_of_ten_starts():
    model = CorreGen(3, **SMALL).fit(XS)
    found = cosine_kmeans(model.embedding_, 3, n_init=10, random_state=0).labels
    assert np.array_equal(model.labels_, found)


def test_defaults_are_the_authors_settings():
    defaults = {
        "batch_size": 512, "learning_rate": 5e-4, "identity_epochs": 20, "noise": 0.2,
        "rematch": "batch", "match_batch_size": 512, "marginal_epoch": 100, "reading": "code",
    }  # fmt: skip
    assert defaults.items() <= CorreGen(3).get_params().items()


test_a_parameter_out_of_range_is_refused_by_its_name = out_of_range(
    lambda **change: CorreGen(3, **SMALL | change).fit(XS),
    {"noise": (-0.1, 1.0), "marginal_epoch": (-1,), "reading": ("papers",)},
)
