"""Set-CLIP's equations against slow transcriptions and against what defines them."""

import math

import numpy as np
import ot
import pytest
import torch
import torch.nn.functional as F
from refusals import refused

from mvlib.methods.set_clip import (
    NINETEEN_BANDWIDTHS,
    Objective,
    density,
    mmd,
    pseudo_label_loss,
    pseudo_label_plan,
    self_supervised_contrastive_loss,
    semantic_density_distribution_loss,
)
from mvlib.methods.set_clip.equations import PARTS
from mvlib.ops import clip_loss


def plain_density(x, data, h):
    spread = sum(np.var(data[:, j], ddof=1) for j in range(data.shape[1]))
    total = 0.0
    for z in data:
        total += 3 * math.exp(-sum((z - x) ** 2) / spread / (4 * h**2)) / (2 * math.pi * h**2)
    return total / 16


def plain_divergence(A, B, h, normalized):
    p = np.array([plain_density(x, A, h) for x in A])
    q = np.array([plain_density(x, B, h) for x in A]) * len(A) / len(B)
    if normalized:
        p, q = p / p.sum(), q / q.sum()
    return sum(p * np.log(p / q)) + sum(q * np.log(q / p))


def plain_sdd(A, B, h, normalized):
    extents = [sum((X.max(axis=0) - X.min(axis=0)) ** 2) for X in (A, B)]
    both = plain_divergence(A, B, h, normalized) + plain_divergence(B, A, h, normalized)
    return both / extents[0] + both / extents[1]


def cosine(x, y):
    return x @ y / np.linalg.norm(x) / np.linalg.norm(y)


def plain_contrast(A, B, temperature):
    # Views of one sample stand side by side, as in the authors' batches.
    views = [v for pair in zip(A, B, strict=True) for v in pair]
    total = 0.0
    for i, view in enumerate(views):
        partner = i + 1 - i % 2 * 2
        weights = {
            j: math.exp(cosine(view, other) / temperature)
            for j, other in enumerate(views)
            if j != i
        }
        total -= math.log(weights[partner] / sum(weights.values()))
    return total / len(views)


def clouds(n=7, m=7, d=4, seed=0):
    rng = np.random.default_rng(seed)
    A, B = rng.normal(size=(n, d)), rng.normal(size=(m, d)) + 0.3
    return [X / np.linalg.norm(X, axis=1, keepdims=True) for X in (A, B)]


def tensors(*arrays, gradient=False):
    return [torch.tensor(X, requires_grad=gradient) for X in arrays]


sdd = semantic_density_distribution_loss


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("sizes", [(7, 7), (5, 9)])
def test_density_and_its_divergence_agree_with_their_transcriptions(sizes, normalized):
    A, B = clouds(*sizes)
    for h in (0.2, 0.5, 2.0):
        expected = [plain_density(x, B, h) for x in A]
        assert density(*tensors(A, B), h).numpy() == pytest.approx(expected, abs=1e-9)
    for h in (0.3, 0.5):
        found = float(sdd(*tensors(A, B), h, normalized))
        assert found == pytest.approx(plain_sdd(A, B, h, normalized), abs=1e-9)


def test_nineteen_kernels_add_up_and_the_contrast_agrees_with_its_transcription():
    A, B = clouds()
    each = sum(float(mmd(*tensors(A, B), width)) for width in NINETEEN_BANDWIDTHS)
    assert len(NINETEEN_BANDWIDTHS) == 19
    assert float(mmd(*tensors(A, B), NINETEEN_BANDWIDTHS)) == pytest.approx(each, abs=1e-12)
    found = self_supervised_contrastive_loss(*tensors(3 * A, B), 0.3)
    assert float(found) == pytest.approx(plain_contrast(A, B, 0.3), abs=1e-9)
    found = self_supervised_contrastive_loss(*tensors(A, B))
    assert float(found) == pytest.approx(plain_contrast(A, B, 0.05), abs=1e-9)
    # Of views that tell nothing it is the logarithm of the candidates.
    same = torch.ones(5, 3)
    assert float(self_supervised_contrastive_loss(same, same)) == pytest.approx(math.log(9))


def test_pseudo_labels_are_those_of_sinkhorn_after_ten_iterations():
    A, B = clouds(6, 5)
    cost = 1 - A @ B.T
    with pytest.warns(UserWarning, match="did not converge"):
        plan = ot.sinkhorn(np.full(6, 1 / 6), np.full(5, 1 / 5), cost, 0.05, numItermax=10)
    plan /= plan.sum(axis=1, keepdims=True)
    found = pseudo_label_plan(*tensors(A, B))
    assert np.allclose(found.numpy(), plan, atol=1e-9)
    T = clouds(5, 5, seed=1)[0]
    logs = np.log([[math.exp(a @ t / 0.05) for t in T] for a in A])
    logs = logs - np.log(np.exp(logs).sum(axis=1, keepdims=True))
    expected = -(plan * logs).sum(axis=1).mean() / 2
    assert float(pseudo_label_loss(*tensors(A, B, T))) == pytest.approx(expected)


