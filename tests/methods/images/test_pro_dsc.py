"""PRO-DSC: its graph, its two terms, its clusters, what it refuses."""

import numpy as np
import pytest
import scipy.sparse.csgraph
import torch
from refusals import refusing
from support.coding import SMALL, drawn, plain_rate, plain_sinkhorn, planted

from mvlib.methods import PRODSC
from mvlib.methods.images import pro_dsc
from mvlib.methods.images.pro_dsc import affinity, block_loss, expression_loss, total_loss
from mvlib.metrics import accuracy
from mvlib.ops import unit_rows


def plain_affinity(C, eta, half_steps):
    Pi, _ = plain_sinkhorn(C, eta, half_steps)
    for i in range(len(C)):
        Pi[i, i] = 0
    return (Pi + Pi.T) / 2


def plain_expression(Z, C, A):
    """Half of the mean square of z_i - sum_j s_ij a_ij z_j."""
    total = 0.0
    for i in range(len(Z)):
        made = sum(np.sign(C[i] @ C[j]) * A[i, j] * Z[j] for j in range(len(Z)))
        total += sum((Z[i] - made) ** 2) / 2
    return total / len(Z)


def plain_blocks(A, k):
    L = np.diag([sum(row) for row in A]) - A
    return sum(np.sort(np.linalg.eigvalsh(L))[:k]) / len(A)


@pytest.mark.parametrize("half_steps", [1, 5])
def test_the_total_equals_its_slow_transcription(half_steps):
    Z, C = drawn(), drawn(seed=1)
    z, c = Z.detach().numpy(), C.detach().numpy()
    given = {"eta": 0.3, "half_steps": half_steps, "epsilon": 0.2, "gamma": 7.0, "beta": 5.0}
    found = {name: part.item() for name, part in total_loss(Z, C, 3, **given).items()}
    A = plain_affinity(c, 0.3, half_steps)
    assert np.allclose(affinity(C, 0.3, half_steps).detach(), A)
    rate, expression, blocks = plain_rate(z, 0.2), plain_expression(z, c, A), plain_blocks(A, 3)
    assert found["rate"] == pytest.approx(rate)
    assert found["expression"] == pytest.approx(expression)
    assert found["blocks"] == pytest.approx(blocks)
    assert found["loss"] == pytest.approx(-rate + 7 * expression + 5 * blocks)


def test_the_gradient_is_that_of_the_smallest_eigenvalues_and_of_no_sign():
    few = drawn(6, 3), drawn(6, 3, seed=1)
    assert torch.autograd.gradcheck(lambda a, b: total_loss(a, b, 2)["loss"], few)


def test_one_half_step_is_a_softmax_whose_diagonal_holds_the_most_of_loose_codes():
    C = drawn(40, 30).detach()
    A = affinity(C, 0.1, 1)
    soft = torch.softmax((C @ C.T).abs() / 0.1, dim=1)
    assert soft.diagonal().mean() > 0.9
    soft.fill_diagonal_(0)
    assert np.allclose(A, (soft + soft.T) / 2)
    assert (A.diagonal() == 0).all()
    assert torch.equal(A, A.T)


def test_the_blocks_cost_nothing_only_where_the_graph_has_so_many_pieces():
    whole = torch.ones(4, 4, dtype=torch.float64)
    A = torch.block_diag(whole, whole, whole)
    assert block_loss(A, 3).item() == pytest.approx(0, abs=1e-12)
    assert block_loss(A, 4).item() == pytest.approx(4 / 12)
    A[0, 11] = A[11, 0] = 0.5
    assert block_loss(A, 3).item() > 0.01
    assert block_loss(A, 2).item() == pytest.approx(0, abs=1e-12)
    assert block_loss(A, 12).item() == pytest.approx((A.sum() - A.diagonal().sum()).item() / 12)


def test_an_image_is_expressed_by_its_copy_whatever_the_sign():
    z = drawn(4, 3).detach()
    Z, A = torch.cat([z, -z]), torch.kron(torch.ones(2, 2) - torch.eye(2), torch.eye(4))
    assert expression_loss(Z, Z, A.double()).item() == pytest.approx(0, abs=1e-12)
    assert expression_loss(Z, Z, torch.zeros(8, 8)).item() == pytest.approx(0.5)


def test_clusters_are_cut_from_absolute_cosines_without_sinkhorn():
    X, _ = planted(12)
    model = PRODSC(3, **SMALL).fit(X)
    C = model.embeddings_[1].astype(np.float64)
    # The code's call: this Laplacian drops the diagonal before it takes the degrees.
    laplacian = scipy.sparse.csgraph.laplacian(np.abs(C @ C.T), normed=True)
    rows = unit_rows(np.linalg.eigh(laplacian)[1][:, :3])
    assert np.allclose(rows @ rows.T, model.embedding_ @ model.embedding_.T, atol=1e-3)


def test_training_reads_the_number_of_clusters_and_finds_planted_ones(monkeypatch):
    asked = []

    def kept(A, n_clusters):
        asked.append((len(A), n_clusters))
        return block_loss(A, n_clusters)

    monkeypatch.setattr(pro_dsc, "block_loss", kept)
    X, y = planted()
    model = PRODSC(3, **SMALL | {"training_steps": 40}).fit(X)
    assert asked == [(20, 3)] * (40 - 3)
    assert accuracy(y, model.labels_) > 0.9
    history = {name: values[3:] for name, values in model.history_.items()}
    total = -history["rate"] + 300 * history["expression"] + 600 * history["blocks"]
    assert np.allclose(history["loss"], total, rtol=1e-4)
    assert history["loss"][-1] < history["loss"][0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_clusters": 21}, "n_clusters=21 are more than batch_size=20"),
        ({"gamma": -1.0}, "gamma"),
        ({"beta": -1.0}, "beta"),
        ({"half_steps": 2}, "half_steps=2: expected an odd number"),
    ],
)
def test_what_it_cannot_take_is_named(change, message):
    with refusing(message):
        PRODSC(**{"n_clusters": 3} | SMALL | change).fit(planted()[0])
