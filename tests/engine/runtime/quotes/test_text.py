"""Where paragraphs begin in the text to quote from."""

import random
import re

import pytest

from engine.runtime.quotes import text
from engine.runtime.quotes.text import join, normalized


def brute(document: bytes) -> list[int]:
    """Where, in the normalized document, what stands behind an empty line begins."""
    found, at = [], 0
    for run in re.finditer(rb"[\t\n\v\f\r \x1c-\x1f]+|[^\t\n\v\f\r \x1c-\x1f]+", document):
        at += len(normalized(run[0]))
        if run[0].count(b"\n") >= 2:
            found.append(at)
    return found


def test_a_line_end_and_an_indent_are_no_empty_line() -> None:
    joined = join([b"a\n    b\n\nc\r\n\r\nd\n \t\ne", b"f\n\n"])
    behind = [bytes(joined.data[at : at + 1]) for at in joined.paragraphs.tolist()]
    assert behind == [b"c", b"d", b"e", b"\xff"]


@pytest.mark.parametrize("block", [4, 5, 7, 64, 1 << 20])
def test_wherever_a_document_is_cut(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "_BLOCK", block)
    draw = random.Random(block)
    parts = [b"a", b"bc", b" ", b"\n", b"\n", b"\r\n", b"\t", "\u00e9".encode()]
    for _ in range(300):
        documents = [b"".join(draw.choices(parts, k=draw.randrange(30))) for _ in range(draw.randint(1, 3))]
        joined = join(documents)
        wanted = []
        for start, document in zip(joined.starts.tolist(), documents, strict=True):
            wanted += [start + at for at in brute(document)]
        assert sorted(set(joined.paragraphs.tolist())) == wanted, documents
