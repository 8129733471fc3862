"""2,000 generated situations: whatever a model likes to write, what it quotes stands at the place that is named.

1,600 of them with models that are nothing but a taste, 400 with tiny real models of random weights.
"""

import random
import re
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pytest

from engine.answer.places import Places
from engine.runtime.quotes.evidence import MOST_PASSES, MOST_TOKENS, Logits, write_quote
from engine.runtime.quotes.index import QuoteIndex, build
from engine.runtime.quotes.machine import MARK, Quote, State, allows, close, everywhere, opened, step
from engine.runtime.quotes.text import Place, join
from tests.models.cache import cached
from tests.models.shape import ONE_HEAD
from tests.situated import quoted
from tests.situations import KINDS, VOCABULARIES, Situation, Vocabulary, faults, situation, vocabulary

_N_SITUATIONS = 1_600
_NOTHING = -1e9  # nats: nothing is too unlikely


@dataclass(slots=True)
class Taste:
    """A model that wants to copy a passage and its mark, as far as it is let; it likes everything else at random.

    wanted: what it wants to write. loyal: how often the next token is one of that. written: since it was begun.
    halved: a token of it ended within a character.
    """

    draw: random.Random
    known: Vocabulary
    wanted: bytes
    loyal: float
    written: bytes = b""
    halved: bool = False
    noise: np.random.Generator = field(init=False)
    by_byte: dict[int, list[int]] = field(init=False)

    def __post_init__(self) -> None:
        self.noise = np.random.default_rng(self.draw.randrange(1 << 30))
        self.by_byte = {}
        for token, piece in enumerate(self.known.pieces):
            if piece:
                self.by_byte.setdefault(piece[0], []).append(token)

    def logits(self) -> Logits:
        logits = self.noise.standard_normal(len(self.known.pieces)).astype(np.float32)
        rest = self.wanted[len(self.written) :] if self.wanted.startswith(self.written) else b""
        if not rest and self.draw.random() < 0.1:
            logits[0] = 20
        elif rest and self.draw.random() < self.loyal:
            fit = [token for token in self.by_byte.get(rest[0], []) if rest.startswith(self.known.pieces[token])]
            if fit:
                logits[self.draw.choice(fit)] = 20
        return logits

    def write(self, token: int) -> Logits:
        self.written += self.known.pieces[token]
        self.halved |= self.written.decode(errors="replace").endswith("\ufffd")
        return self.logits()

    def go_back(self) -> bool:
        self.written = b""
        return True


def passage(draw: random.Random, documents: list[bytes]) -> bytes:
    """Some words of a source as they stand, often across whatever stands in between, and the mark."""
    borders = (b"\n\n[", b"</quo", b"\r\n")
    data = draw.choice(
        [each for each in documents if draw.random() < 0.3 or any(map(each.__contains__, borders))] or [b""]
    )
    spans = [match.span() for match in re.finditer(rb"[\w\x80-\xff]+|[^\w\s\x80-\xff]+", data)]
    if not spans:
        return MARK
    first = draw.randrange(len(spans))
    if (border := data.find(draw.choice(borders))) >= 0 and draw.random() < 0.7:
        first = max(0, sum(start < border for start, _ in spans) - draw.randint(1, 3))
    last = min(len(spans) - 1, first + draw.choice((0, 1, 3, 8, 20)))
    return data[spans[first][0] : spans[last][1]] + draw.choice((b"", b" ", b"\n")) + MARK


def seen_in(quote: Quote, words: bytes, place: Place, of: Situation) -> set[str]:
    """What there is to be seen of a quote, beside its truth."""
    source = of.sources[place.document]
    stands = of.documents[place.document][place.start : place.end]
    seen = {"across white space"} if stands != words else set[str]()
    seen |= {"in several places"} if quote.n_places > 1 else set()
    seen |= {"the mark within"} if MARK in words else set()
    seen |= {"across a page"} if source.page_starts and b"\n\n[page" in stands else set()
    seen |= {"across a cell"} if source.kind == "notebook" and b"\n\n[cell" in stands else set()
    seen |= {"beyond ASCII"} if not words.isascii() else set()
    seen |= {"across CRLF"} if b"\r\n" in stands else set()
    seen |= {"across tabs"} if b"\t" in stands else set()
    return seen | ({"a whole source"} if stands == of.documents[place.document] else set())


def can_end(index: QuoteIndex, state: State) -> bool:
    """Whether some way on leads to an end: along the first place, byte by byte."""
    assert state.places is not None
    data, at = index.text.data, int(state.places.ends.min())
    while close(state) is None:
        more = data[at : at + 1].tobytes()
        if not allows(state, more):
            return False
        state, at = step(state, more), at + 1
        if state.places is None:
            return state.closing is not None
        at = int(state.places.ends.min())
    return allows(state, MARK) and step(state, MARK).closed is not None


