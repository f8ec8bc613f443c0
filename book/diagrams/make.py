"""Draw the diagrams of the methods; two of them from the drawings that ship."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path

import numpy as np

from mvlib.methods.ntk_spectral.equations import ntk_affinity
from mvlib.ops import transport_plan
from mvlib.tasks.images_with_words import vision_problem

BOOK = Path(__file__).resolve().parents[1]
OUT = BOOK / "_static" / "diagrams"
BLUE, ORANGE, GREY, GREEN = "#3b7dc4", "#c9651c", "#777777", "#2f8a50"


def text(x: float, y: float, words: str, size: int = 16, **more: str) -> str:
    given = {"text-anchor": "middle", **{key.replace("_", "-"): v for key, v in more.items()}}
    told = " ".join(f'{key}="{value}"' for key, value in given.items())
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}" {told}>{escape(words)}</text>'


def box(x: float, y: float, width: float, height: float, words: str, colour: str = GREY) -> str:
    place = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6"'
    shape = f'<rect {place} fill="{colour}" fill-opacity="0.12" stroke="{colour}"/>'
    return shape + text(x + width / 2, y + height / 2 + 6, words)


def arrow(path: str, colour: str = GREY, both: bool = False) -> str:
    start = f' marker-start="url(#{colour[1:]})"' * both
    end = f'marker-end="url(#{colour[1:]})"'
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"{start} {end}/>'


def picture(width: int, height: int, parts: list[str], said: str) -> str:
    heads = "".join(
        f'<marker id="{colour[1:]}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        f'markerHeight="7" orient="auto-start-reverse"><path d="M0 0L8 4L0 8z" '
        f'fill="{colour}"/></marker>'
        for colour in (BLUE, ORANGE, GREY, GREEN)
    )
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="sans-serif">'
        f"<title>{escape(said)}</title><defs>{heads}</defs>{''.join(parts)}</svg>\n"
    )


def smart() -> str:
    """SMART's two towers, with the losses in their colours."""
    parts = []
    for v, y in ((1, 60), (2, 260)):
        names = [f"{name}{'⁽¹⁾' if v == 1 else '⁽²⁾'}" for name in "XZH"]
        for name, x in zip(names, (20, 210, 400), strict=True):
            parts.append(box(x, y, 80, 50, name))
        parts += [arrow(f"M100 {y + 25}H208"), text(154, y + 16, "encoder", 14)]
        parts += [arrow(f"M290 {y + 25}H398"), text(344, y + 16, "projector", 14)]
        down = y - 30 if v == 1 else y + 80
        edge = y if v == 1 else y + 50
        bow = f"M250 {edge}V{down}H60V{edge + (-3 if v == 1 else 3)}"
        parts += [arrow(bow, GREEN)]
        parts += [text(154, down + (-6 if v == 1 else 18), "decoder, L_rec", 14, fill=GREEN)]
    parts += [
        arrow("M236 112V258", BLUE, both=True),
        text(228, 180, "L_vda, aligned rows", 14, fill=BLUE, text_anchor="end"),
        arrow("M264 112V158", GREY),
        arrow("M264 258V212", GREY),
        box(248, 160, 56, 50, "W", ORANGE),
        arrow("M304 185H378", ORANGE),
        text(346, 177, "weights", 14, fill=ORANGE),
        arrow("M440 112V258", ORANGE, both=True),
        text(410, 190, "L_smc", 14, fill=ORANGE),
        arrow("M480 85C540 85 520 170 558 178"),
        arrow("M480 285C540 285 520 200 558 192"),
        box(560, 150, 130, 70, "[H⁽¹⁾, W H⁽²⁾]"),
        text(625, 245, "k-means", 16),
    ]
    return picture(710, 370, parts, SAID["smart"])


def leak() -> str:
    """Set-CLIP's batches: the same things in both halves, or two draws."""
    parts = []
    left, right = "ACFBEDHG", "HBDGAEFC"
    for at, title, first, second in (
        (0, "as in the code: the same eight things", left, right),
        (360, "drawn apart", "KRTBMQWX", "ZJPOBSLY"),
    ):
        parts.append(text(at + 165, 28, title, 16, font_weight="bold"))
        parts += [text(at + 75, 56, "images", 14), text(at + 255, 56, "texts", 14)]
        for kind, x, letters in (("o", at + 75, first), ("s", at + 255, second)):
            for row, letter in enumerate(letters):
                y = 82 + 34 * row
                both = letter in first and letter in second
                colour = ORANGE if both else GREY
                style = f'fill="{colour}" fill-opacity="0.15" stroke="{colour}"'
                shape = f'<circle cx="{x}" cy="{y}" r="14" {style}/>'
                if kind == "s":
                    shape = f'<rect x="{x - 14}" y="{y - 14}" width="28" height="28" {style}/>'
                parts += [shape, text(x, y + 6, letter)]
        for row, letter in enumerate(first):
            if letter in second:
                ends = 82 + 34 * row, 82 + 34 * second.index(letter)
                line = f'x1="{at + 90}" y1="{ends[0]}" x2="{at + 240}" y2="{ends[1]}"'
                parts.append(f'<line {line} stroke="{ORANGE}" stroke-dasharray="5 4"/>')
        shared = len(set(first) & set(second))
        parts.append(text(at + 165, 362, f"{shared} of 8 have their partner here", 15))
    return picture(700, 380, parts, SAID["leak"])


