"""CAE: its equations, its plans, what must not change it, what it refuses."""

from functools import partial

import numpy as np
import pytest
from refusals import refused
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score
from support.semantic_transcription import (
    plain_counterpart,
    plain_fusion,
    plain_plan,
    softmax,
    toy,
    unit,
)

from mvlib.encoders import TextBank
from mvlib.methods import (
    CAE,
    CounterpartQuantities,
    adaptive_fusion,
    counterpart,
    optimal_transport_plan,
    retrieve_top_k,
    semantic_centres,
    theorem_1_quantities,
    words,
)
from mvlib.methods.cae.equations import transport_costs, word_marginals, word_potentials
from mvlib.metrics import accuracy
from mvlib.ops import TransportError


def problem(seed=0, **settings):
    """Images, two kinds of words, and the classes."""
    images, words, names, y = toy(seed=seed, **settings)
    texts = {
        kind: TextBank(tuple(names[first::2]), words[first::2].astype(np.float32))
        for first, kind in enumerate(("nouns", "captions"))
    }
    return images, texts, y


SETTINGS = {"top_k": 3, "epsilon": 0.05, "random_state": 0}
IMAGES, WORDS, _, _ = toy(n_per_class=5, others=6)


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
    found = optimal_transport_plan(IMAGES, 5 * WORDS, epsilon=epsilon, max_iter=5000)
    expected = plain_plan(IMAGES, WORDS, epsilon)
    assert np.allclose(found.plan, expected, atol=1e-2 * expected.max())
    rng = np.random.default_rng(1)
    a, b = rng.dirichlet(np.full(20, 5.0)), rng.dirichlet(np.full(30, 5.0))
    both = optimal_transport_plan(
        IMAGES, WORDS, row_marginals=a, column_marginals=b, epsilon=0.2
    )
    for plan, rows, columns in ((found.plan, 1 / 20, 1 / 30), (both.plan, a, b)):
        assert np.allclose(plan.sum(axis=1), rows, atol=1e-4)
        assert np.allclose(plan.sum(axis=0), columns, atol=1e-4)
    columns = optimal_transport_plan(IMAGES, WORDS, column_marginals=b, epsilon=0.2)
    assert np.allclose(columns.plan, plain_plan(IMAGES, WORDS, 0.2, b=b), atol=1e-5)
    plans = [
        optimal_transport_plan(IMAGES, WORDS, cost=cost, epsilon=0.1).plan
        for cost in ("cosine", "euclidean")
    ]
    assert np.abs(plans[0] - plans[1]).max() > 1e-4
    distances = [[np.linalg.norm(unit(x) - unit(word)) for word in WORDS] for x in IMAGES]
    assert np.allclose(transport_costs(IMAGES, WORDS, "euclidean"), distances, atol=1e-4)


def test_the_counterpart_equals_the_slow_transcription_and_does_not_see_doubled_words():
    plan = np.random.default_rng(2).dirichlet(np.ones(30), size=20) / 20
    for similarity in (True, False):
        expected = plain_counterpart(IMAGES, WORDS, plan, similarity)
        found = counterpart(IMAGES, WORDS, plan, similarity=similarity, normalize=False)
        assert np.allclose(found, expected, atol=1e-5)
        told = counterpart(IMAGES, WORDS, plan, similarity=similarity)
        assert np.allclose(told, [unit(row) for row in expected], atol=1e-4)
    twice = np.vstack([WORDS, WORDS])
    plan = optimal_transport_plan(IMAGES, WORDS, epsilon=0.05).plan
    doubled = optimal_transport_plan(IMAGES, twice, epsilon=0.05).plan
    assert np.allclose(doubled[:, :30], doubled[:, 30:], atol=1e-6)
    told = counterpart(IMAGES, WORDS, plan)
    assert np.allclose(counterpart(IMAGES, twice, doubled), told, atol=1e-3)


def fit_small(texts, **changes):
    return CAE(4, **SETTINGS | changes).fit(problem()[0], texts)


