"""CAE: its equations, its plans, what must not change it, what it refuses."""

import numpy as np
import pytest
from sklearn.base import clone
from support.semantic_transcription import (
    plain_counterpart,
    plain_fusion,
    plain_plan,
    toy,
    unit,
)

from mvlib.encoders import TextBank
from mvlib.methods import (
    CAE,
    CLIPKMeans,
    CounterpartQuantities,
    adaptive_fusion,
    counterpart,
    optimal_transport_plan,
    retrieve_top_k,
    semantic_centres,
    theorem_1_quantities,
)
from mvlib.methods.cae.equations import word_marginals
from mvlib.metrics import accuracy
from mvlib.ops import TransportError


def problem(seed=0, **settings):
    """Images, two kinds of words, and the classes."""
    images, words, names, y = toy(seed=seed, **settings)
    half = np.arange(len(words)) % 2 == 0
    texts = {
        kind: TextBank(
            tuple(name for name, here in zip(names, rows, strict=True) if here),
            words[rows].astype(np.float32),
        )
        for kind, rows in (("nouns", half), ("captions", ~half))
    }
    return images, texts, y


SETTINGS = {"top_k": 3, "epsilon": 0.05, "random_state": 0}


def test_retrieval_takes_the_nearest_words_of_every_centre_once():
    rng = np.random.default_rng(0)
    centres, words = rng.normal(size=(5, 8)), 3 * rng.normal(size=(40, 8))
    kept, counts = retrieve_top_k(centres, words, 6)
    expected = [
        j for c in centres
        for j in sorted(range(40), key=lambda j, c=c: -float(unit(c) @ unit(words[j])))[:6]
    ]  # fmt: skip
    assert kept.tolist() == sorted(set(expected))
    assert counts.tolist() == [expected.count(j) for j in kept]


@pytest.mark.parametrize("epsilon", [0.02, 0.3])
def test_the_plan_equals_the_slow_transcription_and_has_its_marginals(epsilon):
    images, words, _, _ = toy(n_per_class=5, others=6)
    found = optimal_transport_plan(images, 5 * words, epsilon=epsilon, max_iter=5000)
    expected = plain_plan(images, words, epsilon)
    assert np.allclose(found.plan, expected, atol=1e-2 * expected.max())
    assert np.allclose(found.plan.sum(axis=1), 1 / 20, atol=1e-4)
    assert np.allclose(found.plan.sum(axis=0), 1 / 30, atol=1e-4)


def test_the_plan_takes_marginals_of_words_and_images():
    images, words, _, _ = toy(n_per_class=5, others=6)
    rng = np.random.default_rng(1)
    a, b = rng.dirichlet(np.full(20, 5.0)), rng.dirichlet(np.full(30, 5.0))
    found = optimal_transport_plan(
        images, words, row_marginals=a, column_marginals=b, epsilon=0.2
    )
    assert np.allclose(found.plan.sum(axis=1), a, atol=1e-4)
    assert np.allclose(found.plan.sum(axis=0), b, atol=1e-4)
    columns = optimal_transport_plan(images, words, column_marginals=b, epsilon=0.2)
    assert np.allclose(columns.plan, plain_plan(images, words, 0.2, b=b), atol=1e-5)


def test_at_one_epsilon_the_two_costs_give_different_plans():
    images, words, _, _ = toy(n_per_class=5, others=6)
    plans = [
        optimal_transport_plan(images, words, cost=cost, epsilon=0.1).plan
        for cost in ("cosine", "euclidean")
    ]
    assert np.abs(plans[0] - plans[1]).max() > 1e-4


def test_the_counterpart_equals_the_slow_transcription():
    images, words, _, _ = toy(n_per_class=4, others=6)
    plan = np.random.default_rng(2).dirichlet(np.ones(30), size=16) / 16
    for similarity in (True, False):
        expected = plain_counterpart(images, words, plan, similarity)
        found = counterpart(images, words, plan, similarity=similarity, normalize=False)
        assert np.allclose(found, expected, atol=1e-5)
        told = counterpart(images, words, plan, similarity=similarity)
        assert np.allclose(told, [unit(row) for row in expected], atol=1e-4)


