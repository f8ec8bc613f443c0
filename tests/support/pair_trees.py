"""Small file trees of the layouts in which people hold sets of images with captions."""

import json
from dataclasses import replace

from PIL import Image

from mvlib.data import describe
from mvlib.data.cards import _cards

# Split and folder of each image, and the folder under which the file's names are looked up.
TREES = {
    "flickr30k": (["train", "val", "train", "test"], None),
    "coco-captions": (["train", "restval", "val", "test"], ["train2014", "val2014"]),
    "rsicd": (["train", "train", "val", "test", "test"], None),
    "ucm-captions": (["train", "val", "test"], None),
    "sydney-captions": (["train", "val", "test"], None),
}


def put_tree(folder, monkeypatch, name, n_captions=5):
    """Write a tree of this set, tell its card the sizes, and return the file of captions."""
    about = describe(name)
    splits, parts = TREES[name]
    root = folder / about.files[0].file
    entries = []
    for i, split in enumerate(splits):
        entry = {
            "filename": f"{name}_{i}.png",
            "imgid": i,
            "split": split,
            "sentences": [
                {"raw": f" {name} {i}, caption {k} .\n", "tokens": [name], "sentid": 9 * i + k}
                for k in range(n_captions)
            ],
        }
        images = root / about.layout["images"]
        if parts:
            entry["filepath"] = parts[split != "train"]
            images /= entry["filepath"]
        images.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4 + i, 4)).save(images / entry["filename"])
        entries.append(entry)
    path = root / about.layout["captions"]
    path.write_text(json.dumps({"dataset": name, "images": entries}))
    sizes = {split: splits.count(split) for split in about.n_samples}
    monkeypatch.setitem(_cards(), name, replace(about, n_samples=sizes))
    return path
