"""Images of one colour each, and an encoder that sees colours and letters."""

import numpy as np
from PIL import Image


class FakeEncoder:
    """Means of colours for images, counts of the letters r, g, b for texts."""

    def encode_images(self, images, **_):
        arrays = [np.asarray(Image.open(i) if isinstance(i, str) else i) for i in images]
        return np.array([a.reshape(-1, 3).mean(axis=0) for a in arrays], dtype=np.float32)

    def encode_texts(self, texts, **_):
        rows = [[1.0 + text.count(letter) for letter in "rgb"] for text in texts]
        return np.array(rows, dtype=np.float32)


def colours(n=12):
    images = np.full((n, 4, 4, 3), 10, dtype=np.uint8)
    for i in range(n):
        images[i, :, :, i % 3] = 200 + i
    return images, np.arange(n) % 3