def test_doubled_words_share_their_mass_and_leave_the_counterpart():
    images, words, _, _ = toy(n_per_class=5, others=6)
    twice = np.vstack([words, words])
    plan = optimal_transport_plan(images, words, epsilon=0.05).plan
    doubled = optimal_transport_plan(images, twice, epsilon=0.05).plan
    assert np.allclose(doubled[:, :30], doubled[:, 30:], atol=1e-6)
    told = counterpart(images, words, plan)
    assert np.allclose(counterpart(images, twice, doubled), told, atol=1e-3)


def test_a_plan_that_is_none_and_texts_without_words_are_refused(fitted):
    for plan, message in (
        (np.ones((4, 3)), r"plan has shape \(4, 3\): expected \(4, 4\)"),
        (np.zeros((4, 4)), "an empty row"),
        (np.full((4, 4), np.nan), "plan holds NaN"),
        (-np.ones((4, 4)), "negative mass"),
    ):
        with pytest.raises(ValueError, match=message):
            counterpart(np.eye(4), np.eye(4), plan)
    for texts, message in (
        (np.eye(24), "texts is of type ndarray: expected a mapping"),
        ({}, r"texts holds \[\]"),
        ({"noun": np.eye(24)}, "Did you mean 'nouns'"),
        ({"nouns": []}, r"texts\['nouns'\] is empty"),
        ({"nouns": ["cat"]}, r"texts\['nouns'\] holds strings and there is no encoder"),
        ({"captions": np.full((9, 24), np.nan)}, r"texts\['captions'\] holds NaN"),
    ):
        with pytest.raises(ValueError, match=message):
            clone(fitted[0]).fit(fitted[1], texts)
    with pytest.raises(ValueError, match="row_marginals"):
        clone(fitted[0]).set_params(row_marginals=np.ones(3)).fit(*fitted[1:3])


@pytest.mark.parametrize(
    "fusion", ["adaptive", "adaptive-concatenation", "sum", "concatenation"]
)
def test_the_fusion_equals_the_slow_transcription(fusion):
    rng = np.random.default_rng(3)
    modalities = [length * rng.normal(size=(9, 5)) for length in (1, 7, 0.2)]
    expected = plain_fusion(
        modalities, 0.05, fusion.startswith("adaptive"), fusion.endswith("concatenation")
    )
    fused, weights = adaptive_fusion(modalities[0], modalities[1:], gamma=0.05, fusion=fusion)
    assert np.allclose(fused, expected[0], atol=1e-4)
    assert np.allclose(weights, expected[1], atol=1e-4)
    assert np.allclose(weights.sum(axis=1), 1, atol=1e-6)
    assert fused.shape == (9, 15 if fusion.endswith("concatenation") else 5)


def test_gamma_goes_from_the_modality_nearest_the_prototype_to_their_mean():
    rng = np.random.default_rng(4)
    modalities = [rng.normal(size=(9, 5)) for _ in range(3)]
    _, sharp = adaptive_fusion(modalities[0], modalities[1:], gamma=1e-5)
    assert np.allclose(sharp.max(axis=1), 1)
    soft, weights = adaptive_fusion(modalities[0], modalities[1:], gamma=1e4)
    assert np.allclose(weights, 1 / 3, atol=1e-4)
    mean, _ = adaptive_fusion(modalities[0], modalities[1:], fusion="sum")
    assert np.allclose(soft, mean, atol=1e-3)


def test_with_one_counterpart_the_adaptive_weights_are_equal():
    rng = np.random.default_rng(5)
    _, weights = adaptive_fusion(rng.normal(size=(50, 6)), [rng.normal(size=(50, 6))])
    assert np.allclose(weights, 0.5, atol=1e-3)


def test_clean_words_lift_cae_above_k_means_of_noisy_images():
    gains = []
    for seed in range(3):
        images, texts, y = problem(
            seed, n_per_class=50, n_classes=5, d=96, noise=0.4, others=40
        )
        plain = accuracy(y, CLIPKMeans(5, random_state=seed).fit_predict(images))
        model = CAE(5, top_k=2, epsilon=0.05, random_state=seed)
        gains.append(accuracy(y, model.fit_predict(images, texts)) - plain)
    assert np.mean(gains) > 0.05


