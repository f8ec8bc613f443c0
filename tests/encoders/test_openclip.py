import json
import pickle

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from plain import unit
from refusals import refuses
from safetensors.torch import save_file

from mvlib.encoders import load, openclip

NAME, SIZE = "small-clip-of-the-tests", 32
CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {
        "image_size": SIZE, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16,
    },
    "text_cfg": {
        "context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1,
    },
}  # fmt: skip
CARD = {"hf_hub": "nobody/nothing/", "mean": (0.5,) * 3, "std": (0.25,) * 3, "quick_gelu": True}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Return the model and the folder with its weights, as .pt and .safetensors."""
    folder = tmp_path_factory.mktemp("open_clip")
    (folder / f"{NAME}.json").write_text(json.dumps(CONFIG))
    open_clip.add_model_config(folder / f"{NAME}.json")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = open_clip.create_model(NAME).eval()
    torch.save(model.state_dict(), folder / "weights.pt")
    save_file(model.state_dict(), folder / "weights.safetensors")
    return model, folder


@pytest.fixture
def known_tag(monkeypatch):
    """Make open_clip know a tag of the small model, with a card of its own."""
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, NAME, {"tag": CARD})
    monkeypatch.delenv("MVLIB_OFFLINE", raising=False)


def encoder(checkpoint, name=f"openclip:{NAME}", file="weights.pt", **settings):
    settings = {"device": "cpu", "cache": False} | settings
    return load(name, pretrained=checkpoint[1] / file, **settings)


def photographs(folder, n=3):
    rng = np.random.default_rng(0)
    paths = [folder / f"{i}.png" for i in range(n)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (50, 70, 3), dtype=np.uint8)).save(path)
    return paths


def by_hand(model, paths, resize=SIZE):
    """Return image features as open_clip's own preprocessing and model give them."""
    transform = open_clip.image_transform(
        SIZE, is_train=False, resize_mode="shortest", interpolation="bicubic"
    )
    transform.transforms[0].size = resize
    with torch.no_grad():
        batch = torch.stack([transform(Image.open(path)) for path in paths])
        return model.encode_image(batch).numpy()


@pytest.mark.parametrize("file", ["weights.pt", "weights.safetensors"])
def test_a_checkpoint_on_disk_gives_the_models_own_features(checkpoint, file, tmp_path):
    paths, texts = photographs(tmp_path), ["a cat", "a photo of a dog."]
    found = encoder(checkpoint, file=file)
    model = checkpoint[0]
    assert np.allclose(found.encode_images(paths), by_hand(model, paths), atol=1e-5)
    with torch.no_grad():
        expected = model.encode_text(open_clip.get_tokenizer(NAME)(texts)).numpy()
    assert np.allclose(found.encode_texts(texts), expected, atol=1e-5)
    assert (found.dim, found.image_size) == (16, SIZE)
    assert found.encode_images(paths).dtype == np.float32


def test_a_larger_resize_cuts_the_middle_out_as_tac_does(checkpoint, tmp_path):
    paths, found = photographs(tmp_path), encoder(checkpoint)
    features = found.encode_images(paths, resize=40)
    assert np.allclose(features, by_hand(checkpoint[0], paths, 40), atol=1e-5)
    assert not np.allclose(features, found.encode_images(paths), atol=1e-3)


def test_a_long_caption_is_cut_at_the_context(checkpoint):
    found, words = encoder(checkpoint), "cat " * 80
    long, longer = found.encode_texts([words, words + "and many dogs"])
    assert np.array_equal(long, longer)


def test_features_are_of_length_one_on_request_only(checkpoint, tmp_path):
    paths, found = photographs(tmp_path), encoder(checkpoint)
    raw, normalised = found.encode_images(paths), found.encode_images(paths, normalize=True)
    assert not np.allclose(np.linalg.norm(raw, axis=1), 1, atol=1e-2)
    assert np.allclose(normalised, unit(raw), atol=1e-6)


def test_fingerprints_follow_the_weights_not_the_file(checkpoint, tmp_path):
    state = checkpoint[0].state_dict()
    state["visual.proj"] = state["visual.proj"] + 0.01
    torch.save(state, checkpoint[1] / "changed.pt")
    of = {f: encoder(checkpoint, file=f).fingerprint for f in ("weights.pt", "changed.pt")}
    assert encoder(checkpoint, file="weights.safetensors").fingerprint == of["weights.pt"]
    assert of["changed.pt"] != of["weights.pt"]


