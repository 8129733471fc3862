"""A quote as a model writes it, by models of which all is known: their logits are given."""

import random

import numpy as np
import pytest

from engine.runtime.quotes.evidence import (
    LOWEST,
    LOWEST_COVERED,
    MOST_STARTS,
    MOST_TOKENS,
    Logits,
    Written,
    write_quote,
)
from engine.runtime.quotes.index import QuoteIndex, build
from engine.runtime.quotes.machine import MARK, Positions, Quote
from engine.runtime.quotes.text import join, normalized

_TEXT = "A bike costs 3 euros an hour. A tandem costs 5 euros an hour.\nA whole day costs three times as much.\n" * 2
_END = 0
_TOKENS = [b"", *(bytes([byte]) for byte in range(1, 256)), b" costs", b"A bike", b" 3", b" euros", b".</", b"quote>",
           b" an hour", b"A", b" tandem", b" 5"]  # fmt: skip


def likely(*tokens: bytes, by: float = 20.0) -> Logits:
    """Logits by which the first of these tokens is likeliest, and each of them far likelier than all others."""
    logits = np.zeros(len(_TOKENS), dtype=np.float32)
    for place, token in enumerate(tokens):
        logits[_TOKENS.index(token)] = by - place / 10
    return logits


class Script:
    """Writes what it was told to, whatever was chosen; b"" at its end."""

    def __init__(self, *pieces: bytes, can_go_back: bool = True, index: QuoteIndex | None = None) -> None:
        self.pieces, self.at, self.written, self.n_back = pieces, 0, list[bytes](), 0
        self.can_go_back = can_go_back
        self.index = index or build(join([_TEXT.encode()]))

    def run(self) -> Written:
        return write_quote(self, likely(self.pieces[0]), self.index, _TOKENS.__getitem__, lambda token: token == _END)

    def write(self, token: int) -> Logits | None:
        self.written.append(_TOKENS[token])
        self.at += 1
        return likely(self.pieces[self.at] if self.at < len(self.pieces) else b"")

    def go_back(self) -> bool:
        self.at, self.n_back = 0, self.n_back + 1
        return self.can_go_back


def test_words_of_the_source_and_the_mark_that_ends_them() -> None:
    script = Script(b"A bike", b" costs", b" 3", b" euros", b" an hour", b".</", b"quote>")
    written = script.run()
    assert written.quote is not None and written.quote.words == b"A bike costs 3 euros an hour."
    assert written.quote.n_places == 2 and LOWEST < written.lowest <= 0 and written.n_passes == 6


def test_the_end_of_a_reply_ends_it_at_a_words_end() -> None:
    written = Script(b"A bike", b" costs", b"").run()
    assert written.quote is not None and written.quote.words == b"A bike costs"


def test_what_the_source_does_not_go_on_with_is_not_written() -> None:
    """The model would have said that a bike costs 5: nothing that it finds likely stands there, five times."""
    script = Script(b"A bike", b" costs", b" 5", b" euros", b".</", b"quote>")
    written = script.run()
    assert written.quote is None and script.n_back <= MOST_STARTS
    assert b" 5" not in script.written


def test_another_beginning_is_tried() -> None:
    class Second(Script):
        def write(self, token: int) -> Logits | None:
            if self.n_back and token == _TOKENS.index(b"A"):
                self.pieces = (b"A", b" tandem", b" costs", b" 5", b" euros", b"")
            return super().write(token)

    script = Second(b"A bike", b" costs", b" 5", b"")
    first = likely(b"A bike", b"A")
    written = write_quote(script, first, script.index, _TOKENS.__getitem__, lambda token: token == _END)
    assert script.n_back == 1 and written.quote is not None and written.quote.words.startswith(b"A tandem costs 5")


class Witness:
    """Knows which words cover a share of the statement, and where they begin."""

    def __init__(self, index: QuoteIndex, words: bytes, *, shows: bool = True, share: float = 1.0) -> None:
        self.index, self.words, self.takes, self.share = index, words, shows, share

    def shows(self, quote: Quote) -> bool:
        return self.takes

    def suffices(self, quote: Quote) -> bool:
        return True

    def covers(self, quote: Quote) -> float:
        return self.share * (self.words in quote.words)

    def promises(self, starts: Positions) -> float:
        data = self.index.text.data.tobytes()
        return self.share * any(data[start:].startswith(self.words) for start in starts.tolist())


class Unsure(Script):
    """Not sure of any token but the first."""

    def write(self, token: int) -> Logits | None:
        after = super().write(token)
        return None if after is None else after / 8  # about -3 nats each


