"""Problems of images and words, and fits that record themselves."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from problem_stand_ins import words_problem

from mvlib.papers.cae import corrupt
from mvlib.records import Recorder
from mvlib.tasks.images_with_words import (
    retrieval_recall,
    run_methods,
    short_side,
    vision_problem,
    with_images,
)

problem = pytest.fixture(scope="module")(lambda: words_problem())


@pytest.fixture
def recorder():
    return Recorder("cae", "when_words_help", "quick")


def test_every_method_is_recorded_once_a_seed_and_zero_shot_once(problem, recorder):
    fitted = run_methods(recorder, problem, [0, 1])
    frame = recorder.frame()
    assert frame.groupby("method").size().to_dict() == {
        "k-means of images": 2,
        "TAC, no training": 2,
        "CAE": 2,
        "zero-shot": 1,
    }
    assert set(frame["encoder"]) == {"made up"}
    assert fitted["zero-shot", None].labels_.shape == (60,)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n_prompts": 3}, "n_prompts=3.*expected 1 or 7"),
        ({"train_split": "trian"}, "train_split='trian'.*Did you mean 'train'"),
    ],
)
def test_prompts_and_splits_that_are_not_known_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        vision_problem(**given)


def test_a_problem_of_some_images_keeps_image_label_and_feature_together(problem):
    part = with_images(problem, np.array([3, 20, 50]))
    assert part.data_set.images == ["3.png", "20.png", "50.png"]
    assert part.y.tolist() == problem.y[[3, 20, 50]].tolist()
    np.testing.assert_array_equal(part.images, problem.images[[3, 20, 50]])
    assert part.n_clusters == 4


def test_a_replaced_bank_reaches_the_methods(problem, recorder):
    noise = replace(problem, nouns=corrupt(problem.nouns, 1.0, 0))
    run_methods(recorder, noise, [0], ["TAC, no training"])
    run_methods(recorder, problem, [0], ["TAC, no training"])
    bad, good = recorder.frame()["acc"]
    assert good > bad


def test_recall_counts_the_images_whose_own_text_is_among_the_nearest():
    images = np.eye(4)
    texts = np.eye(4)[[0, 1, 3, 2]]
    assert retrieval_recall(images, texts, k=1) == 0.5
    assert retrieval_recall(images, texts, k=4) == 1.0
    with pytest.raises(ValueError, match="k=5"):
        retrieval_recall(np.eye(4), np.eye(4), k=5)


@pytest.mark.parametrize(
    ("square", "rule", "expected"), [(224, 224, 224), (224, 256, 256), (160, 224, 160)]
)
def test_every_encoder_sees_the_same_part_of_an_image(square, rule, expected):
    images = SimpleNamespace(card=SimpleNamespace(resize=rule))
    assert short_side(images, SimpleNamespace(image_size=square)) == expected
