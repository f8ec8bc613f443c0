import numpy as np
import pytest
import torch
from PIL import Image
from plain import unit
from refusals import refuses

from mvlib.encoders import towers
from mvlib.encoders.base import Encoder
from mvlib.encoders.towers import (
    FeatureCache,
    Tower,
    content_key,
    default_folder,
    run_on_images,
    run_on_texts,
)


class Counting(Encoder):
    """An encoder that counts what it is asked to encode."""

    def __init__(self, cache, precision="float32", fingerprint="a", image_size=8):
        super().__init__(torch.device("cpu"), precision, cache)
        self.name, self.dim, self.fingerprint = "counting", 3, fingerprint
        self.image_size, self.seen, self.batches = image_size, 0, []

    def _tower(self, forward):
        return Tower(forward, self.dim, f"{self.fingerprint} {self.precision}", self.device)

    def _image_features(self, images, batch_size, resize):
        def forward(batch):
            self.seen += len(batch)
            return batch.float().mean(dim=(2, 3))

        settings = {"crop": self.image_size, "resize": resize, "batch_size": batch_size}
        return run_on_images(self._tower(forward), images, self.cache, **settings)

    def _text_features(self, texts, batch_size):
        def forward(batch):
            self.seen += len(batch)
            self.batches.append([len(text) for text in batch])
            return torch.tensor([[len(text), text.count("a"), 1.0] for text in batch])

        return run_on_texts(self._tower(forward), texts, self.cache, batch_size=batch_size)


def pictures(n=5, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 12, 10, 3), dtype=np.uint8)


