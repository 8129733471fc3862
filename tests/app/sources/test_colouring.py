"""Syntax colours come from a child process; without it, or without a language, there are none."""

from collections.abc import Iterator

import psutil
import pytest

from app.sources.colouring import Colourist

CODE = 'def f(x):\n    """Says\n    it."""\n    return 1  # so\n'


@pytest.fixture
def colourist() -> Iterator[Colourist]:
    made = Colourist()
    yield made
    made.close()


def named(colourist: Colourist, path: str, text: str, kind: str = "text", start: int = 0) -> dict[str, str]:
    colours = colourist.colours(f"{hash(text)}", path, kind, text, start, len(text))
    assert all(0 <= a < b <= len(text) for a, b, _ in colours)
    assert all(one[1] <= other[0] for one, other in zip(colours, colours[1:], strict=False)), "in order, apart"
    return {text[a:b]: name for a, b, name in colours}


def test_code_has_colours(colourist: Colourist) -> None:
    found = named(colourist, "src/f.py", CODE)
    assert found["def"] == "k" and found["f"] == "f" and found["1"] == "n" and found["# so"] == "c"


def test_a_part_is_read_with_what_stands_before_it(colourist: Colourist) -> None:
    found = named(colourist, "f.py", CODE, start=CODE.index("it."))
    assert found.get('"""Says\n    it."""') == "s" or "it." in "".join(found), found


@pytest.mark.parametrize(
    ("path", "text"),
    [("notes.txt", CODE), ("noname", CODE), ("f.py", ""), ("min.js", "x=1;" * 5_000), ("f.unheard", CODE)],
)
def test_no_colours_where_there_is_no_language_or_nobody_reads_it(colourist: Colourist, path: str, text: str) -> None:
    assert named(colourist, path, text) == {}


def test_line_ends_and_signs_stay_where_they_are(colourist: Colourist) -> None:
    text = "x = 'é🌲'\r\ny = 2\r\n\x00\x1b z = 'a"
    assert named(colourist, "f.py", text)["2"] == "n"


def test_code_cells_of_a_notebook_have_colours(colourist: Colourist) -> None:
    text = "[cell 1, markdown]\ndef is a word\n\n[cell 2, code]\ndef f(): pass\n\n[output of cell 2]\ndef 5\n"
    colours = colourist.colours("d", "a.ipynb", "notebook", text, 0, len(text))
    assert [text[a:b] for a, b, name in colours if name == "k"] == ["def", "pass"]


def test_a_child_that_died_is_started_again(colourist: Colourist) -> None:
    assert named(colourist, "f.py", CODE)
    for child in psutil.Process().children(recursive=True):
        if "app.sources.colouring" in " ".join(child.cmdline()):
            child.kill()
            child.wait()
    assert named(colourist, "g.py", CODE + "a = 1\n")
