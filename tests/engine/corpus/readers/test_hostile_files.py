"""Files that are made to take a reader's time, memory or life: each ends in a source or a reason, and this process
never reads one itself."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.corpus.collect import collect
from engine.corpus.formats.reader import draw, read_content
from engine.corpus.readers import limits
from engine.corpus.rules import Rules
from engine.corpus.source import Cause, KeptFile, Pixels, Skipped, Source
from tests import hostile
from tests.hostile import DRAWN_FOR_EVER, IMAGES, NOTEBOOKS, RAW_PHOTOS, TOO_MUCH_TEXT

pytestmark = pytest.mark.usefixtures("brief")

Found = Source | Skipped


def read(data: bytes, path: str, rules: Rules = Rules()) -> Found:
    return read_content(path, len(data), io.BytesIO(data).read, rules)


def reason(found: Found | Pixels) -> str:
    assert isinstance(found, Skipped), found
    return found.reason


def slow_but(names: dict[str, Callable[[], bytes]], *quick: str) -> list[object]:
    """The names; all but these few are of tests that take seconds."""
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in names]


@pytest.mark.parametrize("name", slow_but(DRAWN_FOR_EVER, "tiny pattern"))
def test_a_page_that_draws_for_ever_is_ended_and_said(name: str) -> None:
    drawn = draw("brief.pdf", KeptFile("PDF", DRAWN_FOR_EVER[name](), scalable=True), number=1, width=612, height=792)
    assert reason(drawn) == "page 1 takes too long to draw"


def test_the_rest_of_a_file_goes_on_without_the_page_that_takes_too_long() -> None:
    found = read(hostile.tiny_pattern_on_one_of(3, bad=1), "brief.pdf", Rules(draw_pages="bare"))
    assert isinstance(found, Source) and found.is_partial
    assert found.text == "[page 1]\nPage 1 of the agreement.\n\n[page 2]\n\n[page 3]\nPage 3 of the agreement.\n\n"
    assert found.notes == ("Page 2 could not be read.", "Page 2 takes too long to draw: left out.")
    assert not found.pictures, "what is not drawn is not sent as a picture"


def test_the_rest_of_a_corpus_goes_on(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Some words.")
    (tmp_path / "b.pdf").write_bytes(hostile.nested_words())
    (tmp_path / "c.pdf").write_bytes(hostile.one_page(hostile.words(b"The rent.")))
    corpus = collect([tmp_path])
    assert [source.path for source in corpus.sources] == ["a.txt", "c.pdf"]
    assert [(one.path, one.reason) for one in corpus.skipped] == [("b.pdf", "page 1 takes too long to read")]
    assert corpus.skipped[0].cause is Cause.UNREADABLE, "another time it may go"


FORMS: dict[str, Callable[[], bytes]] = {
    "of itself": lambda: hostile.forms_of_each_other(1),
    "of each other": lambda: hostile.forms_of_each_other(2),
    "of each other below words": lambda: hostile.forms_of_each_other(3, hostile.words(b"The rent.")),
    "empty": hostile.forms_without_end,
    "squares": lambda: hostile.forms_without_end(b"10 10 500 500 re f"),
    "words": lambda: hostile.forms_without_end(hostile.words(b"again")),
}


@pytest.mark.parametrize("pages", ["never", "bare"])
@pytest.mark.parametrize("name", slow_but(FORMS, "of each other"))
def test_forms_that_never_end_are_not_called_damaged(name: str, pages: str) -> None:
    found = read(FORMS[name](), "brief.pdf", Rules(draw_pages=pages))
    if pages == "never":
        assert reason(found) == "page 1 takes too long to read"
    else:
        assert isinstance(found, Source) and found.is_wordless
        assert found.nature == "page 1 takes too long to read"  # as whoever cannot see is told


@pytest.mark.parametrize("name", slow_but(TOO_MUCH_TEXT, "long map"))
def test_text_without_end_has_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    is_long = name in ("long line", "shared content")
    monkeypatch.setattr(limits, "STEP_CPU_S", 20.0 if is_long else 1.0)
    monkeypatch.setattr(limits, "MEMORY_BYTES", 2 << 30)
    monkeypatch.setattr(limits, "FREE_CHARACTERS", 50_000)
    monkeypatch.setattr(limits, "CHARACTERS_PER_BYTE", 1)
    found = read(TOO_MUCH_TEXT[name](), "brief.pdf")
    assert isinstance(found, Skipped) and found.reason
    if is_long:
        assert "characters" in found.reason


def test_a_page_with_more_characters_than_any_has_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_PAGE_CHARACTERS", 5_000)
    monkeypatch.setattr(limits, "STEP_CPU_S", 20.0)
    found = read(hostile.pages_of([hostile.words(b"Short."), hostile.words(b"long " * 2_000)]), "brief.pdf")
    assert isinstance(found, Source) and "Short." in found.text and "long" not in found.text
    assert "Page 2 has 10,000 characters, over the limit of 5,000 for a page: it was left out." in found.notes


def test_a_file_with_more_characters_than_its_size_can_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FREE_CHARACTERS", 1_000)
    monkeypatch.setattr(limits, "CHARACTERS_PER_BYTE", 1)
    monkeypatch.setattr(limits, "STEP_CPU_S", 20.0)
    found = read(hostile.shared_content(n_pages=10, n_lines=20), "brief.pdf")
    assert reason(found).startswith("more than ") and found.cause is Cause.TOO_LARGE  # type: ignore[union-attr]


@pytest.mark.parametrize("name", slow_but(IMAGES, "a.png", "c.png", "i.tiff"))
def test_images_that_unpack_without_end(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STEP_CPU_S", 4.0)
    found = read(IMAGES[name](), name, Rules(draw_pages="all"))
    if isinstance(found, Source):
        assert found.pictures and all(picture.width <= 8_192 for picture in found.pictures)
    else:
        assert found.reason


@pytest.mark.parametrize("name", slow_but(NOTEBOOKS, "deep json", "escapes"))
def test_notebooks_that_have_no_end(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STEP_CPU_S", 4.0)
    found = read(NOTEBOOKS[name](), "a.ipynb")
    assert isinstance(found, Source) or found.reason


@pytest.mark.parametrize("name", RAW_PHOTOS)
def test_raw_photos_that_lie(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STEP_CPU_S", 4.0)
    found = read(RAW_PHOTOS[name](), name)
    assert isinstance(found, Skipped) and found.reason


def test_a_notebook_of_a_million_cells_is_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_CELLS", 100)
    monkeypatch.setattr(limits, "STEP_CPU_S", 20.0)
    found = read(hostile.many_cells(101), "a.ipynb")
    assert isinstance(found, Source) and found.kind == "text"
    assert "it has 101 cells, over the limit of 100" in found.notes[0]