def saved(folder, images):
    paths = [folder / f"{i}.png" for i in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    return paths


@pytest.mark.parametrize("kind", ["array", "paths", "images"])
def test_a_second_run_reads_what_the_first_wrote(kind, tmp_path):
    images = pictures()
    if kind == "paths":
        images = saved(tmp_path, images)
    elif kind == "images":
        images = [Image.fromarray(image) for image in images]
    first, second = Counting(tmp_path / "cache"), Counting(tmp_path / "cache")
    features = first.encode_images(images)
    assert np.array_equal(second.encode_images(images), features)
    assert (first.seen, second.seen) == (5, 0)


def test_files_are_known_by_their_bytes_not_their_names(tmp_path):
    paths = saved(tmp_path, pictures())
    encoder = Counting(tmp_path / "cache")
    encoder.encode_images(paths)
    moved = [path.rename(path.with_name(f"moved-{path.name}")) for path in paths]
    encoder.encode_images(moved)
    assert encoder.seen == 5
    Image.fromarray(pictures(seed=1)[0]).save(moved[2])
    encoder.encode_images(moved)
    assert encoder.seen == 10


def one_bit(images):
    images = images.copy()
    images[3, 1, 2, 0] ^= 1
    return images


@pytest.mark.parametrize(
    ("change", "settings", "resize"),
    [
        (None, {"precision": "float16"}, None),
        (None, {"fingerprint": "b"}, None),
        (None, {"image_size": 6}, None),
        (None, {}, 9),
        (lambda images: images[::-1], {}, None),
        (one_bit, {}, None),
        (lambda images: images.reshape(5, 10, 12, 3), {}, None),
    ],
    ids=["precision", "fingerprint", "image_size", "resize", "order", "pixel", "shape"],
)
def test_a_changed_setting_or_image_is_encoded_anew(change, settings, resize, tmp_path):
    images = pictures()
    Counting(tmp_path).encode_images(images)
    encoder = Counting(tmp_path, **settings)
    encoder.encode_images(change(images) if change else images, resize=resize)
    assert encoder.seen == 5


def test_a_changed_text_is_encoded_anew_and_normalising_reads_the_same_entry(tmp_path):
    encoder = Counting(tmp_path)
    raw = encoder.encode_texts(["a b", "c"])
    normalised = encoder.encode_texts(["a b", "c"], normalize=True)
    assert np.allclose(normalised, unit(raw))
    assert np.array_equal(encoder.encode_texts(["a b", "c"]), raw)
    assert encoder.seen == 2
    encoder.encode_texts(["a", "b c"])
    assert encoder.seen == 4


@pytest.mark.parametrize(
    "damage", ["empty", "cut off", "a flipped bit", "other", "NaN", "rows"]
)
def test_a_damaged_entry_is_computed_again_and_mended(damage, tmp_path):
    encoder = Counting(tmp_path)
    features = encoder.encode_images(pictures())
    (path,) = tmp_path.rglob("*.npz")
    content = bytearray(path.read_bytes())
    if damage == "a flipped bit":
        content[content.index(features.tobytes()) + 5] ^= 1
    lengths = {"empty": 0, "cut off": len(content) // 2}
    path.write_bytes(content[: lengths.get(damage)])
    arrays = {
        "other": {"something": features},
        "NaN": {"features": features * np.float32(np.nan)},
        "rows": {"features": features[:3]},
    }
    if damage in arrays:
        np.savez(path, **arrays[damage])
    for _ in range(2):
        assert np.array_equal(encoder.encode_images(pictures()), features)
        assert encoder.seen == 10


def test_the_cache_is_the_environments_folder_else_the_users_or_none(tmp_path, monkeypatch):
    monkeypatch.setenv("MVLIB_CACHE", str(tmp_path))
    encoder = Counting(False)
    for _ in range(2):
        encoder.encode_texts(["a"])
    assert encoder.seen == 2
    assert list(tmp_path.iterdir()) == []
    Counting(None).encode_texts(["a"])
    assert len(list(tmp_path.rglob("*.npz"))) == 1
    monkeypatch.delenv("MVLIB_CACHE")
    assert default_folder().name == "features"


def test_a_folder_that_cannot_be_written_only_warns(tmp_path):
    (tmp_path / "file").touch()
    encoder = Counting(tmp_path / "file")
    with pytest.warns(UserWarning, match="not cached"):
        assert encoder.encode_texts(["a"]).shape == (1, 3)


def test_an_interrupted_run_keeps_the_pieces_it_finished(tmp_path, monkeypatch):
    monkeypatch.setattr(towers, "TEXTS_A_PIECE", 4)
    texts = [f"text {i}" for i in range(10)]
    broken = Counting(tmp_path)
    compute = broken._tower

    def failing(forward):
        def fail(batch):
            if "text 9" in batch:
                raise KeyboardInterrupt
            return forward(batch)

        return compute(fail)

    broken._tower = failing
    with pytest.raises(KeyboardInterrupt):
        broken.encode_texts(texts)
    encoder = Counting(tmp_path)
    assert np.array_equal(encoder.encode_texts(texts), Counting(False).encode_texts(texts))
    assert encoder.seen == 2


def test_texts_are_batched_by_length_and_returned_in_their_order():
    texts = ["aaaa", "a", "aaa", "aa", "aaaaa"]
    encoder = Counting(False)
    features = encoder.encode_texts(texts, batch_size=2)
    assert features[:, 0].tolist() == [4, 1, 3, 2, 5]
    assert encoder.batches == [[1, 2], [3, 4], [5]]


def test_on_a_cpu_a_pass_takes_sixteen_images_unless_told_otherwise(monkeypatch):
    encoder, sizes = Counting(False), []
    tower = encoder._tower
    monkeypatch.setattr(
        encoder,
        "_tower",
        lambda run: tower(lambda batch: sizes.append(len(batch)) or run(batch)),
    )
    encoder.encode_images(np.zeros((40, 10, 10, 3), np.uint8))
    assert sizes == [16, 16, 8]


@pytest.mark.parametrize("batch_size", [1, 2, 5, 64])
def test_batches_do_not_change_image_features(batch_size):
    images = pictures()
    expected = images[:, 2:10, 1:9].mean(axis=(1, 2))
    found = Counting(False).encode_images(
        [Image.fromarray(image) for image in images], batch_size=batch_size, resize=10
    )
    assert np.allclose(found, expected, atol=1e-4)


def test_an_unreadable_image_is_named_by_cached_and_uncached_runs(tmp_path):
    paths = [*saved(tmp_path, pictures(2)), tmp_path / "broken.png"]
    paths[-1].write_text("no image")
    for cache in (False, tmp_path / "cache"):
        with pytest.raises(ValueError, match=r"broken\.png"):
            Counting(cache).encode_images(paths)
    with pytest.raises(ValueError, match=r"missing\.png"):
        Counting(tmp_path / "cache").encode_images([tmp_path / "missing.png"])


OVERFLOWING = Tower(
    lambda batch: torch.full((len(batch), 3), torch.inf), 3, "", torch.device("cpu")
)
test_bad_input_and_features_that_overflow_are_refused_by_name = refuses(
    lambda call: call(Counting(False)),
    ({"call": lambda e: e.encode_texts("one text")}, "one text"),
    ({"call": lambda e: e.encode_texts([])}, "empty"),
    ({"call": lambda e: e.encode_texts(["a", 3])}, r"texts\[1\]"),
    ({"call": lambda e: e.encode_texts(["a"], batch_size=0)}, "batch_size"),
    ({"call": lambda e: e.encode_images(pictures(), batch_size=1.5)}, "batch_size"),
    ({"call": lambda e: e.encode_images(pictures(), resize=7)}, "resize"),
    ({"call": lambda e: e.encode_images([])}, "empty"),
    ({"call": lambda e: run_on_texts(OVERFLOWING, ["a"], e.cache, batch_size=1)}, "not finite"),
    (lambda: FeatureCache(3), "cache=3"),
)


def test_keys_tell_apart_lists_that_only_join_alike():
    keys = {content_key("s", items=items) for items in (["ab"], ["a", "b"], ["a", "b", ""])}
    assert len(keys) == 3


def test_batches_that_a_caller_counts_itself_bring_no_second_bar(tmp_path, monkeypatch):
    asked, bar = [], towers.tqdm
    monkeypatch.setattr(
        towers, "tqdm", lambda **how: asked.append(how["disable"]) or bar(**how)
    )
    for n in (64, 65):
        Counting(False).encode_images(pictures(n))
    # None: shown where there is a terminal.
    assert asked == [True, None]
