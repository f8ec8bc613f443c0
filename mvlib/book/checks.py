"""Checks of built pages: nothing from outside, no broken link, no image without words."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# What a page loads by itself, in contrast to what a reader may click.
_LOADED = {
    **dict.fromkeys(("audio", "embed", "iframe", "input", "script", "track"), ("src",)),
    **dict.fromkeys(("image", "use"), ("href", "xlink:href")),
    **dict.fromkeys(("img", "source"), ("src", "srcset")),
    "link": ("href",),
    "object": ("data",),
    "video": ("src", "poster"),
}
_NOT_LOADED = {"canonical", "author", "license"}
_CSS_LOADS = re.compile(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)")
# A script may name pages for a reader; what it can load are scripts, styles and modules.
_SCRIPT_LOADS = re.compile(
    r"""['"`]((?:https?:)?//(?:[^'"`\s]*\.(?:m?js|css|wasm)(?=['"`?#])"""
    r"""|[^'"`\s/]*(?:unpkg|jsdelivr|cdnjs|googleapis|gstatic|analytics)[^'"`\s]*))"""
)
_IMAGE_NAME = re.compile(r"\S+\.(png|svg|jpe?g|gif|webp)", re.IGNORECASE)


def book_problems(html: str | Path) -> list[str]:
    """Return what is wrong with a built book."""
    root = Path(html).resolve()
    pages = {
        path: _Page(path.read_text(encoding="utf-8"))
        for path in sorted(root.rglob("*.html"))
        # The theme leaves the templates of its own parts among the static files.
        if "_static" not in path.relative_to(root).parts
    }
    anchors = {path: page.anchors for path, page in pages.items()}
    problems = []
    for path, page in pages.items():
        name = path.relative_to(root).as_posix()
        found = page.problems() + _broken_links(path, page, root, anchors)
        problems += [f"{name}: {problem}" for problem in found]
    kinds = (("css", "loads", _css_outside), ("js", "can load", _script_outside))
    for suffix, does, outside in kinds:
        for path in sorted(root.rglob(f"*.{suffix}")):
            name = path.relative_to(root).as_posix()
            found = outside(path.read_text(encoding="utf-8", errors="replace"))
            problems += [f"{name}: {does} {url} from outside" for url in found]
    return problems


def page_problems(page: str) -> list[str]:
    """Return what is wrong with a page by itself: loads from outside, images without words."""
    return _Page(page).problems()


class _Page(HTMLParser):
    """What a page loads, links to, shows and can be linked to by, gathered in one reading."""

    def __init__(self, text: str) -> None:
        super().__init__()
        # `#top` is a page's beginning by the standard.
        self.anchors = {"top"}
        self.links: list[str] = []
        self.loads: list[str] = []
        self.images: list[dict[str, str]] = []
        self.texts: dict[str, list[str]] = {"style": [], "script": []}
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self._inside = "" if tag == "script" and "src" in values else tag
        self.anchors.update(filter(None, [values.get("id")]))
        if tag == "a":
            self.anchors.update(filter(None, [values.get("name")]))
            self.links += [values["href"]] if "href" in values else []
        elif tag == "img":
            self.images.append(values)
        if "style" in values:
            self.texts["style"].append(values["style"])
        if tag != "link" or not set(values.get("rel", "").split()) <= _NOT_LOADED:
            for name in _LOADED.get(tag, ()):
                value = values.get(name, "")
                urls = [part.split()[0] for part in value.split(",") if part.strip()]
                self.loads += urls if name == "srcset" else [value] * bool(value)

    def handle_data(self, data: str) -> None:
        if self._inside in self.texts:
            self.texts[self._inside].append(data)

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def problems(self) -> list[str]:
        """Return what is wrong with the page by itself."""
        outside = [url for url in self.loads if _is_outside(url)]
        outside += [url for style in self.texts["style"] for url in _css_outside(style)]
        problems = [f"loads {url} from outside" for url in outside]
        found = [url for script in self.texts["script"] for url in _script_outside(script)]
        problems += [f"a script can load {url} from outside" for url in found]
        for image in self.images:
            words, source = image.get("alt", "").strip(), image.get("src", "")[:80]
            if not words:
                problems.append(f"image {source} has no alternative text")
            elif _IMAGE_NAME.fullmatch(words):
                problems.append(f"image {source} has a file name for alternative text")
        return problems


def _broken_links(
    path: Path, page: _Page, root: Path, anchors: dict[Path, set[str]]
) -> list[str]:
    problems = []
    for link in dict.fromkeys([*page.links, *page.loads]):
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = path
        if parts.path:
            target = (path.parent / unquote(parts.path)).resolve()
            if target.is_dir():
                target /= "index.html"
        if not target.is_relative_to(root) or not target.is_file():
            problems.append(f"link {link} leads to no file")
        elif parts.fragment and unquote(parts.fragment) not in anchors.get(target, ()):
            problems.append(f"link {link} leads to no such place in the page")
    return problems


def _is_outside(url: str) -> bool:
    return url.startswith("//") or urlsplit(url).scheme not in ("", "data", "about")


def _css_outside(text: str) -> list[str]:
    loads = (first or second for first, second in _CSS_LOADS.findall(text))
    return [url.strip() for url in loads if _is_outside(url.strip())]


def _script_outside(text: str) -> list[str]:
    return list(dict.fromkeys(_SCRIPT_LOADS.findall(text)))
