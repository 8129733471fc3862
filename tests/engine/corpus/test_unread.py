"""Records of sources: every field comes back, and what is not in them is read again when it is asked for."""

import json
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, get_type_hints

import pytest

from engine.corpus.source import Cause, KeptFile, Picture, Skipped, Source
from engine.corpus.unread import GIVEN, UnreadSource, packed, unpacked
from engine.errors import SourceRefused

PICTURES = (Picture(1, 640, 480), Picture(3, 10, 20))
WHOLE = Source(
    "a/b.pdf",
    "pdf",
    "[page 1]\none\n[page 2]\ntwo",
    123,
    "d" * 32,
    page_starts=(0, 13),
    encoding="utf-8",
    kept_file=KeptFile("PDF", b"%PDF", scalable=True),
    pictures=PICTURES,
    notes=("A note.", "Another, \udce9."),
    reader="PDFium",
    origin="/elsewhere",
    volatility=0.5,
    nature="a scan",
)
PLAIN = Source("a.txt", "text", "some text", 9, "e" * 32, encoding="utf-8")


def through_json(found: Source | Skipped) -> Any:
    return json.loads(json.dumps(packed(found)))


def again(source: Source, read: Callable[[], Source | Skipped] | None = None) -> Source:
    found = unpacked(through_json(source), source.path, read or (lambda: source))
    assert isinstance(found, Source)
    return found


def unlike_default(kind: Any) -> Any:
    """A value of this type that no field has by itself."""
    values: dict[Any, Any] = {str: "value", int: 7, float: 0.25, bool: True}
    return values.get(kind) or getattr(WHOLE, next(name for name, each in HINTS.items() if each == kind))


HINTS = get_type_hints(Source)


@pytest.mark.parametrize("name", [each.name for each in fields(Source)])
def test_no_field_is_forgotten(name: str) -> None:
    """Whatever fields a source has: a new one is kept, or is named among those that are given anew."""
    source = replace(PLAIN, **{name: unlike_default(HINTS[name])})
    found = again(source)
    if name in GIVEN and name != "path":
        assert getattr(found, name) == next(each.default for each in fields(Source) if each.name == name)
    else:
        assert getattr(found, name) == getattr(source, name)


@pytest.mark.parametrize("name", [each.name for each in fields(Skipped)])
def test_no_field_of_what_is_skipped_is_forgotten(name: str) -> None:
    for cause in Cause:
        skipped = Skipped("a", cause, "why", 5, can_include=True)
        found = unpacked(through_json(skipped), "a", lambda: PLAIN)
        assert getattr(found, name) == getattr(skipped, name) and type(found.cause) is Cause  # type: ignore[union-attr]


def test_a_source_is_the_same_after_all() -> None:
    found = again(WHOLE)
    for one, other in ((found, WHOLE), (WHOLE, found)):
        assert one == other
    assert hash(PLAIN) == hash(again(PLAIN))
    assert found != replace(WHOLE, text="other") and again(PLAIN) == PLAIN
    assert found.kept_file == WHOLE.kept_file and found.kept_file is not None and found.kept_file.data == b"%PDF"
    assert (found.n_pages, found.page_at(14), found.is_wordless) == (2, 2, False)


@pytest.mark.parametrize("source", [WHOLE, PLAIN, replace(WHOLE, text="[page 1]\n[page 2]\n", page_starts=(0, 9))])
def test_what_is_asked_without_text_reads_nothing(source: Source) -> None:
    def read() -> Source:
        raise AssertionError("it is read")

    found = again(source, read)
    assert (found.n_characters, found.is_wordless) == (source.n_characters, source.is_wordless)
    moved = found.changed(path="elsewhere", origin="/x", volatility=0.25, notes=("n",))
    assert (moved.path, moved.origin, moved.volatility, moved.notes) == ("elsewhere", "/x", 0.25, ("n",))
    assert (found.path, moved.digest, moved.n_characters) == (source.path, source.digest, source.n_characters)
    assert moved.is_wordless == source.is_wordless
    if source.pictures:
        assert found.text == source.text, "what pictures stand in is kept"


def test_text_is_read_once_and_what_replace_makes_has_it() -> None:
    n_read = []
    found = again(PLAIN, lambda: (n_read.append(1), PLAIN)[1])
    assert found.text == found.text == PLAIN.text and len(n_read) == 1
    other = replace(found, path="other")
    assert isinstance(other, UnreadSource) and other.text == PLAIN.text and other == replace(PLAIN, path="other")
    assert other.changed(path="third").text == PLAIN.text and other.n_characters == 9 and not other.is_wordless


def test_another_file_in_its_place_is_refused() -> None:
    for other in (replace(PLAIN, digest="f" * 32), Skipped("a.txt", Cause.EMPTY, "0 bytes")):
        with pytest.raises(SourceRefused, match=r"a\.txt was changed while it was counted"):
            _ = again(PLAIN, lambda other=other: other).text
    kept = again(replace(WHOLE, pictures=()), lambda: PLAIN).kept_file
    assert kept is not None
    with pytest.raises(SourceRefused):
        _ = kept.data


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"skipped": {"reason": 5}},
        {"skipped": {"cause": "no such", "reason": ""}},
        {"skipped": {"cause": "empty", "reason": "", "unheard": 1}},
        {"source": [], "n_characters": 1, "wordless": False},
        {"source": {"kind": "text"}, "n_characters": 1, "wordless": False},
        {"source": {"kind": "text", "n_bytes": 1, "digest": 5}, "n_characters": 1, "wordless": False},
        {"source": {"kind": "text", "n_bytes": 1, "digest": "d"}, "n_characters": "1", "wordless": False},
        {"source": {"kind": "text", "n_bytes": 1, "digest": "d"}, "n_characters": 1, "wordless": None},
        {"source": {"kind": "t", "n_bytes": 1, "digest": "d", "pictures": [3]}, "n_characters": 1, "wordless": True},
        {"source": {"kind": "t", "n_bytes": 1, "digest": "d", "notes": "note"}, "n_characters": 1, "wordless": True},
    ],
)
def test_what_is_no_record_is_said_to_be_none(broken: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        unpacked(broken, "a", lambda: PLAIN)
