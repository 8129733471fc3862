"""Quotes that a model opens itself: what it would write is given, and what is written instead stands in the sources."""

import random

import numpy as np
import pytest

from engine.runtime.events import HeldQuote
from engine.runtime.quotes.evidence import Logits
from engine.runtime.quotes.index import QuoteIndex, build
from engine.runtime.quotes.tags import TAG, Tags
from engine.runtime.quotes.text import join, normalized

_TEXT = "A bike costs 3 euros an hour. A tandem costs 5 euros an hour.\nA whole day costs three times as much.\n"
_END = 0
_TOKENS = [
    b"", *(bytes([byte]) for byte in range(1, 256)), b" costs", b"A bike", b" 3", b" euros", b".</", b"quote>",
    b" an hour", b"A", b" tandem", b" 5", b"<quote>", b"<quote>A", b"\">It", b"</quote>", b" blue", b"It says",
]  # fmt: skip


def index_of(*texts: str) -> QuoteIndex:
    return build(join([text.encode() for text in texts]))


def written(
    wanted: list[bytes], index: QuoteIndex, *, by: float = 20.0, before: bytes = b"", n_most: int = 200
) -> tuple[bytes, list[HeldQuote]]:
    """What is written where a model wants these tokens, one after the other, and then the end; and what was held."""
    tags = Tags(index, _TOKENS.__getitem__, lambda token: token == _END, len(_TOKENS), before)
    out = b""
    for at in range(n_most):
        logits = np.zeros(len(_TOKENS), dtype=np.float32)
        token = _TOKENS.index(wanted[at]) if at < len(wanted) else _END
        logits[token] = by
        token = tags.choose(logits) if tags.chooses else tags.instead_of(token)
        if token == _END:
            break
        tags.add(token)
        out += _TOKENS[token]
    return out, tags.quotes


def test_a_true_quote_is_written_as_the_model_wants_it() -> None:
    wanted = [b"It says", b" ", b"<quote>", b"A bike", b" costs", b" 3", b" euros", b"</quote>", b".", b" blue"]
    out, quotes = written(wanted, index_of(_TEXT))
    assert out == b"".join(wanted)
    assert [quote.words for quote in quotes] == ["A bike costs 3 euros"] and -1 < quotes[0].lowest <= 0


def test_what_stands_nowhere_is_not_written_and_the_quote_ends() -> None:
    out, quotes = written([b"<quote>", b"A bike", b" blue", b" blue"], index_of(_TEXT))
    assert out.startswith(b"<quote>A bike</quote>") and [quote.words for quote in quotes] == ["A bike"]
    out, quotes = written([b"<quote>", b" blue", b" blue", b" blue"], index_of(_TEXT))
    assert out.startswith(b"<quote></quote>") and not quotes  # not even its first word


def test_a_token_that_goes_on_behind_the_opening_is_held_too() -> None:
    opening = [b"<", b"q", b"u", b"o", b"t", b"e"]
    out, _ = written([*opening, b'">It'], index_of(_TEXT))
    assert out == b'<quote">It'  # that is no opening
    assert written([b"<quote>A", b" tandem", b"</quote>"], index_of(_TEXT))[1][0].words == "A tandem"
    out, quotes = written([b"<quote>A", b" blue"], index_of("Nothing of the kind."))
    assert out.startswith(b"<quote></quote>") and not quotes


def test_a_reply_does_not_end_within_a_quote_nor_begin_outside_of_one() -> None:
    assert written([b"<quote>", b"A bike"], index_of(_TEXT))[0] == b"<quote>A bike</quote>"
    out, quotes = written([b" costs", b"</quote>"], index_of(_TEXT), before=b"So: <quote>A bike")
    assert out == b" costs</quote>" and quotes[0].words == "A bike costs"
    assert written([b" blue"], index_of(_TEXT), before=b"<quote>A blue")[0] == b" blue"  # that was not held


@pytest.mark.parametrize("seed", range(20))
def test_whatever_a_model_likes_what_stands_within_the_marks_stands_in_the_sources(seed: int) -> None:
    draw = random.Random(seed)
    texts = ["x</quote>y caf\u00e9 \u6771\u4eac\n\n\tend", _TEXT, "\U0001f600 <quote>a</quote> ", "1"][
        : draw.randint(1, 4)
    ]
    index, noise = index_of(*texts), np.random.default_rng(seed)
    all_words = b"\xff".join(normalized(text.encode()) for text in texts)
    tags = Tags(index, _TOKENS.__getitem__, lambda token: token == _END, len(_TOKENS))
    out = b""
    for _ in range(600):
        logits: Logits = noise.normal(0, 3, len(_TOKENS)).astype(np.float32)
        outside = _TOKENS.index(draw.choice([b"<quote>", b" blue", b"<quote>A", b"<"]))
        token = tags.choose(logits) if tags.chooses else tags.instead_of(outside)
        assert token != _END
        tags.add(token)
        out += _TOKENS[token]
    assert out.count(TAG) > 10 and tags.quotes
    for quote in tags.quotes:
        assert quote.words.encode() in all_words and any(map(str.isalnum, quote.words))
