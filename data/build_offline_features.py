"""Make what the offline encoder ships: features of its frozen towers, and its heads.

The images of the pairs come from `data/build_openclipart.py --pairs-to PAIRS`. Then::

    python data/build_offline_features.py PAIRS

writes into `data/embedded`

- `openclipart_features.npz`: EfficientNet-Lite2's features of the pairs' images, MiniLM's of
  their captions and of ImageNet's class names;
- `nouns_8000.npz`: MiniLM's features of the 8,000 most frequent nouns;
- `offline_heads.safetensors`: the heads, trained on the first file.

All features are in half precision. `--only` limits it to some of the three.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from mvlib.data import nouns, openclipart_pairs
from mvlib.encoders import Heads, OfflineEncoder, train_heads, training_features
from mvlib.encoders.shipped import (
    HEADS_FILE,
    N_NOUNS,
    NOUN_PROMPT,
    NOUNS_FILE,
    PAIRS_FILE,
    class_texts,
    text_digests,
)
from mvlib.files import embedded_data, replacing, sha256_of

SEED = 0


def build_pairs(encoder: OfflineEncoder, folder: Path) -> None:
    """Write the features of the pairs in `folder` and of ImageNet's class names."""
    pairs = openclipart_pairs()
    images = [folder / f"{name}.png" for name in pairs.ids]
    _write(
        PAIRS_FILE,
        ids=np.array(pairs.ids),
        image_features=_half(encoder.image_tower(images)),
        image_fingerprint=np.array(encoder.image_fingerprint),
        text_features=_half(encoder.text_tower(pairs.captions)),
        text_digests=text_digests(pairs.captions),
        text_fingerprint=np.array(encoder.text_fingerprint),
        class_text_features=_half(encoder.text_tower(class_texts())),
    )


def build_nouns(encoder: OfflineEncoder) -> None:
    """Write the features of the most frequent nouns under one prompt."""
    words = nouns(most_frequent=N_NOUNS)
    texts = [NOUN_PROMPT.format(word) for word in words]
    _write(
        NOUNS_FILE,
        text_features=_half(encoder.text_tower(texts)),
        text_digests=text_digests(words),
        text_fingerprint=np.array(encoder.text_fingerprint),
    )


def build_heads() -> Heads:
    """Train the heads that ship, on what the first file holds, and write them."""
    pairs = training_features()
    heads = train_heads(
        pairs.image_features,
        pairs.text_features,
        class_image_features=pairs.class_image_features,
        class_text_features=pairs.class_text_features,
        random_state=SEED,
    )
    heads = heads.with_recipe(
        pairs="Open Clip Art, drawings and captions outside the evaluation set",
        classes="rows of the ImageNet classifier and 'a photo of a {class name}.'",
        features_sha256=sha256_of(embedded_data() / PAIRS_FILE),
    )
    heads.save(embedded_data() / HEADS_FILE)
    return heads


def _half(features: np.ndarray) -> np.ndarray:
    return features.astype(np.float16)


def _write(name: str, **arrays: np.ndarray) -> None:
    with replacing(embedded_data() / name) as temporary:
        np.savez_compressed(temporary, **arrays)
    print(f"{name}: {(embedded_data() / name).stat().st_size / 1e6:.1f} MB")


def _frozen_towers() -> OfflineEncoder:
    """Return an encoder whose heads do not matter, since the right ones may not exist yet."""
    nothing = np.zeros((1, 1), np.float32)
    heads = Heads(nothing, nothing[0], nothing, nothing[0], temperature=1.0)
    return OfflineEncoder(torch.device("cpu"), heads=heads)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pairs", type=Path, help="folder of the pairs' images")
    parser.add_argument("--only", choices=("pairs", "nouns", "heads"), action="append")
    options = parser.parse_args(arguments)
    chosen = options.only or ("pairs", "nouns", "heads")
    if "pairs" in chosen:
        build_pairs(_frozen_towers(), options.pairs)
    if "nouns" in chosen:
        build_nouns(_frozen_towers())
    if "heads" in chosen:
        heads = build_heads()
        print(f"heads: loss {heads.history[0]:.2f} to {heads.history[-1]:.2f}")


if __name__ == "__main__":
    main()
