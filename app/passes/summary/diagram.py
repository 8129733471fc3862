"""The map of a codebase as a diagram: its parts, and which import which. As Mermaid text that always parses, and as an
SVG of our own, so that nothing has to be fetched to see it."""

import posixpath
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from app.passes.summary.document import PartRecord

_MOST_BOXES = 40
_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 220, 44, 90, 14, 12  # pixels
_MOST_COLUMNS = 4
_LONGEST = 30  # characters of a line in a box
_UNSENDABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]")  # no XML can hold them


@dataclass(frozen=True, slots=True)
class Diagram:
    """boxes: their lines of text, by key, in order. folders: that a box lies in, by key. arrows: from and to, with how
    often. is_coarse: boxes are folders at the top, since there are too many parts."""

    boxes: Mapping[str, tuple[str, str]]
    folders: Mapping[str, str]
    arrows: Mapping[tuple[str, str], int]
    is_coarse: bool = False


def diagram_of(parts: Sequence[PartRecord]) -> Diagram:
    """The parts, or where they are too many for one picture, the folders at the top that they lie in."""
    if len(parts) > _MOST_BOXES:
        return _coarse(parts)
    return Diagram(
        {part.key: (part.label, part.name) for part in parts},
        {part.key: posixpath.dirname(part.label.split(" to ")[0].rstrip("/")) for part in parts},
        {(part.key, other): count for part in parts for other, count in part.imports.items()},
    )


def _coarse(parts: Sequence[PartRecord]) -> Diagram:
    depth = max((n for n in range(1, 6) if len({_top(part.label, n) for part in parts}) <= _MOST_BOXES), default=1)
    of = {part.key: _top(part.label, depth) for part in parts}
    labels = list(dict.fromkeys(of.values()))[:_MOST_BOXES]
    arrows = defaultdict[tuple[str, str], int](int)
    for part in parts:
        for other, count in part.imports.items():
            ends = of[part.key], of[other]
            if ends[0] != ends[1] and set(ends) <= set(labels):
                arrows[ends] += count
    n_parts = {label: sum(each == label for each in of.values()) for label in labels}
    boxes = {label: (label, f"{n_parts[label]:,} parts") for label in labels}
    return Diagram(boxes, dict.fromkeys(labels, ""), dict(arrows), is_coarse=True)


def _top(label: str, depth: int) -> str:
    *folders, _ = label.split(" to ")[0].split("/")
    return "/".join(folders[:depth]) + "/" if folders else "files at the top"


# Mermaid


def mermaid(diagram: Diagram) -> str:
    """A flowchart. Every name is escaped but for letters, digits and a few signs: none can be read as syntax."""
    ids = {key: f"n{number}" for number, key in enumerate(diagram.boxes)}
    within = defaultdict[str, list[str]](list)
    for key in diagram.boxes:
        within[diagram.folders[key]].append(key)
    lines = ["flowchart LR"]
    for number, (folder, keys) in enumerate(within.items()):
        boxes = [f'{ids[key]}["{"<br/>".join(map(_escaped, filter(None, diagram.boxes[key])))}"]' for key in keys]
        if folder:
            lines += [f'  subgraph g{number}["{_escaped(folder)}"]', *(f"    {box}" for box in boxes), "  end"]
        else:
            lines += [f"  {box}" for box in boxes]
    lines += [f"  {ids[one]} -->|{count}| {ids[other]}" for (one, other), count in diagram.arrows.items()]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return "".join(each if each.isalnum() or each in " _./-," else f"#{ord(each)};" for each in text)


# SVG


def svg(diagram: Diagram) -> str:
    """Boxes in columns: what imports stands left of what it imports, as far as that is no circle."""
    columns = _columns(diagram)
    places = {
        key: (_MARGIN + x * (_WIDTH + _GAP_X), _MARGIN + y * (_HEIGHT + _GAP_Y))
        for x, column in enumerate(columns)
        for y, key in enumerate(column)
    }
    width = 2 * _MARGIN + len(columns) * (_WIDTH + _GAP_X) - _GAP_X // 2  # arrows within the last column bend there
    height = 2 * _MARGIN + max(map(len, columns), default=1) * (_HEIGHT + _GAP_Y) - _GAP_Y
    most = max(diagram.arrows.values(), default=1)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
            f'height="{height}" role="img" aria-label="Parts and their imports" font-family="sans-serif">',
            *(_arrow(places[one], places[other], count / most) for (one, other), count in diagram.arrows.items()),
            *(_box(*places[key], lines) for key, lines in diagram.boxes.items()),
            "</svg>",
        ]
    )