test_a_plan_that_is_none_and_texts_without_words_are_refused = refused(
    [
        (message, partial(counterpart, np.eye(4), np.eye(4), plan))
        for message, plan in (
            (r"plan has shape \(4, 3\): expected \(4, 4\)", np.ones((4, 3))),
            ("an empty row", np.zeros((4, 4))),
            ("plan holds NaN", np.full((4, 4), np.nan)),
            ("negative mass", -np.ones((4, 4))),
        )
    ]
    + [
        (message, partial(fit_small, texts))
        for message, texts in (
            ("texts is of type ndarray: expected a mapping", np.eye(24)),
            (r"texts holds \[\]", {}),
            ("Did you mean 'nouns'", {"noun": np.eye(24)}),
            (r"texts\['nouns'\] is empty", {"nouns": []}),
            (r"texts\['nouns'\] holds strings and there is no encoder", {"nouns": ["cat"]}),
            (r"texts\['captions'\] holds NaN", {"captions": np.full((9, 24), np.nan)}),
        )
    ]
    + [
        ("row_marginals", lambda: fit_small(problem()[1], row_marginals=np.ones(3))),
        (
            r"targets has shape \(3, 24\)",
            lambda: theorem_1_quantities(IMAGES, WORDS, targets=IMAGES[:3]),
        ),
    ]
)


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
    first, *others = rng.normal(size=(3, 9, 5))
    _, sharp = adaptive_fusion(first, others, gamma=1e-5)
    assert np.allclose(sharp.max(axis=1), 1)
    soft, weights = adaptive_fusion(first, others, gamma=1e4)
    assert np.allclose(weights, 1 / 3, atol=1e-4)
    mean, _ = adaptive_fusion(first, others, fusion="sum")
    assert np.allclose(soft, mean, atol=1e-3)
    # With one counterpart the adaptive weights are equal.
    _, weights = adaptive_fusion(rng.normal(size=(50, 6)), [rng.normal(size=(50, 6))])
    assert np.allclose(weights, 0.5, atol=1e-3)


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
    # The rows of the fit are new rows, too.
    np.testing.assert_allclose(model.transform(images), model.embedding_, atol=1e-5)
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
    settings = {"row_marginals": mass, "cost": "euclidean"}
    other = clone(model).set_params(space="nouns", column_marginals="retrieval", **settings)
    other.fit(images, texts)
    centres = semantic_centres(images, 12, random_state=0)
    kept, counts = retrieve_top_k(centres, bank, 3)
    assert len(np.unique(counts)) > 1
    settings |= {"column_marginals": counts / counts.sum(), "epsilon": 0.05}
    plan = optimal_transport_plan(images, bank[kept], **settings).plan
    told = counterpart(images, bank[kept], plan)
    assert np.allclose(other.counterparts_["nouns"], told, atol=1e-4)


def test_beyond_many_images_starts_compete_on_some_and_the_clusters_stay(monkeypatch):
    images, texts, y = problem(n_per_class=60)
    model = CAE(len(set(y)), **SETTINGS).fit(images, texts)
    sizes, kmeans = [], words.spherical_kmeans
    monkeypatch.setattr("mvlib.methods.cae.estimator.MANY", 50)
    monkeypatch.setattr(
        words, "spherical_kmeans", lambda X, *a, **k: sizes.append(len(X)) or kmeans(X, *a, **k)
    )
    many = clone(model).fit(images, texts)
    assert sizes == [50]
    assert len(many.labels_) == len(images)
    assert adjusted_rand_score(model.labels_, many.labels_) > 0.95
    iterations = [m.history_["transport_iterations"]["nouns"] for m in (many, model)]
    assert iterations[0] < iterations[1]


def test_one_space_may_be_missing_and_is_then_not_named(fitted):
    model, images, texts, _ = fitted
    only = clone(model).fit(images, {"nouns": texts["nouns"]})
    asked = clone(model).set_params(space="nouns").fit(images, texts)
    assert np.array_equal(only.labels_, asked.labels_)
    assert only.history_["weights"].shape == (len(images), 2)
    assert all(named["captions"] == [] for named in only.cluster_names_)