def walked(draw: random.Random, known: Vocabulary, index: QuoteIndex) -> list[str]:
    """A few steps of anything that is allowed; what is wrong on the way: where no end is possible though there is a
    word, and where a token is cut within a character and an end is."""
    state, wrong = opened(index), list[str]()
    for _ in range(8):
        tokens = draw.sample(known.pieces, k=min(80, len(known.pieces)))
        token = next((piece for piece in tokens if piece and allows(state, piece)), None)
        if token is None:
            break
        state = step(state, token)
        if state.closed is not None or state.places is None:
            break
        words = state.places.words
        has_word = any(map(str.isalnum, words.decode(errors="ignore")))
        is_plain = b"\xed" not in index.text.data.tobytes()  # half a pair of surrogates is no character to end at
        wrong += [f"no end behind {words!r}"] if has_word and is_plain and not can_end(index, state) else []
        is_cut = words.decode(errors="replace").endswith("\ufffd")
        wrong += [f"an end behind {words!r}"] if is_cut and close(state) is not None else []
    return wrong


def cited(of: Situation, quote: Quote, index: QuoteIndex) -> tuple[Place, list[str]]:
    """The first place of a quote, and what is wrong with its citation or with any other place."""
    everywhere_else = everywhere(index, quote.words)
    assert everywhere_else is not None and set(quote.starts.tolist()) <= set(everywhere_else.starts.tolist())
    places = [index.text.place(start, start + len(quote.words)) for start in quote.starts.tolist()]
    known, wrong = Places(of.sources), list[str]()
    for place in places[:20]:
        citation = known.citation(place, statement=(0, 1), places=everywhere_else.n_places)
        wrong += faults(of, citation, quote.words)
    return places[0], wrong


class Fickle:
    """A witness who says now this and now that."""

    def __init__(self, draw: random.Random, share: float) -> None:
        self.draw, self.share = draw, share

    def shows(self, quote: Quote) -> bool:
        return self.draw.random() < self.share

    def suffices(self, quote: Quote) -> bool:
        return self.draw.random() < self.share

    def covers(self, quote: Quote) -> bool:
        return self.draw.random() < self.share

    def promises(self, starts: object) -> bool:
        return self.draw.random() < self.share


def written_by(taste: Taste, index: QuoteIndex) -> Quote | None:
    """Under conditions that are drawn: a floor, what else is known of the statement, how long it may be."""
    draw, pieces = taste.draw, taste.known.pieces
    share = draw.choice((1.0, 1.0, 0.5))
    witness = Fickle(draw, share) if share < 1 else None
    written = write_quote(
        taste, taste.logits(), index, pieces.__getitem__, lambda token: token == 0,
        floor=draw.choice((_NOTHING, _NOTHING, -2.5)), witness=witness,
        n_tokens=draw.choice((MOST_TOKENS, 12, 3)),
    )  # fmt: skip
    assert written.n_passes <= MOST_PASSES + MOST_TOKENS
    return written.quote


@pytest.mark.slow
def test_what_a_model_of_any_taste_quotes_stands_at_the_place_that_is_named() -> None:
    kinds, vocabularies, seen, n_quotes, n_situations = Counter[str](), Counter[str](), Counter[str](), 0, 0
    for seed in range(_N_SITUATIONS):
        draw = random.Random(seed)
        of = situation(draw)
        index, known = build(join(of.documents)), vocabulary(draw, of.documents)
        taste = Taste(draw, known, passage(draw, of.documents), draw.choice((0.5, 0.9, 1.0, 1.0)))
        n_situations += 1
        kinds.update(of.kinds)
        vocabularies[known.kind] += 1
        quote = written_by(taste, index)
        assert walked(draw, known, index) == [], seed
        if quote is not None:
            place, wrong = cited(of, quote, index)
            assert wrong == [], (seed, of, taste.wanted)
            n_quotes += 1
            seen.update(seen_in(quote, quote.words, place, of))
            seen.update({"a token that ends within a character"} if taste.halved else ())
    assert n_situations == _N_SITUATIONS and n_quotes > 1_000, n_quotes
    assert set(kinds) == set(KINDS) and min(kinds.values()) > 100, kinds
    assert set(vocabularies) == set(VOCABULARIES) and min(vocabularies.values()) > 300, vocabularies
    assert len(seen) == 10 and min(seen.values()) >= 5, seen


@pytest.mark.slow
@pytest.mark.parametrize("name", ["llama", "gemma3"])  # byte-level BPE, and SentencePiece with byte tokens
def test_what_a_random_model_quotes_stands_at_the_place_that_is_named(name: str) -> None:
    draw, n_quotes = random.Random(name), 0
    of_all = [situation(draw) for _ in range(200)]
    told = quoted(cached(name, **ONE_HEAD), [[source.text for source in of.sources] for of in of_all])
    assert len(told) == 200 and {kind for of in of_all for kind in of.kinds} == set(KINDS)
    for of, found in zip(of_all, told, strict=True):
        assert (found["document"] is None) == (found["words"] is None), (of, found)
        if found["document"] is not None:
            place = Place(found["document"], found["start"], found["end"])
            citation = Places(of.sources).citation(place, statement=(0, 1), places=found["n_places"])
            assert faults(of, citation, found["words"].encode()) == [], of
            n_quotes += 1
    assert n_quotes > 100, n_quotes
