"""Notes: what of an answer is kept, with which citations, and as which source it is sent."""

from dataclasses import replace

import pytest

from app.noting import piece_of, source_of, title_of_note
from engine.answer.citations import Citation, Status
from engine.corpus.source import digest_text
from engine.errors import UsageError
from storage.records import KeptNote, SourceLink, Turn

TEXT = "The **rent** is 640 euros. The dog is called `Biscuit`, they say."
FIRST = Citation(statement=(0, 26), status=Status.VERIFIED, quote="640 euros", path="rent.txt")
SECOND = Citation(statement=(27, len(TEXT)), status=Status.MISSING)


def turn(text: str = TEXT) -> Turn:
    nothing = dict.fromkeys(
        ("vocabulary", "error", "prefill_done", "prompt_tokens", "reused_tokens", "reply_tokens", "read_s", "load_s")
    )
    return Turn(
        id=1, session_id="s", index=0, question="Q", text=text, stop="end", reply_ids=(), settings={}, prefill_s=None,
        ttft_s=None, citations=(FIRST, SECOND), receipt=None, created="", finished="", **nothing,
    )  # type: ignore[arg-type]  # fmt: skip


def link(path: str, text: str) -> SourceLink:
    return SourceLink(path, "text", len(text), digest_text(text), None, "utf-8", (), False, 0, 0, True)


def test_all_of_an_answer_is_kept_with_its_citations() -> None:
    assert piece_of(turn(), None) == (TEXT, (FIRST, SECOND))


@pytest.mark.parametrize(
    ("words", "kept", "cited"),
    [
        ("rent is 640", "**rent** is 640", [(FIRST, (0, 15))]),
        ("called Biscuit , they", "called `Biscuit`, they", [(SECOND, (0, 22))]),
        ("euros. The dog", "euros. The dog", [(FIRST, (0, 6)), (SECOND, (7, 14))]),
        ("of my own", "of my own", []),
    ],
)
def test_selected_words_are_found_in_what_the_model_wrote(
    words: str, kept: str, cited: list[tuple[Citation, tuple[int, int]]]
) -> None:
    text, citations = piece_of(turn(), words)
    assert text == kept
    assert citations == tuple(replace(each, statement=span) for each, span in cited)


@pytest.mark.parametrize("words", ["", " \n"])
def test_nothing_is_no_note(words: str) -> None:
    with pytest.raises(UsageError, match="nothing to keep"):
        piece_of(turn(), words)
    with pytest.raises(UsageError, match="nothing to keep"):
        piece_of(turn(" "), None)


def test_a_title_is_given_or_the_beginning() -> None:
    assert title_of_note("  My\ntitle ", TEXT) == "My title"
    assert title_of_note("", "\n---\n## **Prices** of fruit\n\nText") == "Prices** of fruit"
    assert title_of_note("", "word " * 40).endswith("word…") and title_of_note("", "***") == "Note"


def test_a_note_is_a_source_of_its_own_path() -> None:
    note = KeptNote(number=3, title="../a/b: c\x00?\u202e", text="Text", created="")
    source = source_of(note, [])
    assert source.path.startswith("notes/") and source.path.count("/") == 1 and source.path.endswith(".md")
    assert (source.kind, source.text, source.digest) == ("text", "Text", digest_text("Text"))
    plain = replace(note, title="Plan")
    assert source_of(plain, [link("notes/Plan.md", "Text")]).path == "notes/Plan.md", "it is there already"
    assert source_of(plain, [link("notes/Plan.md", "Other")]).path == "notes/Plan 2.md", "another has its path"
    assert source_of(replace(note, title="..."), []).path == "notes/Note 3.md"
