"""An encoder that knows colours, and a folder of patches in them."""

import csv
import html.parser
from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"red": (220, 30, 30), "green": (30, 190, 40), "blue": (40, 60, 220)}


class ColourEncoder:
    """Features: the mean colour around grey; of a text, that of the colours it names."""

    name, dim, image_size, fingerprint = "colours", 4, 32, "0" * 64

    def encode_images(self, images, **_):
        rows = [
            np.asarray(image.convert("RGB"), dtype=np.float64).mean(axis=(0, 1))
            for image in images
        ]
        return self._features(np.array(rows))

    def encode_texts(self, texts, **_):
        return self._features(np.array([self._colour_of(text) for text in texts]))

    def _colour_of(self, text):
        named = [rgb for colour, rgb in COLOURS.items() if colour in text]
        return np.mean(named, axis=0) if named else np.array([128.0, 128.0, 128.0])

    def _features(self, rgb):
        scaled = (rgb - 128) / 128
        return np.hstack([scaled, np.full((len(rgb), 1), 0.1)]).astype(np.float32)


def cluster_patches(folder, out=None, n_clusters=3, **settings):
    """Cluster patches by k-means and their colour, named red, green and blue."""
    from mvlib.report import cluster_folder

    settings = {"method": "kmeans", "encoder": ColourEncoder()} | settings
    return cluster_folder(folder, n_clusters, words=list(COLOURS), out=out, **settings)


def write_patches(folder: Path, counts=(8, 6, 5), seed=0) -> list[str]:
    """Write patches of each colour with some noise; return their names, sorted."""
    generator = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for (colour, rgb), count in zip(COLOURS.items(), counts, strict=True):
        for number in range(count):
            shade = generator.normal(0, 12, 3)
            pixels = generator.normal(np.array(rgb) + shade, 8, (24, 32, 3))
            name = f"{colour}{number}.png"
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / name)
            names.append(name)
    return sorted(names)


class Page(html.parser.HTMLParser):
    """The elements of a page: (tag, attributes), the text, and the ids."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self):
        return " ".join("".join(self.texts).split())


def rows_of(out):
    """Return the rows of a table of labels."""
    with open(out / "labels.csv", encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))
