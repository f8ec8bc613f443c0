"""Each image is encoded once, by its content, and what is kept has a bound and a way out."""

import os
from datetime import datetime

import numpy as np
import pytest
from PIL import Image, ImageFilter
from report_stand_ins import ColourEncoder, cluster_patches, write_patches

from mvlib.cli import main
from mvlib.report import find_images
from mvlib.report.curate import features
from mvlib.report.curate.features import cache_of, kept_files, known_of, look_at
from mvlib.report.formats import FRAMES, UNIFORM


class CountingEncoder(ColourEncoder):
    def __init__(self):
        self.n_encoded = 0

    def encode_images(self, images, **_):
        self.n_encoded += len(images)
        return super().encode_images(images)


def encoded(folder, cache, **options):
    encoder = CountingEncoder()
    known, found = known_of(find_images(folder), encoder, cache_of(cache), **options)
    return encoder.n_encoded, known, found


@pytest.fixture
def folder(tmp_path):
    write_patches(tmp_path / "images", (3, 2, 1))
    return tmp_path / "images"


def test_one_new_photo_is_one_encoding_and_a_renamed_one_is_none(folder, tmp_path):
    cache = tmp_path / "cache"
    n, first, _ = encoded(folder, cache)
    assert n == 6
    (folder / "red0.png").rename(folder / "a.png")
    Image.new("RGB", (9, 9), "blue").save(folder / "b.png")
    n, again, found = encoded(folder, cache)
    assert n == 1
    assert found.files[:3] == ("a.png", "b.png", "blue0.png")
    row = list(find_images(folder).files).index("a.png")
    for name in ("features", "hashes", "sharpness", "taken"):
        # Of the six that were there, red0.png was the fourth.
        assert (getattr(again, name)[row] == getattr(first, name)[3]).all()
    assert encoded(folder, cache, max_pixels=10**6)[0] == 7
    assert encoded(folder, "none")[0] == 7


class RoundingEncoder(ColourEncoder):
    """Rounds by an image's place among the others, as batches do."""

    def encode_images(self, images, **_):
        features = super().encode_images(images)
        return features + np.float32(1e-4) * np.arange(len(features))[:, np.newaxis]


def test_copies_have_the_very_same_features_however_an_encoder_rounds(tmp_path):
    folder = tmp_path / "images"
    for name in write_patches(folder, (1, 1, 0)):
        for number in range(9):
            (folder / f"{number}{name}").write_bytes((folder / name).read_bytes())
    known, _ = known_of(find_images(folder), RoundingEncoder(), cache_of("none"))
    assert len(np.unique(known.features, axis=0)) == len(set(known.digests)) == 2
    result = cluster_patches(folder, n_clusters=4, encoder=RoundingEncoder())
    assert result.sizes.tolist() == [10, 10]


def test_features_of_another_encoder_or_damaged_ones_are_not_taken(folder, tmp_path):
    cache = tmp_path / "cache"
    encoded(folder, cache)
    other = CountingEncoder()
    other.fingerprint = "1" * 64
    known_of(find_images(folder), other, cache_of(cache))
    assert other.n_encoded == 6
    for path in kept_files(cache_of(cache)):
        path.write_bytes(path.read_bytes()[:50])
    assert encoded(folder, cache)[0] == 6


def test_an_image_that_fails_is_skipped_with_its_reason_each_time(folder, tmp_path):
    (folder / "green0.png").write_bytes(b"text")
    for _ in range(2):
        _, known, found = encoded(folder, tmp_path / "cache")
        assert [item.file for item in found.skipped] == ["green0.png"]
        assert len(known.features) == len(known.digests) == len(found.files) == 5


