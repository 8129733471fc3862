"""The map as a diagram: Mermaid text that parses whatever the names are, and an SVG that is whole."""

import random
import re
from xml.etree import ElementTree

import pytest

from app.passes.summary.diagram import diagram_of, mermaid, svg
from app.passes.summary.document import PartRecord

_NASTY = ["end", 'a"b', "x]y", "a --> b", "%% no", "<script>", "`md`", "#quot;", "a|b"]
_NASTY += ["subgraph", "\u00e4\u6587", "a&b", "c\\d"]
# what our flowcharts are made of, as Mermaid's grammar has it: quoted labels hold no quotation mark
_LABEL = r'"(?:[^"#&<>`\[\]{}|\\]|#\d+;|<br/>)*"'
_LINES = re.compile(
    rf"flowchart LR|  (?:  )?n\d+\[{_LABEL}\]|  subgraph g\d+\[{_LABEL}\]|  end|  n\d+ -->\|\d+\| n\d+",
)


def part(key: str, label: str, name: str = "", imports: dict[str, int] | None = None) -> PartRecord:
    return PartRecord(
        key=key, label=label, name=name, description="", sources={}, n_tokens=1, n_passes=1, imports=imports or {}
    )


def check_parses(text: str) -> None:
    """Every line is one of a flowchart, each box is there once, and every arrow leads from one to another."""
    lines = text.splitlines()
    assert lines[0] == "flowchart LR" and text.endswith("\n")
    assert all(_LINES.fullmatch(line) for line in lines), [line for line in lines if not _LINES.fullmatch(line)]
    boxes = re.findall(r"(?m)^ +(n\d+)\[", text)
    assert len(boxes) == len(set(boxes))
    assert {end for ends in re.findall(r"(n\d+) -->\|\d+\| (n\d+)", text) for end in ends} <= set(boxes)
    assert text.count("  subgraph ") == len(re.findall(r"(?m)^  end$", text))


@pytest.mark.parametrize("seed", range(20))
def test_any_names_parse(seed: int) -> None:
    rng = random.Random(seed)
    keys = [f"k{n}" for n in range(rng.randrange(1, 90))]
    parts = [
        part(
            key,
            "/".join(rng.choice(_NASTY) for _ in range(rng.randrange(1, 4))) + rng.choice(["", "/", " to z.py"]),
            rng.choice(["", *_NASTY]),
            {
                other: rng.randrange(1, 9)
                for other in rng.sample(keys, min(len(keys), rng.randrange(4)))
                if other != key
            },
        )
        for key in keys
    ]
    diagram = diagram_of(parts)
    check_parses(mermaid(diagram))
    drawn = ElementTree.fromstring(svg(diagram))
    boxes = drawn.findall(".//{http://www.w3.org/2000/svg}rect")
    assert len(boxes) == len(diagram.boxes) <= 40
    places = {(box.get("x"), box.get("y")) for box in boxes}
    assert len(places) == len(boxes), "boxes lie on each other"
    assert diagram.is_coarse == (len(parts) > 40)


def test_what_imports_stands_left_of_what_it_imports() -> None:
    parts = [part("c", "c.py"), part("a", "a.py", "", {"b": 1}), part("b", "b.py", "", {"c": 2, "a": 1})]
    drawn = svg(diagram_of(parts))
    x = {label: int(at) for label, at in re.findall(r'<title>([^<]+)</title><rect x="(\d+)"', drawn)}
    assert x["a.py"] < x["b.py"] < x["c.py"]


def test_an_empty_map_is_drawn() -> None:
    check_parses(mermaid(diagram_of([])))
    ElementTree.fromstring(svg(diagram_of([])))
