"""Where in all that was sent a statement may be shown, by the words that it shares with it: numpy over a QuoteIndex.

A small model that may begin a quote anywhere begins it at the title, or where it began the last one. So it begins
where most of the statement's rarer words follow in the same sentence; and what it quotes must have enough of them: the
sentence and what stands around it nearly half of their weight on average, and one at least of the numbers that the
statement is the first to name. Inventions rarely do: their words stand nowhere, or nowhere together. All this says
nothing of what the words mean. A statement in another language than the sources shares none, and is left to the model
alone.
"""

import re
from collections.abc import Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import log

import numpy as np
from numpy.typing import NDArray

from engine.runtime.quotes.index import KEY_BYTES, QuoteIndex
from engine.runtime.quotes.machine import Positions, Quote
from engine.runtime.quotes.text import SEAM

_TERM = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d]\w*")
_OPENER = re.compile(r"\W*\w+[^\w\s]*,\s")  # "Yes, ": it says nothing of its own
_UNSPACED = 0x2E80  # from here on, words are not parted by blanks: two characters make a term
_STEM, _SHORT = 6, 4  # characters of a word that stand for all its forms, and those of a short form at least
_BUCKET_BITS, _BUCKETS_AHEAD = 6, 4  # places of 64 bytes, and those that a quote may come to reach
_MOST_BUCKETS = 48
_OF_BEST_BUCKET = 0.5  # of the score of the best one, for others to be looked at too
_OF_BEST = 0.65  # of what stands together at the best place, for what is quoted
_USUAL_BYTES, _MOST_TRIED = 60, 400  # of a quote; places from which the best is told
_MOST_PLACES = 4_000  # of a term: one that stands in more tells nothing of where
_OF_CONTEXT = 0.3  # what the question's words weigh beside the statement's, to find the place
_OF_ASKED = 0.5  # what the statement's words weigh that the question has too, and that stand somewhere
_OF_ABSENT_NAMES = 2  # what numbers and names weigh that stand nowhere
_AROUND = 80  # bytes before and behind a quote whose words count too
_NEEDED = 0.45  # of the weight of a statement's terms, on average of what a quote's own sentence and its place have
_ITSELF = 0.3  # of that weight, in the quote's own sentence
_OF_AROUND = 0.35  # of what stands around a quote, in its own sentence
_REST = 120  # bytes before and behind a quote, at most, that are of its sentence
_END = re.compile(rb"[.!?:;](?= )|\xff|\"\"\"|'''")  # of a sentence, or what parts it from the next
_FULL_STOP = re.compile(rb"[.!?](?= )|\xff|\"\"\"|\'\'\'")  # of all of it: "Changed in version 3.6: ..." has its number
_MOST_BYTES, _MOST_LOOKED_AT = 200, 32  # of a quote that may come to cover a statement; of its places
_OF_AHEAD = 0.45  # of the most that stands ahead of a place, for a quote to begin at another
_ALONE = 0.25  # of that weight, in the one word of a quote that is the statement's too
_ENOUGH = 3  # terms: a statement of fewer says what it says of what was asked, and is shown by both together
_KNOWN = 0.3  # of its words must stand somewhere, or it is in another language
_COMMON = (  # English words that tell nothing of what is spoken of; other languages' are told by how often they stand
    "a about after all also am an and any are as at be because been before being between both but by can could "
    "did do does down each for from get gets had has have he her here his i if in into is it its just let lets "
    "like made make makes may me might most must my of off on only onto or other our out over own "
    "s same shall she should so some such t than that the their them then there these they this those through to "
    "too under up us use used uses using very was we were what when where which while who whom whose will with "
    "without would you your"
)
_STOP = frozenset(_COMMON.split())
Occurrences = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class _Term:
    """A word, or two characters of a script without blanks. stem: the first bytes of all its forms, in small letters.
    is_common: it tells nothing of what is spoken of. is_name: a number, or written as no plain word is."""

    stem: bytes
    is_common: bool
    is_name: bool
    word: str