@pytest.fixture(scope="module")
def fitted():
    images, texts, y = problem()
    return CAE(4, **SETTINGS).fit(images, texts), images, texts, y


def test_cae_keeps_what_it_did_for_the_reader(fitted):
    model, images, texts, _ = fitted
    history = model.history_
    assert history["n_centers"] == 12
    assert set(history["kept"]) == set(model.counterparts_) == {"nouns", "captions"}
    assert max(history["row_error"].values()) < 0.02
    assert max(history["column_error"].values()) < 0.02
    assert history["weights"].shape == (len(images), 3)
    assert np.allclose(history["weights"].sum(axis=1), 1, atol=1e-5)
    fused, _ = adaptive_fusion(images, list(model.counterparts_.values()))
    assert np.allclose(model.embedding_, fused, atol=1e-6)
    kept = texts["nouns"].features[history["kept"]["nouns"]]
    plan = optimal_transport_plan(images, kept, epsilon=0.05).plan
    told = counterpart(images, kept, plan)
    assert np.allclose(model.counterparts_["nouns"], told, atol=1e-4)


def test_every_setting_clusters_easy_data(fitted):
    model, images, texts, y = fitted
    for change in (
        {"space": "nouns"}, {"space": "captions"}, {"counterpart": "softmax"},
        {"cost": "euclidean"}, {"column_marginals": "retrieval"},
        {"column_marginals": "softmax", "temperature": 0.05}, {"fusion": "sum"},
        {"fusion": "concatenation"}, {"fusion": "adaptive-concatenation"},
        {"row_marginals": np.full(len(images), 1 / len(images))},
    ):  # fmt: skip
        other = clone(model).set_params(n_init=3, **change).fit(images, texts)
        assert accuracy(y, other.labels_) > 0.95, change


def test_cae_hands_its_settings_of_the_transport_on(fitted):
    model, images, texts, _ = fitted
    bank = texts["nouns"].features
    mass = np.random.default_rng(8).dirichlet(np.full(len(images), 9.0))
    other = clone(model).set_params(
        space="nouns", row_marginals=mass, column_marginals="retrieval", cost="euclidean"
    )
    other.fit(images, texts)
    centres = semantic_centres(images, 12, random_state=0)
    kept, counts = retrieve_top_k(centres, bank, 3)
    assert len(np.unique(counts)) > 1
    plan = optimal_transport_plan(
        images,
        bank[kept],
        row_marginals=mass,
        column_marginals=counts / counts.sum(),
        cost="euclidean",
        epsilon=0.05,
    ).plan
    told = counterpart(images, bank[kept], plan)
    assert np.allclose(other.counterparts_["nouns"], told, atol=1e-4)


def test_one_space_may_be_missing_and_is_then_not_named(fitted):
    model, images, texts, _ = fitted
    only = clone(model).fit(images, {"nouns": texts["nouns"]})
    asked = clone(model).set_params(space="nouns").fit(images, texts)
    assert np.array_equal(only.labels_, asked.labels_)
    assert only.history_["weights"].shape == (len(images), 2)
    assert all(named["captions"] == [] for named in only.cluster_names_)


def test_a_plan_that_misses_its_marginals_is_an_error_and_no_result(fitted):
    model, images, texts, _ = fitted
    with pytest.raises(TransportError):
        clone(model).set_params(epsilon=1e-3, max_iter=1).fit(images, texts)


def test_the_softmax_records_how_far_its_columns_are_from_those_asked_for(fitted):
    model, images, texts, _ = fitted
    told = clone(model).set_params(counterpart="softmax").fit(images, texts)
    kept = texts["nouns"].features[told.history_["kept"]["nouns"]]
    measured = theorem_1_quantities(images, kept, epsilon=0.05)["softmax"]
    assert told.history_["column_error"]["nouns"] == pytest.approx(measured.column_error)
    assert told.history_["column_error"]["nouns"] > 0.1


