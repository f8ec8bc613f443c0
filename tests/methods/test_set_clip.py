"""SetCLIP as an estimator: the run it does, its batches, what it must not see and refuses."""

from functools import partial

import numpy as np
import pytest
import torch
from refusals import out_of_range, refused
from torch import nn

from mvlib import SetCLIP
from mvlib.methods.set_clip import Objective
from mvlib.methods.set_clip.batches import Batches
from mvlib.methods.set_clip.network import Branch, ProjectionHead
from mvlib.metrics import accuracy, retrieval_scores

SMALL = {
    "embedding_dim": 16, "n_epochs": 3, "batch_size": 16, "random_state": 0, "device": "cpu",
}  # fmt: skip
PARTS = ("contrast_1", "contrast_2", "sdd", "mmd", "clip", "pseudo_label")


def problem(n=64, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    latent = 3 * rng.normal(size=(3, 4))[y] + rng.normal(size=(n, 4))
    return [latent @ rng.normal(size=(4, d)) for d in (7, 5)], y


VIEWS, Y = problem()


@pytest.fixture
def views():
    return [X.copy() for X in VIEWS]


def some(n, n_pairs):
    return np.arange(n) < n_pairs


def test_pairs_teach_to_retrieve_rows_that_were_not_paired(views):
    settings = SMALL | {"n_epochs": 30, "dropout": 0.0}
    model = SetCLIP(**settings).fit(views, paired=some(64, 48))
    scores = retrieval_scores(*model.transform([X[48:] for X in views]))
    assert scores["first_to_second"]["r@1"] > 4 / 16
    assert model.history_["clip"][-1] < model.history_["clip"][0] / 2


def test_fit_predict_finds_clusters_of_rows_of_both_modalities(views):
    model = SetCLIP(3, **SMALL | {"n_epochs": 20})
    assert accuracy(Y, model.fit_predict(views, paired=some(64, 32))) > 0.8
    assert [len(part) for part in model.labels_by_modality_] == [64, 64]
    assert accuracy(Y, model.labels_by_modality_[1]) > 0.8


def test_history_holds_each_loss_and_nothing_for_those_without_weight_or_pairs(views):
    history = SetCLIP(**SMALL).fit(views).history_
    assert set(history) == {"loss", "learning_rate", *PARTS}
    assert all(len(values) == 3 for values in history.values())
    assert all(np.isfinite(history[part]).all() for part in PARTS[:4])
    assert np.isnan(history["clip"]).all()
    weights = {"contrast_1": 0.1, "contrast_2": 0.1, "sdd": 0.6, "mmd": 0.1}
    total = sum(weight * history[part] for part, weight in weights.items())
    assert history["loss"] == pytest.approx(total, rel=1e-5)
    floor = SetCLIP.clip_only(**SMALL).fit(views, paired=some(64, 8)).history_
    assert np.allclose(floor["loss"], floor["clip"])
    assert np.isnan(floor["sdd"]).all()
    captions = SetCLIP.s_clip(**SMALL).fit(views, paired=some(64, 8)).history_
    assert captions["loss"] == pytest.approx(captions["clip"] + captions["pseudo_label"])


def test_independent_fit_does_not_depend_on_which_row_numbers_partners_have(views, monkeypatch):
    known = some(64, 16)
    model = SetCLIP(3, **SMALL).fit(views, paired=known)
    order = np.concatenate([np.arange(16), 16 + np.random.default_rng(5).permutation(48)])
    # Rows of modality 2 get new numbers, and each batch holds the same rows as before.
    whereabouts, draw = torch.from_numpy(np.argsort(order)), Batches.draw
    monkeypatch.setattr(
        Batches, "draw", lambda *given: [(a, whereabouts[b]) for a, b in draw(*given)]
    )
    moved = SetCLIP(3, **SMALL).fit([views[0], views[1][order]], paired=known)
    assert np.allclose(moved.history_["loss"], model.history_["loss"], atol=1e-5)
    assert np.allclose(moved.embeddings_[0], model.embeddings_[0], atol=1e-4)
    assert np.allclose(moved.embeddings_[1], model.embeddings_[1][order], atol=1e-4)


def test_loss_of_a_batch_does_not_see_the_order_of_rows_without_a_partner(views):
    model = SetCLIP(**SMALL, augmentation="none")
    Xs = [torch.tensor(X, dtype=torch.float32) for X in views]
    torch.manual_seed(0)
    branches = model._branches(Xs).eval()
    first, second = torch.arange(16), torch.arange(20, 36)
    losses = [
        model._losses(branches, Xs, (first, rows), model._objective(), 0, torch.Generator())
        for rows in (second, second.flip(0), second + 1)
    ]
    for part in PARTS[:4]:
        assert torch.allclose(losses[0][part], losses[1][part], rtol=1e-4, atol=1e-6)
    assert not torch.allclose(losses[0]["sdd"], losses[2]["sdd"], rtol=1e-4)


def test_same_instances_sees_the_partners_that_independent_draws_do_not(views):
    """Sets that are each other's own fit better than sets that are drawn apart."""
    weights = {"sdd": 1.0, "mmd": 1.0}
    settings = SMALL | {"weights": weights, "n_epochs": 15, "normalized_density": True}
    last = {
        sampling: SetCLIP(**settings, sampling=sampling).fit(views).history_["loss"][-1]
        for sampling in ("independent", "same_instances")
    }
    assert last["same_instances"] < last["independent"]


def test_a_step_on_1024_rows_keeps_less_than_a_gigabyte_for_its_gradient():
    rng = np.random.default_rng(0)
    Xs = [torch.from_numpy(rng.normal(size=(1024, d)).astype(np.float32)) for d in (64, 32)]
    model = SetCLIP(batch_size=1024, mmd_bandwidths="nineteen", device="cpu", random_state=0)
    branches = model._branches(Xs).train()
    batch = torch.arange(1024), torch.arange(1024)
    kept = {}

    def note(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        losses = model._losses(branches, Xs, batch, model._objective(), 400, torch.Generator())
        losses["loss"].backward()
    assert sum(kept.values()) < 500e6


def test_no_reshuffle_repeats_the_batches_of_the_first_epoch(views, monkeypatch):
    calls = []
    draw = Batches.draw
    monkeypatch.setattr(Batches, "draw", lambda *a: calls.append(0) or draw(*a))
    SetCLIP(**SMALL, reshuffle=False).fit(views)
    SetCLIP(**SMALL).fit(views)
    assert len(calls) == 1 + 3


def test_modalities_may_differ_in_length_and_be_paired_by_row_numbers(views):
    first, second = views[0], views[1][20:]
    pairs = np.stack([np.arange(20, 64), np.arange(44)], axis=1)
    settings = SMALL | {"n_epochs": 30, "dropout": 0.0}
    model = SetCLIP(**settings).fit([first, second], pairs=pairs)
    assert [len(Z) for Z in model.embeddings_] == [64, 44]
    rows, cosines = model.retrieve(first[20:], second, k=5)
    assert (rows == np.arange(44)[:, None]).any(axis=1).mean() > 0.5
    assert (np.diff(cosines, axis=1) <= 0).all()
    back, _ = model.retrieve(second, first, k=64, modality=1)
    assert np.array_equal(np.sort(back), np.tile(np.arange(64), (44, 1)))
    only, none = model.transform([first[:3], None])
    assert none is None
    assert np.allclose(only, model.embedding_[:3], atol=1e-5)
    assert np.allclose(np.linalg.norm(only, axis=1), 1, atol=1e-5)


def test_frozen_features_may_come_at_any_origin_and_scale(views):
    moved = [100 * views[0] + 7, views[1] / 50 - 3]
    models = [SetCLIP(**SMALL).fit(Xs, paired=some(64, 32)) for Xs in (views, moved)]
    for plain, same in zip(models[0].embeddings_, models[1].embeddings_, strict=True):
        assert np.allclose(plain, same, atol=1e-2)


def test_encoders_are_trained_on_raw_rows_and_the_callers_stay_as_they_were(views):
    torch.manual_seed(0)
    pixels = np.random.default_rng(0).normal(size=(64, 3, 4, 4))
    tokens = np.random.default_rng(1).integers(0, 30, (64, 6))
    encoders = (
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.BatchNorm1d(16)),
        nn.EmbeddingBag(30, 8),
    )
    before = [p.detach().clone() for encoder in encoders for p in encoder.parameters()]
    augmentation = (lambda X, generator: X.flip(-1), "none")
    settings = SMALL | {"encoders": encoders, "augmentation": augmentation}
    model = SetCLIP(**settings, encoder_learning_rate=1e-3).fit(
        [pixels, tokens], paired=some(64, 16)
    )
    after = [p for encoder in encoders for p in encoder.parameters()]
    trained = [p for branch in model.branches_ for p in branch.encoder.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(before, trained, strict=True))
    assert model.transform([pixels[:2], tokens[:2]])[1].shape == (2, 16)
    mixed = SetCLIP(**SMALL | {"encoders": (encoders[0], None)}).fit([pixels, views[1]])
    assert mixed.branches_[1].encoder is None
    with pytest.raises(ValueError, match="as fitted"):
        model.transform([pixels[:, :, :3], None])


@pytest.mark.parametrize("augmentation", ["dropout", "noise", "none"])
def test_second_views_differ_from_the_first_but_for_none(views, augmentation):
    X = torch.tensor(views[0], dtype=torch.float32)
    branch = Branch(None, X, "residual", 8, 0.1).eval()
    one, two = branch.two_views(X, augmentation, 0.3, torch.Generator())
    assert torch.allclose(one, branch(X), atol=1e-6)
    assert torch.allclose(one, two, atol=1e-6) == (augmentation == "none")


def test_head_is_the_authors_residual_block():
    torch.manual_seed(0)
    head = ProjectionHead(5, 4).eval()
    X = torch.randn(3, 5)
    projected = X @ head.projection.weight.T + head.projection.bias
    gelu = projected * (1 + torch.erf(projected / 2**0.5)) / 2
    hidden = projected + gelu @ head.layer.weight.T + head.layer.bias
    centred = hidden - hidden.mean(dim=1, keepdim=True)
    deviation = (hidden.var(dim=1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    assert torch.allclose(head(X), centred / deviation, atol=1e-5)


@pytest.mark.parametrize("plateau", ["epoch", "last_batch"])
def test_the_rate_falls_once_the_mean_of_an_epoch_or_as_coded_its_last_batch_stops_falling(
    views, monkeypatch, plateau
):
    settings = SMALL | {"n_epochs": 12, "learning_rate": 1e-6, "patience": 2}
    model = SetCLIP(**settings, factor=0.5, plateau=plateau).fit(views)
    rates = model.history_["learning_rate"]
    assert rates[0] == 1e-6
    assert rates[-1] <= 0.5e-6
    totals, stepped = [], []
    call, schedule = Objective.__call__, torch.optim.lr_scheduler.ReduceLROnPlateau
    step = schedule.step

    def recorded(self, *batch):
        losses = call(self, *batch)
        totals.append(losses["loss"].item())
        return losses

    monkeypatch.setattr(Objective, "__call__", recorded)
    monkeypatch.setattr(schedule, "step", lambda s, loss: stepped.append(loss) or step(s, loss))
    SetCLIP(**SMALL, plateau=plateau).fit(views)
    epochs = np.reshape(totals, (3, 4))
    expected = epochs[:, -1] if plateau == "last_batch" else epochs.mean(axis=1)
    assert stepped == pytest.approx(expected, rel=1e-6)


def test_paper_settings_are_the_authors_and_nobody_can_change_them_for_others():
    vit, resnet = SetCLIP.paper_settings("vit"), SetCLIP.paper_settings("resnet-34")
    assert list(vit["weights"].values()) == [0.1, 0.1, 0.6, 0.1, 1.0]
    assert list(resnet["weights"].values()) == [0.15, 0.15, 0.7, 0.2, 1.0]
    assert (vit["pairs_per_batch"], resnet["pairs_per_batch"]) == (21, 22)
    vit["weights"]["sdd"] = 0
    assert SetCLIP.paper_settings()["weights"]["sdd"] == 0.6
    SetCLIP(**resnet)


def fit_small(Xs=VIEWS, known=None, **changes):
    return SetCLIP(**SMALL | changes).fit(Xs, **known or {})


A, B = VIEWS
test_a_parameter_out_of_range_is_refused_by_name = out_of_range(
    fit_small,
    {
        "n_clusters": (200,), "sampling": ("independant",), "augmentation": ("drop",),
        "augmentation_strength": (1.0,), "batch_size": (3,), "n_epochs": (0,),
        "temperature": (0.0,), "density_bandwidth": (np.nan,), "mmd_bandwidths": ("many",),
        "factor": (0.0,), "plateau": ("last",),
    },
)  # fmt: skip
test_what_does_not_fit_is_refused_by_name = refused(
    [
        (message, partial(fit_small, **{name: value}))
        for message, name, value in (
            ("Did you mean 'sdd'", "weights", {"sd": 1.0}),
            (r"weights\['sdd'\]", "weights", {"sdd": -1.0}),
            ("none above 0", "weights", {}),
            ("expected a mapping", "weights", 3),
            ("Did you mean 'residual'", "heads", "residul"),
            ("heads has 3 entries", "heads", ("linear",) * 3),
            ("4 and 3 dimensions", "heads", (nn.Linear(7, 4), nn.Linear(5, 3))),
            ("encoders holds 'vit'", "encoders", "vit"),
            ("mmd_bandwidths is empty", "mmd_bandwidths", ()),
        )
    ]
    + [
        (message, partial(fit_small, Xs))
        for message, Xs in (
            ("Xs has 1 entries", [A]),
            ("two modalities", A),
            (r"Xs\[1\] holds nan", [A, np.full((64, 5), np.nan)]),
            (r"Xs\[1\] has shape", [A, B[:0]]),
        )
    ]
    + [
        (message, partial(fit_small, known=known))
        for message, known in (
            ("both given", {"paired": some(64, 64), "pairs": np.empty((0, 2), np.int64)}),
            ("paired has shape", {"paired": some(63, 63)}),
            ("expected rows 0 to 63", {"pairs": [[0, 64]]}),
            ("names a row twice", {"pairs": [[0, 1], [0, 2]]}),
            ("expected integers", {"pairs": [[0.0, 1.0]]}),
        )
    ]
    + [
        ("expected pairs", lambda: fit_small([A, B[:9]], {"paired": some(64, 64)})),
        ("n_clusters=None", lambda: SetCLIP(**SMALL).fit_predict(VIEWS)),
        ("pairs has no row and weights=", lambda: SetCLIP.clip_only(**SMALL).fit(VIEWS)),
        ("has width 5", lambda: fit_small(n_epochs=1).transform([B, None])),
        *(
            ("modality", lambda m=m: fit_small(n_epochs=1).retrieve(A, B, modality=m))
            for m in (-1, 2)
        ),
        ("Did you mean 'vit'", lambda: SetCLIP.paper_settings("vitt")),
        *(
            ("same_instances", partial(Batches, *given, 4, sampling="same_instances"))
            for given in (((10, 12), np.array([[0, 0]])), ((10, 10), np.array([[0, 1]])))
        ),
        *(
            (f"pairs has {n} rows", lambda n=n: Batches((100, 100), diagonal(n), 16, 16))
            for n in (0, 1)
        ),
    ]
)


def test_a_loss_that_is_not_finite_asks_for_a_lower_rate(views):
    with pytest.raises(FloatingPointError, match="lower learning_rate"):
        SetCLIP(**SMALL | {"learning_rate": 1e30}).fit(views)


def diagonal(n):
    return np.stack([np.arange(n)] * 2, axis=1)


def epoch(plan, seed=0):
    batches = plan.draw(torch.Generator().manual_seed(seed))
    return [tuple(rows.numpy() for rows in batch) for batch in batches]


def test_pairs_stand_in_front_in_their_share_and_every_row_is_seen():
    pairs = np.stack([np.arange(30), 119 - np.arange(30)], axis=1)
    plan = Batches((120, 120), pairs, 16)
    assert (plan.n_paired, plan.n_unpaired, plan.n_steps) == (4, (12, 12), 8)
    known = {tuple(pair) for pair in pairs}
    seen = [set(), set()]
    for first, second in epoch(plan):
        assert set(zip(first[:4], second[:4], strict=True)) <= known
        for v, rows in enumerate((first, second)):
            assert len(set(rows)) == 16
            assert not set(rows[4:]) & set(pairs[:, v])
            seen[v] |= set(rows)
    assert seen == [set(range(120))] * 2


def test_rows_without_a_partner_meet_their_own_only_by_accident():
    n, size = 400, 40
    plan = Batches((n, n), diagonal(0), size)
    shared = [
        len(set(first) & set(second)) for s in range(40) for first, second in epoch(plan, s)
    ]
    # Of 40 rows drawn from 400 a tenth are in the other draw by chance.
    assert np.mean(shared) == pytest.approx(size * size / n, rel=0.1)
    same = Batches((n, n), diagonal(0), size, sampling="same_instances")
    assert all(np.array_equal(first, second) for first, second in epoch(same))


@pytest.mark.parametrize(
    ("n_pairs", "asked", "expected"),
    [
        (0, None, (0, 16)), (1, None, (1, 15)), (3, None, (2, 14)), (50, None, (8, 8)),
        (100, None, (16, 0)), (0, 5, (0, 16)), (3, 5, (3, 13)), (50, 5, (5, 11)),
        (50, 16, (16, 0)), (3, 99, (3, 0)),
    ],
)  # fmt: skip
def test_a_batch_is_divided_between_pairs_and_others(n_pairs, asked, expected):
    plan = Batches((100, 100), diagonal(n_pairs), 16, asked)
    assert (plan.n_paired, plan.n_unpaired[0]) == expected
    assert all(len(first) == sum(expected) for first, _ in epoch(plan))


def test_a_short_modality_gives_what_it_has():
    plan = Batches((100, 9), diagonal(4), 16)
    assert (plan.n_paired, plan.n_unpaired) == (2, (14, 5))
    for first, second in epoch(plan):
        assert (len(set(first)), len(set(second))) == (16, 7)
