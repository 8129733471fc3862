"""The parts of a codebase: folders and files of its tree, put together up to what one pass can read."""

import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from app.passes.slices import Slice, TokensOf, slices_of
from engine.backend import Source

_MOST_WASTE = 1.5  # times as many parts as are needed: more, and they are drawn anew


@dataclass(frozen=True, slots=True)
class Part:
    """What belongs together. key: what its page is called, unique. label: where it lies. slices: one a pass."""

    key: str
    label: str
    slices: tuple[Slice, ...] = field(repr=False)

    @property
    def sources(self) -> tuple[Source, ...]:
        """Each once, in their order."""
        return tuple({piece.source.path: piece.source for each in self.slices for piece in each.pieces}.values())

    @property
    def n_tokens(self) -> int:
        return sum(each.n_tokens for each in self.slices)


def parts_of(
    sources: Sequence[Source],
    room: int,
    tokens_of: TokensOf,
    *,
    kept: Mapping[str, Sequence[str]] | None = None,
    slices: Mapping[str, Sequence[Mapping[str, Any]]] = {},
) -> tuple[Part, ...]:
    """All sources in parts, each source in one. kept: the paths of each part of an earlier summary, by label: they stay
    together, so that an edit touches the part of its file alone. slices: of these parts, see slices_of: a file that is
    cut stays as it was cut."""
    there = sorted(sources, key=lambda source: _tree_order(source.path))
    costs = dict(zip((source.path for source in there), tokens_of(there), strict=True))
    groups = _grouped([source.path for source in there], costs, room)
    if kept:
        again = _as_before(groups, costs, room, kept)
        groups = again if len(again) <= _MOST_WASTE * len(groups) + 1 else groups
    by_path = {source.path: source for source in there}
    taken, parts = set[str](), []
    for label, paths in groups.items():
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", label).strip("-.")[:60].strip("-.") or "top"
        key = next(each for each in _numbered(stem, "{}-{}") if each.lower() not in taken)
        taken.add(key.lower())
        these = [by_path[path] for path in paths]
        parts.append(Part(key, label, slices_of(these, room, tokens_of, kept=slices.get(label, ()))))
    return tuple(parts)


def _numbered(name: str, form: str) -> Iterator[str]:
    """A name, and others where it is taken."""
    yield name
    yield from (form.format(name, number) for number in count(2))


def _tree_order(path: str) -> tuple[tuple[bool, str], ...]:
    """Files of a folder before its folders."""
    *folders, name = path.split("/")
    return (*((True, folder) for folder in folders), (False, name))


def _grouped(paths: Sequence[str], costs: Mapping[str, int], room: int, folder: str = "") -> dict[str, list[str]]:
    """The paths of each part, by its label. paths: of what lies below a folder, in order."""
    if folder and sum(costs[path] for path in paths) <= room:
        return {folder: list(paths)}
    children = defaultdict[str, list[str]](list)
    for path in paths:
        name, *below = path[len(folder) :].split("/", 1)
        children[folder + name + ("/" if below else "")].append(path)
    groups = dict[str, list[str]]()
    filling, used = list[str](), 0  # children in a row that go into one part
    for child, below in children.items():
        cost = sum(costs[path] for path in below)
        if cost > room and child.endswith("/"):
            _close(groups, filling, children, folder)
            filling, used = [], 0
            for label, inside in _grouped(below, costs, room, child).items():
                _put(groups, label, inside)
            continue
        if filling and used + cost > room:
            _close(groups, filling, children, folder)
            filling, used = [], 0
        filling.append(child)
        used += cost
    _close(groups, filling, children, folder)
    return groups


def _close(
    groups: dict[str, list[str]], filling: Sequence[str], children: Mapping[str, Sequence[str]], folder: str
) -> None:
    """A part of these children of a folder."""
    if not filling:
        return
    names = [child[len(folder) :] for child in filling]
    label = filling[0] if len(filling) == 1 else f"{folder}{names[0]} to {names[-1]}"
    if len(filling) == len(children):
        label = folder or (filling[0] if len(filling) == 1 else "all files")
    _put(groups, label, [path for child in filling for path in children[child]])


def _put(groups: dict[str, list[str]], label: str, paths: list[str]) -> None:
    """One more part; a file may be called as files from one to another are."""
    groups[next(each for each in _numbered(label, "{} ({})") if each not in groups)] = paths


def _as_before(
    fresh: Mapping[str, Sequence[str]], costs: Mapping[str, int], room: int, kept: Mapping[str, Sequence[str]]
) -> dict[str, list[str]]:
    """The kept parts with what is there now; a new file joins the part that has most of its folder, if it has room."""
    groups = {label: here for label, paths in kept.items() if (here := [path for path in paths if path in costs])}
    of = {path: label for label, paths in groups.items() for path in paths}
    used = {label: sum(costs[path] for path in paths) for label, paths in groups.items()}
    near = defaultdict[str, Counter[str]](Counter)  # of each folder, how many of its files each part has
    for path, label in of.items():
        near[posixpath.dirname(path)][label] += 1
    for label, paths in fresh.items():
        for path in (path for path in paths if path not in of):
            homes = near[posixpath.dirname(path)]
            home = next((each for each, _ in homes.most_common() if used[each] + costs[path] <= room), None)
            home = home or (label if label not in kept else path)
            groups.setdefault(home, []).append(path)
            homes[home] += 1
            used[home] = used.get(home, 0) + costs[path]
    return groups