def test_total_loss_is_the_weighted_sum_of_the_terms_of_its_equation():
    A, B = tensors(*clouds())
    weights = dict(zip(PARTS, (0.1, 0.2, 0.6, 0.3, 1.0, 0.0), strict=True))
    found = Objective(weights)(A, B, (A.flip(0), B.flip(0)), n_paired=3)
    terms = {
        "contrast_1": self_supervised_contrastive_loss(A, A.flip(0)),
        "contrast_2": self_supervised_contrastive_loss(B, B.flip(0)),
        "sdd": sdd(A, B),
        "mmd": mmd(A, B),
        "clip": clip_loss(A, B, 0.05, torch.arange(3).repeat(2, 1).T),
    }
    assert set(found) == {"loss", *terms}
    assert all(torch.equal(found[name], term) for name, term in terms.items())
    total = sum(weights[name] * float(term) for name, term in terms.items())
    assert float(found["loss"]) == pytest.approx(total)
    labels = Objective(dict.fromkeys(PARTS, 0.0) | {"pseudo_label": 2.0})(A, B, n_paired=3)
    assert float(labels["loss"]) == pytest.approx(
        2 * float(pseudo_label_loss(A[3:], A[:3], B[:3]))
    )
    # Without pairs, or without rows beside them, nobody gives or takes a label.
    both = dict.fromkeys(PARTS, 0.0) | {"sdd": 1.0, "pseudo_label": 2.0}
    for n_paired in (0, len(A)):
        assert set(Objective(both)(A, B, n_paired=n_paired)) == {"loss", "sdd"}


def test_gradients_are_those_of_the_losses_and_leave_pseudo_labels_alone():
    for loss in (
        density,
        sdd,
        lambda A, B: sdd(A, B, normalized=True),
        lambda A, B: self_supervised_contrastive_loss(A, B, 0.5),
    ):
        assert torch.autograd.gradcheck(loss, tensors(*clouds(4, 4, 3), gradient=True))
    Q, A, T = tensors(*clouds(4, 3), clouds(3, 3, seed=1)[0], gradient=True)
    plan = pseudo_label_plan(Q, A, 0.5)
    logs = (Q @ T.T / 0.5).log_softmax(dim=1)
    expected = torch.autograd.grad(-(plan * logs).sum() / 8, [Q, T])
    pseudo_label_loss(F.normalize(Q, dim=1), A, F.normalize(T, dim=1), 0.5).backward()
    assert A.grad is None
    assert torch.allclose(T.grad, expected[1] - T * (T * expected[1]).sum(1, keepdim=True))


@pytest.mark.parametrize("normalized", [False, True])
def test_distribution_losses_do_not_see_which_rows_are_partners(normalized):
    A, B = tensors(*clouds(20, 20))
    order = torch.from_numpy(np.random.default_rng(0).permutation(20))
    for loss in (mmd, lambda a, b: sdd(a, b, 0.5, normalized)):
        assert torch.allclose(loss(A, B), loss(A, B[order]), atol=1e-12)
        assert torch.allclose(loss(A, B), loss(B, A), atol=1e-12)
        assert float(loss(A, B)) > 0
        assert float(loss(A, A[order])) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("normalized", "growth"), [(False, 64), (True, 1)])
def test_sdd_as_coded_grows_with_the_square_of_the_batch_and_the_normalised_one_does_not(
    normalized, growth
):
    A, B = (torch.tensor(X).repeat(8, 1) for X in clouds(30, 30))
    # Repeating rows changes the unbiased variance a little.
    one, eight = (sdd(A[:n], B[:n], normalized=normalized) for n in (30, 240))
    assert float(eight / one) == pytest.approx(growth, rel=0.1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_losses_of_collapsed_or_distant_clouds_stay_finite(dtype):
    same = torch.ones(6, 3, dtype=dtype)
    spread = torch.eye(3, dtype=dtype).repeat(2, 1)
    for A, B in ((same, same.clone()), (spread, 100 + spread)):
        for normalized in (False, True):
            assert torch.isfinite(sdd(A, B, normalized=normalized))
        assert torch.isfinite(mmd(A, B, NINETEEN_BANDWIDTHS))
    to_itself = torch.exp(-torch.cdist(spread, spread).square()).mean()
    assert float(mmd(spread, 100 + spread)) == pytest.approx(2 * float(to_itself))


A_3, A_4, ONE = torch.ones(3, 2), torch.ones(3, 4), torch.ones(1, 2)


test_bad_input_is_refused_by_name = refused(
    [
        ("second has 4 features", lambda: density(A_3, A_4)),
        ("data has 1 points", lambda: density(A_3, ONE)),
        ("bandwidth", lambda: density(A_3, A_3, 0.0)),
        ("first has 1 points", lambda: sdd(ONE, A_3)),
        ("bandwidth", lambda: sdd(A_3, A_3, 0.0)),
        ("view_2 has shape", lambda: self_supervised_contrastive_loss(A_3, ONE)),
        ("temperature", lambda: self_supervised_contrastive_loss(A_3, A_3, 0.0)),
        ("temperature", lambda: pseudo_label_plan(A_3, A_3, 0.0)),
        ("n_iter", lambda: pseudo_label_plan(A_3, A_3, 0.1, 0)),
        ("texts has shape", lambda: pseudo_label_loss(A_3, A_3, ONE)),
    ]
)
