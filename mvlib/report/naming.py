"""Names for groups, from the words that lie nearest to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_SHOWN_NOUNS = 6
_SHOWN_CAPTIONS = 3


@dataclass(frozen=True)
class GroupName:
    """What a group is called."""

    title: str
    nouns: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()


def name_groups(
    cluster_names: Sequence[Mapping[str, Sequence[tuple[str, float]]]],
) -> tuple[GroupName, ...]:
    """Return a name for each group, no two alike."""
    nouns = [_texts(names, "nouns", _SHOWN_NOUNS) for names in cluster_names]
    captions = [_texts(names, "captions", _SHOWN_CAPTIONS) for names in cluster_names]
    firsts = Counter(words[0] for words in nouns if words)
    titles: list[str] = []
    for group, words in enumerate(nouns):
        if not words:
            title = f"group {group + 1}"
        elif firsts[words[0]] == 1:
            title = words[0]
        else:
            rivals = [other for other in nouns if other is not words and other[:1] == words[:1]]
            taken = {word for other in rivals for word in other}
            own = next((word for word in words[1:] if word not in taken), None)
            title = f"{words[0]}, {own}" if own else f"{words[0]} (group {group + 1})"
        titles.append(title)
    return tuple(map(GroupName, titles, nouns, captions))


def _texts(names: Mapping[str, Sequence[tuple[str, float]]], kind: str, most: int) -> tuple:
    return tuple(str(text) for text, _ in names.get(kind, ())[:most])