def test_a_plan_that_misses_its_marginals_is_an_error_and_the_softmax_says_by_how_much(fitted):
    model, images, texts, _ = fitted
    with pytest.raises(TransportError):
        clone(model).set_params(epsilon=1e-3, max_iter=1).fit(images, texts)
    told = clone(model).set_params(counterpart="softmax").fit(images, texts)
    kept = texts["nouns"].features[told.history_["kept"]["nouns"]]
    measured = theorem_1_quantities(images, kept, epsilon=0.05)["softmax"]
    assert told.history_["column_error"]["nouns"] == pytest.approx(measured.column_error)
    assert told.history_["column_error"]["nouns"] > 0.1


def plain_softmax(X, words, temperature=0.005):
    logits = np.array([[unit(x) @ unit(u) for u in words] for x in X]) / temperature
    return np.array([softmax(row) for row in logits])


def test_the_semantic_error_is_that_of_the_columns_and_a_blind_plan_has_none():
    images, words, _, y = toy(n_per_class=10)
    units = np.array([unit(u) for u in words])
    targets = np.stack([words[6 * k : 6 * k + 6].mean(axis=0) for k in y])
    found = theorem_1_quantities(images, words, targets=targets, epsilon=0.05)
    soft, transport, blind = found["softmax"], found["transport"], found["blind"]
    assert blind.semantic_error < 1e-6
    for x, target, error in zip(images, targets, blind.target_errors, strict=True):
        even = unit(sum((unit(x) @ u) * u for u in units))
        assert error == pytest.approx(1 - even @ unit(target), abs=1e-5)
    for measured in (soft, transport, blind):
        assert isinstance(measured, CounterpartQuantities)
        assert measured.column_marginals.sum() == pytest.approx(1)
        apart = measured.column_marginals - 1 / len(words)
        assert measured.column_error == pytest.approx(np.abs(apart).sum())
        assert measured.semantic_error <= measured.column_error + 1e-9
        apart = np.linalg.norm(apart @ units)
        assert measured.semantic_error == pytest.approx(apart, abs=1e-6)
    assert transport.semantic_error < 0.01 < soft.semantic_error
    told = plain_softmax(images, words) @ units
    apart = np.linalg.norm(told.mean(axis=0) - units.mean(axis=0))
    assert soft.semantic_error == pytest.approx(apart, abs=1e-4)
    # Errors of images are their cosine distances to their targets, whatever those are.
    targets = np.random.default_rng(7).normal(size=images.shape)
    found = theorem_1_quantities(images, words, targets=targets, temperature=0.1)["softmax"]
    told = plain_softmax(images, words, 0.1) @ units
    expected = [1 - unit(t) @ unit(v) for t, v in zip(told, targets, strict=True)]
    assert found.target_errors == pytest.approx(expected, abs=1e-5)
    assert found.target_error == pytest.approx(np.mean(expected), abs=1e-5)


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


def test_the_marginals_of_the_words_sum_to_one_and_none_is_empty():
    images, words, _, _ = toy(n_per_class=5)
    counts = np.arange(1, len(words) + 1)
    for kind in ("uniform", "retrieval", "softmax"):
        mass = word_marginals(kind, images, words, counts, 0.005)
        assert mass.sum() == pytest.approx(1)
        assert mass.min() > 0
    assert np.allclose(word_marginals("retrieval", images, words, counts, 1) / counts,
                       1 / counts.sum())  # fmt: skip


def test_potentials_of_words_are_told_from_the_entries_that_float32_still_holds():
    rng = np.random.default_rng(3)
    f, g = rng.normal(size=30), rng.normal(size=6)
    costs = rng.uniform(size=(30, 6))
    plan = np.exp(f[:, None] + g - costs / 0.1)
    plan[::4, 2] = 1e-40
    plan[:, 5] = 0.0
    found = word_potentials(plan, costs, 0.1)
    # A constant may go from the rows' half to the words'; a word without mass gets none.
    assert np.ptp((found - g)[:5]) < 1e-6
    assert found[5] == -np.inf
