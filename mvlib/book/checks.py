"""Checks of built pages: nothing from outside, no broken link, no image without words."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from bs4 import BeautifulSoup

# What a page loads by itself, in contrast to what a reader may click.
_LOADED = {
    "audio": ("src",),
    "embed": ("src",),
    "iframe": ("src",),
    "image": ("href", "xlink:href"),
    "img": ("src", "srcset"),
    "input": ("src",),
    "link": ("href",),
    "object": ("data",),
    "script": ("src",),
    "source": ("src", "srcset"),
    "track": ("src",),
    "use": ("href", "xlink:href"),
    "video": ("src", "poster"),
}
_CSS_LOADS = re.compile(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)")
# A script may name pages for a reader; what it can load are scripts, styles and modules.
_SCRIPT_LOADS = re.compile(
    r"""['"`]((?:https?:)?//(?:[^'"`\s]*\.(?:m?js|css|wasm)(?=['"`?#])"""
    r"""|[^'"`\s/]*(?:unpkg|jsdelivr|cdnjs|googleapis|gstatic|analytics)[^'"`\s]*))"""
)
_IMAGE_NAME = re.compile(r"\S+\.(png|svg|jpe?g|gif|webp)", re.IGNORECASE)


def book_problems(html: str | Path) -> list[str]:
    """Return what is wrong with a built book.

    Parameters
    ----------
    html : str or Path
        The folder of its pages.

    Returns
    -------
    list of str
        One line a problem, `page: what`; empty for a good book. A problem is: a script,
        style, font or picture from outside; a link or anchor inside the book that leads
        nowhere; an image without alternative text, or with its file's name for one.
    """
    from bs4 import BeautifulSoup

    root = Path(html).resolve()
    pages = {
        path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for path in sorted(root.rglob("*.html"))
        # The theme leaves the templates of its own parts among the static files.
        if "_static" not in path.relative_to(root).parts
    }
    # `#top` is a page's beginning by the standard.
    anchors = {path: _anchors(page) | {"top"} for path, page in pages.items()}
    problems = []
    for path, page in pages.items():
        name = path.relative_to(root).as_posix()
        found = page_problems(page) + _broken_links(path, page, root, anchors)
        problems += [f"{name}: {problem}" for problem in found]
    for path in sorted(root.rglob("*.css")):
        name = path.relative_to(root).as_posix()
        text = path.read_text(encoding="utf-8", errors="replace")
        problems += [f"{name}: loads {url} from outside" for url in _css_outside(text)]
    for path in sorted(root.rglob("*.js")):
        name = path.relative_to(root).as_posix()
        text = path.read_text(encoding="utf-8", errors="replace")
        problems += [f"{name}: can load {url} from outside" for url in _script_outside(text)]
    return problems


def page_problems(page: BeautifulSoup | str) -> list[str]:
    """Return what is wrong with one page by itself: loads from outside, images without words.

    Parameters
    ----------
    page : BeautifulSoup or str
        The page, parsed or as HTML.

    Returns
    -------
    list of str
        One line a problem.
    """
    if isinstance(page, str):
        from bs4 import BeautifulSoup

        page = BeautifulSoup(page, "html.parser")
    problems = [f"loads {url} from outside" for _, url in _loads(page) if _is_outside(url)]
    for style in page.find_all("style"):
        problems += [f"loads {url} from outside" for url in _css_outside(style.get_text())]
    for tag in page.find_all(style=True):
        problems += [f"loads {url} from outside" for url in _css_outside(tag["style"])]
    for script in page.find_all("script", src=False):
        found = _script_outside(script.get_text())
        problems += [f"a script can load {url} from outside" for url in found]
    for image in page.find_all("img"):
        words = (image.get("alt") or "").strip()
        source = str(image.get("src", ""))[:80]
        if not words:
            problems.append(f"image {source} has no alternative text")
        elif _IMAGE_NAME.fullmatch(words):
            problems.append(f"image {source} has a file name for alternative text")
    return problems


def _loads(page: BeautifulSoup) -> list[tuple[Any, str]]:
    found = []
    for tag in page.find_all(list(_LOADED)):
        if tag.name == "link" and set(tag.get("rel", [])) <= {"canonical", "author", "license"}:
            continue
        for attribute in _LOADED[tag.name]:
            value = tag.get(attribute)
            if value and attribute == "srcset":
                found += [(tag, part.split()[0]) for part in value.split(",") if part.strip()]
            elif value:
                found.append((tag, value))
    return found


def _broken_links(
    path: Path, page: BeautifulSoup, root: Path, anchors: dict[Path, set[str]]
) -> list[str]:
    links = [tag["href"] for tag in page.find_all("a", href=True)]
    links += [url for _, url in _loads(page)]
    problems = []
    for link in dict.fromkeys(links):
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
        elif parts.fragment and unquote(parts.fragment) not in anchors.get(target, {""}):
            problems.append(f"link {link} leads to no such place in the page")
    return problems


def _anchors(page: BeautifulSoup) -> set[str]:
    named = {tag["name"] for tag in page.find_all("a", attrs={"name": True})}
    return named | {tag["id"] for tag in page.find_all(id=True)}


def _is_outside(url: str) -> bool:
    return url.startswith("//") or urlsplit(url).scheme not in ("", "data", "about")


def _css_outside(text: str) -> list[str]:
    loads = (first or second for first, second in _CSS_LOADS.findall(text))
    return [url.strip() for url in loads if _is_outside(url.strip())]


def _script_outside(text: str) -> list[str]:
    return list(dict.fromkeys(_SCRIPT_LOADS.findall(text)))