def test_the_cache_is_bounded_and_the_oldest_go_first(folder, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    encoded(folder, cache)
    files = kept_files(cache_of(cache))
    for age, path in enumerate(reversed(files)):
        os.utime(path, (1000 + age, 1000 + age))
    size = sum(path.stat().st_size for path in files)
    monkeypatch.setattr(features, "MAX_BYTES", size)
    Image.new("RGB", (9, 9), "blue").save(folder / "b.png")
    assert encoded(folder, cache)[0] == 1
    left = kept_files(cache_of(cache))
    assert sum(path.stat().st_size for path in left) <= size
    assert files[-1] not in left
    assert set(files[:-1]) < set(left)


def test_the_command_says_how_much_is_kept_and_clears_nothing_else(folder, tmp_path, capsys):
    cache = tmp_path / "cache"
    encoded(folder, cache)
    (cache / "ab").mkdir(exist_ok=True)
    (cache / "ab" / "mine.npz").write_bytes(b"mine")
    assert main(["cache", "--cache", str(cache)]) == 0
    assert f"{cache}: 0.0 MB" in capsys.readouterr().out
    assert len(kept_files(cache_of(cache))) == 6
    assert main(["cache", "--cache", str(cache), "--clear"]) == 0
    assert "removed" in capsys.readouterr().out
    assert [path.name for path in cache.rglob("*") if path.is_file()] == ["mine.npz"]


def test_an_encoder_keeps_its_own_cache_and_puts_no_batch_into_it(folder, tmp_path):
    encoder = CountingEncoder()
    encoder.cache = cache_of(tmp_path / "own")
    seen = []
    encoder.encode_images = lambda images: (
        seen.append(encoder.cache.folder),
        ColourEncoder.encode_images(encoder, images),
    )[1]
    known_of(find_images(folder), encoder, cache_of("none"))
    assert seen == [None]
    assert encoder.cache.folder == tmp_path / "own"


def test_what_was_remarked_of_an_image_is_known_without_decoding_it_again(folder, tmp_path):
    Image.new("RGB", (9, 9), "blue").save(folder / "even.png")
    frames = [Image.effect_noise((9, 9), 40 + 9 * k).convert("P") for k in range(2)]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    first, again = (encoded(folder, tmp_path / "cache") for _ in range(2))
    assert (first[0], again[0]) == (8, 0)
    notes = {UNIFORM: ("even.png",), FRAMES: ("moving.gif",)}
    assert first[2].notes == again[2].notes == notes


def test_the_hash_follows_the_scene_and_the_sharpness_its_edges():
    generator = np.random.default_rng(0)
    scenes = generator.integers(0, 255, (2, 6, 8, 3), dtype=np.uint8)
    large, other = (
        Image.fromarray(s).resize((400, 300), Image.Resampling.NEAREST) for s in scenes
    )
    looks = {
        "itself": look_at(large),
        "smaller": look_at(large.resize((160, 120))),
        "brighter": look_at(large.point(lambda value: min(255, value + 20))),
        "blurred": look_at(large.filter(ImageFilter.GaussianBlur(6))),
        "another": look_at(other),
    }
    hashes = {name: np.unpackbits(np.uint8(look[:8])) for name, look in looks.items()}
    differ = {name: int((bits != hashes["itself"]).sum()) for name, bits in hashes.items()}
    assert max(differ["smaller"], differ["brighter"], differ["blurred"]) <= 6
    assert differ["another"] > 15
    assert looks["itself"][8] > 2 * looks["blurred"][8]


def test_a_photo_knows_when_it_was_taken_and_others_do_not(tmp_path):
    image = Image.new("RGB", (20, 20), "red")
    exif = image.getexif()
    exif.get_ifd(0x8769)[0x9003] = "2024:05:06 07:08:09"
    image.save(tmp_path / "photo.jpg", exif=exif)
    exif.get_ifd(0x8769)[0x9003] = "yesterday"
    image.save(tmp_path / "odd.jpg", exif=exif)
    _, known, found = encoded(tmp_path, "none")
    assert found.files == ("odd.jpg", "photo.jpg")
    when = (datetime(2024, 5, 6, 7, 8, 9) - datetime(1970, 1, 1)).total_seconds()
    assert known.taken.tolist() == [-1, when]


def test_copies_count_once_unless_too_few_are_left(folder, tmp_path):
    for number in range(2):
        (folder / f"x{number}.png").write_bytes((folder / "green1.png").read_bytes())
    _, known, found = encoded(folder, "none")
    rows, back = known.once(6)
    assert [found.files[row] for row in rows] == list(found.files[:6])
    assert (known.features[rows][back] == known.features).all()
    assert known.once(7)[0].tolist() == list(range(8))