def test_words_that_cover_a_statement_need_no_sure_model() -> None:
    pieces = (b"A bike", b" costs", b" 3", b" euros", b" an hour", b".</", b"quote>")
    script = Unsure(*pieces)
    first = likely(b"A bike")

    def run(witness: Witness | None) -> Written:
        return write_quote(
            Unsure(*pieces), first, script.index, _TOKENS.__getitem__, lambda token: token == _END, witness=witness
        )

    assert run(None).quote is None
    assert run(Witness(script.index, b"A tandem")).quote is None
    assert run(Witness(script.index, b"A bike costs 3", shows=False)).quote is None
    taken = run(Witness(script.index, b"A bike costs 3"))
    assert taken.quote is not None and taken.quote.words == b"A bike costs 3 euros an hour."
    assert LOWEST_COVERED < taken.lowest < LOWEST
    for share in (0.4, 0.45, 0.5, 0.55, 0.6, 0.7):  # the more they cover, the less sure it need be
        floor = LOWEST + (share - 0.4) / 0.35 * (LOWEST_COVERED - LOWEST)
        written = run(Witness(script.index, b"A bike costs 3", share=share))
        assert (written.quote is not None) == (taken.lowest >= floor), share


def test_it_begins_before_what_is_to_be_shown() -> None:
    """Where a model would begin with words that say nothing of it, if it finds the others likely at all."""
    index = build(join([_TEXT.encode()]))

    def first_of(witness: Witness | None, by: float) -> bytes:
        script = Script(b" costs", b"", index=index)
        first = likely(b"A bike")
        first[_TOKENS.index(b"A")] = 20 - by
        write_quote(
            script, first, index, _TOKENS.__getitem__, lambda token: token == _END, first_floor=-6.0, witness=witness
        )
        return script.written[0]

    tandem = Witness(index, b"A tandem")
    assert first_of(None, 8) == b"A bike" and first_of(tandem, 8) == b"A"
    assert first_of(tandem, 12) == b"A bike" and first_of(Witness(index, b"A tandem", share=0.5), 8) == b"A bike"


def test_words_that_differ_in_white_space_alone_are_tried_once() -> None:
    script = Script(b" costs", b" 5", b"")
    script.index = index = build(join([b"x costs 3"]))
    write_quote(script, likely(b" costs"), index, _TOKENS.__getitem__, lambda token: token == _END, first_floor=-99.0)
    assert script.written.count(b" costs") <= 1


def test_a_beginning_that_is_no_word_gives_way_to_a_likely_one_that_is() -> None:
    """Behind "q", where only "quote" begins so, a model expects the rest of another word."""
    index = build(join([b"quote> costs 3 euros."]))

    def first_of(*tokens: bytes) -> bytes:
        script = Script(b" costs", b"", index=index)
        write_quote(script, likely(*tokens), index, _TOKENS.__getitem__, lambda token: token == _END, first_floor=-6.0)
        return script.written[0]

    assert first_of(b"q", b"quote>") == b"quote>"
    assert first_of(b"q") == b"q", "the other one is far less likely"


def test_without_a_way_back_there_is_one_start() -> None:
    script = Script(b"A bike", b" costs", b" 5", can_go_back=False)
    assert script.run().quote is None and script.n_back == 1


def test_a_cancel_ends_it() -> None:
    class Stopped(Script):
        def write(self, token: int) -> Logits | None:
            return super().write(token) if len(self.written) < 2 else None

    written = Stopped(b"A bike", b" costs", b" 3", b" euros").run()
    assert written.cancelled and written.quote is None


def test_one_that_never_ends_is_cut_at_a_word() -> None:
    index = build(join([b"word " * 200 + b"wo"]))
    script = Script(*[b"w", b"o", b"r", b"d", b" "] * 40, index=index)
    written = script.run()
    assert written.n_passes == MOST_TOKENS and written.quote is not None
    assert written.quote.words == (b"word " * 13)[:MOST_TOKENS] and written.quote.n_places > 100


@pytest.mark.parametrize("seed", range(40))
def test_whatever_a_model_finds_likely_only_what_stands_there_is_quoted(seed: int) -> None:
    """Random logits, sharp and flat, over tokens of the text and of everything else."""
    rng, draw = random.Random(seed), np.random.default_rng(seed)
    texts = [_TEXT, "caf\u00e9 \u6771\u4eac \U0001f600 ok\r\n\tx </quote> y", "a"]
    data = "".join(texts).encode() + MARK
    tokens = [b"", *{data[(at := rng.randrange(len(data))) : at + rng.randint(1, 7)] for _ in range(400)}]
    index = build(join([text.encode() for text in texts]))
    sharpness = rng.choice([0.1, 1.0, 5.0])

    class Noise:
        def write(self, token: int) -> Logits | None:
            return (draw.standard_normal(len(tokens)) * sharpness).astype(np.float32)

        def go_back(self) -> bool:
            return True

    for _ in range(20):
        noise = Noise()
        first = noise.write(0)
        assert first is not None
        written = write_quote(noise, first, index, tokens.__getitem__, lambda token: token == 0)
        assert written.n_passes <= MOST_STARTS * MOST_TOKENS
        if written.quote is not None:
            assert written.lowest >= LOWEST
            for start in written.quote.starts.tolist():
                place = index.text.place(start, start + len(written.quote.words))
                assert normalized(texts[place.document].encode()[place.start : place.end]) == written.quote.words