@pytest.mark.parametrize(("precision", "error"), [("bfloat16", 0.1), ("float16", 0.02)])
def test_half_precision_stays_near_float32(checkpoint, precision, error, tmp_path):
    paths = photographs(tmp_path)
    half = encoder(checkpoint, precision=precision)
    assert half._model.visual.conv1.weight.dtype == getattr(torch, precision)
    features, expected = half.encode_images(paths), encoder(checkpoint).encode_images(paths)
    assert features.dtype == np.float32
    assert 0 < np.abs(features - expected).max() < error


def test_features_are_cached_under_the_encoders_fingerprint(checkpoint, tmp_path):
    paths = photographs(tmp_path)
    found = encoder(checkpoint, cache=tmp_path / "cache")
    features = found.encode_images(paths)
    found._model = None
    assert np.array_equal(found.encode_images(paths), features)


def test_a_tag_settles_how_a_local_file_is_read_or_loads_what_the_hub_delivers(
    checkpoint, known_tag, monkeypatch
):
    tagged = encoder(checkpoint, name=f"openclip:{NAME}/tag")
    activation = type(tagged._model.transformer.resblocks[0].mlp.gelu).__name__
    assert activation == "QuickGELU"
    assert tagged._mean.flatten().tolist() == [0.5] * 3
    assert tagged.fingerprint != encoder(checkpoint).fingerprint
    asked = []

    def download(card, **_):
        asked.append(card["hf_hub"])
        return str(checkpoint[1] / "weights.safetensors")

    monkeypatch.setattr(open_clip, "download_pretrained", download)
    monkeypatch.setattr(openclip, "_check_reachable", lambda card: None)
    found = load(f"openclip:{NAME}/tag", device="cpu", cache=False)
    assert asked == ["nobody/nothing/"]
    assert found.fingerprint == tagged.fingerprint


@pytest.mark.parametrize("reason", ["offline", "unreachable"])
def test_missing_weights_without_a_network_say_what_to_do(
    known_tag, checkpoint, reason, monkeypatch
):
    if reason == "offline":
        monkeypatch.setenv("MVLIB_OFFLINE", "1")
    else:

        def refuse(*_, **__):
            raise OSError("no route")

        monkeypatch.setattr(openclip, "urlopen", refuse)
    with pytest.raises(FileNotFoundError, match=r"nobody/nothing/ .*pretrained='/path"):
        load(f"openclip:{NAME}/tag", device="cpu")
    with pytest.raises(FileNotFoundError, match="/no/file"):
        load("openclip:ViT-B-32", pretrained="/no/file")


def test_a_pickled_object_is_refused_and_not_run(checkpoint, tmp_path):
    class Payload:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"weights": Payload()}, checkpoint[1] / "payload.pt")
    (checkpoint[1] / "plain.pt").write_bytes(pickle.dumps(Payload()))
    torch.jit.script(torch.nn.Linear(1, 1)).save(checkpoint[1] / "script.pt")
    for file in ("payload.pt", "plain.pt", "script.pt"):
        with pytest.raises(ValueError, match=f"{file} cannot be loaded"):
            encoder(checkpoint, file=file)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("file", ["bad.safetensors", "bad.pt"])
@pytest.mark.parametrize("content", [b"", b"\xff" * 64, bytes(64)], ids=["empty", "ff", "0"])
def test_a_damaged_checkpoint_is_a_value_error(file, content, checkpoint):
    (checkpoint[1] / file).write_bytes(content)
    with pytest.raises(ValueError, match=f"{file} cannot be loaded"):
        encoder(checkpoint, file=file)


def test_a_checkpoint_of_another_architecture_is_refused(checkpoint):
    state = checkpoint[0].state_dict()
    del state["visual.proj"]
    for other in (state, [1], 3, {"text": 3}, {3: state}, {"state_dict": [1]}):
        torch.save(other, checkpoint[1] / "other.pt")
        with pytest.raises(ValueError, match=r"other\.pt cannot be loaded as"):
            encoder(checkpoint, file="other.pt")


test_unknown_names_are_refused_with_the_nearest = refuses(
    load,
    ({"name": "openclip:ViT-B-33/openai"}, "ViT-B-32"),
    ({"name": "openclip:ViT-B-32/openia"}, "openai"),
    ({"name": "openclip:ViT-B-32"}, "tag=''"),
    ({"name": "ofline"}, "offline"),
    ({"name": "openclip:ViT-B-32/openai", "precision": "fp8"}, "precision"),
    ({"name": "offline", "device": "abacus"}, "device"),
)
