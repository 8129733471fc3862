"""Quotes found again in the sources: for answers whose quotes were not held while they were written.

Verified are words that stand there to the letter, or do so once white space, quotation marks, dashes, ligatures and
hyphens at a line's end are taken as one. Near is not verified: a passage and its negation are 99 % alike, so what is
near is shown as altered, with what really stands there. Places are bytes of the source as it is.
"""

import re
from array import array
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

import numpy as np
from numpy.typing import NDArray

from engine.answer.citations import Status as Status  # whoever finds needs it
from engine.runtime.quotes.index import KEY_BYTES, QuoteIndex, build
from engine.runtime.quotes.text import Place, join, normalized

_LIKE = {
    '"': "\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033",
    "'": "\u2018\u2019\u201a\u201b\u2039\u203a\u2032\u0060\u00b4",
    "-": "\u2010\u2011\u2012\u2013\u2014\u2015\u2212",
    "...": "\u2026",
    "ff": "\ufb00", "fi": "\ufb01", "fl": "\ufb02", "ffi": "\ufb03", "ffl": "\ufb04", "st": "\ufb05\ufb06",
    "": "\u00ad\u200b\u200c\u200d\u2060\ufeff",
}  # fmt: skip
_PLAIN = {letter.encode(): plain.encode() for plain, letters in _LIKE.items() for letter in letters}
_LETTER = rb"[A-Za-z\x80-\xff]"
_GOES_ON = rb"[ \t]*\r?\n[ \t]*(?=[a-z\x80-\xff])"
# each alternative begins with its own bytes, not with what is to stand before them: so it is searched for fast
_HYPHEN = b"|".join(
    re.escape(hyphen) + rb"(?<=" + _LETTER + re.escape(hyphen) + rb")" + _GOES_ON
    for hyphen in (b"-", b"\xe2\x80\x90", b"\xc2\xad")
)
_BROKEN = re.compile(_HYPHEN)
_WITHIN = re.compile(rb"(?<=" + _LETTER + rb")-(?=[a-z\x80-\xff])")  # a hyphen that a line may have been broken at
_BEGINNING = re.compile(rb"(?<![A-Za-z0-9_\x80-\xff-])[A-Za-z0-9_]|[\xc0-\xfe]")
_FOLDED = re.compile(b"|".join([_HYPHEN, *map(re.escape, _PLAIN)]))
_MARKS = bytes(code for code in range(0x20, 0x7F) if not chr(code).isalnum() and chr(code) != "_")
_LONG, _MOST_LONG = 256, 500  # bytes of a passage from which on no more places of it are looked at
_SEED_BYTES = 12
_MOST_SEEDS = 2_000  # places of a word's beginning: more tell nothing of where a passage is
_MOST_PLACES = 5  # that are compared with a quote that stands nowhere
_APART = 64  # bytes: words that were put in or left out move what follows
_AROUND = 24  # bytes on each side of a place that are compared too
_NEAR = 0.7  # of the bytes, in whole words and marks
_GOING_ON = np.array([bytes((code,)).isalnum() or code == ord("_") for code in range(256)])  # of a word
_PIECE = re.compile(rb"[A-Za-z0-9_\x80-\xfe]+|[^\sA-Za-z0-9_\x80-\xff]")
_MOST_COMPARED = 2_000  # bytes of a passage


@dataclass(frozen=True, slots=True)
class Found:
    """places: of verified words, where they stand; of altered ones, what they were made of. words: those of the first
    place, as they stand there. total: how many places there are, where not all were asked for."""

    status: Status
    places: tuple[Place, ...] = ()
    words: str = ""
    total: int = 0


@dataclass(frozen=True, slots=True)
class _Moved:
    """How far bytes stand behind where they stood: by deltas[i] from breaks[i] on, before folding; both int32."""

    breaks: NDArray[np.int32]
    deltas: NDArray[np.int32]

    def before(self, at: int) -> int:
        return at + int(self.deltas[np.searchsorted(self.breaks, np.int32(at), "right") - 1])


