"""What comes from a reader is looked at before it is believed: a stranger's file may have made the reader its own."""

import json
from typing import Any

import pytest

from engine.corpus.readers import limits
from engine.corpus.readers.wire import HEAD, Frame, Nonsense, content_of, fields_in, lent, packed, sizes_of, unpacked
from engine.corpus.source import Cause, KeptFile, Picture, Skipped, Source, digest_text

TEXT = "[page 1]\nThe rent.\n\n[page 2]\nThe sum \U0001f600.\n\n"
FILE = b"%PDF-1.4 and so on"
SOURCE = Source(
    "a.pdf", "pdf", TEXT, 99, digest_text(TEXT), (0, 20), notes=("A note.",), reader="PDFium", nature="a scan"
)
PICTURED = SOURCE.changed(
    kept_file=KeptFile("PDF", FILE, scalable=True),
    pictures=(Picture(1, 612, 792), Picture(2, 3, 4, (2, 9), "0" * 32)),
    encoding="utf-8",
)


def there_and_back(found: Source | Skipped, same: bytes = FILE) -> Source | Skipped:
    fields, payload = packed(found, same)
    return unpacked(Frame(json.loads(json.dumps(fields)), b"".join(payload)), "a.pdf", 99, lambda: same)


@pytest.mark.parametrize(
    "found",
    [
        SOURCE,
        PICTURED,
        PICTURED.changed(kept_file=KeptFile("PDF", b"another copy", scalable=True)),
        Source("a.pdf", "notebook", "half a pair \ud800\n", 99, "f" * 32),
        Skipped("a.pdf", Cause.ENCRYPTED, "a PDF behind a password", 99),
        Skipped("a.pdf", Cause.TOO_LARGE, "more than that", 99, can_include=True),
    ],
)
def test_what_is_sent_comes_back(found: Source | Skipped) -> None:
    back = there_and_back(found)
    assert back == found
    if isinstance(found, Source) and isinstance(back, Source):
        assert back.nature == found.nature
        assert (back.kept_file and back.kept_file.data) == (found.kept_file and found.kept_file.data)


@pytest.mark.parametrize(
    "change",
    [
        {"digest": "0" * 32},  # of another text, whose ids it would be given
        {"digest": "../../etc/passwd"},
        {"starts": [20, 0]},
        {"starts": [0, 10**9]},
        {"starts": [-1]},
        {"starts": ["0"]},
        {"starts": None},
        {"kind": 7},
        {"n_text": 10**12},
        {"n_text": -1},
        {"n_text": 1.5},
        {"n_text": 3, "notes": {"a": 1}},
        {"notes": [1]},
        {"pictures": [[1, 612, 792, None, ""]]},  # of nothing
        {"pictures": [[1, 0, 792, None, ""]], "kept": ["PDF", True, True]},
        {"pictures": [[1, 2**40, 792, None, ""]], "kept": ["PDF", True, True]},
        {"pictures": [[1, 1, 1, [0, 10**9], ""]], "kept": ["PDF", True, True]},
        {"pictures": [[1, 1, 1]], "kept": ["PDF", True, True]},
        {"kept": ["PDF", "yes", True]},
        {"kept": [1, True, True]},
        {"kept": "PDF"},
        {"encoding": ["utf-8"]},
    ],
)
def test_what_no_reader_of_ours_sends_is_refused(change: dict[str, Any]) -> None:
    fields, payload = packed(SOURCE, FILE)
    with pytest.raises(Nonsense):
        unpacked(Frame({"source": {**fields["source"], **change}}, b"".join(payload)), "a.pdf", 99, lambda: FILE)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"source": []},
        {"skipped": ["no such cause", "words", False]},
        {"skipped": ["broken", 3, False]},
        {"skipped": ["broken", "words", "False"]},
        {"skipped": "broken"},
    ],
)
def test_nor_is_anything_else(fields: dict[str, Any]) -> None:
    with pytest.raises(Nonsense):
        unpacked(Frame(fields), "a.pdf", 99, lambda: FILE)


@pytest.mark.parametrize("body", [b"[" * 200_000, b"{", b"\xff", b"[]", b"3", b'{"a": NaN', b"null"])
def test_fields_that_are_none(body: bytes) -> None:
    with pytest.raises(Nonsense):
        fields_in(body)


@pytest.mark.parametrize("sizes", [(limits.MOST_FIELDS_BYTES + 1, 0), (0, limits.MOST_ANSWER_BYTES + 1), (0, 2**63)])
def test_no_room_is_made_for_more_than_anybody_sends(sizes: tuple[int, int]) -> None:
    with pytest.raises(Nonsense):
        sizes_of(HEAD.pack(*sizes))


def test_a_lent_file_is_whole_and_cannot_be_changed() -> None:
    import os

    with lent(b"head", _pieces(b" and", b" rest"), 13) as descriptor:
        assert content_of(descriptor) == b"head and rest"
        with pytest.raises(OSError):
            os.write(descriptor, b"x")
        with pytest.raises(OSError):
            os.ftruncate(descriptor, 0)


def _pieces(*pieces: bytes) -> Any:
    waiting = [*pieces]
    return lambda n_bytes: waiting.pop(0) if waiting else b""