def ribbons(epsilon: float = 0.05, shown: int = 5) -> str:
    """CAE's transport: what five drawings take from twelve words, as wide as their share."""
    held = json.loads((BOOK / "widgets" / "plan.json").read_text(encoding="utf-8"))
    names, likeness = held["names"], np.array(held["likeness"])
    settings = {"method": "log", "max_iter": 20_000, "tol": 1e-9, "device": "cpu"}
    plan = transport_plan(-likeness, epsilon=epsilon, **settings).plan
    scale, tall = 330, 372
    parts = [text(110, 24, "a drawing of", 15), text(480, 24, "words", 15)]
    words, drawings = np.zeros(len(names)), np.zeros(len(names))
    colours = (BLUE, ORANGE, GREEN, "#8a68b8", "#b03a48")
    order = np.argsort(-np.diag(plan))[[0, 3, 6, 9, 11]][:shown]
    spots = {int(i): 46 + row * (tall / shown) for row, i in enumerate(order)}
    for (i, top), colour in zip(spots.items(), colours, strict=True):
        parts.append(text(148, top + 20, names[i], 15, text_anchor="end"))
        for j in range(len(names)):
            thick = scale * plan[i, j]
            if thick >= 0.5:
                y1 = top + drawings[i] + thick / 2
                y2 = 40 + j * 31 + words[j] + thick / 2
                bend = f"M156 {y1:.0f}C290 {y1:.0f} 290 {y2:.0f} 426 {y2:.0f}"
                style = f'stroke="{colour}" stroke-width="{thick:.0f}" stroke-opacity="0.55"'
                parts.append(f'<path d="{bend}" fill="none" {style}/>')
                drawings[i] += thick
                words[j] += thick
    for j, name in enumerate(names):
        parts.append(text(434, 58 + j * 31, name, 15, text_anchor="start"))
    return picture(560, 430, parts, SAID["ribbons"])


def product(per_class: int = 4, classes: tuple[int, ...] = (1, 6, 11)) -> str:
    """NTK's affinity of twelve drawings: looks times words."""
    problem = vision_problem("openclipart", "offline", n_nouns=2000)
    rows = np.concatenate([np.flatnonzero(problem.y == k)[:per_class] for k in classes])
    Z = problem.images[rows]
    W = problem.nouns.features
    parts = []
    for place, (kind, title) in enumerate(
        (("visual", "looks"), ("semantic", "words"), ("ntk", "their product"))
    ):
        K = ntk_affinity(Z, W, affinity=kind, device="cpu")
        np.fill_diagonal(K, 0)
        K = np.clip(K / K.max(), 0, 1)
        left, cell = 20 + 235 * place, 16
        parts.append(text(left + 6 * cell, 30, title, 17, font_weight="bold"))
        for i, j in np.ndindex(K.shape):
            spot = f'x="{left + cell * j}" y="{46 + cell * i}"'
            alike = problem.y[rows[i]] == problem.y[rows[j]]
            colour = BLUE if alike else ORANGE
            parts.append(
                f'<rect {spot} width="15" height="15" fill="{colour}" '
                f'fill-opacity="{K[i, j]:.1f}"/>'
            )
        frame = f'x="{left - 2}" y="44" width="{12 * cell + 3}" height="{12 * cell + 3}"'
        parts.append(f'<rect {frame} fill="none" stroke="{GREY}"/>')
        if place < 2:
            parts.append(text(left + 12 * cell + 22, 150, "×" if place == 0 else "=", 26))
    names = [problem.data_set.class_names[k] for k in classes]
    parts.append(text(350, 268, f"twelve drawings, four of each: {', '.join(names)}", 15))
    return picture(700, 284, parts, SAID["product"])


SAID = {
    "smart": "Two towers, one a view: rows X go through an encoder to embeddings Z, back "
    "through a decoder, and on through a projector to H. A loss joins the Z of aligned rows. A "
    "graph W, made of both Z, weighs a loss between the H. k-means takes H of view 1 beside W "
    "times H of view 2.",
    "leak": "Two batches of eight images and eight texts. Left, all eight images have their "
    "partner among the texts. Right, one has.",
    "ribbons": "Ribbons from five drawings on the left to twelve words on the right, as wide "
    "as the share that the transport plan gives.",
    "product": "Three squares of twelve by twelve drawings: affinity by looks, by words, and "
    "their product. Blue within a class, orange across; the product is strong where both are.",
}
MAKERS = {made.__name__: made for made in (smart, leak, ribbons, product)}

if __name__ == "__main__":
    for name, made in MAKERS.items():
        (OUT / f"{name}.svg").write_text(made(), encoding="utf-8")