@dataclass(frozen=True, slots=True)
class Finder:
    """Finds quotes in documents. Made once for a prompt's sources: 40 MB take seconds, and twice as much memory."""

    documents: Sequence[bytes] = field(repr=False)
    _index: QuoteIndex = field(repr=False)
    _moved: Sequence[_Moved] = field(repr=False)

    def find(self, quote: str) -> Found:
        """Where a quote stands. One without a letter or digit stands nowhere."""
        found = self.verified(quote)
        return found if found.places or not any(map(str.isalnum, quote)) else self._near(_plain(quote))

    def verified(self, quote: str, *, most: int | None = None) -> Found:
        """The same, but for what is only near. most: places that are told, the first; None for all of them."""
        words = _plain(quote)
        if not any(letter.isalnum() for letter in quote):
            return Found(Status.MISSING)
        starts = _starts(self._index, words)
        places = [self._place(start, start + len(words)) for start in starts[:most]] or list(self._hyphened(words))
        if not places:
            return Found(Status.MISSING)
        return Found(Status.VERIFIED, tuple(places), self._words(places[0]), max(len(starts), len(places)))

    def _place(self, start: int, end: int) -> Place:
        """In its document as it is, of whole characters."""
        found = self._index.text.place(start, end)
        moved, document = self._moved[found.document], self.documents[found.document]
        begin, last = moved.before(found.start), moved.before(found.end - 1)
        while document[begin] & 0xC0 == 0x80:
            begin -= 1
        while last + 1 < len(document) and document[last + 1] & 0xC0 == 0x80:
            last += 1
        return Place(found.document, begin, last + 1)

    def _hyphened(self, words: bytes) -> Iterator[Place]:
        """Where these words stand, but for hyphens of theirs that lines were broken at."""
        for start, end, broken in _but_for_hyphens(self._index, words):
            if all(self._is_broken(at) for at in broken):
                yield self._place(start, end)

    def _is_broken(self, at: int) -> bool:
        """Whether folding took a hyphen from before this position."""
        found = self._index.text.place(at - 1, at)
        last = self._moved[found.document].before(found.end - 1)
        return _BROKEN.match(self.documents[found.document], last + 1) is not None

    def _words(self, place: Place) -> str:
        return self.documents[place.document][place.start : place.end].decode(errors="replace")

    def _near(self, words: bytes) -> Found:
        words = words[:_MOST_COMPARED]
        best, where = _NEAR, None
        for start in _likely(self._index, words):
            ratio, span = _compared(self._index, words, start)
            if ratio > best:
                best, where = ratio, span
        if where is None:
            return Found(Status.MISSING)
        place = self._place(*where)
        return Found(Status.ALTERED, (place,), self._words(place))


def finder(documents: Sequence[bytes]) -> Finder:
    """documents: the UTF-8 of the sources; each is asked for anew wherever it is looked at."""
    moved: list[_Moved] = []

    def folded() -> Iterator[bytes | bytearray]:
        for document in documents:
            data, how = _fold(document, keep_hyphens=False)
            moved.append(how)
            yield data

    text = join(folded(), n_most=sum(len(document) + 1 for document in documents))  # nothing is longer once folded
    return Finder(documents, build(text), moved)


def _plain(quote: str) -> bytes:
    """A quote as the index has words."""
    return bytes(normalized(_fold(quote.encode("utf-8", "replace"), keep_hyphens=True)[0]).strip())


def _fold(document: bytes, *, keep_hyphens: bool) -> tuple[bytes | bytearray, _Moved]:
    """A document with what is alike made one, and how its bytes moved. keep_hyphens: of those at a line's end, which
    goes."""
    folded, breaks, deltas, last = bytearray(), array("i", [0]), array("i", [0]), 0
    for match in _FOLDED.finditer(document):
        plain = _PLAIN.get(match[0], b"-" if keep_hyphens else b"")
        folded += document[last : match.start()]
        folded += plain
        last = match.end()
        breaks.append(len(folded))
        deltas.append(last - len(folded))
    moved = _Moved(np.frombuffer(breaks, dtype=np.int32), np.frombuffer(deltas, dtype=np.int32))
    if not last:
        return document, moved
    folded += document[last:]
    return folded, moved


def _starts(index: QuoteIndex, words: bytes) -> list[int]:
    """Where these bytes stand whole, in order: not within a longer word."""
    data = index.text.data
    lead = len(words) - len(words.lstrip(_MARKS))  # the index has the first mark of a run only
    lead = lead if lead < len(words) else 0
    within = index.narrow(index.everything, words[lead : lead + KEY_BYTES])
    starts = index.places(within).astype(np.int64) - lead
    starts = starts[(starts >= 0) & (starts + len(words) < len(data))]
    for at in (*range(lead), *range(lead + KEY_BYTES, len(words))):
        starts = starts[data[starts + at] == words[at]]
        if not len(starts):
            return []
        if at >= _LONG and len(starts) > _MOST_LONG:
            starts = np.sort(starts)[:_MOST_LONG]
    if words[-1:].isalnum():
        starts = starts[~_GOING_ON[data[starts + len(words)]]]
    return list(np.sort(starts).tolist())


