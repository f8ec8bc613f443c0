"""Figures in a notebook are sharp, and small."""

import io
import os
import sys
from binascii import a2b_base64

import numpy as np
import pytest
from jupyter_client.manager import KernelManager
from PIL import Image

from mvlib.plots.style import in_palette

FIGURE = """
import matplotlib.pyplot as plt
import numpy as np
from mvlib import plots
plots.use_style()
figure, ax = plt.subplots(figsize=(4, 3))
ax.imshow(np.random.default_rng(0).random((40, 40, 3)), interpolation="bicubic")
"""


def png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "png")
    return stream.getvalue()


def read(data):
    return Image.open(io.BytesIO(data))


def test_a_palette_shrinks_an_image_and_moves_its_colours_little():
    x = np.linspace(0, 255, 200)
    pixels = np.stack(np.broadcast_arrays(x[:, None], x[None], 128), axis=-1).astype(np.uint8)
    noisy = pixels + np.random.default_rng(0).integers(0, 4, pixels.shape, dtype=np.uint8)
    before = png(noisy)
    after = in_palette(before)
    assert len(after) < len(before) / 2
    moved = np.asarray(read(after).convert("RGB")).astype(float) - noisy
    assert read(after).size == (200, 200)
    assert np.abs(moved[5:-5, 5:-5]).mean() < 8


def test_an_image_of_few_colours_is_kept_exactly():
    pixels = np.zeros((50, 60, 3), np.uint8)
    pixels[:, 30:] = (1, 115, 178)
    pixels[10:20] = 255
    assert np.array_equal(np.asarray(read(in_palette(png(pixels))).convert("RGB")), pixels)


def test_a_notebook_shows_its_figures_in_palettes_at_twice_the_resolution():
    manager = KernelManager(kernel_name="python3")
    path = os.pathsep.join(filter(None, sys.path))
    manager.start_kernel(env=os.environ | {"PYTHONPATH": path})
    client = manager.client()
    client.start_channels()
    messages = []
    try:
        client.wait_for_ready(timeout=60)
        client.execute_interactive(FIGURE, timeout=60, output_hook=messages.append)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    (content,) = (m["content"] for m in messages if m["msg_type"] == "display_data")
    image = read(a2b_base64(content["data"]["image/png"]))
    assert image.mode == "P"
    assert image.width == pytest.approx(2 * content["metadata"]["image/png"]["width"], abs=2)
