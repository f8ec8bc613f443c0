"""One training under every protocol: what is matched with what, and what is scored."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from problem_stand_ins import views_problem

from mvlib import MvCLN
from mvlib.data import hide_views
from mvlib.metrics import accuracy
from mvlib.tasks.protocols import (
    BASE,
    CHOICES,
    MATCHING,
    NONE,
    Protocol,
    accuracies,
    embeddings_by_view,
    matching,
    rescore,
)

problem = pytest.fixture(scope="module")(lambda: views_problem())


def truth(problem, noise=0.0):
    """Return embeddings by which every row is nearest to its own partner."""
    first = np.random.default_rng(0).normal(size=(len(problem.y), 3))
    original = np.empty_like(first)
    original[problem.permutations[0]] = first
    second = original[problem.permutations[1]]
    return [first, second + noise * np.random.default_rng(1).normal(size=second.shape)]


def slow_matching(Z1, Z2, rule):
    """Go through the rows in order, each taking the nearest: of all rows, or of those free."""
    free, matched = list(range(len(Z1))), []
    for i in range(len(Z1)):
        candidates = free if rule == "greedy" else range(len(Z1))
        j = min(candidates, key=lambda j, i=i: np.linalg.norm(Z1[i] - Z2[j]))
        matched.append(j)
        if rule == "greedy":
            free.remove(j)
    return np.array(matched)


@pytest.mark.parametrize("rule", ["greedy", "nearest"])
def test_rows_are_matched_as_a_loop_over_a_batch_does(problem, rule):
    Zs = truth(problem, noise=2.0)
    protocol = replace(BASE, rematch=rule, batch_size=50)
    found = matching(Zs, problem.aligned, protocol, seed=3)
    order = np.random.default_rng(3).permutation(len(problem.y))
    for begin in range(0, len(order), 50):
        rows = order[begin : begin + 50]
        expected = rows[slow_matching(Zs[0][rows], Zs[1][rows], rule)]
        np.testing.assert_array_equal(found[rows], expected)


@pytest.mark.parametrize("rule", ["greedy", "nearest", "hungarian"])
def test_among_all_rows_exact_embeddings_find_every_true_partner(problem, rule):
    found = matching(truth(problem), problem.aligned, Protocol(rematch=rule), seed=0)
    np.testing.assert_array_equal(problem.permutations[1][found], problem.permutations[0])


def test_the_least_sum_is_no_worse_than_any_other_matching(problem):
    Zs = truth(problem, noise=2.0)

    def cost(rule):
        found = matching(Zs, problem.aligned, Protocol(rematch=rule), seed=0)
        return np.linalg.norm(Zs[0] - Zs[1][found], axis=1).sum()

    assert cost("nearest") < cost("hungarian") < cost("greedy")


def test_only_matching_with_replacement_takes_a_row_twice(problem):
    Zs = truth(problem, noise=2.0)
    for rule, twice in (("greedy", False), ("hungarian", False), ("nearest", True)):
        found = matching(Zs, problem.aligned, Protocol(rematch=rule), seed=0)
        assert (len(set(found)) < len(found)) == twice


def test_known_pairs_that_are_kept_stay_and_take_no_other_rows_place(problem):
    protocol = Protocol(rematch="nearest", batch_size=None, keep_pairs=True)
    found = matching(truth(problem, noise=5.0), problem.aligned, protocol, seed=0)
    known = np.flatnonzero(problem.aligned)
    np.testing.assert_array_equal(found[known], known)
    assert not set(found[~problem.aligned]) & set(known)


def test_rows_as_given_are_not_moved(problem):
    found = matching(truth(problem), problem.aligned, NONE, seed=0)
    np.testing.assert_array_equal(found, np.arange(len(problem.y)))


def test_the_other_views_labels_score_the_row_that_was_taken(problem):
    # View 2 alone says the class: the labels of the rows taken from it are right.
    y_2 = problem.labels_of_view(1)
    Zs = [np.zeros((len(y_2), 2)), np.eye(3)[y_2]]
    given = replace(NONE, labels_of=1)
    assert rescore(Zs, problem, given, seed=0)["acc"] == 1
    assert rescore(Zs, problem, NONE, seed=0)["acc"] == pytest.approx(accuracy(problem.y, y_2))


def test_the_other_views_labels_follow_the_rows_that_were_taken(problem):
    Zs = truth(problem)
    other = replace(BASE, batch_size=None, labels_of=1)
    # Every row has found its true partner, which is of its own class.
    assert rescore(Zs, problem, other, seed=0) == rescore(
        Zs, problem, replace(other, labels_of=0), seed=0
    )


def test_view_1_alone_is_blind_to_view_2(problem):
    Zs = [np.eye(3)[problem.y], np.zeros((len(problem.y), 3))]
    alone = replace(NONE, features="view 1")
    assert rescore(Zs, problem, alone, seed=0)["acc"] == 1


def test_rows_at_unit_length_forget_their_length(problem):
    Zs = truth(problem, noise=0.5)
    unit = replace(BASE, features="unit")
    scaled = [3 * Zs[0], 0.1 * Zs[1]]
    assert rescore(Zs, problem, unit, seed=0) == rescore(scaled, problem, unit, seed=0)
    assert rescore(Zs, problem, BASE, seed=0) != rescore(scaled, problem, BASE, seed=0)


def test_mvclns_protocol_is_what_its_estimator_does(problem):
    settings = {"hidden_dims": (16,), "epochs": 3, "batch_size": 64, "n_negatives": 5}
    model = MvCLN(3, **settings, random_state=1, device="cpu")
    model.fit(problem.Xs, aligned=problem.aligned)
    scored = accuracies(model, problem)["as_mvcln"]
    # All rows fit in a batch, whose order is drawn by another generator.
    assert scored == pytest.approx(accuracy(problem.y, model.labels_), abs=0.1)
    assert set(accuracies(model, problem)) == {
        *CHOICES, *(f"as_{name}" for name in MATCHING)
    }  # fmt: skip


def test_a_choice_changes_one_thing():
    fields = vars(BASE)
    for name, protocol in CHOICES.items():
        changed = [field for field in fields if vars(protocol)[field] != fields[field]]
        # View 1 alone has nothing to match.
        assert len(changed) == (2 if name == "view_1_alone" else 1), name


def test_a_method_whose_embeddings_are_not_in_one_space_has_no_accuracies(problem):
    joint = SimpleNamespace(embedding_dim=2, transform=lambda Xs: np.zeros((120, 4)))
    assert embeddings_by_view(joint, problem) is None
    assert accuracies(joint, problem) == {}


class VITAL:
    """Stands for a method of that name, whose embeddings are in one space."""

    def __init__(self, Z):
        self.transform = lambda Xs: Z


def test_views_are_the_halves_of_what_a_method_of_one_space_embeds(problem):
    Z = np.arange(720.0).reshape(120, 6)
    first, second = embeddings_by_view(VITAL(Z), problem)
    np.testing.assert_array_equal(np.hstack([first, second]), Z)
    assert first.shape == second.shape


def test_views_that_lack_rows_have_no_accuracies(problem):
    model = VITAL(np.zeros((120, 6)))
    assert embeddings_by_view(model, problem) is not None
    assert accuracies(model, hide_views(problem, rate=0.5, protocol="sure")) == {}


@pytest.mark.parametrize("wrong", [{"rematch": "greedily"}, {"features": "raw"}])
def test_an_unknown_choice_is_refused(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=name):
        Protocol(**wrong)