def test_the_semantic_error_is_that_of_the_columns_and_a_blind_plan_has_none():
    images, words, _, y = toy(n_per_class=10)
    targets = np.stack([words[6 * k : 6 * k + 6].mean(axis=0) for k in y])
    found = theorem_1_quantities(images, words, targets=targets, epsilon=0.05)
    soft, transport, blind = found["softmax"], found["transport"], found["blind"]
    assert blind.semantic_error < 1e-6
    for x, target, error in zip(images, targets, blind.target_errors, strict=True):
        even = unit(sum((unit(x) @ unit(u)) * unit(u) for u in words))
        assert error == pytest.approx(1 - even @ unit(target), abs=1e-5)
    for measured in (soft, transport, blind):
        assert measured.column_marginals.sum() == pytest.approx(1)
        error = np.abs(measured.column_marginals - 1 / len(words)).sum()
        assert measured.column_error == pytest.approx(error)
        assert measured.semantic_error <= measured.column_error + 1e-9
        assert isinstance(measured, CounterpartQuantities)
        apart = measured.column_marginals - 1 / len(words)
        apart = np.linalg.norm(apart @ np.stack([unit(u) for u in words]))
        assert measured.semantic_error == pytest.approx(apart, abs=1e-6)
    assert transport.semantic_error < 0.01 < soft.semantic_error
    mean = np.mean([unit(u) for u in words], axis=0)
    told = np.mean(
        [sum(p * unit(u) for p, u in zip(row, words, strict=True)) for row in
         plain_softmax(images, words)], axis=0,
    )  # fmt: skip
    assert soft.semantic_error == pytest.approx(np.linalg.norm(told - mean), abs=1e-4)


@pytest.mark.parametrize(
    ("shares", "lean", "holds"), [((10, 10), 1, True), ((18, 2), 3, False)]
)
def test_the_reading_of_each_image_holds_where_a_hub_takes_all_and_fails_where_words_are_uneven(
    shares, lean, holds
):
    # A hub near to all images has its share bounded by the plan; a rare word is forced on some.
    hub = np.array([1.0, 1, 2])
    own = np.eye(3)[:2]
    targets = np.repeat(own, shares, axis=0)
    images = lean * targets + hub
    found = theorem_1_quantities(
        images, np.vstack([own, hub]), targets=targets, temperature=0.05, epsilon=0.05
    )
    no_worse = found["transport"].target_errors <= found["softmax"].target_errors
    assert no_worse.all() == holds
    for kind in ("transport", "blind"):
        assert found[kind].semantic_error < 1e-4 < found["softmax"].semantic_error


def plain_softmax(X, words, temperature=0.005):
    logits = np.array([[unit(x) @ unit(u) for u in words] for x in X]) / temperature
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def test_target_errors_are_the_images_cosine_distances_to_their_targets():
    images, words, _, _ = toy(n_per_class=5)
    targets = np.random.default_rng(7).normal(size=images.shape)
    found = theorem_1_quantities(images, words, targets=targets, temperature=0.1)["softmax"]
    told = [unit(sum(p * unit(u) for p, u in zip(row, words, strict=True)))
            for row in plain_softmax(images, words, 0.1)]  # fmt: skip
    expected = [1 - t @ unit(v) for t, v in zip(told, targets, strict=True)]
    assert found.target_errors == pytest.approx(expected, abs=1e-5)
    assert found.target_error == pytest.approx(np.mean(expected), abs=1e-5)
    with pytest.raises(ValueError, match=r"targets has shape \(3, 24\)"):
        theorem_1_quantities(images, words, targets=targets[:3])


def test_the_marginals_of_the_words_sum_to_one_and_none_is_empty():
    images, words, _, _ = toy(n_per_class=5)
    counts = np.arange(1, len(words) + 1)
    for kind in ("uniform", "retrieval", "softmax"):
        mass = word_marginals(kind, images, words, counts, 0.005)
        assert mass.sum() == pytest.approx(1)
        assert mass.min() > 0
    assert np.allclose(word_marginals("retrieval", images, words, counts, 1) / counts,
                       1 / counts.sum())  # fmt: skip