@dataclass(frozen=True)
class Nearby:
    """What is known of a statement in an index. weights: of its terms, by their first bytes in small letters. index:
    the places where a quote may begin. known: the weight of those that stand anywhere. is_foreign: it is
    of another language than what was sent. is_narrow: index has places alone that most stands ahead of. figures: of
    its terms, the numbers of more than a digit that it is the first to name, and that stand somewhere."""

    index: QuoteIndex = field(repr=False)
    weights: dict[bytes, float]
    known: float
    is_foreign: bool
    is_narrow: bool = False
    figures: frozenset[bytes] = frozenset()
    _aheads: dict[int, float] = field(default_factory=dict, repr=False, compare=False)  # of places asked for before

    @property
    def is_hopeless(self) -> bool:
        """Whether no quote can show it: too little of it stands anywhere, or anywhere together."""
        if self.is_foreign or not self.weights:
            return False
        if self.known < _NEEDED * sum(self.weights.values()):
            return True
        starts = self.index.positions
        return self.is_narrow and all(self._share(start, _MOST_BYTES) < _NEEDED for start in starts.tolist())

    def shows(self, quote: Quote) -> bool:
        """Whether enough of the statement's words stand in the sentence of a quote, and around it at its first place:
        of all, and of what stands together anywhere near."""
        if self.is_foreign or not self.weights:
            return True
        if not self.suffices(quote):
            return False
        start = int(quote.starts.min())
        if self.figures and not self.figures & _stems(self._sentence(start, len(quote.words), _FULL_STOP)):
            return False
        itself, around = self.covers(quote), self._share(start, len(quote.words))
        if itself < max(_ITSELF, _OF_AROUND * around) or around < _OF_BEST * self._best:
            return False
        return (itself + around) / 2 >= _NEEDED

    def suffices(self, quote: Quote) -> bool:
        """Whether a quote says anything itself of a statement that has several words: a word alone does not, nor one of
        them that weighs little."""
        if self.is_foreign or len(self.weights) < 2:
            return True
        several = len(_terms(quote.words.decode("utf-8", "replace"))) > 1
        return several and (len(self._found(quote.words)) > 1 or self._has(quote.words) >= _ALONE)

    def covers(self, quote: Quote) -> float:
        """Of the weight of the statement's terms, those in the sentence of a quote, at its first place."""
        return self._has(self._sentence(int(quote.starts.min()), len(quote.words)))

    def promises(self, starts: Positions) -> float:
        """The same of what one of these places goes on with, of that which has most."""
        return max(map(self._ahead, starts[:_MOST_LOOKED_AT].tolist()), default=0.0)

    def before_most(self) -> "Nearby":
        """The same, beginning only where most stands ahead."""
        positions = self.index.positions
        ahead = np.array([self._ahead(start) for start in positions.tolist()])
        keep = ahead >= _OF_AHEAD * ahead.max(initial=0.0)
        return replace(self, index=QuoteIndex(self.index.text, positions[keep]), is_narrow=True)

    def _sentence(self, start: int, n_bytes: int, marks: re.Pattern[bytes] = _END) -> bytes:
        """A quote with what stands before and behind it within its sentence, as far as marks tell that."""
        low = max(0, start - _REST)
        around = self.index.text.data[low : start + n_bytes + _REST].tobytes()
        ends = self._ends(low, around, marks)
        begin = max((end for _, end in ends if end <= start), default=low)
        end = min((first for first, _ in ends if first >= start + n_bytes - 1), default=low + len(around))
        return around[begin - low : end - low]

    def _ends(self, low: int, words: bytes, marks: re.Pattern[bytes] = _END) -> list[tuple[int, int]]:
        """Where sentences end in words that stand there: the marks, from and to."""
        paragraphs = self.index.text.paragraphs
        first, last = np.searchsorted(paragraphs, np.array([low, low + len(words)], dtype=np.int32))
        ends = [(match.start() + low, match.end() + low) for match in marks.finditer(words)]
        return ends + [(at - 1, at) for at in paragraphs[first:last].tolist()]

    def _ahead(self, start: int) -> float:
        """Of the weight of the statement's terms, those from there on in its sentence."""
        if start not in self._aheads:
            self._aheads[start] = self._has(self._rest(start))
        return self._aheads[start]

    def _rest(self, start: int) -> bytes:
        words = self.index.text.data[start : start + _MOST_BYTES].tobytes()
        end = min((end for end, _ in self._ends(start, words) if end > start), default=start + len(words))
        return words[: end - start]

    def _has(self, words: bytes) -> float:
        """Of the weight of the statement's terms, those in these words; nothing of a foreign one."""
        if self.is_foreign or not self.weights:
            return 0.0
        return sum(self.weights[stem] for stem in self._found(words)) / sum(self.weights.values())

    def _found(self, words: bytes) -> list[bytes]:
        """The statement's terms in these words."""
        there = _stems(words)
        return [stem for stem in self.weights if stem in there or _is_short(stem, there)]

    @cached_property
    def _best(self) -> float:
        starts = np.sort(self.index.positions)[:: max(1, len(self.index.positions) // _MOST_TRIED)]
        return max((self._share(start, _USUAL_BYTES) for start in starts.tolist()), default=0.0)

    def _share(self, start: int, n_bytes: int) -> float:
        """Of the weight of the statement's terms, those around there in its document."""
        data, seam = self.index.text.data, bytes([SEAM])
        before = data[max(0, start - _AROUND) : start].tobytes().split(seam)[-1]
        return self._has(before + data[start : start + n_bytes + _AROUND].tobytes().split(seam)[0])


def nearby(index: QuoteIndex, statement: str, context: str = "") -> Nearby:
    """context: what the statement answers. It tells of what a statement speaks that says "it"; what the statement has
    from there is less than what it adds."""
    weights: dict[bytes, float] = {}
    figures: set[bytes] = set()
    votes, n_known, weight_known, terms, asked = (
        [],
        0,
        0.0,
        _terms(statement),
        {term.stem: term for term in _terms(context)},
    )
    opener = _OPENER.match(statement)
    for number, term in enumerate(terms):
        places = _places(index, term)
        n_known += bool(len(places))
        if term.is_common or term.stem in weights or (opener and not number and not len(places)):
            continue
        weight = _rarity(index, places)
        if not len(places):
            weight *= _OF_ABSENT_NAMES if term.is_name else 1
        elif term.stem in asked:
            weight *= _OF_ASKED
        elif len(term.word) > 1 and term.word[0].isdigit():
            figures.add(term.stem)
        votes.append((places, weight))
        weights[term.stem] = weight
        weight_known += weights[term.stem] if len(places) else 0.0
    if terms and n_known < _KNOWN * len(terms):
        return Nearby(index, weights, weight_known, is_foreign=True)
    is_short = 0 < len(weights) < _ENOUGH
    for term in asked.values():
        if not term.is_common and term.stem not in weights:
            places = _places(index, term)
            votes.append((places, _OF_CONTEXT * _rarity(index, places)))
            if is_short:
                weights[term.stem] = _rarity(index, places)
                weight_known += weights[term.stem] if len(places) else 0.0
    near = Nearby(_around(index, votes), weights, weight_known, is_foreign=False, figures=frozenset(figures))
    return near.before_most() if near.index is not index else near


def _rarity(index: QuoteIndex, places: Occurrences) -> float:
    return log(1 + len(index.positions) / (1 + len(places)))


def _around(index: QuoteIndex, votes: list[tuple[Occurrences, float]]) -> QuoteIndex:
    """The same, beginning only where most stands ahead of what these terms weigh; the whole of it where none stands
    anywhere."""
    scores = np.zeros((len(index.text.data) >> _BUCKET_BITS) + 1, dtype=np.float32)
    for places, weight in votes:
        if len(places) <= _MOST_PLACES:
            before = (places >> _BUCKET_BITS)[:, None] - np.arange(_BUCKETS_AHEAD)
            scores[np.unique(before[before >= 0])] += weight
    if not scores.any():
        return index
    n_best = min(_MOST_BUCKETS, len(scores))
    best = np.argpartition(-scores, n_best - 1)[:n_best]
    keep = np.zeros(len(scores), dtype=np.bool_)
    keep[best[scores[best] >= _OF_BEST_BUCKET * scores[best].max()]] = True
    return QuoteIndex(index.text, index.positions[keep[index.positions >> _BUCKET_BITS]])


def _terms(text: str) -> list[_Term]:
    """The terms of a text, in order."""
    found = []
    for match in _TERM.finditer(text):
        word = match[0]
        if ord(word[0]) >= _UNSPACED:
            found += [_Term(word[at : at + 2].encode(), False, False, word[at]) for at in range(max(1, len(word) - 1))]
            continue
        small = word.lower()
        is_name = word[0].isdigit() or "_" in word or word[1:] != small[1:]
        is_common = small in _STOP or (len(word) == 1 and not word.isdigit())
        found.append(_Term(_stem(small).encode("utf-8", "replace")[:KEY_BYTES], is_common, is_name, word))
    return found


def _stem(word: str) -> str:
    """What forms of a word begin with alike, as far as its ending tells."""
    if word[0].isdigit():
        return word
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            break
    return word[:_STEM].removesuffix("e") if len(word) > 3 else word


def _stems(words: bytes) -> set[bytes]:
    return {term.stem for term in _terms(words.decode("utf-8", "replace"))}


def _is_short(stem: bytes, there: Set[bytes]) -> bool:
    """Whether one of these is a short form of the word: "char"."""
    return len(stem) >= _STEM and any(stem[:n] in there for n in range(_SHORT, _STEM))


def _places(index: QuoteIndex, term: _Term) -> Occurrences:
    """Where words begin with it: as it is written, in small letters, with a large one first, or in large ones alone."""
    stem = term.stem.decode("utf-8", "ignore")
    forms = {form.encode()[:KEY_BYTES] for form in (stem, stem.capitalize(), stem.upper(), term.word[: len(stem)])}
    return np.concatenate([index.places(index.narrow(index.everything, form)) for form in forms])