def _but_for_hyphens(index: QuoteIndex, words: bytes) -> Iterator[tuple[int, int, list[int]]]:
    """From and up to where these words stand without some of the hyphens within them, and where each of these lacks."""
    within = {match.start() for match in _WITHIN.finditer(words)}
    begin, anchor = _anchor(words, within)
    if not within or not anchor:
        return
    data = index.text.data
    starts = ends = index.places(index.narrow(index.everything, anchor)).astype(np.int64)
    lacking = np.zeros((0, len(starts)), dtype=np.int64)
    for at in (*range(begin, len(words)), *range(begin - 1, -1, -1)):
        is_behind = at >= begin
        there = data[ends if is_behind else starts - 1] == words[at]
        if at in within:
            lacking = np.vstack([lacking, np.where(there, -1, ends if is_behind else starts)])
        else:
            starts, ends, lacking, there = starts[there], ends[there], lacking[:, there], there[there]
        starts, ends = starts - (there & (not is_behind)), ends + (there & is_behind)
    for nth in np.argsort(starts)[:_MOST_LONG].tolist():
        start, end = int(starts[nth]), int(ends[nth])
        is_whole = not (words[:1].isalnum() and _goes_on(data, start - 1))
        if is_whole and not (words[-1:].isalnum() and _goes_on(data, end)):
            yield start, end, [each for each in lacking[:, nth].tolist() if each >= 0]


def _anchor(words: bytes, hyphens: Collection[int]) -> tuple[int, bytes]:
    """The longest of what an index has of words that lack some hyphens, and where it begins."""
    found = 0, b""
    for match in _BEGINNING.finditer(words):
        start = match.start()
        end = min((at for at in hyphens if at >= start), default=len(words))
        if end - start > len(found[1]) < KEY_BYTES:
            found = start, words[start : min(end, start + KEY_BYTES)]
    return found


def _goes_on(data: NDArray[np.uint8], at: int) -> bool:
    return bool(_GOING_ON[data[at]])


def _likely(index: QuoteIndex, words: bytes) -> Iterator[int]:
    """Where a passage like this may begin: where several of its words stand as far apart as here."""
    votes: Counter[int] = Counter()
    begins: dict[int, int] = {}
    for match in re.finditer(rb"\S+", words):
        seed = words[match.start() : match.start() + _SEED_BYTES]
        within = index.narrow(index.everything, seed[:KEY_BYTES])
        if len(seed) < KEY_BYTES or len(within) > _MOST_SEEDS:
            continue
        for place in index.places(within).tolist():
            begin = place - match.start()
            votes[begin // _APART] += 1
            begins.setdefault(begin // _APART, begin)
    for bucket, _ in votes.most_common(_MOST_PLACES):
        yield begins[bucket]


def _compared(index: QuoteIndex, words: bytes, start: int) -> tuple[float, tuple[int, int]]:
    """How alike the passage around there is, from 0 to 1, and where it begins and ends."""
    data = index.text.data
    begin = max(1, start - _AROUND)
    around = data[begin : start + _AROUND + len(words) * 9 // 8].tobytes()
    theirs, ours = list(_PIECE.finditer(around)), _PIECE.findall(words)
    matcher = SequenceMatcher(None, ours, [match[0] for match in theirs], autojunk=False)
    blocks = [block for block in matcher.get_matching_blocks() if block.size]
    if not blocks:
        return 0.0, (begin, begin + 1)
    first, last = blocks[0], blocks[-1]
    low = max(0, first.b - first.a)
    high = min(len(theirs), last.b + last.size + len(ours) - last.a - last.size)
    if b"\xff" in around[theirs[low].start() : theirs[high - 1].end()]:
        return 0.0, (begin, begin + 1)
    n_alike = sum(len(piece) for block in blocks for piece in ours[block.a : block.a + block.size])
    n_theirs = sum(len(match[0]) for match in theirs[low:high])
    ratio = 2 * n_alike / (sum(map(len, ours)) + n_theirs)
    return ratio, (begin + theirs[low].start(), begin + theirs[high - 1].end())