def _columns(diagram: Diagram) -> list[list[str]]:
    """The boxes by how many arrows lead to them in a row; what no arrow touches stands apart, in columns of its own."""
    rank = dict.fromkeys(diagram.boxes, 0)
    leads = defaultdict[str, list[str]](list)
    for one, other in diagram.arrows:
        leads[one].append(other)
    done, under_way = set[str](), set[str]()

    def visit(key: str) -> list[str]:
        """Every box that can be reached, each behind all that it leads to."""
        order, stack = list[str](), [(key, iter(leads[key]))]
        under_way.add(key)
        while stack:
            at, rest = stack[-1]
            following = next((other for other in rest if other not in done and other not in under_way), None)
            if following is None:
                stack.pop()
                done.add(at)
                order.append(at)
            else:
                under_way.add(following)
                stack.append((following, iter(leads[following])))
        return order

    order = [each for key in diagram.boxes if key not in done for each in visit(key)][::-1]
    at = {key: number for number, key in enumerate(order)}
    for key in order:
        for other in leads[key]:
            if at[other] > at[key]:  # an arrow back changes nothing
                rank[other] = max(rank[other], rank[key] + 1)
    n_ranks = max(rank.values(), default=0) + 1
    if n_ranks > _MOST_COLUMNS:  # a long way round a circle is no order
        rank = {key: n * _MOST_COLUMNS // n_ranks for key, n in rank.items()}
    touched = {key for ends in diagram.arrows for key in ends}
    ranks = range(max(rank.values(), default=0) + 1)
    columns = [[key for key in diagram.boxes if key in touched and rank[key] == n] for n in ranks]
    alone = [key for key in diagram.boxes if key not in touched]
    rows = max(6, *map(len, columns))
    return [column for column in columns if column] + [alone[n : n + rows] for n in range(0, len(alone), rows)]


def _arrow(one: tuple[int, int], other: tuple[int, int], share: float) -> str:
    back = other[0] <= one[0]
    x1, x2 = (one[0], other[0] + _WIDTH) if other[0] < one[0] else (one[0] + _WIDTH, other[0])
    x2 = other[0] + _WIDTH if other[0] == one[0] else x2
    y1, y2 = one[1] + _HEIGHT // 2, other[1] + _HEIGHT // 2
    bend = _GAP_X // 2 if other[0] >= one[0] else -_GAP_X // 2
    c2 = x2 + bend if other[0] == one[0] else x2 - bend
    dash = ' stroke-dasharray="4 3"' if back else ""
    return (
        f'<path d="M{x1},{y1} C{x1 + bend},{y1} {c2},{y2} {x2},{y2}" fill="none" stroke="#2a7f86" '
        f'stroke-opacity="0.55" stroke-width="{1 + 2 * share:.1f}"{dash}/>'
        f'<circle cx="{x2}" cy="{y2}" r="3" fill="#2a7f86"/>'
    )


def _box(x: int, y: int, lines: tuple[str, str]) -> str:
    """Its label, and the model's name for it."""
    label, name = (_UNSENDABLE.sub("\N{REPLACEMENT CHARACTER}", line) for line in lines)
    first = 18 if name else 27
    texts = f'<text x="{x + 10}" y="{y + first}" font-size="12" fill="#1d2b2c">{escape(_short(label))}</text>'
    if name:
        texts += f'<text x="{x + 10}" y="{y + 34}" font-size="11" fill="#52686a">{escape(_short(name))}</text>'
    return (
        f'<g><title>{escape(f"{label}: {name}" if name else label)}</title><rect x="{x}" y="{y}" width="{_WIDTH}" '
        f'height="{_HEIGHT}" rx="6" fill="#f4f1ea" stroke="#8aa5a7"/>{texts}</g>'
    )


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"\u2026{text[1 - _LONGEST :]}"
