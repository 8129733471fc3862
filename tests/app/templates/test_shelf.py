"""The shelf of templates: ours, the user's own in their place, what is no template, and what /name calls."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.templates.shelf import Filled, Shelf
from engine.errors import InputRefused, LongdeskError, UsageError

OURS = ("compare", "contradictions", "explain", "extract-table", "onboarding", "open-questions", "release-notes")


@dataclass(frozen=True)
class Named:
    path: str
    kind: str = "text"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "templates").mkdir()
    return tmp_path / "templates"


@pytest.fixture
def shelf(folder: Path) -> Shelf:
    return Shelf(folder)


def called(shelf: Shelf, question: str) -> Filled:
    filled = shelf.called(question)
    assert filled is not None
    return filled


def test_ours_are_there_without_a_folder_and_are_short(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "none")
    assert tuple(each.name for each in shelf.all()) == OURS and shelf.faults() == ()
    for template in shelf.all():
        assert template.is_ours and template.suits and 15 <= len(template.text.split()) <= 110, template.name
        assert "{{" not in template.fill(dict.fromkeys(template.needs, "x"))


def test_the_users_own_takes_the_place_of_ours(shelf: Shelf, folder: Path) -> None:
    (folder / "explain.md").write_text("Mine")
    (folder / "more.md").write_text("More")
    assert [each.name for each in shelf.all()] == sorted((*OURS, "more"))
    assert shelf.find("explain").text == "Mine" and not shelf.find("/Explain").is_ours
    (folder / "explain.md").unlink()
    assert shelf.find("explain").is_ours, "looked at anew"


def test_files_that_are_no_templates_are_said_and_cost_the_others_nothing(shelf: Shelf, folder: Path) -> None:
    (folder / "good.md").write_text("Good")
    (folder / "explain.md").write_text("---\ntitle: [\n---\nx")
    (folder / "huge.md").write_bytes(b"x" * (1 << 20))
    (folder / "binary.md").write_bytes(bytes(range(256)))
    (folder / "not this.md").write_text("Name")
    (folder / "other.txt").write_text("Other")
    (folder / "folder.md").mkdir()
    os.mkfifo(folder / "pipe.md")
    (folder / "gone.md").symlink_to(folder / "nothing")
    (folder / ".hidden.md").write_text("Hidden")
    faults = [fault.sentence for fault in shelf.faults()]
    assert len(faults) == 8 and all(str(folder) in each for each in faults)
    assert [each.name for each in shelf.all()] == sorted((*OURS, "good"))
    with pytest.raises(InputRefused, match=r"explain\.md .* is no template: Its front matter is no YAML"):
        shelf.find("explain")
    with pytest.raises(InputRefused, match="over the limit"):
        shelf.called("/huge")
    assert called(shelf, "/good").text == "Good"


@pytest.mark.skipif(sys.platform == "darwin", reason="names differ by more than case there")
def test_two_files_of_a_name_are_neither(shelf: Shelf, folder: Path) -> None:
    (folder / "Mine.md").write_text("One")
    (folder / "mine.md").write_text("Two")
    with pytest.raises(InputRefused, match="another template mine"):
        shelf.find("mine")


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/b", "explain.md", "..\\x", "./explain"])
def test_a_path_is_no_name(shelf: Shelf, name: str) -> None:
    with pytest.raises(UsageError, match="called by its name, not by a path"):
        shelf.find(name)


def test_a_name_that_is_nearly_one_is_told(shelf: Shelf) -> None:
    with pytest.raises(UsageError, match="Did you mean explain?"):
        shelf.find("explian")
    with pytest.raises(UsageError, match="templates list"):
        shelf.find("zzz")


@pytest.mark.parametrize(
    ("question", "values", "also"),
    [
        ("/extract-table each invoice", {"what": "each invoice"}, ""),
        ("/extract-table what: each invoice columns: no, sum", {"what": "each invoice", "columns": "no, sum"}, ""),
        ("/extract-table\nwhat: each\ninvoice\ncolumns= a = b", {"what": "each\ninvoice", "columns": "a = b"}, ""),
        ("/extract-table columns: a; what: rows", {"what": "rows", "columns": "a"}, ""),
        ("/extract-table be exact what: rows", {"what": "rows"}, "be exact"),
        ("/explain in French", {}, "in French"),
        ("/release-notes v1.0..v2.0", {"range": "v1.0..v2.0"}, ""),
        ("/release-notes HEAD~3.. version: 2", {"range": "HEAD~3..", "version": "2"}, ""),
        ("/release-notes in short... range: a b..c", {"range": "a b..c"}, "in short..."),
        ("/EXPLAIN focus: somewhat: tests", {"focus": "somewhat: tests"}, ""),
    ],
)
def test_a_call_fills_in_blanks(shelf: Shelf, question: str, values: dict[str, str], also: str) -> None:
    name = question.split()[0].lower().lstrip("/")
    assert called(shelf, question) == shelf.fill(name, values, also)
    call = shelf.call(question)
    assert call is not None and called(shelf, call.line()) == called(shelf, question), "as it would be typed"


@pytest.mark.parametrize(
    "question",
    ["/tmp is full, why?", "/etc/passwd", "/explain/this", " /explain", "What is /explain?", "/", "/é", "", "//"],
)
def test_any_other_question_is_asked_as_it_stands(shelf: Shelf, question: str) -> None:
    assert shelf.called(question) is None


@pytest.mark.parametrize("question", ["/explian", "/extract-table", "/extract-table what: a what: b"])
def test_a_call_that_cannot_be_filled_in_is_a_sentence(shelf: Shelf, question: str) -> None:
    with pytest.raises(LongdeskError, match=r"\.$"):
        shelf.called(question)


def test_those_are_offered_that_suit_what_there_is(shelf: Shelf, folder: Path) -> None:
    def offered(*sources: Named) -> list[str]:
        return [each.name for each in shelf.suiting(sources)]

    assert offered() == []
    assert offered(Named("a.py"))[:2] == ["explain", "onboarding"]
    assert offered(Named("a.diff"), Named("b.patch")) == ["release-notes"]
    assert "compare" in offered(Named("a.pdf", "pdf")) and "explain" not in offered(Named("a.pdf", "pdf"))
    assert "extract-table" in offered(Named("scan.png", "image"))
    (folder / "mine.md").write_text("---\nfor: code\n---\nMine")
    assert offered(Named("a.py"))[0] == "mine", "the user's own first"
